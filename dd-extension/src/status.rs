//! How a store is doing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use dd_gossip::{NodeId, RecordsAwaited, Status, TransportStats};

use crate::repair::Repair;
use crate::store::Inner;

/// How a store is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreStatus {
    /// The replica: keys, context, peers, counts.
    pub replica: Status,
    /// The transport.
    pub transport: TransportStats,
    /// Subscriptions that are alive.
    pub subscriptions: usize,
    /// Keys that hold values of more than one type.
    pub conflicts: Vec<String>,
    /// Who was refused last, and why: by the transport before there was a connection, or by the
    /// replica for a frame. The name of a node, or an address where no name was known yet.
    pub refusals: Vec<(String, String)>,
    /// How long a packet to a connected peer and back takes, where the transport knows.
    pub round_trips: BTreeMap<NodeId, Duration>,
    /// Why removal records are still kept.
    pub records_awaited: RecordsAwaited,
    /// Peers that showed another state after the same events, each with when that was found first.
    /// That this was so stays here until the process ends.
    pub diverged: BTreeMap<NodeId, SystemTime>,
    /// That this store found its replica damaged and made it anew: the latest such times.
    pub repairs: Vec<Repair>,
}

/// Whether nodes agree, as far as one of them knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Agreement {
    /// All connected peers have the events that this node has, and no others; those that are away
    /// had when they were last heard.
    Equal,
    /// Something is missing here or at a peer, or this node has not caught up since its start.
    Behind,
    /// A peer had seen the same events and held another state. That is a fault in somebody's memory,
    /// and nothing that goes away.
    Diverged,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Behind => "behind",
            Self::Diverged => "diverged",
        })
    }
}

impl StoreStatus {
    pub(crate) fn of(store: &Inner) -> Self {
        let conflicts = store.conflicts.lock().clone();
        let replica = store.replica.read();
        let still = conflicts.iter().filter(|key| replica.shapes(key).len() > 1);
        let conflicts = still
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        let records_awaited = replica.records_awaited(store.now());
        drop(replica);
        Self {
            replica: store.replica.write().status(),
            transport: *store.transport_stats.lock(),
            subscriptions: store.subscribers.len(),
            conflicts,
            refusals: store.refusals.lock().iter().cloned().collect(),
            round_trips: store.round_trips.lock().clone(),
            records_awaited,
            diverged: store.diverged.lock().clone(),
            repairs: store.repairs.lock().iter().copied().collect(),
        }
    }

    /// Whether nodes agree, as far as this one knows.
    pub fn agreement(&self) -> Agreement {
        let replica = &self.replica;
        let lacks = replica.peers.iter().any(|p| p.unconfirmed + p.ahead > 0);
        if !self.diverged.is_empty() {
            Agreement::Diverged
        } else if lacks || !replica.caught_up {
            Agreement::Behind
        } else {
            Agreement::Equal
        }
    }
}
