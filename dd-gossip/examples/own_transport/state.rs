//! What the transport and its tasks change under one lock: connections, their queues, the events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use dd_gossip::{NodeId, SendError, TransportEvent, TransportStats};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// Frames that wait in each direction of a connection, at most: at the largest size 4 MiB.
const QUEUE: usize = 64;
/// Refusals that wait to be taken, at most.
const REFUSALS: usize = 16;

pub(crate) type LinkId = u64;

#[derive(Default)]
pub(crate) struct State {
    links: BTreeMap<NodeId, Link>,
    /// Events, each frame with its place in the queue of its connection.
    events: VecDeque<(TransportEvent, Option<OwnedSemaphorePermit>)>,
    closed: bool,
    /// Connections whose task is not over.
    running: usize,
    next: LinkId,
    stats: TransportStats,
    event_waker: Option<Waker>,
    close_waker: Option<Waker>,
    wakers: Vec<Waker>,
}

struct Link {
    id: LinkId,
    outbox: mpsc::Sender<Bytes>,
    goodbye: watch::Sender<Option<String>>,
    /// `send` answered `Full`, and no `Writable` was queued since.
    waits: bool,
    /// A `Writable` is among the events.
    told: bool,
}

/// A connection's place, for its task.
pub(crate) struct Slot {
    pub(crate) id: LinkId,
    pub(crate) outbox: mpsc::Receiver<Bytes>,
    /// Set to the reason when the connection is to be ended with one.
    pub(crate) goodbye: watch::Receiver<Option<String>>,
    pub(crate) inbox: Arc<Semaphore>,
}

impl State {
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    pub(crate) fn is_connected(&self, peer: &NodeId) -> bool {
        self.links.contains_key(peer)
    }

    /// Admits a connection if no other one stands; for the node that decides.
    pub(crate) fn decide(&mut self, peer: &NodeId) -> Option<Slot> {
        match self.is_connected(peer) {
            true => None,
            false => self.admit(peer),
        }
    }

    /// Admits a connection that the peer decided for; another one must be dead.
    pub(crate) fn follow(&mut self, peer: &NodeId) -> Option<Slot> {
        self.disconnect(peer, "the peer has made another connection");
        self.admit(peer)
    }

    fn admit(&mut self, peer: &NodeId) -> Option<Slot> {
        // Not before the application took the end of the former one: that bounds the events.
        let lost = |event: &TransportEvent| matches!(event, TransportEvent::Disconnected { peer: whose, .. } if whose == peer);
        if self.closed || self.events.iter().any(|(event, _)| lost(event)) {
            return None;
        }
        let (outbox, frames) = mpsc::channel(QUEUE);
        let (goodbye, reason) = watch::channel(None);
        let id = self.next;
        self.next += 1;
        self.running += 1;
        let link = Link {
            id,
            outbox,
            goodbye,
            waits: false,
            told: false,
        };
        self.links.insert(peer.clone(), link);
        self.push(TransportEvent::Connected { peer: peer.clone() }, None);
        Some(Slot {
            id,
            outbox: frames,
            goodbye: reason,
            inbox: Arc::new(Semaphore::new(QUEUE)),
        })
    }

    pub(crate) fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        let link = self.links.get_mut(peer).ok_or(SendError::NotConnected)?;
        let length = frame.len() as u64;
        match link.outbox.try_send(frame) {
            Ok(()) => {
                self.stats.frames_sent += 1;
                self.stats.bytes_sent += length;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                link.waits = true;
                Err(SendError::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SendError::NotConnected),
        }
    }

    /// The writer took a frame: tells the sender if it waits and half of the queue is free.
    pub(crate) fn taken(&mut self, peer: &NodeId, id: LinkId) {
        let Some(link) = self.links.get_mut(peer).filter(|link| link.id == id) else {
            return;
        };
        let room = link.outbox.capacity() >= QUEUE / 2;
        if room && std::mem::take(&mut link.waits) && !link.told {
            link.told = true;
            self.push(TransportEvent::Writable { peer: peer.clone() }, None);
        }
    }

    /// Queues a received frame; that of a connection which no longer stands is dropped.
    pub(crate) fn receive(
        &mut self,
        peer: &NodeId,
        id: LinkId,
        frame: Bytes,
        place: OwnedSemaphorePermit,
    ) {
        if self.links.get(peer).is_some_and(|link| link.id == id) {
            let peer = peer.clone();
            self.push(TransportEvent::Frame { peer, frame }, Some(place));
        }
    }

    pub(crate) fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        if let Some(link) = self.links.get(peer) {
            link.goodbye.send_replace(Some(reason.to_owned()));
            let id = link.id;
            self.end(peer, id, reason);
        }
    }

    /// Forgets a connection and tells the application; does nothing the second time.
    pub(crate) fn end(&mut self, peer: &NodeId, id: LinkId, reason: &str) {
        if self.links.get(peer).is_some_and(|link| link.id == id) {
            self.links.remove(peer);
            let (peer, reason) = (peer.clone(), reason.to_owned());
            self.push(TransportEvent::Disconnected { peer, reason }, None);
        }
    }

    /// The task of a connection is over.
    pub(crate) fn finish(&mut self, peer: &NodeId, id: LinkId) {
        self.end(peer, id, "the connection was given up");
        self.running -= 1;
        if self.running == 0 && self.closed {
            self.wakers.extend(self.close_waker.take());
        }
    }

    pub(crate) fn refuse(&mut self, whom: String, reason: String) {
        let refused = |event: &TransportEvent| matches!(event, TransportEvent::Refused { .. });
        let waiting = self.events.iter().filter(|(event, _)| refused(event));
        if !self.closed && waiting.count() < REFUSALS {
            self.push(TransportEvent::Refused { whom, reason }, None);
        }
    }

    pub(crate) fn poll_event(&mut self, cx: &Context<'_>) -> Poll<TransportEvent> {
        while let Some((event, _)) = self.events.pop_front() {
            match &event {
                TransportEvent::Frame { frame, .. } => {
                    self.stats.frames_received += 1;
                    self.stats.bytes_received += frame.len() as u64;
                }
                TransportEvent::Writable { peer } => {
                    // If the connection is gone, its end comes next; if its queue was full again,
                    // another `Writable` comes.
                    let Some(link) = self.links.get_mut(peer) else {
                        continue;
                    };
                    link.told = false;
                    if link.waits {
                        continue;
                    }
                }
                _ => {}
            }
            return Poll::Ready(event);
        }
        self.event_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Admits and delivers nothing more, and lets the writers finish.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.events.clear();
        // Without its sender, a writer ends when it has written everything.
        self.links.clear();
        if self.running == 0 {
            self.wakers.extend(self.close_waker.take());
        }
    }

    pub(crate) fn poll_closed(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.closed && self.running == 0 {
            return Poll::Ready(());
        }
        self.close_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn stats(&self) -> TransportStats {
        self.stats
    }

    fn push(&mut self, event: TransportEvent, place: Option<OwnedSemaphorePermit>) {
        self.events.push_back((event, place));
        self.wakers.extend(self.event_waker.take());
    }
}
