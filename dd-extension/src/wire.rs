//! A node's transport and its membership, driven together.
//!
//! Whoever runs the store polls the wire; while no store runs a small task of the cluster's does
//! ([`idle`]), so that a node is a member from the time it joins.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use bytes::Bytes;
use dd_gossip::{
    Member, Membership, NodeId, SendError, Time, Transport, TransportEvent, membership_frame,
    membership_message,
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::{Duration, Instant, Sleep, sleep_until};

use crate::validity::Certificate;

/// Membership messages that wait for a peer that takes none, at most. Beyond, its connection is ended: when
/// it is back it is told everything anew.
const MAX_WAITING: usize = 64;
/// Refusals that are kept for whoever asks why nobody answers.
const MAX_REFUSALS: usize = 16;

/// The timer is set no further ahead than that.
const FAR: Duration = Duration::from_secs(60 * 60);

/// What happens on a wire, beside membership's own messages.
#[derive(Debug)]
pub(crate) enum WireEvent {
    Transport(TransportEvent),
    /// The members changed.
    Members,
}

/// What the handle of a cluster and its wire have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) members: watch::Sender<Arc<[Member]>>,
    pub(crate) joined: watch::Sender<bool>,
    pub(crate) refusals: Mutex<VecDeque<(String, String)>>,
    pub(crate) certificate: Certificate,
    requests: Mutex<Requests>,
    /// The wire that there is has a clone.
    wired: Arc<()>,
}

#[derive(Debug, Default)]
struct Requests {
    /// Who is told whether this node begins the cluster, and has not joined one before.
    found: Option<oneshot::Sender<bool>>,
    leave: bool,
    remove: Vec<NodeId>,
    waker: Option<Waker>,
}

impl Shared {
    pub(crate) fn new(members: Vec<Member>, joined: bool) -> Arc<Self> {
        Arc::new(Self {
            members: watch::Sender::new(members.into()),
            joined: watch::Sender::new(joined),
            refusals: Mutex::default(),
            certificate: Certificate::default(),
            requests: Mutex::default(),
            wired: Arc::default(),
        })
    }

    /// Whether there is a wire, with whoever drives it.
    pub(crate) fn is_wired(&self) -> bool {
        Arc::strong_count(&self.wired) > 1
    }

    pub(crate) fn found(&self) -> oneshot::Receiver<bool> {
        let (begins, told) = oneshot::channel();
        self.request(|requests| requests.found = Some(begins));
        told
    }

    pub(crate) fn leave(&self) {
        self.request(|requests| requests.leave = true);
    }

    pub(crate) fn remove(&self, node: NodeId) {
        self.request(|requests| requests.remove.push(node));
    }

    /// Nobody is there any more to do what was asked for.
    pub(crate) fn forget_requests(&self) {
        *self.requests.lock() = Requests::default();
    }

    fn request(&self, change: impl FnOnce(&mut Requests)) {
        let waker = {
            let mut requests = self.requests.lock();
            change(&mut requests);
            requests.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn note_refusal(&self, whom: &str, reason: &str) {
        let mut refusals = self.refusals.lock();
        if refusals.len() == MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back((whom.to_owned(), reason.to_owned()));
    }
}

/// A transport and the membership that talks over it.
pub(crate) struct Wire {
    transport: Box<dyn Transport>,
    membership: Box<dyn Membership>,
    shared: Arc<Shared>,
    started: Instant,
    /// Where members are dialled.
    dialled: BTreeMap<NodeId, String>,
    connected: BTreeSet<NodeId>,
    waiting: BTreeMap<NodeId, VecDeque<Bytes>>,
    version: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the certificate is looked at next.
    look: Option<Pin<Box<Sleep>>>,
    /// Dropped when the transport was.
    _wired: Arc<()>,
}

impl Wire {
    /// `dialled`: nodes that the transport was told to connect to.
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        membership: Box<dyn Membership>,
        shared: Arc<Shared>,
        dialled: BTreeMap<NodeId, String>,
    ) -> Self {
        Self {
            transport,
            membership,
            _wired: Arc::clone(&shared.wired),
            shared,
            started: Instant::now(),
            dialled,
            connected: BTreeSet::new(),
            waiting: BTreeMap::new(),
            version: None,
            timer: None,
            look: None,
        }
    }

    pub(crate) fn transport(&mut self) -> &mut dyn Transport {
        self.transport.as_mut()
    }

    /// All that is known of members.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.membership.members()
    }

    /// Who was refused last, and why.
    pub(crate) fn refusals(&self) -> VecDeque<(String, String)> {
        self.shared.refusals.lock().clone()
    }

    /// The peers that are connected: whoever takes the wire over was not told of them.
    pub(crate) fn connected(&self) -> &BTreeSet<NodeId> {
        &self.connected
    }

    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<WireEvent> {
        loop {
            self.do_requests(cx);
            if self.turn() {
                return Poll::Ready(WireEvent::Members);
            }
            match self.transport.poll_event(cx) {
                Poll::Ready(event) => {
                    if let Some(event) = self.absorb(event) {
                        return Poll::Ready(WireEvent::Transport(event));
                    }
                }
                Poll::Pending if self.poll_timer(cx) => {}
                Poll::Pending => {
                    self.watch_certificate(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether something is due by now; if not, the task is woken when it is.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.membership.poll_timeout() else {
            return false;
        };
        // Never is too far for the timer's clock.
        let due = due.since_start().min(self.started.elapsed() + FAR);
        let due = self.started + due;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    /// Says when the certificate runs out soon, and when it has; the task is woken for that.
    fn watch_certificate(&mut self, cx: &mut Context<'_>) {
        let mut certificate = self.shared.certificate.lock();
        let Some(validity) = certificate.as_mut() else {
            return;
        };
        let look = self
            .look
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now())));
        while look.as_mut().poll(cx).is_ready() {
            let pause = validity.look(SystemTime::now());
            look.as_mut().reset(Instant::now() + pause);
        }
    }

    fn now(&self) -> Time {
        Time::from_start(self.started.elapsed())
    }

    fn do_requests(&mut self, cx: &Context<'_>) {
        let (found, leave, remove) = {
            let mut requests = self.shared.requests.lock();
            let waker = requests.waker.as_ref();
            if !waker.is_some_and(|waker| waker.will_wake(cx.waker())) {
                requests.waker = Some(cx.waker().clone());
            }
            let remove = std::mem::take(&mut requests.remove);
            let found = requests.found.take();
            (found, std::mem::take(&mut requests.leave), remove)
        };
        let now = self.now();
        if let Some(begins) = found {
            let is_first = !self.membership.has_joined();
            self.membership.found();
            // Whoever asked may have gone.
            let _ = begins.send(is_first);
        }
        for node in remove {
            self.membership.remove(now, &node);
        }
        if leave {
            self.membership.leave(now);
        }
    }

    /// Does what membership has to do. Returns whether the members changed.
    fn turn(&mut self) -> bool {
        if let Some(at) = self.membership.poll_timeout() {
            let now = self.now();
            if at <= now {
                self.membership.handle_timeout(now);
            }
        }
        while let Some(message) = self.membership.poll_message() {
            let frame = membership_frame(&message.bytes);
            if message.lossy {
                if let Err(error) = self.transport.send_lossy(&message.to, frame) {
                    tracing::trace!(to = %message.to, %error, "a packet is as good as lost");
                }
            } else {
                let waiting = self.waiting.entry(message.to.clone()).or_default();
                waiting.push_back(frame);
                self.send_waiting(&message.to);
            }
        }
        let version = self.membership.version();
        if self.version == Some(version) {
            return false;
        }
        self.version = Some(version);
        self.dial();
        let members = self.membership.members();
        self.shared.members.send_replace(members.into());
        let joined = self.membership.has_joined();
        self.shared.joined.send_if_modified(|before| {
            let changed = *before != joined;
            *before = joined;
            changed
        });
        true
    }

    /// Connects to members where they are, and no more to those that are gone.
    fn dial(&mut self) {
        let own = self.membership.members();
        for member in own {
            let known = self.dialled.get(&member.node);
            if !member.state.is_member() {
                if self.dialled.remove(&member.node).is_some() {
                    self.transport.forget(&member.node);
                }
            } else if !member.address.is_empty() && known != Some(&member.address) {
                // Of this node itself it says that there is nothing to dial.
                match self.transport.connect(&member.node, &member.address) {
                    Ok(()) => {
                        self.dialled.insert(member.node, member.address);
                    }
                    Err(error) => tracing::debug!(node = %member.node, %error, "not dialled"),
                }
            }
        }
    }

    fn send_waiting(&mut self, peer: &NodeId) {
        let Some(waiting) = self.waiting.get_mut(peer) else {
            return;
        };
        while let Some(frame) = waiting.front() {
            match self.transport.send(peer, frame.clone()) {
                Ok(()) => {
                    waiting.pop_front();
                }
                Err(SendError::Full) if waiting.len() <= MAX_WAITING => return,
                Err(SendError::Full) => {
                    let reason = "it takes no messages about membership";
                    self.transport.disconnect(peer, reason);
                    break;
                }
                // Its `Disconnected` is on the way.
                Err(_) => break,
            }
        }
        self.waiting.remove(peer);
    }

    /// Keeps what is membership's.
    fn absorb(&mut self, event: TransportEvent) -> Option<TransportEvent> {
        match &event {
            TransportEvent::Connected { peer } => {
                self.connected.insert(peer.clone());
                self.membership.handle_connected(self.now(), peer);
            }
            TransportEvent::Disconnected { peer, .. } => {
                self.connected.remove(peer);
                self.waiting.remove(peer);
                self.membership.handle_disconnected(self.now(), peer);
            }
            TransportEvent::Writable { peer } => self.send_waiting(peer),
            TransportEvent::Refused { whom, reason } => self.shared.note_refusal(whom, reason),
            TransportEvent::Frame { peer, frame } => {
                let Some(message) = membership_message(frame) else {
                    return Some(event);
                };
                let now = self.now();
                let handled =
                    message.and_then(|message| self.membership.handle_message(now, peer, &message));
                let Err(error) = handled else {
                    return None;
                };
                let reason = error.to_string();
                tracing::warn!(%peer, reason, "membership message refused");
                self.transport.disconnect(peer, &reason);
                self.shared.note_refusal(peer.as_str(), &reason);
                return None;
            }
            _ => {}
        }
        Some(event)
    }
}

/// Where the wire of a cluster is while no store runs it.
pub(crate) type Slot = Arc<Mutex<Option<Wire>>>;

/// Drives a wire as long as it is in its slot.
pub(crate) async fn idle(slot: Slot) {
    std::future::poll_fn(|cx| {
        loop {
            // Taken by a store, or the cluster is gone.
            let mut wire = slot.lock();
            let Some(wire) = wire.as_mut() else {
                return Poll::Ready(());
            };
            // Nobody here has a use for frames of the store: its peers have not been told of one.
            match wire.poll_event(cx) {
                Poll::Ready(WireEvent::Transport(TransportEvent::Refused { whom, reason })) => {
                    tracing::warn!(whom, reason, "refused");
                }
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("transport", &self.transport)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}
