//! One state of all nodes together, and the steps from it.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use crdt_core::{Context, Dot, Limits, ReplicaId, Shape};
use dd_gossip::{ClusterId, Config, Event, NodeId, Replica, Time, Timing, UpdateError};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::Bounds;
use crate::oracle::{self, Oracle};
use crate::sim::op::{Call, Op};

/// Longer than anything waits but the comparisons of contexts.
const WAIT: Duration = Duration::from_millis(300);
/// How often it is waited for replicas to become equal.
const PATIENCE: usize = 100;

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The local call of this number.
    Call { at: usize, op: usize },
    /// A frame is made and, if none may be on its way, arrives.
    Send { from: usize, to: usize },
    /// The first of those on their way arrives.
    Arrive { from: usize, to: usize },
    /// A connection breaks, with what is on its way, and is there again.
    Cut { a: usize, b: usize },
    /// A process ends, and another one of its node begins with what it had, or with nothing.
    Crash { at: usize, empty: bool },
    /// Time passes.
    Wait,
}

impl Step {
    pub(super) fn is_frame(self) -> bool {
        matches!(self, Self::Send { .. } | Self::Arrive { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Call { at, op } => match calls().get(op) {
                Some(ops) => write!(f, "n{at} does {ops:?}"),
                None => write!(f, "n{at} does nothing"),
            },
            Self::Send { from, to } => write!(f, "n{from} sends n{to} a frame"),
            Self::Arrive { from, to } => write!(f, "a frame of n{from} arrives at n{to}"),
            Self::Cut { a, b } => write!(f, "the connection of n{a} and n{b} breaks"),
            Self::Crash { at, empty: true } => write!(f, "n{at} crashes and returns empty"),
            Self::Crash { at, empty: false } => write!(f, "n{at} crashes and returns as it was"),
            Self::Wait => f.write_str("time passes"),
        }
    }
}

/// The local calls, in the order of [`CALLS`](super::CALLS): more ops than one are a transaction.
fn calls() -> Vec<Vec<Op>> {
    let single = Op::of_each_kind().into_iter().map(|op| vec![op]);
    single.chain([Op::pair()]).collect()
}

/// A hash of so many bits that among some hundred millions of states no two have the same.
fn hash(bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// A replica and the hash of everything in it, once that was asked for.
#[derive(Debug)]
struct Node {
    replica: Replica,
    hash: OnceCell<u128>,
}

impl Node {
    fn new(replica: Replica) -> Rc<Self> {
        let hash = OnceCell::new();
        Rc::new(Self { replica, hash })
    }

    /// `scratch` is any buffer.
    fn hash(&self, scratch: &mut String) -> u128 {
        *self.hash.get_or_init(|| {
            scratch.clear();
            let _ = self.replica.write_state(scratch);
            hash(scratch.as_bytes())
        })
    }
}

/// All events that were made, and what follows from them.
#[derive(Clone, Default)]
struct Made {
    oracle: Oracle,
    transactions: Vec<Vec<Dot>>,
    /// Of the events, in their order.
    hash: u128,
}

impl Made {
    fn record(&mut self, events: Vec<(Dot, oracle::Event)>) {
        let text = format!("{:x}{events:?}", self.hash);
        self.hash = hash(text.as_bytes());
        if events.len() > 1 {
            self.transactions
                .push(events.iter().map(|(dot, _)| *dot).collect());
        }
        for (dot, event) in events {
            self.oracle.record(dot, event);
        }
    }
}

#[derive(Clone)]
pub(super) struct State {
    left: Bounds,
    now: Time,
    nodes: Vec<Rc<Node>>,
    incarnations: Vec<u64>,
    /// By sender and receiver.
    wires: Vec<Vec<VecDeque<Bytes>>>,
    made: Rc<Made>,
}

fn name(at: usize) -> Result<NodeId, String> {
    format!("n{at}")
        .parse()
        .map_err(|error: dd_gossip::NameError| error.to_string())
}

impl State {
    /// Replicas that are connected, have greeted each other and are equal.
    pub(super) fn new(bounds: Bounds) -> Result<Self, String> {
        let count = bounds.replicas;
        let mut state = Self {
            left: bounds,
            now: Time::ZERO,
            nodes: Vec::new(),
            incarnations: vec![0; count],
            wires: vec![vec![VecDeque::new(); count]; count],
            made: Rc::default(),
        };
        for at in 0..count {
            let replica = state.start(at, DotStore::new())?;
            state.nodes.push(Node::new(replica));
        }
        for a in 0..count {
            for b in 0..a {
                state.connect(a, b)?;
            }
        }
        state.settle()?;
        Ok(state)
    }

    fn start(&mut self, at: usize, state: DotStore) -> Result<Replica, String> {
        self.incarnations[at] += 1;
        let incarnation = self.incarnations[at];
        let names = (0..self.incarnations.len()).map(name);
        let nonce = at as u64 * 1000 + incarnation;
        let config = Config {
            cluster: "all"
                .parse::<ClusterId>()
                .map_err(|error| error.to_string())?,
            node: name(at)?,
            replica: ReplicaId::new(at as u64 + 1, incarnation),
            nonce,
            seed: nonce,
            peers: names.collect::<Result<_, _>>()?,
            bootstrap: true,
            timing: Timing {
                // Time passes by steps alone, and nobody who is away is waited for.
                flush: Duration::ZERO,
                relay: WAIT,
                hold: WAIT,
                exchange: WAIT,
                exchange_idle: WAIT,
                away: Duration::ZERO,
                seal: Duration::from_secs(1 << 30),
                ..Timing::default()
            },
            limits: Limits::default(),
            chunk: dd_gossip::MIN_CHUNK,
            shared: dd_gossip::MIN_SHARED,
            part: dd_gossip::MAX_PART,
        };
        Ok(Replica::restore(config, state, self.now))
    }

    /// Everything that could happen next; some of it may turn out not to be possible.
    pub(super) fn steps(&self) -> Vec<Step> {
        let count = self.nodes.len();
        let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
        let mut steps = Vec::new();
        for (from, to) in pairs.filter(|(a, b)| a != b) {
            let wire = &self.wires[from][to];
            if !wire.is_empty() {
                steps.push(Step::Arrive { from, to });
            }
            if wire.len() < self.left.in_flight.max(1) {
                steps.push(Step::Send { from, to });
            }
            if self.left.cuts > 0 && from < to {
                steps.push(Step::Cut { a: from, b: to });
            }
        }
        for at in 0..count {
            if self.left.events > 0 {
                let calls = self.left.calls.iter().enumerate();
                let calls = calls.filter(|(_, made)| **made);
                steps.extend(calls.map(|(op, _)| Step::Call { at, op }));
            }
            if self.left.crashes > 0 {
                steps.extend([true, false].map(|empty| Step::Crash { at, empty }));
            }
        }
        if self.left.waits > 0 {
            steps.push(Step::Wait);
        }
        steps
    }

    /// The state after a step; `None` if it was not possible.
    pub(super) fn after(&self, step: Step) -> Result<Option<Self>, String> {
        let mut next = self.clone();
        let done = match step {
            Step::Call { at, op } => {
                next.left.events -= 1;
                next.call(at, op)?
            }
            Step::Send { from, to } => next.send(from, to)?,
            Step::Arrive { from, to } => next.arrive(from, to)?,
            Step::Cut { a, b } => {
                next.left.cuts -= 1;
                next.connect(a, b)?;
                true
            }
            Step::Crash { at, empty } => {
                next.left.crashes -= 1;
                next.crash(at, empty)?;
                true
            }
            Step::Wait => {
                next.left.waits -= 1;
                next.wait()?;
                true
            }
        };
        Ok(done.then_some(next))
    }

    /// Of everything that matters for what can happen next. `scratch` is any buffer.
    pub(super) fn hash(&self, scratch: &mut String) -> u128 {
        let nodes = self.nodes.iter().map(|node| node.hash(scratch));
        let mut bytes: Vec<u8> = nodes.flat_map(u128::to_le_bytes).collect();
        bytes.extend(self.made.hash.to_le_bytes());
        let left = self.left;
        for number in [left.events, left.cuts, left.crashes, left.waits] {
            bytes.extend((number as u64).to_le_bytes());
        }
        bytes.extend(self.now.since_start().as_millis().to_le_bytes());
        for wire in self.wires.iter().flatten() {
            bytes.extend((wire.len() as u64).to_le_bytes());
            for frame in wire {
                bytes.extend((frame.len() as u64).to_le_bytes());
                bytes.extend(frame);
            }
        }
        hash(&bytes)
    }

    /// Lets a replica do something and takes it over, if what it then shows is right.
    fn change<R>(
        &mut self,
        at: usize,
        change: impl FnOnce(&mut Replica, Time) -> R,
    ) -> Result<R, String> {
        let mut replica = self.nodes[at].replica.fork();
        let before = replica.context().clone();
        let result = change(&mut replica, self.now);
        while let Some(event) = replica.poll_event() {
            if let Event::Diverged(peer) = event {
                return Err(format!("n{at} finds {peer} diverged"));
            }
        }
        if !before.is_subset(replica.context()) {
            return Err(format!("the context of n{at} shrank"));
        }
        self.nodes[at] = Node::new(replica);
        Ok(result)
    }

    fn check(&self, at: usize) -> Result<(), String> {
        let state = self.nodes[at].replica.state();
        let context = state.context();
        let made = &self.made;
        let (actual, expected) = (Oracle::actual(state.root()), made.oracle.expected(context));
        if actual != expected {
            let difference = actual.difference(&expected);
            return Err(format!("n{at} is not what it should be:\n{difference}"));
        }
        for dots in &made.transactions {
            let shows = dots.iter().any(|dot| made.oracle.shows(*dot, context));
            if shows && !dots.iter().all(|dot| made.oracle.reflects(*dot, context)) {
                return Err(format!("n{at} shows a part of the transaction {dots:?}"));
            }
        }
        Ok(())
    }

    fn call(&mut self, at: usize, op: usize) -> Result<bool, String> {
        let ops = calls().swap_remove(op);
        let replica = &self.nodes[at].replica;
        let (id, mut seen) = (replica.replica_id(), replica.context().clone());
        let made = match ops.as_slice() {
            [op] => self.change(at, |replica, now| {
                let mut call = Call {
                    replica,
                    now,
                    wall: 0,
                };
                op.run(&mut call)?;
                let dot = Dot::new(id, seen.max(id) + 1);
                let state = replica.state();
                let footprint = op.footprint();
                let made = state.context().contains(dot).then(|| {
                    let place = state.root().get(&footprint.path);
                    (dot, footprint.event(seen, dot, place))
                });
                Ok::<_, UpdateError>(made.into_iter().collect())
            })?,
            ops => self.change(at, |replica, now| {
                let mut events = Vec::new();
                replica.transaction::<(), UpdateError>(now, 0, |tx| {
                    for op in ops {
                        op.run(tx)?;
                        let dot = Dot::new(id, seen.max(id) + 1);
                        let footprint = op.footprint();
                        let shape = footprint.path.get(1).and_then(|name| Shape::parse(name));
                        let key = footprint.path.first().map_or(&[][..], |key| key.as_bytes());
                        let value = shape.and_then(|shape| tx.value(key, &shape));
                        let place = value.and_then(|value| value.get(&footprint.path[2..]));
                        events.push((dot, footprint.event(seen.clone(), dot, place)));
                        seen.insert(dot);
                    }
                    Ok(())
                })?;
                Ok(events)
            })?,
        };
        let made: Vec<(Dot, oracle::Event)> =
            made.map_err(|error: UpdateError| error.to_string())?;
        if made.is_empty() {
            return Ok(false);
        }
        Rc::make_mut(&mut self.made).record(made);
        self.check(at)?;
        Ok(true)
    }

    fn send(&mut self, from: usize, to: usize) -> Result<bool, String> {
        let peer = name(to)?;
        let frame = self.change(from, |replica, now| replica.poll_transmit(now, &peer))?;
        let Some(frame) = frame else {
            return Ok(false);
        };
        self.wires[from][to].push_back(frame);
        if self.left.in_flight == 0 {
            self.arrive(from, to)?;
        }
        Ok(true)
    }

    fn arrive(&mut self, from: usize, to: usize) -> Result<bool, String> {
        let Some(frame) = self.wires[from][to].pop_front() else {
            return Ok(false);
        };
        let peer = name(from)?;
        self.change(to, |replica, now| replica.handle_frame(now, &peer, &frame))?
            .map_err(|error| format!("n{to} refused a frame of n{from}: {error}"))?;
        self.check(to)?;
        Ok(true)
    }

    /// Connects a pair anew.
    fn connect(&mut self, a: usize, b: usize) -> Result<(), String> {
        for (at, other) in [(a, b), (b, a)] {
            self.wires[at][other].clear();
            let peer = name(other)?;
            self.change(at, |replica, now| {
                replica.handle_disconnected(now, &peer);
                replica.handle_connected(now, &peer);
            })?;
        }
        Ok(())
    }

    fn crash(&mut self, at: usize, empty: bool) -> Result<(), String> {
        let kept = match empty {
            true => DotStore::new(),
            false => self.nodes[at].replica.state(),
        };
        let replica = self.start(at, kept)?;
        self.nodes[at] = Node::new(replica);
        let others = (0..self.nodes.len()).filter(|other| *other != at);
        for other in others.collect::<Vec<_>>() {
            self.connect(at, other)?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        self.now = self.now + WAIT;
        for at in 0..self.nodes.len() {
            self.change(at, |replica, now| replica.handle_timeout(now))?;
            self.check(at)?;
        }
        Ok(())
    }

    /// Carries frames until nobody has any.
    fn settle(&mut self) -> Result<(), String> {
        let count = self.nodes.len();
        for _ in 0..10_000 {
            let mut carried = false;
            for from in 0..count {
                for to in (0..count).filter(|to| *to != from) {
                    carried |= self.arrive(from, to)? || self.send(from, to)?;
                }
            }
            if !carried {
                return Ok(());
            }
        }
        Err("the replicas never come to rest".to_owned())
    }

    fn is_equal(&self) -> bool {
        let context = |node: &Rc<Node>| -> Context { node.replica.context().clone() };
        let mut contexts = self.nodes.iter().map(context);
        let first = contexts.next();
        contexts.all(|context| Some(&context) == first.as_ref())
    }

    /// Without further faults all become equal.
    pub(super) fn converge(&self) -> Result<(), String> {
        let mut state = self.clone();
        for _ in 0..PATIENCE {
            if state.is_equal() {
                return state.check_equal();
            }
            state.wait()?;
            state.settle()?;
        }
        let contexts = state.nodes.iter().map(|node| node.replica.context());
        let contexts: Vec<_> = contexts.collect();
        Err(format!("contexts still differ at the end: {contexts:?}"))
    }

    fn check_equal(&self) -> Result<(), String> {
        let mut roots = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            self.check(at)?;
            let mut replica = node.replica.fork();
            if replica.recompute_fingerprint() != replica.status().fingerprint {
                return Err(format!(
                    "n{at}: the kept fingerprint is not the computed one"
                ));
            }
            roots.push(replica.state().root().clone());
        }
        match roots.windows(2).all(|two| two[0] == two[1]) {
            true => Ok(()),
            false => Err("equal contexts, different states".to_owned()),
        }
    }
}
