//! Replication by whole states.

use crdt_core::{Causal, ReplicaId};
use serde_json::Value;

use super::{CaseError, Level, Method, Op, VectorType};

/// Whole states are encoded, loaded and merged.
#[derive(Clone, Copy, Debug)]
pub struct WholeStates;

impl Method for WholeStates {
    const NAME: &'static str = "whole states";

    fn begin<T: VectorType>(replicas: usize, _seed: u64) -> Box<dyn Level> {
        Box::new(Replicas::<T>(values(replicas)))
    }
}

/// Empty values, at replicas in the order of their numbers.
pub(super) fn values<T: VectorType>(replicas: usize) -> Vec<Causal<T>> {
    (1..=replicas as u64)
        .map(|n| Causal::new(ReplicaId::new(n, 1)))
        .collect()
}

/// Does an operation as an update of its own, if it is one of the type's.
pub(super) fn update<T: VectorType>(
    value: &mut Causal<T>,
    op: &Op<'_>,
) -> Result<crdt_core::Delta<T>, CaseError> {
    let done = value.update_at(op.clock, |edit| T::apply(edit, op))?;
    done.value.map(|()| done.delta)
}

struct Replicas<T>(Vec<Causal<T>>);

impl<T: VectorType> Level for Replicas<T> {
    fn apply(&mut self, replica: usize, op: &Op<'_>) -> Result<(), CaseError> {
        update(&mut self.0[replica], op).map(drop)
    }

    fn merge(&mut self, from: usize, into: usize) -> Result<(), CaseError> {
        let sent = self.0[from].encode();
        // Under an id that never writes.
        let received = Causal::load(&sent, ReplicaId::new(u64::MAX, 1))?;
        self.0[into].merge(&received).expect("an id of its own");
        Ok(())
    }

    fn read(&self, replica: usize) -> Result<Value, CaseError> {
        T::read(&self.0[replica].view())
    }
}
