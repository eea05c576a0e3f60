//! The side that has the authority.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dd_gossip::NodeId;
use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, TokioRuntime, TransportConfig, VarInt,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::message::{Answer, MAX_ANSWER, MAX_QUESTION, Question, Refusal};
use super::proof::transcript;
use super::tls;
use super::token::{JoinToken, TokenKey, TokenNames, now};
use super::used::{Use, Used};
use crate::{Authority, AuthorityError, BindError, IdentityError};

/// How long certificates are valid that are got by token, unless set otherwise: a day, long enough for its work, so
/// that one that is lost is soon worth nothing.
pub const ENROLLED_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);
/// Joiners that are served at a time; more are refused. From half of that a joiner must first prove that it
/// receives at its address.
pub const MAX_CONNECTIONS: usize = 64;
/// Questions that are answered in a second, on average, and at once; more are told to come again.
pub const MAX_PER_SECOND: u32 = 50;
/// What a joiner may take, from its first packet to the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a connection that wait to be looked at.
const BUFFER: u64 = 16 * 1024;

type IsTaken = Arc<dyn Fn(&NodeId) -> bool + Send + Sync>;

/// How certificates are issued by token.
#[derive(Clone)]
#[non_exhaustive]
pub struct EnrolmentOptions {
    /// How long they are valid, at least a minute; a day by default ([`ENROLLED_VALIDITY`]).
    pub validity: Duration,
    is_taken: Option<IsTaken>,
}

impl Default for EnrolmentOptions {
    fn default() -> Self {
        Self {
            validity: ENROLLED_VALIDITY,
            is_taken: None,
        }
    }
}

impl EnrolmentOptions {
    /// Certificates are valid for this long.
    #[must_use]
    pub fn validity(self, validity: Duration) -> Self {
        Self { validity, ..self }
    }

    /// Is asked whether a name is in use, before it is given to somebody: by a member that is up, say. It is
    /// called in the task that serves, so it must not wait.
    #[must_use]
    pub fn is_taken(self, is_taken: impl Fn(&NodeId) -> bool + Send + Sync + 'static) -> Self {
        Self {
            is_taken: Some(Arc::new(is_taken)),
            ..self
        }
    }
}

impl fmt::Debug for EnrolmentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentOptions")
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// Serves certificates to whoever has a [`JoinToken`] of the authority. It ends when this is dropped.
///
/// The process that serves has the authority's key, so it can make any node: keep it apart from nodes that do
/// other work if you can. Which tokens for a single name were used is remembered by the process alone: after
/// it was started anew such a token can be used again, while it is valid.
///
/// ```
/// use dd_transport_quic::{Authority, Enrolment, EnrolmentOptions, Identity, TokenOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authority = Authority::new(&"shop".parse()?)?;
/// let token = authority.token(TokenOptions::new("pod-*".parse()?))?;
/// let service = Enrolment::serve(authority, "127.0.0.1:0".parse()?, EnrolmentOptions::default())?;
///
/// // Elsewhere, with nothing but an address and the token:
/// let address = service.local_addr().to_string();
/// let token = token.as_str().parse()?;
/// let identity = Identity::enrol(&address, &token, None).await?;
/// assert!(identity.node().as_str().starts_with("pod-"));
/// # Ok(())
/// # }
/// ```
pub struct Enrolment {
    endpoint: Endpoint,
    local: SocketAddr,
    task: AbortHandle,
}

impl Enrolment {
    /// Serves at this UDP address; port 0 takes a free one. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BindError`]: no tokio runtime, the address can't be bound, or a certificate can't be made.
    pub fn serve(
        authority: Authority,
        listen: SocketAddr,
        options: EnrolmentOptions,
    ) -> Result<Self, BindError> {
        let runtime = Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        let (chain, key) = authority
            .service_certificate()
            .map_err(IdentityError::from)?;
        let mut config = quinn::ServerConfig::with_crypto(tls::server(chain, key)?);
        config.transport_config(limits());
        config
            .max_incoming(MAX_CONNECTIONS)
            .incoming_buffer_size(BUFFER)
            .incoming_buffer_size_total(BUFFER * MAX_CONNECTIONS as u64)
            .migration(false);
        let socket_error = |source| BindError::Socket {
            address: listen,
            source,
        };
        let socket = UdpSocket::bind(listen).map_err(socket_error)?;
        let endpoint = EndpointConfig::default();
        let endpoint = Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.map_err(socket_error)?;
        let local = endpoint.local_addr().map_err(socket_error)?;
        let tokens = authority.token_key().map_err(|_| no_random())?;
        let server = Server {
            tokens,
            authority,
            options,
            used: Mutex::default(),
            rate: Mutex::new(Rate::new()),
        };
        let task = runtime.spawn(accept(endpoint.clone(), Arc::new(server)));
        tracing::info!(%local, "serving enrolment");
        Ok(Self {
            endpoint,
            local,
            task: task.abort_handle(),
        })
    }

    /// The address that it is served at, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        self.task.abort();
        self.endpoint.close(VarInt::from_u32(0), b"stopped");
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

fn no_random() -> BindError {
    IdentityError::from(AuthorityError::Generate(rcgen::Error::RingUnspecified)).into()
}

/// One stream each way, and no more than one question and one answer.
pub(super) fn limits() -> Arc<TransportConfig> {
    let window = VarInt::from_u32(MAX_ANSWER.max(MAX_QUESTION) as u32);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_idle_timeout(IdleTimeout::try_from(PATIENCE).ok())
        .initial_rtt(Duration::from_millis(30))
        .stream_receive_window(window)
        .receive_window(window)
        .datagram_receive_buffer_size(None);
    Arc::new(config)
}

async fn accept(endpoint: Endpoint, server: Arc<Server>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with the service, because they are tasks of this set.
    let mut connections = tokio::task::JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let loaded = slots.available_permits() < MAX_CONNECTIONS / 2;
        if loaded && !incoming.remote_address_validated() && incoming.may_retry() {
            // A joiner that can't be asked to try again comes again by itself.
            let _ = incoming.retry();
            continue;
        }
        let server = Arc::clone(&server);
        connections.spawn(async move {
            let _ = timeout(PATIENCE, server.serve(incoming)).await;
            drop(slot);
        });
    }
}

struct Server {
    authority: Authority,
    tokens: TokenKey,
    options: EnrolmentOptions,
    used: Mutex<Used>,
    rate: Mutex<Rate>,
}

impl Server {
    /// Reads one question and answers it. Whatever goes wrong in between is the joiner's loss.
    async fn serve(&self, incoming: Incoming) -> Option<()> {
        let address = incoming.remote_address();
        let connection = incoming.await.ok()?;
        let (mut send, mut recv) = connection.accept_bi().await.ok()?;
        let answer = match recv.read_to_end(MAX_QUESTION).await {
            Ok(bytes) => {
                let transcript = |token: &str, node: &NodeId| transcript(&connection, token, node);
                self.answer(&bytes, transcript)
            }
            Err(quinn::ReadToEndError::TooLong) => Err(Refusal::Malformed),
            Err(quinn::ReadToEndError::Read(_)) => return None,
        };
        let answer = match answer {
            Ok((node, answer)) => {
                tracing::info!(%address, %node, "a certificate was issued by token");
                answer
            }
            Err(refusal) => {
                tracing::warn!(%address, ?refusal, "enrolment refused");
                Answer::Refused(refusal)
            }
        };
        send.write_all(&answer.encode()).await.ok()?;
        send.finish().ok()?;
        // The joiner closes when it has read.
        connection.closed().await;
        Some(())
    }

    fn answer(
        &self,
        question: &[u8],
        transcript: impl Fn(&str, &NodeId) -> Option<Vec<u8>>,
    ) -> Result<(NodeId, Answer), Refusal> {
        let question = Question::decode(question).ok_or(Refusal::Malformed)?;
        let token = question.token.parse::<JoinToken>();
        let token = token.map_err(|_| Refusal::Malformed)?;
        let node = question.node.parse::<NodeId>();
        let node = node.map_err(|_| Refusal::Malformed)?;
        if !self.tokens.made(&token) {
            return Err(Refusal::Tampered);
        }
        // Whoever has no token keeps nobody else out.
        if !lock(&self.rate).take(Instant::now()) {
            return Err(Refusal::Busy);
        }
        let (claims, now) = (&token.claims, now());
        if claims.expires <= now {
            return Err(Refusal::Expired);
        }
        if !claims.names.allow(&node) {
            return Err(Refusal::NameNotAllowed);
        }
        let signed = transcript(&question.token, &node)
            .is_some_and(|transcript| question.key.signed(&transcript, &question.signature));
        if !signed {
            return Err(Refusal::Proof);
        }
        let is_taken = self.options.is_taken.as_ref();
        if is_taken.is_some_and(|is_taken| is_taken(&node)) {
            return Err(Refusal::NameTaken);
        }
        if matches!(claims.names, TokenNames::Exact(_)) {
            let key = &question.key.0;
            match lock(&self.used).take(now, claims.id, claims.expires, key) {
                Use::Granted => {}
                Use::Used => return Err(Refusal::Used),
                Use::Full => return Err(Refusal::Busy),
            }
        }
        let validity = self.options.validity.max(Duration::from_secs(60));
        let certificate = self
            .authority
            .certify(&node, &question.key, validity)
            .map_err(|error| {
                tracing::error!(%error, %node, "a certificate could not be made");
                Refusal::Failed
            })?;
        let answer = Answer::Issued {
            certificate: certificate.der().to_vec(),
            authority: self.authority.certificate_der().to_vec(),
        };
        Ok((node, answer))
    }
}

/// So many a second, saved up to a second's worth.
struct Rate {
    left: f64,
    since: Instant,
}

impl Rate {
    fn new() -> Self {
        Self {
            left: MAX_PER_SECOND.into(),
            since: Instant::now(),
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let most = f64::from(MAX_PER_SECOND);
        let earned = now.duration_since(self.since).as_secs_f64() * most;
        self.left = most.min(self.left + earned);
        self.since = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::proof::JoinerKey;
    use super::super::token::TokenOptions;
    use rcgen::{KeyPair, PublicKeyData, SigningKey};

    const TRANSCRIPT: &[u8] = b"what only the two ends know";

    fn server() -> Server {
        let authority = Authority::new(&"shop".parse().unwrap()).unwrap();
        Server {
            tokens: authority.token_key().unwrap(),
            authority,
            options: EnrolmentOptions::default(),
            used: Mutex::default(),
            rate: Mutex::new(Rate::new()),
        }
    }

    fn question(token: &str, node: &str, key: &KeyPair) -> Question {
        Question {
            token: token.to_owned(),
            node: node.to_owned(),
            key: JoinerKey(key.der_bytes().try_into().unwrap()),
            signature: key.sign(TRANSCRIPT).unwrap(),
        }
    }

    fn ask(server: &Server, question: &Question) -> Result<NodeId, Refusal> {
        let transcript = |_: &str, _: &NodeId| Some(TRANSCRIPT.to_vec());
        let answer = server.answer(&question.encode(), transcript);
        answer.map(|(node, _)| node)
    }

    #[test]
    fn a_joiner_that_does_not_check_itself_is_checked() {
        let server = server();
        let key = KeyPair::generate().unwrap();
        let token = |names: &str| {
            let options = TokenOptions::new(names.parse().unwrap());
            server.authority.token(options).unwrap()
        };
        let pods = token("pod-*");
        let good = question(pods.as_str(), "pod-1", &key);
        assert_eq!(ask(&server, &good).unwrap().as_str(), "pod-1");
        assert!(ask(&server, &good).is_ok(), "any number of times");
        for node in ["pod", "b", "qod-1"] {
            let other = question(pods.as_str(), node, &key);
            assert_eq!(ask(&server, &other), Err(Refusal::NameNotAllowed));
        }
        for node in ["", "Pod-1", "pod-1.evil", "pod-*"] {
            let other = question(pods.as_str(), node, &key);
            assert_eq!(ask(&server, &other), Err(Refusal::Malformed));
        }
        // The key of somebody else, no key, and a token of somebody else.
        let stranger = KeyPair::generate().unwrap();
        let mut stolen = good.clone();
        stolen.key = question("", "", &stranger).key;
        assert_eq!(ask(&server, &stolen), Err(Refusal::Proof));
        stolen.key = JoinerKey([0; 65]);
        assert_eq!(ask(&server, &stolen), Err(Refusal::Proof));
        let other = Authority::new(&"shop".parse().unwrap()).unwrap();
        let foreign = other.token(TokenOptions::new(TokenNames::Any)).unwrap();
        let foreign = question(foreign.as_str(), "pod-1", &key);
        assert_eq!(ask(&server, &foreign), Err(Refusal::Tampered));
        // A token for one name is spent by who may have it, and by nobody else.
        let once = token("b");
        let mut unproven = question(once.as_str(), "b", &stranger);
        unproven.signature = vec![0; 70];
        assert_eq!(ask(&server, &unproven), Err(Refusal::Proof));
        let once = question(once.as_str(), "b", &key);
        assert!(ask(&server, &once).is_ok());
        assert!(ask(&server, &once).is_ok(), "the answer may have been lost");
        let replayed = question(&once.token, "b", &stranger);
        assert_eq!(ask(&server, &replayed), Err(Refusal::Used));
    }

    #[test]
    fn who_has_no_token_does_not_use_up_the_rate() {
        let (server, other) = (server(), server());
        let key = KeyPair::generate().unwrap();
        let of = |server: &Server| {
            let token = server.authority.token(TokenOptions::new(TokenNames::Any));
            question(token.unwrap().as_str(), "b", &key)
        };
        let (own, foreign) = (of(&server), of(&other));
        for _ in 0..=MAX_PER_SECOND {
            assert_eq!(ask(&server, &foreign), Err(Refusal::Tampered));
        }
        assert!(ask(&server, &own).is_ok());
    }

    #[test]
    fn so_many_a_second_and_no_more() {
        let mut rate = Rate::new();
        let now = rate.since;
        let at_once = (0..1000).filter(|_| rate.take(now)).count();
        assert_eq!(at_once, MAX_PER_SECOND as usize);
        assert!(rate.take(now + Duration::from_millis(100)));
        let later = now + Duration::from_secs(60);
        let again = (0..1000).filter(|_| rate.take(later)).count();
        assert_eq!(again, MAX_PER_SECOND as usize);
    }
}
