//! The join of two whole stores, structurally: both trees are walked in step, and what they share is
//! passed over.
//!
//! A dot stays if it is live on both sides, or live on one and unknown to the other (Almeida, Shoker
//! and Baquero, *Delta State Replicated Data Types*, 2018). Runs join by replica. It comes to the same
//! as a full comparison, without saying what changed.

use alloc::vec::Vec;

use super::block::Block;
use super::children::{Alone, Children, Fate};
use super::leaf::{Entry, EntryRef, Leaf, Value, ValueRef};
use super::node::{Node, NodeRef};
use super::record::Record;
use super::store::DotStore;
use crate::context::Seqs;
use crate::name::Path;
use crate::{Context, Dot, ReplicaId};

impl DotStore {
    /// Takes in everything that another whole store has seen. O(what the two don't share).
    pub fn join(&mut self, other: &Self) {
        let mut joined = join(
            self.root.as_ref(),
            other.root.as_ref(),
            &mut Seen::by(&self.context),
            &mut Seen::by(&other.context),
        );
        core::mem::swap(&mut self.root, &mut joined);
        let news = |holder: &Self, by: &Context| -> Vec<(Path, Record)> {
            let all = holder.records();
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
            for (key, cut) in &record.cuts {
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

fn join(a: NodeRef<'_>, b: NodeRef<'_>, by_a: &mut Seen<'_>, by_b: &mut Seen<'_>) -> Node {
    Node {
        leaf: join_leaves(a, b, by_a, by_b),
        children: join_children(a.children(), b.children(), by_a, by_b),
    }
}

fn join_children(a: &Children, b: &Children, by_a: &mut Seen<'_>, by_b: &mut Seen<'_>) -> Children {
    if b.is_empty() && all_survive(a, by_b) {
        return a.clone();
    }
    let (contexts_a, contexts_b) = (by_a.context, by_b.context);
    a.join(
        b,
        |alone| survivor(alone, by_b),
        |alone| survivor(alone, by_a),
        |x, y| {
            if let (Some(one), Some(other)) = (x.single(), y.single())
                && one.dot == other.dot
                && one.value == other.value
            {
                return Fate::Stays;
            }
            let joined = join(x, y, &mut Seen::by(contexts_a), &mut Seen::by(contexts_b));
            if joined.as_ref() == x {
                Fate::Stays
            } else {
                Fate::Becomes(joined)
            }
        },
    )
}

/// What becomes of what the other side has not, which has seen so much.
fn survivor(alone: Alone<'_>, by_other: &mut Seen<'_>) -> Fate {
    match alone {
        Alone::Block(block) => survivors(block, by_other),
        Alone::Place(place) => {
            if let Some(entry) = place.single() {
                return if by_other.has(entry.dot) {
                    Fate::Goes
                } else {
                    Fate::Stays
                };
            }
            let nothing = Node::default();
            let left = join(
                place,
                nothing.as_ref(),
                &mut Seen::by(&Context::new()),
                by_other,
            );
            if left.as_ref() == place {
                Fate::Stays
            } else {
                Fate::Becomes(left)
            }
        }
    }
}

fn survivors(block: &Block, by_other: &mut Seen<'_>) -> Fate {
    let stays = |place: NodeRef<'_>| place.single().is_some_and(|entry| !by_other.has(entry.dot));
    if (0..block.len()).map(|at| block.get(at)).all(stays) {
        Fate::Stays
    } else {
        Fate::Goes
    }
}

fn all_survive(children: &Children, by_other: &mut Seen<'_>) -> bool {
    children.iter().all(|(_, place)| {
        place.entries().all(|entry| !by_other.has(entry.dot))
            && all_survive(place.children(), by_other)
    })
}

fn join_leaves(a: NodeRef<'_>, b: NodeRef<'_>, by_a: &mut Seen<'_>, by_b: &mut Seen<'_>) -> Leaf {
    let mut out: Vec<Entry> = Vec::new();
    let (mut ours, mut theirs) = (a.entries().peekable(), b.entries().peekable());
    loop {
        // Runs meet by replica, other dots by themselves.
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => break,
            (Some(_), None) => core::cmp::Ordering::Less,
            (None, Some(_)) => core::cmp::Ordering::Greater,
            (Some(x), Some(y)) if are_one_run(x, y) => core::cmp::Ordering::Equal,
            (Some(x), Some(y)) => x.dot.cmp(&y.dot),
        };
        let joined = match order {
            core::cmp::Ordering::Less => ours.next().filter(|x| !by_b.has(x.dot)),
            core::cmp::Ordering::Greater => theirs.next().filter(|y| !by_a.has(y.dot)),
            core::cmp::Ordering::Equal => {
                if let (Some(x), Some(y)) = (ours.next(), theirs.next()) {
                    out.extend(join_entries(x, y));
                }
                None
            }
        };
        out.extend(joined.map(EntryRef::to_entry));
    }
    out.sort_unstable_by_key(|entry| entry.dot);
    Leaf::from_sorted(out)
}

fn are_one_run(x: &EntryRef<'_>, y: &EntryRef<'_>) -> bool {
    x.dot.replica == y.dot.replica
        && matches!((x.value, y.value), (ValueRef::Run(_), ValueRef::Run(_)))
}

fn join_entries(x: EntryRef<'_>, y: EntryRef<'_>) -> Option<Entry> {
    let (ValueRef::Run(a), ValueRef::Run(b)) = (x.value, y.value) else {
        return Some(x.to_entry());
    };
    let (dot, run) = a.join(x.dot, b, y.dot);
    (run.cut_seq < dot.seq).then_some(Entry {
        dot,
        value: Value::Run(run),
    })
}
