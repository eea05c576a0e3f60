//! What readers are shown while a replica is at work for long.
//!
//! A replica is driven under its user's lock, and most steps take some tenths of a millisecond. Those of unbounded size
//! put what was there before where readers find it without that lock, and take it back at their end: a full comparison
//! that is committed, a large value that is deleted, a large message that is made or taken in, a look for what ranges
//! differ in.

use std::sync::{Arc, Mutex, PoisonError};

use crdt_core::kernel::{DotStore, Node, NodeRef};
use crdt_core::{Crdt, LwwRegister, Name, Shape};

use crate::replica::DEADLINE;

/// A step that does something to more events than this is a long one.
pub(crate) const LONG: usize = 1024;

/// Where the replica that it was asked of, and whoever is made anew in the place of that, puts a view before a long
/// step. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Standby(Arc<Mutex<Place>>);

#[derive(Debug, Default)]
struct Place {
    view: Option<View>,
    /// How many long steps are under way, one within the other: what is shown is from before the first.
    steps: usize,
    /// Views that somebody still read when their steps were over.
    over: Vec<View>,
    #[cfg(test)]
    shown: usize,
}

/// Everything as it was before a long step, and as it still is for whoever reads during that.
#[derive(Clone, Debug)]
pub struct View(Arc<Node>);

/// Views that are kept for those who read them, at most. Of more, whoever reads one last frees what nobody else holds.
const MAX_OVER: usize = 16;

impl Standby {
    /// What is shown meanwhile; `None` while there is no long step.
    pub fn view(&self) -> Option<View> {
        self.place().view.clone()
    }

    /// A long step begins. It lasts as long as what this returns.
    pub(crate) fn show(&self, store: &DotStore) -> Shown {
        let mut place = self.place();
        place.steps += 1;
        if place.steps == 1 {
            place.view = Some(View(Arc::new(store.root().clone())));
        }
        #[cfg(test)]
        {
            place.shown += 1;
        }
        Shown(self.clone())
    }

    #[cfg(test)]
    pub(crate) fn shown(&self) -> usize {
        self.place().shown
    }

    /// Frees the views whose readers are done. For whoever drives the replica, without its lock: to give the memory of
    /// what was deleted back takes as long as that was large, and no reader is to do it.
    pub fn sweep(&self) {
        let mut place = self.place();
        if place.over.is_empty() {
            return;
        }
        let over = std::mem::take(&mut place.over).into_iter();
        let (done, read) = over.partition(|View(root)| Arc::strong_count(root) == 1);
        place.over = read;
        drop(place);
        drop::<Vec<View>>(done);
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the view back at its end.
#[derive(Debug)]
pub(crate) struct Shown(Standby);

impl Drop for Shown {
    fn drop(&mut self) {
        let mut place = self.0.place();
        place.steps -= 1;
        let view = if place.steps == 0 {
            place.view.take()
        } else {
            None
        };
        // Nobody gets another one of it while the place is locked.
        let is_read = |View(root): &View| Arc::strong_count(root) > 1;
        let view = match view {
            Some(view) if is_read(&view) && place.over.len() < MAX_OVER => {
                place.over.push(view);
                None
            }
            view => view,
        };
        // What nobody else holds is freed, for which nobody should wait.
        drop(place);
        drop(view);
    }
}

impl View {
    /// As [`Replica::value`](crate::Replica::value), without what is [over](crate::Replica::is_over) by a wall clock.
    pub fn value(&self, key: &[u8], shape: &Shape, wall: u64) -> Option<NodeRef<'_>> {
        let shapes = self.0.children().get(key)?.children();
        let deadline = shapes
            .get(DEADLINE)
            .and_then(|place| LwwRegister::<u64>::view(Some(place)).get().ok()?);
        let over = deadline.is_some_and(|at| at <= wall);
        shapes.get(shape.name()).filter(|_| !over)
    }

    /// As [`Replica::keys`](crate::Replica::keys).
    pub fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
        crate::replica::user_keys(&self.0, prefix, after, limit)
    }
}

/// Whether there are many events at and under a place, so that something done to all of them takes long.
pub(crate) fn is_large(place: Option<NodeRef<'_>>) -> bool {
    place.is_some_and(|place| place.count_up_to(LONG) == LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_view_last_does_not_free_it() {
        let (standby, store) = (Standby::default(), DotStore::new());
        let shown = standby.show(&store);
        let read = [standby.view().unwrap(), standby.view().unwrap()];
        drop(shown);
        assert!(standby.view().is_none());
        for view in read {
            standby.sweep();
            assert_eq!(standby.place().over.len(), 1, "somebody reads it");
            assert!(Arc::strong_count(&view.0) > 1);
        }
        standby.sweep();
        assert_eq!(standby.place().over.len(), 0);
        // One that nobody read is not kept.
        drop(standby.show(&store));
        assert_eq!(standby.place().over.len(), 0);
    }

    #[test]
    fn at_most_16_views_are_kept_for_their_readers() {
        let (standby, store) = (Standby::default(), DotStore::new());
        let mut read = Vec::new();
        for n in 1..=MAX_OVER + 1 {
            let shown = standby.show(&store);
            read.extend(standby.view());
            drop(shown);
            assert_eq!(standby.place().over.len(), n.min(MAX_OVER));
        }
    }
}
