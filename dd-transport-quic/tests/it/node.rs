//! A transport under test, and what tests ask of it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{ClusterId, NodeId, SendError, Transport, TransportEvent, TransportStats};
use dd_transport_quic::{Authority, Identity, QuicConfig, QuicTransport};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    pub(crate) transport: QuicTransport,
}

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(crate) fn cluster() -> ClusterId {
    "shop".parse().unwrap()
}

pub(crate) fn config() -> QuicConfig {
    let mut config = QuicConfig::new(([127, 0, 0, 1], 0).into());
    config.backoff_min = Duration::from_millis(5);
    config.backoff_max = Duration::from_millis(50);
    config
}

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("nothing happened within the limit")
}

/// The identity that an authority gives to a node.
pub(crate) fn issued(authority: &Authority, name: &str) -> Identity {
    let issued = authority.issue(&id(name)).unwrap();
    Identity::from_pem(
        authority.certificate_pem(),
        issued.certificate_pem(),
        issued.key_pem(),
    )
    .unwrap()
}

impl Node {
    pub(crate) fn dev(name: &str) -> Self {
        Self::dev_with(name, config())
    }

    pub(crate) fn dev_with(name: &str, config: QuicConfig) -> Self {
        Self::with(
            Identity::dev(&cluster(), &id(name), "secret").unwrap(),
            config,
        )
    }

    pub(crate) fn with(identity: Identity, config: QuicConfig) -> Self {
        Self {
            transport: QuicTransport::bind(identity, config).unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    pub(crate) fn dial(&mut self, name: &str, address: SocketAddr) {
        self.transport
            .connect(&id(name), &address.to_string())
            .unwrap();
    }

    pub(crate) async fn event(&mut self) -> TransportEvent {
        soon(poll_fn(|cx| self.transport.poll_event(cx))).await
    }

    pub(crate) async fn connected(&mut self, name: &str) {
        assert_eq!(
            self.event().await,
            TransportEvent::Connected { peer: id(name) }
        );
    }

    pub(crate) async fn disconnected(&mut self, name: &str) -> String {
        match self.event().await {
            TransportEvent::Disconnected { peer, reason } if peer == id(name) => reason,
            other => panic!("{other:?} instead of a disconnect of {name}"),
        }
    }

    pub(crate) async fn refused(&mut self) -> (String, String) {
        match self.event().await {
            TransportEvent::Refused { whom, reason } => (whom, reason),
            other => panic!("{other:?} instead of a refusal"),
        }
    }

    pub(crate) async fn frame(&mut self, name: &str) -> Bytes {
        match self.event().await {
            TransportEvent::Frame { peer, frame } if peer == id(name) => frame,
            other => panic!("{other:?} instead of a frame of {name}"),
        }
    }

    pub(crate) fn send(&mut self, name: &str, frame: impl Into<Bytes>) -> Result<(), SendError> {
        self.transport.send(&id(name), frame.into())
    }

    pub(crate) fn stats(&self) -> TransportStats {
        self.transport.stats()
    }

    pub(crate) async fn closed(&mut self) {
        self.transport.close();
        soon(poll_fn(|cx| self.transport.poll_closed(cx))).await;
    }
}
