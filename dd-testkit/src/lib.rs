//! Deterministic simulator, oracles, in-memory transport and conformance suites.

pub mod model;
pub mod oracle;
mod rng;
pub mod sim;
pub mod vectors;

pub use rng::Rng;
