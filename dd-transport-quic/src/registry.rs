//! Everything that the transport and its tasks share, changed under one lock: which connections
//! stand, their queues, and the events in order.
//!
//! Because a frame is queued as an event only while its connection stands, and a connection is
//! removed and its `Disconnected` queued in one step, nothing of a former connection comes after
//! its `Disconnected`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{NodeId, SendError, TransportEvent, TransportStats};
use quinn::{Connection, SendDatagramError};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::QuicConfig;
use crate::close_code::CloseCode;
use crate::event_queue::{Event, EventQueue};
use crate::hello::Confirmation;
use crate::link_state::{LinkId, LinkState, LinkWakers};

/// Connects and disconnects that may wait to be taken, for each connection allowed. Beyond that no
/// connection is admitted until the application reads its events.
const WAITING_CHANGES: usize = 4;
/// Confirmations, and processes that gave way, remembered for each connection allowed. A forgotten confirmation costs a
/// peer at most an idle timeout.
const REMEMBERED: usize = 4;

#[derive(Debug)]
pub(crate) struct Registry {
    config: QuicConfig,
    own: NodeId,
    /// A random number of this process.
    process: u64,
    pub(crate) closed: bool,
    pub(crate) done: bool,
    links: HashMap<LinkId, LinkState>,
    standing: BTreeMap<NodeId, LinkId>,
    confirmed: BTreeMap<NodeId, Confirmation>,
    /// The process of each peer whose connection gave way to another process last.
    replaced: BTreeMap<NodeId, u64>,
    next_link: LinkId,
    next_number: u64,
    events: EventQueue,
    pub(crate) event_waker: Option<Waker>,
    pub(crate) closed_waker: Option<Waker>,
    /// Held by each writer: the last one gone means that everything was flushed.
    writers: Option<mpsc::Sender<()>>,
    stats: TransportStats,
    /// Set whenever a connection came or went; cleared by whoever tells the diallers.
    pub(crate) changed: bool,
}

/// The outcome of a greeting.
#[derive(Debug)]
pub(crate) enum Verdict {
    Stands(Admitted),
    /// Another connection of the pair stands.
    Duplicate,
    /// A limit is reached.
    Busy(&'static str),
    /// This transport is closing.
    Closed,
}

/// What the tasks of an admitted connection need.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) link: LinkId,
    pub(crate) number: u64,
    pub(crate) wakers: LinkWakers,
    pub(crate) writer: mpsc::Sender<()>,
}

/// What a dialler finds when it wants to dial.
#[derive(Debug)]
pub(crate) enum DialState {
    /// A connection stands already.
    Standing,
    /// This transport is closing.
    Closed,
    /// Dial, and tell the peer that this was its last confirmation.
    Free(Confirmation),
}

/// What became of received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All are queued, or discarded because this transport is closing.
    Taken,
    /// The rest must wait until the reader is woken.
    Full,
    /// The connection no longer stands.
    Gone,
}

/// What a writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteStep {
    /// Write the batch.
    Write,
    /// Wait to be woken.
    Wait,
    /// Finish the stream; nothing more will come.
    Finish,
    /// The connection no longer stands.
    Gone,
}

impl Registry {
    pub(crate) fn new(
        config: QuicConfig,
        own: NodeId,
        process: u64,
        writers: mpsc::Sender<()>,
    ) -> Self {
        Self {
            config,
            own,
            process,
            closed: false,
            done: false,
            links: HashMap::new(),
            standing: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            replaced: BTreeMap::new(),
            next_link: 0,
            next_number: 0,
            events: EventQueue::default(),
            event_waker: None,
            closed_waker: None,
            writers: Some(writers),
            stats: TransportStats::default(),
            changed: false,
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(crate) fn is_standing(&self, peer: &NodeId) -> bool {
        self.standing.contains_key(peer)
    }

    pub(crate) fn has_connections(&self) -> bool {
        !self.standing.is_empty()
    }

    /// Whether a connection with whoever is at this address stands.
    pub(crate) fn is_connected_to(&self, address: SocketAddr) -> bool {
        let mut links = self.links.values();
        links.any(|link| link.connection.remote_address() == address)
    }

    /// The state at the beginning of an attempt. That no connection stands and what was confirmed
    /// last is read in one step: only so may the peer conclude that the confirmed one is dead.
    pub(crate) fn begin_dial(&self, peer: &NodeId) -> DialState {
        if self.closed {
            DialState::Closed
        } else if self.is_standing(peer) {
            DialState::Standing
        } else {
            DialState::Free(self.confirmed.get(peer).copied().unwrap_or_default())
        }
    }

    /// The round trip that QUIC measured on the connection that stands.
    pub(crate) fn round_trip(&self, peer: &NodeId) -> Option<Duration> {
        let link = self.links.get(self.standing.get(peer)?)?;
        Some(link.connection.rtt())
    }

    /// Whether a new connection to this peer would find room.
    pub(crate) fn room_for(&self, peer: &NodeId) -> Result<(), &'static str> {
        if !self.is_standing(peer) && self.standing.len() >= self.config.max_connections {
            return Err("it has max_connections peers already; raise the setting or connect fewer");
        }
        if self.events.changes() >= WAITING_CHANGES * self.config.max_connections {
            return Err("its application does not take its events");
        }
        Ok(())
    }

    /// Decides on an authenticated connection; called on the node with the smaller name.
    pub(crate) fn decide(
        &mut self,
        peer: &NodeId,
        process: u64,
        known: Option<Confirmation>,
        connection: &Connection,
    ) -> Verdict {
        if self.closed {
            return Verdict::Closed;
        }
        if let Some(old) = self
            .standing
            .get(peer)
            .and_then(|link| self.links.get(link))
        {
            // A peer that had the standing connection confirmed and dials nevertheless has lost it.
            let lost = known
                .is_some_and(|known| known.process == self.process && known.number >= old.number);
            if old.process == process && !lost && old.connection.close_reason().is_none() {
                return Verdict::Duplicate;
            }
        }
        if let Err(reason) = self.room_for(peer) {
            return Verdict::Busy(reason);
        }
        self.next_number += 1;
        self.admit(peer, process, self.next_number, connection)
    }

    /// Follows the decision of the node with the smaller name.
    pub(crate) fn follow(
        &mut self,
        peer: &NodeId,
        confirmation: Confirmation,
        connection: &Connection,
    ) -> Verdict {
        if self.closed {
            return Verdict::Closed;
        }
        let last = self.confirmed.get(peer).copied().unwrap_or_default();
        // Confirmations on different connections can overtake each other.
        let stale = last.process == confirmation.process && last.number >= confirmation.number;
        if stale || connection.close_reason().is_some() {
            return Verdict::Duplicate;
        }
        if let Err(reason) = self.room_for(peer) {
            return Verdict::Busy(reason);
        }
        if self.confirmed.len() >= REMEMBERED * self.config.max_connections {
            self.confirmed.pop_first();
        }
        self.confirmed.insert(peer.clone(), confirmation);
        self.admit(peer, confirmation.process, confirmation.number, connection)
    }

    fn admit(
        &mut self,
        peer: &NodeId,
        process: u64,
        number: u64,
        connection: &Connection,
    ) -> Verdict {
        let Some(writer) = self.writers.clone() else {
            return Verdict::Closed;
        };
        if let Some(&old) = self.standing.get(peer) {
            let reason = self.why_replaced(peer, old, process);
            self.close_link(old, CloseCode::Replaced, &reason);
        }
        let link = self.next_link;
        self.next_link += 1;
        let state = LinkState::new(peer.clone(), process, number, connection.clone());
        let wakers = state.wakers.clone();
        self.links.insert(link, state);
        self.standing.insert(peer.clone(), link);
        self.changed = true;
        info!(own = %self.own, %peer, address = %connection.remote_address(), "connected");
        self.push_change(TransportEvent::Connected { peer: peer.clone() });
        Verdict::Stands(Admitted {
            link,
            number,
            wakers,
            writer,
        })
    }

    /// Why a connection gives way to one of a process of the same name. A process that restarted is not the former one:
    /// where that comes back there are two.
    fn why_replaced(&mut self, peer: &NodeId, old: LinkId, process: u64) -> String {
        let old = self.links.get(&old).map(|old| old.process);
        let Some(old) = old.filter(|old| *old != process) else {
            return "the peer lost this connection and made a new one".to_owned();
        };
        if self.replaced.len() >= REMEMBERED * self.config.max_connections {
            self.replaced.pop_first();
        }
        if self.replaced.insert(peer.clone(), old) != Some(process) {
            return "the peer restarted; its new connection replaces this one".to_owned();
        }
        let reason = format!(
            "two processes are node {peer} and take each other's place; stop one, or give it a certificate with a \
             name of its own"
        );
        self.refuse(peer.to_string(), reason.clone());
        reason
    }

    /// Closes the connection with a peer whose frames were refused.
    pub(crate) fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        if let Some(&link) = self.standing.get(peer) {
            self.close_link(link, CloseCode::Violation, reason);
        }
    }

    /// Closes the connection with a node that is no peer any more.
    pub(crate) fn forget(&mut self, peer: &NodeId) {
        if let Some(&link) = self.standing.get(peer) {
            self.close_link(link, CloseCode::Bye, "it is no peer any more");
        }
    }

    /// Closes a connection with a code, if it still stands.
    pub(crate) fn close_link(&mut self, link: LinkId, code: CloseCode, reason: &str) {
        if let Some(state) = self.links.get(&link) {
            code.close(&state.connection, reason);
            self.end(link, reason);
        }
    }

    /// Forgets a connection and says so to the application; does nothing the second time.
    pub(crate) fn end(&mut self, link: LinkId, reason: &str) {
        let Some(state) = self.links.remove(&link) else {
            return;
        };
        self.count_wire(&state.connection);
        state.wakers.read.notify_one();
        state.wakers.write.notify_one();
        if self.standing.get(&state.peer) == Some(&link) {
            self.standing.remove(&state.peer);
        }
        self.changed = true;
        info!(own = %self.own, peer = %state.peer, reason, "disconnected");
        let reason = reason.to_owned();
        self.push_change(TransportEvent::Disconnected {
            peer: state.peer,
            reason,
        });
    }

    /// Adds the bytes of a connection that ends to those of former ones.
    pub(crate) fn count_wire(&mut self, connection: &Connection) {
        let stats = connection.stats();
        self.stats.wire_bytes_sent += stats.udp_tx.bytes;
        self.stats.wire_bytes_received += stats.udp_rx.bytes;
    }

    /// Counts since the start, live connections included.
    pub(crate) fn stats(&self) -> TransportStats {
        let mut all = self.stats;
        for link in self.links.values() {
            let stats = link.connection.stats();
            all.wire_bytes_sent += stats.udp_tx.bytes;
            all.wire_bytes_received += stats.udp_rx.bytes;
        }
        all
    }

    pub(crate) fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::NotConnected);
        }
        let link = self
            .standing
            .get(peer)
            .and_then(|link| self.links.get_mut(link));
        let link = link.ok_or(SendError::NotConnected)?;
        let length = frame.len() as u64;
        link.push(frame, &self.config)?;
        self.stats.frames_sent += 1;
        self.stats.bytes_sent += length;
        Ok(())
    }

    /// Hands a frame that may be lost to QUIC as a datagram.
    pub(crate) fn send_lossy(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::NotConnected);
        }
        let link = self
            .standing
            .get(peer)
            .and_then(|link| self.links.get(link));
        let link = link.ok_or(SendError::NotConnected)?;
        let length = frame.len();
        match link.connection.send_datagram(frame) {
            Ok(()) => {
                self.stats.frames_sent += 1;
                self.stats.bytes_sent += length as u64;
                Ok(())
            }
            Err(SendDatagramError::TooLarge) => Err(SendError::Size(length)),
            // It will be said by the reader of the connection.
            Err(_) => Err(SendError::NotConnected),
        }
    }

    /// The next step of a connection's writer; frames to write go into `batch`.
    pub(crate) fn write_step(&mut self, link: LinkId, batch: &mut Vec<Bytes>) -> WriteStep {
        let Some(state) = self.links.get_mut(&link) else {
            return WriteStep::Gone;
        };
        state.take_batch(batch);
        if state.take_writable(&self.config) && !state.writable_queued && !self.closed {
            state.writable_queued = true;
            let event = Event::Writable(link, state.peer.clone());
            self.events.push(event);
        }
        match (batch.is_empty(), self.closed) {
            (false, _) => WriteStep::Write,
            (true, false) => WriteStep::Wait,
            (true, true) => WriteStep::Finish,
        }
    }

    /// From now on so many bytes of frames may wait to be written, if the settings allow as many.
    pub(crate) fn set_queue(&mut self, link: LinkId, bytes: usize) {
        if let Some(state) = self.links.get_mut(&link) {
            state.set_queue(bytes);
        }
    }

    /// Queues received frames as far as there is room.
    pub(crate) fn deliver(&mut self, link: LinkId, frames: &mut VecDeque<Bytes>) -> Delivery {
        let Some(state) = self.links.get_mut(&link) else {
            return Delivery::Gone;
        };
        if self.closed {
            frames.clear();
            return Delivery::Taken;
        }
        while let Some(frame) = frames.front() {
            if !state.admit_received(frame.len(), &self.config) {
                return Delivery::Full;
            }
            if let Some(frame) = frames.pop_front() {
                self.events
                    .push(Event::Frame(link, state.peer.clone(), frame));
            }
        }
        Delivery::Taken
    }

    /// Notes that the peer has finished its stream. Answers whether this transport is closing too,
    /// in which case the writer ends the connection.
    pub(crate) fn peer_finished(&mut self, link: LinkId) -> bool {
        if let Some(state) = self.links.get_mut(&link) {
            state.peer_finished = true;
            state.wakers.write.notify_one();
        }
        self.closed
    }

    /// Whether the peer has finished its stream, or the connection is gone.
    pub(crate) fn is_peer_finished(&self, link: LinkId) -> bool {
        self.links
            .get(&link)
            .is_none_or(|state| state.peer_finished)
    }

    /// Says that somebody was refused; beyond the limit only in the log.
    pub(crate) fn refuse(&mut self, whom: String, reason: String) {
        // Whoever takes the event decides how loud it is.
        debug!(own = %self.own, whom, reason, "refused");
        if !self.closed && self.events.refusals() < self.config.max_refusals {
            self.events
                .push(Event::Refused(TransportEvent::Refused { whom, reason }));
        }
    }

    /// The next event for the application.
    pub(crate) fn next_event(&mut self) -> Option<TransportEvent> {
        loop {
            match self.events.pop()? {
                Event::Change(event) | Event::Refused(event) => return Some(event),
                Event::Frame(link, peer, frame) => {
                    if let Some(state) = self.links.get_mut(&link) {
                        state.release_received(frame.len(), &self.config);
                    }
                    self.stats.frames_received += 1;
                    self.stats.bytes_received += frame.len() as u64;
                    return Some(TransportEvent::Frame { peer, frame });
                }
                Event::Writable(link, peer) => {
                    // If the queue was found full again, a later event will say when there is
                    // room; if the connection went, its Disconnected follows.
                    let Some(state) = self.links.get_mut(&link) else {
                        continue;
                    };
                    state.writable_queued = false;
                    if !state.waits_for_room() {
                        return Some(TransportEvent::Writable { peer });
                    }
                }
            }
        }
    }

    /// Takes no more frames, drops events, and lets the writers finish.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.writers = None;
        self.events = EventQueue::default();
        self.changed = true;
        for link in self.links.values() {
            link.wakers.write.notify_one();
            link.wakers.read.notify_one();
        }
    }

    fn push_change(&mut self, event: TransportEvent) {
        if !self.closed {
            self.events.push(Event::Change(event));
        }
    }
}
