//! Deterministic simulator, oracles, in-memory transport and conformance suites.

pub mod enes;
pub mod exhaust;
mod free_address;
pub mod members;
mod memory_transport;
pub mod merging;
mod mesh;
pub mod model;
pub mod oracle;
pub mod partition;
mod relay;
pub mod restarts;
mod rng;
pub mod sim;
mod trace;
pub mod transport_suite;
pub mod vectors;

pub use free_address::free_address;
pub use memory_transport::{MemoryNetwork, MemoryTransport};
pub use relay::Relay;
pub use rng::Rng;
