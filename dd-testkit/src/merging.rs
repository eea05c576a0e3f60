//! A replica that has much takes in what another did meanwhile, one kind of events after the other.

use std::time::{Duration, Instant};

use crdt_core::{OrSet, PnCounter};
use dd_gossip::{NodeId, Replica, Time, UpdateError};

use crate::mesh::config;
use crate::rng::Rng;

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Merged {
    /// What the events were.
    pub what: &'static str,
    /// How many of them.
    pub events: usize,
    /// What the receiver's calls took.
    pub receiving: Duration,
    /// The longest of them: so long a reader may have to wait.
    pub longest: Duration,
    /// What the sender's calls took.
    pub sending: Duration,
    /// Bytes of frames in both directions.
    pub bytes: u64,
}

impl Merged {
    fn new(what: &'static str, events: usize) -> Self {
        Self {
            what,
            events,
            receiving: Duration::ZERO,
            longest: Duration::ZERO,
            sending: Duration::ZERO,
            bytes: 0,
        }
    }
}

const SET: &[u8] = b"set";

/// Two replicas that hold the same keys.
#[derive(Debug)]
struct Pair {
    now: Time,
    nodes: [NodeId; 2],
    replicas: [Replica; 2],
    rng: Rng,
    keys: usize,
}

/// Fills one replica with counters, and tells what it takes another to have them, and then `events` more of each
/// kind, as many as there are keys at most: keys that are new, changes of keys, of keys that others have changed,
/// insertions into one set, removals of keys and of elements. At last, what it takes the receiver to forget what was
/// removed.
///
/// # Errors
///
/// What went wrong; nothing should.
pub fn merge(
    keys: usize,
    events: usize,
    chunk: usize,
    mut each: impl FnMut(Merged),
) -> Result<(), String> {
    let events = events.min(keys);
    let replica = |at: usize| -> Result<Replica, String> {
        let config = dd_gossip::Config {
            chunk,
            ..config(at, 2)?
        };
        Ok(Replica::new(config, Time::ZERO))
    };
    let replicas = [replica(0)?, replica(1)?];
    let nodes = [replicas[0].node().clone(), replicas[1].node().clone()];
    let mut pair = Pair {
        now: Time::ZERO,
        nodes,
        replicas,
        rng: Rng::new(1),
        keys,
    };
    (0..keys).try_for_each(|key| pair.count(0, key))?;
    each(pair.meet(0, "keys, into an empty replica", keys)?);
    (keys..keys + events).try_for_each(|key| pair.count(0, key))?;
    each(pair.meet(0, "new keys", events)?);
    pair.count_some(0, events)?;
    each(pair.meet(0, "changes of keys", events)?);
    pair.count_some(1, events)?;
    each(pair.meet(1, "changes by a second writer", events)?);
    (0..events).try_for_each(|n| pair.change_set(n, true))?;
    each(pair.meet(0, "insertions into one set", events)?);
    (0..events).try_for_each(|n| pair.change_set(n, false))?;
    each(pair.meet(0, "removals of elements", events)?);
    (0..events).try_for_each(|key| pair.delete(key))?;
    each(pair.meet(0, "deletes of keys", events)?);
    each(pair.forget()?);
    Ok(())
}

impl Pair {
    /// Some of the keys in no order, each once.
    fn count_some(&mut self, at: usize, events: usize) -> Result<(), String> {
        let mut some = std::collections::BTreeSet::new();
        while some.len() < events {
            some.insert(self.rng.below(self.keys));
        }
        some.into_iter().try_for_each(|key| self.count(at, key))
    }

    fn count(&mut self, at: usize, key: usize) -> Result<(), String> {
        let counted = self.replicas[at].update::<PnCounter, _, UpdateError>(
            self.now,
            0,
            &name(key),
            |counter| {
                counter.add(1);
                Ok(())
            },
        );
        counted.map_err(|error| error.to_string())
    }

    fn change_set(&mut self, element: usize, insert: bool) -> Result<(), String> {
        let element = spread(element);
        let changed =
            self.replicas[0].update::<OrSet<u64>, _, UpdateError>(self.now, 0, SET, |set| {
                Ok(if insert {
                    set.insert(&element)
                } else {
                    set.remove(&element)
                })
            });
        changed.map(|_| ()).map_err(|error| error.to_string())
    }

    fn delete(&mut self, key: usize) -> Result<(), String> {
        let deleted = self.replicas[0].delete(self.now, &name(key));
        deleted.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Both meet until they are equal, and part.
    fn meet(&mut self, from: usize, what: &'static str, events: usize) -> Result<Merged, String> {
        let mut merged = Merged::new(what, events);
        for at in 0..2 {
            self.replicas[at].handle_connected(self.now, &self.nodes[1 - at]);
        }
        let end = self.now + Duration::from_secs(60);
        while self.replicas[0].status().context_hash != self.replicas[1].status().context_hash {
            if self.now > end {
                return Err(format!("{what}: not equal after a minute"));
            }
            self.now = self.now + Duration::from_millis(50);
            for replica in &mut self.replicas {
                if replica.poll_timeout() <= self.now {
                    replica.handle_timeout(self.now);
                }
            }
            while self.carry(from, &mut merged)? | self.carry(1 - from, &mut merged)? {}
        }
        for at in 0..2 {
            self.replicas[at].handle_disconnected(self.now, &self.nodes[1 - at]);
        }
        Ok(merged)
    }

    /// Both meet until they have forgotten what was removed, which everybody knows of by now.
    fn forget(&mut self) -> Result<Merged, String> {
        let records = |replica: &Replica| replica.state().record_count();
        let kept = records(&self.replicas[1]);
        let mut merged = Merged::new("what was removed is forgotten", kept);
        for at in 0..2 {
            self.replicas[at].handle_connected(self.now, &self.nodes[1 - at]);
        }
        let end = self.now + Duration::from_secs(3600);
        while self.replicas.iter().any(|replica| records(replica) > 0) {
            if self.now > end {
                return Err("records are kept after an hour".to_owned());
            }
            let next = self.replicas.iter().map(Replica::poll_timeout).min();
            self.now = next.map_or(self.now, |next| next.max(self.now));
            for at in 0..2 {
                let began = Instant::now();
                self.replicas[at].handle_timeout(self.now);
                let took = began.elapsed();
                if at == 1 {
                    merged.receiving += took;
                    merged.longest = merged.longest.max(took);
                }
            }
            let mut others = merged;
            while self.carry(0, &mut others)? | self.carry(1, &mut others)? {}
            merged.bytes = others.bytes;
        }
        Ok(merged)
    }

    /// Carries one frame, if there is one. The work of the pair's direction is counted.
    fn carry(&mut self, at: usize, merged: &mut Merged) -> Result<bool, String> {
        let (now, to) = (self.now, 1 - at);
        let began = Instant::now();
        let frame = self.replicas[at].poll_transmit(now, &self.nodes[to]);
        let sending = began.elapsed();
        let Some(frame) = frame else {
            return Ok(false);
        };
        let began = Instant::now();
        let handled = self.replicas[to].handle_frame(now, &self.nodes[at], &frame);
        let receiving = began.elapsed();
        handled.map_err(|error| error.to_string())?;
        while self.replicas[to].poll_event().is_some() {}
        merged.sending += sending;
        merged.receiving += receiving;
        merged.longest = merged.longest.max(receiving);
        merged.bytes += frame.len() as u64;
        Ok(true)
    }
}

fn name(key: usize) -> [u8; 16] {
    let mut name = *b"counter/        ";
    name[8..].copy_from_slice(&spread(key).to_be_bytes());
    name
}

/// Numbers that come in no order.
fn spread(n: usize) -> u64 {
    (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_events_is_merged() {
        let mut kinds = Vec::new();
        merge(500, 100, 4096, |merged| {
            let costs_bytes = merged.bytes > 2 * merged.events as u64;
            assert!(
                costs_bytes || merged.what.ends_with("forgotten"),
                "{merged:?}"
            );
            kinds.push((merged.what, merged.events));
        })
        .unwrap();
        assert_eq!(kinds.len(), 8);
        assert_eq!(kinds[7].1, 200, "elements and keys");
    }
}
