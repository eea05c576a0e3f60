//! The events that wait for the application, in order, and how many of each kind there are.
//!
//! Frames are bounded for each connection, changes by refusing new connections, refusals by leaving
//! them to the log; at most one `Writable` waits for each connection.

use std::collections::VecDeque;

use bytes::Bytes;
use dd_gossip::{NodeId, TransportEvent};

use crate::link_state::LinkId;

/// An event, and the connection that it counts for.
#[derive(Debug)]
pub(crate) enum Event {
    /// A `Connected` or `Disconnected`.
    Change(TransportEvent),
    /// A `Refused`.
    Refused(TransportEvent),
    /// A received frame.
    Frame(LinkId, NodeId, Bytes),
    /// A sender that waits may go on.
    Writable(LinkId, NodeId),
}

/// Events in the order in which they happened.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    events: VecDeque<Event>,
    changes: usize,
    refusals: usize,
}

impl EventQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Connects and disconnects that wait.
    pub(crate) fn changes(&self) -> usize {
        self.changes
    }

    /// Refusals that wait.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals
    }

    pub(crate) fn push(&mut self, event: Event) {
        match event {
            Event::Change(_) => self.changes += 1,
            Event::Refused(_) => self.refusals += 1,
            Event::Frame(..) | Event::Writable(..) => {}
        }
        self.events.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        match event {
            Event::Change(_) => self.changes -= 1,
            Event::Refused(_) => self.refusals -= 1,
            Event::Frame(..) | Event::Writable(..) => {}
        }
        Some(event)
    }
}
