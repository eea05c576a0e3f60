//! The store as a service sees it: a handle on real replicas that talk to each other.
//!
//! Tests over the in-memory network run on a clock that stands still and jumps to the next timer
//! when nobody has anything to do, so their waits cost nothing; those over QUIC wait for events.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that called them"
)]

mod barriers;
mod closures;
mod cluster;
mod expiry;
mod hostile;
mod keys;
mod lifecycle;
mod members;
mod node;
mod owned;
mod quic;
mod repair;
mod scripted;
mod subscriptions;
mod transactions;
mod updates;
