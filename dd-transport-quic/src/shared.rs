//! What the transport and its tasks hold in common.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Endpoint;
use tokio::sync::watch;

use crate::QuicConfig;
use crate::credentials::Credentials;
use crate::hello::{Confirmation, Hello};
use crate::peer_name::PeerName;
use crate::registry::Registry;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: PeerName,
    pub(crate) config: QuicConfig,
    pub(crate) endpoint: Endpoint,
    /// The address that its socket is bound to.
    pub(crate) local: SocketAddr,
    credentials: Mutex<Credentials>,
    /// A random number of this process, never 0.
    pub(crate) process: u64,
    registry: Mutex<Registry>,
    changes: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(
        name: PeerName,
        config: QuicConfig,
        endpoint: Endpoint,
        local: SocketAddr,
        credentials: Credentials,
        process: u64,
        registry: Registry,
    ) -> Arc<Self> {
        let registry = Mutex::new(registry);
        let changes = watch::Sender::new(0);
        Arc::new(Self {
            name,
            config,
            endpoint,
            local,
            credentials: Mutex::new(credentials),
            process,
            registry,
            changes,
        })
    }

    /// Changes the registry, then wakes those that wait for what changed.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Registry) -> R) -> R {
        let (result, waker, changed) = {
            let mut registry = self.lock();
            let result = change(&mut registry);
            let waker = if registry.has_events() {
                registry.event_waker.take()
            } else {
                None
            };
            (result, waker, std::mem::take(&mut registry.changed))
        };
        if changed {
            self.changes
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// With what new connections are made.
    pub(crate) fn credentials(&self) -> Credentials {
        let credentials = self.credentials.lock();
        credentials.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_credentials(&self, credentials: Credentials) {
        let former = self.credentials.lock();
        *former.unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// Reports each time that a connection came or went.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Our hello, to a peer that confirmed this to us last.
    pub(crate) fn hello(&self, known: Confirmation) -> Hello {
        Hello {
            node: self.name.node.clone(),
            cluster: self.name.cluster.clone(),
            process: self.process,
            known,
        }
    }

    /// A panic under the lock would be a bug of ours; the state behind it is still the best there
    /// is, and the process of a user should go on.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
