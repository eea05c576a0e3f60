//! Where each event that still matters stands: from (origin, sequence number) to the path.

use crdt_core::{CowMap, Dot, Path, ReplicaId};
use std::ops::Bound;

/// Places of all live dots and of all records that are kept. Void events are not in it, so walking
/// what a peer lacks costs what the peer lacks. Cloning is O(1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    origins: CowMap<ReplicaId, CowMap<u64, Path>>,
}

impl Index {
    pub(crate) fn insert(&mut self, dot: Dot, path: Path) {
        if let Some(places) = self.origins.get_mut(&dot.replica) {
            places.insert(dot.seq, path);
        } else {
            self.origins
                .insert(dot.replica, [(dot.seq, path)].into_iter().collect());
        }
    }

    pub(crate) fn remove(&mut self, dot: Dot) {
        let Some(places) = self.origins.get_mut(&dot.replica) else {
            return;
        };
        places.remove(&dot.seq);
        if places.is_empty() {
            self.origins.remove(&dot.replica);
        }
    }

    pub(crate) fn get(&self, dot: Dot) -> Option<&Path> {
        self.origins.get(&dot.replica)?.get(&dot.seq)
    }

    pub(crate) fn len(&self) -> usize {
        self.origins.iter().map(|(_, places)| places.len()).sum()
    }

    /// The first event at or behind `from`, in the order of origins and numbers.
    pub(crate) fn next(&self, from: Dot) -> Option<(Dot, &Path)> {
        for (origin, places) in self.origins.iter_from(Bound::Included(&from.replica)) {
            let first = if *origin == from.replica { from.seq } else { 0 };
            if let Some((seq, path)) = places.iter_from(Bound::Included(&first)).next() {
                return Some((Dot::new(*origin, *seq), path));
            }
        }
        None
    }
}
