//! The boundary to whatever carries frames between nodes.

use std::fmt::Debug;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use crate::NodeId;

/// Largest frame that a transport must carry, in bytes: 64 KiB. The replica never makes a larger one; a
/// transport refuses a larger one from a peer before it holds it in memory.
pub const MAX_FRAME: usize = 64 * 1024;

/// Carries whole frames between authenticated nodes. Poll-shaped and dyn-compatible; it names no
/// runtime.
///
/// # Contract
///
/// * A frame arrives whole or not at all, at most [`MAX_FRAME`] bytes, and never empty. Frames may
///   be lost, duplicated or reordered: that costs time, never correctness. An ordered, reliable
///   transport is the fast path.
/// * The [`NodeId`] of an event is authenticated by the transport: a peer can't speak as another.
/// * For one peer, events come as `Connected`, then frames, then `Disconnected`; then possibly
///   `Connected` again. Nothing of a former connection comes after its `Disconnected`.
/// * Buffers are bounded. [`send`](Transport::send) answers [`SendError::Full`] instead of growing
///   one, and [`TransportEvent::Writable`] says when to try again.
/// * It reconnects by itself, with backoff, to the nodes given to [`connect`](Transport::connect).
/// * Dropping it closes everything at once; [`close`](Transport::close) followed by
///   [`poll_closed`](Transport::poll_closed) first delivers what was accepted for sending, within
///   a limit of the transport's own.
///
/// `dd-testkit` has a conformance suite for implementations.
pub trait Transport: Send + Debug {
    /// Keeps a connection to `node` at `address` from now on (an address in the transport's own
    /// notation, for QUIC `host:port`). Calling it again for the same node replaces the address.
    ///
    /// # Errors
    ///
    /// The address can't be understood.
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError>;

    /// Keeps trying an address where some node of the cluster is expected, whichever that is, until there
    /// is a connection; and again later, when it is lost. A name may stand for the addresses of several
    /// nodes. What is this node's own address is passed over.
    ///
    /// # Errors
    ///
    /// The address can't be understood, or this kind of transport reaches nodes by their names only,
    /// which is so unless it says otherwise.
    fn seed(&mut self, address: &str) -> Result<(), AddressError> {
        Err(AddressError {
            address: address.to_owned(),
            reason: "this transport reaches nodes by their names only".to_owned(),
        })
    }

    /// Undoes [`connect`](Transport::connect): ends the connection with a node, if there is one, and keeps
    /// none any more. One that the node makes is accepted all the same.
    fn forget(&mut self, node: &NodeId);

    /// Queues a frame for a connected peer.
    ///
    /// # Errors
    ///
    /// [`SendError`] says why the frame was not taken; nothing of it was sent.
    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError>;

    /// Sends a frame of at most [`MAX_PACKET`](crate::MAX_PACKET) bytes and a few more that may be lost, and
    /// does not wait behind others: what it says is soon old. Without such a way it is
    /// [sent](Transport::send) as any other.
    ///
    /// # Errors
    ///
    /// [`SendError`] says why the frame was not taken; nothing of it was sent.
    fn send_lossy(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        self.send(peer, frame)
    }

    /// Ends the connection with a peer that sent what can't be accepted, giving it the reason. Frames
    /// on their way are dropped, `Disconnected` follows. Whether and when there is a connection again
    /// is decided as after any other loss, with backoff. Does nothing if the peer is not connected.
    fn disconnect(&mut self, peer: &NodeId, reason: &str);

    /// The next event, or `Pending` with the waker registered. After [`close`](Transport::close)
    /// there are no more events.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent>;

    /// Begins a clean close: no more frames are accepted or delivered.
    fn close(&mut self);

    /// Ready when everything that was accepted for sending was delivered or given up, and all
    /// connections are closed.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Counts since the start.
    fn stats(&self) -> TransportStats;

    /// How long a packet to a connected peer and back takes, where the transport knows.
    fn round_trip(&self, peer: &NodeId) -> Option<Duration> {
        let _ = peer;
        None
    }
}

/// What happens on a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportEvent {
    /// A peer is there, authenticated as this node.
    Connected {
        /// The peer.
        peer: NodeId,
    },
    /// A frame from a peer.
    Frame {
        /// The peer.
        peer: NodeId,
        /// What it sent.
        frame: Bytes,
    },
    /// A peer for which [`Transport::send`] answered [`SendError::Full`] has room again.
    Writable {
        /// The peer.
        peer: NodeId,
    },
    /// A peer is gone; frames that were accepted for it may be lost.
    Disconnected {
        /// The peer.
        peer: NodeId,
        /// Why, for a person.
        reason: String,
    },
    /// Somebody was refused, or could not be reached, before there was a connection.
    Refused {
        /// The name or address that the attempt went to or came from.
        whom: String,
        /// Why, for a person, with what to do about it.
        reason: String,
    },
}

/// Why a frame was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The buffer for this peer is full; wait for [`TransportEvent::Writable`].
    #[error("the send buffer is full; wait until the peer is writable")]
    Full,
    /// There is no connection to this peer.
    #[error("the peer is not connected")]
    NotConnected,
    /// The frame is empty or longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes; frames have 1 to {MAX_FRAME}")]
    Size(usize),
}

/// An address that a transport can't understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {address:?} can't be used: {reason}")]
pub struct AddressError {
    /// The address as given.
    pub address: String,
    /// What is wrong with it, and what it should look like.
    pub reason: String,
}

/// Counts of a transport since its start. Bytes are those of frames, without the transport's own
/// headers, unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Frames accepted for sending.
    pub frames_sent: u64,
    /// Bytes of frames accepted for sending.
    pub bytes_sent: u64,
    /// Frames delivered.
    pub frames_received: u64,
    /// Bytes of frames delivered.
    pub bytes_received: u64,
    /// Bytes handed to the network below, with all headers, where the transport knows them.
    pub wire_bytes_sent: u64,
    /// Bytes taken from the network below, with all headers, where the transport knows them.
    pub wire_bytes_received: u64,
}
