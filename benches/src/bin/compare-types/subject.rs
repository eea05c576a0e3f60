//! What is compared: a set, as each library has it.

use std::fmt::Debug;
use std::hash::Hash;

/// Elements that are the same in every run.
pub(crate) trait Element: crdt_core::Element + Copy + Debug + Eq + Hash {
    const NAME: &'static str;
    fn nth(n: usize) -> Self;
}

impl Element for u64 {
    const NAME: &'static str = "u64";

    fn nth(n: usize) -> Self {
        benches::spread(n as u64)
    }
}

impl Element for [u8; 16] {
    const NAME: &'static str = "[u8; 16]";

    /// 16 hexadecimal digits.
    fn nth(n: usize) -> Self {
        let text = format!("{:016x}", benches::spread(n as u64));
        text.as_bytes().try_into().expect("16 digits")
    }
}

/// A set at a replica.
pub(crate) trait Subject<E: Element>: Sized {
    fn new(replica: u64) -> Self;
    /// A copy that goes on at another replica.
    fn fork(&self, replica: u64) -> Self;
    fn insert_all(&mut self, elements: impl Iterator<Item = E>);
    fn remove(&mut self, element: &E);
    fn contains(&self, element: &E) -> bool;
    fn count(&self) -> usize;
    fn merge(&mut self, other: Self);
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Self;
    /// What a replica that has all but the newest insertions is sent, in the smallest form that the
    /// library has.
    type News: Clone;
    fn insert_with_news(&mut self, elements: impl Iterator<Item = E>) -> Self::News;
    fn merge_news(&mut self, news: Self::News);
}

/// A set of the elements of a range.
pub(crate) fn set<E: Element, S: Subject<E>>(replica: u64, range: std::ops::Range<usize>) -> S {
    let mut set = S::new(replica);
    set.insert_all(range.map(E::nth));
    set
}
