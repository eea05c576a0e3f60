//! Keeps a connection to one configured node.

use std::net::SocketAddr;
use std::sync::Arc;

use dd_gossip::NodeId;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, timeout};
use tracing::debug;

use crate::address::{Address, MAX_ADDRESSES};
use crate::backoff::Backoff;
use crate::close_code::CloseCode;
use crate::greeting::{self, GreetingError};
use crate::hello::Confirmation;
use crate::peer_name::PeerName;
use crate::registry::DialState;
use crate::shared::Shared;
use crate::transport_words::connection_error;

/// Dials one node whenever no connection with it stands.
pub(crate) struct Dialler {
    shared: Arc<Shared>,
    node: NodeId,
    address: watch::Receiver<Address>,
    backoff: Backoff,
    /// The reason of the last failure, so that a lasting one is told once.
    told: Option<String>,
}

/// How an attempt ended without a connection.
enum Failure {
    /// Another connection of the pair stands, or this transport is closing.
    NotNeeded,
    /// For the user: whom, and why.
    Failed(String, String),
}

impl Dialler {
    pub(crate) fn new(
        shared: Arc<Shared>,
        node: NodeId,
        address: watch::Receiver<Address>,
        seed: u64,
    ) -> Self {
        let backoff = Backoff::new(shared.config.backoff_min, shared.config.backoff_max, seed);
        Self {
            shared,
            node,
            address,
            backoff,
            told: None,
        }
    }

    /// Runs until the transport closes or is dropped.
    pub(crate) async fn run(mut self) {
        let mut changes = self.shared.changes();
        loop {
            let state = self.shared.with(|registry| registry.begin_dial(&self.node));
            let pause = match state {
                DialState::Closed => return,
                DialState::Standing => {
                    let began = Instant::now();
                    while self
                        .shared
                        .with(|registry| registry.is_standing(&self.node))
                    {
                        if changes.changed().await.is_err() {
                            return;
                        }
                    }
                    self.told = None;
                    if began.elapsed() >= self.shared.config.stable_after {
                        self.backoff.reset();
                    }
                    self.backoff.after_failure()
                }
                DialState::Free(known) => match self.attempt(known).await {
                    Ok(()) => continue,
                    Err(Failure::NotNeeded) => self.backoff.shortest(),
                    Err(Failure::Failed(whom, reason)) => {
                        self.tell(whom, reason);
                        self.backoff.after_failure()
                    }
                },
            };
            if !self.wait(pause).await {
                return;
            }
        }
    }

    /// Waits, or less if there is a new address; false when the transport is gone.
    async fn wait(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            changed = self.address.changed() => {
                self.told = None;
                self.backoff.reset();
                changed.is_ok()
            }
        }
    }

    fn tell(&mut self, whom: String, reason: String) {
        if self.told.as_ref() == Some(&reason) {
            debug!(whom, reason, "still failing");
            return;
        }
        self.told = Some(reason.clone());
        self.shared.with(|registry| registry.refuse(whom, reason));
    }

    async fn attempt(&mut self, known: Confirmation) -> Result<(), Failure> {
        let address = self.address.borrow_and_update().clone();
        let whom = format!("{} at {address}", self.node);
        let failed = |reason| Failure::Failed(whom.clone(), reason);
        let limit = self.shared.config.handshake_timeout;
        let local = self
            .shared
            .endpoint
            .local_addr()
            .map_err(|e| failed(format!("the own socket is lost: {e}")))?;
        let targets = timeout(limit, address.resolve(local, MAX_ADDRESSES))
            .await
            .map_err(|_| failed("the name was not resolved in time; check DNS".to_owned()))?
            .map_err(failed)?;
        let mut last = failed("it has no address; check DNS".to_owned());
        for target in targets {
            debug!(node = %self.node, %target, "dialling");
            match dial(&self.shared, target, Some(&self.node), known).await {
                Ok(()) => return Ok(()),
                Err(None) => return Err(Failure::NotNeeded),
                Err(Some(reason)) => last = failed(reason),
            }
        }
        Err(last)
    }
}

/// One handshake with one address: with the expected node, or with whichever of the cluster is there. No
/// reason means that there is nothing to say.
pub(crate) async fn dial(
    shared: &Arc<Shared>,
    target: SocketAddr,
    expected: Option<&NodeId>,
    known: Confirmation,
) -> Result<(), Option<String>> {
    let limit = Instant::now() + shared.config.handshake_timeout;
    let cluster = shared.name.cluster.clone();
    let credentials = shared.credentials();
    let (client, name) = match expected {
        Some(node) => {
            let node = node.clone();
            (credentials.client, PeerName { node, cluster }.dns())
        }
        None => (credentials.seed_client, PeerName::any(&cluster)),
    };
    let connecting = shared
        .endpoint
        .connect_with(client, target, &name)
        .map_err(|e| Some(format!("it can't be dialled: {e}")))?;
    let connection = match tokio::time::timeout_at(limit, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(Some(connection_error(&error))),
        Err(_) => {
            return Err(Some(
                "nobody answered in time; is its process running, is the address right, and \
                 does UDP pass between the machines in both directions?"
                    .to_owned(),
            ));
        }
    };
    let greeting = greeting::dialled(shared, &connection, expected, known);
    let error = match tokio::time::timeout_at(limit, greeting).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => GreetingError::Refused(
            CloseCode::Slow,
            "the greeting was not finished in time; is the peer overloaded?".to_owned(),
        ),
    };
    let reason = error.conclude(&connection);
    shared.with(|registry| registry.count_wire(&connection));
    Err(reason)
}
