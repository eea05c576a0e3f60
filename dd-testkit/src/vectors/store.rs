//! Replication through the store: exchanges between replicas that stop anywhere and resume.

use std::marker::PhantomData;
use std::time::Duration;

use crdt_core::{Limits, ReplicaId};
use dd_gossip::{Config, MIN_CHUNK, NodeId, Replica, Time, Timing, UpdateError, carries_data};
use serde_json::Value;

use super::{CaseError, Level, Method, Op, VectorType};
use crate::rng::Rng;

const KEY: &[u8] = b"value";
/// Exchanges that are cut before one goes through, at most.
const CUTS: usize = 3;
/// Frames after which an exchange is cut, at most.
const CUT_AFTER: usize = 12;
/// Virtual time for an exchange that is not cut.
const PATIENCE: Duration = Duration::from_secs(600);

/// Replicas of the store, connected for each merge. Frames are small, and the connection breaks up
/// to three times at any frame before everything has arrived.
#[derive(Clone, Copy, Debug)]
pub struct ThroughTheStore;

impl Method for ThroughTheStore {
    const NAME: &'static str = "through the store";

    fn begin<T: VectorType>(replicas: usize, seed: u64) -> Box<dyn Level> {
        let names: Vec<NodeId> = (0..replicas)
            .filter_map(|at| format!("n{at}").parse().ok())
            .collect();
        let replica = |(at, node): (usize, &NodeId)| {
            let config = Config {
                cluster: "vectors".parse().expect("a name"),
                node: node.clone(),
                replica: ReplicaId::new(at as u64 + 1, 1),
                nonce: at as u64 + 1,
                seed,
                peers: names.clone(),
                bootstrap: false,
                timing: Timing::default(),
                limits: Limits::default(),
                chunk: MIN_CHUNK,
                shared: dd_gossip::MIN_SHARED,
                part: dd_gossip::MAX_PART,
            };
            Replica::new(config, Time::ZERO)
        };
        let replicas = names.iter().enumerate().map(replica).collect();
        let (now, rng) = (Time::ZERO, Rng::new(seed));
        Box::new(Replicas::<T> {
            replicas,
            names,
            now,
            rng,
            value: PhantomData,
        })
    }
}

struct Replicas<T> {
    replicas: Vec<Replica>,
    names: Vec<NodeId>,
    now: Time,
    rng: Rng,
    value: PhantomData<T>,
}

impl<T: VectorType> Level for Replicas<T> {
    fn apply(&mut self, replica: usize, op: &Op<'_>) -> Result<(), CaseError> {
        self.replicas[replica].update_at::<T, _, Refused>(self.now, op.clock, KEY, |edit| {
            T::apply(edit, op).map_err(Refused::Case)
        })?;
        Ok(())
    }

    fn merge(&mut self, from: usize, into: usize) -> Result<(), CaseError> {
        if from == into {
            return Ok(());
        }
        for _ in 0..self.rng.below(CUTS + 1) {
            let frames = 1 + self.rng.below(CUT_AFTER);
            self.exchange(from, into, Some(frames))?;
        }
        self.exchange(from, into, None)
    }

    fn read(&self, replica: usize) -> Result<Value, CaseError> {
        T::read(&self.replicas[replica].view::<T>(KEY))
    }
}

impl<T: VectorType> Replicas<T> {
    /// Connects two replicas until `into` has all that `from` has, or until so many frames have come.
    fn exchange(
        &mut self,
        from: usize,
        into: usize,
        frames: Option<usize>,
    ) -> Result<(), CaseError> {
        for (one, other) in [(from, into), (into, from)] {
            self.replicas[one].handle_connected(self.now, &self.names[other]);
        }
        let deadline = self.now + PATIENCE;
        let mut left = frames.unwrap_or(usize::MAX);
        while left > 0 && !self.has_all(from, into) {
            let sent = self.send(from, into, true)? + self.send(into, from, false)?;
            left = left.saturating_sub(sent);
            if sent == 0 {
                self.now = self.now + Duration::from_millis(50);
                for at in [from, into] {
                    self.replicas[at].handle_timeout(self.now);
                }
            }
            if self.now > deadline {
                return Err(CaseError::Other("the exchange does not end".to_owned()));
            }
        }
        for (one, other) in [(from, into), (into, from)] {
            self.replicas[one].handle_disconnected(self.now, &self.names[other]);
        }
        Ok(())
    }

    fn has_all(&self, from: usize, into: usize) -> bool {
        let context = |at: usize| self.replicas[at].state().context().clone();
        context(from).is_subset(&context(into))
    }

    /// One frame from one to the other. What the case does not say is merged is not: only the
    /// receiver of the merge is sent data.
    fn send(&mut self, from: usize, to: usize, data: bool) -> Result<usize, CaseError> {
        let Some(frame) = self.replicas[from].poll_transmit(self.now, &self.names[to]) else {
            return Ok(0);
        };
        if data || !carries_data(&frame) {
            let refused = |error| CaseError::Other(format!("a frame was refused: {error}"));
            self.replicas[to]
                .handle_frame(self.now, &self.names[from], &frame)
                .map_err(refused)?;
        }
        Ok(1)
    }
}

enum Refused {
    Case(CaseError),
    Update(UpdateError),
}

impl From<UpdateError> for Refused {
    fn from(error: UpdateError) -> Self {
        Self::Update(error)
    }
}

impl From<Refused> for CaseError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Case(error) => error,
            Refused::Update(error) => Self::Other(format!("an update was refused: {error}")),
        }
    }
}
