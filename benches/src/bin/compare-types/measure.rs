//! How things are measured.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::Instant;

use lattices::Merge;
use lattices::set_union::SetUnionHashSet;
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::subject::{Element, Subject, set};

/// Operations that one repeat times together.
const BATCH: usize = 1_000;

/// The median time of `op`, in nanoseconds, over fresh outcomes of `set_up`.
fn time<T, R>(repeats: usize, mut set_up: impl FnMut() -> T, mut op: impl FnMut(T) -> R) -> f64 {
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let input = set_up();
            let began = Instant::now();
            let output = op(black_box(input));
            let time = began.elapsed().as_secs_f64() * 1e9;
            drop(black_box(output));
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Fewer repeats of what takes long.
fn repeats(size: usize) -> usize {
    if size > 10_000 { 9 } else { 101 }
}

/// Into a set that nobody shares.
pub(crate) fn insert<E: Element, S: Subject<E>>(size: usize) -> f64 {
    time(
        repeats(size),
        || set::<E, S>(1, 0..size),
        |mut set| {
            set.insert_all((size..size + BATCH).map(E::nth));
            set
        },
    ) / BATCH as f64
}

pub(crate) fn contains<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    let asked: Vec<E> = (0..BATCH).map(|n| E::nth(n * 7919 % (2 * size))).collect();
    time(
        101,
        || (),
        |()| asked.iter().filter(|e| full.contains(e)).count(),
    ) / BATCH as f64
}

/// One by one, out of a set that nobody shares.
pub(crate) fn remove<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let few = BATCH.min(size / 2);
    time(
        repeats(size),
        || set::<E, S>(1, 0..size),
        |mut set| {
            (0..few).for_each(|n| set.remove(&E::nth(n * 2)));
            set
        },
    ) / few as f64
}

pub(crate) fn iterate<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    time(repeats(size), || (), |()| full.count()) / size as f64
}

pub(crate) fn merge_disjoint<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let one: S = set(1, 0..size);
    let other: S = set(2, size / 2..size / 2 * 3);
    time(
        repeats(size),
        || (one.fork(3), other.fork(4)),
        |(mut one, other)| {
            one.merge(other);
            one
        },
    ) / (2 * size) as f64
}

pub(crate) fn merge_forks<E: Element, S: Subject<E>>(size: usize) -> f64 {
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

pub(crate) fn merge_delta<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let mut other: S = set(1, 0..size);
    let news = other.insert_with_news((size..size + size / 100).map(E::nth));
    time(
        repeats(size),
        || (set::<E, S>(1, 0..size), news.clone()),
        |(mut set, news)| {
            set.merge_news(news);
            set
        },
    ) / (size / 100) as f64
}

pub(crate) fn merge_identical<E: Element, S: Subject<E>>(size: usize) -> f64 {
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

pub(crate) fn encode<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let full: S = set(1, 0..size);
    time(repeats(size), || (), |()| full.encode()) / size as f64
}

pub(crate) fn decode<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let bytes = set::<E, S>(1, 0..size).encode();
    time(repeats(size), || (), |()| S::decode(&bytes)) / size as f64
}

/// Live bytes of the allocator.
pub(crate) fn heap<E: Element, S: Subject<E>>(size: usize) -> f64 {
    let region = Region::new(ALLOCATOR);
    let full: S = set(1, 0..size);
    let change = region.change();
    drop(full);
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / size as f64
}

pub(crate) fn encoded<E: Element, S: Subject<E>>(size: usize) -> f64 {
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

/// Ours beside another's.
pub(crate) struct Table {
    rows: Vec<(String, f64, f64)>,
    title: String,
    other: &'static str,
}

impl Table {
    pub(crate) fn new(title: &str, other: &'static str) -> Self {
        Self {
            rows: Vec::new(),
            title: title.to_owned(),
            other,
        }
    }

    pub(crate) fn row(&mut self, name: &str, ours: f64, theirs: f64) {
        self.rows.push((name.to_owned(), ours, theirs));
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<28} {:>12} {:>12} {:>8}",
            self.title, "crdt-core", self.other, "ratio"
        );
        for (name, ours, theirs) in &self.rows {
            println!(
                "  {name:<26} {ours:>12.1} {theirs:>12.1} {:>8.2}",
                theirs / ours
            );
        }
        println!();
    }
}
