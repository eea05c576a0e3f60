//! What is compared: a set, a counter, registers and a map, as each library has them.

use std::fmt::Debug;
use std::hash::Hash;
use std::ops::Range;

use crate::spread;

/// Elements that are the same in every run.
pub trait Element: crdt_core::Element + Copy + Debug + Eq + Hash {
    /// For titles.
    const NAME: &'static str;
    /// One of them.
    fn nth(n: usize) -> Self;
}

impl Element for u64 {
    const NAME: &'static str = "u64";

    fn nth(n: usize) -> Self {
        spread(n as u64)
    }
}

impl Element for [u8; 16] {
    const NAME: &'static str = "[u8; 16]";

    /// 16 hexadecimal digits.
    fn nth(n: usize) -> Self {
        let text = format!("{:016x}", spread(n as u64));
        text.as_bytes().try_into().expect("16 digits")
    }
}

/// A set at a replica.
pub trait Set<E: Element>: Sized {
    /// An empty one.
    fn new(replica: u64) -> Self;
    /// A copy that goes on at another replica.
    fn fork(&self, replica: u64) -> Self;
    /// Inserts all in one transaction, if there are any.
    fn insert_all(&mut self, elements: impl Iterator<Item = E>);
    /// Removes one.
    fn remove(&mut self, element: &E);
    /// Whether it is there.
    fn contains(&self, element: &E) -> bool;
    /// Looks at each.
    fn count(&self) -> usize;
    /// Takes in what the other has.
    fn merge(&mut self, other: Self);
    /// The whole as bytes.
    fn encode(&self) -> Vec<u8>;
    /// The set of these bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// What a replica that has all but the newest insertions is sent, in the smallest form that the
    /// library has.
    type News: Clone;
    /// Inserts all, and says what to send.
    fn insert_with_news(&mut self, elements: impl Iterator<Item = E>) -> Self::News;
    /// Takes that in.
    fn merge_news(&mut self, news: Self::News);
}

/// A set of the elements of a range.
pub fn set<E: Element, S: Set<E>>(replica: u64, range: Range<usize>) -> S {
    let mut set = S::new(replica);
    set.insert_all(range.map(E::nth));
    set
}

/// A counter at a replica.
pub trait Counter: Sized {
    /// At zero.
    fn new(replica: u64) -> Self;
    /// A copy that goes on at another replica.
    fn fork(&self, replica: u64) -> Self;
    /// Adds so many times, in one transaction if there are any.
    fn add_often(&mut self, times: u64);
    /// Takes in what the other has.
    fn merge(&mut self, other: Self);
    /// What it stands at.
    fn value(&self) -> u64;
}

/// Two counters to which so many replicas added, once in the first and once more in the second.
pub fn counters<C: Counter>(replicas: u64) -> (C, C) {
    let (mut once, mut twice) = (C::new(0), C::new(0));
    for replica in 1..=replicas {
        let mut one = C::new(spread(replica));
        one.add_often(1);
        once.merge(one.fork(replica));
        one.add_often(1);
        twice.merge(one);
    }
    (once, twice)
}

/// A register of a number at a replica.
pub trait Register: Sized {
    /// An empty one.
    fn new(replica: u64) -> Self;
    /// Writes over what is there.
    fn set(&mut self, value: u64);
}

/// A map of strings to registers of numbers at a replica.
pub trait Map: Sized {
    /// An empty one.
    fn new(replica: u64) -> Self;
    /// Sets all in one transaction, if there are any.
    fn set_all(&mut self, entries: &[(String, u64)]);
}

/// Entries whose keys are in no order.
pub fn entries(range: Range<usize>) -> Vec<(String, u64)> {
    let entry = |n: usize| (format!("key-{:08x}", spread(n as u64) >> 32), n as u64);
    range.map(entry).collect()
}
