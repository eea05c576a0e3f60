//! A network of transports in one process: no sockets, no runtime, no clock.
//!
//! A frame that is sent lies in the receiver's queue at once, so nothing happens behind the test's
//! back: what was sent is there, in order, until it is taken or its connection is lost.

mod network;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use dd_gossip::{
    AddressError, MAX_FRAME, NodeId, SendError, Transport, TransportEvent, TransportStats,
};

use network::{Network, PortId};

/// Connects the transports that it gives out, and cuts their connections on demand.
///
/// Cheap to clone; clones are the same network.
///
/// ```
/// use std::task::{Context, Poll, Waker};
///
/// use bytes::Bytes;
/// use dd_gossip::{NodeId, Transport, TransportEvent};
/// use dd_testkit::MemoryNetwork;
///
/// let (a, b) = ("a".parse::<NodeId>()?, "b".parse::<NodeId>()?);
/// let network = MemoryNetwork::new();
/// let (mut left, mut right) = (network.transport(a.clone()), network.transport(b.clone()));
/// let cx = &mut Context::from_waker(Waker::noop());
///
/// left.connect(&b, "b")?;
/// assert_eq!(left.poll_event(cx), Poll::Ready(TransportEvent::Connected { peer: b.clone() }));
/// assert_eq!(right.poll_event(cx), Poll::Ready(TransportEvent::Connected { peer: a.clone() }));
///
/// left.send(&b, Bytes::from_static(b"hello"))?;
/// let frame = TransportEvent::Frame { peer: a.clone(), frame: Bytes::from_static(b"hello") };
/// assert_eq!(right.poll_event(cx), Poll::Ready(frame));
///
/// network.cut(&a, &b);
/// assert!(matches!(left.poll_event(cx), Poll::Ready(TransportEvent::Disconnected { .. })));
/// assert!(left.send(&b, Bytes::from_static(b"lost")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryNetwork {
    shared: Arc<Mutex<Network>>,
}

impl MemoryNetwork {
    /// A network whose queues hold 1024 frames and 1 MiB for each direction of a connection.
    pub fn new() -> Self {
        Self::with_queue(1024, 1024 * 1024)
    }

    /// A network whose queues hold so many frames and bytes for each direction of a connection, and
    /// always one frame.
    pub fn with_queue(frames: usize, bytes: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Network::new(frames, bytes))),
        }
    }

    /// A transport for a node. Others reach it by the node's name as address. If the network has a
    /// transport of that name already, this one takes its place, as a restarted process does: the
    /// former loses its connections and gets no new ones.
    pub fn transport(&self, node: NodeId) -> MemoryTransport {
        let port = self.with(|network| network.open(&node));
        MemoryTransport {
            network: self.clone(),
            node,
            port,
        }
    }

    /// Cuts the connection of two nodes, and any new one until [`heal`](Self::heal). Frames on their
    /// way are lost, both sides get `Disconnected`.
    pub fn cut(&self, a: &NodeId, b: &NodeId) {
        self.with(|network| network.cut(a, b));
    }

    /// Lets two nodes connect again. If one of them wants to, both get `Connected`, once they have
    /// taken the `Disconnected` before.
    pub fn heal(&self, a: &NodeId, b: &NodeId) {
        self.with(|network| network.heal(a, b));
    }

    /// Changes the network, then wakes who has something to do, outside the lock.
    fn with<R>(&self, change: impl FnOnce(&mut Network) -> R) -> R {
        let mut network = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut network);
        let wakers = network.take_wakers();
        drop(network);
        for waker in wakers {
            waker.wake();
        }
        result
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNetwork").finish_non_exhaustive()
    }
}

/// A node's transport in a [`MemoryNetwork`].
///
/// There is no clock, so there is no backoff: a connection that was lost is there again as soon as
/// both sides have taken its `Disconnected`. A clean close is done at once, for what was accepted
/// lies in the receivers' queues already.
#[derive(Debug)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    node: NodeId,
    port: PortId,
}

impl MemoryTransport {
    /// The node that this is.
    pub fn node(&self) -> &NodeId {
        &self.node
    }
}

impl Transport for MemoryTransport {
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError> {
        let refuse = |reason: String| AddressError {
            address: address.to_owned(),
            reason,
        };
        let named: NodeId = address
            .parse()
            .map_err(|error| refuse(format!("it must be the name of a node: {error}")))?;
        if named != *node {
            return Err(refuse(format!("it must be the name of the node, {node}")));
        }
        if named == self.node {
            return Err(refuse("it is this node itself; leave it out".to_owned()));
        }
        self.network.with(|network| network.want(self.port, node));
        Ok(())
    }

    fn seed(&mut self, address: &str) -> Result<(), AddressError> {
        match address.parse::<NodeId>() {
            Ok(node) if node == self.node => Ok(()),
            Ok(node) => self.connect(&node, address),
            Err(error) => Err(AddressError {
                address: address.to_owned(),
                reason: format!("it must be the name of a node: {error}"),
            }),
        }
    }

    fn forget(&mut self, node: &NodeId) {
        self.network.with(|network| network.forget(self.port, node));
    }

    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        if frame.is_empty() || frame.len() > MAX_FRAME {
            return Err(SendError::Size(frame.len()));
        }
        self.network
            .with(|network| network.send(self.port, peer, frame))
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.network
            .with(|network| network.disconnect(self.port, peer, reason));
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.network
            .with(|network| match network.next_event(self.port) {
                Some(event) => Poll::Ready(event),
                None => {
                    network.wait_for_event(self.port, cx.waker());
                    Poll::Pending
                }
            })
    }

    fn close(&mut self) {
        self.network.with(|network| network.close(self.port));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.network.with(|network| {
            if network.is_closed(self.port) {
                return Poll::Ready(());
            }
            network.wait_for_close(self.port, cx.waker());
            Poll::Pending
        })
    }

    fn stats(&self) -> TransportStats {
        self.network.with(|network| network.stats(self.port))
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.network.with(|network| network.remove(self.port));
    }
}
