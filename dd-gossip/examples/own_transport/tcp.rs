//! A [`Transport`] over plain TCP.
//!
//! **It authenticates nobody**: a peer is whoever it says it is, and everybody on the way can read
//! and change what is sent. It is an example of how to implement the trait, for nothing else.
//!
//! On the wire: each side says its name (one byte of length, then the name); the side with the smaller
//! name answers with [`STANDS`], or closes if another connection of the pair stands, so that nodes
//! which dial each other at once agree on one connection. Then come frames with their length before
//! them, four bytes, big endian. The length [`GOODBYE`] announces a reason in place of a frame.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{
    AddressError, MAX_FRAME, NodeId, SendError, Transport, TransportEvent, TransportStats,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::link::Admitted;
use crate::state::State;

/// The decision for a connection.
pub(crate) const STANDS: u8 = 1;
/// A length that no frame has.
pub(crate) const GOODBYE: u32 = u32::MAX;

const HANDSHAKE: Duration = Duration::from_secs(2);
const CLOSE: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A connection that stood for so long resets the backoff.
const STABLE: Duration = Duration::from_secs(1);
/// Handshakes that others have begun, at most.
const HANDSHAKES: usize = 64;

/// How far the end has come; tasks stop when it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Connections may finish.
    Closing,
    Gone,
}

/// What the transport and its tasks share.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
}

impl Shared {
    /// Changes the state, then wakes who waits for it, outside the lock.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let wakers: Vec<Waker> = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}

/// Carries frames over TCP, in the clear.
pub(crate) struct TcpTransport {
    shared: Arc<Shared>,
    addresses: BTreeMap<NodeId, watch::Sender<SocketAddr>>,
    runtime: tokio::runtime::Handle,
}

impl TcpTransport {
    /// Listens at an address, on the runtime that it is called in.
    pub(crate) fn bind(node: NodeId, address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let listener = TcpListener::from_std(socket)?;
        let shared = Arc::new(Shared {
            node,
            state: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
        });
        let transport = Self {
            runtime,
            addresses: BTreeMap::new(),
            shared: Arc::clone(&shared),
        };
        transport.spawn(Phase::Closing, accept(shared, listener));
        Ok((transport, local))
    }

    /// Runs a task until a phase has come.
    fn spawn(&self, end: Phase, task: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(until(shared, end, task));
    }
}

async fn until(shared: Arc<Shared>, end: Phase, task: impl Future<Output = ()>) {
    let mut phase = shared.phase.subscribe();
    tokio::select! {
        () = task => {}
        _ = phase.wait_for(|phase| *phase >= end) => {}
    }
}

impl Transport for TcpTransport {
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError> {
        let refuse = |reason: String| AddressError {
            address: address.to_owned(),
            reason,
        };
        let parsed: SocketAddr = address
            .parse()
            .map_err(|_| refuse("it must be an IP address and a port, as 127.0.0.1:7400".into()))?;
        if *node == self.shared.node {
            return Err(refuse("it is this node itself; leave it out".into()));
        }
        if let Some(known) = self.addresses.get(node) {
            known.send_replace(parsed);
            return Ok(());
        }
        let (sender, address) = watch::channel(parsed);
        self.addresses.insert(node.clone(), sender);
        let dialler = dial(Arc::clone(&self.shared), node.clone(), address);
        self.spawn(Phase::Closing, dialler);
        Ok(())
    }

    fn forget(&mut self, node: &NodeId) {
        // Its dialler ends when nobody can tell it an address any more.
        self.addresses.remove(node);
        self.shared
            .with(|state| state.disconnect(node, "it is no peer any more"));
    }

    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(SendError::Size(frame.len()));
        }
        self.shared.with(|state| state.send(peer, frame))
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.shared.with(|state| state.disconnect(peer, reason));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.shared.with(|state| state.poll_event(cx))
    }

    fn close(&mut self) {
        // First the phase: no connection is admitted once the state is closed, nor dialled.
        self.shared.phase.send_replace(Phase::Closing);
        self.shared.with(State::close);
        let shared = Arc::clone(&self.shared);
        self.spawn(Phase::Gone, async move {
            tokio::time::sleep(CLOSE).await;
            shared.phase.send_replace(Phase::Gone);
        });
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.with(|state| state.poll_closed(cx))
    }

    fn stats(&self) -> TransportStats {
        self.shared.with(|state| state.stats())
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.shared.phase.send_replace(Phase::Gone);
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpTransport")
            .field("node", &self.shared.node)
            .finish_non_exhaustive()
    }
}

/// Accepts connections, up to a number of unfinished handshakes.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors, most likely.
            tokio::time::sleep(BACKOFF_MAX).await;
            continue;
        };
        let task = {
            let shared = Arc::clone(&shared);
            async move {
                let greeted = greet(&shared, stream, None).await;
                drop(permit);
                match greeted {
                    Ok(Some((admitted, stream))) => admitted.run(stream).await,
                    Ok(None) => {}
                    Err(reason) => shared.with(|state| state.refuse(from.to_string(), reason)),
                }
            }
        };
        tokio::spawn(until(Arc::clone(&shared), Phase::Gone, task));
    }
}

/// Keeps a connection to a node. It looks for a loss at intervals, which is enough here.
async fn dial(shared: Arc<Shared>, node: NodeId, mut address: watch::Receiver<SocketAddr>) {
    let mut backoff = BACKOFF_MIN;
    let mut standing: Option<Instant> = None;
    loop {
        let mut pause = BACKOFF_MIN;
        if shared.with(|state| state.is_connected(&node)) {
            // One that is lost again and again must not be dialled without pause.
            if standing.get_or_insert_with(Instant::now).elapsed() >= STABLE {
                backoff = BACKOFF_MIN;
            }
        } else {
            standing = None;
            let to = *address.borrow_and_update();
            attempt(&shared, &node, to).await;
            pause = backoff;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = address.changed() => match changed {
                Ok(()) => backoff = BACKOFF_MIN,
                // The transport is gone.
                Err(_) => return,
            }
        }
    }
}

async fn attempt(shared: &Arc<Shared>, node: &NodeId, address: SocketAddr) {
    match connect(shared, node, address).await {
        Ok(Some((admitted, stream))) => {
            // It outlives the dialling, which ends when a close begins.
            let task = admitted.run(stream);
            tokio::spawn(until(Arc::clone(shared), Phase::Gone, task));
        }
        Ok(None) => {}
        Err(reason) => {
            shared.with(|state| state.refuse(format!("{node} at {address}"), reason));
        }
    }
}

async fn connect(
    shared: &Arc<Shared>,
    node: &NodeId,
    address: SocketAddr,
) -> Result<Option<(Admitted, TcpStream)>, String> {
    let stream = TcpStream::connect(address);
    let stream = tokio::time::timeout(HANDSHAKE, stream).await;
    let stream = stream.map_err(|_| "no answer in time")?;
    let stream = stream.map_err(|error| error.to_string())?;
    greet(shared, stream, Some(node)).await
}

/// Exchanges names and the decision, within a limit. `None` if another connection stands.
async fn greet(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    expected: Option<&NodeId>,
) -> Result<Option<(Admitted, TcpStream)>, String> {
    let greeting = async {
        stream.set_nodelay(true)?;
        let own = shared.node.as_str().as_bytes();
        let length = u8::try_from(own.len()).map_err(io::Error::other)?;
        stream.write_all(&[&[length], own].concat()).await?;
        let mut name = vec![0; usize::from(stream.read_u8().await?)];
        stream.read_exact(&mut name).await?;
        let peer: Result<NodeId, _> = String::from_utf8_lossy(&name).parse();
        let peer = peer.map_err(io::Error::other)?;
        if peer == shared.node || expected.is_some_and(|expected| *expected != peer) {
            return Err(io::Error::other(format!("it says that it is {peer}")));
        }
        let decides = shared.node < peer;
        if !decides && !matches!(stream.read_u8().await, Ok(STANDS)) {
            return Ok(None);
        }
        let slot = shared.with(|state| match decides {
            true => state.decide(&peer),
            false => state.follow(&peer),
        });
        let Some(slot) = slot else { return Ok(None) };
        let admitted = Admitted::new(Arc::clone(shared), peer, slot);
        if decides {
            stream.write_u8(STANDS).await?;
        }
        Ok(Some(admitted))
    };
    match tokio::time::timeout(HANDSHAKE, greeting).await {
        Ok(Ok(admitted)) => Ok(admitted.map(|admitted| (admitted, stream))),
        Ok(Err(error)) => Err(io::Error::to_string(&error)),
        Err(_) => Err("no greeting in time".to_owned()),
    }
}
