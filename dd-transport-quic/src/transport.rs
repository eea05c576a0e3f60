//! The transport itself: hands out events, takes frames, and owns the tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{
    AddressError, ClusterId, MAX_FRAME, NodeId, SendError, Transport, TransportEvent,
    TransportStats,
};
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::acceptor;
use crate::address::{Address, MAX_ADDRESSES, MAX_SEED_ADDRESSES};
use crate::close_code::CloseCode;
use crate::credentials::Credentials;
use crate::dialler::Dialler;
use crate::peer_name::PeerName;
use crate::registry::Registry;
use crate::seed;
use crate::shared::Shared;
use crate::{BindError, Identity, IdentityError, QuicConfig, Renewal};

/// Carries frames over QUIC; see the [crate's documentation](crate) for what it promises.
///
/// Its tasks run on the tokio runtime that [`bind`](Self::bind) was called in; polling it needs no
/// runtime. Dropping it closes all connections at once.
///
/// ```
/// use dd_transport_quic::{Identity, QuicConfig, QuicTransport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let identity = Identity::dev(&"shop".parse()?, &"a".parse()?, "secret")?;
/// let transport = QuicTransport::bind(identity, QuicConfig::new("127.0.0.1:0".parse()?))?;
/// assert_ne!(transport.local_addr().port(), 0);
/// # Ok(())
/// # }
/// ```
pub struct QuicTransport {
    shared: Arc<Shared>,
    runtime: Handle,
    local: SocketAddr,
    loopback_only: bool,
    diallers: BTreeMap<NodeId, DiallerHandle>,
    seeds: BTreeMap<String, AbortHandle>,
    closing: Option<AbortHandle>,
    /// Yields nothing and ends when the last writer is done.
    writers: Option<mpsc::Receiver<()>>,
}

struct DiallerHandle {
    address: watch::Sender<Address>,
    task: AbortHandle,
}

impl QuicTransport {
    /// Binds the socket and begins to accept.
    ///
    /// # Errors
    ///
    /// [`BindError`]: no tokio runtime, the address can't be bound, a development identity beyond
    /// loopback, or settings out of range.
    pub fn bind(identity: Identity, config: QuicConfig) -> Result<Self, BindError> {
        let runtime = Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        config.validate()?;
        let address = config.listen;
        let loopback_only = identity.loopback_only();
        if loopback_only && !address.ip().is_loopback() {
            return Err(BindError::DevBeyondLoopback { address });
        }
        let socket_error = |source| BindError::Socket { address, source };

        let credentials = Credentials::of(&identity, &config)?;
        let socket = UdpSocket::bind(address).map_err(socket_error)?;
        let endpoint = Endpoint::new(
            EndpointConfig::default(),
            Some(credentials.server.clone()),
            socket,
            Arc::new(TokioRuntime),
        )
        .map_err(socket_error)?;
        let local = endpoint.local_addr().map_err(socket_error)?;

        let name = PeerName {
            node: identity.node().clone(),
            cluster: identity.cluster().clone(),
        };
        let process = random_process()?;
        let (writer, writers) = mpsc::channel(1);
        let registry = Registry::new(config.clone(), name.node.clone(), process, writer);
        let shared = Shared::new(
            name,
            config,
            endpoint,
            local,
            credentials,
            process,
            registry,
        );
        runtime.spawn(acceptor::run(Arc::clone(&shared)));
        tracing::info!(node = %shared.name.node, cluster = %shared.name.cluster, %local, "listening");
        Ok(Self {
            shared,
            runtime,
            local,
            loopback_only,
            diallers: BTreeMap::new(),
            seeds: BTreeMap::new(),
            closing: None,
            writers: Some(writers),
        })
    }

    /// The address that the socket is bound to, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The node that this is.
    pub fn node(&self) -> &NodeId {
        &self.shared.name.node
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> &ClusterId {
        &self.shared.name.cluster
    }

    /// What replaces its certificate while it runs.
    pub fn renewal(&self) -> Renewal {
        Renewal::of(&self.shared)
    }

    fn stop_dialling(&mut self) {
        for dialler in std::mem::take(&mut self.diallers).into_values() {
            dialler.task.abort();
        }
        for seed in std::mem::take(&mut self.seeds).into_values() {
            seed.abort();
        }
    }

    /// Whether `host:port` stands for nothing but the socket that is bound to `local`, which is then no way to another
    /// node. Sends nothing but a question to DNS.
    pub async fn is_own(local: SocketAddr, address: &str) -> bool {
        let Ok(address) = Address::parse(address, false) else {
            return false;
        };
        let targets = address.resolve(local, MAX_SEED_ADDRESSES).await;
        targets.is_ok_and(|targets| targets.iter().all(|target| seed::is_own(local, *target)))
    }

    /// The address from which packets to `host:port` would go: one that others can reach this node at,
    /// where it listens on all. `None` if the name can't be resolved. Sends nothing but a question to DNS.
    pub async fn source_towards(&self, address: &str) -> Option<IpAddr> {
        let address = Address::parse(address, self.loopback_only).ok()?;
        let targets = address.resolve(self.local, MAX_ADDRESSES).await.ok()?;
        targets.into_iter().find_map(seed::source_towards)
    }
}

impl Transport for QuicTransport {
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError> {
        let parsed = Address::parse(address, self.loopback_only)?;
        if node == self.node() {
            let reason = "it is the address of this node itself; leave it out".to_owned();
            return Err(AddressError {
                address: address.to_owned(),
                reason,
            });
        }
        if self.shared.with(|registry| registry.closed) {
            return Ok(());
        }
        if let Some(dialler) = self.diallers.get(node) {
            dialler.address.send_replace(parsed);
            return Ok(());
        }
        let (address, receiver) = watch::channel(parsed);
        let seed = self.shared.process.wrapping_add(self.diallers.len() as u64);
        let dialler = Dialler::new(Arc::clone(&self.shared), node.clone(), receiver, seed);
        let task = self.runtime.spawn(dialler.run()).abort_handle();
        self.diallers
            .insert(node.clone(), DiallerHandle { address, task });
        Ok(())
    }

    fn seed(&mut self, address: &str) -> Result<(), AddressError> {
        let parsed = Address::parse(address, self.loopback_only)?;
        let known = self.seeds.contains_key(address);
        if known || self.shared.with(|registry| registry.closed) {
            return Ok(());
        }
        let random = self.shared.process.wrapping_sub(self.seeds.len() as u64);
        let task = seed::run(Arc::clone(&self.shared), parsed, random);
        let task = self.runtime.spawn(task).abort_handle();
        self.seeds.insert(address.to_owned(), task);
        Ok(())
    }

    fn forget(&mut self, node: &NodeId) {
        if let Some(dialler) = self.diallers.remove(node) {
            dialler.task.abort();
        }
        self.shared.with(|registry| registry.forget(node));
    }

    fn send_lossy(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        self.shared
            .with(|registry| registry.send_lossy(peer, frame))
    }

    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(SendError::Size(frame.len()));
        }
        self.shared.with(|registry| registry.send(peer, frame))
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.shared
            .with(|registry| registry.disconnect(peer, reason));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.with(|registry| match registry.next_event() {
            Some(event) => Poll::Ready(event),
            None => {
                registry.event_waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    fn close(&mut self) {
        let Some(writers) = self.writers.take() else {
            return;
        };
        self.stop_dialling();
        self.shared.with(Registry::close);
        let task = self
            .runtime
            .spawn(finish(Arc::clone(&self.shared), writers));
        self.closing = Some(task.abort_handle());
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.with(|registry| {
            if registry.done {
                return Poll::Ready(());
            }
            registry.closed_waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn stats(&self) -> TransportStats {
        self.shared.with(|registry| registry.stats())
    }

    fn round_trip(&self, peer: &NodeId) -> Option<Duration> {
        self.shared.with(|registry| registry.round_trip(peer))
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        self.stop_dialling();
        if let Some(closing) = self.closing.take() {
            closing.abort();
        }
        self.shared.with(Registry::close);
        self.shared
            .endpoint
            .close(CloseCode::Dropped.into(), b"stopped");
    }
}

impl fmt::Debug for QuicTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicTransport")
            .field("node", &self.shared.name.node)
            .field("cluster", &self.shared.name.cluster)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// Waits until the writers have flushed, then closes what is left; both within the limit.
async fn finish(shared: Arc<Shared>, mut writers: mpsc::Receiver<()>) {
    let limit = Instant::now() + shared.config.close_timeout;
    if timeout_at(limit, writers.recv()).await.is_err() {
        tracing::warn!(node = %shared.name.node, "closing although peers did not take everything");
    }
    shared
        .endpoint
        .close(CloseCode::Bye.into(), b"shutting down");
    // So that the last packets leave before the process does; at least a moment even when late.
    let limit = limit.max(Instant::now() + shared.config.initial_rtt * 4);
    if timeout_at(limit, shared.endpoint.wait_idle())
        .await
        .is_err()
    {
        tracing::debug!("connections were still draining");
    }
    if let Err(error) = free_address(&shared.endpoint) {
        tracing::debug!(%error, "the address is free only when all tasks have ended");
    }
    let waker = shared.with(|registry| {
        registry.done = true;
        registry.closed_waker.take()
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Other tasks have the endpoint for a moment longer, and its address is to be free for whoever binds it next. It keeps
/// the socket that it had before a rebind, so it takes two.
fn free_address(endpoint: &Endpoint) -> io::Result<()> {
    for _ in 0..2 {
        endpoint.rebind(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?)?;
    }
    Ok(())
}

/// A number that tells this process from an earlier one of the same node; 0 means none.
fn random_process() -> Result<u64, BindError> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        IdentityError::Authority(crate::AuthorityError::Generate(
            rcgen::Error::RingUnspecified,
        ))
    })?;
    Ok(u64::from_be_bytes(bytes).max(1))
}
