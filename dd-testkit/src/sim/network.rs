//! The simulated network: links that carry frames late, twice, in another order or not at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;
use dd_gossip::Time;

use crate::rng::Rng;
use crate::trace::Trace;

/// Something that will happen to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Connected {
        with: usize,
        connection: u64,
    },
    Disconnected {
        with: usize,
    },
    Frame {
        from: usize,
        connection: u64,
        frame: Bytes,
    },
    /// A frame that goes beside the others, in no order with them.
    Packet {
        from: usize,
        connection: u64,
        frame: Bytes,
    },
    Timer,
    /// Something is due in the membership of a process.
    MemberTimer,
}

type Scheduled = (Time, u64, usize, u64);

/// One direction of a pair of nodes.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The connection that it belongs to, counted up; 0 if there is none.
    pub(super) connection: u64,
    /// The connection that the sender will be told of; 0 if there is none.
    pending: u64,
    /// Frames vanish, nobody is told.
    pub(super) silent: bool,
    pub(super) in_flight: usize,
    window: usize,
    delay: Duration,
    last_arrival: Time,
}

#[derive(Debug)]
pub(super) struct Network {
    links: BTreeMap<(usize, usize), Link>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    arrivals: BTreeMap<u64, Arrival>,
    order: u64,
    connections: u64,
    lossy: bool,
    /// Everything that was sent and that arrived.
    pub(super) trace: Trace,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) sent: u64,
}

impl Network {
    pub(super) fn new(nodes: usize, lossy: bool, rng: &mut Rng) -> Self {
        let mut links = BTreeMap::new();
        for a in 0..nodes {
            for b in (0..nodes).filter(|b| *b != a) {
                let link = Link {
                    connection: 0,
                    pending: 0,
                    silent: false,
                    in_flight: 0,
                    window: [1, 2, 8, 64][rng.below(4)],
                    delay: Duration::from_micros([100, 1_000, 20_000, 150_000][rng.below(4)]),
                    last_arrival: Time::ZERO,
                };
                links.insert((a, b), link);
            }
        }
        Self {
            links,
            queue: BinaryHeap::new(),
            arrivals: BTreeMap::new(),
            order: 0,
            connections: 0,
            lossy,
            trace: Trace::default(),
            lost: 0,
            duplicated: 0,
            reordered: 0,
            sent: 0,
        }
    }

    pub(super) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        self.links
            .get_mut(&(from, to))
            .expect("every pair of nodes has a link")
    }

    pub(super) fn schedule(&mut self, at: Time, node: usize, arrival: Arrival) {
        self.order += 1;
        self.queue.push(Reverse((at, self.order, node, self.order)));
        self.arrivals.insert(self.order, arrival);
    }

    /// The next arrival up to `until`.
    pub(super) fn next(&mut self, until: Time) -> Option<(Time, usize, Arrival)> {
        let Reverse((at, _, node, id)) = *self.queue.peek()?;
        if at > until {
            return None;
        }
        self.queue.pop();
        let arrival = self.arrivals.remove(&id)?;
        self.note(at, node, &arrival);
        match &arrival {
            Arrival::Frame {
                from, connection, ..
            } => {
                let link = self.link(*from, node);
                if link.connection == *connection {
                    link.in_flight = link.in_flight.saturating_sub(1);
                }
            }
            Arrival::Connected { with, connection } => {
                let link = self.link(node, *with);
                if link.pending == *connection {
                    link.connection = *connection;
                }
            }
            Arrival::Packet { .. }
            | Arrival::Disconnected { .. }
            | Arrival::Timer
            | Arrival::MemberTimer => {}
        }
        Some((at, node, arrival))
    }

    fn note(&mut self, at: Time, node: usize, arrival: &Arrival) {
        let (kind, other, frame) = match arrival {
            Arrival::Connected { with, .. } => (1, *with, None),
            Arrival::Disconnected { with } => (2, *with, None),
            Arrival::Frame { from, frame, .. } => (3, *from, Some(frame)),
            Arrival::Timer => (4, node, None),
            Arrival::Packet { from, frame, .. } => (5, *from, Some(frame)),
            Arrival::MemberTimer => (6, node, None),
        };
        self.trace.moment(at, kind);
        self.trace.number(node as u64);
        self.trace.number(other as u64);
        self.trace.bytes(frame.map_or(&[], |frame| frame));
    }

    /// Connects a pair anew. Both are told.
    pub(super) fn connect(&mut self, now: Time, a: usize, b: usize) {
        self.connections += 1;
        let connection = self.connections;
        for (x, y) in [(a, b), (b, a)] {
            let link = self.link(x, y);
            link.pending = connection;
            link.silent = false;
            link.in_flight = 0;
            self.schedule(
                now,
                x,
                Arrival::Connected {
                    with: y,
                    connection,
                },
            );
        }
    }

    /// Breaks a connection. Both are told, at once or later. Returns whether there was one.
    pub(super) fn disconnect(&mut self, now: Time, a: usize, b: usize, rng: &mut Rng) -> bool {
        let was = self.is_connected(a, b);
        for (x, y) in [(a, b), (b, a)] {
            let link = self.link(x, y);
            (link.connection, link.pending) = (0, 0);
            if was {
                let later = Duration::from_millis([0, 0, 300][rng.below(3)]);
                self.schedule(now + later, x, Arrival::Disconnected { with: y });
            }
        }
        was
    }

    /// Whether a pair is connected, or will be.
    pub(super) fn is_connected(&mut self, a: usize, b: usize) -> bool {
        self.link(a, b).pending != 0
    }

    /// The pair with the most frames on their way.
    pub(super) fn busiest(&self) -> Option<(usize, usize)> {
        let busy = self.links.iter().filter(|(_, link)| link.in_flight > 0);
        busy.max_by_key(|(_, link)| link.in_flight)
            .map(|(pair, _)| *pair)
    }

    pub(super) fn has_room(&mut self, from: usize, to: usize) -> bool {
        let link = self.link(from, to);
        link.connection != 0 && link.in_flight < link.window
    }

    pub(super) fn send(&mut self, now: Time, from: usize, to: usize, frame: Bytes, rng: &mut Rng) {
        self.sent += 1;
        self.trace.moment(now, 0);
        self.trace.bytes(&frame);
        let lossy = self.lossy;
        let link = self.link(from, to);
        let connection = link.connection;
        if link.silent || (lossy && rng.chance(3)) {
            self.lost += 1;
            return;
        }
        let jitter = rng.below(link.delay.as_micros() as usize + 1) as u64;
        let mut at = now + link.delay + Duration::from_micros(jitter);
        let reorders = lossy && rng.chance(5);
        if !reorders {
            at = at.max(link.last_arrival);
            link.last_arrival = at;
        }
        link.in_flight += 1;
        self.reordered += u64::from(reorders);
        let arrival = Arrival::Frame {
            from,
            connection,
            frame,
        };
        if lossy && rng.chance(3) {
            self.duplicated += 1;
            let later = at + Duration::from_micros(rng.below(500_000) as u64);
            self.schedule(later, to, arrival.clone());
        }
        self.schedule(at, to, arrival);
    }

    /// Sends a frame that may be lost and goes beside the others, as a datagram does.
    pub(super) fn send_packet(
        &mut self,
        now: Time,
        from: usize,
        to: usize,
        frame: Bytes,
        rng: &mut Rng,
    ) {
        let lossy = self.lossy;
        let link = self.link(from, to);
        let (connection, delay, silent) = (link.connection, link.delay, link.silent);
        self.sent += 1;
        if silent || connection == 0 || (lossy && rng.chance(3)) {
            self.lost += 1;
            return;
        }
        let copies = if lossy && rng.chance(3) { 2 } else { 1 };
        self.duplicated += copies - 1;
        for _ in 0..copies {
            let jitter = rng.below(delay.as_micros() as usize + 1) as u64;
            let arrival = Arrival::Packet {
                from,
                connection,
                frame: frame.clone(),
            };
            self.schedule(now + delay + Duration::from_micros(jitter), to, arrival);
        }
    }

    /// Sends a frame that is neither lost, as long as its connection lasts, nor overtaken.
    pub(super) fn send_surely(&mut self, now: Time, from: usize, to: usize, frame: Bytes) {
        self.sent += 1;
        let link = self.link(from, to);
        let connection = link.connection;
        let at = (now + link.delay).max(link.last_arrival);
        link.last_arrival = at;
        let arrival = Arrival::Packet {
            from,
            connection,
            frame,
        };
        self.schedule(at, to, arrival);
    }

    /// Whether what is sent now arrives.
    pub(super) fn carries(&mut self, from: usize, to: usize) -> bool {
        let link = self.link(from, to);
        link.connection != 0 && !link.silent
    }

    /// Makes slow links faster.
    pub(super) fn quicken(&mut self, slowest: Duration) {
        for link in self.links.values_mut() {
            link.delay = link.delay.min(slowest);
        }
    }

    pub(super) fn stop_faults(&mut self) {
        self.lossy = false;
        for link in self.links.values_mut() {
            link.silent = false;
            link.window = link.window.max(8);
        }
    }
}
