//! Seeds: addresses at which some node of the cluster is, frames that may be lost, and forgetting.

use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{MAX_PACKET, SendError, Transport};
use dd_transport_quic::{Authority, Identity, QuicTransport};

use crate::node::{Node, cluster, config, id, issued, soon};

#[tokio::test]
async fn a_seed_is_connected_whoever_it_is() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let mut b = Node::with(issued(&authority, "b"), config());
    a.transport.seed(&b.address().to_string()).unwrap();
    a.connected("b").await;
    b.connected("a").await;
}

#[tokio::test]
async fn a_seed_that_comes_late_or_anew_is_connected() {
    let (mut a, b) = (Node::dev("a"), Node::dev("b"));
    let address = b.address();
    drop(b);
    a.transport.seed(&address.to_string()).unwrap();
    let (whom, reason) = a.refused().await;
    assert_eq!(whom, format!("seed {address}"));
    assert!(!reason.is_empty());
    for _ in 0..2 {
        // A socket is free a moment after its transport was dropped.
        let identity = Identity::dev(&cluster(), &id("c"), "secret").unwrap();
        let mut config = config();
        config.listen = address;
        let bind = || QuicTransport::bind(identity.clone(), config.clone()).ok();
        let c = soon(async {
            loop {
                match bind() {
                    Some(transport) => break transport,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let c = c.await;
        loop {
            match a.event().await {
                dd_gossip::TransportEvent::Connected { peer } => {
                    assert_eq!(peer, id("c"), "another node may be there by now");
                    break;
                }
                dd_gossip::TransportEvent::Refused { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        drop(c);
        a.disconnected("c").await;
    }
}

#[tokio::test]
async fn the_own_address_as_a_seed_is_passed_over() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    let own = a.address().to_string();
    a.transport.seed(&own).unwrap();
    a.transport.seed(&b.address().to_string()).unwrap();
    // The first event: nothing was refused before it.
    a.connected("b").await;
    b.connected("a").await;
}

#[tokio::test]
async fn a_seed_of_another_cluster_or_authority_is_refused() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let stranger = Authority::new(&cluster()).unwrap();
    let b = Node::with(issued(&stranger, "b"), config());
    a.transport.seed(&b.address().to_string()).unwrap();
    let (_, reason) = a.refused().await;
    assert!(reason.contains("authority"), "{reason}");

    let other = Authority::new(&"mall".parse().unwrap()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let b = Node::with(issued(&other, "b"), config());
    a.transport.seed(&b.address().to_string()).unwrap();
    let (whom, reason) = a.refused().await;
    assert_eq!(whom, format!("seed {}", b.address()));
    assert!(!reason.is_empty());
}

#[tokio::test]
async fn a_seed_under_one_authority_must_be_of_the_own_cluster() {
    // A certificate that another cluster's node has from the same authority is no pass.
    let common = crate::trust::Common::new();
    let mut a = Node::with(common.identity("a.shop.dd"), config());
    let b = Node::with(common.identity("b.mall.dd"), config());
    a.transport.seed(&b.address().to_string()).unwrap();
    let (_, reason) = a.refused().await;
    // Both clusters are named.
    assert!(reason.contains("\"shop.dd\""), "{reason}");
    assert!(reason.contains("b.mall.dd"), "{reason}");
}

#[tokio::test]
async fn frames_that_may_be_lost_arrive_and_have_a_limit() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    let lossy = |a: &mut Node, frame: Bytes| a.transport.send_lossy(&id("b"), frame);
    assert_eq!(lossy(&mut a, "early".into()), Err(SendError::NotConnected));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    let largest = Bytes::from(vec![7; MAX_PACKET + 8]);
    lossy(&mut a, largest.clone()).unwrap();
    assert_eq!(b.frame("a").await, largest);
    let too_large = Bytes::from(vec![7; 64 * 1024]);
    assert_eq!(lossy(&mut a, too_large), Err(SendError::Size(64 * 1024)));
    a.send("b", "still here").unwrap();
    assert_eq!(b.frame("a").await, "still here");
}

#[tokio::test]
async fn a_flood_of_lossy_frames_that_nobody_takes_is_bounded() {
    let mut small = config();
    small.inbox_frames = 64;
    let (mut a, mut b) = (Node::dev("a"), Node::dev_with("b", small));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    for n in 0..2_000u32 {
        let _ = a
            .transport
            .send_lossy(&id("b"), n.to_be_bytes().to_vec().into());
        if n % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    a.send("b", "last").unwrap();
    let mut taken = 0;
    while b.frame("a").await != "last" {
        taken += 1;
    }
    assert!((1..2_000).contains(&taken), "{taken}");
}

#[tokio::test]
async fn a_node_that_was_forgotten_is_dialled_no_more() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    a.transport.forget(&id("b"));
    a.disconnected("b").await;
    b.disconnected("a").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Nothing happened in between, and b may still come.
    b.dial("a", a.address());
    b.connected("a").await;
    a.connected("b").await;
}
