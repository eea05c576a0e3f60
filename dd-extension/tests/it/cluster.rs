//! Several stores over a network in memory: they converge, through partitions and restarts.

use std::collections::BTreeSet;

use dd_extension::types::{LwwRegister, MvRegister, OrSet, PnCounter};
use dd_extension::{Key, RemoveError};
use dd_testkit::MemoryNetwork;

use crate::node::{Node, agree, id, is_up, mesh, soon, until};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");

#[tokio::test(start_paused = true)]
async fn two_nodes_catch_up_with_each_other() {
    let network = MemoryNetwork::new();
    let a = Node::in_memory(&network, "a", &["a", "b"]).await;
    a.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    a.store.update(&HITS, |hits| hits.add(3)).unwrap();
    let b = Node::in_memory(&network, "b", &["a", "b"]).await;
    // After its first catch-up a store has what its peer had.
    soon(b.store.ready()).await.unwrap();
    assert_eq!(b.store.read(&HITS, |hits| hits.value()), Ok(3));
    assert_eq!(b.store.read(&CART, |cart| cart.contains("apple")), Ok(true));
    soon(a.store.ready()).await.unwrap();

    b.store.update(&HITS, |hits| hits.add(4)).unwrap();
    until(|| a.store.read(&HITS, |hits| hits.value()) == Ok(7)).await;
    until(|| agree(&[&a, &b])).await;
    // Members that are a list stay so, and that is said.
    assert_eq!(a.cluster.remove(&id("b")), Err(RemoveError::Listed));
    until(|| {
        let peers = a.store.status().unwrap().replica.peers;
        peers.iter().all(|peer| peer.up && peer.behind == Some(0))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_a_peer_and_is_cancel_safe() {
    let network = MemoryNetwork::new();
    let a = Node::in_memory(&network, "a", &["a", "b"]).await;
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let waited = tokio::time::timeout(day, a.store.ready()).await;
    assert!(waited.is_err(), "there was nobody to catch up with");
    // It works meanwhile.
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let _b = Node::in_memory(&network, "b", &["a", "b"]).await;
    soon(a.store.ready()).await.unwrap();
    // Without peers there is nothing to wait for.
    soon(Node::alone().await.store.ready()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_elsewhere_sees_an_update_whole() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(b.store.ready()).await.unwrap();
    let mut cart = b.store.subscribe(&CART).unwrap();
    assert!(soon(cart.next()).await.unwrap().is_gone());
    for pair in [["apple", "pear"], ["fig", "plum"]] {
        a.store
            .update(&CART, |cart| pair.map(|element| cart.insert(element)))
            .unwrap();
        let change = soon(cart.next()).await.unwrap();
        assert_eq!(change.added().collect::<Vec<_>>(), pair);
        assert_eq!(change.missed(), 0);
    }
    a.store.delete(&CART).unwrap();
    let change = soon(cart.next()).await.unwrap();
    assert!(change.is_gone());
    assert_eq!(change.removed().count(), 4);
}

#[tokio::test(start_paused = true)]
async fn three_nodes_write_at_once_and_agree() {
    let network = MemoryNetwork::new();
    let nodes = mesh(&network, ["a", "b", "c"]).await;
    for node in &nodes {
        soon(node.store.ready()).await.unwrap();
    }
    let motd = Key::<LwwRegister<String>>::new("motd");
    for round in 0..50 {
        for node in &nodes {
            let name = node.store.node().to_string();
            node.store.update(&HITS, |hits| hits.add(1)).unwrap();
            let element = format!("{name}{round}");
            node.store
                .update(&CART, |cart| cart.insert(&element))
                .unwrap();
            node.store.update(&motd, |motd| motd.set(&name)).unwrap();
        }
        tokio::task::yield_now().await;
    }
    let [a, b, c] = &nodes;
    until(|| agree(&[a, b, c])).await;
    let mut texts = BTreeSet::new();
    for node in &nodes {
        assert_eq!(node.store.read(&HITS, |hits| hits.value()), Ok(150));
        assert_eq!(node.store.read(&CART, |cart| cart.len()), Ok(150));
        let text = node.store.read(&motd, |motd| motd.get()).unwrap();
        texts.insert(text.unwrap());
    }
    assert_eq!(texts.len(), 1);
    // Every node writes under an id of its own.
    let ids: BTreeSet<_> = nodes.iter().map(|node| node.store.replica_id()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_partition_write_and_heal() {
    let network = MemoryNetwork::new();
    let [a, b, c] = mesh(&network, ["a", "b", "c"]).await;
    let title = Key::<MvRegister<String>>::new("title");
    a.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    a.store.update(&HITS, |hits| hits.add(10)).unwrap();
    until(|| agree(&[&a, &b, &c])).await;

    network.cut(&id("a"), &id("c"));
    network.cut(&id("b"), &id("c"));
    until(|| !is_up(&c.store, "a") && !is_up(&a.store, "c")).await;
    // The same element is removed here and inserted there; the same key is deleted here and
    // counted on there; the same register is written on both sides.
    a.store.update(&CART, |cart| cart.remove("apple")).unwrap();
    c.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    a.store.delete(&HITS).unwrap();
    c.store.update(&HITS, |hits| hits.add(1)).unwrap();
    for (node, text) in [(&a, "ours"), (&c, "theirs")] {
        let text = text.to_owned();
        node.store.update(&title, |title| title.set(&text)).unwrap();
    }
    // The side of two goes on together, the other alone.
    until(|| agree(&[&a, &b])).await;
    assert!(!agree(&[&a, &c]));
    assert_eq!(b.store.read(&CART, |cart| cart.len()), Ok(0));
    assert_eq!(c.store.read(&HITS, |hits| hits.value()), Ok(11));

    network.heal(&id("a"), &id("c"));
    network.heal(&id("b"), &id("c"));
    until(|| agree(&[&a, &b, &c])).await;
    for node in [&a, &b, &c] {
        assert_eq!(
            node.store.read(&CART, |cart| cart.contains("apple")),
            Ok(true)
        );
        assert_eq!(node.store.read(&HITS, |hits| hits.value()), Ok(1));
        let values = node.store.read(&title, |title| title.values()).unwrap();
        assert_eq!(values.unwrap(), ["ours", "theirs"]);
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_stay_deleted_and_leave_nothing_behind() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    a.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    until(|| agree(&[&a, &b])).await;
    b.store.delete(&CART).unwrap();
    until(|| agree(&[&a, &b])).await;
    assert!(!a.store.get(&CART).unwrap().exists());
    // The record of the removal goes once everybody has it.
    for node in [&a, &b] {
        until(|| node.store.status().unwrap().replica.records == 0).await;
        assert_eq!(node.store.status().unwrap().replica.keys, 0);
    }
    // And the key can be used again.
    a.store.update(&CART, |cart| cart.insert("pear")).unwrap();
    until(|| agree(&[&a, &b])).await;
    assert_eq!(b.store.read(&CART, |cart| cart.contains("pear")), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_everything_comes_back() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    b.store.update(&HITS, |hits| hits.add(1)).unwrap();
    until(|| agree(&[&a, &b])).await;
    let before = b.store.replica_id();
    b.dd.stop().await.unwrap();
    until(|| !is_up(&a.store, "b")).await;

    let b = Node::in_memory(&network, "b", &["a", "b"]).await;
    assert_ne!(b.store.replica_id(), before);
    soon(b.store.ready()).await.unwrap();
    assert_eq!(b.store.read(&HITS, |hits| hits.value()), Ok(2));
    // What it counts now is added to what its former self counted.
    b.store.update(&HITS, |hits| hits.add(1)).unwrap();
    until(|| a.store.read(&HITS, |hits| hits.value()) == Ok(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_hands_over_what_was_written_just_before_it() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(a.store.ready()).await.unwrap();
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    a.dd.stop().await.unwrap();
    // Nobody else has it, so this is all that can bring it here.
    until(|| b.store.read(&HITS, |hits| hits.value()) == Ok(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_value_goes_through_a_narrow_network() {
    // A queue of one frame: the sender must wait and go on, again and again.
    let network = MemoryNetwork::with_queue(1, 1);
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(b.store.ready()).await.unwrap();
    let blob = Key::<LwwRegister<Vec<u8>>>::new("blob");
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    a.store.update(&blob, |blob| blob.set(&bytes)).unwrap();
    let mut blobs = b.store.subscribe(&blob).unwrap();
    while soon(blobs.next()).await.unwrap().is_gone() {}
    let received = b.store.read(&blob, |blob| blob.get()).unwrap();
    assert_eq!(received.unwrap(), Some(bytes));
    until(|| agree(&[&a, &b])).await;
}
