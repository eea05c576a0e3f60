//! The join of two whole stores, structurally: both trees are walked in step, and what they share is
//! passed over.
//!
//! A dot stays if it is live on both sides, or live on one and unknown to the other (Almeida, Shoker
//! and Baquero, *Delta State Replicated Data Types*, 2018). Runs join by replica. It comes to the same
//! as a full comparison, without saying what changed.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::block::Block;
use super::children::{Fate, Judge};
use super::leaf::{Entry, EntryRef, Leaf, Value, ValueRef};
use super::node::{Node, NodeRef};
use super::record::Record;
use super::store::DotStore;
use crate::name::Path;
use crate::seqs::Seqs;
use crate::{Context, Dot, ReplicaId};

impl DotStore {
    /// Takes in everything that another whole store has seen. O(what the two don't share).
    pub fn join(&mut self, other: &Self) {
        other.links().for_each(|link| self.keep_link(link));
        let seen = Causality::new(&self.context, &other.context);
        self.root = join(self.root.as_ref(), other.root.as_ref(), seen);
        let news = |holder: &Self, by: &Context| -> Vec<(Path, Record)> {
            let all = holder.records();
            // One that cut counters is asked again also where its event was seen: there its record may
            // have been forgotten before the counts came that it cuts.
            let new = all.filter(|(_, r)| !by.contains(r.dot) || !r.cuts.is_empty());
            new.map(|(path, r)| (path.clone(), r.clone())).collect()
        };
        let (mine, theirs) = (news(self, &other.context), news(other, &self.context));
        for (path, record) in &mine {
            self.act_again(path, record, &self.context.clone());
        }
        for (path, record) in theirs {
            self.act_again(&path, &record, &other.context);
            if !self.context.contains(record.dot) {
                self.keep_record(&path, record, &mut Vec::new());
            }
        }
        self.take_over(&other.context, &other.floor);
    }

    /// What a removal does beyond what the context of the store that holds it says: it may have seen
    /// dots that this one has not, and cuts what was counted on.
    fn act_again(&mut self, path: &Path, record: &Record, holder: &Context) {
        if record.seen.is_subset(holder) {
            for (key, cut) in record.cuts.iter() {
                self.cut(key, *cut, &mut Vec::new());
            }
        } else {
            self.kill(path, record, &mut Vec::new());
        }
    }
}

/// A context that remembers the origin asked for last: neighbours mostly have the same.
struct Seen<'a> {
    context: &'a Context,
    last: Option<(ReplicaId, Option<&'a Seqs>)>,
}

impl<'a> Seen<'a> {
    fn by(context: &'a Context) -> Self {
        Self {
            context,
            last: None,
        }
    }

    fn has(&mut self, dot: Dot) -> bool {
        let seqs = match self.last {
            Some((origin, seqs)) if origin == dot.replica => seqs,
            _ => {
                let seqs = self.context.get(dot.replica);
                self.last = Some((dot.replica, seqs));
                seqs
            }
        };
        seqs.is_some_and(|seqs| seqs.contains(dot.seq))
    }
}

/// What both sides have seen, to judge by what becomes of a place.
struct Causality<'a> {
    by_a: Seen<'a>,
    by_b: Seen<'a>,
}

impl<'a> Causality<'a> {
    fn new(a: &'a Context, b: &'a Context) -> Self {
        Self {
            by_a: Seen::by(a),
            by_b: Seen::by(b),
        }
    }

    /// The same for places below.
    fn below(&self) -> Self {
        Self::new(self.by_a.context, self.by_b.context)
    }
}

impl Judge for Causality<'_> {
    fn left_block(&mut self, block: &Block) -> bool {
        all_unknown(block, &mut self.by_b)
    }

    fn right_block(&mut self, block: &Block) -> bool {
        all_unknown(block, &mut self.by_a)
    }

    fn keeps_left(&mut self, dot: Dot) -> bool {
        !self.by_b.has(dot)
    }

    fn keeps_right(&mut self, dot: Dot) -> bool {
        !self.by_a.has(dot)
    }

    fn left(&mut self, place: NodeRef<'_>) -> Fate {
        match place.single() {
            Some(entry) if self.keeps_left(entry.dot) => Fate::Stays,
            Some(_) => Fate::Goes,
            None => becomes(place, join(place, NodeRef::nothing(), self.below())),
        }
    }

    fn right(&mut self, place: NodeRef<'_>) -> Fate {
        match place.single() {
            Some(entry) if self.keeps_right(entry.dot) => Fate::Stays,
            Some(_) => Fate::Goes,
            None => becomes(place, join(NodeRef::nothing(), place, self.below())),
        }
    }

    fn both(&mut self, a: NodeRef<'_>, b: NodeRef<'_>) -> Fate {
        let (Some(x), Some(y)) = (a.single(), b.single()) else {
            return becomes(a, join(a, b, self.below()));
        };
        if x == y {
            return Fate::Stays;
        }
        if x.value != ValueRef::Unit || y.value != ValueRef::Unit {
            return becomes(a, join(a, b, self.below()));
        }
        match (self.keeps_left(x.dot), self.keeps_right(y.dot)) {
            (true, true) => Fate::Both(x.dot.min(y.dot), x.dot.max(y.dot)),
            (true, false) => Fate::Stays,
            (false, true) => Fate::Yields,
            (false, false) => Fate::Goes,
        }
    }
}

fn all_unknown(block: &Block, by_other: &mut Seen<'_>) -> bool {
    let places = (0..block.len()).map(|at| block.get(at));
    let mut singles = places.map(NodeRef::single);
    singles.all(|single| single.is_some_and(|entry| !by_other.has(entry.dot)))
}

fn becomes(was: NodeRef<'_>, joined: Node) -> Fate {
    if joined.as_ref() == was {
        Fate::Stays
    } else {
        Fate::Becomes(joined)
    }
}

fn join(a: NodeRef<'_>, b: NodeRef<'_>, mut seen: Causality<'_>) -> Node {
    Node {
        leaf: join_leaves(a, b, &mut seen.by_a, &mut seen.by_b),
        children: a.children().join(b.children(), &mut seen),
    }
}

fn join_leaves(a: NodeRef<'_>, b: NodeRef<'_>, by_a: &mut Seen<'_>, by_b: &mut Seen<'_>) -> Leaf {
    let (a, b) = (a.leaf(), b.leaf());
    if let (Some(ours), Some(theirs)) = (a.runs(), b.runs()) {
        let joined = ours.join(theirs, |dot| !by_b.has(dot), |dot| !by_a.has(dot));
        return Leaf::from_runs(joined);
    }
    let (a, b) = (as_they_meet(&a), as_they_meet(&b));
    let (mut ours, mut theirs) = (a.iter().peekable(), b.iter().peekable());
    let mut out: Vec<Entry> = Vec::with_capacity(a.len().max(b.len()));
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => meets_by(x).cmp(&meets_by(y)),
        };
        let joined = match order {
            Ordering::Less => ours.next().filter(|x| !by_b.has(x.dot)).cloned(),
            Ordering::Greater => theirs.next().filter(|y| !by_a.has(y.dot)).cloned(),
            Ordering::Equal => {
                let both = ours.next().zip(theirs.next());
                both.map(|(x, y)| join_entries(x, y))
            }
        };
        out.extend(joined);
    }
    out.sort_unstable_by_key(|entry| entry.dot);
    Leaf::from_sorted(out)
}

/// What an entry meets its counterpart by: a run by its replica, another dot by itself.
fn meets_by(entry: &Entry) -> (ReplicaId, Option<u64>) {
    let is_run = matches!(entry.value, Value::Run(_));
    (entry.dot.replica, (!is_run).then_some(entry.dot.seq))
}

/// Entries in the order of what they meet by. That is the order of the dots, unless a replica has a run
/// and other dots beside it.
fn as_they_meet(leaf: &Leaf) -> Vec<Entry> {
    let mut entries: Vec<Entry> = leaf.iter().map(EntryRef::to_entry).collect();
    entries.sort_unstable_by_key(meets_by);
    entries
}

fn join_entries(x: &Entry, y: &Entry) -> Entry {
    let (Value::Run(a), Value::Run(b)) = (&x.value, &y.value) else {
        return x.clone();
    };
    let (dot, run) = a.join(x.dot, b, y.dot);
    let value = Value::Run(run);
    Entry { dot, value }
}
