//! Carries replication frames over mutually authenticated QUIC.
//!
//! [`QuicTransport`] implements [`dd_gossip::Transport`] with one connection for each pair of nodes
//! and one stream for each direction. Who a peer is stands in its certificate, as the DNS name
//! `<node>.<cluster>.dd`; being signed by the same authority is not enough to belong to the
//! cluster. An [`Identity`] is what a node proves itself with: read from PEM files that an
//! [`Authority`] made, or got with a [`JoinToken`] from an [`Enrolment`] service, or, on one machine and for
//! development only, derived from a shared secret.
//!
//! What this crate is not: it doesn't find nodes, doesn't decide who is a member, doesn't look into
//! frames and keeps nothing on disk. Frames that were accepted for a peer are lost when its
//! connection is; the replica repairs that.
//!
//! ```
//! use std::future::poll_fn;
//!
//! use bytes::Bytes;
//! use dd_gossip::{NodeId, Transport, TransportEvent};
//! use dd_transport_quic::{Identity, QuicConfig, QuicTransport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (cluster, a, b) = ("shop".parse()?, "a".parse::<NodeId>()?, "b".parse::<NodeId>()?);
//! let listen = QuicConfig::new("127.0.0.1:0".parse()?);
//! let mut left = QuicTransport::bind(Identity::dev(&cluster, &a, "secret")?, listen.clone())?;
//! let mut right = QuicTransport::bind(Identity::dev(&cluster, &b, "secret")?, listen)?;
//!
//! left.connect(&b, &right.local_addr().to_string())?;
//! let connected = poll_fn(|cx| left.poll_event(cx)).await;
//! assert_eq!(connected, TransportEvent::Connected { peer: b.clone() });
//! left.send(&b, Bytes::from_static(b"hello"))?;
//!
//! assert_eq!(poll_fn(|cx| right.poll_event(cx)).await, TransportEvent::Connected { peer: a.clone() });
//! let frame = poll_fn(|cx| right.poll_event(cx)).await;
//! assert_eq!(frame, TransportEvent::Frame { peer: a, frame: Bytes::from_static(b"hello") });
//!
//! left.close();
//! poll_fn(|cx| left.poll_closed(cx)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # One connection for each pair
//!
//! Of two nodes the one with the smaller [`NodeId`](dd_gossip::NodeId) decides which connection of
//! the pair stands, whoever dialled it, and tells the other with a message on that connection; the
//! other follows. So the two never disagree, also when both dial at once: the first connection
//! that the decider has authenticated stands, and further ones are closed as duplicates before
//! either user sees them. A process draws a number at its start. A connection from another
//! process of the same node replaces the standing one, and so does one from a peer that knew of
//! the standing connection and dials nevertheless: both mean that the old one is dead.

mod acceptor;
mod address;
mod authority;
mod backoff;
mod close_code;
mod config;
mod credentials;
mod dev_authority;
mod dialler;
mod enrolment;
mod error;
mod event_queue;
mod frame_parser;
mod greeting;
mod hello;
mod identity;
mod link;
mod link_state;
mod peer_name;
mod registry;
mod seed;
mod send_window;
mod shared;
mod tls;
mod transport;
mod transport_words;

pub use authority::{Authority, IssuedCertificate};
pub use config::QuicConfig;
pub use credentials::Renewal;
pub use dd_gossip::ConfigError;
pub use enrolment::{
    DEFAULT_TOKEN_VALIDITY, ENROLLED_VALIDITY, EnrolError, Enrolment, EnrolmentOptions, JoinToken,
    MAX_CONNECTIONS as MAX_ENROLMENT_CONNECTIONS, MAX_PER_SECOND as MAX_ENROLMENTS_PER_SECOND,
    MAX_TOKEN_VALIDITY, MAX_USED as MAX_USED_TOKENS, TokenError, TokenNames, TokenOptions,
};
pub use error::{AuthorityError, BindError, IdentityError, RenewError};
pub use identity::Identity;
pub use transport::QuicTransport;
