//! Back-pressure from the application that doesn't read to the one that sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dd_gossip::{SendError, TransportEvent};
use dd_testkit::Relay;
use dd_transport_quic::QuicConfig;

use crate::node::{Node, config, id};

const SIZE: usize = 1000;
const FRAMES: u32 = 3000;

fn narrow() -> QuicConfig {
    let mut config = config();
    config.receive_window = 32 * 1024;
    config.send_window = 32 * 1024;
    config.send_queue_bytes = 64 * 1024;
    config.inbox_bytes = 64 * 1024;
    config
}

/// Everything that may hold frames between the two applications, and one write under way.
const BETWEEN: usize = (32 + 32 + 64 + 64 + 64 + 8) * 1024;

fn numbered(n: u32) -> Vec<u8> {
    let mut frame = vec![0; SIZE];
    frame[..4].copy_from_slice(&n.to_be_bytes());
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_becomes_writable_and_no_frame_is_lost() {
    let (mut a, mut b) = (Node::dev_with("a", narrow()), Node::dev_with("b", narrow()));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;

    // Nobody reads at b. Send until nothing more goes: a Writable may come while the windows fill.
    let mut sent = 0;
    let mut reader = None;
    let mut b = Some(b);
    let mut waits = 0;
    while sent < FRAMES {
        match a.send("b", numbered(sent)) {
            Ok(()) => {
                sent += 1;
                if reader.is_none() {
                    assert!(
                        sent as usize * SIZE <= BETWEEN,
                        "{sent} frames are held somewhere"
                    );
                }
            }
            Err(SendError::Full) => {
                waits += 1;
                if reader.is_none() && sent as usize * SIZE > 150_000 {
                    reader = b.take().map(|b| tokio::spawn(read_all(b)));
                }
                assert_eq!(a.event().await, TransportEvent::Writable { peer: id("b") });
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(waits > 1);
    reader.unwrap().await.unwrap();
}

async fn read_all(mut b: Node) -> Node {
    for n in 0..FRAMES {
        assert_eq!(b.frame("a").await, numbered(n));
    }
    b
}

#[tokio::test]
async fn frames_are_counted_as_well_as_bytes() {
    let mut few = config();
    few.send_queue_frames = 2;
    let (mut a, mut b) = (Node::dev_with("a", few), Node::dev("b"));
    a.dial("b", b.address());
    a.connected("b").await;
    b.connected("a").await;
    // One thread: the writer can't run between these.
    assert_eq!(a.send("b", "1"), Ok(()));
    assert_eq!(a.send("b", "2"), Ok(()));
    assert_eq!(a.send("b", "3"), Err(SendError::Full));
    assert_eq!(a.send("b", "3"), Err(SendError::Full));
    assert_eq!(a.event().await, TransportEvent::Writable { peer: id("b") });
    assert_eq!(a.send("b", "3"), Ok(()));
    for expected in ["1", "2", "3"] {
        assert_eq!(b.frame("a").await, expected);
    }
    // One Writable for the two refusals: the next event is something else.
    b.send("a", "end").unwrap();
    assert_eq!(a.frame("b").await, "end");
}

/// What is newer can only wait for as much as was taken before it: so no more is taken than a slow path needs to
/// be busy, however large the windows may become.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_goes_to_a_slow_peer_no_more_is_taken_than_its_path_needs() {
    const FRAME: usize = 8 * 1024;
    const FRAMES: usize = 768;
    /// In flight and as much again, half of that in the queue, a write under way, what the relay holds, and frames that
    /// were lost and are sent again: together a tenth of the windows.
    const AHEAD: usize = 2 * 1024 * 1024;
    let (mut a, mut b) = (Node::dev("a"), Node::dev("b"));
    let relay = Relay::new(1).unwrap();
    relay.lead_to(b.address());
    relay.carry_from(0, a.address());
    relay.set_rate(0, Some(4_000_000));
    a.dial("b", relay.address);
    a.connected("b").await;
    b.connected("a").await;
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    let reader = tokio::spawn(async move {
        for _ in 0..FRAMES {
            counted.fetch_add(b.frame("a").await.len(), Ordering::Relaxed);
        }
    });
    let (mut sent, mut most) = (0, 0);
    while sent < FRAMES * FRAME {
        match a.send("b", vec![0; FRAME]) {
            Ok(()) => sent += FRAME,
            Err(SendError::Full) => {
                assert_eq!(a.event().await, TransportEvent::Writable { peer: id("b") });
            }
            Err(other) => panic!("{other}"),
        }
        most = most.max(sent - received.load(Ordering::Relaxed));
    }
    reader.await.unwrap();
    assert!(most <= AHEAD, "{most} bytes were taken before they arrived");
}
