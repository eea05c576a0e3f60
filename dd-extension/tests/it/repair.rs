//! A replica that is at fault finds it out and is made anew from the others.

use std::task::{Context, Poll};

use bytes::Bytes;
use dd_extension::types::{LwwRegister, OrSet};
use dd_extension::{
    AddressError, Damage, Key, Keys, NodeId, OwnedKeys, SendError, StoreConfig, Transport,
    TransportEvent, TransportStats,
};
use dd_testkit::{MemoryNetwork, MemoryTransport};

use crate::node::{Node, agree, cluster_over, id, soon, state, until};

const TITLE: Key<LwwRegister<String>> = Key::new("title");
const FRUIT: Key<OrSet<String>> = Key::new("fruit");
const HERE: OwnedKeys<OrSet<String>> = Keys::owned("here/");

/// A transport that turns one word into another of its length: a fault in a memory, as far as whoever receives
/// can tell.
#[derive(Debug)]
struct Faulty(MemoryTransport);

impl Transport for Faulty {
    fn connect(&mut self, node: &NodeId, address: &str) -> Result<(), AddressError> {
        self.0.connect(node, address)
    }

    fn forget(&mut self, node: &NodeId) {
        self.0.forget(node);
    }

    fn send(&mut self, peer: &NodeId, frame: Bytes) -> Result<(), SendError> {
        self.0.send(peer, frame)
    }

    fn disconnect(&mut self, peer: &NodeId, reason: &str) {
        self.0.disconnect(peer, reason);
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<TransportEvent> {
        self.0.poll_event(cx).map(|event| match event {
            TransportEvent::Frame { peer, frame } => {
                let mut bytes = frame.to_vec();
                let at = bytes.windows(5).position(|word| word == b"right");
                if let Some(at) = at {
                    bytes[at..at + 5].copy_from_slice(b"wrong");
                }
                let frame = bytes.into();
                TransportEvent::Frame { peer, frame }
            }
            other => other,
        })
    }

    fn close(&mut self) {
        self.0.close();
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(cx)
    }

    fn stats(&self) -> TransportStats {
        self.0.stats()
    }
}

fn title(node: &Node) -> String {
    let title = node.store.read(&TITLE, |title| title.get().unwrap());
    title.unwrap().unwrap_or_default()
}

/// Stores of these names, of which the last one hears wrong.
async fn scene(network: &MemoryNetwork, all: &[&str]) -> Vec<Node> {
    let mut nodes = Vec::new();
    for name in all {
        let transport = network.transport(id(name));
        let transport: Box<dyn Transport> = if Some(name) == all.last() {
            Box::new(Faulty(transport))
        } else {
            Box::new(transport)
        };
        let cluster = cluster_over(transport, name, all);
        nodes.push(Node::start(cluster, StoreConfig::default()).await);
    }
    for node in &nodes {
        soon(node.store.ready()).await.unwrap();
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_nobody_agrees_with_is_made_anew() {
    let network = MemoryNetwork::new();
    let nodes = scene(&network, &["a", "b", "c"]).await;
    let (a, b, c) = (&nodes[0], &nodes[1], &nodes[2]);
    let own = c.store.own(&HERE, "x").unwrap();
    c.store.update(&own, |here| here.insert("cid")).unwrap();
    a.store
        .update(&FRUIT, |fruit| fruit.insert("apple"))
        .unwrap();
    until(|| agree(&[a, b, c])).await;
    let mut fruit = c.store.subscribe(&FRUIT).unwrap();
    assert!(soon(fruit.next()).await.unwrap().after().contains("apple"));
    let before = c.store.replica_id();

    a.store.update(&TITLE, |title| title.set("right")).unwrap();
    until(|| title(c) == "wrong").await;
    // What came over the wire wrongly once comes wrongly again. Somebody mends it by another write.
    until(|| !c.store.status().unwrap().repairs.is_empty()).await;
    let repair = c.store.status().unwrap().repairs[0];
    assert_eq!((repair.damage, repair.unshared), (Damage::Others, 0));
    assert!(c.store.replica_id() > before);
    for other in [a, b] {
        let status = other.store.status().unwrap();
        assert!(status.repairs.is_empty(), "the others agree");
        assert!(
            status.diverged.contains_key(&id("c")),
            "and say with whom they do not"
        );
    }
    a.store.update(&TITLE, |title| title.set("other")).unwrap();
    until(|| agree(&[a, b, c]) && title(c) == "other").await;
    assert_eq!(state(&a.store), state(&c.store));
    // Its own keys are still there, and subscribers were not told that all was gone.
    assert_eq!(a.store.read(&own, |here| here.contains("cid")), Ok(true));
    a.store
        .update(&FRUIT, |fruit| fruit.insert("pear"))
        .unwrap();
    let change = soon(fruit.next()).await.unwrap();
    assert!(change.removed().next().is_none());
    assert_eq!(change.after().len(), 2);
    c.store.update(&FRUIT, |fruit| fruit.insert("fig")).unwrap();
    until(|| agree(&[a, b, c])).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_that_disagree_nobody_knows_who_is_right() {
    let network = MemoryNetwork::new();
    let nodes = scene(&network, &["a", "b"]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    a.store.update(&TITLE, |title| title.set("right")).unwrap();
    until(|| title(b) == "wrong").await;
    until(|| {
        let diverged = |node: &Node| !node.store.status().unwrap().diverged.is_empty();
        diverged(a) || diverged(b)
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    for node in [a, b] {
        assert!(node.store.status().unwrap().repairs.is_empty());
    }
    assert_eq!(
        (title(a), title(b)),
        ("right".to_owned(), "wrong".to_owned())
    );
}
