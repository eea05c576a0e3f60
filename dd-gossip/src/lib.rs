//! Sans-io replication of a key space of CRDTs.
//!
//! [`Replica`] is the machine: it holds the keys, is told what happens and asked what to do.
//! [`Transport`] is the boundary to whatever carries its frames, [`Membership`] the one to whatever knows
//! who belongs to the cluster.

mod asking;
mod by_number;
mod changes;
mod config;
mod consistency;
mod draft;
mod fingerprint;
mod frame;
mod incoming;
mod index;
mod key_space;
mod linked;
mod membership;
mod message;
mod node_id;
mod peer;
mod range;
mod replica;
mod rng;
mod session;
mod standby;
mod statement;
mod time;
mod traffic;
mod transport;
mod walk;

pub use changes::Changed;
pub use config::{
    Config, ConfigError, MAX_INTERVAL, MAX_KEY, MAX_PART, MIN_CHUNK, MIN_INTERVAL, MIN_SHARED,
    Timing,
};
pub use consistency::Consistency;
pub use frame::{
    FRAME_VERSION, FrameError, MAX_CHUNK, MAX_SEALS, carries_data, membership_frame,
    membership_message,
};
pub use incoming::{MAX_HELD, max_held_bytes, max_staged_bytes};
pub use linked::MAX_LINKED;
pub use membership::{
    MAX_ADDRESS, MAX_GONE, MAX_MEMBERS, MAX_PACKET, Member, MemberState, Membership, Message,
    StaticMembers, Swim, SwimTiming,
};
pub use message::max_message;
pub use node_id::{ClusterId, MAX_NAME, NameError, NodeId};
pub use peer::MAX_UNACKNOWLEDGED;
pub use replica::{
    Confirm, Counts, Damage, Event, MAX_BARRIERS, MAX_EVENTS, MAX_FAMILIES, MAX_FAMILY,
    MAX_FLUSH_EVENTS, MAX_IDLE, MAX_IDLE_FAMILIES, MAX_RECORDS, MAX_SOURCES, MAX_TRANSACTIONS,
    MIN_IDLE, PeerStatus, RecordsAwaited, Refresh, Replica, SHARES, Status, TooManyBarriers,
    Transaction, UpdateError, check_key,
};
pub use standby::{Standby, View};
pub use statement::MAX_STATEMENT;
pub use time::Time;
pub use traffic::{Traffic, TrafficByKind};
pub use transport::{
    AddressError, MAX_FRAME, SendError, Transport, TransportEvent, TransportStats,
};
