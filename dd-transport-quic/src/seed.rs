//! Dials addresses at which some node of the cluster is expected, whichever that is.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use tracing::debug;

use crate::address::{Address, MAX_SEED_ADDRESSES};
use crate::backoff::Backoff;
use crate::dialler::dial;
use crate::hello::Confirmation;
use crate::shared::Shared;

/// How often seeds are tried again while there are connections: two parts of a cluster that have lost each
/// other find each other so.
const AGAIN: Duration = Duration::from_secs(30);

/// Tries a seed until the transport closes.
pub(crate) async fn run(shared: Arc<Shared>, address: Address, seed: u64) {
    let (min, max) = (shared.config.backoff_min, shared.config.backoff_max);
    let mut backoff = Backoff::new(min, max, seed);
    let mut changes = shared.changes();
    let mut told = None;
    while !shared.with(|registry| registry.closed) {
        match attempt(&shared, &address).await {
            Ok(()) => told = None,
            Err(reason) if told.as_ref() == Some(&reason) => {
                debug!(%address, reason, "still failing")
            }
            Err(reason) => {
                told = Some(reason.clone());
                let whom = format!("seed {address}");
                shared.with(|registry| registry.refuse(whom, reason));
            }
        }
        let pause = if shared.with(|registry| registry.has_connections()) {
            backoff.reset();
            AGAIN
        } else {
            backoff.after_failure()
        };
        let alone = async {
            while changes.changed().await.is_ok() {
                if !shared.with(|registry| registry.has_connections()) {
                    break;
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = alone, if pause == AGAIN => {}
        }
    }
}

/// Dials all addresses of a seed to which there is no connection. One that answers is enough.
async fn attempt(shared: &Arc<Shared>, address: &Address) -> Result<(), String> {
    let own_socket = |error| format!("the own socket is lost: {error}");
    let local = shared.endpoint.local_addr().map_err(own_socket)?;
    let limit = shared.config.handshake_timeout;
    let targets = tokio::time::timeout(limit, address.resolve(local, MAX_SEED_ADDRESSES))
        .await
        .map_err(|_| "the name was not resolved in time; check DNS".to_owned())??;
    let mut attempts = JoinSet::new();
    let mut answered = false;
    for target in targets {
        let connected = || shared.with(|registry| registry.is_connected_to(target));
        if is_own(local, target) || connected() {
            answered = true;
        } else {
            let shared = Arc::clone(shared);
            attempts.spawn(async move {
                debug!(%target, "dialling a seed");
                dial(&shared, target, None, Confirmation::default()).await
            });
        }
    }
    let mut last = Ok(());
    while let Some(result) = attempts.join_next().await {
        match result {
            // Without a reason: there is a connection with that node already.
            Ok(Ok(()) | Err(None)) => answered = true,
            Ok(Err(Some(reason))) => last = Err(reason),
            Err(error) => last = Err(error.to_string()),
        }
    }
    if answered { Ok(()) } else { last }
}

/// Whether an address is that of this node's own socket: all nodes may be given the same seeds. Sends
/// nothing.
pub(crate) fn is_own(local: SocketAddr, target: SocketAddr) -> bool {
    if local.port() != target.port() {
        return false;
    }
    if local.ip() == target.ip() {
        return true;
    }
    local.ip().is_unspecified() && source_towards(target) == Some(target.ip())
}

/// The address from which packets to a target would go.
pub(crate) fn source_towards(target: SocketAddr) -> Option<std::net::IpAddr> {
    let any: SocketAddr = if target.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_address_is_known_under_all_its_names() {
        let any: SocketAddr = "0.0.0.0:7400".parse().unwrap();
        let local: SocketAddr = "127.0.0.1:7400".parse().unwrap();
        assert!(is_own(local, local));
        assert!(is_own(any, local));
        assert!(!is_own(any, "127.0.0.1:7401".parse().unwrap()));
        assert!(!is_own(local, "127.0.0.2:7400".parse().unwrap()));
        assert!(!is_own(any, "192.0.2.1:7400".parse().unwrap()));
    }
}
