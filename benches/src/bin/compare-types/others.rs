//! The same of the `crdts` crate.

use std::hint::black_box;
use std::time::Instant;

use crdts::{CmRDT, CvRDT, GCounter, Orswot};

use crate::subject::{Element, Subject};

pub(crate) struct Crdts<E: Element> {
    set: Orswot<E, u64>,
    actor: u64,
}

macro_rules! subject {
    ($element:ty) => {
        impl Subject<$element> for Crdts<$element> {
            fn new(replica: u64) -> Self {
                Self {
                    set: Orswot::new(),
                    actor: replica,
                }
            }

            fn fork(&self, replica: u64) -> Self {
                Self {
                    set: self.set.clone(),
                    actor: replica,
                }
            }

            fn insert_all(&mut self, elements: impl Iterator<Item = $element>) {
                for element in elements {
                    let context = self.set.read_ctx().derive_add_ctx(self.actor);
                    let op = self.set.add(element, context);
                    self.set.apply(op);
                }
            }

            fn remove(&mut self, element: &$element) {
                let context = self.set.contains(element).derive_rm_ctx();
                let op = self.set.rm(*element, context);
                self.set.apply(op);
            }

            fn contains(&self, element: &$element) -> bool {
                self.set.contains(element).val
            }

            fn count(&self) -> usize {
                self.set.iter().map(|read| black_box(*read.val)).count()
            }

            fn merge(&mut self, other: Self) {
                self.set.merge(other.set);
            }

            fn encode(&self) -> Vec<u8> {
                postcard::to_allocvec(&self.set).expect("a set of numbers or bytes")
            }

            fn decode(bytes: &[u8]) -> Self {
                Self {
                    set: postcard::from_bytes(bytes).expect("bytes that were just made"),
                    actor: 9,
                }
            }

            /// There are no deltas: the whole state.
            type News = Orswot<$element, u64>;

            fn insert_with_news(&mut self, elements: impl Iterator<Item = $element>) -> Self::News {
                self.insert_all(elements);
                self.set.clone()
            }

            fn merge_news(&mut self, news: Self::News) {
                self.set.merge(news);
            }
        }
    };
}

subject!(u64);
subject!([u8; 16]);

const ADDS: u64 = 100_000;

/// One increment, applied.
pub(crate) fn counter_add() -> f64 {
    let mut counter = GCounter::<u64>::new();
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..ADDS {
                counter.apply(counter.inc(black_box(1)));
            }
            began.elapsed().as_secs_f64() * 1e9 / ADDS as f64
        })
        .collect();
    black_box(&counter);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The merge of counters that so many replicas counted in, per replica.
pub(crate) fn counter_merge(replicas: u64) -> f64 {
    let (mut full, mut more) = (GCounter::<u64>::new(), GCounter::<u64>::new());
    for replica in 1..=replicas {
        let replica = benches::spread(replica);
        full.apply(full.inc(replica));
        more.apply(more.inc(replica));
        more.apply(more.inc(replica));
    }
    let mut times: Vec<f64> = (0..101)
        .map(|_| {
            let (mut into, other) = (full.clone(), more.clone());
            let began = Instant::now();
            into.merge(other);
            let time = began.elapsed().as_secs_f64() * 1e9;
            black_box(&into);
            time / replicas as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
