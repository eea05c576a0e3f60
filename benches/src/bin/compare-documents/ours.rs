//! The types of this project: the map with registers of the kind that the other library has.

use crdt_core::{
    Causal, Crdt, Delta, LwwMap, MvRegister, OrMap, PnCounter, ReplicaId, Timestamp, Updated,
};

use crate::document::{Counter, Document};

/// When replicas start, in milliseconds: ids and timestamps that are as long as real ones.
const STARTED: u64 = 1_750_000_000_000;

pub(crate) struct Ours<T: Crdt>(Causal<T>);

fn id(replica: u64) -> ReplicaId {
    ReplicaId::new(benches::spread(replica), STARTED)
}

impl<T: Crdt> Ours<T> {
    fn update<R>(&mut self, change: impl FnOnce(&mut T::Edit<'_>) -> R) -> Updated<R, T> {
        let at = Timestamp::from_millis(STARTED);
        let done = self.0.update_at(at, change);
        done.expect("keys and numbers are short")
    }

    fn take_in(&mut self, update: &[u8]) {
        let delta = Delta::load(update).expect("bytes that were just made");
        self.0.apply(&delta).expect("it has the rest");
    }
}

/// A map of strings to numbers.
pub(crate) trait Entries: Crdt {
    fn set(edit: &mut Self::Edit<'_>, key: &str, value: u64);
    fn get(view: Self::View<'_>, key: &str) -> Option<u64>;
}

/// As `loro` has it: the last writer wins.
pub(crate) type LastWriter = LwwMap<String, u64>;

impl Entries for LastWriter {
    fn set(edit: &mut Self::Edit<'_>, key: &str, value: u64) {
        edit.insert(key, &value);
    }

    fn get(view: Self::View<'_>, key: &str) -> Option<u64> {
        view.get(key).expect("it holds numbers")
    }
}

/// As `automerge` and `dson` have it: concurrent writes stay until one is written over them.
pub(crate) type MultiValue = OrMap<String, MvRegister<u64>>;

impl Entries for MultiValue {
    fn set(edit: &mut Self::Edit<'_>, key: &str, value: u64) {
        edit.entry(key).set(&value);
    }

    fn get(view: Self::View<'_>, key: &str) -> Option<u64> {
        let values = view.get(key)?.values();
        values.expect("it holds numbers").first().copied()
    }
}

impl<T: Entries> Document for Ours<T> {
    const NAME: &'static str = "crdt-core";

    fn new(replica: u64) -> Self {
        Self(Causal::new(id(replica)))
    }

    fn fork(&mut self, replica: u64) -> Self {
        Self(self.0.fork(id(replica)).expect("an id of its own"))
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        self.update(|edit| {
            for (key, value) in entries {
                T::set(edit, key, *value);
            }
        });
    }

    fn set_one(&mut self, key: &str, value: u64) -> Vec<u8> {
        self.update(|edit| T::set(edit, key, value)).delta.encode()
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(&other.0).expect("an id of its own");
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(Causal::load(bytes, id(99)).expect("bytes that were just made"))
    }

    fn get(&self, key: &str) -> Option<u64> {
        T::get(self.0.view(), key)
    }
}

impl Counter for Ours<PnCounter> {
    const NAME: &'static str = "crdt-core";

    fn new(replica: u64) -> Self {
        Self(Causal::new(id(replica)))
    }

    fn fork(&mut self, replica: u64) -> Self {
        Self(self.0.fork(id(replica)).expect("an id of its own"))
    }

    fn add_often(&mut self, times: u64) {
        self.update(|counter| (0..times).for_each(|_| counter.add(1)));
    }

    fn add_one(&mut self) -> Vec<u8> {
        self.update(|counter| counter.add(1)).delta.encode()
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.encode()
    }

    fn value(&self) -> u64 {
        u64::try_from(self.0.view().value()).expect("it counts up")
    }
}
