//! The conformance suite for transports, over QUIC.

use std::time::Duration;

use dd_gossip::NodeId;
use dd_testkit::transport_suite::{self, TransportFactory};
use dd_transport_quic::QuicTransport;

use crate::node::{Node, config};

struct OverQuic;

impl TransportFactory for OverQuic {
    type Transport = QuicTransport;

    fn make(&mut self, node: &NodeId) -> (QuicTransport, String) {
        let mut narrow = config();
        narrow.receive_window = 128 * 1024;
        narrow.send_window = 128 * 1024;
        narrow.send_queue_bytes = 128 * 1024;
        narrow.inbox_bytes = 128 * 1024;
        let node = Node::dev_with(node.as_str(), narrow);
        let address = node.address().to_string();
        (node.transport, address)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn in_flight(&self) -> usize {
        // The four buffers, a write under way and the reader's piece.
        (4 * 128 + 2 * 64) * 1024
    }

    fn bad_address(&self) -> String {
        "nowhere".to_owned()
    }
}

#[tokio::test]
async fn the_contract_is_kept_on_one_thread() {
    transport_suite::check_all(&mut OverQuic).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_on_two_threads() {
    transport_suite::check_all(&mut OverQuic).await.unwrap();
}
