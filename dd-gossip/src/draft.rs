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

#[cfg(test)]
mod tests {
    use crdt_core::kernel::{EditError, Transaction, UnitBuilder};
    use crdt_core::{Limits, Name, ReplicaId, Timestamp};

    use super::*;
    use crate::fingerprint::Hashes;

    fn empty() -> KeySpace {
        KeySpace::restore(DotStore::new(), Hashes::new(&"shop".parse().unwrap()))
    }

    fn counter(key: &str) -> [Name; 2] {
        [key.into(), "pn_counter".into()]
    }

    fn write(keys: &mut KeySpace, node: u64, change: impl FnOnce(&mut Transaction<'_>)) {
        let replica = ReplicaId::new(node, 1);
        let change = |tx: &mut Transaction<'_>| {
            change(tx);
            Ok::<_, EditError>(())
        };
        keys.transact(replica, Timestamp::ZERO, Limits::default(), change)
            .unwrap();
    }

    fn count(keys: &mut KeySpace, key: &str) {
        write(keys, 1, |tx| tx.at(&counter(key)).count(1));
    }

    /// What one lacks at a path that the other has.
    fn piece(from: &KeySpace, lacks: &Context, path: &[Name]) -> (Unit, Vec<Dot>) {
        let mut unit = UnitBuilder::new(from.store(), lacks);
        assert!(unit.piece(&path.into()));
        let unit = unit.finish();
        let events = unit.events();
        (unit, events)
    }

    fn take(draft: &mut Draft, from: &KeySpace, key: &str) {
        let (unit, events) = piece(from, &Context::new(), &counter(key));
        draft.take(unit, &events);
    }

    fn counts(draft: &Draft) -> Vec<Dot> {
        let mut dots = Vec::new();
        let mut note = |_: &[Name], entry: crdt_core::kernel::EntryRef<'_>| dots.push(entry.dot);
        draft.store().root().visit(&mut Vec::new(), &mut note);
        dots
    }

    #[test]
    fn once_it_is_closed_nothing_more_is_taken() {
        let mut source = empty();
        count(&mut source, "a");
        let mut draft = Draft::of(&empty());
        take(&mut draft, &source, "a");
        let stated = draft.close().clone();
        assert_eq!(stated.iter().count(), 1);
        // A later count would take the place of what was stated, and another key was not.
        count(&mut source, "a");
        take(&mut draft, &source, "a");
        count(&mut source, "b");
        take(&mut draft, &source, "b");
        assert_eq!(counts(&draft), [Dot::new(ReplicaId::new(1, 1), 1)]);
        assert_eq!(*draft.close(), stated);
    }

    #[test]
    fn a_run_of_which_something_was_cut_is_not_in_it() {
        let mut source = empty();
        count(&mut source, "cut");
        count(&mut source, "whole");
        let mut other = source.clone();
        let key = &counter("cut")[..1];
        write(&mut other, 2, |tx| assert!(tx.at(key).remove()));
        // Its maker had not seen the removal.
        count(&mut source, "cut");
        let (removal, events) = piece(&other, source.context(), key);
        source.apply(&removal, &events);
        let mut draft = Draft::of(&empty());
        take(&mut draft, &source, "cut");
        take(&mut draft, &source, "whole");
        assert_eq!(counts(&draft).len(), 2);
        draft.close();
        assert_eq!(counts(&draft), [Dot::new(ReplicaId::new(1, 1), 2)]);
    }
}
