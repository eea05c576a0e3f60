//! A few replicas of one value, and random histories of them.

use crdt_core::{Causal, Context, Delta, ReplicaId, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use super::oracle::Oracle;
use super::subject::{Reading, Subject};
use super::{copy, empty, kernel_state};

/// One step of a history.
#[derive(Clone, Debug)]
pub(crate) enum Step<O> {
    /// One update of one or more operations, at a reading of a clock that nobody set right.
    Update { at: Index, ops: Vec<O>, clock: u8 },
    /// A whole state is merged.
    Merge { from: Index, into: Index },
    /// One of the deltas of all updates so far arrives, perhaps again.
    Deliver { delta: Index, into: Index },
    /// One replica sends what another lacks, as one delta.
    Since { from: Index, into: Index },
    /// A replica forgets the records that all have.
    Forget { at: Index },
}

/// Random histories of updates, merges and deltas in any order.
pub(crate) fn histories<T: Subject>(most: usize) -> impl Strategy<Value = Vec<Step<T::Op>>> {
    prop::collection::vec(steps::<T>(), 1..most)
}

/// The same, in which replicas also forget.
pub(crate) fn forgetful_histories<T: Subject>(
    most: usize,
) -> impl Strategy<Value = Vec<Step<T::Op>>> {
    let forget = any::<Index>().prop_map(|at| Step::Forget { at });
    prop::collection::vec(prop_oneof![8 => steps::<T>(), 1 => forget], 1..most)
}

fn steps<T: Subject>() -> impl Strategy<Value = Step<T::Op>> {
    let two = || (any::<Index>(), any::<Index>());
    let ops = prop_oneof![
        4 => prop::collection::vec(T::ops(), 1..2),
        1 => prop::collection::vec(T::ops(), 2..5),
    ];
    prop_oneof![
        6 => (any::<Index>(), ops, 0..20u8)
            .prop_map(|(at, ops, clock)| Step::Update { at, ops, clock }),
        2 => two().prop_map(|(from, into)| Step::Merge { from, into }),
        4 => two().prop_map(|(delta, into)| Step::Deliver { delta, into }),
        1 => two().prop_map(|(from, into)| Step::Since { from, into }),
    ]
}

/// Replicas of one value, every delta that was made, and the specification's view of it all.
pub(crate) struct World<T: Subject> {
    pub(crate) replicas: Vec<Causal<T>>,
    pub(crate) deltas: Vec<Delta<T>>,
    oracle: Oracle,
}

impl<T: Subject> World<T> {
    /// Replicas that have seen nothing.
    pub(crate) fn new(replicas: u64) -> Self {
        Self {
            replicas: (1..=replicas).map(empty).collect(),
            deltas: Vec::new(),
            oracle: Oracle::default(),
        }
    }

    /// The world after a history, checked against the specification after every step.
    pub(crate) fn after(replicas: u64, history: &[Step<T::Op>]) -> Result<Self, TestCaseError> {
        let mut world = Self::new(replicas);
        world.go_on(history)?;
        Ok(world)
    }

    /// Does more steps, checked likewise.
    pub(crate) fn go_on(&mut self, history: &[Step<T::Op>]) -> Result<(), TestCaseError> {
        for step in history {
            let changed = self.step(step)?;
            self.check(&self.replicas[changed])?;
        }
        Ok(())
    }

    /// Does one step; returns which replica it changed.
    pub(crate) fn step(&mut self, step: &Step<T::Op>) -> Result<usize, TestCaseError> {
        let n = self.replicas.len();
        let changed = match step {
            Step::Update { at, .. } | Step::Forget { at } => at.index(n),
            Step::Merge { into, .. } | Step::Deliver { into, .. } | Step::Since { into, .. } => {
                into.index(n)
            }
        };
        match step {
            Step::Update { ops, clock, .. } => self.update(changed, ops, u64::from(*clock))?,
            Step::Merge { from, .. } => self.merge(from.index(n), changed),
            Step::Deliver { delta, .. } => {
                if !self.deltas.is_empty() {
                    self.deliver(delta.index(self.deltas.len()), changed);
                }
            }
            Step::Since { from, .. } => {
                let lacking = self.replicas[changed].context();
                if let Ok(delta) = self.replicas[from.index(n)].delta_since(lacking) {
                    let _ = self.replicas[changed].apply(&delta);
                    self.deltas.push(delta);
                }
            }
            Step::Forget { .. } => {
                let contexts = self.replicas.iter().map(Causal::context).cloned();
                let contexts: Vec<Context> = contexts.collect();
                self.replicas[changed].forget(&contexts);
            }
        }
        Ok(changed)
    }

    /// Merges the whole state of one replica into another.
    pub(crate) fn merge(&mut self, from: usize, into: usize) {
        let sender = copy(&self.replicas[from]);
        self.replicas[into]
            .merge(&sender)
            .expect("an id of its own");
    }

    /// A delta arrives at a replica. It may be refused: the replica then lacks removals that were
    /// forgotten, and has to stay as it is.
    pub(crate) fn deliver(&mut self, delta: usize, into: usize) {
        let _ = self.replicas[into].apply(&self.deltas[delta]);
    }

    /// An update, which has to make just the events that the specification says.
    pub(crate) fn update(
        &mut self,
        at: usize,
        ops: &[T::Op],
        clock: u64,
    ) -> Result<(), TestCaseError> {
        let maker: ReplicaId = self.replicas[at].replica();
        let before = self.replicas[at].context().clone();
        let intents = ops.iter().map(T::intent);
        let events = self.oracle.perform(maker, &before, clock, intents);
        let done = self.replicas[at]
            .update_at(Timestamp::from_bits(clock), |edit| {
                ops.iter().for_each(|op| T::apply(edit, op));
            })
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let after = self.replicas[at].context();
        prop_assert_eq!(after.max(maker), before.max(maker) + events);
        prop_assert_eq!(done.delta.is_empty(), events == 0);
        self.deltas.push(done.delta);
        Ok(())
    }

    /// The value that a replica with this context ought to read.
    pub(crate) fn expected(&self, context: &Context) -> Reading {
        T::expected(&self.oracle.live(context), 0)
    }

    /// Checks a replica: it reads what the specification says, its bytes load again, and whoever
    /// has an equal context has equal dots live.
    pub(crate) fn check(&self, replica: &Causal<T>) -> Result<(), TestCaseError> {
        prop_assert_eq!(T::read(replica.view()), self.expected(replica.context()));
        let state = kernel_state(replica);
        for other in &self.replicas {
            if other.context() == replica.context() {
                prop_assert_eq!(&kernel_state(other), &state);
            }
        }
        Ok(())
    }
}
