//! A transport that keeps its contract in all but one thing.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dd_gossip::{AddressError, NodeId, SendError, Transport, TransportEvent, TransportStats};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    LosesAFrame,
    RepeatsAFrame,
    Reorders,
    DamagesAByte,
    AcceptsOversize,
    AcceptsEmpty,
    AcceptsWithoutConnection,
    RepeatsConnected,
    NeverConnects,
    ConnectsTwiceIfBothDial,
    DisconnectsInSilence,
    KeepsReasonsToItself,
    ForgetsWritable,
    RepeatsWritable,
    /// Is in the network below.
    Unbounded,
    LosesAtClose,
    NeverCloses,
    SpeaksAfterClose,
    OutlivesItsDrop,
    AcceptsAnyAddress,
    CountsRefused,
}

/// Which frame of a transport is hit.
const HIT: u64 = 50;

#[derive(Debug)]
pub(crate) struct Broken<T: Transport> {
    /// `None` only while it is dropped.
    inner: Option<T>,
    node: NodeId,
    fault: Fault,
    dialled: bool,
    closed: bool,
    sent: u64,
    refused: u64,
    received: u64,
    next: VecDeque<TransportEvent>,
}

impl<T: Transport> Broken<T> {
    pub(crate) fn new(inner: T, node: NodeId, fault: Fault) -> Self {
        Self {
            inner: Some(inner),
            node,
            fault,
            dialled: false,
            closed: false,
            sent: 0,
            refused: 0,
            received: 0,
            next: VecDeque::new(),
        }
    }

    fn inner_mut(&mut self) -> &mut T {
        self.inner.as_mut().unwrap()
    }

    /// What becomes of an event: nothing, it, or others too.
    fn distort(&mut self, event: TransportEvent) -> Option<TransportEvent> {
        use TransportEvent::{Connected, Disconnected, Frame, Writable};
        match (self.fault, &event) {
            (Fault::NeverConnects, Connected { .. })
            | (Fault::ForgetsWritable, Writable { .. })
            | (Fault::DisconnectsInSilence, Disconnected { .. }) => return None,
            (Fault::RepeatsConnected, Connected { .. })
            | (Fault::RepeatsWritable, Writable { .. }) => self.next.push_back(event.clone()),
            (Fault::ConnectsTwiceIfBothDial, Connected { peer })
                if self.dialled && self.node.as_str() == "b" =>
            {
                let (peer, reason) = (peer.clone(), "another connection stands".to_owned());
                self.next.push_back(Disconnected { peer, reason });
                self.next.push_back(event.clone());
            }
            (Fault::KeepsReasonsToItself, Disconnected { peer, .. }) => {
                let (peer, reason) = (peer.clone(), "gone".to_owned());
                return Some(Disconnected { peer, reason });
            }
            (Fault::DamagesAByte, Frame { peer, frame }) if frame.len() > 100 => {
                let mut bytes = frame.to_vec();
                bytes[77] ^= 1;
                let (peer, frame) = (peer.clone(), bytes.into());
                return Some(Frame { peer, frame });
            }
            (Fault::RepeatsAFrame | Fault::Reorders, Frame { .. }) => {
                self.received += 1;
                if self.received == HIT {
                    self.next.push_back(event.clone());
                    return (self.fault == Fault::RepeatsAFrame).then_some(event);
                }
            }
            _ => {}
        }
        Some(event)
    }
}

impl<T: Transport> Transport for Broken<T> {
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError> {
        self.dialled = true;
        let result = self.inner_mut().connect(node, address);
        match self.fault {
            Fault::AcceptsAnyAddress => Ok(()),
            _ => result,
        }
    }

    fn forget(&mut self, node: &NodeId) {
        self.inner_mut().forget(node);
    }

    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        self.sent += 1;
        if self.fault == Fault::LosesAFrame && self.sent == HIT {
            return Ok(());
        }
        let result = self.inner_mut().send(peer, frame);
        self.refused += u64::from(result.is_err());
        match (self.fault, &result) {
            (Fault::AcceptsOversize, Err(SendError::Size(1..)))
            | (Fault::AcceptsEmpty, Err(SendError::Size(0)))
            | (Fault::AcceptsWithoutConnection, Err(SendError::NotConnected)) => Ok(()),
            _ => result,
        }
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.inner_mut().disconnect(peer, reason);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        if self.fault == Fault::SpeaksAfterClose && self.closed {
            let peer = self.node.clone();
            return Poll::Ready(TransportEvent::Writable { peer });
        }
        // What is held back to be reordered comes after the one that overtook it.
        let held = self.fault == Fault::Reorders;
        if !held && let Some(event) = self.next.pop_front() {
            return Poll::Ready(event);
        }
        loop {
            if held
                && self.received > HIT
                && let Some(event) = self.next.pop_front()
            {
                return Poll::Ready(event);
            }
            let event = ready!(self.inner_mut().poll_event(cx));
            if let Some(event) = self.distort(event) {
                return Poll::Ready(event);
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        if self.fault == Fault::LosesAtClose {
            for name in ["a", "b"] {
                self.inner_mut()
                    .disconnect(&name.parse().unwrap(), "closing");
            }
        }
        self.inner_mut().close();
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.fault {
            Fault::NeverCloses => Poll::Pending,
            _ => self.inner_mut().poll_closed(cx),
        }
    }

    fn stats(&self) -> TransportStats {
        let mut stats = self.inner.as_ref().unwrap().stats();
        if self.fault == Fault::CountsRefused {
            stats.frames_sent += self.refused;
        }
        stats
    }
}

impl<T: Transport> Drop for Broken<T> {
    fn drop(&mut self) {
        if self.fault == Fault::OutlivesItsDrop {
            std::mem::forget(self.inner.take());
        }
    }
}
