//! Which cluster a node belongs to, as whom, and with whom.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use dd_gossip::{
    ClusterId, Member, Membership, NodeId, StaticMembers, Swim, SwimTiming, Transport,
};
use dd_transport_quic::{Identity, QuicConfig, QuicTransport, Renewal};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::cluster_config::ClusterConfig;
use crate::error::{JoinError, RemoveError, RenewError, StartError};
use crate::generation;
use crate::member_changes::MemberChanges;
use crate::validity::{Certificate, Validity};
use crate::wire::{self, Shared, Slot, Wire};

/// How long [`Cluster::bootstrap`] listens whether a cluster answers at its seeds.
const LISTEN: Duration = Duration::from_secs(2);
/// How long the name of a seed may take to be looked up once it is clear that nobody answers there.
const LOOKUP: Duration = Duration::from_millis(200);
/// How long connections may take to be closed.
const CLOSE: Duration = Duration::from_secs(5);
/// How long what this node says of its leaving may take to be sent.
const FAREWELL: Duration = Duration::from_millis(100);

/// A cluster that this node belongs to, for [`DistributedData::start`](crate::DistributedData::start). Clones
/// are the same one.
///
/// From the time it joins, the node is a member, whether a store runs or not: the others see it, and it
/// sees them. Its probes go through the same connections as the store's frames.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    id: ClusterId,
    node: NodeId,
    local: Option<SocketAddr>,
    /// The members are a fixed list.
    listed: bool,
    /// How to join again after a stop; `None` for a transport of the user's own.
    rejoin: Option<Rejoin>,
    /// Nobody can have written before: no read has to be asked of others.
    founded: AtomicBool,
    shared: Arc<Shared>,
    slot: Slot,
    idle: Mutex<Option<AbortHandle>>,
}

struct Rejoin {
    quic: QuicConfig,
    identity: Mutex<Identity>,
    members: Members,
    /// Of the transport that runs.
    renewal: Mutex<Renewal>,
}

/// How the members of a cluster over QUIC are known.
#[derive(Clone)]
enum Members {
    Listed(Vec<(NodeId, String)>),
    Found {
        seeds: Vec<String>,
        advertise: String,
        timing: SwimTiming,
    },
}

impl Cluster {
    /// Joins a cluster over QUIC: waits until a node that belongs to it has answered and told who the members are; one
    /// that looks for a cluster itself is none. It never begins one of its own. If [peers](ClusterConfig::peer) are given
    /// instead of seeds there is nothing to wait for. Must be called inside of a tokio runtime.
    ///
    /// A name is that of one process at a time. Of two the later one takes the place of the former at each peer, and that
    /// the other's: what the node owns comes and goes, and the peers' [`refusals`](crate::StoreStatus::refusals) say that
    /// two processes are that node.
    ///
    /// # Errors
    ///
    /// [`JoinError`] says what is wrong with the configuration, why the address can't be bound, or what the
    /// seeds answered.
    pub async fn join(config: ClusterConfig) -> Result<Self, JoinError> {
        let limit = config.join_timeout;
        let seeds = config.seeds.clone();
        let cluster = Self::begin(config, false).await?;
        let mut joined = cluster.0.shared.joined.subscribe();
        // What comes of it is a guard. Were it there at the next await, this future could not be spawned.
        let met = matches!(
            timeout(limit, joined.wait_for(|joined| *joined)).await,
            Ok(Ok(_))
        );
        if met {
            return Ok(cluster);
        }
        let error = JoinError::NoAnswer {
            reasons: cluster.reasons(&seeds).await,
            seeds,
            waited: limit,
            newcomers: cluster.others(),
        };
        if !cluster.others().is_empty() {
            // They would count it for a day, once one of them has joined.
            cluster.leave().await;
        }
        cluster.end().await;
        Err(error)
    }

    /// Begins a new cluster over QUIC, with this node as its first member: to be called once, by one node,
    /// when there is no cluster yet. Everybody else joins it, and so does this node when it is started again.
    /// (Of a cluster whose members are a [list](ClusterConfig::peer), every node begins it at its first start.)
    ///
    /// If seeds are given they are listened to for 2 s first, so that a second cluster is not begun by
    /// mistake. Nodes that wait at the seeds for a cluster to join are none, and join this one.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: as [`join`](Self::join), and if a cluster answers.
    pub async fn bootstrap(config: ClusterConfig) -> Result<Self, JoinError> {
        if config.seeds.is_empty() {
            return Self::begin(config, true).await;
        }
        let cluster = Self::begin(config, false).await?;
        let mut joined = cluster.0.shared.joined.subscribe();
        let met = timeout(LISTEN, joined.wait_for(|joined| *joined));
        // One may have answered just now.
        if met.await.is_ok() || !matches!(cluster.0.shared.found().await, Ok(true)) {
            let nodes = cluster.others();
            // They met this node too, and would count it for a day.
            cluster.leave().await;
            cluster.end().await;
            return Err(JoinError::Exists { nodes });
        }
        Ok(cluster.begun_here())
    }

    async fn begin(config: ClusterConfig, founds: bool) -> Result<Self, JoinError> {
        let ClusterConfig {
            mut quic,
            identity,
            seeds,
            peers,
            advertise,
            join_timeout: _,
            membership: timing,
        } = config;
        timing.validate()?;
        let identity = identity.ok_or(JoinError::NoIdentity)?;
        if !founds && seeds.is_empty() && peers.is_empty() {
            return Err(JoinError::NoSeeds);
        }
        if !seeds.is_empty() && !peers.is_empty() {
            return Err(JoinError::SeedsAndPeers);
        }
        let node = identity.node().clone();
        let transport = QuicTransport::bind(identity.clone(), quic.clone())?;
        let local = transport.local_addr();
        let renewal = Mutex::new(transport.renewal());
        quic.listen = local;
        let members = if peers.is_empty() {
            let advertise = match advertise {
                Some(address) => address,
                None => reachable(&transport, &seeds).await?,
            };
            Members::Found {
                seeds,
                advertise,
                timing,
            }
        } else {
            let peer = |(node, address): (String, String)| Ok((node.parse::<NodeId>()?, address));
            let peers = peers.into_iter().map(peer);
            let peers = peers.collect::<Result<Vec<_>, JoinError>>()?;
            let others = peers.into_iter().filter(|(peer, _)| *peer != node);
            Members::Listed(others.collect())
        };
        let id = identity.cluster().clone();
        let until = identity.valid_until();
        let begins = if founds {
            Begins::Cluster
        } else {
            Begins::Looking
        };
        let (transport, membership, dialled) =
            members.over(Box::new(transport), node.clone(), begins)?;
        let listed = matches!(members, Members::Listed(_));
        let rejoin = Rejoin {
            quic,
            identity: Mutex::new(identity),
            members,
            renewal,
        };
        let cluster = Self::over(
            id,
            node,
            Some(local),
            listed,
            Some(rejoin),
            founds,
            membership.as_ref(),
        );
        cluster.certify(until);
        cluster.put(Wire::new(
            transport,
            membership,
            cluster.0.shared.clone(),
            dialled,
        ));
        Ok(cluster)
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
        let (transport, membership, dialled) =
            Members::Listed(peers).over(transport, node.clone(), Begins::Looking)?;
        Ok(Self::of(id, node, true, transport, membership, dialled))
    }

    /// The same cluster, begun by this node, as [`bootstrap`](Self::bootstrap) does it over QUIC: its first store
    /// counts in reads of majorities at once, because nobody can have written before. A membership service is not told:
    /// make its [`Swim`] as one that founds.
    #[must_use]
    pub fn begun_here(self) -> Self {
        self.0.founded.store(true, Ordering::Relaxed);
        self
    }

    /// Joins over a transport and with a membership service of your own; [`Swim`] is one that works over any
    /// transport. Members are dialled where the service says that they are.
    pub fn with_membership(
        id: ClusterId,
        node: NodeId,
        transport: Box<dyn Transport>,
        membership: Box<dyn Membership>,
    ) -> Self {
        Self::of(id, node, false, transport, membership, BTreeMap::new())
    }

    fn of(
        id: ClusterId,
        node: NodeId,
        listed: bool,
        transport: Box<dyn Transport>,
        membership: Box<dyn Membership>,
        dialled: BTreeMap<NodeId, String>,
    ) -> Self {
        let cluster = Self::over(id, node, None, listed, None, false, membership.as_ref());
        let shared = cluster.0.shared.clone();
        cluster.put(Wire::new(transport, membership, shared, dialled));
        cluster
    }

    fn over(
        id: ClusterId,
        node: NodeId,
        local: Option<SocketAddr>,
        listed: bool,
        rejoin: Option<Rejoin>,
        founded: bool,
        membership: &dyn Membership,
    ) -> Self {
        Self(Arc::new(Inner {
            id,
            node,
            local,
            listed,
            rejoin,
            founded: AtomicBool::new(founded),
            shared: Shared::new(membership.members(), membership.has_joined()),
            slot: Slot::default(),
            idle: Mutex::new(None),
        }))
    }

    /// Lets the wire be driven until a store takes it.
    fn put(&self, wire: Wire) {
        let slot = self.0.slot.clone();
        *slot.lock() = Some(wire);
        // Outside of a runtime nothing happens before a store is started.
        if let Ok(runtime) = Handle::try_current() {
            let task = runtime.spawn(wire::idle(slot)).abort_handle();
            *self.0.idle.lock() = Some(task);
        }
    }

    /// Closes the connections of one that no store was started on, so that its address is free for another try.
    async fn end(&self) {
        if let Some(idle) = self.0.idle.lock().take() {
            idle.abort();
        }
        let wire = self.0.slot.lock().take();
        if let Some(mut wire) = wire {
            wire.transport().close();
            let closed = poll_fn(|cx| wire.transport().poll_closed(cx));
            if timeout(CLOSE, closed).await.is_err() {
                tracing::warn!(node = %self.node(), "connections were not closed in time");
            }
        }
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

    /// The members as this node sees them, itself included, in the order of their names. Those that left or
    /// were removed are among them for a day.
    pub fn members(&self) -> Vec<Member> {
        self.0.shared.members.borrow().to_vec()
    }

    /// The members, and then each change. However slow the one who asks: what it is told is the difference
    /// between what it was told last and what is so now.
    pub fn member_changes(&self) -> MemberChanges {
        MemberChanges::new(self.0.shared.members.subscribe())
    }

    /// Tells the others that this node leaves for good: it counts in majorities no more, and what it
    /// [owned](crate::OwnedKeys) is taken away. To be called before the store is stopped, which delivers what was
    /// written last.
    ///
    /// A node that is only started anew does not leave: it is missed for as long as it is away, and counts.
    pub async fn leave(&self) {
        self.0.shared.leave();
        let mut members = self.0.shared.members.subscribe();
        let gone = members.wait_for(|members| {
            let own = members.iter().find(|member| member.node == self.0.node);
            own.is_none_or(|own| !own.state.is_member())
        });
        // Without a store or a runtime nobody would do it; and a list has no words for it.
        if timeout(FAREWELL, gone).await.is_ok() {
            sleep(FAREWELL).await;
        }
    }

    /// Takes a member out of the cluster that will not come back: it counts in majorities no more, and nothing
    /// is remembered for its sake. If it runs after all, it comes back as a new member.
    ///
    /// To be used on nodes that are lost, not on those that are only cut off: each side of a partition that
    /// removes the other has majorities of its own, and what one of them wrote since is lost when they meet again.
    ///
    /// It is done soon after, while a store runs or none was started yet: [`members`](Self::members) shows it as
    /// removed then.
    ///
    /// # Errors
    ///
    /// [`RemoveError`] if nobody of the name is a member as this node sees it, if it is this node, or if the members
    /// are a fixed list. Nothing changes then.
    pub fn remove(&self, node: &NodeId) -> Result<(), RemoveError> {
        let members = self.0.shared.members.borrow();
        let Some(member) = members.iter().find(|member| member.node == *node) else {
            let node = node.clone();
            return Err(RemoveError::Unknown { node });
        };
        let (node, state) = (node.clone(), member.state);
        if !state.is_member() {
            return Err(RemoveError::Gone { node, state });
        }
        if node == self.0.node {
            return Err(RemoveError::Own);
        }
        if self.0.listed {
            return Err(RemoveError::Listed);
        }
        drop(members);
        self.0.shared.remove(node);
        Ok(())
    }

    /// Replaces the certificate of this node, before it expires: new connections are made with this one, and those that
    /// there are go on. Over QUIC; nothing has to be stopped. An authority can be replaced so too: by identities that
    /// trust both, then by those that the new one has issued, then by those that trust it alone. While nothing runs, it is
    /// kept for the next start and checked there.
    ///
    /// # Errors
    ///
    /// [`RenewError`]: it goes on with the identity that it has.
    pub fn renew(&self, identity: Identity) -> Result<(), RenewError> {
        let rejoin = self.0.rejoin.as_ref().ok_or(RenewError::OwnTransport)?;
        // Held, so that a store that starts meanwhile takes the new one.
        let mut present = rejoin.identity.lock();
        rejoin.renewal.lock().renew(&identity)?;
        self.certify(identity.valid_until());
        *present = identity;
        Ok(())
    }

    /// Until when the certificate of this node is valid, over QUIC; of the new one once it was
    /// [renewed](Self::renew). When it has run out the connections that stand go on, and peers refuse new ones. A warning
    /// is logged when a third is left of the time for which it was valid when it was taken into use, and one when it has
    /// run out.
    pub fn valid_until(&self) -> Option<SystemTime> {
        let certificate = self.0.shared.certificate.lock();
        certificate.as_ref().map(|valid| valid.until)
    }

    /// A certificate is taken into use.
    fn certify(&self, until: SystemTime) {
        let validity = Validity::new(self.node().clone(), until, SystemTime::now());
        *self.0.shared.certificate.lock() = Some(validity);
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Arc::clone(&self.0.shared.certificate)
    }

    /// The nodes that it has met.
    fn others(&self) -> Vec<NodeId> {
        let members = self.0.shared.members.borrow();
        let met = members.iter().map(|member| member.node.clone());
        met.filter(|node| node != self.node()).collect()
    }

    /// Who was refused last or did not answer, and why; of a seed too of which the transport had nothing to say by now.
    async fn reasons(&self, seeds: &[String]) -> Vec<(String, String)> {
        let refusals = self.0.shared.refusals.lock().clone();
        let mut reasons: Vec<_> = refusals.into();
        let newcomers = !self.others().is_empty();
        for seed in seeds {
            let whom = format!("seed {seed}");
            if reasons.iter().any(|(known, _)| *known == whom) {
                continue;
            }
            let own = match self.0.local {
                Some(local) => timeout(LOOKUP, QuicTransport::is_own(local, seed)).await,
                None => Ok(false),
            };
            if own == Ok(true) {
                reasons.push((whom, "it is this node's own address".to_owned()));
            } else if !newcomers {
                reasons.push((whom, "no answer".to_owned()));
            }
        }
        reasons
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the store that starts now is the first of a new cluster.
    pub(crate) fn takes_founding(&self) -> bool {
        self.0.founded.swap(false, Ordering::Relaxed)
    }

    /// The wire: the one of the joining, or another one at the same address.
    pub(crate) fn take_wire(&self) -> Result<Wire, StartError> {
        if let Some(idle) = self.0.idle.lock().take() {
            idle.abort();
        }
        if let Some(wire) = self.0.slot.lock().take() {
            return Ok(wire);
        }
        if self.0.shared.is_wired() {
            return Err(StartError::InUse);
        }
        let rejoin = self.0.rejoin.as_ref().ok_or(StartError::TransportUsed)?;
        // Held, so that it is not renewed in between.
        let identity = rejoin.identity.lock();
        let transport =
            QuicTransport::bind(identity.clone(), rejoin.quic.clone()).map_err(JoinError::from)?;
        *rejoin.renewal.lock() = transport.renewal();
        drop(identity);
        // What was asked of the former one and not done any more.
        self.0.shared.forget_requests();
        // The process was a member, and still is: until others answer it counts with those it knew.
        let before = self.members();
        let node = self.0.node.clone();
        let (transport, membership, dialled) =
            rejoin
                .members
                .over(Box::new(transport), node, Begins::Again(&before))?;
        Ok(Wire::new(
            transport,
            membership,
            self.0.shared.clone(),
            dialled,
        ))
    }
}

/// How a membership begins.
enum Begins<'m> {
    /// It looks for a cluster.
    Looking,
    /// It begins one.
    Cluster,
    /// It was a member of one with these.
    Again(&'m [Member]),
}

type Parts = (
    Box<dyn Transport>,
    Box<dyn Membership>,
    BTreeMap<NodeId, String>,
);

impl Members {
    /// Sets a transport to work, and makes the membership that goes with it.
    fn over(
        &self,
        mut transport: Box<dyn Transport>,
        own: NodeId,
        begins: Begins<'_>,
    ) -> Result<Parts, JoinError> {
        match self {
            Self::Listed(peers) => {
                for (node, address) in peers {
                    transport
                        .connect(node, address)
                        .map_err(|source| JoinError::Peer {
                            node: node.clone(),
                            source,
                        })?;
                }
                let members = StaticMembers::new(own, peers.iter().cloned());
                let dialled = peers.iter().cloned().collect();
                Ok((transport, Box::new(members), dialled))
            }
            Self::Found {
                seeds,
                advertise,
                timing,
            } => {
                for seed in seeds {
                    transport.seed(seed).map_err(JoinError::Seed)?;
                }
                let random =
                    getrandom::u64().map_err(|error| JoinError::Random(error.to_string()))?;
                let generation = generation::now(random);
                let address = advertise.clone();
                // The own address is among what is dialled already, so that it never is.
                let dialled = [(own.clone(), address.clone())].into_iter().collect();
                let founds = matches!(begins, Begins::Cluster);
                let mut swim = Swim::new(own, address, generation, founds, *timing, random);
                if let Begins::Again(members) = begins {
                    swim = swim.resume(members);
                }
                Ok((transport, Box::new(swim), dialled))
            }
        }
    }
}

/// The address at which others reach a transport.
async fn reachable(transport: &QuicTransport, seeds: &[String]) -> Result<String, JoinError> {
    let local = transport.local_addr();
    if !local.ip().is_unspecified() {
        return Ok(local.to_string());
    }
    for seed in seeds {
        if let Some(ip) = transport.source_towards(seed).await {
            return Ok(SocketAddr::new(ip, local.port()).to_string());
        }
    }
    Err(JoinError::Advertise { listen: local })
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(idle) = self.idle.lock().take() {
            idle.abort();
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("id", &self.0.id)
            .field("node", &self.0.node)
            .field("members", &self.members())
            .finish_non_exhaustive()
    }
}
