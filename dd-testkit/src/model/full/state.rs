//! What a replica holds, and how removals act on it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::rule::{Rule, Rules};
use crate::model::path::{under, under_mut};
use crate::model::{Dots, EventDot, Expected, ModelPath, Share};

/// A run of increments: path, incarnation, number of its first event.
pub(super) type RunId = (ModelPath, u64, u64);

/// Up to which event a removal takes away a run, and the run's total there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cut {
    pub(super) seq: u64,
    pub(super) total: i128,
}

pub(super) type Cuts = BTreeMap<RunId, Cut>;

/// A run as a replica holds it: it counts for its total without what was cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) newest: u64,
    pub(super) total: i128,
    pub(super) cut: Cut,
}

/// What is left of a removal: its event, and what it voids at its path and below.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) event: EventDot,
    /// What the maker had seen, without the incarnations that have nothing there.
    pub(super) seen: Dots,
    pub(super) cuts: Cuts,
}

/// The events of a transaction and where they act.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) dots: Dots,
    pub(super) paths: Vec<ModelPath>,
}

pub(super) type Transactions = BTreeMap<usize, Rc<Transaction>>;

/// Everything that a replica holds, which is also what it restores from a snapshot.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) rules: Rules,
    pub(super) context: Dots,
    pub(super) live: BTreeMap<ModelPath, Dots>,
    /// By path and incarnation.
    pub(super) runs: BTreeMap<ModelPath, BTreeMap<u64, Run>>,
    pub(super) records: BTreeMap<ModelPath, Vec<Rc<Record>>>,
    /// By incarnation, the number of the newest of its events whose record was forgotten.
    pub(super) floor: BTreeMap<u64, u64>,
    pub(super) transactions: Transactions,
}

impl State {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            context: Dots::new(),
            live: BTreeMap::new(),
            runs: BTreeMap::new(),
            records: BTreeMap::new(),
            floor: BTreeMap::new(),
            transactions: Transactions::new(),
        }
    }

    /// What a reader sees.
    pub(super) fn shown(&self) -> Expected {
        let live = self.live.iter().filter(|(_, dots)| !dots.is_empty());
        let runs = self.runs.iter().filter(|(_, runs)| !runs.is_empty());
        Expected {
            live: live
                .map(|(path, dots)| (path.clone(), dots.clone()))
                .collect(),
            runs: runs
                .map(|(path, runs)| (path.clone(), shares(runs)))
                .collect(),
        }
    }

    /// Every path at which there is something to send.
    pub(super) fn paths(&self) -> BTreeSet<ModelPath> {
        let paths = self
            .live
            .keys()
            .chain(self.records.keys())
            .chain(self.runs.keys());
        paths.cloned().collect()
    }

    /// Whether anything is to be seen at the path or below.
    pub(super) fn has_under(&self, path: &ModelPath) -> bool {
        under(&self.live, path).any(|(_, dots)| !dots.is_empty())
            || under(&self.runs, path).any(|(_, runs)| !runs.is_empty())
    }

    pub(super) fn records_at(&self, path: &[Vec<u8>]) -> impl Iterator<Item = &Rc<Record>> {
        self.records.get(path).into_iter().flatten()
    }

    /// Those at the path and at those above it.
    fn records_above(&self, path: &ModelPath) -> impl Iterator<Item = &Rc<Record>> {
        path.upwards().flat_map(|path| self.records_at(path))
    }

    /// Those below the path, at it and above it.
    fn records_around<'a>(&'a self, path: &'a ModelPath) -> Vec<&'a Rc<Record>> {
        let above = path
            .upwards()
            .skip(1)
            .flat_map(|path| self.records_at(path));
        under(&self.records, path)
            .flat_map(|(_, records)| records)
            .chain(above)
            .collect()
    }

    /// The record of a removal that is made here and now.
    pub(super) fn make_record(&self, path: &ModelPath, event: EventDot) -> Record {
        let known = self.records_around(path);
        let mut origins = self.origins_under(path);
        origins.extend(
            known
                .iter()
                .flat_map(|record| &record.seen)
                .map(|dot| dot.0),
        );
        let seen = self
            .context
            .iter()
            .copied()
            .filter(|dot| origins.contains(&dot.0));
        let mut record = Record {
            event,
            seen: seen.collect(),
            cuts: Cuts::new(),
        };
        if self.rules.keep(Rule::Cuts) {
            record.cuts = self.cuts_under(path);
            if self.rules.keep(Rule::CutJoin) {
                let of_known = known.iter().flat_map(|record| &record.cuts);
                join_cuts(
                    &mut record.cuts,
                    of_known.filter(|(id, _)| path.covers(&id.0)),
                );
            }
        }
        if !self.rules.keep(Rule::Upward) {
            record
                .seen
                .extend(known.iter().flat_map(|record| &record.seen));
        }
        record
    }

    /// Keeps a record unless another makes it needless, and drops those that it makes needless.
    pub(super) fn keep_record(&mut self, path: &ModelPath, record: &Rc<Record>) {
        let joins_cuts = self.rules.keep(Rule::CutJoin);
        for (_, records) in under_mut(&mut self.records, path) {
            records.retain(|old| {
                let cuts_covered = !joins_cuts || are_cuts_covered(&old.cuts, &record.cuts);
                !(old.seen.is_subset(&record.seen) && cuts_covered)
            });
        }
        let covered = self.records_above(path).any(|other| {
            record.seen.is_subset(&other.seen) && are_cuts_covered(&record.cuts, &other.cuts)
        });
        if !covered {
            self.records
                .entry(path.clone())
                .or_default()
                .push(Rc::clone(record));
        }
    }

    /// Lets a removal take effect.
    pub(super) fn remove(&mut self, path: &ModelPath, record: &Record) {
        for (_, dots) in under_mut(&mut self.live, path) {
            dots.retain(|dot| !record.seen.contains(dot));
        }
        if !self.rules.keep(Rule::Cuts) {
            for (_, runs) in under_mut(&mut self.runs, path) {
                runs.retain(|origin, run| !record.seen.contains(&(*origin, run.newest)));
            }
        }
        for ((path, origin, start), cut) in &record.cuts {
            self.cut(path, *origin, *start, *cut);
        }
    }

    /// Takes away the beginning of a run, or all of it.
    pub(super) fn cut(&mut self, path: &ModelPath, origin: u64, start: u64, cut: Cut) {
        let Some(runs) = self.runs.get_mut(path) else {
            return;
        };
        let Some(run) = runs.get_mut(&origin).filter(|run| run.start == start) else {
            return;
        };
        if run.newest <= cut.seq {
            runs.remove(&origin);
        } else if run.cut.seq < cut.seq {
            run.cut = cut;
        }
    }

    /// Takes away of a run that is known here what was taken away of it elsewhere.
    pub(super) fn cut_known(&mut self, path: &ModelPath, origin: u64, elsewhere: &Run) {
        let mine = self.runs.get(path).and_then(|runs| runs.get(&origin));
        if mine.is_some_and(|mine| mine.cut.seq < elsewhere.cut.seq) {
            self.cut(path, origin, elsewhere.start, elsewhere.cut);
        }
    }

    /// Whether a removal that is known here voids an add or a write.
    pub(super) fn is_void(&self, path: &ModelPath, dot: EventDot) -> bool {
        self.rules.keep(Rule::Dead)
            && self
                .records_above(path)
                .any(|record| record.seen.contains(&dot))
    }

    /// Joins a run that arrived, whose newest event is new here.
    pub(super) fn take_run(&mut self, path: &ModelPath, origin: u64, arrived: Run) {
        let runs = self.runs.entry(path.clone()).or_default();
        let mut joined = arrived;
        if let Some(mine) = runs.get(&origin) {
            if mine.start > arrived.start {
                return;
            }
            if mine.start == arrived.start {
                joined = join_runs(*mine, arrived);
            }
        }
        if joined.newest <= joined.cut.seq {
            runs.remove(&origin);
            return;
        }
        runs.insert(origin, joined);
        if self.rules.keep(Rule::Dead) {
            let id = (path.clone(), origin, joined.start);
            let cuts: Vec<Cut> = self
                .records_above(path)
                .filter_map(|r| r.cuts.get(&id).copied())
                .collect();
            for cut in cuts {
                self.cut(path, origin, joined.start, cut);
            }
        }
    }

    /// Whether a peer with this context may lack a removal that was forgotten here.
    pub(super) fn has_forgotten_for(&self, context: &Dots) -> bool {
        let at_floor = |dot: &EventDot| self.floor.get(&dot.0).is_some_and(|floor| dot.1 <= *floor);
        self.rules.keep(Rule::Floor)
            && self
                .context
                .iter()
                .any(|dot| at_floor(dot) && !context.contains(dot))
    }

    pub(super) fn raise_floor<'a>(&mut self, floor: impl IntoIterator<Item = (&'a u64, &'a u64)>) {
        for (origin, seq) in floor {
            let known = self.floor.entry(*origin).or_default();
            *known = (*known).max(*seq);
        }
    }

    /// The transactions of which a peer with this context lacks anything.
    pub(super) fn transactions_lacking(&self, context: &Dots) -> Transactions {
        let lacking = self
            .transactions
            .iter()
            .filter(|(_, t)| !t.dots.is_subset(context));
        lacking
            .map(|(id, transaction)| (*id, Rc::clone(transaction)))
            .collect()
    }

    /// Takes over transactions that are not known yet, before the dots that come with them. One
    /// whose dots are all here is known, or was and may have been dropped.
    pub(super) fn keep_transactions<'a>(
        &mut self,
        transactions: impl IntoIterator<Item = (&'a usize, &'a Rc<Transaction>)>,
    ) {
        for (id, transaction) in transactions {
            if !transaction.dots.is_subset(&self.context) {
                self.transactions
                    .entry(*id)
                    .or_insert_with(|| Rc::clone(transaction));
            }
        }
    }

    fn origins_under(&self, path: &ModelPath) -> BTreeSet<u64> {
        let of_live = under(&self.live, path)
            .flat_map(|(_, dots)| dots)
            .map(|dot| dot.0);
        let of_runs = under(&self.runs, path).flat_map(|(_, runs)| runs.keys().copied());
        of_live.chain(of_runs).collect()
    }

    /// What a removal made here takes away of the runs that are here.
    fn cuts_under(&self, path: &ModelPath) -> Cuts {
        let runs = under(&self.runs, path)
            .flat_map(|(path, runs)| runs.iter().map(move |(origin, run)| (path, origin, run)));
        runs.map(|(path, origin, run)| {
            let id = (path.clone(), *origin, run.start);
            (
                id,
                Cut {
                    seq: run.newest,
                    total: run.total,
                },
            )
        })
        .collect()
    }
}

fn shares(runs: &BTreeMap<u64, Run>) -> BTreeMap<u64, Share> {
    let share = |run: &Run| Share {
        start: run.start,
        newest: run.newest,
        sum: run.total - run.cut.total,
    };
    runs.iter()
        .map(|(origin, run)| (*origin, share(run)))
        .collect()
}

/// The newest total and the greatest cut. By number and not by total: totals go down as well.
fn join_runs(mine: Run, other: Run) -> Run {
    let newer = if mine.newest > other.newest {
        mine
    } else {
        other
    };
    let cut = if mine.cut.seq > other.cut.seq {
        mine.cut
    } else {
        other.cut
    };
    Run { cut, ..newer }
}

fn join_cuts<'a>(into: &mut Cuts, cuts: impl Iterator<Item = (&'a RunId, &'a Cut)>) {
    for (id, cut) in cuts {
        let known = into.entry(id.clone()).or_insert(*cut);
        if known.seq < cut.seq {
            *known = *cut;
        }
    }
}

fn are_cuts_covered(cuts: &Cuts, by: &Cuts) -> bool {
    cuts.iter()
        .all(|(id, cut)| by.get(id).is_some_and(|other| cut.seq <= other.seq))
}
