//! What can go wrong before there is a transport.

use std::io;
use std::net::SocketAddr;

use dd_gossip::ConfigError;

/// Why a transport could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Called outside a tokio runtime.
    #[error(
        "no tokio runtime here; call bind inside one, for example in async code or after \
         Runtime::enter, with I/O and time enabled"
    )]
    NoRuntime,
    /// The UDP socket could not be had.
    #[error("UDP address {address} can't be bound: {source}; is another process using it?")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A development identity on an address that others may reach.
    #[error(
        "a development identity must not listen on {address}, which is beyond this machine: listen \
         on 127.0.0.1 or ::1, use certificates of an Authority, or, if whoever can reach the \
         address may be trusted, call Identity::allow_dev_beyond_loopback"
    )]
    DevBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The identity can't be used for TLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why the identity of a transport could not be replaced. It goes on with the one that it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The new identity is another node's, or of another cluster.
    #[error(
        "the transport is that of {own}, and the new identity that of {given}: a node keeps its name"
    )]
    Another {
        /// Whose the transport is.
        own: String,
        /// Whose the new identity is.
        given: String,
    },
    /// The identity can't be used here.
    #[error(transparent)]
    Unusable(#[from] BindError),
}

/// Why an [`Identity`](crate::Identity) could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file could not be read.
    #[error("{path} can't be read: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A text is not PEM of the right kind.
    #[error("the {what} is not usable PEM: {reason}")]
    Pem {
        /// Authority, certificate or key.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate doesn't name a node of a cluster.
    #[error(
        "the certificate must have exactly one DNS name of the form <node>.<cluster>.dd, and {found}; \
         issue one with Authority::issue"
    )]
    Name {
        /// What it has instead.
        found: String,
    },
    /// The certificate is not one that peers with the same authority would accept.
    #[error("the certificate can't be used: {0}")]
    Untrusted(String),
    /// The key is not that of the certificate, or is of an unknown kind.
    #[error("the key can't be used: {0}; give the one that was issued with the certificate")]
    Key(String),
    /// A development secret is empty.
    #[error("the development secret is empty; give the same non-empty text to all nodes")]
    EmptySecret,
    /// Making keys or certificates failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// Why an [`Authority`](crate::Authority) could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Key or certificate could not be made.
    #[error("key or certificate could not be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The certificate is not one that [`Authority::to_pem`](crate::Authority::to_pem) wrote.
    #[error("this is not the certificate of a cluster authority made here: {0}")]
    Certificate(String),
    /// The key doesn't belong to the certificate.
    #[error("the key does not belong to the authority's certificate; give the matching pair")]
    KeyMismatch,
}
