//! How a store is doing.

use dd_gossip::{Status, TransportStats};

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
}

impl StoreStatus {
    pub(crate) fn of(store: &Inner) -> Self {
        let conflicts = store.conflicts.lock().clone();
        let replica = store.replica.read();
        let still = conflicts.iter().filter(|key| replica.shapes(key).len() > 1);
        let conflicts = still
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        drop(replica);
        Self {
            replica: store.replica.write().status(),
            transport: *store.transport_stats.lock(),
            subscriptions: store.subscribers.len(),
            conflicts,
            refusals: store.refusals.lock().iter().cloned().collect(),
        }
    }
}
