//! The task that runs a replica: between its transport, its clock and its subscribers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use crdt_core::Name;
use dd_gossip::{Changed, Event, NodeId, SendError, Time, TransportEvent};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::error::StopError;
use crate::repair::Repairs;
use crate::store::{Inner, MAX_CONFLICTS, MAX_REFUSALS, wall};
use crate::wire::{Wire, WireEvent};

/// Inputs that are handled before others get a turn.
const BATCH: usize = 64;
/// Bytes of frames that are sent or taken in one go, at most by a frame more: what else there is to do waits no
/// longer than that takes.
const GO: usize = 64 * 1024;
/// What is due so soon is not waited for: a timer would ring up to a millisecond too late.
const SOON: Duration = Duration::from_micros(100);
/// How old the round trips are that the status has, while something happens.
const ROUND_TRIPS: Duration = Duration::from_millis(100);

pub(crate) struct Driver {
    pub(crate) store: Arc<Inner>,
    pub(crate) wire: Wire,
    stop: watch::Receiver<bool>,
    stop_timeout: Duration,
    /// Connected peers, with the frame that did not fit last.
    pub(crate) peers: BTreeMap<NodeId, Option<Bytes>>,
    /// Something came from others since whoever waits for them was told.
    heard: bool,
    /// When the round trips are to be asked for again.
    round_trips_at: Time,
    timer: Pin<Box<Sleep>>,
    /// There was more to send than in one go, or something else is due soon.
    more: bool,
    /// Whose turn it is then.
    next: Option<NodeId>,
    pub(crate) repairs: Repairs,
}

/// What woke the driver.
enum Woken {
    Wire(WireEvent),
    Work,
    Stop,
}

impl Driver {
    pub(crate) fn new(
        store: Arc<Inner>,
        wire: Wire,
        stop: watch::Receiver<bool>,
        stop_timeout: Duration,
    ) -> Self {
        let now = store.now();
        let connected = wire.connected().iter().cloned();
        let peers: BTreeMap<_, _> = connected.map(|peer| (peer, None)).collect();
        let members = wire.members();
        let mut replica = store.replica.write();
        replica.set_members(now, &members);
        for peer in peers.keys() {
            replica.handle_connected(now, peer);
        }
        drop(replica);
        *store.members.lock() = members;
        // The transport says once what a seed says each time.
        *store.refusals.lock() = wire.refusals();
        Self {
            store,
            wire,
            stop,
            stop_timeout,
            peers,
            heard: false,
            round_trips_at: Time::ZERO,
            timer: Box::pin(sleep_until(Instant::now())),
            more: false,
            next: None,
            repairs: Repairs::default(),
        }
    }

    /// Runs until it is told to stop, then hands over what peers lack.
    pub(crate) async fn run(mut self) -> Result<(), StopError> {
        tracing::info!(node = %self.store.node, replica = %self.store.replica_id(), "store started");
        loop {
            self.turn();
            match self.wait().await {
                Woken::Wire(event) => {
                    self.input(event);
                    self.drain().await;
                }
                Woken::Work => {}
                Woken::Stop => break,
            }
        }
        let result = self.shut_down().await;
        tracing::info!(node = %self.store.node, clean = result.is_ok(), "store stopped");
        result
    }

    /// Does what is due and sends what there is to send.
    fn turn(&mut self) {
        let now = self.store.now();
        let mut replica = self.store.replica.write();
        replica.set_wall(now, wall());
        if replica.poll_timeout() <= now {
            replica.handle_timeout(now);
        }
        let soon = replica.poll_timeout() <= now + SOON;
        drop(replica);
        self.more = self.transmit(now) || soon;
        self.tell();
        self.store.standby.sweep();
        if std::mem::take(&mut self.heard) {
            self.store.progress.notify_waiters();
        }
        let transport = self.wire.transport();
        *self.store.transport_stats.lock() = transport.stats();
        if now >= self.round_trips_at {
            self.round_trips_at = now + ROUND_TRIPS;
            let round_trip = |peer| Some((Clone::clone(peer), transport.round_trip(peer)?));
            *self.store.round_trips.lock() = self.peers.keys().filter_map(round_trip).collect();
        }
    }

    async fn wait(&mut self) -> Woken {
        let due = self.store.sleep();
        let due = self.store.instant(due);
        // Setting a timer costs more than waking too early now and then: what is due mostly moves away.
        if self.timer.is_elapsed() || due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        let (wire, timer, more) = (&mut self.wire, &mut self.timer, self.more);
        let woken = tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => Woken::Stop,
            event = poll_fn(|cx| wire.poll_event(cx)) => Woken::Wire(event),
            () = self.store.work.notified() => Woken::Work,
            () = poll_fn(|cx| timer.as_mut().poll(cx)) => Woken::Work,
            // After the transport's own tasks had their turn.
            () = tokio::task::yield_now(), if more => Woken::Work,
        };
        self.store.awake();
        woken
    }

    /// Takes what has come in the meantime, without waiting.
    async fn drain(&mut self) {
        let mut bytes = 0;
        for _ in 0..BATCH {
            if bytes >= GO {
                break;
            }
            let wire = &mut self.wire;
            let event = poll_fn(|cx| match wire.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                Poll::Pending => Poll::Ready(None),
            });
            match event.await {
                Some(event) => {
                    if let WireEvent::Transport(TransportEvent::Frame { frame, .. }) = &event {
                        bytes += frame.len();
                    }
                    self.input(event);
                }
                None => break,
            }
        }
    }

    fn input(&mut self, event: WireEvent) {
        self.heard = true;
        let now = self.store.now();
        let event = match event {
            WireEvent::Transport(event) => event,
            WireEvent::Members => {
                let members = self.wire.members();
                self.store.replica.write().set_members(now, &members);
                *self.store.members.lock() = members;
                return;
            }
        };
        match event {
            TransportEvent::Connected { peer } => {
                tracing::info!(node = %self.store.node, %peer, "peer connected");
                self.store.replica.write().handle_connected(now, &peer);
                self.peers.insert(peer, None);
                self.round_trips_at = now;
                if let Some(damage) = self.repairs.waits.take() {
                    self.repair(damage);
                }
            }
            TransportEvent::Disconnected { peer, reason } => {
                tracing::info!(node = %self.store.node, %peer, reason, "peer disconnected");
                self.store.replica.write().handle_disconnected(now, &peer);
                self.peers.remove(&peer);
                self.round_trips_at = now;
            }
            TransportEvent::Frame { peer, frame } => {
                let handled = self.store.replica.write().handle_frame(now, &peer, &frame);
                if let Err(error) = handled {
                    let reason = error.to_string();
                    self.wire.transport().disconnect(&peer, &reason);
                    self.note_refusal(peer.to_string(), reason);
                }
            }
            TransportEvent::Writable { peer } => {
                if let Some(Some(frame)) = self.peers.insert(peer.clone(), None) {
                    self.send(&peer, frame);
                }
            }
            TransportEvent::Refused { whom, reason } => {
                tracing::warn!(node = %self.store.node, whom, reason, "refused");
                self.note_refusal(whom, reason);
            }
            other => tracing::debug!(?other, "an event of a later transport"),
        }
    }

    fn note_refusal(&self, whom: String, reason: String) {
        let mut refusals = self.store.refusals.lock();
        if refusals.len() == MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back((whom, reason));
    }

    /// Sends to every peer that takes it what the replica has for it, in turn, as much as may be sent in one go.
    /// Returns whether there may be more.
    fn transmit(&mut self, now: Time) -> bool {
        let ready = self.peers.iter().filter(|(_, waiting)| waiting.is_none());
        let mut ready: VecDeque<NodeId> = ready.map(|(peer, _)| peer.clone()).collect();
        // Where the turn before ended.
        if let Some(next) = self.next.take() {
            let before = ready.partition_point(|peer| *peer < next);
            ready.rotate_left(before);
        }
        let mut bytes = 0;
        while let Some(peer) = ready.pop_front() {
            if bytes >= GO {
                self.next = Some(peer);
                return true;
            }
            let frame = self.store.replica.write().poll_transmit(now, &peer);
            let Some(frame) = frame else { continue };
            bytes += frame.len();
            if self.send(&peer, frame) {
                ready.push_back(peer);
            }
        }
        false
    }

    /// Returns whether the peer takes more.
    fn send(&mut self, peer: &NodeId, frame: Bytes) -> bool {
        match self.wire.transport().send(peer, frame.clone()) {
            Ok(()) => true,
            Err(SendError::Full) => {
                self.peers.insert(peer.clone(), Some(frame));
                false
            }
            // Its `Disconnected` is on the way.
            Err(error) => {
                tracing::debug!(%peer, %error, "a frame was not taken");
                false
            }
        }
    }

    /// Tells subscribers and whoever waits what has happened.
    fn tell(&mut self) {
        loop {
            // Held, so that whoever asks finds a conflict there or among what was not told.
            let mut conflicts = self.store.conflicts.lock();
            let event = self.store.replica.write().poll_event();
            if let Some(Event::Changed(changed)) = &event {
                self.note_conflicts(&mut conflicts, changed);
            }
            drop(conflicts);
            match event {
                None => break,
                Some(Event::Changed(changed)) => {
                    if !self.repairs.under_way {
                        self.store.subscribers.changed(&changed);
                    }
                }
                Some(Event::CaughtUp) => self.caught_up(),
                Some(Event::Damaged(damage)) => self.repair(damage),
                Some(Event::PeerUp(peer)) => {
                    tracing::debug!(node = %self.store.node, %peer, "peer is up");
                }
                Some(Event::PeerDown(peer)) => {
                    tracing::debug!(node = %self.store.node, %peer, "peer is down");
                }
                Some(Event::Diverged(peer)) => {
                    tracing::error!(
                        node = %self.store.node,
                        %peer,
                        "equal contexts with unequal state: this replica's memory or the peer's is damaged"
                    );
                    let mut diverged = self.store.diverged.lock();
                    diverged.entry(peer).or_insert_with(SystemTime::now);
                }
                Some(other) => tracing::debug!(?other, "an event of a later replica"),
            }
        }
    }

    /// Reports keys that hold values of more than one type.
    fn note_conflicts(&self, known: &mut BTreeSet<Name>, changed: &Changed) {
        let Changed::Keys(keys) = changed else { return };
        let replica = self.store.replica.read();
        let shapes = |key: &Name| replica.shapes(key);
        let conflicts: Vec<_> = keys
            .keys()
            .filter(|key| replica.has_several_shapes(key))
            .map(|key| (key, shapes(key)))
            .collect();
        // New ones take the places of those that are none any more.
        if known.len() + conflicts.len() > MAX_CONFLICTS {
            known.retain(|key| replica.has_several_shapes(key));
        }
        drop(replica);
        for (key, shapes) in conflicts {
            let is_new = known.len() < MAX_CONFLICTS && known.insert(key.clone());
            if is_new {
                let key = String::from_utf8_lossy(key);
                tracing::warn!(%key, ?shapes, "a key is used with more than one type; both are kept");
            }
        }
    }

    /// Pushes what was written last, and closes the transport.
    async fn shut_down(&mut self) -> Result<(), StopError> {
        let deadline = Instant::now() + self.stop_timeout;
        let flushed = timeout_at(deadline, self.flush()).await.is_ok();
        self.wire.transport().close();
        let transport = self.wire.transport();
        let closed = timeout_at(deadline, poll_fn(|cx| transport.poll_closed(cx)))
            .await
            .is_ok();
        self.store.subscribers.close();
        self.store.ready.send_modify(|_| {});
        if flushed && closed {
            Ok(())
        } else {
            Err(StopError::TimedOut)
        }
    }

    /// Goes on until every connected peer was sent all own writes.
    async fn flush(&mut self) {
        loop {
            let now = self.store.now();
            self.store.replica.write().flush_now(now);
            if self.transmit(now) {
                tokio::task::yield_now().await;
                continue;
            }
            let waiting = self.peers.values().any(Option::is_some);
            let sent = self
                .peers
                .keys()
                .all(|peer| self.store.replica.read().has_sent_all(peer));
            if sent && !waiting {
                return;
            }
            let wire = &mut self.wire;
            let event = poll_fn(|cx| wire.poll_event(cx)).await;
            self.input(event);
        }
    }
}

impl Drop for Driver {
    /// Also when the runtime aborts the task, callers are told.
    fn drop(&mut self) {
        self.store.stopped.store(true, Ordering::Release);
        self.store.subscribers.close();
        self.store.ready.send_modify(|_| {});
        self.store.progress.notify_waiters();
    }
}
