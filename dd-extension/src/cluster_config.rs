//! How a node joins a cluster.

use std::net::SocketAddr;
use std::time::Duration;

use dd_gossip::SwimTiming;
use dd_transport_quic::{Identity, QuicConfig};

/// How to join: where to listen, as whom, and where other nodes are.
///
/// ```no_run
/// use dd_extension::{Cluster, ClusterConfig, Identity};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = Identity::dev(&"shop".parse()?, &"b".parse()?, "a secret")?;
/// let config = ClusterConfig::new("127.0.0.1:7401".parse()?)
///     .identity(identity)
///     .seed("127.0.0.1:7400");
/// let cluster = Cluster::join(config).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    pub(crate) quic: QuicConfig,
    pub(crate) identity: Option<Identity>,
    pub(crate) seeds: Vec<String>,
    pub(crate) peers: Vec<(String, String)>,
    pub(crate) advertise: Option<String>,
    pub(crate) join_timeout: Duration,
    pub(crate) membership: SwimTiming,
}

impl ClusterConfig {
    /// Listens at this UDP address; port 0 takes a free one.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            quic: QuicConfig::new(listen),
            identity: None,
            seeds: Vec::new(),
            peers: Vec::new(),
            advertise: None,
            join_timeout: Duration::from_secs(10),
            membership: SwimTiming::default(),
        }
    }

    /// Who this node is: its certificate also names its cluster. When that runs out, the connections that stand go
    /// on, and peers refuse new ones, until [`Cluster::renew`](crate::Cluster::renew) is called with another;
    /// [`Cluster::valid_until`](crate::Cluster::valid_until) says when.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// An address, as `host:port`, where some node of the cluster is; one that answers is enough to learn of
    /// all others. A name may stand for the addresses of several nodes. All nodes may be given the same
    /// seeds: the own address among them is passed over.
    #[must_use]
    pub fn seed(mut self, address: impl Into<String>) -> Self {
        self.seeds.push(address.into());
        self
    }

    /// Instead of seeds: another node of a cluster whose members are a list, by its name and its address as
    /// `host:port`. Each node is to be given all others; nobody joins or leaves later, and a node is up
    /// while it is connected.
    #[must_use]
    pub fn peer(mut self, node: impl Into<String>, address: impl Into<String>) -> Self {
        self.peers.push((node.into(), address.into()));
        self
    }

    /// The address, as `host:port`, at which the other nodes reach this one. By default that it listens at,
    /// or, if it listens at all of the machine's, the one from which it reaches its first seed.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// How long [`Cluster::join`](crate::Cluster::join) waits for a member to answer. Default 10 s.
    #[must_use]
    pub fn join_timeout(mut self, timeout: Duration) -> Self {
        self.join_timeout = timeout;
        self
    }

    /// When members are probed and given up; see [`SwimTiming::validate`] for what makes sense.
    #[must_use]
    pub fn membership(mut self, timing: SwimTiming) -> Self {
        self.membership = timing;
        self
    }

    /// Changes settings of the transport.
    #[must_use]
    pub fn transport(mut self, change: impl FnOnce(&mut QuicConfig)) -> Self {
        change(&mut self.quic);
        self
    }
}
