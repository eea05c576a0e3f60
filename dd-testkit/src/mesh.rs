//! Replicas that are connected, in virtual time, over a network that carries every frame at once.

use std::collections::BTreeSet;
use std::time::Duration;

use dd_gossip::{NodeId, Replica, Time};

/// Replicas, and who is connected with whom.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) now: Time,
    pub(crate) replicas: Vec<Replica>,
    links: BTreeSet<(NodeId, NodeId)>,
}

impl Mesh {
    /// Adds a replica, or puts one in the place of the one of its node, connected with all others.
    pub(crate) fn put(&mut self, replica: Replica) {
        let node = replica.node().clone();
        self.replicas.retain(|other| *other.node() != node);
        self.replicas.push(replica);
        let last = self.replicas.len() - 1;
        for other in 0..last {
            self.disconnect(other, last);
            self.connect(other, last);
        }
    }

    /// Adds a replica that is connected with nobody.
    pub(crate) fn add(&mut self, replica: Replica) {
        self.replicas.push(replica);
    }

    /// Connects two, by their places.
    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let to = self.replicas[to].node().clone();
            let link = (self.replicas[from].node().clone(), to);
            self.replicas[from].handle_connected(self.now, &link.1);
            self.links.insert(link);
        }
    }

    pub(crate) fn disconnect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let to = self.replicas[to].node().clone();
            let link = (self.replicas[from].node().clone(), to);
            if self.links.remove(&link) {
                self.replicas[from].handle_disconnected(self.now, &link.1);
            }
        }
    }

    /// Carries frames until nobody has any.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let place = |node: &NodeId| self.replicas.iter().position(|r| r.node() == node);
        let links = self.links.iter();
        let links = links.filter_map(|(from, to)| Some((place(from)?, place(to)?, from, to)));
        let links: Vec<_> = links
            .map(|(a, b, from, to)| (a, b, from.clone(), to.clone()))
            .collect();
        loop {
            let mut carried = false;
            for (from, to, sender, receiver) in &links {
                if let Some(frame) = self.replicas[*from].poll_transmit(self.now, receiver) {
                    carried = true;
                    self.replicas[*to]
                        .handle_frame(self.now, sender, &frame)
                        .map_err(|error| error.to_string())?;
                }
            }
            for replica in &mut self.replicas {
                while replica.poll_event().is_some() {}
            }
            if !carried {
                return Ok(());
            }
        }
    }

    /// Lets time pass; what becomes due is done at its time.
    pub(crate) fn run(&mut self, span: Duration) -> Result<(), String> {
        self.run_until(self.now + span)
    }

    /// As [`run`](Self::run), until a time.
    pub(crate) fn run_until(&mut self, end: Time) -> Result<(), String> {
        self.settle()?;
        while let Some(next) = self.replicas.iter().map(Replica::poll_timeout).min() {
            if next > end {
                break;
            }
            // What is due by now may be a frame, which only time hands out.
            self.now = self.now.max(next) + Duration::from_micros(1);
            for replica in &mut self.replicas {
                if replica.poll_timeout() <= self.now {
                    replica.handle_timeout(self.now);
                }
            }
            self.settle()?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Whether all have seen the same.
    pub(crate) fn is_equal(&mut self) -> bool {
        let mut hashes = self
            .replicas
            .iter_mut()
            .map(|replica| replica.status().context_hash);
        let first = hashes.next();
        hashes.all(|hash| Some(hash) == first)
    }

    /// Runs until all have seen the same, for `most` at most.
    pub(crate) fn converge(&mut self, most: Duration) -> Result<(), String> {
        let end = self.now + most;
        while !self.is_equal() {
            if self.now >= end {
                return Err(format!("not equal after {most:?}"));
            }
            self.run(Duration::from_millis(50))?;
        }
        Ok(())
    }
}

/// A replica of an experiment: the `at`-th of `count`, all members of one cluster.
pub(crate) fn config(at: usize, count: usize) -> Result<dd_gossip::Config, String> {
    let name = |at: usize| -> Result<NodeId, String> {
        let name = format!("n{at:03}").parse();
        name.map_err(|error: dd_gossip::NameError| error.to_string())
    };
    let number = at as u64 + 1;
    Ok(dd_gossip::Config {
        cluster: "experiment"
            .parse()
            .map_err(|error: dd_gossip::NameError| error.to_string())?,
        node: name(at)?,
        replica: crdt_core::ReplicaId::new(number, 1),
        nonce: number,
        seed: number,
        peers: (0..count).map(name).collect::<Result<_, _>>()?,
        bootstrap: false,
        timing: dd_gossip::Timing::default(),
        limits: crdt_core::Limits::default(),
        chunk: dd_gossip::MAX_CHUNK,
        shared: dd_gossip::MIN_SHARED,
        part: dd_gossip::MAX_PART,
    })
}
