//! The runs of a counter that several replicas counted in, in columns: most of a join is then a loop
//! over numbers.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::leaf::{Entry, EntryRef, Run, Value, ValueRef};
use crate::{Dot, ReplicaId};

/// One run per replica, in the order of the replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// Mostly the same in all versions of one counter, which share it.
    replicas: Arc<[ReplicaId]>,
    newest: Vec<u64>,
    starts: Vec<u64>,
    totals: Vec<i128>,
    /// `cut_seq` and `cut_total`; empty while none was cut.
    cuts: Vec<(u64, i128)>,
}

impl Runs {
    /// The runs of a leaf that holds nothing else.
    pub(super) fn of(entries: &[Entry]) -> Option<Self> {
        if !entries.iter().all(|e| matches!(e.value, Value::Run(_))) {
            return None;
        }
        let mut columns = Columns::with_capacity(entries.len());
        for entry in entries {
            if let Value::Run(run) = entry.value {
                columns.push(entry.dot, run);
            }
        }
        Some(columns.finish())
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    pub(super) fn get(&self, at: usize) -> EntryRef<'_> {
        EntryRef {
            dot: self.dot(at),
            value: ValueRef::Run(self.run(at)),
        }
    }

    fn dot(&self, at: usize) -> Dot {
        Dot::new(self.replicas[at], self.newest[at])
    }

    fn run(&self, at: usize) -> Run {
        let (cut_seq, cut_total) = self.cuts.get(at).copied().unwrap_or_default();
        Run {
            start: self.starts[at],
            total: self.totals[at],
            cut_seq,
            cut_total,
        }
    }

    /// The place of a replica's run, or where it would be.
    pub(super) fn find(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.replicas.binary_search(&replica)
    }

    pub(super) fn set(&mut self, at: usize, newest: u64, run: Run) {
        self.newest[at] = newest;
        self.starts[at] = run.start;
        self.totals[at] = run.total;
        let cut = (run.cut_seq, run.cut_total);
        if cut != Default::default() && self.cuts.is_empty() {
            self.cuts.resize(self.newest.len(), Default::default());
        }
        if let Some(own) = self.cuts.get_mut(at) {
            *own = cut;
            self.drop_empty_cuts();
        }
    }

    /// Puts in the run of another replica.
    pub(super) fn insert(&mut self, at: usize, dot: Dot, run: Run) {
        let (before, behind) = self.replicas.split_at(at);
        self.replicas = [before, &[dot.replica], behind].concat().into();
        self.newest.insert(at, 0);
        self.starts.insert(at, 0);
        self.totals.insert(at, 0);
        if !self.cuts.is_empty() {
            self.cuts.insert(at, Default::default());
        }
        self.set(at, dot.seq, run);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let (before, behind) = self.replicas.split_at(at);
        self.replicas = [before, &behind[1..]].concat().into();
        self.newest.remove(at);
        self.starts.remove(at);
        self.totals.remove(at);
        if !self.cuts.is_empty() {
            self.cuts.remove(at);
            self.drop_empty_cuts();
        }
    }

    fn drop_empty_cuts(&mut self) {
        if self.cuts.iter().all(|cut| *cut == Default::default()) {
            self.cuts = Vec::new();
        }
    }

    /// The join with the runs of another leaf. Of a run that one side has alone `ours` and `theirs` say
    /// whether it stays.
    pub(super) fn join(
        &self,
        other: &Self,
        mut ours: impl FnMut(Dot) -> bool,
        mut theirs: impl FnMut(Dot) -> bool,
    ) -> Self {
        if self.replicas == other.replicas && self.cuts.is_empty() && other.cuts.is_empty() {
            return self.join_in_step(other);
        }
        let mut out = Columns::with_capacity(self.len().max(other.len()));
        let (mut at, mut bt) = (0, 0);
        while at < self.len() || bt < other.len() {
            let order = match (self.replicas.get(at), other.replicas.get(bt)) {
                (Some(a), Some(b)) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let (dot, run) = match order {
                Ordering::Less => (self.dot(at), self.run(at)),
                Ordering::Greater => (other.dot(bt), other.run(bt)),
                Ordering::Equal => {
                    let (a, b) = (self.run(at), other.run(bt));
                    a.join(self.dot(at), &b, other.dot(bt))
                }
            };
            let stays = match order {
                Ordering::Less => ours(dot),
                Ordering::Greater => theirs(dot),
                Ordering::Equal => true,
            };
            at += usize::from(order.is_le());
            bt += usize::from(order.is_ge());
            if stays {
                out.push(dot, run);
            }
        }
        out.finish()
    }

    /// The join with runs of the same replicas, none of which was cut.
    fn join_in_step(&self, other: &Self) -> Self {
        let mut out = self.clone();
        let numbers = out.newest.iter_mut().zip(&mut out.starts);
        let ours = numbers.zip(&mut out.totals);
        let theirs = other.newest.iter().zip(&other.starts).zip(&other.totals);
        for (((newest, start), total), ((their_newest, their_start), their_total)) in
            ours.zip(theirs)
        {
            if (*their_start, *their_newest) > (*start, *newest) {
                (*start, *newest, *total) = (*their_start, *their_newest, *their_total);
            }
        }
        out
    }
}

/// Gathers runs in the order of their replicas.
struct Columns {
    replicas: Vec<ReplicaId>,
    runs: Runs,
}

impl Columns {
    fn with_capacity(runs: usize) -> Self {
        Self {
            replicas: Vec::with_capacity(runs),
            runs: Runs {
                replicas: Arc::default(),
                newest: Vec::with_capacity(runs),
                starts: Vec::with_capacity(runs),
                totals: Vec::with_capacity(runs),
                cuts: Vec::new(),
            },
        }
    }

    fn push(&mut self, dot: Dot, run: Run) {
        let Runs {
            newest,
            starts,
            totals,
            cuts,
            ..
        } = &mut self.runs;
        let cut = (run.cut_seq, run.cut_total);
        if !cuts.is_empty() || cut != Default::default() {
            cuts.resize(newest.len(), Default::default());
            cuts.push(cut);
        }
        self.replicas.push(dot.replica);
        newest.push(dot.seq);
        starts.push(run.start);
        totals.push(run.total);
    }

    fn finish(mut self) -> Runs {
        self.runs.replicas = self.replicas.into();
        self.runs
    }
}
