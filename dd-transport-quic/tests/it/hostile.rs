//! Peers that hold a valid certificate and misbehave, and limits.

use std::future::Future;
use std::time::Duration;

use dd_gossip::{MAX_FRAME, TransportEvent};
use dd_transport_quic::Authority;

use crate::node::{Node, cluster, config, id, issued};
use crate::rogue::{Rogue, SLOW, VIOLATION, hello};

fn victim(name: &str) -> (Node, Authority) {
    let authority = Authority::new(&cluster()).unwrap();
    (Node::with(issued(&authority, name), config()), authority)
}

#[tokio::test]
async fn a_frame_of_a_forbidden_length_costs_the_connection() {
    for length in [u32::MAX, MAX_FRAME as u32 + 1, 0] {
        let (mut a, authority) = victim("a");
        let rogue = Rogue::issued(&authority, "b");
        let hello = hello("b", "shop", 1, (0, 0));
        let mut link = rogue.greet(a.address(), "a.shop.dd", &hello).await;
        a.connected("b").await;
        // What came before it is delivered.
        link.send.write_all(b"\0\0\0\x02ok").await.unwrap();
        link.send.write_all(&length.to_be_bytes()).await.unwrap();
        assert_eq!(a.frame("b").await, "ok");
        let reason = a.disconnected("b").await;
        assert!(
            reason.contains(&format!("node b sent a frame of {length} bytes")),
            "{reason}"
        );
        assert_eq!(link.closed().await, (VIOLATION, reason));
    }
}

#[tokio::test]
async fn random_bytes_instead_of_a_hello_are_refused() {
    let (mut a, authority) = victim("a");
    let rogue = Rogue::issued(&authority, "b");
    let noise = [0x9d; 64];
    let other_version = b"ddqt\x63\0\0".to_vec();
    let too_long = b"ddqt\x01\xff\xff".to_vec();
    let cut = hello("b", "shop", 1, (0, 0))[..7]
        .iter()
        .copied()
        .chain([0xff; 40])
        .collect();
    let cases: [(Vec<u8>, &str); 4] = [
        (noise.to_vec(), "did not begin with a greeting"),
        (other_version, "version 99"),
        (too_long, "too long"),
        (cut, "malformed"),
    ];
    for (bytes, word) in cases {
        let link = rogue.greet(a.address(), "a.shop.dd", &bytes).await;
        let (code, told) = link.closed().await;
        assert_eq!(code, VIOLATION);
        assert!(told.contains(word), "{told}");
        let (whom, reason) = a.refused().await;
        assert!(
            whom.starts_with("b at 127.0.0.1") && reason.contains(word),
            "{whom}: {reason}"
        );
    }
}

#[tokio::test]
async fn an_end_inside_a_frame_is_a_violation() {
    let (mut a, authority) = victim("a");
    let rogue = Rogue::issued(&authority, "b");
    let hello = hello("b", "shop", 1, (0, 0));
    let mut link = rogue.greet(a.address(), "a.shop.dd", &hello).await;
    a.connected("b").await;
    link.send.write_all(b"\0\0\0\x09short").await.unwrap();
    link.send.finish().unwrap();
    assert!(a.disconnected("b").await.contains("ended inside a frame"));
    assert_eq!(link.closed().await.0, VIOLATION);
}

#[tokio::test]
async fn a_broken_off_stream_is_a_violation() {
    let (mut a, authority) = victim("a");
    let rogue = Rogue::issued(&authority, "b");
    let hello = hello("b", "shop", 1, (0, 0));
    let mut link = rogue.greet(a.address(), "a.shop.dd", &hello).await;
    a.connected("b").await;
    link.send.reset(9u32.into()).unwrap();
    assert!(a.disconnected("b").await.contains("broke off its stream"));
    assert_eq!(link.closed().await.0, VIOLATION);
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut config = config();
    config.handshake_timeout = Duration::from_millis(300);
    let mut a = Node::with(issued(&authority, "a"), config);
    let rogue = Rogue::issued(&authority, "b");
    let connection = rogue.connect(a.address(), "a.shop.dd").await;
    assert_eq!(crate::rogue::closed(&connection).await.0, SLOW);
    let (whom, reason) = a.refused().await;
    assert!(
        whom.starts_with("b at ") && reason.contains("in time"),
        "{whom}: {reason}"
    );
}

#[tokio::test]
async fn peers_beyond_the_limit_are_told_so() {
    let mut limited = config();
    limited.max_connections = 1;
    let (mut a, mut b, mut c) = (Node::dev_with("a", limited), Node::dev("b"), Node::dev("c"));
    b.dial("a", a.address());
    a.connected("b").await;
    b.connected("a").await;
    c.dial("a", a.address());
    let (whom, reason) = c.refused().await;
    assert!(
        whom.starts_with("a at ") && reason.contains("max_connections"),
        "{whom}: {reason}"
    );
    let (whom, reason) = a.refused().await;
    assert!(
        whom.starts_with("c at ") && reason.contains("max_connections"),
        "{whom}: {reason}"
    );
    // The place is free again when the peer leaves.
    b.closed().await;
    loop {
        match a.event().await {
            TransportEvent::Connected { peer } => break assert_eq!(peer, id("c")),
            TransportEvent::Refused { .. } | TransportEvent::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    c.connected("a").await;
}

#[tokio::test]
async fn streams_beyond_the_one_are_not_granted() {
    let (mut a, authority) = victim("a");
    let rogue = Rogue::issued(&authority, "b");
    let hello = hello("b", "shop", 1, (0, 0));
    let link = rogue.greet(a.address(), "a.shop.dd", &hello).await;
    a.connected("b").await;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut second = std::pin::pin!(link.connection.open_uni());
    assert!(second.as_mut().poll(&mut context).is_pending());
    let mut two_way = std::pin::pin!(link.connection.open_bi());
    assert!(two_way.as_mut().poll(&mut context).is_pending());
}
