//! Takes connections that peers dial.

use std::sync::Arc;

use quinn::{ConnectionError, Incoming};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::close_code::CloseCode;
use crate::greeting::{self, GreetingError};
use crate::shared::Shared;
use crate::transport_words::connection_error;

/// Accepts until the endpoint is closed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let limit = shared.config.max_handshakes;
    let slots = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
    while let Some(incoming) = shared.endpoint.accept().await {
        if shared.with(|registry| registry.closed) {
            incoming.refuse();
            continue;
        }
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            warn!(address = %incoming.remote_address(), limit, "handshake refused: max_handshakes");
            incoming.refuse();
            continue;
        };
        // Under load a peer must show that it receives at its address; costs it one round trip.
        let loaded = slots.available_permits() < limit / 2;
        if loaded && !incoming.remote_address_validated() && incoming.may_retry() {
            if incoming.retry().is_err() {
                debug!("retry was not possible");
            }
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            handshake(&shared, incoming).await;
            drop(slot);
        });
    }
}

async fn handshake(shared: &Arc<Shared>, incoming: Incoming) {
    let address = incoming.remote_address();
    let limit = tokio::time::Instant::now() + shared.config.handshake_timeout;
    let connection = match tokio::time::timeout_at(limit, incoming).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(ConnectionError::LocallyClosed)) => return,
        Ok(Err(error)) => {
            let reason = connection_error(&error);
            return shared.with(|registry| registry.refuse(address.to_string(), reason));
        }
        Err(_) => return debug!(%address, "handshake not finished in time"),
    };
    let left = limit.saturating_duration_since(tokio::time::Instant::now());
    let result = match timeout(left, greeting::accepted(shared, &connection)).await {
        Ok(result) => result,
        Err(_) => Err(GreetingError::Refused(
            CloseCode::Slow,
            "the greeting was not finished in time; is it another service?".to_owned(),
        )),
    };
    let Err(error) = result else { return };
    let whom = match greeting::certificate_name(shared, &connection) {
        Ok(name) => format!("{} at {address}", name.node),
        Err(_) => address.to_string(),
    };
    let reason = error.conclude(&connection);
    shared.with(|registry| {
        registry.count_wire(&connection);
        if let Some(reason) = reason {
            registry.refuse(whom, reason);
        }
    });
}
