//! The jobs that are measured. Keys are 12 bytes, values below a million.

use benches::measure::{heap, time};
use benches::subject::entries;

use crate::document::{Counter, Document};

/// How often each key is written over where history is what is measured.
const REWRITES: usize = 10;
/// Additions in one transaction.
pub(crate) const ADDS: u64 = 10_000;

fn repeats(size: usize) -> usize {
    if size > 1_000 { 5 } else { 21 }
}

/// A map with so many keys.
pub(crate) fn filled<D: Document>(size: usize) -> D {
    let mut document = D::new(1);
    document.set_all(&entries(0..size));
    document
}

/// In one transaction, per key.
pub(crate) fn set_all<D: Document>(size: usize) -> f64 {
    let entries = entries(0..size);
    let set = |mut document: D| {
        document.set_all(&entries);
        document
    };
    time(repeats(size), || D::new(1), set) / size as f64
}

/// One key is written over, and what another replica needs of it is put into bytes.
pub(crate) fn set_one<D: Document>(size: usize) -> f64 {
    let mut document = filled::<D>(size);
    let keys = entries(0..size);
    let mut at = 0;
    let next = || {
        at = (at + 7919) % size;
        &keys[at].0
    };
    let set = |key: &String| document.set_one(key, 999_999);
    time(101, next, set)
}

pub(crate) fn update_bytes<D: Document>(size: usize) -> f64 {
    let (key, _) = &entries(size / 2..size)[0];
    filled::<D>(size).set_one(key, 999_999).len() as f64
}

/// At another replica that has the rest.
pub(crate) fn apply<D: Document>(size: usize) -> f64 {
    let mut document = filled::<D>(size);
    let mut other = document.fork(2);
    let keys = entries(0..size);
    let mut at = 0;
    let next = || {
        at = (at + 7919) % size;
        document.set_one(&keys[at].0, 999_999)
    };
    let apply = |update: Vec<u8>| other.apply(&update);
    let time = time(101, next, apply);
    assert_eq!(other.get(&keys[at].0), Some(999_999));
    time
}

/// Of two that were empty and set half of the keys each, per key.
pub(crate) fn merge<D: Document>(size: usize) -> f64 {
    let (mut one, mut other) = (D::new(1), D::new(2));
    one.set_all(&entries(0..size / 2));
    other.set_all(&entries(size / 2..size));
    let (first, last) = (&entries(0..1)[0], &entries(size - 1..size)[0]);
    let merge = |(mut one, other): (D, D)| {
        one.merge(other);
        one
    };
    let merged = merge((one.fork(3), other.fork(4)));
    for (key, value) in [first, last] {
        assert_eq!(merged.get(key), Some(*value));
    }
    time(repeats(size), || (one.fork(3), other.fork(4)), merge) / size as f64
}

pub(crate) fn encode<D: Document>(size: usize) -> f64 {
    let made = || {
        let mut document = filled::<D>(size);
        document.set_one("one more", 1);
        document
    };
    let encode = |mut document: D| (document.encode(), document);
    time(repeats(size), made, encode) / size as f64
}

/// One key is read, because some read bytes no sooner than that.
pub(crate) fn decode<D: Document>(size: usize) -> f64 {
    let bytes = filled::<D>(size).encode();
    let (key, value) = &entries(size / 2..size)[0];
    let decode = |bytes: &Vec<u8>| {
        let document = D::decode(bytes);
        assert_eq!(document.get(key), Some(*value));
        document
    };
    time(repeats(size), || &bytes, decode) / size as f64
}

pub(crate) fn heap_bytes<D: Document>(size: usize) -> f64 {
    heap(|| filled::<D>(size)) / size as f64
}

pub(crate) fn encoded_bytes<D: Document>(size: usize) -> f64 {
    filled::<D>(size).encode().len() as f64 / size as f64
}

/// A map of which each key was written over some times.
pub(crate) fn rewritten<D: Document>(size: usize) -> D {
    let mut document = filled::<D>(size);
    for time in 1..=REWRITES {
        let mut entries = entries(0..size);
        entries
            .iter_mut()
            .for_each(|(_, value)| *value += time as u64);
        document.set_all(&entries);
    }
    document
}

pub(crate) fn rewritten_bytes<D: Document>(size: usize) -> f64 {
    rewritten::<D>(size).encode().len() as f64 / size as f64
}

pub(crate) fn rewritten_heap<D: Document>(size: usize) -> f64 {
    heap(|| rewritten::<D>(size)) / size as f64
}

/// One of many in a transaction.
pub(crate) fn add<C: Counter>() -> f64 {
    let add = |mut counter: C| {
        counter.add_often(ADDS);
        counter
    };
    assert_eq!(add(C::new(1)).value(), ADDS);
    time(21, || C::new(1), add) / ADDS as f64
}

/// One, and what another replica needs of it is put into bytes.
pub(crate) fn add_one<C: Counter>() -> f64 {
    let mut counter = C::new(1);
    counter.add_often(ADDS);
    time(101, || (), |()| counter.add_one())
}

pub(crate) fn add_bytes<C: Counter>() -> f64 {
    let mut counter = C::new(1);
    counter.add_often(ADDS);
    counter.add_one().len() as f64
}

/// At another replica that has the rest.
pub(crate) fn apply_add<C: Counter>() -> f64 {
    let mut counter = C::new(1);
    counter.add_often(ADDS);
    let mut other = counter.fork(2);
    let time = time(101, || counter.add_one(), |update| other.apply(&update));
    assert_eq!(other.value(), ADDS + 101);
    time
}

/// After many additions in one transaction.
pub(crate) fn counter_bytes<C: Counter>() -> f64 {
    let mut counter = C::new(1);
    counter.add_often(ADDS);
    counter.encode().len() as f64
}
