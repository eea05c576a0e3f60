//! How a replica is doing.

use crdt_core::{Context, ReplicaId};

use super::{Counts, Replica};
use crate::NodeId;

/// How a replica is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// Its incarnation.
    pub replica: ReplicaId,
    /// Number of keys.
    pub keys: usize,
    /// The events seen.
    pub context: Context,
    /// Hash of the context: equal on replicas that have seen the same events.
    pub context_hash: u128,
    /// Sum over everything live: equal on replicas with equal contexts.
    pub fingerprint: u128,
    /// Live dots and removal records.
    pub events_indexed: usize,
    /// Processes in the context of which each takes room, and nodes of which former ones are sealed.
    pub origins: (usize, usize),
    /// Removal records that are still kept.
    pub records: usize,
    /// Transactions that are still kept, to be sent as one.
    pub transactions: usize,
    /// Whether the first catch-up is done.
    pub caught_up: bool,
    /// Whether this process has a vote in reads of a majority: it began the cluster, or has caught up with enough others.
    pub votes: bool,
    /// The peers.
    pub peers: Vec<PeerStatus>,
    /// Counts since the start.
    pub counts: Counts,
}

/// What is known of a peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer.
    pub node: NodeId,
    /// Whether it is connected and said who it is.
    pub up: bool,
    /// Its incarnation, if it is up.
    pub replica: Option<ReplicaId>,
    /// How many of the events seen here it is not known to have. `None` if it is not up.
    pub behind: Option<u64>,
    /// How far its wall clock is ahead of the own one, in milliseconds, as it stated it last, give or take the
    /// time that a frame takes.
    pub skew: Option<i64>,
    /// The same, also of a peer that is not up: as far as it was known when it was last heard.
    pub unconfirmed: u64,
    /// How many events it is known to have had that are not here.
    pub ahead: u64,
    /// Events that its process brought in exchanges and full comparisons, those that were here already too.
    pub brought: u64,
}

impl Replica {
    /// How the replica is doing. O(records + peers × origins).
    pub fn status(&mut self) -> Status {
        let context_hash = self.keys.context_hash();
        let context = self.keys.context().clone();
        let peers = self.peers.values().map(|peer| {
            let process = peer.process.as_ref();
            let known = process.map_or(&peer.left_with, |process| &process.known);
            let unconfirmed = context.difference(known).len();
            PeerStatus {
                node: peer.node.clone(),
                up: process.is_some(),
                replica: process.map(|process| process.replica),
                behind: process.map(|_| unconfirmed),
                skew: process.and_then(|process| process.skew),
                unconfirmed,
                ahead: known.difference(&context).len(),
                brought: process.map_or(0, |process| process.brought),
            }
        });
        Status {
            node: self.config.node.clone(),
            replica: self.config.replica,
            keys: self.keys.store().root().children().len(),
            context_hash,
            fingerprint: self.keys.fingerprint(),
            events_indexed: self.keys.events_indexed(),
            origins: (context.origins(), context.seals().len()),
            records: self.keys.store().record_count(),
            transactions: self.keys.store().link_count(),
            caught_up: self.caught_up,
            votes: self.votes(),
            peers: peers.collect(),
            counts: self.counts,
            context,
        }
    }

    /// The fingerprint computed anew from everything that is live. O(store). Unequal to the one in
    /// [`status`](Self::status), it shows a fault in this replica's memory.
    pub fn recompute_fingerprint(&self) -> u128 {
        self.keys.recompute_fingerprint()
    }
}
