//! From an encrypted connection to one that stands: certificates and hellos are checked on both
//! sides, and the node with the smaller name decides.
//!
//! A dialler that TLS let through knows nothing yet: in TLS 1.3 the server checks the client's
//! certificate later. So nobody counts as connected before the other side's hello has come.

use std::sync::Arc;

use dd_gossip::NodeId;
use quinn::{
    Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, WriteError,
};
use rustls::pki_types::CertificateDer;
use tracing::debug;

use crate::close_code::CloseCode;
use crate::hello::{Confirmation, HEADER, Hello};
use crate::link;
use crate::peer_name::PeerName;
use crate::registry::{Admitted, Verdict};
use crate::shared::Shared;
use crate::transport_words::connection_error;

/// Why a connection did not come to stand.
#[derive(Debug)]
pub(crate) enum GreetingError {
    /// It ended under us.
    Lost(ConnectionError),
    /// We refuse the peer.
    Refused(CloseCode, String),
    /// Another connection of the pair stands.
    Duplicate,
    /// This transport is closing.
    Closed,
}

impl GreetingError {
    /// As it is, when the peer has been told. To be done while the streams are there: when they are dropped they end, and
    /// the peer may see that first, and take it for a greeting that was broken off.
    fn told(self, connection: &Connection) -> Self {
        match &self {
            Self::Lost(_) => {}
            Self::Refused(code, reason) => code.close(connection, reason),
            Self::Duplicate => {
                CloseCode::Duplicate.close(connection, "another connection of the pair stands");
            }
            Self::Closed => CloseCode::Bye.close(connection, "shutting down"),
        }
        self
    }

    /// Tells the peer, and gives the reason for our own user, if there is anything to say.
    pub(crate) fn conclude(self, connection: &Connection) -> Option<String> {
        match self.told(connection) {
            Self::Lost(ConnectionError::ApplicationClosed(close))
                if CloseCode::Duplicate.is(close.error_code)
                    || CloseCode::Bye.is(close.error_code) =>
            {
                debug!(address = %connection.remote_address(), "not needed: another stands");
                None
            }
            Self::Lost(ConnectionError::LocallyClosed) => None,
            Self::Lost(error) => Some(connection_error(&error)),
            Self::Refused(_, reason) => Some(reason),
            Self::Duplicate | Self::Closed => None,
        }
    }
}

/// Greets as the side that dialled `expected`, or an address at which any node may be.
pub(crate) async fn dialled(
    shared: &Arc<Shared>,
    connection: &Connection,
    expected: Option<&NodeId>,
    known: Confirmation,
) -> Result<(), GreetingError> {
    let name = certificate_name(shared, connection)?;
    // TLS has checked this by the name asked for; it is the rule that matters most, so once more.
    if let Some(expected) = expected.filter(|expected| **expected != name.node) {
        let reason = format!(
            "node {expected} was expected at this address, and node {} answered; correct the \
             address or the name in the configuration",
            name.node
        );
        return Err(GreetingError::Refused(CloseCode::Refused, reason));
    }
    let mut send = connection.open_uni().await?;
    send.write_all(&shared.hello(known).encode()).await?;
    let mut recv = connection.accept_uni().await?;
    let hello = read_hello(shared, &name, &mut recv).await;
    let hello = hello.map_err(|error| error.told(connection))?;
    conclude(shared, connection, name.node, &hello, None, send, recv).await
}

/// Greets as the side that was dialled.
pub(crate) async fn accepted(
    shared: &Arc<Shared>,
    connection: &Connection,
) -> Result<(), GreetingError> {
    let name = certificate_name(shared, connection)?;
    let mut recv = connection.accept_uni().await?;
    let hello = read_hello(shared, &name, &mut recv).await?;
    shared
        .with(|registry| registry.room_for(&name.node))
        .map_err(busy)?;
    let mut send = connection.open_uni().await?;
    send.write_all(&shared.hello(Confirmation::default()).encode())
        .await?;
    let known = Some(hello.known);
    conclude(shared, connection, name.node, &hello, known, send, recv).await
}

/// The name in the peer's certificate: of our cluster, and not our own.
pub(crate) fn certificate_name(
    shared: &Shared,
    connection: &Connection,
) -> Result<PeerName, GreetingError> {
    let refused = |reason| Err(GreetingError::Refused(CloseCode::Refused, reason));
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let Some(certificate) = chain.as_deref().and_then(|chain| chain.first()) else {
        return refused("no certificate was shown".to_owned());
    };
    let name = match PeerName::of_certificate(certificate) {
        Ok(name) => name,
        Err(found) => {
            return refused(format!(
                "the certificate must have exactly one DNS name <node>.<cluster>.dd, and {found}; \
                 issue one with Authority::issue"
            ));
        }
    };
    if name.cluster != shared.name.cluster {
        return refused(format!(
            "node {} belongs to cluster {} and node {} to cluster {}; correct the address, or issue \
             certificates for the same cluster",
            name.node, name.cluster, shared.name.node, shared.name.cluster
        ));
    }
    if name.node == shared.name.node {
        return refused(format!(
            "two processes are node {}; give each a certificate with a name of its own, and let no \
             node dial itself",
            name.node
        ));
    }
    Ok(name)
}

/// Decides or waits for the decision, and lets the connection's tasks begin.
async fn conclude(
    shared: &Arc<Shared>,
    connection: &Connection,
    peer: NodeId,
    hello: &Hello,
    known: Option<Confirmation>,
    send: SendStream,
    mut recv: RecvStream,
) -> Result<(), GreetingError> {
    let process = hello.process;
    let deciding = shared.name.node < peer;
    let verdict = if deciding {
        shared.with(|registry| registry.decide(&peer, process, known, connection))
    } else {
        let mut number = [0; 8];
        read_exact(&mut recv, &mut number).await?;
        let confirmation = Confirmation {
            process,
            number: u64::from_be_bytes(number),
        };
        shared.with(|registry| registry.follow(&peer, confirmation, connection))
    };
    let admitted: Result<Admitted, GreetingError> = match verdict {
        Verdict::Stands(admitted) => Ok(admitted),
        Verdict::Duplicate => Err(GreetingError::Duplicate),
        Verdict::Closed => Err(GreetingError::Closed),
        Verdict::Busy(reason) => Err(busy(reason)),
    };
    let admitted = admitted.map_err(|error| error.told(connection))?;
    // No await between admission and this: an aborted dialler must not leave a connection without
    // tasks.
    let confirm = deciding.then_some(admitted.number);
    link::spawn(shared, peer, admitted, connection, send, recv, confirm);
    Ok(())
}

async fn read_hello(
    shared: &Shared,
    name: &PeerName,
    recv: &mut RecvStream,
) -> Result<Hello, GreetingError> {
    let mut header = [0; HEADER];
    read_exact(recv, &mut header).await?;
    let violation = |error: crate::hello::HelloError| {
        let reason = format!("node {} can't be understood: {error}", name.node);
        GreetingError::Refused(CloseCode::Violation, reason)
    };
    let length = Hello::body_length(header).map_err(violation)?;
    let mut body = vec![0; length];
    read_exact(recv, &mut body).await?;
    let hello = Hello::decode(&body).map_err(violation)?;
    if hello.node != name.node || hello.cluster != shared.name.cluster {
        let reason = format!(
            "the certificate is of node {} of cluster {}, and its holder claims to be node {} of \
             cluster {}; give it a certificate of its own",
            name.node, name.cluster, hello.node, hello.cluster
        );
        return Err(GreetingError::Refused(CloseCode::Refused, reason));
    }
    Ok(hello)
}

async fn read_exact(recv: &mut RecvStream, buffer: &mut [u8]) -> Result<(), GreetingError> {
    recv.read_exact(buffer).await.map_err(|error| match error {
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => GreetingError::Lost(error),
        other => GreetingError::Refused(
            CloseCode::Violation,
            format!("the greeting was broken off ({other}); is it another service?"),
        ),
    })
}

fn busy(reason: &'static str) -> GreetingError {
    GreetingError::Refused(
        CloseCode::Busy,
        format!("the dialled node is busy: {reason}"),
    )
}

impl From<ConnectionError> for GreetingError {
    fn from(error: ConnectionError) -> Self {
        Self::Lost(error)
    }
}

impl From<WriteError> for GreetingError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::Lost(error),
            other => Self::Refused(
                CloseCode::Violation,
                format!("the greeting was not taken ({other}); is it another service?"),
            ),
        }
    }
}
