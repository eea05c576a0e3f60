//! Many nodes' [`Swim`] in virtual time, over a network that loses packets: for what is said about
//! membership.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dd_gossip::{Member, MemberState, Membership, Message, NodeId, Swim, SwimTiming, Time};

use crate::rng::Rng;

/// Nodes that run [`Swim`], each able to reach whom it is connected with.
#[derive(Debug)]
pub struct Members {
    rng: Rng,
    timing: SwimTiming,
    now: Time,
    nodes: Vec<Option<Swim>>,
    lives: u64,
    /// Pairs that are connected; the smaller first.
    connections: BTreeSet<(usize, usize)>,
    arrivals: BTreeMap<(Time, u64), (usize, Message)>,
    order: u64,
    /// Of a hundred packets that may be lost, how many are.
    pub loss: usize,
    /// Packets sent, and their bytes.
    pub sent: (u64, u64),
    /// What each node thinks of the others, as of a version of its membership.
    last: Vec<(Option<u64>, BTreeMap<NodeId, MemberState>)>,
    /// Changes of what a node thinks of another: when, who, of whom, how it is.
    pub changes: Vec<(Time, usize, NodeId, MemberState)>,
}

impl Members {
    /// So many nodes that do not run yet.
    pub fn new(count: usize, timing: SwimTiming, seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            timing,
            now: Time::ZERO,
            nodes: (0..count).map(|_| None).collect(),
            lives: 0,
            connections: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            order: 0,
            loss: 0,
            sent: (0, 0),
            last: vec![Default::default(); count],
            changes: Vec::new(),
        }
    }

    /// The name of a node.
    pub fn name(at: usize) -> NodeId {
        format!("n{at}")
            .parse()
            .expect("a letter and a number name a node")
    }

    fn number(name: &NodeId) -> Option<usize> {
        name.as_str().strip_prefix('n')?.parse().ok()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Starts a node in a new life, connected to nobody.
    pub fn start(&mut self, at: usize, founds: bool) {
        self.lives += 1;
        self.start_as(at, founds, self.lives);
    }

    /// Starts a node in a life of this number.
    pub fn start_as(&mut self, at: usize, founds: bool, generation: u64) {
        let seed = self.rng.next_u64();
        let address = format!("host{at}:7400");
        let swim = Swim::new(
            Self::name(at),
            address,
            generation,
            founds,
            self.timing,
            seed,
        );
        self.nodes[at] = Some(swim);
        self.last[at].0 = None;
        self.pump(at);
    }

    /// Ends a node's process without a word.
    pub fn kill(&mut self, at: usize) {
        for other in 0..self.nodes.len() {
            self.disconnect(at, other);
        }
        self.nodes[at] = None;
    }

    /// Connects two nodes that run.
    pub fn connect(&mut self, a: usize, b: usize) {
        let runs = self.nodes[a].is_some() && self.nodes[b].is_some();
        if a != b && runs && self.connections.insert((a.min(b), a.max(b))) {
            for (x, y) in [(a, b), (b, a)] {
                let (now, name) = (self.now, Self::name(y));
                if let Some(swim) = &mut self.nodes[x] {
                    swim.handle_connected(now, &name);
                }
                self.pump(x);
            }
        }
    }

    /// Connects all that run and know of each other's address, as a transport does.
    pub fn connect_known(&mut self) {
        for a in 0..self.nodes.len() {
            let known: BTreeSet<NodeId> = self.members(a).into_iter().map(|m| m.node).collect();
            for b in 0..self.nodes.len() {
                if known.contains(&Self::name(b)) {
                    self.connect(a, b);
                }
            }
        }
    }

    /// Breaks the connection of two nodes.
    pub fn disconnect(&mut self, a: usize, b: usize) {
        if self.connections.remove(&(a.min(b), a.max(b))) {
            for (x, y) in [(a, b), (b, a)] {
                let (now, name) = (self.now, Self::name(y));
                if let Some(swim) = &mut self.nodes[x] {
                    swim.handle_disconnected(now, &name);
                }
                self.pump(x);
            }
        }
    }

    /// Calls a node's membership.
    pub fn with<R>(&mut self, at: usize, call: impl FnOnce(&mut Swim, Time) -> R) -> Option<R> {
        let now = self.now;
        let result = self.nodes[at].as_mut().map(|swim| call(swim, now));
        self.pump(at);
        result
    }

    /// What a node thinks of all; nothing if it does not run.
    pub fn members(&self, at: usize) -> Vec<Member> {
        self.nodes[at]
            .as_ref()
            .map(Membership::members)
            .unwrap_or_default()
    }

    /// How a node thinks that another is.
    pub fn state(&self, at: usize, of: usize) -> Option<MemberState> {
        let name = Self::name(of);
        let all = self.members(at);
        all.iter().find(|m| m.node == name).map(|m| m.state)
    }

    /// Lets time pass.
    pub fn pass(&mut self, wait: Duration) {
        let until = self.now + wait;
        loop {
            let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
            let timers = self
                .nodes
                .iter()
                .map(|n| n.as_ref().and_then(|n| n.poll_timeout()));
            let timer = timers
                .enumerate()
                .filter_map(|(at, due)| Some((due?, at)))
                .min();
            match (arrival, timer) {
                (Some(due), timer) if due <= until && timer.is_none_or(|(at, _)| due <= at) => {
                    self.now = self.now.max(due);
                    if let Some((_, (to, message))) = self.arrivals.pop_first() {
                        self.arrive(to, &message);
                    }
                }
                (_, Some((due, at))) if due <= until => {
                    self.now = self.now.max(due);
                    self.with(at, |swim, now| swim.handle_timeout(now));
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn arrive(&mut self, to: usize, message: &Message) {
        // `to` of a message under way holds its sender.
        let from = message.to.clone();
        let connected = Self::number(&from)
            .is_some_and(|at| self.connections.contains(&(at.min(to), at.max(to))));
        if connected {
            let handled = self.with(to, |swim, now| {
                swim.handle_message(now, &from, &message.bytes)
            });
            assert!(
                handled.is_none_or(|handled| handled.is_ok()),
                "an honest message was refused"
            );
        }
    }

    fn pump(&mut self, at: usize) {
        let Some(swim) = &mut self.nodes[at] else {
            return;
        };
        let mut out = Vec::new();
        while let Some(message) = swim.poll_message() {
            out.push(message);
        }
        let (version, states) = &mut self.last[at];
        if *version != Some(swim.version()) {
            *version = Some(swim.version());
            let members = swim.members().into_iter();
            let now: BTreeMap<_, _> = members.map(|member| (member.node, member.state)).collect();
            for (node, state) in &now {
                if states.get(node) != Some(state) {
                    self.changes.push((self.now, at, node.clone(), *state));
                }
            }
            *states = now;
        }
        for message in out {
            self.sent.0 += 1;
            self.sent.1 += message.bytes.len() as u64;
            let Some(to) = Self::number(&message.to) else {
                continue;
            };
            if message.lossy && self.rng.chance(self.loss) {
                continue;
            }
            let delay = Duration::from_micros(1_000 + self.rng.below(20_000) as u64);
            self.order += 1;
            // What may not be lost is not overtaken either.
            let due = if message.lossy {
                self.now + delay
            } else {
                self.now + Duration::from_millis(25)
            };
            let message = Message {
                to: Self::name(at),
                ..message
            };
            self.arrivals.insert((due, self.order), (to, message));
        }
    }
}
