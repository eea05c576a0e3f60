//! Stores over real QUIC on this machine: who gets in, who does not, and what stop and start do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{
    Authority, Cluster, ClusterConfig, Identity, JoinError, Key, StartError, Store, StoreConfig,
};
use dd_transport_quic::BindError;

use crate::node::{Node, agree, cluster_id, id, is_up, soon, until_real};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");

fn dev(name: &str) -> Identity {
    Identity::dev(&cluster_id(), &id(name), "a secret").unwrap()
}

fn issued(authority: &Authority, name: &str) -> Identity {
    let issued = authority.issue(&id(name)).unwrap();
    let ca = authority.certificate_pem();
    Identity::from_pem(ca, issued.certificate_pem(), issued.key_pem()).unwrap()
}

/// Listens at a free port, and dials again soon.
fn config(identity: Identity) -> ClusterConfig {
    ClusterConfig::new(([127, 0, 0, 1], 0).into())
        .identity(identity)
        .transport(|quic| {
            quic.backoff_min = Duration::from_millis(5);
            quic.backoff_max = Duration::from_millis(50);
        })
}

fn address(node: &Node) -> String {
    node.cluster.local_addr().unwrap().to_string()
}

/// A node that dials the ones before it: their ports are known, and one side is enough.
async fn join(identity: Identity, peers: &[(&str, &Node)]) -> Node {
    let mut config = config(identity);
    for (name, node) in peers {
        config = config.peer(*name, address(node));
    }
    let cluster = if peers.is_empty() {
        Cluster::bootstrap(config).await.unwrap()
    } else {
        Cluster::join(config).await.unwrap()
    };
    Node::start(cluster, StoreConfig::local()).await
}

fn refusals(store: &Store) -> Vec<(String, String)> {
    store.status().unwrap().refusals
}

/// Waits for a refusal, and checks whom it names and why.
async fn refused(store: &Store, whom: &str, why: &str) {
    until_real(|| !refusals(store).is_empty()).await;
    for (who, reason) in refusals(store) {
        assert!(who.contains(whom), "{who} instead of {whom}");
        assert!(reason.contains(why), "{reason:?} says nothing of {why:?}");
    }
}

#[tokio::test]
async fn three_development_nodes_agree() {
    let a = join(dev("a"), &[]).await;
    let b = join(dev("b"), &[("a", &a)]).await;
    let c = join(dev("c"), &[("a", &a), ("b", &b)]).await;
    for node in [&b, &c] {
        soon(node.store.ready()).await.unwrap();
    }
    let mut changes = b.store.subscribe(&CART).unwrap();
    assert!(soon(changes.next()).await.unwrap().is_gone());
    a.store.update(&CART, |cart| cart.insert("apple")).unwrap();
    let change = soon(changes.next()).await.unwrap();
    assert_eq!(change.added().collect::<Vec<_>>(), ["apple"]);

    c.store.update(&CART, |cart| cart.remove("apple")).unwrap();
    for node in [&a, &b, &c] {
        node.store.update(&HITS, |hits| hits.add(1)).unwrap();
    }
    until_real(|| agree(&[&a, &b, &c])).await;
    for node in [&a, &b, &c] {
        assert_eq!(node.store.read(&HITS, |hits| hits.value()), Ok(3));
        assert_eq!(refusals(&node.store), []);
    }
    let transport = a.store.status().unwrap().transport;
    assert!(transport.frames_sent > 0 && transport.bytes_received > 0);
    for node in [&a, &b, &c] {
        node.dd.stop().await.unwrap();
    }
}

#[tokio::test]
async fn nodes_with_certificates_agree() {
    let authority = Authority::new(&cluster_id()).unwrap();
    let a = join(issued(&authority, "a"), &[]).await;
    let b = join(issued(&authority, "b"), &[("a", &a)]).await;
    assert_eq!((b.cluster.id(), b.store.node()), (&cluster_id(), &id("b")));
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let mut hits = b.store.subscribe(&HITS).unwrap();
    while soon(hits.next()).await.unwrap().after().value() != 1 {}
    until_real(|| agree(&[&a, &b])).await;
}

#[tokio::test]
async fn s30_a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new(&cluster_id()), Authority::new(&cluster_id()));
    let a = join(issued(&ours.unwrap(), "a"), &[]).await;
    let b = join(issued(&theirs.unwrap(), "b"), &[("a", &a)]).await;
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    // Both can say whom and why: who was dialled by name, who came by address.
    refused(&b.store, &format!("a at {}", address(&a)), "authority").await;
    refused(&a.store, "127.0.0.1", "authority").await;
    assert!(!is_up(&a.store, "b") && !is_up(&b.store, "a"));
    assert_eq!(b.store.read(&HITS, |hits| hits.value()), Ok(0));
    // Each goes on with its own replica.
    assert_eq!(b.store.update(&HITS, |hits| hits.add(1)), Ok(()));
}

#[tokio::test]
async fn what_was_refused_before_the_store_started_is_told_all_the_same() {
    let (ours, theirs) = (Authority::new(&cluster_id()), Authority::new(&cluster_id()));
    let a = join(issued(&ours.unwrap(), "a"), &[]).await;
    // It listens to its seed before it begins a cluster of its own, and is refused.
    let config = config(issued(&theirs.unwrap(), "b")).seed(address(&a));
    let cluster = Cluster::bootstrap(config).await.unwrap();
    let b = Node::start(cluster, StoreConfig::local()).await;
    let told = refusals(&b.store);
    let of_seed = |(whom, why): &(String, String)| {
        *whom == format!("seed {}", address(&a)) && why.contains("authority")
    };
    assert!(told.iter().any(of_seed), "{told:?}");
}

#[tokio::test]
async fn another_secret_is_refused() {
    let a = join(dev("a"), &[]).await;
    let other = Identity::dev(&cluster_id(), &id("b"), "another secret").unwrap();
    let b = join(other, &[("a", &a)]).await;
    refused(&b.store, "a at ", "secret").await;
    refused(&a.store, "127.0.0.1", "secret").await;
}

#[tokio::test]
async fn a_node_of_another_name_than_the_one_dialled_is_refused() {
    let authority = Authority::new(&cluster_id()).unwrap();
    let a = join(issued(&authority, "a"), &[]).await;
    // A wrong address in a list: at it there is a, and not c.
    let b = join(issued(&authority, "b"), &[("c", &a)]).await;
    let whom = format!("c at {}", address(&a));
    refused(&b.store, &whom, "not that of the expected node").await;
    refused(
        &a.store,
        "127.0.0.1",
        "not that of the node that the peer wanted",
    )
    .await;
    assert!(!is_up(&a.store, "b"));
}

#[tokio::test]
async fn a_refused_stranger_keeps_nobody_else_out() {
    let authority = Authority::new(&cluster_id()).unwrap();
    let a = join(issued(&authority, "a"), &[]).await;
    let stranger = issued(&Authority::new(&cluster_id()).unwrap(), "x");
    let x = join(stranger, &[("a", &a)]).await;
    refused(&a.store, "127.0.0.1", "authority").await;
    let b = join(issued(&authority, "b"), &[("a", &a)]).await;
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    until_real(|| agree(&[&a, &b])).await;
    assert!(!is_up(&a.store, "x") && is_up(&a.store, "b"));
    assert_eq!(x.store.read(&HITS, |hits| hits.value()), Ok(0));
}

#[tokio::test]
async fn a_stop_delivers_what_was_written_just_before_it() {
    let a = join(dev("a"), &[]).await;
    let b = join(dev("b"), &[("a", &a)]).await;
    soon(b.store.ready()).await.unwrap();
    let mut hits = b.store.subscribe(&HITS).unwrap();
    soon(hits.next()).await.unwrap();
    for _ in 0..100 {
        a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    }
    a.dd.stop().await.unwrap();
    while soon(hits.next()).await.unwrap().after().value() != 100 {}
    until_real(|| !is_up(&b.store, "a")).await;
}

#[tokio::test]
async fn start_after_stop_is_a_new_incarnation_that_catches_up() {
    let a = join(dev("a"), &[]).await;
    let b = join(dev("b"), &[("a", &a)]).await;
    soon(b.store.ready()).await.unwrap();
    b.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let before = b.store.replica_id();
    b.dd.stop().await.unwrap();
    a.store.update(&HITS, |hits| hits.add(2)).unwrap();

    // The same cluster, at the same address.
    let store = b.dd.start(&b.cluster, StoreConfig::local()).await.unwrap();
    assert!(store.replica_id() > before);
    assert_eq!(store.replica_id().node(), before.node());
    soon(store.ready()).await.unwrap();
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(3));
    store.update(&HITS, |hits| hits.add(4)).unwrap();
    until_real(|| a.store.read(&HITS, |hits| hits.value()) == Ok(7)).await;
}

/// Warnings about certificates, of this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = String::new();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                text += &format!("{field}={value:?} ");
            },
        );
        if text.contains("the certificate") {
            self.0.lock().unwrap().push(text);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn the_end_of_a_certificate_is_seen_and_said() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(warnings.clone());
    let said = || warnings.0.lock().unwrap().clone();
    let authority = Authority::new(&cluster_id()).unwrap();
    let of = |seconds| {
        let valid = Duration::from_secs(seconds);
        let issued = authority.issue_for(&id("a"), valid).unwrap();
        let ca = authority.certificate_pem();
        Identity::from_pem(ca, issued.certificate_pem(), issued.key_pem()).unwrap()
    };
    let (short, long) = (of(3), of(3600));
    let until = short.valid_until();
    let a = join(short, &[]).await;
    assert_eq!(a.cluster.valid_until(), Some(until));
    assert_eq!(a.store.status().unwrap().valid_until, Some(until));
    until_real(|| said().len() == 2).await;
    assert!(SystemTime::now() >= until);
    assert!(said()[0].contains("runs out soon"), "{:?}", said());
    assert!(said()[1].contains("has run out"), "{:?}", said());
    assert!(said()[1].contains("node=a"), "{:?}", said());

    let until = long.valid_until();
    a.cluster.renew(long).unwrap();
    assert_eq!(a.cluster.valid_until(), Some(until));
    assert_eq!(a.store.status().unwrap().valid_until, Some(until));
    a.dd.stop().await.unwrap();
    assert_eq!(a.cluster.valid_until(), Some(until));
}

#[tokio::test]
async fn an_address_that_is_taken_is_said() {
    let a = join(dev("a"), &[]).await;
    let taken = a.cluster.local_addr().unwrap();
    let config = ClusterConfig::new(taken).identity(dev("b"));
    let error = Cluster::bootstrap(config).await.unwrap_err();
    assert!(
        matches!(&error, JoinError::Bind(BindError::Socket { address, .. }) if *address == taken),
        "{error}"
    );
    // A second store on the same cluster has to wait for the first.
    let second = dd_extension::DistributedData::new();
    let error = second.start(&a.cluster, StoreConfig::default()).await;
    assert!(matches!(error, Err(StartError::InUse)), "{error:?}");
    a.dd.stop().await.unwrap();
    let store = second.start(&a.cluster, StoreConfig::default()).await;
    assert_eq!(store.unwrap().node(), &id("a"));
}

#[tokio::test]
async fn a_development_identity_stays_on_this_machine_unless_allowed() {
    let everywhere = ClusterConfig::new(([0, 0, 0, 0], 0).into());
    let error = Cluster::bootstrap(everywhere.clone().identity(dev("a"))).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, JoinError::Bind(BindError::DevBeyondLoopback { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("127.0.0.1"), "{error}");

    let far = config(dev("a")).peer("b", "192.0.2.1:7400");
    let error = Cluster::join(far).await.unwrap_err();
    assert!(matches!(error, JoinError::Peer { .. }), "{error}");

    let allowed = dev("a").allow_dev_beyond_loopback();
    let everywhere = everywhere.identity(allowed).advertise("127.0.0.1:7400");
    Cluster::bootstrap(everywhere).await.unwrap();
}

#[tokio::test]
async fn a_wrong_configuration_is_said() {
    let listen = ([127, 0, 0, 1], 0).into();
    let error = Cluster::bootstrap(ClusterConfig::new(listen))
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::NoIdentity), "{error}");
    // Who it is comes before whom it is to meet.
    let error = Cluster::join(ClusterConfig::new(listen)).await.unwrap_err();
    assert!(matches!(error, JoinError::NoIdentity), "{error}");
    let error = Cluster::join(config(dev("a")).peer("No Name", "127.0.0.1:1"));
    let error = error.await.unwrap_err();
    assert!(matches!(error, JoinError::Name(_)), "{error}");
    let error = Cluster::join(config(dev("a")).peer("b", "127.0.0.1"));
    let error = error.await.unwrap_err();
    assert!(error.to_string().starts_with("peer b: "), "{error}");
    // A list of all nodes may be the same on each: a node leaves itself out.
    let cluster = Cluster::join(config(dev("a")).peer("a", "127.0.0.1:1")).await;
    let node = Node::start(cluster.unwrap(), StoreConfig::local()).await;
    soon(node.store.ready()).await.unwrap();
}
