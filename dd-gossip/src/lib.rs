//! Sans-io replication of a key space of CRDTs.
//!
//! [`Replica`] is the machine: it holds the keys, is told what happens and asked what to do.
//! [`Transport`] is the boundary to whatever carries its frames.

mod config;
mod consistency;
mod fingerprint;
mod frame;
mod incoming;
mod index;
mod key_space;
mod linked;
mod node_id;
mod peer;
mod replica;
mod rng;
mod session;
mod time;
mod transport;

pub use config::{Config, MAX_KEY, MIN_CHUNK, Timing};
pub use consistency::Consistency;
pub use frame::{FRAME_VERSION, FrameError, MAX_CHUNK, MAX_MESSAGE, carries_data};
pub use incoming::{MAX_HELD, MAX_HELD_BYTES};
pub use key_space::Changed;
pub use linked::MAX_LINKED;
pub use node_id::{ClusterId, MAX_NAME, NameError, NodeId};
pub use peer::MAX_UNACKNOWLEDGED;
pub use replica::{
    Confirm, Counts, Event, MAX_BARRIERS, MAX_EVENTS, MAX_FLUSH_EVENTS, MAX_RECORDS,
    MAX_TRANSACTIONS, PeerStatus, Refresh, Replica, Status, TooManyBarriers, Transaction,
    UpdateError,
};
pub use time::Time;
pub use transport::{
    AddressError, MAX_FRAME, SendError, Transport, TransportEvent, TransportStats,
};
