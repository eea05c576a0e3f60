//! Which cluster a node belongs to, as whom, and over what it talks to the others.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use dd_gossip::{ClusterId, NodeId, Transport};
use dd_transport_quic::{Identity, QuicConfig, QuicTransport};
use parking_lot::Mutex;

use crate::error::{JoinError, StartError};

/// How to join: where to listen, as whom, and who the others are.
///
/// ```no_run
/// use dd_extension::{Cluster, ClusterConfig, Identity};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = Identity::dev(&"shop".parse()?, &"a".parse()?, "a secret")?;
/// let config = ClusterConfig::new("127.0.0.1:7400".parse()?)
///     .identity(identity)
///     .peer("b", "127.0.0.1:7401")
///     .peer("c", "127.0.0.1:7402");
/// let cluster = Cluster::join(config).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    quic: QuicConfig,
    identity: Option<Identity>,
    peers: Vec<(String, String)>,
}

impl ClusterConfig {
    /// Listens at this UDP address; port 0 takes a free one.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            quic: QuicConfig::new(listen),
            identity: None,
            peers: Vec::new(),
        }
    }

    /// Who this node is: its certificate also names its cluster.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Another node of the cluster: its name, and its address as `host:port`. All others are to be
    /// listed: a removal is remembered until every one of them has it.
    #[must_use]
    pub fn peer(mut self, node: impl Into<String>, address: impl Into<String>) -> Self {
        self.peers.push((node.into(), address.into()));
        self
    }

    /// Changes settings of the transport.
    #[must_use]
    pub fn transport(mut self, change: impl FnOnce(&mut QuicConfig)) -> Self {
        change(&mut self.quic);
        self
    }
}

/// A joined cluster, for [`DistributedData::start`](crate::DistributedData::start). Clones are the
/// same one.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    id: ClusterId,
    node: NodeId,
    peers: Vec<(NodeId, String)>,
    local: Option<SocketAddr>,
    /// How to bind again after a stop; `None` for a transport of the user's own.
    quic: Option<(QuicConfig, Identity)>,
    transport: Mutex<Option<Box<dyn Transport>>>,
}

impl Cluster {
    /// Joins over QUIC. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`JoinError`] says what is wrong with the configuration, or why the address can't be bound.
    #[allow(clippy::unused_async, reason = "joining will wait for members")]
    pub async fn join(config: ClusterConfig) -> Result<Self, JoinError> {
        let ClusterConfig {
            mut quic,
            identity,
            peers,
        } = config;
        let identity = identity.ok_or(JoinError::NoIdentity)?;
        let parse = |(node, address): (String, String)| Ok((node.parse::<NodeId>()?, address));
        let peers = peers
            .into_iter()
            .map(parse)
            .collect::<Result<Vec<_>, JoinError>>()?;
        let (id, node) = (identity.cluster().clone(), identity.node().clone());
        let peers: Vec<_> = peers
            .into_iter()
            .filter(|(peer, _)| *peer != node)
            .collect();
        let transport = QuicTransport::bind(identity.clone(), quic.clone())?;
        let local = transport.local_addr();
        quic.listen = local;
        let transport = connect(Box::new(transport), &peers)?;
        Ok(Self(Arc::new(Inner {
            id,
            node,
            peers,
            local: Some(local),
            quic: Some((quic, identity)),
            transport: Mutex::new(Some(transport)),
        })))
    }

    /// Joins over a transport of your own. `peers` are the other nodes, each with its address in the
    /// transport's notation.
    ///
    /// # Errors
    ///
    /// [`JoinError::Peer`] if the transport does not understand an address.
    pub fn with_transport(
        id: ClusterId,
        node: NodeId,
        peers: Vec<(NodeId, String)>,
        transport: Box<dyn Transport>,
    ) -> Result<Self, JoinError> {
        let transport = connect(transport, &peers)?;
        let transport = Mutex::new(Some(transport));
        Ok(Self(Arc::new(Inner {
            id,
            node,
            peers,
            local: None,
            quic: None,
            transport,
        })))
    }

    /// The cluster.
    pub fn id(&self) -> &ClusterId {
        &self.0.id
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// The address that it listens at, over QUIC.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &NodeId> {
        self.0.peers.iter().map(|(node, _)| node)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The transport: the one that was bound by joining, or another one at the same address.
    pub(crate) fn take_transport(&self) -> Result<Box<dyn Transport>, StartError> {
        if let Some(transport) = self.0.transport.lock().take() {
            return Ok(transport);
        }
        let (quic, identity) = self.0.quic.clone().ok_or(StartError::TransportUsed)?;
        let transport = QuicTransport::bind(identity, quic).map_err(JoinError::from)?;
        Ok(connect(Box::new(transport), &self.0.peers)?)
    }
}

fn connect(
    mut transport: Box<dyn Transport>,
    peers: &[(NodeId, String)],
) -> Result<Box<dyn Transport>, JoinError> {
    for (node, address) in peers {
        transport
            .connect(node, address)
            .map_err(|source| JoinError::Peer {
                node: node.clone(),
                source,
            })?;
    }
    Ok(transport)
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("id", &self.0.id)
            .field("node", &self.0.node)
            .field("peers", &self.0.peers)
            .finish_non_exhaustive()
    }
}
