//! A transport of the test's own: the test says what happens on it, and sees what it is told.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dd_extension::{NodeId, Transport};
use dd_gossip::{AddressError, SendError, TransportEvent, TransportStats};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::node::id;

/// What a store did with its transport.
#[derive(Debug, Default)]
struct Log {
    sent: Vec<Bytes>,
    disconnects: Vec<String>,
    full: bool,
    never_closes: bool,
}

/// The test's end: the peer `b`, and the wire to it.
pub(crate) struct Script {
    events: UnboundedSender<TransportEvent>,
    log: Arc<Mutex<Log>>,
}

/// The store's end.
#[derive(Debug)]
pub(crate) struct Scripted {
    events: UnboundedReceiver<TransportEvent>,
    itself: UnboundedSender<TransportEvent>,
    log: Arc<Mutex<Log>>,
}

pub(crate) fn scripted() -> (Script, Box<Scripted>) {
    let (itself, events) = unbounded_channel();
    let log = Arc::<Mutex<Log>>::default();
    let script = Script {
        events: itself.clone(),
        log: Arc::clone(&log),
    };
    let transport = Scripted {
        events,
        itself,
        log,
    };
    (script, Box::new(transport))
}

impl Script {
    pub(crate) fn connect(&self) {
        self.event(TransportEvent::Connected { peer: id("b") });
    }

    pub(crate) fn frame(&self, frame: impl Into<Bytes>) {
        let (peer, frame) = (id("b"), frame.into());
        self.event(TransportEvent::Frame { peer, frame });
    }

    pub(crate) fn event(&self, event: TransportEvent) {
        self.events.send(event).expect("the store runs");
    }

    /// The frames that were sent since the test last asked.
    pub(crate) fn sent(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.log.lock().sent)
    }

    /// The reasons for which the store ended the connection, since the test last asked.
    pub(crate) fn disconnects(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().disconnects)
    }

    /// Whether there is room for frames; `Writable` is the test's to send.
    pub(crate) fn set_full(&self, full: bool) {
        self.log.lock().full = full;
    }

    /// A clean close never comes to its end.
    pub(crate) fn never_close(&self) {
        self.log.lock().never_closes = true;
    }
}

impl Transport for Scripted {
    fn connect(&mut self, _node: &NodeId, address: &str) -> Result<(), AddressError> {
        if address.is_empty() {
            return Err(AddressError {
                address: String::new(),
                reason: "it is empty".to_owned(),
            });
        }
        Ok(())
    }

    fn forget(&mut self, _node: &NodeId) {}

    fn send(&mut self, _peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        let mut log = self.log.lock();
        if log.full {
            return Err(SendError::Full);
        }
        log.sent.push(frame);
        Ok(())
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.log.lock().disconnects.push(reason.to_owned());
        let (peer, reason) = (peer.clone(), reason.to_owned());
        let gone = TransportEvent::Disconnected { peer, reason };
        self.itself.send(gone).expect("its receiver is here");
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn close(&mut self) {}

    fn poll_closed(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.log.lock().never_closes {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }
}
