//! `automerge`: a document that keeps every change that was ever made to it.
//!
//! An update is what `save_after` gives for the heads before it; the whole is what `save` gives, columns
//! with runs under DEFLATE. Concurrent writes to a key all stay, one of them is shown.

use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, ROOT, ReadDoc, ScalarValue};

use crate::document::{Counter, Document};

const SHORT: &str = "keys and numbers are fine";
const COUNTER: &str = "counter";

#[derive(Debug)]
pub(crate) struct Automerge(AutoCommit);

/// As long as those that it draws by itself.
fn actor(replica: u64) -> ActorId {
    let [low, high] = [replica, replica + 1].map(|part| benches::spread(part).to_le_bytes());
    ActorId::from([low, high].concat())
}

impl Automerge {
    /// Commits `change`; the bytes are those of the change alone.
    fn update(&mut self, change: impl FnOnce(&mut AutoCommit)) -> Vec<u8> {
        let before = self.0.get_heads();
        change(&mut self.0);
        self.0.commit();
        self.0.save_after(&before)
    }

    fn begin(replica: u64) -> Self {
        Self(AutoCommit::new().with_actor(actor(replica)))
    }

    fn branch(&mut self, replica: u64) -> Self {
        Self(self.0.fork().with_actor(actor(replica)))
    }

    fn take_in(&mut self, update: &[u8]) {
        let applied = self.0.load_incremental(update);
        applied.expect("bytes that were just made");
    }
}

impl Document for Automerge {
    const NAME: &'static str = "automerge";

    fn new(replica: u64) -> Self {
        Self::begin(replica)
    }

    fn fork(&mut self, replica: u64) -> Self {
        self.branch(replica)
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        for (key, value) in entries {
            self.0.put(ROOT, key.as_str(), *value).expect(SHORT);
        }
        self.0.commit();
    }

    fn set_one(&mut self, key: &str, value: u64) -> Vec<u8> {
        self.update(|document| document.put(ROOT, key, value).expect(SHORT))
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn merge(&mut self, mut other: Self) {
        self.0.merge(&mut other.0).expect("two of one kind");
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(AutoCommit::load(bytes).expect("bytes that were just made"))
    }

    fn get(&self, key: &str) -> Option<u64> {
        let (value, _) = self.0.get(ROOT, key).expect(SHORT)?;
        value.as_u64()
    }
}

impl Counter for Automerge {
    const NAME: &'static str = "automerge";

    fn new(replica: u64) -> Self {
        let mut new = Self::begin(replica);
        let zero = ScalarValue::counter(0);
        new.0.put(ROOT, COUNTER, zero).expect(SHORT);
        new.0.commit();
        new
    }

    fn fork(&mut self, replica: u64) -> Self {
        self.branch(replica)
    }

    fn add_often(&mut self, times: u64) {
        for _ in 0..times {
            self.0.increment(ROOT, COUNTER, 1).expect(SHORT);
        }
        self.0.commit();
    }

    fn add_one(&mut self) -> Vec<u8> {
        self.update(|document| document.increment(ROOT, COUNTER, 1).expect(SHORT))
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn value(&self) -> u64 {
        let value = self.0.get(ROOT, COUNTER).expect(SHORT);
        value.and_then(|(value, _)| value.as_u64()).unwrap_or(0)
    }
}
