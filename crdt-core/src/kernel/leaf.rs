//! What is live at a path: dots, and what each carries.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::{Dot, ReplicaId};

/// Totals of counters stay within plus and minus this, so that no sum of them can overflow.
pub const MAX_TOTAL: i128 = 1 << 96;

/// What a live dot carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: the dot itself is the fact (an element of a set, a flag).
    Unit,
    /// Opaque bytes (a register's write).
    Bytes(Arc<[u8]>),
    /// The share of one replica in a counter. The entry's dot is the newest of the run.
    Run(Run),
}

/// A run: consecutive increments of one counter by one replica, kept as their total.
///
/// Increments are not superseded by records; a removal *cuts* the run instead, up to the newest
/// increment that it saw. What counts is `total - cut_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Sequence number of the first increment of the run: its identity.
    pub start: u64,
    /// Sum of all increments of the run.
    pub total: i128,
    /// The newest increment that was cut, 0 if none was.
    pub cut_seq: u64,
    /// The sum of the increments up to that one.
    pub cut_total: i128,
}

impl Run {
    /// The run with `n` more. Totals stay within [`MAX_TOTAL`].
    pub(super) fn plus(self, n: i128) -> Self {
        let total = self.total.saturating_add(n).clamp(-MAX_TOTAL, MAX_TOTAL);
        Self { total, ..self }
    }

    /// Joins two runs of one replica at one place, each with its newest dot. A later start wins
    /// whole: its owner made it after the other was dead. Of one run the newest total counts, and the
    /// greatest cut.
    pub(super) fn join(&self, dot: Dot, other: &Self, other_dot: Dot) -> (Dot, Self) {
        let (newest, older) = if (self.start, dot.seq) >= (other.start, other_dot.seq) {
            ((dot, *self), other)
        } else {
            ((other_dot, *other), self)
        };
        let (dot, mut run) = newest;
        if older.start == run.start && older.cut_seq > run.cut_seq {
            (run.cut_seq, run.cut_total) = (older.cut_seq, older.cut_total);
        }
        (dot, run)
    }

    /// What the run counts for.
    pub fn amount(&self) -> i128 {
        self.total.saturating_sub(self.cut_total)
    }
}

/// A live dot and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event; for a run its newest increment.
    pub dot: Dot,
    /// What it carries.
    pub value: Value,
}

/// A live dot and what it carries, to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The event; for a run its newest increment.
    pub dot: Dot,
    /// What it carries.
    pub value: ValueRef<'a>,
}

/// What a live dot carries, to read; see [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// Nothing.
    Unit,
    /// Opaque bytes.
    Bytes(&'a Arc<[u8]>),
    /// The share of one replica in a counter.
    Run(&'a Run),
}

impl<'a> From<&'a Entry> for EntryRef<'a> {
    fn from(entry: &'a Entry) -> Self {
        let value = match &entry.value {
            Value::Unit => ValueRef::Unit,
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Run(run) => ValueRef::Run(run),
        };
        Self {
            dot: entry.dot,
            value,
        }
    }
}

impl EntryRef<'_> {
    /// A dot with nothing.
    pub(super) fn unit(dot: Dot) -> Self {
        Self {
            dot,
            value: ValueRef::Unit,
        }
    }

    /// A copy to keep. O(1).
    pub fn to_entry(self) -> Entry {
        let value = match self.value {
            ValueRef::Unit => Value::Unit,
            ValueRef::Bytes(bytes) => Value::Bytes(Arc::clone(bytes)),
            ValueRef::Run(run) => Value::Run(*run),
        };
        Entry {
            dot: self.dot,
            value,
        }
    }

    /// Its run, if it is one of this replica.
    pub fn run_of(self, replica: ReplicaId) -> Option<(Dot, Run)> {
        match self.value {
            ValueRef::Run(run) if self.dot.replica == replica => Some((self.dot, *run)),
            _ => None,
        }
    }
}

/// The live dots at one path, in the order of the dots. At most one [`Value::Run`] per replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf(Repr);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Repr {
    #[default]
    Empty,
    One(Entry),
    Many(Arc<Vec<Entry>>),
}

impl Leaf {
    pub(super) const EMPTY: Self = Self(Repr::Empty);

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(entry) => core::slice::from_ref(entry),
            Repr::Many(entries) => entries,
        }
    }

    /// Whether nothing is live here.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The entry of a dot.
    pub fn get(&self, dot: Dot) -> Option<&Entry> {
        let entries = self.entries();
        entries
            .binary_search_by_key(&dot, |e| e.dot)
            .ok()
            .map(|at| &entries[at])
    }

    /// The run of a replica.
    pub fn run(&self, replica: ReplicaId) -> Option<(Dot, Run)> {
        let entries = self.entries();
        let first = entries.partition_point(|entry| entry.dot.replica < replica);
        let own = entries[first..].iter().map(EntryRef::from);
        own.take_while(|entry| entry.dot.replica == replica)
            .find_map(|entry| entry.run_of(replica))
    }

    /// A leaf of entries in the order of their dots.
    pub(super) fn from_sorted(mut entries: Vec<Entry>) -> Self {
        Self(match entries.len() {
            0 => Repr::Empty,
            1 => entries.pop().map_or(Repr::Empty, Repr::One),
            _ => Repr::Many(Arc::new(entries)),
        })
    }

    /// The only entry. `None` if there are none, or more than one.
    pub(super) fn into_single(self) -> Option<Entry> {
        match self.0 {
            Repr::One(entry) => Some(entry),
            _ => None,
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        match &mut self.0 {
            Repr::Empty => self.0 = Repr::One(entry),
            Repr::One(one) if one.dot == entry.dot => *one = entry,
            Repr::One(one) => {
                let mut both = alloc::vec![one.clone(), entry];
                both.sort_unstable_by_key(|e| e.dot);
                self.0 = Repr::Many(Arc::new(both));
            }
            Repr::Many(entries) => {
                let entries = Arc::make_mut(entries);
                match entries.binary_search_by_key(&entry.dot, |e| e.dot) {
                    Ok(at) => entries[at] = entry,
                    Err(at) => entries.insert(at, entry),
                }
            }
        }
    }

    /// Moves a run on to a newer dot of the same replica.
    pub(super) fn advance(&mut self, former: Dot, newest: Dot, run: Run) {
        let entry = match &mut self.0 {
            Repr::One(one) => Some(one),
            Repr::Many(entries) => Arc::make_mut(entries).iter_mut().find(|e| e.dot == former),
            Repr::Empty => None,
        };
        if let Some(entry) = entry.filter(|entry| entry.dot == former) {
            entry.dot = newest;
            entry.value = Value::Run(run);
        }
    }

    pub(super) fn remove(&mut self, dot: Dot) -> Option<Entry> {
        match &mut self.0 {
            Repr::One(one) if one.dot == dot => match core::mem::take(&mut self.0) {
                Repr::One(entry) => Some(entry),
                _ => None,
            },
            Repr::Many(entries) => {
                let at = entries.binary_search_by_key(&dot, |e| e.dot).ok()?;
                let entries = Arc::make_mut(entries);
                let removed = entries.remove(at);
                if entries.len() == 1 {
                    self.0 = entries.pop().map_or(Repr::Empty, Repr::One);
                }
                Some(removed)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: ReplicaId = ReplicaId::new(1, 1);

    fn dot(seq: u64) -> Dot {
        Dot::new(REPLICA, seq)
    }

    fn bytes(seq: u64, byte: u8) -> Entry {
        let value = Value::Bytes([byte].as_slice().into());
        Entry {
            dot: dot(seq),
            value,
        }
    }

    #[test]
    fn the_greatest_cut_of_a_run_counts_whichever_side_is_newer() {
        let run = |total, cut_seq, cut_total| Run {
            start: 2,
            total,
            cut_seq,
            cut_total,
        };
        for (older, newer, joined) in [
            (run(3, 0, 0), run(9, 0, 0), run(9, 0, 0)),
            (run(3, 2, 1), run(9, 0, 0), run(9, 2, 1)),
            (run(3, 0, 0), run(9, 4, 2), run(9, 4, 2)),
            (run(3, 2, 1), run(9, 4, 2), run(9, 4, 2)),
            (run(3, 4, 2), run(9, 2, 1), run(9, 4, 2)),
        ] {
            assert_eq!(older.join(dot(5), &newer, dot(6)), (dot(6), joined));
            assert_eq!(newer.join(dot(6), &older, dot(5)), (dot(6), joined));
        }
    }

    #[test]
    fn a_run_that_began_later_replaces_one_before_with_its_cut() {
        let run = |start, cut_seq| Run {
            start,
            total: 1,
            cut_seq,
            cut_total: 1,
        };
        let (former, later) = (run(2, 4), run(7, 0));
        assert_eq!(former.join(dot(5), &later, dot(8)), (dot(8), later));
        assert_eq!(later.join(dot(8), &former, dot(5)), (dot(8), later));
    }

    #[test]
    fn a_dot_stands_in_a_leaf_once_and_only_it_is_removed() {
        let mut leaf = Leaf::default();
        let mut expected = Vec::new();
        for seq in [4, 2, 6] {
            leaf.insert(bytes(seq, 0));
            leaf.insert(bytes(seq, 1));
            expected.push(bytes(seq, 1));
            expected.sort_by_key(|entry| entry.dot);
            assert_eq!(leaf.entries(), expected);
            assert_eq!(leaf.remove(dot(3)), None);
            assert_eq!(leaf.entries(), expected);
        }
        for seq in [2, 6, 4] {
            assert_eq!(leaf.remove(dot(seq)), Some(bytes(seq, 1)));
            assert_eq!(leaf.get(dot(seq)), None);
        }
        assert!(leaf.is_empty());
    }
}
