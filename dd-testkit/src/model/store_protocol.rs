//! The executable model of the replication rules in their smallest form.
//!
//! A path is a key, or a key and an element of it; a delete acts on a key and all under it. A sync
//! is atomic, except that it may stop after any of its pieces. What a replica holds:
//!
//! * the dots that it has seen, its context;
//! * per path, the live dots;
//! * per path, the records of removals: the removing event, and what its maker had seen of the
//!   incarnations that have anything there. Whatever a record names at its path or below is void;
//! * a floor: per replica, the newest removal whose record was dropped.
//!
//! The rules:
//!
//! 1. A removal is an event with a dot of its own, and leaves a record.
//! 2. A record that names no more than another at its path or above it is dropped at once.
//! 3. A sync sends per path what the receiver's context lacks, live dots and records, as one piece
//!    that is applied as a whole. A piece brings along the records above its path.
//! 4. A dot that arrives stays void if it was seen before, or if a record at its path or above it
//!    names it.
//! 5. Only after the last piece the receiver takes over the sender's context as of the start.
//! 6. A record may be dropped when all that it names lies in the gapless beginning of the context.
//! 7. A peer whose gapless beginning does not reach the floor gets a full comparison, applied as a
//!    unit: what the sender has seen and does not show is void. Contexts and floors are joined.
//!
//! Rules 6 and 7 take gapless beginnings, which is safe, but a gap that nobody can fill keeps a
//! record for ever. [`full`](super::full) replaces them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::path::{under, under_mut};
use super::{Dots, EventDot, Expected, Failure, History, Kind, ModelPath, Report, Tally, pair};
use crate::Rng;

/// A rule that can be left out. The module lists them under their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// 3: the dots and records of a path travel together. Left out: apart.
    Piece,
    /// 4: records void the dots that arrive later. Left out: they don't.
    Dead,
    /// 5: the context comes last. Left out: with the first piece.
    Takeover,
    /// 6: a record waits for what it names. Left out: it doesn't.
    Complete,
    /// 7: a peer below the floor gets a full comparison. Left out: it never does.
    Floor,
}

impl Rule {
    /// Every rule that can be left out.
    pub const ALL: [Self; 5] = [
        Self::Piece,
        Self::Dead,
        Self::Takeover,
        Self::Complete,
        Self::Floor,
    ];

    /// Its number in the list of rules.
    pub fn number(self) -> u8 {
        match self {
            Self::Piece => 3,
            Self::Dead => 4,
            Self::Takeover => 5,
            Self::Complete => 6,
            Self::Floor => 7,
        }
    }
}

/// The setting of a run.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::store_protocol::{Options, Rule, campaign};
///
/// assert!(campaign(0..10, &Options::default()).failures.is_empty());
/// let broken = Options { broken: Some(Rule::Piece), ..Options::default() };
/// assert!(!campaign(0..100, &broken).failures.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Records are dropped without waiting until every replica that is up has the event.
    /// Default: no. Costs full comparisons, never correctness.
    pub forget_any: bool,
    /// The rule that is left out. Default: none.
    pub broken: Option<Rule>,
    /// A campaign ends after so many failures. Default: never.
    pub stop: Option<usize>,
}

impl Options {
    fn keep(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}

/// Runs the model once. The same seed gives the same run on every machine.
///
/// # Errors
///
/// [`Failure`] if at the end the replicas do not agree, or show something else than the definition
/// says.
pub fn run(seed: u64, options: &Options) -> Result<(), Failure> {
    let mut world = World::new(seed, options);
    world.act();
    world.converge();
    world.judge().map_err(|what| Failure { seed, what })
}

/// Runs the model once per seed.
pub fn campaign(seeds: Range<u64>, options: &Options) -> Report {
    Report::collect(seeds, options.stop, |seed| {
        run(seed, options).map(|()| Tally {
            runs: 1,
            ..Tally::default()
        })
    })
}

/// What is left of a removal.
#[derive(Debug)]
struct Record {
    event: EventDot,
    seen: Dots,
}

/// What a sync sends of one path.
#[derive(Debug)]
struct Piece {
    path: ModelPath,
    live: Dots,
    records: Vec<(ModelPath, Rc<Record>)>,
}

#[derive(Debug, Default)]
struct Replica {
    id: u64,
    seq: u64,
    context: Dots,
    live: BTreeMap<ModelPath, Dots>,
    records: BTreeMap<ModelPath, Vec<Rc<Record>>>,
    floor: BTreeMap<u64, u64>,
}

impl Replica {
    fn perform(&mut self, path: &ModelPath, kind: Kind, history: &mut History) {
        let there = under(&self.live, path).any(|(_, dots)| !dots.is_empty());
        if kind == Kind::Remove && !there {
            return;
        }
        let seen = (kind.removes() && there).then(|| self.seen_under(path));
        self.seq += 1;
        let event = (self.id, self.seq);
        history.record(event, path.clone(), kind, &self.context);
        let record = seen.map(|seen| Rc::new(Record { event, seen }));
        if let Some(record) = &record {
            self.remove(path, record);
        }
        if kind != Kind::Remove {
            self.live.entry(path.clone()).or_default().insert(event);
        }
        self.context.insert(event);
        if let Some(record) = &record {
            self.keep_record(path, record);
        }
    }

    /// The context without the replicas that have nothing at the path, below it or above it.
    fn seen_under(&self, path: &ModelPath) -> Dots {
        let below = under(&self.records, path).flat_map(|(_, records)| records);
        let named = below
            .chain(self.records_above(path))
            .flat_map(|record| &record.seen);
        let live = under(&self.live, path).flat_map(|(_, dots)| dots);
        let origins: BTreeSet<u64> = live.chain(named).map(|dot| dot.0).collect();
        self.context
            .iter()
            .copied()
            .filter(|dot| origins.contains(&dot.0))
            .collect()
    }

    fn keep_record(&mut self, path: &ModelPath, record: &Rc<Record>) {
        for (_, records) in under_mut(&mut self.records, path) {
            records.retain(|old| !old.seen.is_subset(&record.seen));
        }
        if !self
            .records_above(path)
            .any(|other| record.seen.is_subset(&other.seen))
        {
            self.records
                .entry(path.clone())
                .or_default()
                .push(Rc::clone(record));
        }
    }

    fn remove(&mut self, path: &ModelPath, record: &Record) {
        for (_, dots) in under_mut(&mut self.live, path) {
            dots.retain(|dot| !record.seen.contains(dot));
        }
    }

    fn is_void(&self, path: &ModelPath, dot: EventDot) -> bool {
        self.records_above(path)
            .any(|record| record.seen.contains(&dot))
    }

    /// The records at the path and above it.
    fn records_above(&self, path: &ModelPath) -> impl Iterator<Item = &Rc<Record>> {
        path.upwards()
            .filter_map(|path| self.records.get(path))
            .flatten()
    }

    fn records_lacking(&self, path: &ModelPath, context: &Dots) -> Vec<(ModelPath, Rc<Record>)> {
        let records = self.records.get(path).into_iter().flatten();
        let lacking = records.filter(|record| !context.contains(&record.event));
        lacking
            .map(|record| (path.clone(), Rc::clone(record)))
            .collect()
    }

    /// What a peer with this context lacks, in any order.
    fn pieces(&self, context: &Dots, options: &Options, rng: &mut Rng) -> Vec<Piece> {
        let paths: BTreeSet<_> = self.live.keys().chain(self.records.keys()).collect();
        let mut pieces = Vec::new();
        for path in paths {
            let live = self.live.get(path).into_iter().flatten();
            let live: Dots = live.filter(|dot| !context.contains(dot)).copied().collect();
            let at_path = self.records_lacking(path, context);
            let mut push = |live, records| {
                pieces.push(Piece {
                    path: path.clone(),
                    live,
                    records,
                })
            };
            if !options.keep(Rule::Piece) {
                push(live, Vec::new());
                push(Dots::new(), at_path);
            } else if !live.is_empty() || !at_path.is_empty() {
                let above = (1..path.names().len()).map(|len| path.truncated(len));
                let above = above.flat_map(|above| self.records_lacking(&above, context));
                push(live, above.chain(at_path).collect());
            }
        }
        pieces.retain(|piece| !piece.live.is_empty() || !piece.records.is_empty());
        rng.shuffle(&mut pieces);
        pieces
    }

    fn apply(&mut self, piece: &Piece, options: &Options) {
        for (path, record) in &piece.records {
            self.remove(path, record);
            self.keep_record(path, record);
        }
        for dot in piece.live.iter().copied() {
            let void = options.keep(Rule::Dead) && self.is_void(&piece.path, dot);
            if self.context.insert(dot) && !void {
                self.live.entry(piece.path.clone()).or_default().insert(dot);
            }
        }
        self.context
            .extend(piece.records.iter().map(|(_, record)| record.event));
    }

    /// Makes this what a full comparison says.
    fn compare(&mut self, sender: &Self) {
        let paths: BTreeSet<_> = sender
            .live
            .keys()
            .chain(self.live.keys())
            .cloned()
            .collect();
        let none = Dots::new();
        for path in paths {
            let theirs = sender.live.get(&path).unwrap_or(&none);
            let new = theirs.difference(&self.context).copied();
            let new: Dots = new.filter(|dot| !self.is_void(&path, *dot)).collect();
            let ours = self.live.entry(path).or_default();
            ours.retain(|dot| theirs.contains(dot) || !sender.context.contains(dot));
            ours.extend(new);
        }
        for (path, records) in &sender.records {
            for record in records {
                if !self.context.contains(&record.event) {
                    self.remove(path, record);
                    self.keep_record(path, record);
                }
            }
        }
        self.take_over(&sender.context, &sender.floor);
    }

    fn take_over(&mut self, context: &Dots, floor: &BTreeMap<u64, u64>) {
        self.context.extend(context);
        for (origin, seq) in floor {
            let known = self.floor.entry(*origin).or_default();
            *known = (*known).max(*seq);
        }
    }

    /// Whether a peer with this context may lack a removal that was forgotten here.
    fn has_forgotten_for(&self, context: &Dots) -> bool {
        let known = gapless(context);
        self.floor
            .iter()
            .any(|(origin, seq)| known.get(origin).copied().unwrap_or(0) < *seq)
    }

    fn shown(&self) -> Expected {
        let live = self.live.iter().filter(|(_, dots)| !dots.is_empty());
        Expected {
            live: live
                .map(|(path, dots)| (path.clone(), dots.clone()))
                .collect(),
            ..Expected::default()
        }
    }
}

/// Per replica, how far a context has no gaps.
fn gapless(context: &Dots) -> BTreeMap<u64, u64> {
    let mut known = BTreeMap::new();
    for (origin, seq) in context {
        let last = known.entry(*origin).or_default();
        if *last + 1 == *seq {
            *last = *seq;
        }
    }
    known
}

struct World<'a> {
    options: &'a Options,
    rng: Rng,
    history: History,
    replicas: Vec<Replica>,
    paths: Vec<ModelPath>,
    down: BTreeSet<usize>,
}

impl<'a> World<'a> {
    fn new(seed: u64, options: &'a Options) -> Self {
        let mut rng = Rng::new(seed);
        let replicas = (0..rng.range(2, 4) as u64).map(|id| Replica {
            id,
            ..Replica::default()
        });
        let (keys, elements) = (rng.range(1, 2), rng.range(1, 3));
        let element = |k: &&'static str, e: usize| ModelPath::new([*k, e.to_string().as_str()]);
        let paths = ["k", "l"].iter().take(keys);
        Self {
            options,
            history: History::default(),
            replicas: replicas.collect(),
            paths: paths
                .flat_map(|k| (0..elements).map(move |e| element(k, e)))
                .collect(),
            down: BTreeSet::new(),
            rng,
        }
    }

    fn up(&self) -> Vec<usize> {
        (0..self.replicas.len())
            .filter(|at| !self.down.contains(at))
            .collect()
    }

    /// Changes, syncs that stop anywhere, forgetting, and replicas that go and come back.
    fn act(&mut self) {
        for _ in 0..self.rng.range(10, 120) {
            let up = self.up();
            let (x, at) = (self.rng.below(100), up[self.rng.below(up.len())]);
            if x < 50 {
                self.change(at);
            } else if x < 90 && up.len() > 1 {
                let others: Vec<usize> = up.into_iter().filter(|other| *other != at).collect();
                let to = others[self.rng.below(others.len())];
                let pieces = self.rng.range(0, 6);
                self.sync(at, to, Some(pieces));
            } else if x < 97 {
                self.forget(at);
            } else if up.len() > 2 && self.rng.chance(50) {
                self.down.insert(at);
            } else if !self.down.is_empty() && self.rng.chance(70) {
                let back = self.rng.below(self.down.len());
                let back = self.down.iter().nth(back).copied();
                self.down.retain(|node| Some(*node) != back);
            }
        }
        if self.rng.chance(50) {
            self.down.clear();
        }
    }

    fn change(&mut self, at: usize) {
        let path = self.paths[self.rng.below(self.paths.len())].clone();
        let (path, kind) = match self.rng.below(5) {
            0 => (path, Kind::Write),
            1 | 2 => (path, Kind::Add),
            3 => (path, Kind::Remove),
            _ => (path.truncated(1), Kind::Remove),
        };
        self.replicas[at].perform(&path, kind, &mut self.history);
    }

    /// A sync that stops after some pieces. Without a stop, or beyond the last, it completes.
    fn sync(&mut self, from: usize, to: usize, stop: Option<usize>) {
        let (x, y) = pair(&mut self.replicas, from, to);
        if self.options.keep(Rule::Floor) && x.has_forgotten_for(&y.context) {
            if stop != Some(0) {
                y.compare(x);
            }
            return;
        }
        let pieces = x.pieces(&y.context, self.options, &mut self.rng);
        let stop = stop.unwrap_or(pieces.len() + 1);
        for piece in pieces.iter().take(stop) {
            y.apply(piece, self.options);
        }
        if stop > pieces.len() || (stop > 0 && !self.options.keep(Rule::Takeover)) {
            y.take_over(&x.context, &x.floor);
        }
    }

    fn forget(&mut self, at: usize) {
        let known = gapless(&self.replicas[at].context);
        let mut records = std::mem::take(&mut self.replicas[at].records);
        let mut floor = BTreeMap::new();
        let up = self.up();
        records
            .values_mut()
            .flat_map(|records| {
                records.extract_if(.., |record| {
                    let everywhere = self.options.forget_any
                        || up
                            .iter()
                            .all(|other| self.replicas[*other].context.contains(&record.event));
                    let named = |dot: &EventDot| dot.1 <= known.get(&dot.0).copied().unwrap_or(0);
                    let complete =
                        record.seen.iter().all(named) || !self.options.keep(Rule::Complete);
                    everywhere && complete
                })
            })
            .for_each(|record| {
                let known: &mut u64 = floor.entry(record.event.0).or_default();
                *known = (*known).max(record.event.1);
            });
        self.replicas[at].records = records;
        self.replicas[at].take_over(&Dots::new(), &floor);
    }

    fn converge(&mut self) {
        let up = self.up();
        for _ in 0..4 {
            for (&from, &to) in up
                .iter()
                .flat_map(|from| up.iter().map(move |to| (from, to)))
            {
                if from != to {
                    self.sync(from, to, None);
                }
            }
        }
    }

    /// Demands that all who are up agree, and show what the definition gives.
    fn judge(&self) -> Result<(), String> {
        let up = self.up();
        let first = &self.replicas[up[0]];
        for replica in up.iter().map(|at| &self.replicas[*at]) {
            if replica.context != first.context {
                return Err("contexts differ".to_owned());
            }
            if let Some(words) = replica.shown().difference(&first.shown()) {
                return Err(format!("equal contexts, different states: {words}"));
            }
        }
        let wanted = self.history.expected(&first.context);
        first.shown().difference(&wanted).map_or(Ok(()), Err)
    }
}
