//! The conformance suite, over this transport.

use std::net::Ipv4Addr;
use std::time::Duration;

use dd_gossip::NodeId;
use dd_testkit::transport_suite::{self, TransportFactory};

use crate::tcp::TcpTransport;

struct OverTcp;

impl TransportFactory for OverTcp {
    type Transport = TcpTransport;

    fn make(&mut self, node: &NodeId) -> (TcpTransport, String) {
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let (transport, address) = TcpTransport::bind(node.clone(), listen).unwrap();
        (transport, address.to_string())
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    transport_suite::check_all(&mut OverTcp).await.unwrap();
}
