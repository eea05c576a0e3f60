//! Nodes of one process, each with a runtime and a thread of its own, as if they were alone.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Store, StoreConfig};
use dd_testkit::Relay;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node with its thread.
pub(super) struct Node {
    pub(super) store: Store,
    /// Of its runtime: what runs on it is in the node's own process, as it were.
    pub(super) runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

/// As many free addresses, so that everyone can be told everyone's.
pub(super) fn addresses(count: usize) -> std::io::Result<Vec<SocketAddr>> {
    (0..count).map(|_| dd_testkit::free_address()).collect()
}

/// As many free addresses, each with a relay in front of it, which carries so many bytes a second from or to each
/// other node.
pub(super) fn relays(count: usize, rate: u32) -> std::io::Result<Vec<(SocketAddr, Relay)>> {
    let addresses = addresses(count)?;
    let relay = |listen: &SocketAddr| {
        let relay = Relay::new(count)?;
        relay.lead_to(*listen);
        for (dialler, address) in addresses.iter().enumerate() {
            relay.carry_from(dialler, *address);
            relay.set_rate(dialler, Some(rate));
        }
        Ok((*listen, relay))
    };
    addresses.iter().map(relay).collect()
}

/// The identity of a node of experiments.
pub(super) fn identity(at: usize) -> Result<Identity> {
    let (cluster, node) = ("bench".parse()?, name(at).parse()?);
    Ok(Identity::dev(&cluster, &node, "loopback")?)
}

pub(super) fn name(at: usize) -> String {
    format!("n{at}")
}

/// Starts nodes with the default settings, and waits until all are connected.
pub(super) fn start(count: usize) -> Result<Vec<Node>> {
    let addresses = addresses(count)?;
    let nodes: Vec<Node> = (0..count)
        .map(|at| Node::start(at, &addresses))
        .collect::<Result<_>>()?;
    let deadline = Instant::now() + PATIENCE;
    for node in &nodes {
        loop {
            let replica = node.store.status()?.replica;
            if replica.votes && replica.peers.iter().all(|peer| peer.up) {
                break;
            }
            if Instant::now() > deadline {
                bail!("the nodes are not connected after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(nodes)
}

impl Node {
    /// Starts one node of these addresses, with the default settings.
    pub(super) fn start(at: usize, addresses: &[SocketAddr]) -> Result<Self> {
        Self::start_with(at, addresses, StoreConfig::default())
    }

    pub(super) fn start_with(
        at: usize,
        addresses: &[SocketAddr],
        settings: StoreConfig,
    ) -> Result<Self> {
        let mut config = ClusterConfig::new(addresses[at]).identity(identity(at)?);
        for (other, address) in addresses.iter().enumerate().filter(|(o, _)| *o != at) {
            config = config.peer(name(other), address.to_string());
        }
        Self::start_as(config, settings)
    }

    /// Starts one node that others reach through a relay.
    pub(super) fn start_behind(
        at: usize,
        relays: &[(SocketAddr, Relay)],
        settings: StoreConfig,
    ) -> Result<Self> {
        let (listen, relay) = &relays[at];
        let mut config = ClusterConfig::new(*listen)
            .identity(identity(at)?)
            .advertise(relay.address.to_string());
        for (other, (_, relay)) in relays.iter().enumerate().filter(|(o, _)| *o != at) {
            config = config.peer(name(other), relay.address.to_string());
        }
        Self::start_as(config, settings)
    }

    fn start_as(config: ClusterConfig, settings: StoreConfig) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let data = DistributedData::new();
                let cluster = Cluster::join(config).await?;
                let store = data.start(&cluster, settings).await?;
                // Whoever waits for it is there, or nobody is left to tell.
                let _ = started.send((store, Handle::current()));
                let _ = stopped.await;
                Ok(data.stop().await?)
            })
        });
        let (store, runtime) = start.recv().context("a node did not start")?;
        Ok(Self {
            store,
            runtime,
            stop,
            thread,
        })
    }

    /// Stops it.
    pub(super) fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(stopped) => stopped,
            Err(_) => bail!("a node panicked"),
        }
    }
}
