//! How a store is doing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use dd_gossip::{Member, NodeId, PeerStatus, RecordsAwaited, Status, TransportStats};

use crate::repair::Repair;
use crate::store::{Inner, MAX_CONFLICTS};
use crate::validity::CertificateState;

/// How a store is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreStatus {
    /// The replica: keys, context, peers, counts.
    pub replica: Status,
    /// All nodes that are known, this one included, in the order of their names: members, and for a while
    /// those that left or were removed.
    pub members: Vec<Member>,
    /// The transport.
    pub transport: TransportStats,
    /// Subscriptions that are alive.
    pub subscriptions: usize,
    /// Keys that hold values of more than one type, 1024 of them at most: as of the moment of a write here. Of what
    /// comes in where so many keys change that they are not told apart, as in a large catch-up, only those that change
    /// again.
    pub conflicts: Vec<String>,
    /// Who was refused last, and why: by the transport before there was a connection, or by the
    /// replica for a frame. The name of a node, or an address where no name was known yet. That two processes run under
    /// one name stands here too.
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
    /// Until when the certificate of this node is valid, over QUIC: see
    /// [`Cluster::valid_until`](crate::Cluster::valid_until).
    pub valid_until: Option<SystemTime>,
    /// How near that is, as the log warns of it. `None` where there is no certificate.
    pub certificate: Option<CertificateState>,
}

/// Whether nodes agree, as far as one of them knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Agreement {
    /// All connected members have the events that this node has, and no others; those that are away
    /// had when they were last heard.
    Equal,
    /// Something is missing here or at a member, or this node has not caught up since its start.
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
        let known = store.conflicts.lock();
        let replica = store.replica.read();
        let mut conflicts = known.clone();
        drop(known);
        conflicts.extend(replica.untold_with_several_shapes().cloned());
        let still = conflicts
            .iter()
            .filter(|key| replica.has_several_shapes(key));
        let conflicts = still
            .take(MAX_CONFLICTS)
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        let records_awaited = replica.records_awaited(store.now());
        drop(replica);
        let now = SystemTime::now();
        let certificate = store.certificate.lock();
        let ends = certificate
            .as_ref()
            .map(|valid| (valid.until, valid.state(now)));
        drop(certificate);
        let (valid_until, certificate) = ends.unzip();
        Self {
            replica: store.replica.write().status(),
            members: store.members.lock().clone(),
            transport: *store.transport_stats.lock(),
            subscriptions: store.subscribers.len(),
            conflicts,
            refusals: store.refusals.lock().iter().cloned().collect(),
            round_trips: store.round_trips.lock().clone(),
            records_awaited,
            diverged: store.diverged.lock().clone(),
            repairs: store.repairs.lock().iter().copied().collect(),
            valid_until,
            certificate,
        }
    }

    /// The member of a name.
    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == *node)
    }

    /// Whether nodes agree, as far as this one knows. Those that left or were removed have no say.
    pub fn agreement(&self) -> Agreement {
        let replica = &self.replica;
        let counts = |peer: &&PeerStatus| {
            let member = self.member(&peer.node);
            member.is_some_and(|member| member.state.is_member())
        };
        let mut peers = replica.peers.iter().filter(counts);
        let lacks = peers.any(|peer| peer.unconfirmed + peer.ahead > 0);
        if !self.diverged.is_empty() {
            Agreement::Diverged
        } else if lacks || !replica.caught_up {
            Agreement::Behind
        } else {
            Agreement::Equal
        }
    }
}
