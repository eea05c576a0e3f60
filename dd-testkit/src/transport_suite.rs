//! A conformance suite for implementations of [`Transport`].
//!
//! It makes transports by a [`TransportFactory`] and does with them what a replica's driver does and
//! what goes wrong around one. It names no runtime: its functions are futures, and the factory says
//! how to sleep. Each function checks one clause of the contract and answers with a [`Violation`] at
//! the first thing that is against it; [`check_all`] runs all of them.
//!
//! The suite is for transports that lose and reorder nothing while a connection stands, the fast
//! path of the contract. The contract allows less; a transport of that kind passes only
//! [`sizes`], [`not_connected`], [`addresses`], [`both_dial`] and [`after_close`], and the rest of
//! its behaviour needs tests of its own.
//!
//! ```
//! use std::time::Duration;
//!
//! use dd_gossip::NodeId;
//! use dd_testkit::transport_suite::{self, TransportFactory};
//! use dd_testkit::{MemoryNetwork, MemoryTransport};
//!
//! struct InMemory(MemoryNetwork);
//!
//! impl TransportFactory for InMemory {
//!     type Transport = MemoryTransport;
//!
//!     fn make(&mut self, node: &NodeId) -> (MemoryTransport, String) {
//!         (self.0.transport(node.clone()), node.to_string())
//!     }
//!
//!     async fn sleep(&self, time: Duration) {
//!         tokio::time::sleep(time).await;
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), transport_suite::Violation> {
//! transport_suite::check_all(&mut InMemory(MemoryNetwork::new())).await
//! # }
//! ```

mod connections;
mod endings;
mod flow;
mod frames;
mod pair;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use dd_gossip::{NodeId, Transport};

pub use connections::{addresses, both_dial, not_connected, reconnects};
pub use endings::{after_close, clean_close, drop_ends};
pub use flow::back_pressure;
pub use frames::{in_order, sizes, stats};

/// Makes the transports that the suite looks at.
pub trait TransportFactory {
    /// The transport under test.
    type Transport: Transport;

    /// A new transport for a node, and the address at which others reach it. All transports of a
    /// factory can reach each other and trust each other. The suite asks for the same node again
    /// after it has dropped the former one, as if its process was restarted.
    fn make(&mut self, node: &NodeId) -> (Self::Transport, String);

    /// Waits so long, on the runtime that the suite is run on.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// How long to wait for something that must happen before its absence is a violation. Longer
    /// than the longest backoff; 10 s by default.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// How long to watch for something that must not happen; 100 ms by default.
    fn quiet(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Bytes of frames that may lie between two applications of which one doesn't read, at most,
    /// with everything that the system below holds; 64 MiB by default. The suite sends so many. Make
    /// transports with small buffers for it to be quick.
    fn in_flight(&self) -> usize {
        64 * 1024 * 1024
    }

    /// An address that can't be understood; the empty one by default.
    fn bad_address(&self) -> String {
        String::new()
    }
}

/// A clause of the contract of [`Transport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Clause {
    /// There is a connection with a node given to `connect`.
    Connects,
    /// A frame arrives as it was sent.
    FramesWhole,
    /// While a connection stands, what was accepted arrives.
    FramesArrive,
    /// While a connection stands, frames arrive in order and once.
    FramesInOrder,
    /// Frames of 1 to `MAX_FRAME` bytes are taken, others are refused with `Size`.
    FrameSizes,
    /// Without a connection a frame is refused with `NotConnected`.
    NotConnected,
    /// For one peer, events are `Connected`, then frames, then `Disconnected`.
    EventOrder,
    /// `Full` instead of unbounded buffers, then `Writable` once, and nothing is lost.
    BackPressure,
    /// Two nodes that dial each other at once are connected once.
    OneConnection,
    /// A connection that was lost comes again.
    Reconnects,
    /// A clean close delivers what was accepted, and ends.
    CleanClose,
    /// Dropping a transport ends its connections at once.
    DropEnds,
    /// After `close` there are no events and nothing is accepted.
    AfterClose,
    /// An address that can't be understood is an `AddressError`, a later one replaces the former.
    Addresses,
    /// What is accepted and delivered is counted, what is refused is not.
    Stats,
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connects => "a node given to connect is connected",
            Self::FramesWhole => "a frame arrives as it was sent",
            Self::FramesArrive => "what was accepted arrives while the connection stands",
            Self::FramesInOrder => "frames arrive in order and once",
            Self::FrameSizes => "frames have 1 to MAX_FRAME bytes",
            Self::NotConnected => "without a connection a frame is refused as NotConnected",
            Self::EventOrder => "events of a peer are Connected, then frames, then Disconnected",
            Self::BackPressure => "Full, then Writable once, and nothing is lost",
            Self::OneConnection => "nodes that dial each other at once are connected once",
            Self::Reconnects => "a lost connection comes again",
            Self::CleanClose => "a clean close delivers what was accepted, and ends",
            Self::DropEnds => "dropping a transport ends its connections",
            Self::AfterClose => "after close there are no events and nothing is accepted",
            Self::Addresses => "a bad address is an error, a later one replaces the former",
            Self::Stats => "what is accepted and delivered is counted",
        })
    }
}

/// What a transport did against its contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{clause}: {what}")]
#[non_exhaustive]
pub struct Violation {
    /// The clause.
    pub clause: Clause,
    /// What happened.
    pub what: String,
}

impl Violation {
    fn new(clause: Clause, what: impl Into<String>) -> Self {
        Self {
            clause,
            what: what.into(),
        }
    }
}

/// Checks every clause, the simple ones first.
///
/// # Errors
///
/// The first [`Violation`].
pub async fn check_all<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    not_connected(factory).await?;
    addresses(factory).await?;
    sizes(factory).await?;
    in_order(factory).await?;
    stats(factory).await?;
    both_dial(factory).await?;
    reconnects(factory).await?;
    back_pressure(factory).await?;
    clean_close(factory).await?;
    after_close(factory).await?;
    drop_ends(factory).await
}
