//! The operations. Each sets up, runs what is counted, and returns how many operations that was.

use std::hint::black_box;

use benches::subject::{Counter, Element, Map, Register, Set, counters, entries, set};

use crate::counted;

/// Operations that are counted together.
const BATCH: usize = 1_000;

/// Runs `operation` once, counted, on `input`; what comes out is dropped after that.
fn count<T, R>(input: T, operation: impl FnOnce(T) -> R) {
    let mut before = Some((black_box(input), operation));
    let mut after = None;
    counted(&mut || after = before.take().map(|(input, operation)| operation(input)));
    black_box(&after);
}

/// All in one update.
pub(crate) fn insert<S: Set<u64>>(size: usize) -> usize {
    let elements: Vec<u64> = (size..size + BATCH).map(u64::nth).collect();
    count(set::<u64, S>(1, 0..size), |mut set| {
        set.insert_all(elements.iter().copied());
        set
    });
    BATCH
}

/// An update for each.
pub(crate) fn update<S: Set<u64>>() -> usize {
    let elements: Vec<u64> = (1_000..1_000 + BATCH).map(u64::nth).collect();
    count(set::<u64, S>(1, 0..1_000), |mut set| {
        for element in &elements {
            set.insert_all(std::iter::once(*element));
        }
        set
    });
    BATCH
}

/// Half of them are there.
pub(crate) fn contains<S: Set<u64>>(size: usize) -> usize {
    let asked: Vec<u64> = (0..BATCH)
        .map(|n| u64::nth(n * 7919 % (2 * size)))
        .collect();
    count(set::<u64, S>(1, 0..size), |set| {
        black_box(asked.iter().filter(|element| set.contains(element)).count());
        set
    });
    BATCH
}

/// An update for each.
pub(crate) fn remove<S: Set<u64>>(size: usize) -> usize {
    let few = BATCH.min(size / 2);
    let removed: Vec<u64> = (0..few).map(|n| u64::nth(n * 2)).collect();
    count(set::<u64, S>(1, 0..size), |mut set| {
        removed.iter().for_each(|element| set.remove(element));
        set
    });
    few
}

/// Of two that overlap by half, per element of both.
pub(crate) fn merge<S: Set<u64>>(size: usize) -> usize {
    let one: S = set(1, 0..size);
    let other: S = set(2, size / 2..size / 2 * 3);
    count((one, other), |(mut one, other)| {
        one.merge(other);
        one
    });
    2 * size
}

/// Per element.
pub(crate) fn encode<S: Set<u64>>(size: usize) -> usize {
    count(set::<u64, S>(1, 0..size), |set| (set.encode(), set));
    size
}

/// Per element.
pub(crate) fn decode<S: Set<u64>>(size: usize) -> usize {
    count(set::<u64, S>(1, 0..size).encode(), |bytes| {
        S::decode(&bytes)
    });
    size
}

/// All in one update.
pub(crate) fn add<C: Counter>() -> usize {
    count(C::new(1), |mut counter| {
        counter.add_often(BATCH as u64);
        counter
    });
    BATCH
}

/// An update for each.
pub(crate) fn add_one<C: Counter>() -> usize {
    count(C::new(1), |mut counter| {
        (0..BATCH).for_each(|_| counter.add_often(1));
        counter
    });
    BATCH
}

/// Per replica that counted.
pub(crate) fn merge_counters<C: Counter>() -> usize {
    let replicas = 1_000;
    count(counters::<C>(replicas as u64), |(mut once, twice)| {
        once.merge(twice);
        once
    });
    replicas
}

/// An update for each.
pub(crate) fn set_register<R: Register>() -> usize {
    count(R::new(1), |mut register| {
        (0..BATCH).for_each(|n| register.set(black_box(n as u64)));
        register
    });
    BATCH
}

/// All in one update.
pub(crate) fn insert_entries<M: Map>(size: usize) -> usize {
    let mut map = M::new(1);
    map.set_all(&entries(0..size));
    let new = entries(size..size + BATCH);
    count(map, |mut map| {
        map.set_all(&new);
        map
    });
    BATCH
}
