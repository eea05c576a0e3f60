//! Deterministic simulator, oracles, in-memory transport and conformance suites.

pub mod members;
mod memory_transport;
pub mod model;
pub mod oracle;
mod rng;
pub mod sim;
pub mod transport_suite;
pub mod vectors;

pub use memory_transport::{MemoryNetwork, MemoryTransport};
pub use rng::Rng;
