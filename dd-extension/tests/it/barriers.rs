//! Barriers over several stores: after writes, before reads, and from one node to another.

use std::num::NonZeroUsize;
use std::time::Duration;

use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{BarrierError, Consistency, Key, StoreConfig, StoreError, Token};
use dd_testkit::MemoryNetwork;
use tokio::time::Instant;

use crate::node::{Node, cluster_over, id, mesh, soon, until};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");
const MAJORITY: Consistency = Consistency::majority();

fn votes(node: &Node) -> bool {
    node.store.status().unwrap().replica.votes
}

/// Three nodes, all of which count in reads.
async fn three(network: &MemoryNetwork) -> [Node; 3] {
    let nodes = mesh(network, ["a", "b", "c"]).await;
    until(|| nodes.iter().all(votes)).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn s26_a_majority_read_sees_a_majority_write_on_any_node() {
    let network = MemoryNetwork::new();
    let nodes = three(&network).await;
    for n in 0..30 {
        let (writer, reader) = (&nodes[n % 3].store, &nodes[(n / 3 + n) % 3].store);
        let total = (n + 1) as i128;
        writer.update(&HITS, |hits| hits.add(1)).unwrap();
        soon(writer.confirmed(MAJORITY)).await.unwrap();
        soon(reader.refreshed(MAJORITY)).await.unwrap();
        assert_eq!(reader.read(&HITS, |hits| hits.value()), Ok(total));
    }
}

#[tokio::test(start_paused = true)]
async fn one_barrier_confirms_all_writes_before_it() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    for n in 0..100 {
        a.store
            .update(&CART, |cart| cart.insert(&format!("{n}")))
            .unwrap();
    }
    soon(a.store.confirmed(Consistency::All)).await.unwrap();
    for node in [&b, &c] {
        assert_eq!(node.store.read(&CART, |cart| cart.len()), Ok(100));
    }
    // With nothing written there is nothing to wait for.
    soon(b.store.confirmed(Consistency::All)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn s28_a_barrier_that_is_not_reached_says_who_answered() {
    let network = MemoryNetwork::new();
    let [a, _b, _c] = three(&network).await;
    network.cut(&id("a"), &id("c"));
    a.store.update(&HITS, |hits| hits.add(3)).unwrap();
    soon(a.store.confirmed(MAJORITY)).await.unwrap();
    let begun = Instant::now();
    let error = soon(a.store.confirmed(Consistency::All)).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 3, "the deadline");
    let expected = BarrierError::TimedOut {
        needed: 3,
        nodes: 3,
        answered: vec![id("a"), id("b")],
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(
        text.contains("3 of 3") && text.contains("(a, b)") && text.contains("stands"),
        "{text}"
    );
    assert_eq!(a.store.read(&HITS, |hits| hits.value()), Ok(3));

    network.cut(&id("a"), &id("b"));
    let error = soon(a.store.refreshed(MAJORITY)).await.unwrap_err();
    let BarrierError::TimedOut { answered, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(answered, [id("a")]);
    soon(a.store.refreshed(Consistency::Local)).await.unwrap();
    network.heal(&id("a"), &id("c"));
    soon(a.store.refreshed(MAJORITY)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_nodes_than_there_are_is_an_error_at_once() {
    let node = Node::alone().await;
    let two = Consistency::Nodes(NonZeroUsize::new(2).unwrap());
    let expected = Err(BarrierError::TooFewNodes {
        needed: 2,
        nodes: 1,
    });
    assert_eq!(node.store.confirmed(two).await, expected);
    assert_eq!(node.store.refreshed(two).await, expected);
    for level in [Consistency::Local, MAJORITY, Consistency::All] {
        assert_eq!(soon(node.store.confirmed(level)).await, Ok(()));
        assert_eq!(soon(node.store.refreshed(level)).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_carries_what_was_written_to_another_node() {
    let network = MemoryNetwork::new();
    let [a, b, _c] = three(&network).await;
    network.cut(&id("a"), &id("b"));
    network.cut(&id("a"), &id("c"));
    a.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    let bytes = a.store.token().unwrap().to_bytes();
    let token = Token::from_bytes(&bytes).unwrap();
    soon(a.store.caught_up_to(&token)).await.unwrap();
    let error = soon(b.store.caught_up_to(&token)).await.unwrap_err();
    assert!(matches!(error, BarrierError::TimedOut { .. }), "{error}");

    network.heal(&id("a"), &id("c"));
    network.heal(&id("a"), &id("b"));
    soon(b.store.caught_up_to(&token)).await.unwrap();
    assert_eq!(b.store.read(&CART, |cart| cart.contains("apple")), Ok(true));
    assert!(Token::from_bytes(&bytes[1..]).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stops_ends_the_wait() {
    let network = MemoryNetwork::new();
    let [a, _b, _c] = three(&network).await;
    for other in ["b", "c"] {
        network.cut(&id("a"), &id(other));
    }
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let store = a.store.clone();
    let waiting = tokio::spawn(async move { store.confirmed(MAJORITY).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    a.dd.stop().await.unwrap();
    let ended = soon(waiting).await.unwrap();
    assert_eq!(ended, Err(BarrierError::Store(StoreError::Stopped)));
    let after = a.store.refreshed(MAJORITY).await;
    assert_eq!(after, Err(BarrierError::Store(StoreError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn the_first_start_of_a_cluster_may_count_at_once() {
    let network = MemoryNetwork::new();
    let all = ["a", "b", "c"];
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let transport = Box::new(network.transport(id(name)));
        let cluster = cluster_over(transport, name, &all).begun_here();
        nodes.push(Node::start(cluster, StoreConfig::default()).await);
    }
    soon(nodes[0].store.refreshed(MAJORITY)).await.unwrap();
    soon(nodes[1].store.refreshed(MAJORITY)).await.unwrap();
}
