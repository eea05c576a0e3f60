//! What is live at a path: dots, and what each carries.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::runs::Runs;
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

impl From<(Dot, Run)> for Entry {
    fn from((dot, run): (Dot, Run)) -> Self {
        let value = Value::Run(run);
        Self { dot, value }
    }
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
    Run(Run),
}

impl<'a> From<&'a Entry> for EntryRef<'a> {
    fn from(entry: &'a Entry) -> Self {
        let value = match &entry.value {
            Value::Unit => ValueRef::Unit,
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Run(run) => ValueRef::Run(*run),
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
            ValueRef::Run(run) => Value::Run(run),
        };
        Entry {
            dot: self.dot,
            value,
        }
    }

    /// Its run, if it is one of this replica.
    pub fn run_of(self, replica: ReplicaId) -> Option<(Dot, Run)> {
        match self.value {
            ValueRef::Run(run) if self.dot.replica == replica => Some((self.dot, run)),
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
    /// Two or more, and nothing but runs.
    Runs(Arc<Runs>),
    /// Two or more, and not only runs.
    Many(Arc<Vec<Entry>>),
}

impl Leaf {
    pub(super) const EMPTY: Self = Self(Repr::Empty);

    /// The entries.
    pub fn iter(&self) -> LeafIter<'_> {
        LeafIter(match &self.0 {
            Repr::Empty => Rest::Entries([].iter()),
            Repr::One(entry) => Rest::Entries(core::slice::from_ref(entry).iter()),
            Repr::Many(entries) => Rest::Entries(entries.iter()),
            Repr::Runs(runs) => Rest::Runs(runs, 0),
        })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Empty => 0,
            Repr::One(_) => 1,
            Repr::Many(entries) => entries.len(),
            Repr::Runs(runs) => runs.len(),
        }
    }

    /// Whether nothing is live here.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The entry of a dot.
    pub fn get(&self, dot: Dot) -> Option<EntryRef<'_>> {
        let entry = match &self.0 {
            Repr::Empty => return None,
            Repr::One(entry) => entry.into(),
            Repr::Runs(runs) => runs.get(runs.find(dot.replica).ok()?),
            Repr::Many(entries) => {
                let at = entries.binary_search_by_key(&dot, |e| e.dot).ok()?;
                (&entries[at]).into()
            }
        };
        (entry.dot == dot).then_some(entry)
    }

    /// The run of a replica.
    pub fn run(&self, replica: ReplicaId) -> Option<(Dot, Run)> {
        match &self.0 {
            Repr::Empty => None,
            Repr::One(entry) => EntryRef::from(entry).run_of(replica),
            Repr::Runs(runs) => runs.get(runs.find(replica).ok()?).run_of(replica),
            Repr::Many(entries) => {
                let first = entries.partition_point(|entry| entry.dot.replica < replica);
                let own = entries[first..].iter().map(EntryRef::from);
                own.take_while(|entry| entry.dot.replica == replica)
                    .find_map(|entry| entry.run_of(replica))
            }
        }
    }

    /// Its runs, if it has two or more and nothing else.
    pub(super) fn runs(&self) -> Option<&Runs> {
        match &self.0 {
            Repr::Runs(runs) => Some(runs),
            _ => None,
        }
    }

    /// A leaf of entries in the order of their dots.
    pub(super) fn from_sorted(mut entries: Vec<Entry>) -> Self {
        Self(match entries.len() {
            0 => Repr::Empty,
            1 => entries.pop().map_or(Repr::Empty, Repr::One),
            _ => match Runs::of(&entries) {
                Some(runs) => Repr::Runs(Arc::new(runs)),
                None => Repr::Many(Arc::new(entries)),
            },
        })
    }

    pub(super) fn from_runs(runs: Runs) -> Self {
        match runs.len() {
            0 => Self::EMPTY,
            1 => Self(Repr::One(runs.get(0).to_entry())),
            _ => Self(Repr::Runs(Arc::new(runs))),
        }
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
            Repr::Runs(runs) if let Value::Run(run) = entry.value => {
                let runs = Arc::make_mut(runs);
                match runs.find(entry.dot.replica) {
                    Ok(at) => runs.set(at, entry.dot.seq, run),
                    Err(at) => runs.insert(at, entry.dot, run),
                }
            }
            _ => self.change(
                |entries| match entries.binary_search_by_key(&entry.dot, |e| e.dot) {
                    Ok(at) => entries[at] = entry,
                    Err(at) => entries.insert(at, entry),
                },
            ),
        }
    }

    /// Moves a run on to a newer dot of the same replica.
    pub(super) fn advance(&mut self, former: Dot, newest: Dot, run: Run) {
        let value = Value::Run(run);
        match &mut self.0 {
            Repr::Runs(runs) => {
                if let Ok(at) = runs.find(newest.replica) {
                    Arc::make_mut(runs).set(at, newest.seq, run);
                }
            }
            Repr::One(one) if one.dot == former => *one = Entry { dot: newest, value },
            _ => self.change(|entries| {
                if let Some(entry) = entries.iter_mut().find(|e| e.dot == former) {
                    *entry = Entry { dot: newest, value };
                }
                // Others of the replica may stand between.
                entries.sort_unstable_by_key(|entry| entry.dot);
            }),
        }
    }

    /// Counts `n` on in the run of the dot's replica, or begins one. Returns its entry before and after.
    pub(super) fn count(&mut self, dot: Dot, n: i128) -> (Option<Entry>, Entry) {
        let former = self.run(dot.replica);
        let fresh = Run {
            start: dot.seq,
            total: 0,
            cut_seq: 0,
            cut_total: 0,
        };
        let run = former.map_or(fresh, |(_, run)| run).plus(n);
        let value = Value::Run(run);
        match former {
            Some((former, _)) => self.advance(former, dot, run),
            None => self.insert(Entry {
                dot,
                value: value.clone(),
            }),
        }
        let before = former.map(|(dot, run)| Entry {
            dot,
            value: Value::Run(run),
        });
        (before, Entry { dot, value })
    }

    pub(super) fn remove(&mut self, dot: Dot) -> Option<Entry> {
        let removed = self.get(dot)?.to_entry();
        match &mut self.0 {
            Repr::One(_) => self.0 = Repr::Empty,
            Repr::Runs(runs) if runs.len() > 2 => {
                if let Ok(at) = runs.find(dot.replica) {
                    Arc::make_mut(runs).remove(at);
                }
            }
            _ => self.change(|entries| entries.retain(|entry| entry.dot != dot)),
        }
        Some(removed)
    }

    /// Changes the entries as a list in the order of the dots. O(n).
    fn change(&mut self, change: impl FnOnce(&mut Vec<Entry>)) {
        let mut entries = match core::mem::take(&mut self.0) {
            Repr::Many(entries) => Arc::unwrap_or_clone(entries),
            other => Self(other).iter().map(EntryRef::to_entry).collect(),
        };
        change(&mut entries);
        *self = Self::from_sorted(entries);
    }
}

/// The entries of a [`Leaf`], in the order of their dots.
#[derive(Clone, Debug)]
pub struct LeafIter<'a>(Rest<'a>);

#[derive(Clone, Debug)]
enum Rest<'a> {
    Entries(core::slice::Iter<'a, Entry>),
    Runs(&'a Runs, usize),
}

impl<'a> Iterator for LeafIter<'a> {
    type Item = EntryRef<'a>;

    fn next(&mut self) -> Option<EntryRef<'a>> {
        match &mut self.0 {
            Rest::Entries(entries) => entries.next().map(EntryRef::from),
            Rest::Runs(runs, at) => {
                *at += 1;
                (*at <= runs.len()).then(|| runs.get(*at - 1))
            }
        }
    }
}

impl<'a> IntoIterator for &'a Leaf {
    type Item = EntryRef<'a>;
    type IntoIter = LeafIter<'a>;

    fn into_iter(self) -> LeafIter<'a> {
        self.iter()
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
            assert!(leaf.iter().eq(expected.iter().map(EntryRef::from)));
            assert_eq!(leaf.remove(dot(3)), None);
            assert!(leaf.iter().eq(expected.iter().map(EntryRef::from)));
        }
        for seq in [2, 6, 4] {
            assert_eq!(leaf.remove(dot(seq)), Some(bytes(seq, 1)));
            assert_eq!(leaf.get(dot(seq)), None);
        }
        assert!(leaf.is_empty());
    }
}
