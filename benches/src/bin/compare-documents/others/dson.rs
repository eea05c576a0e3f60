//! `dson`: dot stores with one causal context, as here, and no history.
//!
//! An update is the delta that a change gives; bytes are MessagePack, which its sources
//! name, through its `serde` feature: it has no encoding of its own, and postcard can't take its contexts. Concurrent writes to a key all stay. It has no counter.
//!
//! Many keys are set through its `api`, with the deltas joined by twos: a transaction joins each delta
//! with the whole map, so that n keys take n² steps.

use dson::crdts::mvreg::MvRegValue;
use dson::sentinel::DummySentinel;
use dson::{CausalDotStore, Identifier, MvReg, OrMap, api};

use crate::document::Document;

type Store = CausalDotStore<OrMap<String>>;

#[derive(Debug)]
pub(crate) struct Dson {
    store: Store,
    replica: Identifier,
}

fn id(replica: u64) -> Identifier {
    Identifier::new(replica as u8, 1)
}

/// The join of all.
fn join(mut deltas: Vec<Store>) -> Store {
    match deltas.len() {
        0 => Store::default(),
        1 => deltas.remove(0),
        len => {
            let rest = deltas.split_off(len / 2);
            let joined = join(deltas).join(join(rest), &mut DummySentinel);
            joined.expect("this sentinel lets all pass")
        }
    }
}

impl Dson {
    fn set(&self, key: &str, value: u64, seen: &dson::CausalContext) -> Store {
        let write = |register: &MvReg, seen: &dson::CausalContext, replica| {
            api::register::write(MvRegValue::U64(value))(register, seen, replica)
        };
        let key = key.to_owned();
        api::map::apply_to_register(write, key)(&self.store.store, seen, self.replica)
    }

    fn join(&mut self, delta: Store) {
        self.store.join_or_replace_with(delta.store, &delta.context);
    }
}

impl Document for Dson {
    const NAME: &'static str = "dson";

    fn new(replica: u64) -> Self {
        Self {
            store: Store::default(),
            replica: id(replica),
        }
    }

    fn fork(&mut self, replica: u64) -> Self {
        Self {
            store: self.store.clone(),
            replica: id(replica),
        }
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        let mut seen = self.store.context.clone();
        let mut deltas = Vec::new();
        for (key, value) in entries {
            let delta = self.set(key, *value, &seen);
            seen.union(&delta.context);
            deltas.push(delta);
        }
        self.join(join(deltas));
    }

    fn set_one(&mut self, key: &str, value: u64) -> Vec<u8> {
        let delta = self.set(key, value, &self.store.context);
        let bytes = rmp_serde::to_vec(&delta).expect("strings and numbers");
        self.join(delta);
        bytes
    }

    fn apply(&mut self, update: &[u8]) {
        self.join(rmp_serde::from_slice(update).expect("bytes that were just made"));
    }

    fn merge(&mut self, other: Self) {
        self.join(other.store);
    }

    fn encode(&mut self) -> Vec<u8> {
        rmp_serde::to_vec(&self.store).expect("strings and numbers")
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            store: rmp_serde::from_slice(bytes).expect("bytes that were just made"),
            replica: id(99),
        }
    }

    fn get(&self, key: &str) -> Option<u64> {
        match self.store.store.get(key)?.reg.0.values().next()? {
            MvRegValue::U64(value) => Some(*value),
            _ => None,
        }
    }
}
