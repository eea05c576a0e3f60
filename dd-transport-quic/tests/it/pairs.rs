//! One connection for each pair: both dial, restarts, and confirmations out of order.

use std::net::SocketAddr;

use dd_gossip::TransportEvent;
use dd_transport_quic::Authority;

use crate::node::{Node, cluster, config, id, issued, soon};
use crate::rogue::{DUPLICATE, REPLACED, Rogue, hello};

/// Length of the hello of a node whose name has one letter.
const HELLO: usize = 7 + 2 + 5 + 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_dial_each_sees_the_other_once() {
    for _ in 0..20 {
        let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
        a.dial("b", b.address());
        b.dial("a", a.address());
        a.connected("b").await;
        b.connected("a").await;
        // Round trips enough for a second handshake to conclude.
        for n in 0..50u8 {
            a.send("b", vec![n]).unwrap();
            assert_eq!(b.frame("a").await, vec![n]);
            b.send("a", vec![n]).unwrap();
            assert_eq!(a.frame("b").await, vec![n]);
        }
    }
}

#[tokio::test]
async fn a_restarted_peer_is_noticed_and_dialled_again() {
    for (survivor, restarting) in [("a", "b"), ("b", "a")] {
        let mut a = Node::dev(survivor);
        let mut b = Node::dev(restarting);
        let address = b.address();
        a.dial(restarting, address);
        a.connected(restarting).await;
        b.connected(survivor).await;
        drop(b);
        a.disconnected(restarting).await;
        let mut b = restarted(restarting, address).await;
        loop {
            match a.event().await {
                TransportEvent::Connected { peer } => break assert_eq!(peer, id(restarting)),
                TransportEvent::Refused { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        b.connected(survivor).await;
        b.send(survivor, "back").unwrap();
        assert_eq!(a.frame(restarting).await, "back");
    }
}

/// Binds the same port; the old socket is closed when its last connection has drained.
async fn restarted(name: &str, address: SocketAddr) -> Node {
    let mut config = config();
    config.listen = address;
    soon(async {
        loop {
            let identity =
                dd_transport_quic::Identity::dev(&cluster(), &id(name), "secret").unwrap();
            match dd_transport_quic::QuicTransport::bind(identity, config.clone()) {
                Ok(transport) => return Node { transport },
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn another_process_of_the_peer_replaces_its_connection() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "b");
    let old = rogue
        .greet(a.address(), "a.shop.dd", &hello("b", "shop", 1, (0, 0)))
        .await;
    a.connected("b").await;
    let mut new = rogue
        .greet(a.address(), "a.shop.dd", &hello("b", "shop", 2, (0, 0)))
        .await;
    assert!(a.disconnected("b").await.contains("restarted"));
    a.connected("b").await;
    assert_eq!(old.closed().await.0, REPLACED);
    new.send.write_all(b"\0\0\0\x03new").await.unwrap();
    assert_eq!(a.frame("b").await, "new");
}

#[tokio::test]
async fn a_second_connection_of_the_same_process_is_a_duplicate() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "b");
    let hello = hello("b", "shop", 1, (0, 0));
    let mut first = rogue.greet(a.address(), "a.shop.dd", &hello).await;
    a.connected("b").await;
    let second = rogue.greet(a.address(), "a.shop.dd", &hello).await;
    assert_eq!(second.closed().await.0, DUPLICATE);
    // The user saw nothing of it.
    first.send.write_all(b"\0\0\0\x05first").await.unwrap();
    assert_eq!(a.frame("b").await, "first");
}

#[tokio::test]
async fn a_peer_that_lost_the_standing_connection_is_not_locked_out() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut a = Node::with(issued(&authority, "a"), config());
    let rogue = Rogue::issued(&authority, "b");
    let first = rogue
        .greet(a.address(), "a.shop.dd", &hello("b", "shop", 1, (0, 0)))
        .await;
    a.connected("b").await;
    // The process of a stands in its hello, and its confirmation after that.
    let mut recv = soon(first.connection.accept_uni()).await.unwrap();
    let mut bytes = [0; HELLO + 8];
    soon(recv.read_exact(&mut bytes)).await.unwrap();
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let known = (number(HELLO - 24), number(HELLO));
    let again = hello("b", "shop", 1, known);
    let _second = rogue.greet(a.address(), "a.shop.dd", &again).await;
    assert!(a.disconnected("b").await.contains("lost this connection"));
    a.connected("b").await;
    assert_eq!(first.closed().await.0, REPLACED);
}

#[tokio::test]
async fn the_larger_node_follows_confirmations_and_ignores_overtaken_ones() {
    let authority = Authority::new(&cluster()).unwrap();
    let mut b = Node::with(issued(&authority, "b"), config());
    let rogue = Rogue::issued(&authority, "a");
    let hello = hello("a", "shop", 1, (0, 0));
    let mut early = rogue.greet(b.address(), "b.shop.dd", &hello).await;
    let mut late = rogue.greet(b.address(), "b.shop.dd", &hello).await;
    early.answer(HELLO).await;
    late.answer(HELLO).await;
    // Confirmed second, arrives first.
    late.send.write_all(&2u64.to_be_bytes()).await.unwrap();
    b.connected("a").await;
    early.send.write_all(&1u64.to_be_bytes()).await.unwrap();
    assert_eq!(early.closed().await.0, DUPLICATE);
    late.send.write_all(b"\0\0\0\x04late").await.unwrap();
    assert_eq!(b.frame("a").await, "late");
    // A newer confirmation replaces.
    let mut newest = rogue.greet(b.address(), "b.shop.dd", &hello).await;
    newest.send.write_all(&3u64.to_be_bytes()).await.unwrap();
    b.disconnected("a").await;
    b.connected("a").await;
    assert_eq!(late.closed().await.0, REPLACED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_make_a_mesh() {
    let mut nodes = [
        ("a", Node::dev("a")),
        ("b", Node::dev("b")),
        ("c", Node::dev("c")),
    ];
    let addresses: Vec<_> = nodes
        .iter()
        .map(|(name, node)| (*name, node.address()))
        .collect();
    for (own, node) in &mut nodes {
        for (name, address) in addresses.iter().filter(|(name, _)| name != own) {
            node.dial(name, *address);
        }
    }
    for (_, node) in &mut nodes {
        for _ in 0..2 {
            let event = node.event().await;
            assert!(
                matches!(event, TransportEvent::Connected { .. }),
                "{event:?}"
            );
        }
    }
}
