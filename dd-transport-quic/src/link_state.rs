//! What is kept for one authenticated connection: its queues and who to wake.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use dd_gossip::{NodeId, SendError};
use quinn::Connection;
use tokio::sync::Notify;

use crate::QuicConfig;

/// Bytes of frames taken for one write: large enough to spare calls, small enough to keep room for
/// other connections.
const WRITE_BATCH: usize = 64 * 1024;

/// The number of a connection within this process.
pub(crate) type LinkId = u64;

/// An authenticated connection that stands.
#[derive(Debug)]
pub(crate) struct LinkState {
    pub(crate) peer: NodeId,
    /// The peer's process.
    pub(crate) process: u64,
    /// The deciding node's number for the connection.
    pub(crate) number: u64,
    pub(crate) connection: Connection,
    pub(crate) wakers: LinkWakers,
    /// A `Writable` is among the events.
    pub(crate) writable_queued: bool,
    /// The peer has finished its stream while we are closing.
    pub(crate) peer_finished: bool,
    outbox: VecDeque<Bytes>,
    outbox_bytes: usize,
    /// Bytes that the path lets wait in the outbox: no bound, as long as nothing is known of it.
    queue: usize,
    wants_writable: bool,
    inbox_frames: usize,
    inbox_bytes: usize,
}

/// Wakes the two tasks of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkWakers {
    pub(crate) write: Arc<Notify>,
    pub(crate) read: Arc<Notify>,
}

impl LinkState {
    pub(crate) fn new(peer: NodeId, process: u64, number: u64, connection: Connection) -> Self {
        Self {
            peer,
            process,
            number,
            connection,
            wakers: LinkWakers::default(),
            writable_queued: false,
            peer_finished: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            queue: usize::MAX,
            wants_writable: false,
            inbox_frames: 0,
            inbox_bytes: 0,
        }
    }

    /// Queues a frame, or notes that the sender waits.
    pub(crate) fn push(&mut self, frame: Bytes, limits: &QuicConfig) -> Result<(), SendError> {
        let bytes = self.outbox_bytes + frame.len();
        if self.outbox.len() >= limits.send_queue_frames || bytes > self.queue_bytes(limits) {
            self.wants_writable = true;
            return Err(SendError::Full);
        }
        self.outbox_bytes = bytes;
        self.outbox.push_back(frame);
        self.wakers.write.notify_one();
        Ok(())
    }

    /// From now on the path lets so many bytes wait in the outbox.
    pub(crate) fn set_queue(&mut self, bytes: usize) {
        self.queue = bytes;
    }

    fn queue_bytes(&self, limits: &QuicConfig) -> usize {
        self.queue.min(limits.send_queue_bytes)
    }

    /// Moves frames for one write into `batch`.
    pub(crate) fn take_batch(&mut self, batch: &mut Vec<Bytes>) {
        let mut taken = 0;
        while taken < WRITE_BATCH {
            let Some(frame) = self.outbox.pop_front() else {
                break;
            };
            taken += frame.len();
            batch.push(frame);
        }
        self.outbox_bytes -= taken;
    }

    /// Whether a sender that waits should be told now: half of the queue is free. Answers yes once
    /// for each wait.
    pub(crate) fn take_writable(&mut self, limits: &QuicConfig) -> bool {
        let room = self.outbox_bytes <= self.queue_bytes(limits) / 2
            && self.outbox.len() <= limits.send_queue_frames / 2;
        room && std::mem::take(&mut self.wants_writable)
    }

    /// Whether the sender found the queue full again, so that another `Writable` will come.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.wants_writable
    }

    /// Counts a received frame in, if there is room for it.
    pub(crate) fn admit_received(&mut self, length: usize, limits: &QuicConfig) -> bool {
        let bytes = self.inbox_bytes + length;
        if self.inbox_frames >= limits.inbox_frames || bytes > limits.inbox_bytes {
            return false;
        }
        self.inbox_frames += 1;
        self.inbox_bytes = bytes;
        true
    }

    /// Counts a delivered frame out, and lets the reader go on when half of the room is free.
    pub(crate) fn release_received(&mut self, length: usize, limits: &QuicConfig) {
        self.inbox_frames -= 1;
        self.inbox_bytes -= length;
        if self.inbox_frames <= limits.inbox_frames / 2
            && self.inbox_bytes <= limits.inbox_bytes / 2
        {
            self.wakers.read.notify_one();
        }
    }
}
