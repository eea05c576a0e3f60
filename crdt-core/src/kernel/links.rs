//! The links of a store, by their last events.

use core::ops::Bound;

use super::link::Link;
use crate::cow_map::CowMap;
use crate::{Context, Dot, ReplicaId};

/// Links by the last of their events. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    by_end: CowMap<Dot, Link>,
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.by_end.iter().map(|(_, link)| link)
    }

    /// Adds one, unless there is one that ends with the same event.
    pub(super) fn insert(&mut self, link: Link) {
        if !self.by_end.contains_key(&link.end()) {
            self.by_end.insert(link.end(), link);
        }
    }

    pub(super) fn remove(&mut self, end: Dot) -> Option<Link> {
        self.by_end.remove(&end)
    }

    /// Those with an event that a context lacks. O(log n) for each, however many it has seen: the events
    /// of two links are apart, so those that end before the next missing event were seen.
    pub(super) fn lacked_by<'a>(&'a self, context: &'a Context) -> impl Iterator<Item = &'a Link> {
        let mut from = Dot::new(ReplicaId::from_bytes([0; 16]), 0);
        core::iter::from_fn(move || {
            loop {
                let (end, link) = self.by_end.iter_from(Bound::Included(&from)).next()?;
                let seqs = context.get(end.replica);
                let missing = seqs.map_or(link.first, |seqs| seqs.next_missing(link.first));
                let lacking = missing <= end.seq;
                from = Dot::new(end.replica, if lacking { end.seq + 1 } else { missing });
                if lacking {
                    return Some(link);
                }
            }
        })
    }
}
