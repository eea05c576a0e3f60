//! Tests of dd-gossip through its public API: replicas that are handed frames and time.

mod clusters;
mod comparison;
mod determinism;
mod exchange;
mod expiry;
mod forgetting;
mod golden;
mod hostile;
mod joining;
mod large;
mod limits;
mod membership;
mod order;
mod owned;
mod quorum;
mod renewing;
mod sealing;
mod situations;
mod support;
mod transactions;
mod untrue;
