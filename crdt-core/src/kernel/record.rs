//! Removal records: what a removal leaves behind until every replica has it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::name::Path;
use crate::{Context, Dot, ReplicaId, Seqs};

/// The record of an event that removed or replaced something at a path.
///
/// Every dot at the path or under it that is in `seen` is dead; every run named in `cuts` is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The event.
    pub dot: Dot,
    /// The remover's bare context, restricted to the origins that had anything there. It is never
    /// united with that of other records: it names dots of other paths of the same origins too.
    pub seen: Context,
    /// The runs of counters that the removal saw, joined with the cuts that it knew of.
    pub cuts: Cuts,
}

/// Which run of a counter: the counter's whole path, the replica, the run's first increment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutKey {
    /// Path of the counter.
    pub path: Path,
    /// Whose run.
    pub replica: ReplicaId,
    /// Sequence number of its first increment.
    pub start: u64,
}

/// Up to where a run is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The newest increment that is cut.
    pub newest: u64,
    /// The sum of the increments up to that one.
    pub total: i128,
}

/// Runs with what is cut of each, in order. Cloning is O(1).
///
/// Most removals cut none, for which nothing is allocated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts(Option<Arc<[(CutKey, Cut)]>>);

impl Cuts {
    fn all(&self) -> &[(CutKey, Cut)] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Number of runs.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Runs in order, each with what is cut of it.
    pub fn iter(&self) -> impl Iterator<Item = (&CutKey, &Cut)> {
        self.all().iter().map(|(key, cut)| (key, cut))
    }

    /// Runs in order.
    pub fn keys(&self) -> impl Iterator<Item = &CutKey> {
        self.iter().map(|(key, _)| key)
    }

    /// What is cut of a run.
    pub fn get(&self, key: &CutKey) -> Option<&Cut> {
        let all = self.all();
        let at = all.binary_search_by(|(own, _)| own.cmp(key)).ok()?;
        Some(&all[at].1)
    }
}

/// Of one run the greatest cut.
impl FromIterator<(CutKey, Cut)> for Cuts {
    fn from_iter<I: IntoIterator<Item = (CutKey, Cut)>>(cuts: I) -> Self {
        let mut cuts: Vec<_> = cuts.into_iter().collect();
        join_cuts(&mut cuts);
        Self((!cuts.is_empty()).then(|| cuts.into()))
    }
}

/// Puts cuts in order; of one run the greatest stays.
pub(super) fn join_cuts(cuts: &mut Vec<(CutKey, Cut)>) {
    cuts.sort_by(|(a, cut), (b, other)| a.cmp(b).then(other.newest.cmp(&cut.newest)));
    cuts.dedup_by(|(key, _), (before, _)| key == before);
}

impl Record {
    /// The record of an event that had seen all earlier ones of its origin, which there have to be, and nothing else.
    pub(super) fn of_all_before(dot: Dot) -> Self {
        let mut seen = Context::new();
        seen.set(dot.replica, Seqs::up_to(dot.seq - 1));
        let cuts = Cuts::default();
        Self { dot, seen, cuts }
    }

    /// Whether it is [such a one](Self::of_all_before).
    pub(super) fn saw_all_before(&self) -> bool {
        let seqs = self.seen.get(self.dot.replica);
        self.dot.seq > 1
            && self.cuts.is_empty()
            && self.seen.entries() == 1
            && seqs == Some(&Seqs::up_to(self.dot.seq - 1))
    }

    /// Whether `other` says all that this one says, so that this one can go.
    pub(super) fn is_covered_by(&self, seen: &Context, cuts: &Cuts) -> bool {
        let covered = |(key, cut): (&CutKey, &Cut)| {
            cuts.get(key)
                .is_some_and(|other| cut.newest <= other.newest)
        };
        self.seen.is_subset(seen) && self.cuts.iter().all(covered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_in_order_and_the_greatest_of_each_run_and_none_take_no_room() {
        let cut = |replica, start, newest| {
            let (path, total) = ([].as_slice().into(), i128::from(newest));
            let replica = ReplicaId::new(replica, 1);
            let key = CutKey {
                path,
                replica,
                start,
            };
            (key, Cut { newest, total })
        };
        let all = [cut(2, 1, 5), cut(1, 1, 3), cut(2, 1, 9), cut(2, 1, 7)];
        let cuts: Cuts = all.into_iter().collect();
        let left = [cut(1, 1, 3), cut(2, 1, 9)];
        let listed: Vec<_> = cuts.iter().map(|(key, cut)| (key.clone(), *cut)).collect();
        assert_eq!((listed.as_slice(), cuts.len()), (left.as_slice(), 2));
        assert_eq!(cuts.get(&cut(2, 1, 0).0), Some(&left[1].1));
        assert_eq!(cuts.get(&cut(2, 2, 0).0), None);
        let none: Cuts = [].into_iter().collect();
        assert!(none.0.is_none() && none.is_empty());
        assert_eq!(none, Cuts::default());
    }
}
