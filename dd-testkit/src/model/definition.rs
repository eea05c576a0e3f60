//! The definition of the replicated state: what must be shown, as a function of the events seen.
//!
//! A [`History`] knows every event of an execution: where it acts, what it does, and what its maker
//! had seen. From these and a set of dots, a causal context, follows what a replica with that
//! context must show. It knows nothing of messages, removal records, or the order in which anything
//! arrived, and therefore judges all of them.
//!
//! * An add or a write is live unless the context holds an event that removes or replaces, at its
//!   path or above it, and whose maker had seen it.
//! * Increments of one replica at one path form a *run*. An increment stands for the earlier ones of
//!   its run too: whoever has seen it has seen those.
//! * An increment is void if the context holds an event that removes or replaces, at its path or
//!   above, and that had seen it, or had seen an event for which it was void already.
//! * *Seen* is direct: in the context of the maker. What an event seen had in turn seen does not
//!   count, except for increments as just said.
//!
//! The void increments of a run are always its oldest, so that one sequence number per run and
//! removing event says which. Who voids what is worked out once, when the removing event is
//! recorded, and so [`History::expected`] costs a lookup or two in the context for each event: it
//! can be asked after every step of an execution.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::path::{ModelPath, under, under_mut};

/// An event's name: index of the incarnation that made it, and its number there, counted from 1.
pub type EventDot = (u64, u64);

/// A set of dots that can be asked whether it holds one.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::{EventDot, Seen};
///
/// /// Everything that one replica made up to some event.
/// struct UpTo(EventDot);
///
/// impl Seen for UpTo {
///     fn contains(&self, dot: EventDot) -> bool {
///         dot.0 == self.0.0 && dot.1 <= self.0.1
///     }
/// }
/// assert!(UpTo((0, 7)).contains((0, 3)));
/// ```
pub trait Seen {
    /// Whether the dot is in the set.
    fn contains(&self, dot: EventDot) -> bool;
}

impl Seen for BTreeSet<EventDot> {
    fn contains(&self, dot: EventDot) -> bool {
        BTreeSet::contains(self, &dot)
    }
}

/// What an event does at its path.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::Kind;
///
/// assert!(Kind::Write.removes() && Kind::Remove.removes());
/// assert!(!Kind::Add.removes());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Puts its dot there and leaves what there is.
    Add,
    /// Puts its dot there and replaces what its maker had seen there and below.
    Write,
    /// Removes what its maker had seen there and below.
    Remove,
    /// Adds an amount to a run of its maker.
    Count {
        /// The amount.
        n: i128,
        /// Number of the run's first event; this event's own if it begins one.
        start: u64,
    },
}

impl Kind {
    /// Whether it voids events that its maker had seen.
    pub fn removes(self) -> bool {
        matches!(self, Self::Write | Self::Remove)
    }
}

/// What a run of increments counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Number of the run's first event.
    pub start: u64,
    /// Number of the newest event of the run that was seen.
    pub newest: u64,
    /// Sum of the increments that are not void.
    pub sum: i128,
}

/// What is to be seen, or is seen, at a replica. Paths without anything are left out.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::{Expected, ModelPath};
///
/// let mut shown = Expected::default();
/// shown.live.entry(ModelPath::new(["k"])).or_default().insert((0, 1));
/// assert_eq!(shown.difference(&shown), None);
/// let nothing = Expected::default();
/// assert_eq!(nothing.difference(&shown).unwrap(), "live k: None instead of Some({(0, 1)})");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Live dots by path, without those of counters.
    pub live: BTreeMap<ModelPath, BTreeSet<EventDot>>,
    /// By path and replica, the run that has increments left. A run with a sum of 0 is listed.
    pub runs: BTreeMap<ModelPath, BTreeMap<u64, Share>>,
}

impl Expected {
    /// Where this differs from what is wanted, in words; `None` if it does not.
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        let mut words = differences("live", &self.live, &wanted.live);
        words.extend(differences("runs", &self.runs, &wanted.runs));
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Every event of an execution, and what follows from them. The module describes the rules.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeSet;
///
/// use dd_testkit::model::{History, Kind, ModelPath};
///
/// let path = ModelPath::new(["k", "e"]);
/// let mut history = History::default();
/// history.record((0, 1), path.clone(), Kind::Add, &BTreeSet::new());
/// history.record((1, 1), ModelPath::new(["k"]), Kind::Remove, &BTreeSet::from([(0, 1)]));
///
/// let before = history.expected(&BTreeSet::from([(0, 1)]));
/// assert!(before.live[&path].contains(&(0, 1)));
/// let after = history.expected(&BTreeSet::from([(0, 1), (1, 1)]));
/// assert!(after.live.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    events: BTreeMap<EventDot, (ModelPath, Kind)>,
    leaves: BTreeMap<ModelPath, Vec<Leaf>>,
    runs: BTreeMap<ModelPath, BTreeMap<(u64, u64), Run>>,
}

/// An add or a write.
#[derive(Clone, Debug)]
struct Leaf {
    dot: EventDot,
    /// The events that remove or replace it.
    removers: Vec<EventDot>,
}

/// The increments of one replica at one path from one start.
#[derive(Clone, Debug, Default)]
struct Run {
    /// Number of each event, and the sum up to and with it.
    totals: Vec<(u64, i128)>,
    /// Up to which number an event voids the run, greatest number first.
    cuts: Vec<(u64, EventDot)>,
}

impl History {
    /// Records an event, which its maker made when its context was `seen`.
    ///
    /// The events in `seen` must have been recorded before; dots that were not are taken for events
    /// without effect.
    ///
    /// # Panics
    ///
    /// If the dot was recorded already, or a run's events come out of order.
    pub fn record(&mut self, dot: EventDot, path: ModelPath, kind: Kind, seen: &impl Seen) {
        if kind.removes() {
            self.record_removal(dot, &path, seen);
        }
        match kind {
            Kind::Add | Kind::Write => {
                let leaf = Leaf {
                    dot,
                    removers: Vec::new(),
                };
                self.leaves.entry(path.clone()).or_default().push(leaf);
            }
            Kind::Count { n, start } => {
                let run = self
                    .runs
                    .entry(path.clone())
                    .or_default()
                    .entry((dot.0, start));
                run.or_default().push(dot.1, n);
            }
            Kind::Remove => {}
        }
        let known = self.events.insert(dot, (path, kind));
        assert!(known.is_none(), "{dot:?} was recorded twice");
    }

    /// Path and kind of an event.
    pub fn event(&self, dot: EventDot) -> Option<(&ModelPath, Kind)> {
        self.events.get(&dot).map(|(path, kind)| (path, *kind))
    }

    /// All events in the order of their dots.
    pub fn dots(&self) -> impl Iterator<Item = EventDot> {
        self.events.keys().copied()
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What a replica with this context must show.
    ///
    /// Should two runs of one replica be left at one path, the one that began later is given: a
    /// replica begins a run only when the one before it is void as a whole.
    pub fn expected(&self, context: &impl Seen) -> Expected {
        let mut expected = Expected::default();
        for (path, leaves) in &self.leaves {
            let live = leaves.iter().filter(|leaf| leaf.is_live(context));
            let live: BTreeSet<EventDot> = live.map(|leaf| leaf.dot).collect();
            if !live.is_empty() {
                expected.live.insert(path.clone(), live);
            }
        }
        for (path, runs) in &self.runs {
            let left = runs
                .iter()
                .filter_map(|(&id, run)| Some((id.0, run.share(id, context)?)));
            let left: BTreeMap<u64, Share> = left.collect();
            if !left.is_empty() {
                expected.runs.insert(path.clone(), left);
            }
        }
        expected
    }

    /// Whether a replica with this context shows an event's effect, or that of events which replaced
    /// it.
    ///
    /// This is what atomic transactions promise: whoever has one event of a transaction reflects all
    /// of them. An event that was never recorded counts as reflected.
    pub fn reflected(&self, dot: EventDot, context: &impl Seen) -> bool {
        let Some((path, kind)) = self.events.get(&dot) else {
            return true;
        };
        if context.contains(dot) {
            return true;
        }
        if kind.removes() && !self.is_removal_reflected(dot, path, context) {
            return false;
        }
        match *kind {
            Kind::Remove => true,
            Kind::Add | Kind::Write => {
                let at_path = self.leaves.get(path).into_iter().flatten();
                at_path
                    .filter(|leaf| leaf.dot == dot)
                    .all(|leaf| leaf.is_removed(context))
            }
            Kind::Count { start, .. } => {
                let run = self
                    .runs
                    .get(path)
                    .and_then(|runs| runs.get(&(dot.0, start)));
                run.is_none_or(|run| {
                    run.newest(dot.0, context) > dot.1 || run.cut(context) >= dot.1
                })
            }
        }
    }

    /// Works out what an event voids: everything at its path and below that it had seen.
    fn record_removal(&mut self, dot: EventDot, path: &ModelPath, seen: &impl Seen) {
        for (_, leaves) in under_mut(&mut self.leaves, path) {
            for leaf in leaves.iter_mut().filter(|leaf| seen.contains(leaf.dot)) {
                leaf.removers.push(dot);
            }
        }
        for (_, runs) in under_mut(&mut self.runs, path) {
            for (&(origin, _), run) in runs {
                let up_to = run.newest(origin, seen).max(run.cut(seen));
                if up_to > 0 {
                    let at = run
                        .cuts
                        .partition_point(|cut| Reverse(cut.0) < Reverse(up_to));
                    run.cuts.insert(at, (up_to, dot));
                }
            }
        }
    }

    /// Whether all that the context holds of what the event voids is void in it.
    fn is_removal_reflected(&self, dot: EventDot, path: &ModelPath, context: &impl Seen) -> bool {
        let leaves = under(&self.leaves, path).flat_map(|(_, leaves)| leaves);
        let mut of_dot = leaves.filter(|leaf| leaf.removers.contains(&dot));
        if of_dot.any(|leaf| leaf.is_live(context)) {
            return false;
        }
        let mut runs = under(&self.runs, path).flat_map(|(_, runs)| runs);
        runs.all(|(&(origin, _), run)| {
            let up_to = run
                .cuts
                .iter()
                .find(|cut| cut.1 == dot)
                .map_or(0, |cut| cut.0);
            up_to.min(run.newest(origin, context)) <= run.cut(context)
        })
    }
}

impl Leaf {
    fn is_live(&self, context: &impl Seen) -> bool {
        context.contains(self.dot) && !self.is_removed(context)
    }

    fn is_removed(&self, context: &impl Seen) -> bool {
        self.removers.iter().any(|e| context.contains(*e))
    }
}

impl Run {
    fn push(&mut self, seq: u64, n: i128) {
        let (last, total) = self.totals.last().copied().unwrap_or_default();
        assert!(
            last < seq,
            "increment {seq} was recorded after increment {last}"
        );
        self.totals.push((seq, total + n));
    }

    /// Number of the newest event of the run in a context; 0 if there is none.
    fn newest(&self, origin: u64, context: &impl Seen) -> u64 {
        let mut newest_first = self.totals.iter().rev().map(|total| total.0);
        newest_first
            .find(|seq| context.contains((origin, *seq)))
            .unwrap_or(0)
    }

    /// Number up to which the run is void in a context; 0 if it is not.
    fn cut(&self, context: &impl Seen) -> u64 {
        let mut greatest_first = self.cuts.iter();
        greatest_first
            .find(|cut| context.contains(cut.1))
            .map_or(0, |cut| cut.0)
    }

    /// What the run counts for in a context, unless nothing of it is left.
    fn share(&self, (origin, start): (u64, u64), context: &impl Seen) -> Option<Share> {
        let (newest, cut) = (self.newest(origin, context), self.cut(context));
        let sum = self.total_at(newest) - self.total_at(cut);
        (newest > cut).then_some(Share { start, newest, sum })
    }

    fn total_at(&self, seq: u64) -> i128 {
        let at = self.totals.partition_point(|total| total.0 <= seq);
        at.checked_sub(1).map_or(0, |last| self.totals[last].1)
    }
}

fn differences<V: PartialEq + std::fmt::Debug>(
    name: &str,
    got: &BTreeMap<ModelPath, V>,
    wanted: &BTreeMap<ModelPath, V>,
) -> Vec<String> {
    let paths: BTreeSet<&ModelPath> = got.keys().chain(wanted.keys()).collect();
    let differ = paths
        .into_iter()
        .filter(|path| got.get(*path) != wanted.get(*path));
    differ
        .map(|path| {
            format!(
                "{name} {path}: {:?} instead of {:?}",
                got.get(path),
                wanted.get(path)
            )
        })
        .collect()
}
