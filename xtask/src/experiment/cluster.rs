//! Nodes of one process, each with its own store and socket.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, bail};
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Store, StoreConfig};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(1);

/// Nodes that know each other.
pub(crate) struct Nodes {
    data: Vec<DistributedData>,
    pub(crate) stores: Vec<Store>,
}

/// Bytes of all nodes together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bytes {
    /// Frames handed to the transport.
    pub(crate) frames: u64,
    pub(crate) frame_bytes: u64,
    /// UDP datagrams, with the headers of QUIC.
    pub(crate) wire_bytes: u64,
}

impl Bytes {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            frames: self.frames - earlier.frames,
            frame_bytes: self.frame_bytes - earlier.frame_bytes,
            wire_bytes: self.wire_bytes - earlier.wire_bytes,
        }
    }
}

impl Nodes {
    /// Starts nodes with the default settings, and waits until all are connected.
    pub(crate) async fn start(count: usize) -> Result<Self> {
        // Ports are taken and let go, so that everyone can be told everyone's address.
        let sockets = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0"));
        let sockets = sockets.collect::<std::io::Result<Vec<_>>>()?;
        let addresses = sockets.iter().map(UdpSocket::local_addr);
        let addresses = addresses.collect::<std::io::Result<Vec<_>>>()?;
        drop(sockets);
        let name = |at: usize| format!("n{at}");
        let (mut data, mut stores) = (Vec::new(), Vec::new());
        for at in 0..count {
            let identity = Identity::dev(&"bench".parse()?, &name(at).parse()?, "loopback")?;
            let mut config = ClusterConfig::new(addresses[at]).identity(identity);
            for (other, address) in addresses.iter().enumerate().filter(|(o, _)| *o != at) {
                config = config.peer(name(other), address.to_string());
            }
            let one = DistributedData::new();
            stores.push(
                one.start(&Cluster::join(config).await?, StoreConfig::default())
                    .await?,
            );
            data.push(one);
        }
        let nodes = Self { data, stores };
        nodes
            .until("connected", |stores| {
                let up =
                    |store: &Store| Ok(store.status()?.replica.peers.iter().all(|peer| peer.up));
                stores
                    .iter()
                    .map(up)
                    .collect::<Result<Vec<_>>>()
                    .map(|up| up.iter().all(|up| *up))
            })
            .await?;
        Ok(nodes)
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

    pub(crate) fn bytes(&self) -> Result<Bytes> {
        let mut sum = Bytes::default();
        for store in &self.stores {
            let transport = store.status()?.transport;
            sum.frames += transport.frames_sent;
            sum.frame_bytes += transport.bytes_sent;
            sum.wire_bytes += transport.wire_bytes_sent;
        }
        Ok(sum)
    }

    pub(crate) async fn stop(self) -> Result<()> {
        for one in &self.data {
            one.stop().await?;
        }
        Ok(())
    }
}
