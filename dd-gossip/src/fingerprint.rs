//! Hashes that replicas compare: of a context, and of everything live.

use std::hash::Hasher;

use crdt_core::codec::Writer;
use crdt_core::kernel::{EntryRef, ValueRef};
use crdt_core::{Context, Name};
use siphasher::sip128::{Hasher128, SipHasher24};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::ClusterId;

/// Keyed by the cluster's name, so that they mean nothing elsewhere and are the same on every node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashes {
    key: (u64, u64),
}

impl Hashes {
    pub(crate) fn new(cluster: &ClusterId) -> Self {
        let key = hash((0, 0), cluster.as_str().as_bytes());
        Self {
            key: ((key >> 64) as u64, key as u64),
        }
    }

    /// Equal contexts, equal hash.
    pub(crate) fn context(&self, context: &Context) -> u128 {
        let mut w = Writer::new();
        context.encode(&mut w);
        hash(self.key, &w.finish())
    }

    /// What one live dot adds to the fingerprint: a sum, so that it is kept incrementally. `w` is room for it.
    pub(crate) fn entry(&self, path: &[Name], entry: EntryRef<'_>, w: &mut Writer) -> u128 {
        write_place(path, w);
        self.entry_behind(entry, w)
    }

    /// As [`entry`](Self::entry), for a path that [`write_place`] wrote, which then stands there alone again.
    pub(crate) fn entry_behind(&self, entry: EntryRef<'_>, w: &mut Writer) -> u128 {
        let place = w.written().len();
        w.raw(&entry.dot.replica.to_bytes());
        w.varint(entry.dot.seq);
        match entry.value {
            ValueRef::Unit => w.byte(0),
            ValueRef::Bytes(bytes) => {
                w.byte(1);
                w.raw(&self.sum(bytes).to_be_bytes());
            }
            ValueRef::Run(run) => {
                w.byte(2);
                w.varint(run.start);
                w.signed(run.total);
                w.varint(run.cut_seq);
                w.signed(run.cut_total);
            }
        }
        let sum = self.sum(w.written());
        w.truncate(place);
        sum
    }

    /// What differs by accident differs in this: members are trusted with what they state. SipHash, which contexts are
    /// compared by, takes three times as long.
    fn sum(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_seed(bytes, self.key.0)
    }

    /// Which pair of processes a frame is between, and in which direction.
    pub(crate) fn binding(&self, from: u64, to: u64) -> u64 {
        let mut both = [0; 16];
        both[..8].copy_from_slice(&from.to_be_bytes());
        both[8..].copy_from_slice(&to.to_be_bytes());
        hash(self.key, &both) as u64
    }
}

/// Writes what all dots at a path have in common.
pub(crate) fn write_place(path: &[Name], w: &mut Writer) {
    w.clear();
    w.count(path.len());
    for name in path {
        w.bytes(name);
    }
}

fn hash(key: (u64, u64), bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}
