//! What the benches and the comparisons share: data that is the same in every run, how things are
//! measured, and the types of each library behind one trait for each kind.

pub mod measure;
pub mod others;
pub mod ours;
pub mod subject;

use crdt_core::{Causal, EditError, OrSet, ReplicaId};

/// Numbers spread over 64 bits.
pub fn spread(at: u64) -> u64 {
    at.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A set of the numbers `from..to`, spread, at a replica of its own.
///
/// # Errors
///
/// [`EditError`], which numbers can't cause.
pub fn set(node: u64, from: u64, to: u64) -> Result<Causal<OrSet<u64>>, EditError> {
    let mut set = Causal::<OrSet<u64>>::new(ReplicaId::new(node, 1));
    set.update(|edit| {
        for at in from..to {
            edit.insert(&spread(at));
        }
    })?;
    Ok(set)
}
