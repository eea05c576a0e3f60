//! Values that end at a time, in some of the runs: clocks that are set and drift as everywhere, and what the nodes
//! delete by themselves.
//!
//! Such a delete is an event like any other, so the oracle says what has to be seen. Besides, nothing may end
//! before the clocks of a majority have passed its deadline, and everything has to have ended when all have.

use std::time::Duration;

use crdt_core::{Dot, Name, Path};

use super::world::World;
use crate::oracle::Event;
use crate::rng::Rng;

const KEYS: [&str; 2] = ["k", "l"];
/// The latest that a value ends, after it was said to, in milliseconds.
const LATEST: usize = 300_000;
/// How wrong a node may be about another's clock: what that drifted since it was stated, in milliseconds.
const SLACK: u64 = 60_000;

pub(super) struct Deadlines {
    rng: Rng,
    /// The latest that each node's clock ever was.
    latest: Vec<u64>,
}

impl Deadlines {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            rng: Rng::new(seed.rotate_left(32)),
            latest: vec![0; nodes],
        }
    }
}

impl World {
    /// Now and then a key is told when to end, or that it does not.
    pub(super) fn end_some(&mut self) -> Result<(), String> {
        let since = self.now.since_start().as_millis() as u64;
        let Some(Deadlines { rng, .. }) = &mut self.deadlines else {
            return Ok(());
        };
        if !rng.chance(15) {
            return Ok(());
        }
        let (at, key) = (rng.below(self.nodes.len()), KEYS[rng.below(KEYS.len())]);
        let ends = 1_700_000_000_000 + since + rng.below(LATEST) as u64;
        let deadline = (!rng.chance(20)).then_some(ends);
        self.tell_time(at);
        let (now, wall) = (self.now, self.wall(at));
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let (id, bare) = (replica.replica_id(), replica.state().context().clone());
        replica
            .expire_at(now, wall, key.as_bytes(), deadline)
            .map_err(|error| error.to_string())?;
        let dot = Dot::new(id, bare.max(id) + 1);
        if replica.state().context().contains(dot) {
            let path: Path = [Name::from(key), Name::from("deadline")].as_slice().into();
            let seen = self.unsealed(&bare)?;
            let event = match deadline {
                Some(_) => Event::write(path, seen),
                None => Event::removal(path, seen),
            };
            self.oracle.record(dot, event);
            self.tally.deadlines += 1;
        }
        self.pump(at, "a deadline")
    }

    pub(super) fn tell_time(&mut self, at: usize) {
        let (now, wall) = (self.now, self.wall(at));
        let Some(deadlines) = &mut self.deadlines else {
            return;
        };
        deadlines.latest[at] = deadlines.latest[at].max(wall);
        if let Some(replica) = &mut self.nodes[at].replica {
            replica.set_wall(now, wall);
        }
    }

    /// Lets a replica do what is due, and notes what it deletes by itself.
    pub(super) fn timeout(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        if self.owned.is_some() {
            // Noted with what came in by frames.
            replica.handle_timeout(now);
            return Ok(());
        }
        let (id, mut seen) = (replica.replica_id(), replica.state().context().clone());
        let due = KEYS.map(|key| (Name::from(key), replica.deadline(key.as_bytes())));
        replica.handle_timeout(now);
        let state = replica.state();
        for seq in seen.max(id) + 1..=state.context().max(id) {
            let dot = Dot::new(id, seq);
            let record = state.records().find(|(_, record)| record.dot == dot);
            let (path, _) = record.ok_or("a node made an event by itself, and no record")?;
            self.may_end(path, &due)?;
            let event = Event::removal(path.clone(), self.unsealed(&seen)?);
            self.oracle.record(dot, event);
            seen.insert(dot);
            self.tally.ended += 1;
        }
        Ok(())
    }

    fn may_end(&self, path: &Path, due: &[(Name, Option<u64>)]) -> Result<(), String> {
        let latest = self
            .deadlines
            .iter()
            .flat_map(|deadlines| &deadlines.latest);
        // A clock goes on without its node being told.
        let clocks = latest.enumerate();
        let mut clocks = clocks.map(|(at, latest)| self.wall(at).max(*latest));
        let ends = due.iter().find(|(key, _)| path.as_ref() == [key.clone()]);
        let ends = ends
            .and_then(|(_, ends)| *ends)
            .ok_or("a key without a deadline ended")?;
        let passed = clocks.by_ref().filter(|wall| *wall + SLACK >= ends).count();
        if passed * 2 > self.nodes.len() {
            Ok(())
        } else {
            Err(format!(
                "{path:?} ended when {passed} clocks had passed its deadline"
            ))
        }
    }

    /// At the end all have one time.
    pub(super) fn set_clocks_right(&mut self) {
        if self.deadlines.is_some() {
            for node in &mut self.nodes {
                (node.wall_offset, node.wall_drift) = (0, 0);
            }
        }
    }

    /// By when every deadline has passed, everything has ended that had one.
    pub(super) fn await_ends(&mut self) -> Result<(), String> {
        let up = self.nodes.iter().filter(|node| node.replica.is_some());
        // Without a majority nobody knows what time it is.
        if self.deadlines.is_none() || up.count() * 2 <= self.nodes.len() {
            return Ok(());
        }
        self.pass(Duration::from_millis(LATEST as u64))?;
        for (at, node) in self.nodes.iter().enumerate() {
            let replica = node.replica.iter();
            let ends = replica.flat_map(|replica| KEYS.map(|key| replica.deadline(key.as_bytes())));
            if ends.flatten().next().is_some() {
                return Err(format!("node {at} has a key that should have ended"));
            }
        }
        Ok(())
    }
}
