//! Start, get and stop: one store, the same handle for everyone, and errors that say what to do.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use std::time::Duration;

use dd_extension::types::PnCounter;
use dd_extension::{
    Cluster, ClusterConfig, Consistency, DistributedData, Identity, JoinError, Key, Keys,
    NotStarted, StartError, StopError, StoreConfig, StoreError, SwimTiming,
};
use dd_testkit::MemoryNetwork;

use crate::node::{Node, cluster_id, cluster_over, id, soon};
use crate::scripted::scripted;

const HITS: Key<PnCounter> = Key::new("hits");

fn cluster(name: &str) -> Cluster {
    let transport = MemoryNetwork::new().transport(id(name));
    cluster_over(Box::new(transport), name, &[name])
}

#[tokio::test]
async fn get_before_start_is_an_error() {
    let dd = DistributedData::new();
    assert!(!dd.is_started());
    let error = dd.get().unwrap_err();
    assert_eq!(error, NotStarted);
    assert!(error.to_string().contains("call `start` first"), "{error}");
    // There is nothing to stop, and that is fine.
    assert_eq!(dd.stop().await, Ok(()));
    assert!(!DistributedData::default().is_started());
}

#[tokio::test(start_paused = true)]
async fn start_again_and_get_give_the_same_handle() {
    let dd = DistributedData::new();
    let cluster = cluster("a");
    let store = dd.start(&cluster, StoreConfig::default()).await.unwrap();
    assert!(dd.is_started());
    store.update(&HITS, |hits| hits.add(1)).unwrap();

    // A clone of the cluster is the same one; the settings of the first start stand.
    let again = dd
        .start(&cluster.clone(), StoreConfig::wan())
        .await
        .unwrap();
    let got = dd.get().unwrap();
    for handle in [&again, &got] {
        assert_eq!(handle.replica_id(), store.replica_id());
        assert_eq!(handle.node(), &id("a"));
        handle.update(&HITS, |hits| hits.add(1)).unwrap();
    }
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(3));
    dd.stop().await.unwrap();
    assert_eq!(
        again.read(&HITS, |hits| hits.value()),
        Err(StoreError::Stopped)
    );
}

#[tokio::test(start_paused = true)]
async fn start_with_another_cluster_is_an_error() {
    let node = Node::alone().await;
    let other = cluster("z");
    let error = node.dd.start(&other, StoreConfig::default()).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, StartError::OtherCluster { node } if *node == id("a")),
        "{error}"
    );
    assert!(error.to_string().contains("stop it first"), "{error}");
    // The store that runs goes on, and the other cluster can be used afterwards.
    node.store.update(&HITS, |hits| hits.add(1)).unwrap();
    node.dd.stop().await.unwrap();
    let store = node.dd.start(&other, StoreConfig::default()).await.unwrap();
    assert_eq!(store.node(), &id("z"));
}

#[tokio::test(start_paused = true)]
async fn after_stop_every_call_says_so() {
    let node = Node::alone().await;
    let Node { dd, store, .. } = &node;
    store.update(&HITS, |hits| hits.add(1)).unwrap();
    let (id_before, snapshot) = (store.replica_id(), store.get(&HITS).unwrap());
    let mut subscription = store.subscribe(&HITS).unwrap();
    dd.stop().await.unwrap();

    assert!(!dd.is_started());
    assert_eq!(dd.get().unwrap_err(), NotStarted);
    let stopped = Err(StoreError::Stopped);
    assert_eq!(store.update(&HITS, |hits| hits.add(1)), stopped);
    assert_eq!(store.read(&HITS, |_| ()), stopped);
    assert_eq!(store.get(&HITS).map(drop), stopped);
    assert_eq!(store.delete(&HITS).map(drop), stopped);
    assert_eq!(store.subscribe(&HITS).map(drop), stopped);
    let all = Keys::<PnCounter>::with_prefix("");
    assert_eq!(store.subscribe_all(&all).map(drop), stopped);
    assert_eq!(store.keys("", None, 1).map(drop), stopped);
    assert_eq!(store.shapes("hits").map(drop), stopped);
    assert_eq!(store.status().map(drop), stopped);
    assert_eq!(store.ready().await, stopped);
    let said = StoreError::Stopped.to_string();
    assert!(said.contains("use the new handle"), "{said}");

    // What needs no replica still answers, and snapshots are the caller's.
    assert_eq!(store.replica_id(), id_before);
    assert_eq!(snapshot.view().value(), 1);
    assert!(soon(subscription.next()).await.is_none());
    // Once more: nothing to do.
    assert_eq!(dd.stop().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn start_after_stop_is_a_new_incarnation() {
    let node = Node::alone().await;
    node.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let before = node.store.replica_id();
    node.dd.stop().await.unwrap();

    // A transport of the user's own was used up, and can't be bound again for them.
    let error = node.dd.start(&node.cluster, StoreConfig::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StartError::TransportUsed), "{error}");
    assert!(error.to_string().contains("new `Cluster`"), "{error}");

    let again = cluster("a");
    let store = node.dd.start(&again, StoreConfig::default()).await.unwrap();
    assert_eq!(store.replica_id().node(), before.node());
    assert_ne!(store.replica_id(), before);
    // There was nobody who kept it.
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(0));
    // The former handle stays what it is.
    assert_eq!(node.store.read(&HITS, |_| ()), Err(StoreError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn while_it_stops_it_is_neither_started_nor_startable() {
    let node = Node::alone().await;
    let mut stop = pin!(node.dd.stop());
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(stop.as_mut().poll(cx).is_pending());

    assert!(!node.dd.is_started());
    let other = cluster("a");
    let error = node.dd.start(&other, StoreConfig::default()).await;
    assert!(matches!(error, Err(StartError::Stopping)), "{error:?}");
    stop.await.unwrap();
    node.dd.start(&other, StoreConfig::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_not_waited_for_stops_all_the_same() {
    let node = Node::alone().await;
    {
        let stop = pin!(node.dd.stop());
        assert!(
            stop.poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(node.store.ready().await, Err(StoreError::Stopped));
    let again = cluster("a");
    node.dd.start(&again, StoreConfig::default()).await.unwrap();
    assert!(node.dd.is_started());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_lifecycle_stops_the_store() {
    let Node { dd, store, .. } = Node::alone().await;
    let mut hits = store.subscribe(&HITS).unwrap();
    soon(hits.next()).await.unwrap();
    drop(dd);
    assert!(soon(hits.next()).await.is_none());
    assert_eq!(store.read(&HITS, |_| ()), Err(StoreError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_peers_hold_up_ends_at_its_limit() {
    let (script, transport) = scripted();
    script.never_close();
    let node = Node::start(
        cluster_over(transport, "a", &["a", "b"]),
        StoreConfig::default(),
    )
    .await;
    let error = soon(node.dd.stop()).await.unwrap_err();
    assert_eq!(error, StopError::TimedOut);
    assert!(!node.dd.is_started());
    assert_eq!(node.store.read(&HITS, |_| ()), Err(StoreError::Stopped));
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let (dd, cluster) = (DistributedData::new(), cluster("a"));
    let cx = &mut Context::from_waker(Waker::noop());
    let start = pin!(dd.start(&cluster, StoreConfig::default()));
    let Poll::Ready(result) = start.poll(cx) else {
        panic!("there is nothing to wait for");
    };
    assert!(matches!(result, Err(StartError::NoRuntime)), "{result:?}");

    // Nothing was used up by that.
    let runtime = runtime();
    let store = runtime.block_on(dd.start(&cluster, StoreConfig::default()));
    store.unwrap().update(&HITS, |hits| hits.add(1)).unwrap();
}

#[test]
fn when_its_runtime_ends_everybody_is_told() {
    let (dd, first) = (DistributedData::new(), runtime());
    let store = first.block_on(dd.start(&cluster("a"), StoreConfig::default()));
    let store = store.unwrap();
    let mut subscription = store.subscribe(&HITS).unwrap();
    first.block_on(subscription.next()).unwrap();
    drop(first);

    assert!(!dd.is_started());
    assert_eq!(store.read(&HITS, |_| ()), Err(StoreError::Stopped));
    let second = runtime();
    second.block_on(async {
        assert!(soon(subscription.next()).await.is_none());
        assert_eq!(soon(store.ready()).await, Err(StoreError::Stopped));
        let store = dd.start(&cluster("a"), StoreConfig::default()).await;
        store.unwrap().update(&HITS, |hits| hits.add(1)).unwrap();
        dd.stop().await.unwrap();
    });
}

#[tokio::test]
async fn joining_says_what_is_wrong() {
    let (_, transport) = scripted();
    let peers = vec![(id("b"), String::new())];
    let error = Cluster::with_transport(cluster_id(), id("a"), peers, transport).unwrap_err();
    assert!(
        matches!(&error, JoinError::Peer { node, .. } if *node == id("b")),
        "{error}"
    );
    let cluster = cluster("a");
    assert_eq!((cluster.id(), cluster.node()), (&cluster_id(), &id("a")));
    assert_eq!(cluster.local_addr(), None);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[tokio::test]
async fn settings_that_make_no_sense_are_errors_that_name_them() {
    type Change = fn(&mut StoreConfig);
    let wrong: [(Change, &str); 4] = [
        (
            |config| config.timing.exchange = Duration::MAX,
            "timing.exchange",
        ),
        (
            |config| config.timing.scrub = Duration::ZERO,
            "timing.scrub",
        ),
        (|config| config.stop_timeout = Duration::MAX, "stop_timeout"),
        (
            |config| config.deadline = Duration::from_secs(31),
            "deadline",
        ),
    ];
    let (dd, cluster) = (DistributedData::new(), cluster("a"));
    for (change, name) in wrong {
        let mut config = StoreConfig::default();
        change(&mut config);
        match dd.start(&cluster, config).await {
            Err(StartError::Config(error)) => assert_eq!(error.setting, name),
            other => panic!("{other:?}"),
        }
    }
    for config in [StoreConfig::lan(), StoreConfig::wan(), StoreConfig::local()] {
        assert_eq!(config.validate(), Ok(()));
    }
    // Nothing was used up.
    dd.start(&cluster, StoreConfig::default()).await.unwrap();
    dd.stop().await.unwrap();

    let identity = Identity::dev(&cluster_id(), &id("a"), "a secret").unwrap();
    let timing = SwimTiming {
        answer: Duration::from_secs(1),
        ..SwimTiming::default()
    };
    let config = ClusterConfig::new(([127, 0, 0, 1], 0).into()).identity(identity);
    match Cluster::bootstrap(config.membership(timing)).await {
        Err(JoinError::Config(error)) => assert_eq!(error.setting, "membership.answer"),
        other => panic!("{other:?}"),
    }
}

/// Services start their store in a task.
#[tokio::test]
async fn whatever_waits_can_be_spawned() {
    fn spawns<T>(future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
        future
    }
    let config = || ClusterConfig::new(([127, 0, 0, 1], 0).into());
    let joined = tokio::spawn(Cluster::join(config())).await.unwrap();
    assert!(joined.is_err());
    let begun = tokio::spawn(Cluster::bootstrap(config())).await.unwrap();
    assert!(begun.is_err());

    let (dd, cluster) = (DistributedData::new(), cluster("a"));
    let store = spawns(dd.start(&cluster, StoreConfig::default()))
        .await
        .unwrap();
    assert_eq!(spawns(store.ready()).await, Ok(()));
    let all = Consistency::All;
    assert_eq!(spawns(store.confirmed(all)).await, Ok(()));
    assert_eq!(spawns(store.refreshed(all)).await, Ok(()));
    let token = store.token().unwrap();
    assert_eq!(spawns(store.caught_up_to(&token)).await, Ok(()));
    let mut hits = store.subscribe(&HITS).unwrap();
    assert!(spawns(hits.next()).await.is_some());
    spawns(cluster.leave()).await;
    assert_eq!(spawns(dd.stop()).await, Ok(()));
    let mut changes = cluster.member_changes();
    drop(spawns(changes.next()));
}
