//! What a replica is told when it is made.

use std::time::Duration;

use crdt_core::{Limits, ReplicaId};

use crate::{ClusterId, NodeId};

/// Longest key, in bytes.
pub const MAX_KEY: usize = 1024;

/// From so many events on it is worth while to ask several members for a share each: some ten round trips with each.
pub const MIN_SHARED: usize = 4096;

/// Bytes of a piece, about, that go in one message.
pub const MAX_PART: usize = 8 * 1024 * 1024;

/// Least bytes of data in a frame.
pub const MIN_CHUNK: usize = 64;

/// Who the replica is, who its peers are, and how it goes about its work.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster. Part of what fingerprints are keyed with.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// This incarnation: an id that nobody has used before. It shows up elsewhere with the first
    /// write under it, and not before.
    pub replica: ReplicaId,
    /// A random number of this process. What others know of it is forgotten when it changes.
    pub nonce: u64,
    /// Seed of the machine's own random numbers: same inputs and seed, same frames.
    pub seed: u64,
    /// The other members of the cluster, as far as they are known; later
    /// [`Replica::set_members`](crate::Replica::set_members) says who they are. A removal is remembered until all of
    /// them have it.
    pub peers: Vec<NodeId>,
    /// Whether this process begins a new cluster: it has a vote in reads from the start, because
    /// there is nothing yet that its node could have acknowledged. Otherwise it gets one when it has what the
    /// other nodes have. At any later start this must be `false`, or a read can miss what a
    /// majority had confirmed.
    pub bootstrap: bool,
    /// When things are done.
    pub timing: Timing,
    /// How large values may be.
    pub limits: Limits,
    /// Bytes of data in a frame, [`MIN_CHUNK`] to [`MAX_CHUNK`](crate::MAX_CHUNK); default the
    /// greatest. Smaller frames let small updates overtake sooner and cost more overhead.
    pub chunk: usize,
    /// A peer that catches up for the first time and lacks so many events, or more, is given them in shares, as other
    /// members give theirs; of fewer it is sent all at once. Default [`MIN_SHARED`].
    pub shared: usize,
    /// A piece of so many bytes, about, or more goes in several messages, of which both sides hold one at a time in bytes.
    /// It takes effect as one all the same. Default [`MAX_PART`].
    pub part: usize,
}

/// When things are done. [`Timing::default`] suits a local network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long own writes are collected before they are pushed; the first after a pause goes at
    /// once. Default 1 ms. Longer saves bytes, shorter saves time.
    pub flush: Duration,
    /// How long after events of others arrived a peer that is not known to have them is asked.
    /// Default 500 ms. In a full mesh the origin itself is faster; elsewhere this is the delay of a
    /// hop.
    pub relay: Duration,
    /// How often contexts are compared with a random peer, give or take a quarter. Default 1 s.
    pub exchange: Duration,
    /// The longest interval between comparisons while they find nothing. Default 8 s.
    pub exchange_idle: Duration,
    /// After how long without progress an exchange or a lost answer is given up and tried again.
    /// Default 5 s; at least a few round trips.
    pub retry: Duration,
    /// How long a push may wait for events of others that it builds on before they are asked for.
    /// Default 250 ms.
    pub hold: Duration,
    /// How long a peer may be away before removals are forgotten without it. It then catches up by
    /// a full comparison. Default 24 h.
    pub away: Duration,
    /// How often it is looked whether contexts can be made smaller, because processes that are gone left
    /// nothing that is not everywhere. Default 60 s.
    pub seal: Duration,
    /// How often everything that is live is summed up and compared with the sum that is kept. Default 10 min;
    /// it is done in steps, and costs what is live.
    pub scrub: Duration,
    /// How long a node may be dead before what it owned is deleted. Default 2 s.
    pub orphaned: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(1),
            relay: Duration::from_millis(500),
            exchange: Duration::from_secs(1),
            exchange_idle: Duration::from_secs(8),
            retry: Duration::from_secs(5),
            hold: Duration::from_millis(250),
            away: Duration::from_secs(24 * 60 * 60),
            seal: Duration::from_secs(60),
            scrub: Duration::from_secs(600),
            orphaned: Duration::from_secs(2),
        }
    }
}
