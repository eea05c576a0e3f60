//! The replica: a state machine that is told what happens and asked what to do.
//!
//! No clock, no randomness of its own, no threads, no I/O. Inputs are `handle_*` and the local calls;
//! outputs are `poll_*`. Same inputs, times and seed: same outputs.

mod expiry;
mod forgetting;
mod local;
mod members;
mod owned;
mod protocol;
mod quorum;
mod sealing;
mod self_check;
mod sharing;
mod status;
mod transaction;
mod transmit;
mod upkeep;

use std::collections::BTreeMap;
use std::fmt;

use crdt_core::kernel::DotStore;
use crdt_core::{HybridClock, ReplicaId};

use crate::changes::Changed;
use crate::config::Config;
use crate::draft::Draft;
use crate::fingerprint::Hashes;
use crate::frame::SessionKind;
use crate::key_space::KeySpace;
use crate::peer::{Peer, Process};
use crate::rng::Rng;
use crate::time::Time;
use crate::traffic::TrafficByKind;
use crate::{FrameError, NodeId};

pub(crate) use expiry::DEADLINE;
pub use expiry::{MAX_IDLE, MAX_IDLE_FAMILIES, MIN_IDLE};
pub use forgetting::{MAX_RECORDS, MAX_TRANSACTIONS, RecordsAwaited};
pub(crate) use local::user_keys;
pub use local::{UpdateError, check_key};
pub use owned::{MAX_FAMILIES, MAX_FAMILY};
pub use quorum::{Confirm, MAX_BARRIERS, Refresh, TooManyBarriers};
pub use self_check::Damage;
pub use sharing::{MAX_SOURCES, SHARES};
pub use status::{PeerStatus, Status};
pub use transaction::Transaction;
pub use transmit::MAX_FLUSH_EVENTS;

/// A replica of the store, without I/O.
///
/// # How to drive it
///
/// A driver owns a replica, a clock and a transport, and loops:
///
/// 1. Hand in what happened: local calls, [`handle_connected`](Self::handle_connected),
///    [`handle_frame`](Self::handle_frame), [`handle_disconnected`](Self::handle_disconnected), and
///    [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) is over.
/// 2. For every connected peer whose transport takes more, send what
///    [`poll_transmit`](Self::poll_transmit) gives, until it gives nothing. A peer that takes no more
///    is simply not asked for: frames are made on demand, nothing piles up.
/// 3. Tell subscribers what [`poll_event`](Self::poll_event) gives.
/// 4. Wait for the next input, or until [`poll_timeout`](Self::poll_timeout).
///
/// After an error from [`handle_frame`](Self::handle_frame) the driver ends the connection; the
/// frame changed nothing.
#[derive(Debug)]
pub struct Replica {
    config: Config,
    hashes: Hashes,
    keys: KeySpace,
    clock: HybridClock,
    rng: Rng,
    peers: BTreeMap<NodeId, Peer>,
    exchange_at: Time,
    exchange_wait: std::time::Duration,
    forgetting: forgetting::Forgetting,
    caught_up: bool,
    sharing: sharing::Sharing,
    draft: Option<Draft>,
    quorum: quorum::Quorum,
    owned: owned::Owned,
    expiry: expiry::Expiry,
    sealing: sealing::Sealing,
    self_check: self_check::SelfCheck,
    events: std::collections::VecDeque<Event>,
    counts: Counts,
}

/// Events that are kept until they are asked for, at most; later ones are dropped and counted.
/// Changes of keys are not among them: those are never lost.
pub const MAX_EVENTS: usize = 1024;

/// Something that happened, for whoever drives the replica.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Values of keys changed, here or by what came in.
    Changed(Changed),
    /// A peer can be talked to.
    PeerUp(NodeId),
    /// A peer is gone.
    PeerDown(NodeId),
    /// The first catch-up is done: what peers had when this replica met them is here.
    CaughtUp,
    /// A peer with an equal context has another state: a fault in this replica or in the peer.
    Diverged(NodeId),
    /// This replica has found itself damaged. It has to be made anew: see [`Replica::reborn`].
    Damaged(Damage),
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Frames sent.
    pub frames_sent: u64,
    /// Bytes of frames sent.
    pub bytes_sent: u64,
    /// Frames received and accepted.
    pub frames_received: u64,
    /// Bytes of frames received and accepted.
    pub bytes_received: u64,
    /// What was sent, by kind of frame.
    pub sent: TrafficByKind,
    /// What was received and accepted, by kind of frame.
    pub received: TrafficByKind,
    /// Frames refused as errors of a peer.
    pub frames_refused: u64,
    /// Exchanges sent to their end.
    pub exchanges_sent: u64,
    /// How often an exchange went on from what had been written here meanwhile.
    pub exchanges_renewed: u64,
    /// Flushes sent to their end.
    pub flushes_sent: u64,
    /// Full comparisons sent to their end.
    pub comparisons_sent: u64,
    /// Events with what they brought that came in all of these, removals too.
    pub events_received: u64,
    /// Those of them that were here already.
    pub events_known: u64,
    /// Exchanges taken over.
    pub exchanges_received: u64,
    /// Shares of what there is that came to their end.
    pub shares_received: u64,
    /// Flushes applied.
    pub flushes_received: u64,
    /// Full comparisons committed.
    pub comparisons_received: u64,
    /// Sessions that broke because frames were missing, and were asked for anew.
    pub sessions_broken: u64,
    /// Exchanges that ended before they were complete, here as the receiver.
    pub exchanges_cut: u64,
    /// Full comparisons that ended before they were complete, here as the receiver.
    pub comparisons_cut: u64,
    /// Ranges of events of which fingerprints came to be compared, in full comparisons.
    pub ranges_compared: u64,
    /// Removal records forgotten.
    pub records_forgotten: u64,
    /// Transactions forgotten.
    pub transactions_forgotten: u64,
    /// Times that everything live was summed up and compared.
    pub scrubs: u64,
    /// Events that were dropped because nobody asked for them.
    pub events_dropped: u64,
}

impl Counts {
    /// What was being received of this kind ended early.
    fn cut(&mut self, kind: Option<SessionKind>) {
        match kind {
            Some(SessionKind::Exchange) => self.exchanges_cut += 1,
            Some(SessionKind::Comparison) => self.comparisons_cut += 1,
            Some(SessionKind::Flush) | None => {}
        }
    }
}

impl Replica {
    /// An empty replica.
    pub fn new(config: Config, now: Time) -> Self {
        Self::restore(config, DotStore::new(), now)
    }

    /// A replica that begins with a state that was kept, under a new incarnation: the replica id
    /// and the nonce in `config` must never have been used.
    pub fn restore(config: Config, state: DotStore, now: Time) -> Self {
        let hashes = Hashes::new(&config.cluster);
        let mut rng = Rng::new(config.seed ^ config.nonce);
        let peer = |node: &NodeId| (node.clone(), Peer::new(node.clone(), true, now));
        let peers: BTreeMap<NodeId, Peer> = config
            .peers
            .iter()
            .filter(|node| **node != config.node)
            .map(peer)
            .collect();
        let exchange_wait = config.timing.exchange;
        let mut replica = Self {
            keys: KeySpace::restore(state, hashes),
            hashes,
            clock: HybridClock::default(),
            exchange_at: now + rng.spread(exchange_wait),
            exchange_wait,
            rng,
            caught_up: peers.is_empty(),
            sharing: Default::default(),
            draft: None,
            peers,
            forgetting: Default::default(),
            quorum: quorum::Quorum::new(config.bootstrap),
            owned: Default::default(),
            expiry: Default::default(),
            sealing: sealing::Sealing::new(now + config.timing.seal),
            self_check: self_check::SelfCheck::new(now + config.timing.scrub),
            events: Default::default(),
            counts: Counts::default(),
            config,
        };
        replica.begin_owned();
        replica.begin_expiry(now);
        replica.mark_keys();
        replica.drop_what_a_former_process_owned(now);
        replica.recover();
        replica
    }

    /// The state, to be kept. O(1).
    pub fn state(&self) -> DotStore {
        self.keys.store().clone()
    }

    /// A copy for tools that try everything that could happen next, with counts of zero. Of the two only one
    /// may go on in earnest: both write under one id.
    pub fn fork(&self) -> Self {
        Self {
            config: self.config.clone(),
            hashes: self.hashes,
            keys: self.keys.clone(),
            clock: self.clock,
            rng: self.rng.clone(),
            peers: self.peers.clone(),
            exchange_at: self.exchange_at,
            exchange_wait: self.exchange_wait,
            forgetting: self.forgetting.clone(),
            caught_up: self.caught_up,
            sharing: self.sharing,
            draft: self.draft.clone(),
            quorum: self.quorum.clone(),
            owned: self.owned.clone(),
            expiry: self.expiry.clone(),
            sealing: self.sealing.clone(),
            self_check: self.self_check.clone(),
            events: self.events.clone(),
            counts: Counts::default(),
        }
    }

    /// Writes everything that what this replica does next depends on, so that tools can tell states apart: what
    /// it holds, how it stands with each peer, its timers. Without counts, settings, what is derived, and the
    /// keys that are noted for families of owned and of idle ones.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_state(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_store(self.keys.store(), out)?;
        if let Some(draft) = &self.draft {
            write_store(draft.store(), out)?;
            write!(out, "{}", draft.is_closed())?;
        }
        let (id, nonce) = (self.config.replica, self.config.nonce);
        let timers = (self.exchange_at, self.exchange_wait, &self.forgetting);
        let (expiry, sealing) = (&self.expiry, &self.sealing);
        write!(out, "{id:?}{nonce}{timers:?}{:?}", self.rng)?;
        let caught_up = (self.caught_up, self.sharing);
        write!(out, "{:?}{caught_up:?}{:?}", self.clock, self.peers)?;
        write!(
            out,
            "{:?}{:?}{expiry:?}{sealing:?}",
            self.quorum, self.owned
        )?;
        write!(out, "{:?}{:?}", self.self_check, self.events)
    }

    /// The id under which this replica writes.
    pub fn replica_id(&self) -> ReplicaId {
        self.config.replica
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.config.node
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the first catch-up is done.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.keys.has_changed() {
            return Some(Event::Changed(self.keys.take_changed()));
        }
        self.events.pop_front()
    }

    fn emit(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.counts.events_dropped += 1;
        }
    }

    fn process(&mut self, node: &NodeId) -> Result<&mut Process, FrameError> {
        let peer = self.peers.get_mut(node).ok_or(FrameError::NotConnected)?;
        peer.process.as_mut().ok_or(FrameError::NotConnected)
    }
}

fn write_store(store: &DotStore, out: &mut impl fmt::Write) -> fmt::Result {
    let mut result = Ok(());
    store.root().visit(&mut Vec::new(), &mut |path, entry| {
        result = result.and_then(|()| write!(out, "{path:?}{entry:?}"));
    });
    result?;
    for (path, record) in store.records() {
        write!(out, "{path:?}{record:?}")?;
    }
    for link in store.links() {
        write!(out, "{link:?}")?;
    }
    write!(out, "{:?}{:?}", store.context(), store.floor())
}

#[cfg(test)]
mod tests {
    use crdt_core::LwwRegister;

    use super::*;
    use crate::incoming::LARGE;
    use crate::{MAX_CHUNK, MAX_PART, MIN_SHARED, Timing};
    use crdt_core::Limits;

    #[test]
    fn readers_are_shown_what_there_is_while_a_large_message_is_made_and_taken_in() {
        for (bytes, shown) in [(LARGE / 2, 0), (LARGE + MAX_CHUNK, 1)] {
            let names: [NodeId; 2] = ["a", "b"].map(|name| name.parse().unwrap());
            let mut nodes = [0, 1].map(|at: usize| {
                let config = Config {
                    cluster: "shop".parse().unwrap(),
                    node: names[at].clone(),
                    replica: ReplicaId::new(at as u64 + 1, 1),
                    nonce: at as u64 + 1,
                    seed: 1,
                    peers: names.to_vec(),
                    bootstrap: false,
                    timing: Timing::default(),
                    limits: Limits::default(),
                    chunk: MAX_CHUNK,
                    shared: MIN_SHARED,
                    part: MAX_PART,
                };
                Replica::new(config, Time::ZERO)
            });
            let set = |register: &mut crdt_core::LwwRegisterEdit<'_, Vec<u8>>| {
                register.set(&vec![7; bytes]);
                Ok::<_, UpdateError>(())
            };
            nodes[0]
                .update::<LwwRegister<Vec<u8>>, _, _>(Time::ZERO, 1, b"blob", set)
                .unwrap();
            (0..2).for_each(|at| nodes[at].handle_connected(Time::ZERO, &names[1 - at]));
            while nodes[0].context() != nodes[1].context() {
                for at in 0..2 {
                    while let Some(frame) = nodes[at].poll_transmit(Time::ZERO, &names[1 - at]) {
                        nodes[1 - at]
                            .handle_frame(Time::ZERO, &names[at], &frame)
                            .unwrap();
                    }
                }
            }
            assert!(nodes[0].standby().shown() > 0);
            assert_eq!(nodes[1].standby().shown(), shown);
            assert!(nodes.iter().all(|node| node.standby().view().is_none()));
        }
    }
}
