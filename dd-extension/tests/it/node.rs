//! A node of a test: a store with the lifecycle that started it, and what tests ask of several.

use std::future::Future;
use std::time::Duration;

use dd_extension::{Cluster, ClusterId, DistributedData, NodeId, Store, StoreConfig, Transport};
use dd_testkit::MemoryNetwork;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// One of several stores of this process; a service has one, in a `static`.
pub(crate) struct Node {
    pub(crate) dd: DistributedData,
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
}

impl Node {
    pub(crate) async fn start(cluster: Cluster, config: StoreConfig) -> Self {
        let dd = DistributedData::new();
        let store = dd.start(&cluster, config).await.unwrap();
        Self { dd, cluster, store }
    }

    /// A node of an in-memory network; `all` are the names of all nodes, its own among them.
    pub(crate) async fn in_memory(network: &MemoryNetwork, name: &str, all: &[&str]) -> Self {
        let transport = Box::new(network.transport(id(name)));
        Self::start(cluster_over(transport, name, all), StoreConfig::default()).await
    }

    /// A node that has no peers.
    pub(crate) async fn alone() -> Self {
        Self::in_memory(&MemoryNetwork::new(), "a", &["a"]).await
    }

    /// A node that has no peers, with settings.
    pub(crate) async fn alone_with(config: StoreConfig) -> Self {
        let transport = Box::new(MemoryNetwork::new().transport(id("a")));
        Self::start(cluster_over(transport, "a", &["a"]), config).await
    }
}

/// Nodes that all know each other, over one in-memory network.
pub(crate) async fn mesh<const N: usize>(network: &MemoryNetwork, all: [&str; N]) -> [Node; N] {
    let mut nodes = Vec::new();
    for name in all {
        nodes.push(Node::in_memory(network, name, &all).await);
    }
    nodes.try_into().ok().expect("a node for each name")
}

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(crate) fn cluster_id() -> ClusterId {
    "shop".parse().unwrap()
}

/// The cluster `shop` over a transport of the test's, where addresses are names.
pub(crate) fn cluster_over(transport: Box<dyn Transport>, name: &str, all: &[&str]) -> Cluster {
    let others = all.iter().filter(|&&other| other != name);
    let peers = others.map(|&other| (id(other), other.to_owned())).collect();
    Cluster::with_transport(cluster_id(), id(name), peers, transport).unwrap()
}

/// What a future gives, which must not take forever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("nothing happened within the limit")
}

/// Waits until something is so. For clocks that stand still: every look lets them jump on.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The same over real sockets: others get a turn, and nobody sleeps.
pub(crate) async fn until_real(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Hashes of what a store has seen and of what it holds.
pub(crate) fn state(store: &Store) -> (u128, u128) {
    let replica = store.status().unwrap().replica;
    (replica.context_hash, replica.fingerprint)
}

/// Whether all stores have seen and hold the same.
pub(crate) fn agree(nodes: &[&Node]) -> bool {
    let mut states = nodes.iter().map(|node| state(&node.store));
    let first = states.next();
    states.all(|other| Some(other) == first)
}

/// Whether a store is connected to a peer that said who it is.
pub(crate) fn is_up(store: &Store, peer: &str) -> bool {
    let peers = store.status().unwrap().replica.peers;
    peers.iter().any(|known| known.node == id(peer) && known.up)
}
