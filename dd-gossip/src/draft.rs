//! What is put together of shares where it can't be shown yet.
//!
//! Whoever lacks something that was forgotten would see, piece by piece, what was dead before. So what several bring
//! it at once is taken as values alone, which nobody sees. The one that is asked for the rest is told which values those
//! are, and sends, by a full comparison with them, everything else that it holds: then this is what the sender had. It
//! takes the place of what is here, and of that is brought what it lacks. The model is
//! `dd-testkit/src/model/full/draft.rs`.

use crdt_core::kernel::{Comparison, DotStore, Unit};
use crdt_core::{Context, Dot, VersionVector};

use crate::key_space::{Frozen, KeySpace};

/// Values that shares brought. A replica has at most one.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    keys: KeySpace,
    /// Which values there are was stated.
    closed: bool,
}

impl Draft {
    /// Begins with the values that are here, since shares bring what is lacking here. O(1).
    pub(crate) fn of(keys: &KeySpace) -> Self {
        Self {
            keys: keys.values(),
            closed: false,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the values of a unit in, unless it is closed: what comes may replace what was stated.
    pub(crate) fn take(&mut self, unit: Unit, events: &[Dot]) {
        if !self.closed {
            let unit = unit.into_values();
            self.keys.apply(&unit, events);
        }
    }

    /// Says which values are here. From now on they stay. O(n) at the first time.
    pub(crate) fn close(&mut self) -> &Context {
        if !self.closed {
            self.keys.reduce_to_values();
            self.closed = true;
        }
        self.keys.context()
    }

    pub(crate) fn freeze(&self) -> Frozen {
        self.keys.freeze()
    }

    /// Of a draft that was closed: what the sender of a comparison with its values had takes the place of what is here.
    /// Returns whether it did: not if something that is lacking there was forgotten here.
    pub(crate) fn complete(
        mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
        here: &mut KeySpace,
    ) -> bool {
        self.keys.complete(comparison, context, floor);
        self.keys.take_place_of(here)
    }

    pub(crate) fn store(&self) -> &DotStore {
        self.keys.store()
    }
}
