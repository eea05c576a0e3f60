//! Keys that belong to a node and go with it.

use dd_extension::types::{LwwRegister, OrSet, PnCounter};
use dd_extension::{
    Key, Keys, MAX_KEY, MemberState, OwnedKeys, StoreConfig, StoreError, UpdateError,
};
use dd_testkit::MemoryNetwork;

use crate::members::{state, swim, three};
use crate::node::{Node, agree, id, soon, until};

const SESSIONS: OwnedKeys<OrSet<String>> = Keys::owned("session/");
const SERVICES: OwnedKeys<LwwRegister<String>> = Keys::owned("service/");
const LOADS: OwnedKeys<PnCounter> = Keys::owned("load/");

fn keys(node: &Node) -> Vec<String> {
    node.store.keys("", None, 100).unwrap()
}

fn enter(node: &Node, who: &str) {
    let key = node.store.own(&SESSIONS, "web").unwrap();
    node.store.update(&key, |s| s.insert(who)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_node_owned_goes_when_it_fails_and_nothing_else_does() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    for (node, who) in [(&a, "ann"), (&b, "bob"), (&c, "cid")] {
        enter(node, who);
    }
    let address = c.store.own(&SERVICES, "mail").unwrap();
    c.store
        .update(&address, |service| service.set("10.0.0.3:25"))
        .unwrap();
    let shared: Key<OrSet<String>> = Key::of("session/shared");
    c.store.update(&shared, |s| s.insert("cid")).unwrap();
    let all = [
        "service/c/mail",
        "session/a/web",
        "session/b/web",
        "session/c/web",
        "session/shared",
    ];
    until(|| keys(&a) == all && keys(&b) == all).await;
    let mut sessions = a.store.subscribe_all(SESSIONS.all()).unwrap();
    for _ in 0..4 {
        soon(sessions.next()).await.unwrap();
    }
    drop(c);
    let left = ["session/a/web", "session/b/web", "session/shared"];
    until(|| keys(&a) == left && keys(&b) == left).await;
    let (key, change) = soon(sessions.next()).await.unwrap();
    assert!(change.is_gone());
    assert_eq!(SESSIONS.owner_of(&key), Some((id("c"), "web")));
    // One deleted it, not both.
    let minted = |node: &Node| {
        let context = node.store.status().unwrap().replica.context;
        (
            context.max(a.store.replica_id()),
            context.max(b.store.replica_id()),
        )
    };
    until(|| agree(&[&a, &b])).await;
    // Each made the family known, not having heard of it, and wrote its session.
    assert_eq!(minted(&a), (2 + 2, 2));

    let first = a.store.keys_of(SESSIONS.all(), None, 1).unwrap();
    assert_eq!(first, [SESSIONS.of(&id("a"), "web")]);
    let rest = a.store.keys_of(SESSIONS.all(), first.first(), 10).unwrap();
    assert_eq!(rest.len(), 2);

    // It comes back, and writes.
    let c = Node::start(swim(&network, "c", 2, Some("b")), StoreConfig::default()).await;
    until(|| state(&a, "c") == Some(MemberState::Up)).await;
    enter(&c, "cleo");
    let key = SESSIONS.of(&id("c"), "web");
    let has = |node: &Node, who: &str| node.store.read(&key, |s| s.contains(who)) == Ok(true);
    until(|| has(&a, "cleo")).await;
    assert!(!has(&a, "cid"));
}

#[tokio::test(start_paused = true)]
async fn what_a_node_owned_goes_when_it_leaves() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    enter(&c, "cid");
    until(|| keys(&a) == ["session/c/web"]).await;
    c.cluster.leave().await;
    c.dd.stop().await.unwrap();
    until(|| keys(&a).is_empty() && keys(&b).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_only_cut_off_has_its_keys_again() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    for (node, who) in [(&a, "ann"), (&b, "bob"), (&c, "cid")] {
        enter(node, who);
    }
    let load = c.store.own(&LOADS, "cpu").unwrap();
    c.store.update(&load, |load| load.add(70)).unwrap();
    c.store.update(&load, |load| load.add(-20)).unwrap();
    until(|| keys(&a).len() == 4 && keys(&c).len() == 4).await;
    network.cut(&id("a"), &id("c"));
    network.cut(&id("b"), &id("c"));
    until(|| keys(&a).len() == 2 && keys(&c).len() == 2).await;
    assert_eq!(
        keys(&c),
        ["load/c/cpu", "session/c/web"],
        "both others are gone for it"
    );
    network.heal(&id("a"), &id("c"));
    network.heal(&id("b"), &id("c"));
    until(|| [&a, &b, &c].iter().all(|node| keys(node).len() == 4)).await;
    until(|| agree(&[&a, &b, &c])).await;
    assert_eq!(a.store.read(&load, |load| load.value()), Ok(50));
    let session = SESSIONS.of(&id("a"), "web");
    let present: Vec<String> = c.store.read(&session, |s| s.iter().collect()).unwrap();
    assert_eq!(present, ["ann"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_begins_without_what_a_former_one_of_its_node_owned() {
    let network = MemoryNetwork::new();
    let [a, b, c] = three(&network).await;
    enter(&c, "cid");
    until(|| keys(&b) == ["session/c/web"]).await;
    // Back before anybody has noticed.
    drop(c);
    let c = Node::start(swim(&network, "c", 2, Some("a")), StoreConfig::default()).await;
    until(|| keys(&a).is_empty() && keys(&b).is_empty() && keys(&c).is_empty()).await;
    enter(&c, "cleo");
    let key = SESSIONS.of(&id("c"), "web");
    until(|| a.store.read(&key, |s| s.contains("cleo")) == Ok(true)).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_writes() {
    let network = MemoryNetwork::new();
    let [a, b, _c] = three(&network).await;
    enter(&b, "bob");
    let key = SESSIONS.of(&id("b"), "web");
    until(|| a.store.read(&key, |s| s.contains("bob")) == Ok(true)).await;
    a.store.update(&key, |s| s.insert("mallory")).unwrap();
    a.store.update(&key, |s| s.remove("bob")).unwrap();
    let present = |node: &Node| node.store.read(&key, |s| s.iter().collect::<Vec<_>>());
    until(|| present(&a) == Ok(vec!["bob".to_owned()]) && agree(&[&a, &b])).await;
    assert_eq!(present(&b), Ok(vec!["bob".to_owned()]));
    // The owner may take it away.
    b.store.delete(&key).unwrap();
    until(|| keys(&a).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn families_have_limits_and_the_stores_own_keys_are_nobodys() {
    let node = Node::alone().await;
    let empty: OwnedKeys<PnCounter> = Keys::owned("");
    let refused = node.store.own(&empty, "x").unwrap_err();
    assert!(
        matches!(refused, StoreError::Update(UpdateError::Family(0))),
        "{refused}"
    );
    // Of a key that can't be used the family is not made known either.
    let refused = node.store.own(&LOADS, "x".repeat(MAX_KEY)).unwrap_err();
    let len = "load/a/".len() + MAX_KEY;
    assert_eq!(refused, StoreError::Update(UpdateError::Key(len)));
    assert_eq!(node.store.status().unwrap().replica.context.len(), 0);
    for n in 0..dd_gossip::MAX_FAMILIES {
        let prefix: &'static str = format!("family-{n}/").leak();
        let family: OwnedKeys<PnCounter> = Keys::owned(prefix);
        node.store.own(&family, "x").unwrap();
    }
    let one_more: OwnedKeys<PnCounter> = Keys::owned("one-more/");
    assert!(node.store.own(&one_more, "x").is_err());
    let known: OwnedKeys<PnCounter> = Keys::owned("family-7/");
    assert_eq!(
        node.store.own(&known, "x").unwrap().as_str(),
        "family-7/a/x"
    );
    assert_eq!(keys(&node), Vec::<String>::new());
    let own: Key<PnCounter> = Key::new("\0owned");
    let refused = node.store.update(&own, |n| n.add(1)).unwrap_err();
    assert!(
        matches!(refused, StoreError::Update(UpdateError::Reserved)),
        "{refused}"
    );
    let refused = node.store.delete(&own).unwrap_err();
    assert!(
        matches!(refused, StoreError::Update(UpdateError::Reserved)),
        "{refused}"
    );
}
