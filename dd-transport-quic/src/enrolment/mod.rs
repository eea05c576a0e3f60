//! Joining by token: a node without a certificate gets one.
//!
//! Whoever has the [`Authority`](crate::Authority) makes a [`JoinToken`] and serves [`Enrolment`] at an address of
//! its own; a node that was given the token and that address makes a key, and calls
//! [`Identity::enrol`](crate::Identity::enrol). Its key never leaves it.
//!
//! The service is QUIC with the protocol `dd-join/1`. Its certificate bears a name that no node's does, and
//! leads to the authority whose fingerprint is in the token: so nobody else is shown the token. The joiner
//! sends the token, the name that it wants, its public key, and a signature by the key over what is particular
//! to this connection, so that nobody can have a certificate made for a key of somebody else.

mod client;
mod message;
mod proof;
mod service;
mod tls;
mod token;
mod used;

pub use client::EnrolError;
pub use service::{
    ENROLLED_VALIDITY, Enrolment, EnrolmentOptions, MAX_CONNECTIONS, MAX_PER_SECOND,
};
pub use token::{
    DEFAULT_TOKEN_VALIDITY, JoinToken, MAX_TOKEN_VALIDITY, TokenError, TokenNames, TokenOptions,
};
pub use used::MAX_USED;

pub(crate) use client::enrol;
pub(crate) use token::{TokenKey, fingerprint};

use dd_gossip::ClusterId;

/// The protocol and its version (ALPN).
const ALPN: &[u8] = b"dd-join/1";

/// The name in the service's certificate. It does not end as those of nodes do, so that no node can pass
/// for the service, nor the service for a node.
pub(crate) fn service_name(cluster: &ClusterId) -> String {
    format!("{cluster}.dd-join")
}
