//! What several test modules need: replicas by name, random numbers, and the checks that hold for
//! every replica at every moment.

pub(crate) mod craft;
pub(crate) mod net;
pub(crate) mod recording;

use std::collections::BTreeSet;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use crdt_core::{Context, Crdt, Dot, Limits, ReplicaId};
use dd_gossip::{ClusterId, Config, MAX_CHUNK, NodeId, Replica, Time, Timing, UpdateError};

/// The wall clock of all tests, in milliseconds.
pub(crate) const WALL: u64 = 1_000;

pub(crate) fn node(name: &str) -> NodeId {
    name.parse().expect("a name")
}

pub(crate) fn cluster() -> ClusterId {
    "test".parse().expect("a name")
}

/// The first incarnation of a node.
pub(crate) fn replica_id(name: &str) -> ReplicaId {
    incarnation(name, 1)
}

/// The `n`-th incarnation of a node.
pub(crate) fn incarnation(name: &str, n: u64) -> ReplicaId {
    ReplicaId::new(u64::from(name.as_bytes()[0]), n)
}

/// A configuration with everything fixed by the name.
pub(crate) fn config(name: &str, peers: &[&str]) -> Config {
    restarted(name, 1, peers)
}

/// The configuration of the `n`-th process of a node.
pub(crate) fn restarted(name: &str, n: u64, peers: &[&str]) -> Config {
    let number = u64::from(name.as_bytes()[0]);
    Config {
        cluster: cluster(),
        node: node(name),
        replica: incarnation(name, n),
        nonce: number * 1_000 + n,
        seed: number + n,
        peers: peers.iter().map(|peer| node(peer)).collect(),
        bootstrap: false,
        timing: Timing::default(),
        limits: Limits::default(),
        chunk: MAX_CHUNK,
        shared: dd_gossip::MIN_SHARED,
        part: dd_gossip::MAX_PART,
    }
}

/// Changes a value at time `now`; no limit refuses it.
pub(crate) fn write<T: Crdt>(
    replica: &mut Replica,
    now: Time,
    key: &str,
    change: impl FnOnce(&mut T::Edit<'_>),
) {
    replica
        .update::<T, (), UpdateError>(now, WALL, key.as_bytes(), |edit| {
            change(edit);
            Ok(())
        })
        .expect("within the limits");
}

/// What may not change when a frame is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Visible {
    pub(crate) state: DotStore,
    pub(crate) fingerprint: u128,
    pub(crate) context: Context,
    pub(crate) indexed: usize,
}

pub(crate) fn visible(replica: &mut Replica) -> Visible {
    let status = replica.status();
    Visible {
        state: replica.state(),
        fingerprint: status.fingerprint,
        context: status.context,
        indexed: status.events_indexed,
    }
}

/// What holds for every replica at every moment: what is derived from the state fits it, the
/// context has every live dot, and no dot is live at two leaves.
pub(crate) fn assert_sound(replica: &mut Replica) {
    let status = replica.status();
    let state = replica.state();
    assert_eq!(
        replica.recompute_fingerprint(),
        status.fingerprint,
        "the fingerprint that is kept is that of the state"
    );
    let mut dots: BTreeSet<Dot> = BTreeSet::new();
    state.root().visit(&mut Vec::new(), &mut |path, entry| {
        let dot = entry.dot;
        assert!(
            status.context.contains(dot),
            "{dot:?} is live and not in the context"
        );
        assert!(
            dots.insert(dot),
            "{dot:?} is live at {path:?} and at another leaf"
        );
    });
    assert_eq!(
        status.events_indexed,
        dots.len() + state.record_count(),
        "the index has every event that matters and no other"
    );
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Bytes {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Pseudo-random numbers of a test: SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
