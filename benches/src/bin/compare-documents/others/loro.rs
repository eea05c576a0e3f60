//! `loro`: a document that keeps every change that was ever made to it.
//!
//! An update is what `export` gives as updates since the version before; the whole is a snapshot: the
//! history with the state. It can be exported without the history too ([`state_only`]). A merge is an export
//! to bytes and an import of them, there is no other. Of concurrent writes to a key one is kept, that of
//! the greatest Lamport time. Its counter is a float.

use loro::{ExportMode, LoroDoc, LoroMap, ToJson as _};

use crate::document::{Counter, Document};

const FINE: &str = "keys and numbers are fine";

#[derive(Debug)]
pub(crate) struct Loro(LoroDoc);

/// The bytes of a state that its history is left out of; who has changed something before can't
/// merge with it.
pub(crate) fn state_only(document: &Loro) -> Vec<u8> {
    let mode = ExportMode::state_only(None);
    document.0.export(mode).expect("it has a state")
}

impl Loro {
    /// Commits `change`; the bytes are those of the change alone.
    fn update(&mut self, change: impl FnOnce(&LoroDoc)) -> Vec<u8> {
        let before = self.0.oplog_vv();
        change(&self.0);
        self.0.commit();
        self.0.export(ExportMode::updates(&before)).expect(FINE)
    }

    fn begin(replica: u64) -> Self {
        let document = LoroDoc::new();
        document.set_peer_id(benches::spread(replica)).expect(FINE);
        Self(document)
    }

    fn branch(&self, replica: u64) -> Self {
        let document = self.0.fork();
        document.set_peer_id(benches::spread(replica)).expect(FINE);
        Self(document)
    }

    fn take_in(&mut self, update: &[u8]) {
        self.0.import(update).expect("bytes that were just made");
    }

    fn map(&self) -> LoroMap {
        self.0.get_map("map")
    }
}

fn set(map: &LoroMap, key: &str, value: u64) {
    map.insert(key, value as i64).expect(FINE);
}

impl Document for Loro {
    const NAME: &'static str = "loro";

    fn new(replica: u64) -> Self {
        Self::begin(replica)
    }

    fn fork(&mut self, replica: u64) -> Self {
        self.branch(replica)
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        let map = self.map();
        for (key, value) in entries {
            set(&map, key, *value);
        }
        self.0.commit();
    }

    fn set_one(&mut self, key: &str, value: u64) -> Vec<u8> {
        let map = self.map();
        self.update(|_| set(&map, key, value))
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn merge(&mut self, other: Self) {
        let mode = ExportMode::updates_owned(self.0.oplog_vv());
        let update = other.0.export(mode).expect(FINE);
        self.take_in(&update);
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.export(ExportMode::Snapshot).expect(FINE)
    }

    fn decode(bytes: &[u8]) -> Self {
        Self(LoroDoc::from_snapshot(bytes).expect("bytes that were just made"))
    }

    fn get(&self, key: &str) -> Option<u64> {
        let value = self.map().get(key)?;
        value.get_deep_value().to_json_value().as_u64()
    }
}

impl Counter for Loro {
    const NAME: &'static str = "loro";

    fn new(replica: u64) -> Self {
        Self::begin(replica)
    }

    fn fork(&mut self, replica: u64) -> Self {
        self.branch(replica)
    }

    fn add_often(&mut self, times: u64) {
        let counter = self.0.get_counter("counter");
        (0..times).for_each(|_| counter.increment(1.0).expect(FINE));
        self.0.commit();
    }

    fn add_one(&mut self) -> Vec<u8> {
        self.update(|document| document.get_counter("counter").increment(1.0).expect(FINE))
    }

    fn apply(&mut self, update: &[u8]) {
        self.take_in(update);
    }

    fn encode(&mut self) -> Vec<u8> {
        self.0.export(ExportMode::Snapshot).expect(FINE)
    }

    fn value(&self) -> u64 {
        self.0.get_counter("counter").get() as u64
    }
}
