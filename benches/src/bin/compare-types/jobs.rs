//! The jobs that are measured.

use std::collections::HashSet;

use benches::measure::{Quantity, heap, measure, time};
use benches::subject::{Counter, Element, Set, counters, set};
use lattices::Merge;
use lattices::set_union::SetUnionHashSet;

/// Operations that one repeat times together.
const BATCH: usize = 1_000;

/// Fewer repeats of what takes long.
fn repeats(size: usize) -> usize {
    if size > 10_000 { 9 } else { 101 }
}

/// Into a set that nobody shares.
pub(crate) fn insert<E: Element, S: Set<E>>(quantity: Quantity, size: usize) -> f64 {
    measure(
        quantity,
        repeats(size),
        || set::<E, S>(1, 0..size),
        |mut set| {
            set.insert_all((size..size + BATCH).map(E::nth));
            set
        },
    ) / BATCH as f64
}

pub(crate) fn contains<E: Element, S: Set<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    let asked: Vec<E> = (0..BATCH).map(|n| E::nth(n * 7919 % (2 * size))).collect();
    time(
        101,
        || (),
        |()| asked.iter().filter(|e| full.contains(e)).count(),
    ) / BATCH as f64
}

/// One by one, out of a set that nobody shares.
pub(crate) fn remove<E: Element, S: Set<E>>(quantity: Quantity, size: usize) -> f64 {
    let few = BATCH.min(size / 2);
    measure(
        quantity,
        repeats(size),
        || set::<E, S>(1, 0..size),
        |mut set| {
            (0..few).for_each(|n| set.remove(&E::nth(n * 2)));
            set
        },
    ) / few as f64
}

pub(crate) fn iterate<E: Element, S: Set<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    time(repeats(size), || (), |()| full.count()) / size as f64
}

pub(crate) fn merge_disjoint<E: Element, S: Set<E>>(quantity: Quantity, size: usize) -> f64 {
    let one: S = set(1, 0..size);
    let other: S = set(2, size / 2..size / 2 * 3);
    measure(
        quantity,
        repeats(size),
        || (one.fork(3), other.fork(4)),
        |(mut one, other)| {
            one.merge(other);
            one
        },
    ) / (2 * size) as f64
}

pub(crate) fn merge_forks<E: Element, S: Set<E>>(size: usize) -> f64 {
    let common: S = set(1, 0..size / 2);
    let (mut one, mut other) = (common.fork(2), common.fork(3));
    one.insert_all((size / 2..size).map(E::nth));
    other.insert_all((size..size / 2 * 3).map(E::nth));
    time(
        repeats(size),
        || (one.fork(4), other.fork(5)),
        |(mut one, other)| {
            one.merge(other);
            one
        },
    ) / (2 * size) as f64
}

pub(crate) fn merge_delta<E: Element, S: Set<E>>(size: usize) -> f64 {
    let mut other: S = set(1, 0..size);
    // Another replica, that shares nothing with it.
    let bytes = other.encode();
    let news = other.insert_with_news((size..size + size / 100).map(E::nth));
    time(
        repeats(size),
        || (S::decode(&bytes), news.clone()),
        |(mut set, news)| {
            set.merge_news(news);
            set
        },
    ) / (size / 100) as f64
}

pub(crate) fn merge_identical<E: Element, S: Set<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    time(
        repeats(size),
        || (full.fork(2), full.fork(3)),
        |(mut one, other)| {
            one.merge(other);
            one
        },
    )
}

pub(crate) fn encode<E: Element, S: Set<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    time(repeats(size), || (), |()| full.encode()) / size as f64
}

pub(crate) fn decode<E: Element, S: Set<E>>(size: usize) -> f64 {
    let bytes = set::<E, S>(1, 0..size).encode();
    time(repeats(size), || (), |()| S::decode(&bytes)) / size as f64
}

pub(crate) fn held<E: Element, S: Set<E>>(size: usize) -> f64 {
    heap(|| set::<E, S>(1, 0..size)) / size as f64
}

pub(crate) fn encoded<E: Element, S: Set<E>>(size: usize) -> f64 {
    set::<E, S>(1, 0..size).encode().len() as f64 / size as f64
}

/// The union of two plain sets, half of which overlaps: what a merge can't be faster than.
pub(crate) fn union<E: Element>(size: usize) -> f64 {
    let plain = |range: std::ops::Range<usize>| {
        SetUnionHashSet::new(range.map(E::nth).collect::<HashSet<E>>())
    };
    let (one, other) = (plain(0..size), plain(size / 2..size / 2 * 3));
    time(
        repeats(size),
        || (one.clone(), other.clone()),
        |(mut one, other)| {
            one.merge(other);
            one
        },
    ) / (2 * size) as f64
}

const ADDS: u64 = 100_000;

/// One of many additions.
pub(crate) fn counter_add<C: Counter>(quantity: Quantity) -> f64 {
    let begin = || {
        let mut counter = C::new(1);
        counter.add_often(1);
        counter
    };
    let add = |mut counter: C| {
        counter.add_often(ADDS);
        counter
    };
    measure(quantity, 21, begin, add) / ADDS as f64
}

/// The merge of counters that so many replicas counted in, per replica.
pub(crate) fn counter_merge<C: Counter>(quantity: Quantity, replicas: u64) -> f64 {
    let (once, twice) = counters::<C>(replicas);
    let forks = || (once.fork(1), twice.fork(2));
    let merge = |(mut into, other): (C, C)| {
        into.merge(other);
        into
    };
    assert_eq!(merge(forks()).value(), 2 * replicas);
    measure(quantity, 101, forks, merge) / replicas as f64
}
