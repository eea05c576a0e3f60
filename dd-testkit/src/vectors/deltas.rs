//! Replication by deltas alone, in any order, each more than once.

use std::collections::BTreeSet;

use crdt_core::{Causal, Delta};
use serde_json::Value;

use super::whole::{update, values};
use super::{CaseError, Level, Method, Op, VectorType};
use crate::rng::Rng;

/// Each replica keeps every delta that it knows, and sends them all, each twice, shuffled. Who
/// received one relays it later.
#[derive(Clone, Copy, Debug)]
pub struct DeltasOnly;

impl Method for DeltasOnly {
    const NAME: &'static str = "deltas only";

    fn begin<T: VectorType>(replicas: usize, seed: u64) -> Box<dyn Level> {
        Box::new(Replicas::<T> {
            values: values(replicas),
            known: vec![BTreeSet::new(); replicas],
            deltas: Vec::new(),
            rng: Rng::new(seed),
        })
    }
}

struct Replicas<T> {
    values: Vec<Causal<T>>,
    /// By replica, the numbers of the deltas that it knows.
    known: Vec<BTreeSet<usize>>,
    /// All deltas, as bytes.
    deltas: Vec<Vec<u8>>,
    rng: Rng,
}

impl<T: VectorType> Level for Replicas<T> {
    fn apply(&mut self, replica: usize, op: &Op<'_>) -> Result<(), CaseError> {
        let delta = update(&mut self.values[replica], op)?;
        self.known[replica].insert(self.deltas.len());
        self.deltas.push(delta.encode());
        Ok(())
    }

    fn merge(&mut self, from: usize, into: usize) -> Result<(), CaseError> {
        let known = self.known[from].clone();
        let mut sent: Vec<usize> = known.iter().chain(&known).copied().collect();
        self.rng.shuffle(&mut sent);
        for at in sent {
            let delta = Delta::<T>::load(&self.deltas[at])?;
            self.values[into].apply(&delta)?;
        }
        self.known[into].extend(known);
        Ok(())
    }

    fn read(&self, replica: usize) -> Result<Value, CaseError> {
        T::read(&self.values[replica].view())
    }
}
