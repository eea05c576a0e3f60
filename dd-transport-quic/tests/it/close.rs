//! A clean close delivers what was accepted; a drop ends everything at once.

use dd_gossip::{SendError, Transport, TransportEvent};

use crate::node::{Node, config, id};

const FRAMES: u32 = 5000;

async fn pair() -> (Node, Node) {
    let mut wide = config();
    wide.send_queue_frames = FRAMES as usize;
    wide.send_queue_bytes = 16 * 1024 * 1024;
    let (mut a, mut b) = (Node::dev_with("a", wide), Node::dev("b"));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    (a, b)
}

#[tokio::test]
async fn everything_accepted_before_the_close_arrives() {
    let (mut a, mut b) = pair().await;
    for n in 0..FRAMES {
        let mut frame = vec![1; 1000];
        frame[..4].copy_from_slice(&n.to_be_bytes());
        a.send("b", frame).unwrap();
    }
    // More than b's inbox holds, so b reads while a closes.
    let reader = tokio::spawn(async move {
        for n in 0..FRAMES {
            assert_eq!(b.frame("a").await[..4], n.to_be_bytes());
        }
        assert!(b.disconnected("a").await.contains("shut down"));
    });
    a.closed().await;
    reader.await.unwrap();
    assert_eq!(a.send("b", "late"), Err(SendError::NotConnected));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(a.transport.poll_event(&mut context).is_pending());
    assert!(a.transport.poll_closed(&mut context).is_ready());
}

#[tokio::test]
async fn what_the_peer_reads_only_after_the_close_is_there_too() {
    let (mut a, mut b) = pair().await;
    for n in 0..500u32 {
        a.send("b", n.to_be_bytes().to_vec()).unwrap();
    }
    a.closed().await;
    for n in 0..500u32 {
        assert_eq!(b.frame("a").await, n.to_be_bytes().to_vec());
    }
    b.disconnected("a").await;
}

#[tokio::test]
async fn a_peer_that_never_reads_delays_a_close_only_to_its_limit() {
    let mut impatient = config();
    impatient.close_timeout = std::time::Duration::from_millis(200);
    impatient.send_queue_bytes = 4 * 1024 * 1024;
    let mut narrow = config();
    narrow.receive_window = 32 * 1024;
    narrow.inbox_bytes = 64 * 1024;
    let (mut a, mut b) = (Node::dev_with("a", impatient), Node::dev_with("b", narrow));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    for _ in 0..3000 {
        a.send("b", vec![1; 1000]).unwrap();
    }
    a.closed().await;
    // What had come until then is delivered, then the end: no more than inbox, window and the piece
    // that the reader held in between.
    let mut held = 0;
    while let TransportEvent::Frame { frame, .. } = b.event().await {
        held += frame.len();
    }
    assert!(held <= (64 + 32 + 64) * 1024, "{held} bytes were held");
}

#[tokio::test]
async fn both_can_close_at_once() {
    let (mut a, mut b) = pair().await;
    a.send("b", "x").unwrap();
    b.send("a", "y").unwrap();
    a.transport.close();
    b.closed().await;
    a.closed().await;
}

#[tokio::test]
async fn a_transport_without_peers_closes() {
    Node::dev("a").closed().await;
}

#[tokio::test]
async fn the_address_is_free_when_it_is_closed() {
    let (mut a, _b) = pair().await;
    let mut config = config();
    config.listen = a.address();
    a.closed().await;
    // Though it is not dropped.
    assert_eq!(Node::dev_with("a", config).address(), a.address());
}

#[tokio::test]
async fn a_dropped_transport_is_gone_at_once() {
    let (a, mut b) = pair().await;
    drop(a);
    assert!(b.disconnected("a").await.contains("without a clean close"));
    assert_eq!(b.send("a", "x"), Err(SendError::NotConnected));
}

#[tokio::test]
async fn connecting_after_a_close_does_nothing() {
    let mut a = Node::dev("a");
    a.closed().await;
    a.transport.connect(&id("b"), "127.0.0.1:9").unwrap();
}
