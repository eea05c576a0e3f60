//! Nodes that join, leave, fail and return, as users see them.

use std::net::SocketAddr;
use std::time::Duration;

use dd_extension::types::PnCounter;
use dd_extension::{
    Agreement, Authority, BarrierError, Cluster, ClusterConfig, Consistency, DistributedData,
    Identity, JoinError, Key, MemberState, RemoveError, StoreConfig, Swim, SwimTiming,
};
use dd_testkit::MemoryNetwork;

use crate::node::{Node, agree, cluster_id, id, soon, until, until_real};

const HITS: Key<PnCounter> = Key::new("hits");
const MAJORITY: Consistency = Consistency::majority();

/// A cluster over an in-memory network, where addresses are names, by SWIM.
pub(crate) fn swim(
    network: &MemoryNetwork,
    name: &str,
    generation: u64,
    seed: Option<&str>,
) -> Cluster {
    let mut transport = Box::new(network.transport(id(name)));
    if let Some(seed) = seed {
        dd_extension::Transport::seed(transport.as_mut(), seed).unwrap();
    }
    let timing = SwimTiming::default();
    let random = name.bytes().map(u64::from).sum();
    let founds = seed.is_none();
    let swim = Swim::new(
        id(name),
        name.to_owned(),
        generation,
        founds,
        timing,
        random,
    );
    let cluster = Cluster::with_membership(cluster_id(), id(name), transport, Box::new(swim));
    if founds {
        cluster.begun_here()
    } else {
        cluster
    }
}

pub(crate) async fn three(network: &MemoryNetwork) -> [Node; 3] {
    let config = StoreConfig::default();
    let a = Node::start(swim(network, "a", 1, None), config).await;
    let b = Node::start(swim(network, "b", 1, Some("a")), config).await;
    let c = Node::start(swim(network, "c", 1, Some("b")), config).await;
    let all = [a, b, c];
    until(|| all.iter().all(|node| up(node) == 3)).await;
    all
}

fn up(node: &Node) -> usize {
    let members = node.cluster.members();
    members
        .iter()
        .filter(|m| m.state == MemberState::Up)
        .count()
}

pub(crate) fn state(node: &Node, of: &str) -> Option<MemberState> {
    let members = node.cluster.members();
    members.iter().find(|m| m.node == id(of)).map(|m| m.state)
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_through_one_is_a_member_everywhere_and_has_everything() {
    let network = MemoryNetwork::new();
    let all = three(&network).await;
    all[2].store.update(&HITS, |hits| hits.add(5)).unwrap();
    soon(all[2].store.confirmed(Consistency::All))
        .await
        .unwrap();
    assert!(agree(&[&all[0], &all[1], &all[2]]));
    let d = Node::start(swim(&network, "d", 1, Some("c")), StoreConfig::default()).await;
    soon(d.store.ready()).await.unwrap();
    until(|| d.store.read(&HITS, |hits| hits.value()) == Ok(5)).await;
    until(|| all.iter().all(|node| up(node) == 4)).await;
    soon(d.store.confirmed(Consistency::All)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_counts_in_majorities_until_it_is_removed() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    drop((b, c));
    until(|| {
        state(&a, "b") == Some(MemberState::Down) && state(&a, "c") == Some(MemberState::Down)
    })
    .await;
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let error = a.store.confirmed(MAJORITY).await.unwrap_err();
    assert!(error.to_string().contains("2 of 3"), "{error}");
    a.cluster.remove(&id("b")).unwrap();
    until(|| state(&a, "b") == Some(MemberState::Removed)).await;
    let error = a.store.confirmed(MAJORITY).await.unwrap_err();
    assert!(error.to_string().contains("2 of 2"), "{error}");
    let unknown = RemoveError::Unknown { node: id("d") };
    assert_eq!(a.cluster.remove(&id("d")), Err(unknown));
    assert_eq!(a.cluster.remove(&id("a")), Err(RemoveError::Own));
    let (node, gone) = (id("b"), MemberState::Removed);
    let gone = RemoveError::Gone { node, state: gone };
    assert_eq!(a.cluster.remove(&id("b")), Err(gone));
    a.cluster.remove(&id("c")).unwrap();
    until(|| state(&a, "c") == Some(MemberState::Removed)).await;
    soon(a.store.confirmed(MAJORITY)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_counts_no_more_and_nothing_is_kept_for_it() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    c.store.update(&HITS, |hits| hits.add(7)).unwrap();
    c.cluster.leave().await;
    c.dd.stop().await.unwrap();
    for node in [&a, &b] {
        until(|| state(node, "c") == Some(MemberState::Left)).await;
        until(|| node.store.read(&HITS, |hits| hits.value()) == Ok(7)).await;
    }
    b.store.update(&HITS, |hits| hits.reset()).unwrap();
    soon(a.store.refreshed(Consistency::All)).await.unwrap();
    assert_eq!(a.store.read(&HITS, |hits| hits.value()), Ok(0));
    // It may come back.
    let c = Node::start(swim(&network, "c", 2, Some("a")), StoreConfig::default()).await;
    until(|| up(&a) == 3 && up(&b) == 3 && up(&c) == 3).await;
}

#[tokio::test(start_paused = true)]
async fn changes_of_members_are_told_however_late() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    let mut changes = a.cluster.member_changes();
    let mut told = Vec::new();
    for _ in 0..3 {
        let change = soon(changes.next()).await.unwrap();
        assert_eq!(change.before, None);
        told.push(change.after.unwrap().node);
    }
    assert_eq!(told, [id("a"), id("b"), id("c")]);
    drop(c);
    until(|| state(&a, "c") == Some(MemberState::Down)).await;
    let c = Node::start(swim(&network, "c", 2, Some("a")), StoreConfig::default()).await;
    until(|| up(&a) == 3 && up(&c) == 3).await;
    // Up before and after, but another life.
    let change = soon(changes.next()).await.unwrap();
    let (before, after) = (change.before.unwrap(), change.after.unwrap());
    assert_eq!(
        (before.state, after.state),
        (MemberState::Up, MemberState::Up)
    );
    assert!(after.generation > before.generation);
    drop((a, b));
    assert!(soon(changes.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_there_without_a_store() {
    let network = MemoryNetwork::new();
    let a = swim(&network, "a", 1, None);
    let b = swim(&network, "b", 1, Some("a"));
    let both = |cluster: &Cluster| {
        let members = cluster.members();
        members.len() == 2 && members.iter().all(|m| m.state == MemberState::Up)
    };
    until(|| both(&a) && both(&b)).await;
    // A store that is started later meets whoever is there.
    let (first, second) = (DistributedData::new(), DistributedData::new());
    let one = first.start(&a, StoreConfig::default()).await.unwrap();
    one.update(&HITS, |hits| hits.add(1)).unwrap();
    let two = second.start(&b, StoreConfig::default()).await.unwrap();
    soon(two.ready()).await.unwrap();
    assert_eq!(two.read(&HITS, |hits| hits.value()), Ok(1));
    // And a cluster that nobody uses any more is gone.
    let c = swim(&network, "c", 1, Some("a"));
    until(|| a.members().len() == 3).await;
    drop(c);
    let down = || a.members().iter().any(|m| m.state == MemberState::Down);
    until(down).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_down_and_lacks_something_is_waited_for_and_who_is_gone_is_not() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    let agreement = || a.store.status().unwrap().agreement();
    until(|| agreement() == Agreement::Equal).await;
    drop(b);
    until(|| state(&a, "b") == Some(MemberState::Down)).await;
    assert_eq!(agreement(), Agreement::Equal, "it had everything");
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    until(|| agree(&[&a, &c])).await;
    assert_eq!(agreement(), Agreement::Behind);
    a.cluster.remove(&id("b")).unwrap();
    until(|| agreement() == Agreement::Equal).await;
    let status = a.store.status().unwrap();
    let told = status.members.iter().map(|m| (m.node.as_str(), m.state));
    let [up, removed] = [MemberState::Up, MemberState::Removed];
    assert_eq!(
        told.collect::<Vec<_>>(),
        [("a", up), ("b", removed), ("c", up)]
    );
    // Whoever leaves is waited for no more, also before its connection ends.
    c.cluster.leave().await;
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    until(|| state(&a, "c") == Some(MemberState::Left)).await;
    until(|| agreement() == Agreement::Equal).await;
}

fn quic(name: &str) -> ClusterConfig {
    at_address(name, ([127, 0, 0, 1], 0).into())
}

fn at_address(name: &str, listen: SocketAddr) -> ClusterConfig {
    let identity = Identity::dev(&cluster_id(), &id(name), "a secret").unwrap();
    let timing = SwimTiming {
        probe: Duration::from_millis(200),
        answer: Duration::from_millis(60),
        suspect: Duration::from_millis(600),
        ..SwimTiming::default()
    };
    ClusterConfig::new(listen)
        .identity(identity)
        .membership(timing)
        .join_timeout(Duration::from_secs(30))
        .transport(|quic| {
            quic.backoff_min = Duration::from_millis(5);
            quic.backoff_max = Duration::from_millis(50);
            quic.handshake_timeout = Duration::from_secs(1);
        })
}

#[tokio::test]
async fn nodes_over_quic_are_told_one_address_and_meet_all() {
    let a = Cluster::bootstrap(quic("a")).await.unwrap();
    let address = a.local_addr().unwrap().to_string();
    // All may be given the same seeds, dead ones among them.
    let join = |name: &str| {
        let config = quic(name).seed("127.0.0.1:9").seed(&address);
        Cluster::join(config)
    };
    let b = join("b").await.unwrap();
    let c = join("c").await.unwrap();
    let config = StoreConfig::local();
    let a = Node::start(a, config).await;
    let b = Node::start(b, config).await;
    let c = Node::start(c, config).await;
    until_real(|| [&a, &b, &c].iter().all(|node| up(node) == 3)).await;
    b.store.update(&HITS, |hits| hits.add(3)).unwrap();
    b.store.confirmed(MAJORITY).await.unwrap();
    c.store.refreshed(MAJORITY).await.unwrap();
    assert_eq!(c.store.read(&HITS, |hits| hits.value()), Ok(3));

    // The one that began it goes, and comes back through another.
    let before = a.cluster.local_addr().unwrap();
    drop(a);
    until_real(|| state(&b, "a") == Some(MemberState::Down)).await;
    let seed = c.cluster.local_addr().unwrap().to_string();
    let again = Cluster::join(quic("a").seed(seed)).await.unwrap();
    assert_ne!(
        again.local_addr(),
        Some(before),
        "the others learn of its new address"
    );
    let a = Node::start(again, config).await;
    soon(a.store.ready()).await.unwrap();
    until_real(|| [&a, &b, &c].iter().all(|node| up(node) == 3)).await;
    until_real(|| a.store.read(&HITS, |hits| hits.value()) == Ok(3)).await;
    a.store.refreshed(Consistency::All).await.unwrap();
}

#[tokio::test]
async fn who_joins_never_begins_a_cluster_of_its_own() {
    let error = Cluster::join(quic("a")).await.unwrap_err();
    assert!(matches!(error, JoinError::NoSeeds), "{error}");
    let config = quic("a").seed("127.0.0.1:9");
    let config = config.join_timeout(Duration::from_millis(300));
    let error = Cluster::join(config).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, JoinError::NoAnswer { .. }), "{said}");
    assert!(
        said.contains("127.0.0.1:9") && said.contains("bootstrap"),
        "{said}"
    );
    // Of each seed is said what became of it, also where there was no time to find out more.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let own = dd_testkit::free_address().unwrap();
    let config = at_address("a", own)
        .seed(own.to_string())
        .seed(silent.clone())
        .join_timeout(Duration::from_millis(1));
    let error = Cluster::join(config).await.unwrap_err();
    let said = error.to_string();
    let JoinError::NoAnswer { reasons, .. } = error else {
        panic!("{said}");
    };
    let reason = |seed: &str, why: &str| (format!("seed {seed}"), why.to_owned());
    let own = own.to_string();
    assert_eq!(
        reasons,
        [
            reason(&own, "it is this node's own address"),
            reason(&silent, "no answer")
        ]
    );
    let both = quic("a").seed("127.0.0.1:9").peer("b", "127.0.0.1:8");
    let error = Cluster::join(both).await.unwrap_err();
    assert!(matches!(error, JoinError::SeedsAndPeers), "{error}");
    let wrong = Cluster::join(quic("a").seed("nowhere")).await.unwrap_err();
    assert!(wrong.to_string().starts_with("seed: "), "{wrong}");
}

#[tokio::test]
async fn nodes_that_look_for_a_cluster_are_none_when_they_meet() {
    // Addresses that are known beforehand, as those of machines are.
    let [at_a, at_b] = [(); 2].map(|()| dd_testkit::free_address().unwrap());
    let limit = Duration::from_secs(2);
    let config = |name: &str, at: SocketAddr, other: SocketAddr| {
        let config = at_address(name, at).seed(other.to_string());
        config.join_timeout(limit)
    };
    let (a, b) = tokio::join!(
        Cluster::join(config("a", at_a, at_b)),
        Cluster::join(config("b", at_b, at_a))
    );
    for (result, other) in [(a, "b"), (b, "a")] {
        let error = result.unwrap_err();
        let said = error.to_string();
        let JoinError::NoAnswer { newcomers, .. } = error else {
            panic!("{said}");
        };
        assert_eq!(newcomers, [id(other)]);
        assert!(said.contains("only looked for a cluster too"), "{said}");
    }
    // One that begins a cluster does so though another waits at its seed, which joins it.
    let patient = config("b", at_b, at_a).join_timeout(Duration::from_secs(20));
    let (a, b) = tokio::join!(
        Cluster::bootstrap(config("a", at_a, at_b)),
        Cluster::join(patient)
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.members().len(), b.members().len()), (2, 2));
}

#[tokio::test]
async fn a_store_that_is_started_again_counts_those_who_were_members() {
    let a = Cluster::bootstrap(quic("a")).await.unwrap();
    let seed = a.local_addr().unwrap().to_string();
    let b = Cluster::join(quic("b").seed(seed)).await.unwrap();
    let mut config = StoreConfig::local();
    config.deadline = Duration::from_millis(300);
    let first = Node::start(a.clone(), config).await;
    let b = Node::start(b, config).await;
    until_real(|| up(&first) == 2 && up(&b) == 2).await;
    first.dd.stop().await.unwrap();
    b.dd.stop().await.unwrap();
    // The other does not run any more, and counts.
    let again = Node::start(a, config).await;
    again.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let error = again.store.confirmed(MAJORITY).await.unwrap_err();
    assert!(
        matches!(
            &error,
            BarrierError::TimedOut {
                needed: 2,
                nodes: 2,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(state(&again, "b"), Some(MemberState::Down));
}

#[tokio::test]
async fn a_second_cluster_is_not_begun_where_one_answers() {
    let a = Cluster::bootstrap(quic("a")).await.unwrap();
    let seed = a.local_addr().unwrap().to_string();
    let error = Cluster::bootstrap(quic("b").seed(&seed)).await.unwrap_err();
    assert!(
        matches!(&error, JoinError::Exists { nodes } if *nodes == [id("a")]),
        "{error}"
    );
    let after = a.members();
    let known = after.iter().find(|member| member.node == id("b"));
    assert!(
        known.is_none_or(|b| !b.state.is_member()),
        "it counts nowhere: {known:?}"
    );
}

#[tokio::test]
async fn an_address_that_nobody_can_dial_is_not_told_to_others() {
    let identity = Identity::dev(&cluster_id(), &id("a"), "a secret").unwrap();
    let everywhere =
        ClusterConfig::new(([0, 0, 0, 0], 0).into()).identity(identity.allow_dev_beyond_loopback());
    let error = Cluster::bootstrap(everywhere.clone()).await.unwrap_err();
    assert!(error.to_string().contains("advertise"), "{error}");
    // With a seed it is known from where it is reached.
    let b = Cluster::bootstrap(quic("b")).await.unwrap();
    let seed = b.local_addr().unwrap().to_string();
    let a = Cluster::join(everywhere.seed(seed)).await.unwrap();
    let port = a.local_addr().unwrap().port();
    let own = a.members().into_iter().find(|m| m.node == id("a")).unwrap();
    assert_eq!(own.address, format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_stop() {
    let [old, new] = [0, 1].map(|_| Authority::new(&cluster_id()).unwrap());
    let issued = |authority: &Authority, name: &str| {
        let issued = authority.issue(&id(name)).unwrap();
        let (certificate, key) = (issued.certificate_pem(), issued.key_pem());
        Identity::from_pem(authority.certificate_pem(), certificate, key).unwrap()
    };
    let of = |authority: &Authority, name: &str| quic(name).identity(issued(authority, name));
    let a = Cluster::bootstrap(of(&old, "a")).await.unwrap();
    let seed = a.local_addr().unwrap().to_string();
    let error = a.renew(issued(&new, "b")).unwrap_err();
    assert!(error.to_string().contains("keeps its name"), "{error}");
    let first = Node::start(a.clone(), StoreConfig::local()).await;
    a.renew(issued(&new, "a")).unwrap();
    let b = Cluster::join(of(&new, "b").seed(&seed)).await.unwrap();
    until_real(|| up(&first) == 2).await;
    // And so it is when the store is started again.
    first.dd.stop().await.unwrap();
    let _again = Node::start(a, StoreConfig::local()).await;
    Cluster::join(of(&new, "c").seed(&seed)).await.unwrap();
    drop(b);
    let network = MemoryNetwork::new();
    let own = swim(&network, "a", 1, None).renew(issued(&new, "a"));
    assert!(own.unwrap_err().to_string().contains("of your own"));
}
