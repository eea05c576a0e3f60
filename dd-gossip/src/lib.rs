//! Sans-io replication of a key space of CRDTs.

mod node_id;
mod transport;

pub use node_id::{ClusterId, MAX_NAME, NameError, NodeId};
pub use transport::{
    AddressError, MAX_FRAME, SendError, Transport, TransportEvent, TransportStats,
};
