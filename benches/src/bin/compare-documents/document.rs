//! What is compared: a map of strings to numbers, and a counter, as each library has them.

/// A map at a replica. Transactions and encodings are those that the library's documentation names for
/// the purpose.
pub(crate) trait Document: Sized {
    const NAME: &'static str;
    fn new(replica: u64) -> Self;
    /// A copy that goes on at another replica.
    fn fork(&mut self, replica: u64) -> Self;
    /// Sets all in one transaction.
    fn set_all(&mut self, entries: &[(String, u64)]);
    /// Sets one. Returns the bytes that a replica needs that has all before, in the smallest form that
    /// the library has.
    fn set_one(&mut self, key: &str, value: u64) -> Vec<u8>;
    /// Takes in such bytes.
    fn apply(&mut self, update: &[u8]);
    /// Takes in what the other has.
    fn merge(&mut self, other: Self);
    /// The whole as bytes.
    fn encode(&mut self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Self;
    fn get(&self, key: &str) -> Option<u64>;
}

/// A counter at a replica.
pub(crate) trait Counter: Sized {
    const NAME: &'static str;
    fn new(replica: u64) -> Self;
    /// A copy that goes on at another replica.
    fn fork(&mut self, replica: u64) -> Self;
    /// Adds 1 so many times in one transaction.
    fn add_often(&mut self, times: u64);
    /// Adds 1. Returns the bytes that a replica needs that has all before.
    fn add_one(&mut self) -> Vec<u8>;
    /// Takes in such bytes.
    fn apply(&mut self, update: &[u8]);
    /// The whole as bytes.
    fn encode(&mut self) -> Vec<u8>;
    fn value(&self) -> u64;
}
