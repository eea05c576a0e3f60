//! The side that wants a certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dd_gossip::{AddressError, NodeId};
use quinn::{Connection, Endpoint};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::time::timeout;

use super::message::{Answer, MAX_ANSWER, Question, Refusal};
use super::proof::{JoinerKey, transcript};
use super::service::limits;
use super::service_name;
use super::tls::{self, Expected, Impostor};
use super::token::{JoinToken, TokenError};
use crate::address::{Address, MAX_ADDRESSES};
use crate::transport_words::connection_error;
use crate::{AuthorityError, Identity, IdentityError};

/// What one attempt may take, from the name's look-up to the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a node got no certificate, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// The address of the service can't be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nobody answered there.
    #[error("no enrolment service answered at {address}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Whoever answers does not have the authority that made the token.
    #[error(
        "what answers at {address} does not have the authority that made this token: give the address of that \
         authority's service, or a token of this one's. The token was not shown to it"
    )]
    OtherAuthority {
        /// The address.
        address: String,
    },
    /// Whoever answers is not the enrolment service of the token's cluster.
    #[error(
        "what answers at {address} is not the enrolment service of cluster {cluster}: {reason}. The token was \
         not shown to it"
    )]
    OtherService {
        /// The address.
        address: String,
        /// The cluster of the token.
        cluster: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The token has expired.
    #[error("the token has expired; have a new one made, and check the clocks if it is new")]
    Expired,
    /// The token is not good for the name.
    #[error(
        "the token is good for {allowed} and not for {node}; take such a name, or have a token made for this one"
    )]
    NameNotAllowed {
        /// The name.
        node: NodeId,
        /// The names that it is good for.
        allowed: String,
    },
    /// The token was good for once.
    #[error(
        "the token was used already: one for a single name is good for once; have a new one made"
    )]
    Used,
    /// Something in the token was changed.
    #[error(
        "the token was changed on its way, or another key made it; copy all of it, or have a new one made"
    )]
    Tampered,
    /// A member of that name is up.
    #[error("a node {node} is up; take another name, or stop that node first")]
    NameTaken {
        /// The name.
        node: NodeId,
    },
    /// A limit of the service is reached.
    #[error("the enrolment service has too much to do; try again in some seconds")]
    Busy,
    /// The service answers something else.
    #[error(
        "the enrolment service did not understand or could not do it: {0}; is it of another version?"
    )]
    Failed(String),
    /// A name can't be made up.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A key can't be made.
    #[error(transparent)]
    Key(#[from] AuthorityError),
    /// What was issued is not what was asked for.
    #[error("the certificate that was issued can't be used: {0}")]
    Identity(#[from] IdentityError),
}

impl EnrolError {
    fn of(refusal: Refusal, token: &JoinToken, node: &NodeId) -> Self {
        let node = node.clone();
        match refusal {
            Refusal::Expired => Self::Expired,
            Refusal::Tampered => Self::Tampered,
            Refusal::Used => Self::Used,
            Refusal::Busy => Self::Busy,
            Refusal::NameTaken => Self::NameTaken { node },
            Refusal::NameNotAllowed => Self::NameNotAllowed {
                node,
                allowed: token.names().to_string(),
            },
            Refusal::Malformed => Self::Failed("it could not read the question".to_owned()),
            Refusal::Proof => Self::Failed("it did not accept the proof of the key".to_owned()),
            Refusal::Failed => Self::Failed("it could not make a certificate".to_owned()),
        }
    }
}

/// Gets a certificate for a new key.
pub(crate) async fn enrol(
    address: &str,
    token: &JoinToken,
    node: Option<NodeId>,
) -> Result<Identity, EnrolError> {
    let parsed = Address::parse(address, false)?;
    let node = match node {
        Some(node) => node,
        None => token.names().pick()?,
    };
    // Said here too, so that the token is not spent on it.
    if !token.names().allow(&node) {
        return Err(EnrolError::of(Refusal::NameNotAllowed, token, &node));
    }
    let joiner = Joiner {
        address,
        token,
        node,
        key: KeyPair::generate().map_err(AuthorityError::from)?,
    };
    let attempt = timeout(PATIENCE, joiner.try_all(&parsed)).await;
    attempt.unwrap_or_else(|_| Err(joiner.unreachable("it did not answer in time".to_owned())))
}

struct Joiner<'a> {
    address: &'a str,
    token: &'a JoinToken,
    node: NodeId,
    key: KeyPair,
}

impl Joiner<'_> {
    fn unreachable(&self, reason: String) -> EnrolError {
        EnrolError::Unreachable {
            address: self.address.to_owned(),
            reason,
        }
    }

    /// Tries the addresses of a name one after the other, as long as nobody answers.
    async fn try_all(&self, address: &Address) -> Result<Identity, EnrolError> {
        let any: SocketAddr = ([0u16; 8], 0).into();
        let targets = address.resolve(any, MAX_ADDRESSES).await;
        let mut last = self.unreachable("its name has no address".to_owned());
        for target in targets.map_err(|reason| self.unreachable(reason))? {
            match self.try_one(target).await {
                Err(error @ EnrolError::Unreachable { .. }) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    async fn try_one(&self, target: SocketAddr) -> Result<Identity, EnrolError> {
        let local: SocketAddr = if target.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let socket = |error: std::io::Error| self.unreachable(error.to_string());
        let endpoint = Endpoint::client(local).map_err(socket)?;
        let expected = Expected::of(&self.token.claims);
        let mut config = quinn::ClientConfig::new(tls::client(Arc::clone(&expected))?);
        config.transport_config(limits());
        let name = service_name(&self.token.claims.cluster);
        let connecting = endpoint
            .connect_with(config, target, &name)
            .map_err(|error| self.unreachable(error.to_string()))?;
        let connection = connecting
            .await
            .map_err(|error| match expected.impostor() {
                Some(Impostor::Authority) => EnrolError::OtherAuthority {
                    address: self.address.to_owned(),
                },
                Some(Impostor::Certificate(reason)) => EnrolError::OtherService {
                    address: self.address.to_owned(),
                    cluster: self.token.cluster().to_string(),
                    reason: reason.clone(),
                },
                None => self.unreachable(connection_error(&error)),
            })?;
        let answer = self.ask(&connection).await?;
        connection.close(0u32.into(), b"thanks");
        endpoint.wait_idle().await;
        match answer {
            Answer::Refused(refusal) => Err(EnrolError::of(refusal, self.token, &self.node)),
            Answer::Issued {
                certificate,
                authority,
            } => self.take(&expected, certificate.into(), authority.into()),
        }
    }

    async fn ask(&self, connection: &Connection) -> Result<Answer, EnrolError> {
        let failed = |what: &str| EnrolError::Failed(what.to_owned());
        let mut point = [0; super::proof::POINT];
        let public = self.key.der_bytes();
        if public.len() != point.len() {
            return Err(failed("the key is of another kind"));
        }
        point.copy_from_slice(public);
        let text = self.token.as_str();
        let signed = transcript(connection, text, &self.node)
            .ok_or(failed("the connection has no secret"))?;
        let signature = self.key.sign(&signed).map_err(AuthorityError::from)?;
        let question = Question {
            token: text.to_owned(),
            node: self.node.to_string(),
            key: JoinerKey(point),
            signature,
        };
        let broken = |reason: String| self.unreachable(reason);
        let (mut send, mut recv) = connection
            .open_bi()
            .await
            .map_err(|error| broken(connection_error(&error)))?;
        send.write_all(&question.encode())
            .await
            .map_err(|error| broken(error.to_string()))?;
        send.finish().map_err(|error| broken(error.to_string()))?;
        let answer = recv
            .read_to_end(MAX_ANSWER)
            .await
            .map_err(|error| broken(error.to_string()))?;
        Answer::decode(&answer).ok_or(failed("its answer can't be read"))
    }

    /// Checks what was issued as if anybody had.
    fn take(
        &self,
        expected: &Expected,
        certificate: CertificateDer<'static>,
        authority: CertificateDer<'static>,
    ) -> Result<Identity, EnrolError> {
        let wrong = |what: &str| EnrolError::Failed(what.to_owned());
        if !expected.is_authority(&authority) {
            return Err(wrong("it answered with another authority"));
        }
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let identity = Identity::from_der(vec![authority], vec![certificate], key)?;
        if *identity.cluster() != self.token.claims.cluster || *identity.node() != self.node {
            return Err(wrong("it answered with the certificate of another node"));
        }
        Ok(identity)
    }
}
