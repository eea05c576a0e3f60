//! What readers are shown while a replica is at work for long.
//!
//! A replica is driven under its user's lock, and most steps take some tenths of a millisecond. Those of unbounded size
//! put what was there before where readers find it without that lock, and take it back at their end: a full comparison
//! that is committed, a large value that is deleted, a large message that is made or taken in.

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
    #[cfg(test)]
    shown: usize,
}

/// Everything as it was before a long step, and as it still is for whoever reads during that.
#[derive(Clone, Debug)]
pub struct View(Node);

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
            place.view = Some(View(store.root().clone()));
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
