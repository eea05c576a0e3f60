//! What the transports of a network share, changed under one lock.
//!
//! A connection is made only when neither side has an untaken `Disconnected` of the other. So all
//! frames of a peer in a queue belong to its present connection or come before its `Disconnected`,
//! and the queue is bounded: for each peer the frames of one connection and three other events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;

use bytes::Bytes;
use dd_gossip::{NodeId, SendError, TransportEvent, TransportStats};

/// The number of a transport within its network.
pub(super) type PortId = u64;

pub(super) struct Network {
    queue_frames: usize,
    queue_bytes: usize,
    ports: BTreeMap<PortId, Port>,
    /// Who can be connected to.
    names: BTreeMap<NodeId, PortId>,
    /// Pairs that can't talk, smaller name first.
    cuts: BTreeSet<(NodeId, NodeId)>,
    next_port: PortId,
    wakers: Vec<Waker>,
}

struct Port {
    node: NodeId,
    wants: BTreeSet<NodeId>,
    links: BTreeMap<NodeId, Link>,
    events: VecDeque<TransportEvent>,
    closed: bool,
    event_waker: Option<Waker>,
    close_waker: Option<Waker>,
    stats: TransportStats,
}

/// One side of a connection.
struct Link {
    peer: PortId,
    /// What lies here, untaken, from the peer.
    frames: usize,
    bytes: usize,
    /// The peer's queue was full.
    waits: bool,
    /// A `Writable` is among the events.
    told: bool,
}

fn pair(a: &NodeId, b: &NodeId) -> (NodeId, NodeId) {
    (a.min(b).clone(), a.max(b).clone())
}

impl Network {
    pub(super) fn new(queue_frames: usize, queue_bytes: usize) -> Self {
        Self {
            queue_frames,
            queue_bytes,
            ports: BTreeMap::new(),
            names: BTreeMap::new(),
            cuts: BTreeSet::new(),
            next_port: 0,
            wakers: Vec::new(),
        }
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    pub(super) fn open(&mut self, node: &NodeId) -> PortId {
        if let Some(former) = self.names.remove(node) {
            self.lose_all(former, "another transport took the place of this node's");
        }
        let id = self.next_port;
        self.next_port += 1;
        let port = Port {
            node: node.clone(),
            wants: BTreeSet::new(),
            links: BTreeMap::new(),
            events: VecDeque::new(),
            closed: false,
            event_waker: None,
            close_waker: None,
            stats: TransportStats::default(),
        };
        self.ports.insert(id, port);
        self.names.insert(node.clone(), id);
        let others: Vec<NodeId> = self.names.keys().cloned().collect();
        for other in others {
            self.settle(node, &other);
        }
        id
    }

    pub(super) fn cut(&mut self, a: &NodeId, b: &NodeId) {
        self.cuts.insert(pair(a, b));
        if let Some(&port) = self.names.get(a) {
            self.lose(port, b, "the network is cut");
        }
    }

    pub(super) fn heal(&mut self, a: &NodeId, b: &NodeId) {
        self.cuts.remove(&pair(a, b));
        self.settle(a, b);
    }

    pub(super) fn want(&mut self, id: PortId, node: &NodeId) {
        let Some(port) = self.ports.get_mut(&id).filter(|port| !port.closed) else {
            return;
        };
        port.wants.insert(node.clone());
        let own = port.node.clone();
        self.settle(&own, node);
    }

    pub(super) fn forget(&mut self, id: PortId, node: &NodeId) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.wants.remove(node);
            self.lose(id, node, "it is no peer any more");
        }
    }

    pub(super) fn send(
        &mut self,
        id: PortId,
        peer: &NodeId,
        frame: Bytes,
    ) -> Result<(), SendError> {
        let port = self.ports.get(&id).ok_or(SendError::NotConnected)?;
        let own = port.node.clone();
        let link = port.links.get(peer).ok_or(SendError::NotConnected)?;
        let far = link.peer;
        let far = self.ports.get_mut(&far).ok_or(SendError::NotConnected)?;
        let there = far.links.get_mut(&own).ok_or(SendError::NotConnected)?;
        let length = frame.len();
        let full = there.frames >= self.queue_frames || there.bytes + length > self.queue_bytes;
        if full && there.frames > 0 {
            self.note_full(id, peer);
            return Err(SendError::Full);
        }
        there.frames += 1;
        there.bytes += length;
        let event = TransportEvent::Frame { peer: own, frame };
        far.push(event, &mut self.wakers);
        if let Some(port) = self.ports.get_mut(&id) {
            port.stats.frames_sent += 1;
            port.stats.bytes_sent += length as u64;
        }
        Ok(())
    }

    /// The sender waits. If it has not taken a `Writable`, that one is no longer true.
    fn note_full(&mut self, id: PortId, peer: &NodeId) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        if let Some(link) = port.links.get_mut(peer) {
            link.waits = true;
            if std::mem::take(&mut link.told) {
                let stale = TransportEvent::Writable { peer: peer.clone() };
                port.events.retain(|event| *event != stale);
            }
        }
    }

    pub(super) fn disconnect(&mut self, id: PortId, peer: &NodeId, reason: &str) {
        self.lose(id, peer, reason);
    }

    pub(super) fn next_event(&mut self, id: PortId) -> Option<TransportEvent> {
        let port = self.ports.get_mut(&id)?;
        let event = port.events.pop_front()?;
        let own = port.node.clone();
        match &event {
            TransportEvent::Frame { peer, frame } => {
                port.stats.frames_received += 1;
                port.stats.bytes_received += frame.len() as u64;
                if let Some(link) = port.links.get_mut(peer) {
                    link.frames -= 1;
                    link.bytes -= frame.len();
                    let half_free =
                        link.frames <= self.queue_frames / 2 && link.bytes <= self.queue_bytes / 2;
                    if half_free || link.frames == 0 {
                        let sender = link.peer;
                        self.tell_room(sender, &own);
                    }
                }
            }
            TransportEvent::Writable { peer } => {
                if let Some(link) = port.links.get_mut(peer) {
                    link.told = false;
                }
            }
            TransportEvent::Disconnected { peer, .. } => {
                let peer = peer.clone();
                self.settle(&own, &peer);
            }
            _ => {}
        }
        Some(event)
    }

    /// Tells a sender that waits for room at `receiver`.
    fn tell_room(&mut self, sender: PortId, receiver: &NodeId) {
        let Some(port) = self.ports.get_mut(&sender) else {
            return;
        };
        let Some(link) = port.links.get_mut(receiver) else {
            return;
        };
        if std::mem::take(&mut link.waits) {
            link.told = true;
            let peer = receiver.clone();
            port.push(TransportEvent::Writable { peer }, &mut self.wakers);
        }
    }

    pub(super) fn close(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(&id).filter(|port| !port.closed) else {
            return;
        };
        port.closed = true;
        port.events.clear();
        self.wakers.extend(port.close_waker.take());
        let own = port.node.clone();
        let links = std::mem::take(&mut port.links);
        if self.names.get(&own) == Some(&id) {
            self.names.remove(&own);
        }
        for link in links.into_values() {
            // What was accepted stays in the peer's queue, before this.
            self.end(link.peer, &own, "the peer shut down");
        }
    }

    /// Removes a transport that was dropped.
    pub(super) fn remove(&mut self, id: PortId) {
        self.lose_all(id, "the peer is gone without a clean close");
        if let Some(port) = self.ports.remove(&id)
            && self.names.get(&port.node) == Some(&id)
        {
            self.names.remove(&port.node);
        }
    }

    pub(super) fn is_closed(&self, id: PortId) -> bool {
        self.ports.get(&id).is_none_or(|port| port.closed)
    }

    pub(super) fn wait_for_event(&mut self, id: PortId, waker: &Waker) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.event_waker = Some(waker.clone());
        }
    }

    pub(super) fn wait_for_close(&mut self, id: PortId, waker: &Waker) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.close_waker = Some(waker.clone());
        }
    }

    pub(super) fn stats(&self, id: PortId) -> TransportStats {
        self.ports
            .get(&id)
            .map(|port| port.stats)
            .unwrap_or_default()
    }

    /// Connects two nodes if one of them wants to and nothing is in the way.
    fn settle(&mut self, a: &NodeId, b: &NodeId) {
        if a == b || self.cuts.contains(&pair(a, b)) {
            return;
        }
        let (Some(&left), Some(&right)) = (self.names.get(a), self.names.get(b)) else {
            return;
        };
        let (Some(at_a), Some(at_b)) = (self.ports.get(&left), self.ports.get(&right)) else {
            return;
        };
        let wanted = at_a.wants.contains(b) || at_b.wants.contains(a);
        if wanted && at_a.is_free_of(b) && at_b.is_free_of(a) {
            self.link(left, b, right);
            self.link(right, a, left);
        }
    }

    fn link(&mut self, id: PortId, peer: &NodeId, far: PortId) {
        if let Some(port) = self.ports.get_mut(&id) {
            let link = Link {
                peer: far,
                frames: 0,
                bytes: 0,
                waits: false,
                told: false,
            };
            port.links.insert(peer.clone(), link);
            let peer = peer.clone();
            port.push(TransportEvent::Connected { peer }, &mut self.wakers);
        }
    }

    fn lose_all(&mut self, id: PortId, reason: &str) {
        let peers = self.ports.get(&id).map(|port| port.links.keys().cloned());
        for peer in peers.into_iter().flatten().collect::<Vec<_>>() {
            self.lose(id, &peer, reason);
        }
    }

    /// Ends a connection; frames that were not taken are lost.
    fn lose(&mut self, id: PortId, peer: &NodeId, reason: &str) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        let own = port.node.clone();
        let Some(far) = port.links.get(peer).map(|link| link.peer) else {
            return;
        };
        for (id, peer) in [(id, peer), (far, &own)] {
            if let Some(port) = self.ports.get_mut(&id) {
                port.events.retain(
                    |event| !matches!(event, TransportEvent::Frame { peer: from, .. } if from == peer),
                );
            }
            self.end(id, peer, reason);
        }
    }

    /// Ends one side of a connection.
    fn end(&mut self, id: PortId, peer: &NodeId, reason: &str) {
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        if let Some(link) = port.links.remove(peer) {
            if link.told {
                let stale = TransportEvent::Writable { peer: peer.clone() };
                port.events.retain(|event| *event != stale);
            }
            let (peer, reason) = (peer.clone(), reason.to_owned());
            let event = TransportEvent::Disconnected { peer, reason };
            port.push(event, &mut self.wakers);
        }
    }
}

impl Port {
    fn push(&mut self, event: TransportEvent, wakers: &mut Vec<Waker>) {
        self.events.push_back(event);
        wakers.extend(self.event_waker.take());
    }

    /// Whether there is no connection with a peer, nor news of the end of one.
    fn is_free_of(&self, peer: &NodeId) -> bool {
        let lost = |event: &TransportEvent| matches!(event, TransportEvent::Disconnected { peer: whose, .. } if whose == peer);
        !self.closed && !self.links.contains_key(peer) && !self.events.iter().any(lost)
    }
}
