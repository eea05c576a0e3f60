//! Causal delta-CRDTs: data types and the dot-store kernel under them, no I/O.

/// Placeholder until the kernel is in.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaId;
