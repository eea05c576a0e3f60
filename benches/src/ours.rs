//! The types of this project.

use std::hint::black_box;

use crdt_core::{Causal, Crdt, Delta, LwwRegister, MvRegister, OrMap, OrSet, PnCounter, ReplicaId};

use crate::subject::{Counter, Element, Map, Register, Set};

/// A value of this project's.
pub struct Ours<T: Crdt>(pub Causal<T>);

fn new<T: Crdt>(replica: u64) -> Ours<T> {
    Ours(Causal::new(ReplicaId::new(replica, 1)))
}

fn fork<T: Crdt>(value: &Ours<T>, replica: u64) -> Ours<T> {
    Ours(
        value
            .0
            .fork(ReplicaId::new(replica, 1))
            .expect("an id of its own"),
    )
}

impl<E: Element> Set<E> for Ours<OrSet<E>> {
    fn new(replica: u64) -> Self {
        new(replica)
    }

    fn fork(&self, replica: u64) -> Self {
        fork(self, replica)
    }

    fn insert_all(&mut self, elements: impl Iterator<Item = E>) {
        let insert = |set: &mut crdt_core::OrSetEdit<'_, E>| {
            for element in elements {
                set.insert(&element);
            }
        };
        self.0.update(insert).expect("elements are short");
    }

    fn remove(&mut self, element: &E) {
        let removed = self.0.update(|set| set.remove(element));
        black_box(removed.expect("elements are short"));
    }

    fn contains(&self, element: &E) -> bool {
        self.0.view().contains(element)
    }

    fn count(&self) -> usize {
        self.0.view().iter().map(black_box).count()
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(&other.0).expect("an id of its own");
    }

    fn encode(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(Causal::load(bytes, ReplicaId::new(9, 1)).expect("bytes that were just made"))
    }

    type News = Delta<OrSet<E>>;

    fn insert_with_news(&mut self, elements: impl Iterator<Item = E>) -> Self::News {
        let before = self.0.context().clone();
        self.insert_all(elements);
        let delta = self.0.delta_since(&before);
        delta.expect("nothing was removed")
    }

    fn merge_news(&mut self, news: Self::News) {
        self.0.apply(&news).expect("it has the rest");
    }
}

impl Counter for Ours<PnCounter> {
    fn new(replica: u64) -> Self {
        new(replica)
    }

    fn fork(&self, replica: u64) -> Self {
        fork(self, replica)
    }

    fn add_often(&mut self, times: u64) {
        let add = |counter: &mut crdt_core::PnCounterEdit<'_>| {
            (0..times).for_each(|_| counter.add(black_box(1)));
        };
        self.0.update(add).expect("a counter has no limits");
    }

    fn merge(&mut self, other: Self) {
        self.0.merge(&other.0).expect("an id of its own");
    }

    fn value(&self) -> u64 {
        u64::try_from(self.0.view().value()).expect("it counts up")
    }
}

impl Register for Ours<LwwRegister<u64>> {
    fn new(replica: u64) -> Self {
        new(replica)
    }

    fn set(&mut self, value: u64) {
        let set = self.0.update(|register| register.set(&value));
        black_box(set.expect("numbers are short"));
    }
}

impl Register for Ours<MvRegister<u64>> {
    fn new(replica: u64) -> Self {
        new(replica)
    }

    fn set(&mut self, value: u64) {
        let set = self.0.update(|register| register.set(&value));
        black_box(set.expect("numbers are short"));
    }
}

impl Map for Ours<OrMap<String, MvRegister<u64>>> {
    fn new(replica: u64) -> Self {
        new(replica)
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        let set = |map: &mut crdt_core::OrMapEdit<'_, String, MvRegister<u64>>| {
            for (key, value) in entries {
                map.entry(key).set(value);
            }
        };
        self.0.update(set).expect("keys and numbers are short");
    }
}
