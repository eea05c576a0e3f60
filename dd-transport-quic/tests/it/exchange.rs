//! Frames both ways, counts, and what is said about frames that can't be sent.

use dd_gossip::{MAX_FRAME, SendError, Transport, TransportEvent};

use crate::node::{Node, id};

#[tokio::test]
async fn frames_go_both_ways_in_order() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    b.dial("a", a.address());
    a.connected("b").await;
    b.connected("a").await;
    for n in 0..100u8 {
        a.send("b", vec![n; 1 + usize::from(n)]).unwrap();
        b.send("a", vec![n, n]).unwrap();
    }
    for n in 0..100u8 {
        assert_eq!(b.frame("a").await, vec![n; 1 + usize::from(n)]);
        assert_eq!(a.frame("b").await, vec![n, n]);
    }
    let stats = b.stats();
    assert_eq!((stats.frames_sent, stats.bytes_sent), (100, 200));
    assert_eq!((stats.frames_received, stats.bytes_received), (100, 5050));
    assert!(
        stats.wire_bytes_sent > 200 && stats.wire_bytes_received > 5050,
        "{stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frame_goes_through_and_wrong_sizes_are_refused() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    let largest = vec![7; MAX_FRAME];
    a.send("b", largest.clone()).unwrap();
    assert_eq!(b.frame("a").await, largest);
    assert_eq!(
        a.send("b", vec![7; MAX_FRAME + 1]),
        Err(SendError::Size(MAX_FRAME + 1))
    );
    assert_eq!(a.send("b", vec![]), Err(SendError::Size(0)));
    assert_eq!(a.send("c", vec![7]), Err(SendError::NotConnected));
}

#[tokio::test]
async fn names_are_resolved() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    let address = format!("localhost:{}", b.address().port());
    a.transport.connect(&id("b"), &address).unwrap();
    a.connected("b").await;
    b.connected("a").await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_reported_and_a_new_address_is_tried() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.transport
        .connect(&id("b"), "no-such-host.invalid:7400")
        .unwrap();
    let (whom, reason) = a.refused().await;
    assert!(whom.contains("b at no-such-host.invalid:7400"), "{whom}");
    assert!(reason.contains("DNS"), "{reason}");
    a.dial("b", b.address());
    loop {
        match a.event().await {
            TransportEvent::Connected { peer } if peer == id("b") => break,
            TransportEvent::Refused { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    b.connected("a").await;
}

#[tokio::test]
async fn addresses_that_make_no_sense_are_refused_at_once() {
    let mut a = Node::dev("a");
    assert!(a.transport.connect(&id("b"), "nowhere").is_err());
    let own = a.address().to_string();
    let error = a.transport.connect(&id("a"), &own).unwrap_err();
    assert!(error.reason.contains("itself"), "{error}");
}

#[tokio::test]
async fn a_peer_whose_frame_was_refused_is_disconnected_and_may_come_back() {
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    b.transport.disconnect(&id("a"), "a damaged frame");
    let own = b.disconnected("a").await;
    let told = a.disconnected("b").await;
    assert!(own.contains("a damaged frame"), "{own}");
    assert!(told.contains("a damaged frame"), "{told}");
    a.connected("b").await;
    b.connected("a").await;
}
