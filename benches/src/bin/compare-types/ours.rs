//! The types of this project.

use std::hint::black_box;
use std::time::Instant;

use crdt_core::{Causal, Delta, OrSet, PnCounter, ReplicaId};

use crate::subject::{Element, Subject};

pub(crate) struct Ours<E: Element>(Causal<OrSet<E>>);

impl<E: Element> Subject<E> for Ours<E> {
    fn new(replica: u64) -> Self {
        Self(Causal::new(ReplicaId::new(replica, 1)))
    }

    fn fork(&self, replica: u64) -> Self {
        Self(
            self.0
                .fork(ReplicaId::new(replica, 1))
                .expect("an id of its own"),
        )
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

const ADDS: u64 = 100_000;

/// One `add` among many of one update.
pub(crate) fn counter_add() -> f64 {
    let mut counter = Causal::<PnCounter>::new(ReplicaId::new(1, 1));
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let began = Instant::now();
            let add = |edit: &mut crdt_core::PnCounterEdit<'_>| {
                for n in 0..ADDS {
                    edit.add(black_box(n as i64));
                }
            };
            black_box(counter.update(add).expect("a counter has no limits"));
            began.elapsed().as_secs_f64() * 1e9 / ADDS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The merge of counters that so many replicas counted in, per replica.
pub(crate) fn counter_merge(replicas: u64) -> f64 {
    let mut full = Causal::<PnCounter>::new(ReplicaId::new(0, 1));
    let mut more = Causal::<PnCounter>::new(ReplicaId::new(0, 2));
    for replica in 1..=replicas {
        let mut one = Causal::<PnCounter>::new(ReplicaId::new(benches::spread(replica), 1));
        one.update(|c| c.add(1)).expect("a counter has no limits");
        full.merge(&one).expect("an id of its own");
        one.update(|c| c.add(1)).expect("a counter has no limits");
        more.merge(&one).expect("an id of its own");
    }
    let mut times: Vec<f64> = (0..101)
        .map(|_| {
            let mut into = full.fork(ReplicaId::new(0, 3)).expect("an id of its own");
            let began = Instant::now();
            into.merge(&more).expect("an id of its own");
            let time = began.elapsed().as_secs_f64() * 1e9;
            assert_eq!(into.view().value(), 2 * i128::from(replicas));
            time / replicas as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
