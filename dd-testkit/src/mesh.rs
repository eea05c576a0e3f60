//! Replicas that are all connected, in virtual time, over a network that carries every frame at once.

use std::time::Duration;

use dd_gossip::{NodeId, Replica, Time};

/// Replicas, each connected with all others.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    pub(crate) now: Time,
    pub(crate) replicas: Vec<Replica>,
}

impl Mesh {
    /// Adds a replica, or puts one in the place of the one of its node.
    pub(crate) fn put(&mut self, replica: Replica) {
        let (now, node) = (self.now, replica.node().clone());
        self.replicas.retain(|other| *other.node() != node);
        self.replicas.push(replica);
        let (new, others) = match self.replicas.split_last_mut() {
            Some(split) => split,
            None => return,
        };
        for other in others {
            other.handle_disconnected(now, &node);
            other.handle_connected(now, &node);
            new.handle_connected(now, other.node());
        }
    }

    /// Carries frames until nobody has any.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let nodes: Vec<NodeId> = self.replicas.iter().map(|r| r.node().clone()).collect();
        loop {
            let mut carried = false;
            for from in 0..nodes.len() {
                for to in (0..nodes.len()).filter(|to| *to != from) {
                    let frame = self.replicas[from].poll_transmit(self.now, &nodes[to]);
                    if let Some(frame) = frame {
                        carried = true;
                        self.replicas[to]
                            .handle_frame(self.now, &nodes[from], &frame)
                            .map_err(|error| error.to_string())?;
                    }
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
        let end = self.now + span;
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
}
