//! Replicas over a perfect network in virtual time: frames arrive at once and in order, unless a
//! direction is held up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};
use std::time::Duration;

use bytes::Bytes;
use crdt_core::Crdt;
use dd_gossip::{Config, NodeId, Replica, Time};

use super::{assert_sound, config, node, write};

/// A frame that was carried.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) frame: Bytes,
}

#[derive(Default)]
pub(crate) struct Net {
    pub(crate) now: Time,
    replicas: BTreeMap<NodeId, Replica>,
    /// Connections, each in both directions.
    links: BTreeSet<(NodeId, NodeId)>,
    /// Directions whose transport takes nothing for now.
    held_up: BTreeSet<(NodeId, NodeId)>,
    /// The direction that carried a frame last, so that each has its turn.
    last: Option<(NodeId, NodeId)>,
    pub(crate) sent: Vec<Sent>,
}

impl Net {
    /// Replicas that all know of each other, not connected yet.
    pub(crate) fn of(names: &[&str]) -> Self {
        let configs = names.iter().map(|name| config(name, names));
        Self::with(configs.collect())
    }

    pub(crate) fn with(configs: Vec<Config>) -> Self {
        let mut net = Self::default();
        for config in configs {
            net.put(Replica::new(config, net.now));
        }
        net
    }

    /// As [`of`](Self::of), connected each with each and settled.
    pub(crate) fn mesh(names: &[&str]) -> Self {
        let mut net = Self::of(names);
        net.connect_all();
        net
    }

    /// Connects each with each, and lets them greet each other.
    pub(crate) fn connect_all(&mut self) {
        let nodes: Vec<NodeId> = self.replicas.keys().cloned().collect();
        for (at, a) in nodes.iter().enumerate() {
            for b in &nodes[at + 1..] {
                self.connect(a.as_str(), b.as_str());
            }
        }
        self.settle();
    }

    /// Adds a replica, or puts one in the place of another; its connections are gone.
    pub(crate) fn put(&mut self, replica: Replica) {
        let name = replica.node().clone();
        let others: Vec<NodeId> = self.replicas.keys().cloned().collect();
        for other in &others {
            self.disconnect(name.as_str(), other.as_str());
        }
        self.replicas.insert(name, replica);
    }

    /// Puts one in the place of another that goes on with its connections, as one that is made anew does.
    pub(crate) fn make_anew(&mut self, replica: Replica) {
        let (name, now) = (replica.node().clone(), self.now);
        self.replicas.insert(name.clone(), replica);
        for (_, to) in self.links.iter().filter(|(from, _)| *from == name) {
            let replica = self.replicas.get_mut(&name).expect("it was put there");
            replica.handle_connected(now, to);
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Replica {
        let others: Vec<NodeId> = self.replicas.keys().cloned().collect();
        for other in &others {
            self.disconnect(name, other.as_str());
        }
        self.replicas.remove(&node(name)).expect("a replica")
    }

    pub(crate) fn connect(&mut self, a: &str, b: &str) {
        let now = self.now;
        let (a, b) = (node(a), node(b));
        for (from, to) in [(&a, &b), (&b, &a)] {
            if self.links.insert((from.clone(), to.clone())) {
                self[from.as_str()].handle_connected(now, to);
            }
        }
    }

    pub(crate) fn disconnect(&mut self, a: &str, b: &str) {
        let now = self.now;
        let (a, b) = (node(a), node(b));
        for (from, to) in [(&a, &b), (&b, &a)] {
            if self.links.remove(&(from.clone(), to.clone())) {
                self[from.as_str()].handle_disconnected(now, to);
            }
        }
    }

    /// The transport takes nothing in this direction until [`release`](Self::release).
    pub(crate) fn hold_up(&mut self, from: &str, to: &str) {
        self.held_up.insert((node(from), node(to)));
    }

    pub(crate) fn release(&mut self, from: &str, to: &str) {
        self.held_up.remove(&(node(from), node(to)));
    }

    /// Makes the next frame of one direction without delivering it.
    pub(crate) fn poll(&mut self, from: &str, to: &str) -> Option<Bytes> {
        let now = self.now;
        self[from].poll_transmit(now, &node(to))
    }

    /// Delivers a frame that must be accepted.
    pub(crate) fn deliver(&mut self, from: &str, to: &str, frame: &Bytes) {
        let now = self.now;
        let result = self[to].handle_frame(now, &node(from), frame);
        assert_eq!(result, Ok(()), "from {from} to {to}");
        self.sent.push(Sent {
            at: now,
            from: node(from),
            to: node(to),
            frame: frame.clone(),
        });
    }

    /// Carries one frame of some direction; `None` if nobody has any.
    pub(crate) fn carry_one(&mut self) -> Option<Sent> {
        let open: Vec<_> = self.links.difference(&self.held_up).cloned().collect();
        let next = open.partition_point(|link| self.last.as_ref() >= Some(link));
        for (from, to) in open[next..].iter().chain(&open[..next]) {
            if let Some(frame) = self.poll(from.as_str(), to.as_str()) {
                self.last = Some((from.clone(), to.clone()));
                self.deliver(from.as_str(), to.as_str(), &frame);
                return self.sent.last().cloned();
            }
        }
        None
    }

    /// Carries frames until nobody has any, without time passing.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000_000 {
            if self.carry_one().is_none() {
                return;
            }
        }
        panic!("the replicas never come to rest");
    }

    /// Lets time pass; what becomes due is done at its time.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        let mut at_once = 0;
        while let Some(next) = self.replicas.values().map(Replica::poll_timeout).min() {
            if next > end {
                break;
            }
            at_once = if next > self.now { 0 } else { at_once + 1 };
            assert!(at_once < 100, "something stays due");
            self.now = self.now.max(next);
            let now = self.now;
            for replica in self.replicas.values_mut() {
                if replica.poll_timeout() <= now {
                    replica.handle_timeout(now);
                }
            }
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn run_millis(&mut self, millis: u64) {
        self.run(Duration::from_millis(millis));
    }

    /// Lets two minutes pass, after which all must be equal.
    pub(crate) fn converge(&mut self) {
        self.run(Duration::from_secs(120));
        self.assert_equal();
    }

    pub(crate) fn assert_equal(&mut self) {
        let mut first: Option<(NodeId, _, _)> = None;
        for (name, replica) in &mut self.replicas {
            assert_sound(replica);
            let status = replica.status();
            let state = replica.state();
            let found = (status.context, status.fingerprint);
            let live = state.root().clone();
            match &first {
                None => first = Some((name.clone(), found, live)),
                Some((other, expected, tree)) => {
                    assert_eq!(&found, expected, "{other} and {name}");
                    assert_eq!(&live, tree, "{other} and {name}");
                }
            }
        }
    }

    pub(crate) fn write<T: Crdt>(
        &mut self,
        name: &str,
        key: &str,
        change: impl FnOnce(&mut T::Edit<'_>),
    ) {
        let now = self.now;
        write::<T>(&mut self[name], now, key, change);
    }

    pub(crate) fn delete(&mut self, name: &str, key: &str) -> bool {
        let now = self.now;
        self[name].delete(now, key.as_bytes()).expect("a key")
    }

    /// Frames from one to another since frame number `since` of the log.
    pub(crate) fn frames(&self, since: usize, from: &str, to: &str) -> Vec<Bytes> {
        let (from, to) = (node(from), node(to));
        self.sent[since..]
            .iter()
            .filter(|sent| sent.from == from && sent.to == to)
            .map(|sent| sent.frame.clone())
            .collect()
    }
}

impl Index<&str> for Net {
    type Output = Replica;

    fn index(&self, name: &str) -> &Replica {
        &self.replicas[&node(name)]
    }
}

impl IndexMut<&str> for Net {
    fn index_mut(&mut self, name: &str) -> &mut Replica {
        self.replicas.get_mut(&node(name)).expect("a replica")
    }
}
