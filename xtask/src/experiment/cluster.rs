//! Nodes of one process, each with its own store and socket.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use dd_extension::types::PnCounter;
use dd_extension::{Cluster, ClusterConfig, DistributedData, Key, Store, StoreConfig};
use tokio::time::{Instant, sleep};

use super::report::median;
use super::threads::{addresses, identity, name};

const PATIENCE: Duration = Duration::from_secs(300);
/// How long a node may take to notice that it has something to do.
const TURN: Duration = Duration::from_millis(20);
/// Nobody writes it.
const NOTHING: Key<PnCounter> = Key::new("nothing");
const LOOK: Duration = Duration::from_millis(1);

/// Nodes that know each other.
#[derive(Default)]
pub(crate) struct Nodes {
    data: Vec<DistributedData>,
    pub(crate) stores: Vec<Store>,
}

/// What all nodes together have sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// Questions whether contexts are equal.
    pub(crate) digests: u64,
    /// Bytes of what replicas handed to the transport.
    pub(crate) frames: u64,
    /// Bytes of what was handed to it in all, packets of membership too.
    pub(crate) packets: u64,
    /// Bytes of UDP datagrams, with what QUIC adds.
    pub(crate) udp: u64,
}

/// What all nodes together send in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) digests: f64,
    pub(crate) frames: f64,
    pub(crate) packets: f64,
    pub(crate) udp: f64,
}

impl Sent {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            digests: self.digests - earlier.digests,
            frames: self.frames - earlier.frames,
            packets: self.packets - earlier.packets,
            udp: self.udp - earlier.udp,
        }
    }
}

impl Nodes {
    /// Starts nodes with the default settings that have each other's addresses, without membership, and waits
    /// until all are connected.
    pub(crate) async fn listed(count: usize) -> Result<Self> {
        let addresses = addresses(count)?;
        let mut nodes = Self::default();
        for at in 0..count {
            let mut config = ClusterConfig::new(addresses[at]).identity(identity(at)?);
            for (other, address) in addresses.iter().enumerate().filter(|(o, _)| *o != at) {
                config = config.peer(name(other), address.to_string());
            }
            nodes
                .add(&Cluster::join(config).await?, StoreConfig::default())
                .await?;
        }
        nodes.connected().await
    }

    /// Starts nodes that meet through the first, as those of a service do, and waits until all are connected.
    pub(crate) async fn members(count: usize, config: StoreConfig) -> Result<Self> {
        let mut nodes = Self::default();
        let mut seed = None;
        for at in 0..count {
            let member = ClusterConfig::new(([127, 0, 0, 1], 0).into()).identity(identity(at)?);
            let cluster = match &seed {
                None => Cluster::bootstrap(member).await?,
                Some(seed) => Cluster::join(member.seed(seed)).await?,
            };
            let address = cluster.local_addr().context("it listens nowhere")?;
            seed.get_or_insert(address.to_string());
            nodes.add(&cluster, config).await?;
        }
        nodes.connected().await
    }

    async fn add(&mut self, cluster: &Cluster, config: StoreConfig) -> Result<()> {
        let one = DistributedData::new();
        self.stores.push(one.start(cluster, config).await?);
        self.data.push(one);
        Ok(())
    }

    async fn connected(self) -> Result<Self> {
        let others = self.stores.len() - 1;
        self.until("connected", |stores| {
            for store in stores {
                let peers = store.status()?.replica.peers;
                if peers.len() < others || !peers.iter().all(|peer| peer.up) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
        Ok(self)
    }

    /// Waits until all have seen the same events. Fails if one then shows another state.
    pub(crate) async fn equal(&self) -> Result<()> {
        self.until("equal", |stores| {
            let status = |store: &Store| Ok(store.status()?.replica);
            let all = stores.iter().map(status).collect::<Result<Vec<_>>>()?;
            let equal = all
                .windows(2)
                .all(|two| two[0].context_hash == two[1].context_hash);
            if equal
                && all
                    .windows(2)
                    .any(|two| two[0].fingerprint != two[1].fingerprint)
            {
                bail!("equal contexts with unequal fingerprints");
            }
            Ok(equal)
        })
        .await
    }

    async fn until(&self, what: &str, is: impl Fn(&[Store]) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.stores)? {
            if Instant::now() > deadline {
                bail!("the nodes are not {what} after {PATIENCE:?}");
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    pub(crate) async fn sent(&self) -> Result<Sent> {
        // What a node tells of its transport is from when it last had something to do.
        for store in &self.stores {
            store.delete(&NOTHING)?;
        }
        sleep(TURN).await;
        let mut sum = Sent::default();
        for store in &self.stores {
            let status = store.status()?;
            sum.digests += status.replica.counts.sent.digest.frames;
            sum.frames += status.replica.counts.bytes_sent;
            sum.packets += status.transport.bytes_sent;
            sum.udp += status.transport.wire_bytes_sent;
        }
        Ok(sum)
    }

    /// What is sent a second while nothing happens, watched for so long.
    pub(crate) async fn idle(&self, span: Duration) -> Result<Rates> {
        let (before, began) = (self.sent().await?, Instant::now());
        sleep(span).await;
        let (sent, took) = (
            self.sent().await?.since(before),
            began.elapsed().as_secs_f64(),
        );
        let rate = |count: u64| count as f64 / took;
        Ok(Rates {
            digests: rate(sent.digests),
            frames: rate(sent.frames),
            packets: rate(sent.packets),
            udp: rate(sent.udp),
        })
    }

    /// Makes changes one after the other: the median time until all have one, and what is sent for it until
    /// `settle` later; frames of the replicas alone, of UDP what is over idle.
    pub(crate) async fn changes(
        &self,
        count: usize,
        settle: Duration,
        idle: &Rates,
        change: impl Fn(&Store, usize) -> Result<()>,
    ) -> Result<[f64; 3]> {
        let (mut times, mut frames, mut udp) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count {
            let (before, began) = (self.sent().await?, Instant::now());
            change(&self.stores[0], at)?;
            self.equal().await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            sleep(settle).await;
            let sent = self.sent().await?.since(before);
            frames.push(sent.frames as f64);
            udp.push(sent.udp as f64 - idle.udp * began.elapsed().as_secs_f64());
        }
        Ok([times, frames, udp].map(median))
    }

    pub(crate) async fn stop(self) -> Result<()> {
        for one in &self.data {
            one.stop().await?;
        }
        Ok(())
    }
}
