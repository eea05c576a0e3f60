//! The transport suite passes on the transport in memory and catches each broken one.

use std::time::Duration;

use bytes::Bytes;
use dd_gossip::{NodeId, Transport, TransportEvent};
use dd_testkit::transport_suite::{self, Clause, TransportFactory, Violation};
use dd_testkit::{MemoryNetwork, MemoryTransport};

use crate::broken_transport::{Broken, Fault};

struct InMemory {
    network: MemoryNetwork,
    fault: Fault,
}

impl TransportFactory for InMemory {
    type Transport = Broken<MemoryTransport>;

    fn make(&mut self, node: &NodeId) -> (Self::Transport, String) {
        let transport = self.network.transport(node.clone());
        let transport = Broken::new(transport, node.clone(), self.fault);
        (transport, node.to_string())
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn in_flight(&self) -> usize {
        1024 * 1024
    }
}

async fn check(fault: Fault) -> Result<(), Violation> {
    let network = match fault {
        Fault::Unbounded => MemoryNetwork::with_queue(usize::MAX, usize::MAX),
        _ => MemoryNetwork::with_queue(500, 512 * 1024),
    };
    transport_suite::check_all(&mut InMemory { network, fault }).await
}

#[tokio::test]
async fn the_transport_in_memory_keeps_the_contract() {
    assert_eq!(check(Fault::None).await, Ok(()));
}

#[tokio::test]
async fn the_narrowest_transport_in_memory_keeps_it_too() {
    let network = MemoryNetwork::with_queue(1, 1);
    let fault = Fault::None;
    let mut factory = InMemory { network, fault };
    let result = transport_suite::check_all(&mut factory).await;
    assert_eq!(result, Ok(()));
}

#[tokio::test]
async fn each_broken_transport_is_caught_by_its_clause() {
    let cases = [
        (Fault::LosesAFrame, Clause::FramesArrive),
        (Fault::RepeatsAFrame, Clause::FramesInOrder),
        (Fault::Reorders, Clause::FramesInOrder),
        (Fault::DamagesAByte, Clause::FramesWhole),
        (Fault::AcceptsOversize, Clause::FrameSizes),
        (Fault::AcceptsEmpty, Clause::FrameSizes),
        (Fault::AcceptsWithoutConnection, Clause::NotConnected),
        (Fault::RepeatsConnected, Clause::EventOrder),
        (Fault::NeverConnects, Clause::Connects),
        (Fault::ConnectsTwiceIfBothDial, Clause::OneConnection),
        (Fault::DisconnectsInSilence, Clause::EventOrder),
        (Fault::KeepsReasonsToItself, Clause::Reconnects),
        (Fault::ForgetsWritable, Clause::BackPressure),
        (Fault::RepeatsWritable, Clause::BackPressure),
        (Fault::Unbounded, Clause::BackPressure),
        (Fault::LosesAtClose, Clause::CleanClose),
        (Fault::NeverCloses, Clause::CleanClose),
        (Fault::SpeaksAfterClose, Clause::AfterClose),
        (Fault::OutlivesItsDrop, Clause::DropEnds),
        (Fault::AcceptsAnyAddress, Clause::Addresses),
        (Fault::CountsRefused, Clause::Stats),
    ];
    for (fault, clause) in cases {
        let violation = check(fault).await.expect_err(&format!("{fault:?}"));
        assert_eq!(violation.clause, clause, "{fault:?}: {violation}");
    }
}

fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// All events that are there.
fn events(transport: &mut MemoryTransport) -> Vec<TransportEvent> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::iter::from_fn(|| match transport.poll_event(&mut cx) {
        std::task::Poll::Ready(event) => Some(event),
        std::task::Poll::Pending => None,
    })
    .collect()
}

fn connected(name: &str) -> TransportEvent {
    TransportEvent::Connected { peer: id(name) }
}

fn disconnected(name: &str, reason: &str) -> TransportEvent {
    let (peer, reason) = (id(name), reason.to_owned());
    TransportEvent::Disconnected { peer, reason }
}

#[test]
fn a_cut_loses_what_is_on_its_way_and_heals() {
    let (a, b) = (id("a"), id("b"));
    let network = MemoryNetwork::new();
    let (mut left, mut right) = (network.transport(a.clone()), network.transport(b.clone()));
    left.connect(&b, "b").unwrap();
    assert_eq!(events(&mut left), [connected("b")]);
    assert_eq!(events(&mut right), [connected("a")]);
    left.send(&b, Bytes::from_static(b"lost")).unwrap();
    network.cut(&b, &a);
    assert_eq!(events(&mut left), [disconnected("b", "the network is cut")]);
    assert_eq!(
        events(&mut right),
        [disconnected("a", "the network is cut")]
    );
    network.heal(&a, &b);
    assert_eq!(events(&mut left), [connected("b")]);
    assert_eq!(events(&mut right), [connected("a")]);
    left.send(&b, Bytes::from_static(b"new")).unwrap();
    let frame = Bytes::from_static(b"new");
    assert_eq!(
        events(&mut right),
        [TransportEvent::Frame { peer: a, frame }]
    );
}

#[test]
fn queues_stay_bounded_through_cuts_that_nobody_hears_of() {
    let (a, b) = (id("a"), id("b"));
    let network = MemoryNetwork::new();
    let (mut left, mut right) = (network.transport(a.clone()), network.transport(b.clone()));
    left.connect(&b, "b").unwrap();
    for _ in 0..1000 {
        network.cut(&a, &b);
        network.heal(&a, &b);
    }
    let cut = "the network is cut";
    assert_eq!(events(&mut left), [connected("b"), disconnected("b", cut)]);
    // Only now has each side heard of the end.
    assert_eq!(
        events(&mut right),
        [connected("a"), disconnected("a", cut), connected("a")]
    );
    assert_eq!(events(&mut left), [connected("b")]);
}

#[test]
fn a_cut_from_the_start_keeps_nodes_apart() {
    let (a, b) = (id("a"), id("b"));
    let network = MemoryNetwork::new();
    network.cut(&a, &b);
    let mut left = network.transport(a.clone());
    left.connect(&b, "b").unwrap();
    let mut right = network.transport(b.clone());
    assert_eq!(events(&mut left), []);
    network.heal(&a, &b);
    assert_eq!(events(&mut left), [connected("b")]);
    assert_eq!(events(&mut right), [connected("a")]);
}

#[test]
fn a_second_transport_of_a_node_takes_the_place_of_the_first() {
    let (a, b) = (id("a"), id("b"));
    let network = MemoryNetwork::new();
    let (mut left, mut right) = (network.transport(a.clone()), network.transport(b.clone()));
    right.connect(&a, "a").unwrap();
    let mut again = network.transport(a);
    let former = "another transport took the place of this node's";
    assert_eq!(
        events(&mut left),
        [connected("b"), disconnected("b", former)]
    );
    assert_eq!(
        events(&mut right),
        [connected("a"), disconnected("a", former), connected("a")]
    );
    assert_eq!(events(&mut again), [connected("b")]);
    assert!(left.send(&b, Bytes::from_static(b"x")).is_err());
}

#[test]
fn who_waits_is_woken() {
    struct Count(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let count = std::sync::Arc::new(Count(0.into()));
    let waker = count.clone().into();
    let mut cx = std::task::Context::from_waker(&waker);
    let network = MemoryNetwork::new();
    let (mut left, mut right) = (network.transport(id("a")), network.transport(id("b")));
    assert!(left.poll_event(&mut cx).is_pending());
    assert!(left.poll_closed(&mut cx).is_pending());
    right.connect(&id("a"), "a").unwrap();
    assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    left.close();
    assert_eq!(count.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}
