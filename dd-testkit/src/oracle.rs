//! The oracle: what a replica must show, from the events that it has seen and nothing else.
//!
//! Every event is recorded with its path, its kind and the maker's context at that moment. From a
//! context it follows which dots are live and what each run of a counter counts for; how the
//! replica came by that context does not matter. It knows nothing of frames, records or runs with
//! cuts, and shares no code with what it checks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crdt_core::kernel::{Node, ValueRef};
use crdt_core::{Context, Dot, Name, Path, ReplicaId};

/// What an event does at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Puts a dot there and replaces everything that it saw there and below.
    Write,
    /// Removes everything that it saw there and below.
    Remove,
    /// Adds an amount to the maker's run that began with the given sequence number.
    Count {
        /// The amount.
        n: i128,
        /// Sequence number of the run's first event.
        start: u64,
    },
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where.
    pub path: Path,
    /// What.
    pub kind: Kind,
    /// The maker's context just before it: what it saw.
    pub seen: Context,
}

/// What is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// Live dots by path, without those of counters.
    pub live: BTreeMap<Path, BTreeSet<Dot>>,
    /// By path and replica: the run's start, and what it counts for.
    pub runs: BTreeMap<(Path, ReplicaId), (u64, i128)>,
}

impl Visible {
    /// Where this is not what it should be, for people.
    pub fn difference(&self, expected: &Self) -> String {
        let mut out = String::new();
        for path in self.live.keys().chain(expected.live.keys()) {
            let (a, e) = (self.live.get(path), expected.live.get(path));
            if a != e {
                out += &format!("  {path:?}: has {a:?}, should have {e:?}\n");
            }
        }
        for run in self.runs.keys().chain(expected.runs.keys()) {
            let (a, e) = (self.runs.get(run), expected.runs.get(run));
            if a != e {
                out += &format!("  run {run:?}: has {a:?}, should have {e:?}\n");
            }
        }
        out
    }
}

type RunId = (Path, ReplicaId, u64);

impl Event {
    /// A removal at a path.
    pub fn removal(path: Path, seen: Context) -> Self {
        let kind = Kind::Remove;
        Self { path, kind, seen }
    }

    /// A write at a path, which replaces what it saw there.
    pub fn write(path: Path, seen: Context) -> Self {
        let kind = Kind::Write;
        Self { path, kind, seen }
    }
}

/// All events of a run of the simulator.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    events: BTreeMap<Dot, Event>,
    /// Events that remove or replace, by path.
    removers: BTreeMap<Path, Vec<Dot>>,
    runs: BTreeMap<RunId, Vec<(u64, i128)>>,
    covered: RefCell<BTreeMap<(Dot, RunId), u64>>,
}

impl Oracle {
    /// Records an event.
    pub fn record(&mut self, dot: Dot, event: Event) {
        match event.kind {
            Kind::Write | Kind::Remove => {
                self.removers
                    .entry(event.path.clone())
                    .or_default()
                    .push(dot);
            }
            Kind::Count { n, start } => {
                let run = (event.path.clone(), dot.replica, start);
                self.runs.entry(run).or_default().push((dot.seq, n));
            }
        }
        self.events.insert(dot, event);
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
    pub fn expected(&self, context: &Context) -> Visible {
        let mut visible = Visible::default();
        for (dot, event) in &self.events {
            let removed = || {
                self.removers_above(&event.path).any(|e| {
                    e != *dot && context.contains(e) && self.events[&e].seen.contains(*dot)
                })
            };
            if event.kind == Kind::Write && context.contains(*dot) && !removed() {
                visible
                    .live
                    .entry(event.path.clone())
                    .or_default()
                    .insert(*dot);
            }
        }
        for (run, counts) in &self.runs {
            let (path, replica, start) = run;
            let (newest, cut) = (self.newest(run, context), self.cut(run, context));
            let left = counts.iter().filter(|c| (cut + 1..=newest).contains(&c.0));
            let left: Vec<i128> = left.map(|c| c.1).collect();
            if !left.is_empty() {
                let of_replica = visible.runs.entry((path.clone(), *replica)).or_default();
                *of_replica = (*start, left.iter().sum());
            }
        }
        visible
    }

    /// Whether something of an event is to be seen in this context: the event is in it, or a counter's
    /// later total includes it.
    pub fn shows(&self, dot: Dot, context: &Context) -> bool {
        let run = self.run_of(dot);
        context.contains(dot)
            || run.is_some_and(|run| {
                self.newest(&run, context) > dot.seq && self.cut(&run, context) < dot.seq
            })
    }

    /// Whether a replica with this context shows an event or, where the event acted, something newer.
    pub fn reflects(&self, dot: Dot, context: &Context) -> bool {
        let Some(event) = self.events.get(&dot) else {
            return true;
        };
        if context.contains(dot) {
            return true;
        }
        let removed = |dot: Dot, path: &Path| {
            self.removers_above(path)
                .any(|e| e != dot && context.contains(e) && self.events[&e].seen.contains(dot))
        };
        if let Some(run) = self.run_of(dot) {
            return self.newest(&run, context) > dot.seq || self.cut(&run, context) >= dot.seq;
        }
        // What it removed is gone, and what it wrote was replaced.
        let mut seen = self.events.iter().filter(|(other, at)| {
            at.kind == Kind::Write
                && at.path.starts_with(&event.path)
                && event.seen.contains(**other)
                && context.contains(**other)
        });
        let mut runs = self
            .runs
            .keys()
            .filter(|run| run.0.starts_with(&event.path));
        seen.all(|(other, at)| removed(*other, &at.path))
            && runs.all(|run| {
                let covered = self.covered_up_to(dot, run);
                covered.min(self.newest(run, context)) <= self.cut(run, context)
            })
            && (event.kind == Kind::Remove || removed(dot, &event.path))
    }

    fn run_of(&self, dot: Dot) -> Option<RunId> {
        let event = self.events.get(&dot)?;
        match event.kind {
            Kind::Count { start, .. } => Some((event.path.clone(), dot.replica, start)),
            Kind::Write | Kind::Remove => None,
        }
    }

    /// The newest increment of a run in a context, 0 if there is none.
    fn newest(&self, run: &RunId, context: &Context) -> u64 {
        let counts = self.runs[run].iter().map(|count| count.0);
        let seen = counts.filter(|seq| context.contains(Dot::new(run.1, *seq)));
        seen.max().unwrap_or(0)
    }

    /// Up to which increment the events in a context have removed a run.
    fn cut(&self, run: &RunId, context: &Context) -> u64 {
        let removers = self.removers_above(&run.0);
        let removers = removers.filter(|e| context.contains(*e));
        removers
            .map(|e| self.covered_up_to(e, run))
            .max()
            .unwrap_or(0)
    }

    /// What a tree shows.
    pub fn actual(root: &Node) -> Visible {
        let mut visible = Visible::default();
        root.visit(
            &mut Vec::new(),
            &mut |path: &[Name], entry| match entry.value {
                ValueRef::Run(run) => {
                    let shown = (run.start, run.amount());
                    visible.runs.insert((path.into(), entry.dot.replica), shown);
                }
                ValueRef::Unit | ValueRef::Bytes(_) => {
                    visible
                        .live
                        .entry(path.into())
                        .or_default()
                        .insert(entry.dot);
                }
            },
        );
        visible
    }

    fn removers_above<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Dot> + 'a {
        (0..=path.len())
            .filter_map(|len| self.removers.get(&path[..len]))
            .flatten()
            .copied()
    }

    /// Up to which increment an event has seen a run: the newest in its context (an increment
    /// brings the earlier ones of its run), or what an event in its context had removed.
    fn covered_up_to(&self, e: Dot, run: &RunId) -> u64 {
        let memo = (e, run.clone());
        if let Some(&known) = self.covered.borrow().get(&memo) {
            return known;
        }
        let (path, replica, _) = run;
        let seen = &self.events[&e].seen;
        let counts = self.runs[run].iter().map(|c| c.0);
        let direct = counts
            .filter(|seq| seen.contains(Dot::new(*replica, *seq)))
            .max();
        let others = self
            .removers_above(path)
            .filter(|f| *f != e && seen.contains(*f));
        let through = others.map(|f| self.covered_up_to(f, run)).max();
        let covered = direct.max(through).unwrap_or(0);
        self.covered.borrow_mut().insert(memo, covered);
        covered
    }
}
