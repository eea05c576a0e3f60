//! Values that end, as users see them. When is tested where time is virtual; here a deadline has passed
//! already.

use std::time::{Duration, SystemTime};

use dd_extension::types::{LwwRegister, OrSet, PnCounter};
use dd_extension::{Key, Keys, StoreError, UpdateError};
use dd_testkit::MemoryNetwork;

use crate::node::{Node, agree, mesh, soon, until, until_real};

const HITS: Key<PnCounter> = Key::new("hits");
const TOKENS: Keys<LwwRegister<String>> = Keys::with_prefix("token/");

#[tokio::test(start_paused = true)]
async fn what_is_past_its_deadline_is_not_shown_and_then_gone() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(b.store.ready()).await.unwrap();
    let token = TOKENS.key("ann");
    let past = SystemTime::now() - Duration::from_secs(5);
    let future = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(
        a.store.expire_at(&token, Some(past)),
        Ok(false),
        "there is nothing"
    );
    let set = |node: &Node, text: &str| {
        let text = text.to_owned();
        node.store.update(&token, |token| token.set(&text)).unwrap();
    };
    let get = |node: &Node| {
        node.store
            .read(&token, |token| token.get().unwrap())
            .unwrap()
    };
    set(&a, "secret");
    assert_eq!(a.store.expire_at(&token, Some(future)), Ok(true));
    let deadline = a.store.deadline(&token).unwrap().unwrap();
    let late = deadline.duration_since(future).expect("never early");
    assert!(late < Duration::from_millis(1), "{late:?}");
    until(|| {
        get(&b).as_deref() == Some("secret") && b.store.deadline(&token) == Ok(Some(deadline))
    })
    .await;

    assert_eq!(b.store.expire_at(&token, Some(past)), Ok(true));
    assert_eq!(get(&b), None);
    assert!(b.store.get(&token).unwrap().view().is_empty());
    assert_eq!(b.store.expire_at(&token, None), Ok(false), "it is over");
    until(|| a.store.keys("", None, 9) == Ok(vec![]) && b.store.keys("", None, 9) == Ok(vec![]))
        .await;
    until(|| agree(&[&a, &b])).await;
    assert_eq!(a.store.deadline(&token), Ok(None));
    // What is written afterwards has no deadline.
    set(&a, "another");
    until(|| get(&b).as_deref() == Some("another")).await;
    assert_eq!(b.store.deadline(&token), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_family_ends_when_nobody_writes_it() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(b.store.ready()).await.unwrap();
    let carts: Keys<OrSet<String>> = Keys::with_prefix("cart/");
    let hour = Duration::from_secs(3600);
    a.store.expire_idle(&carts, Some(hour)).unwrap();
    let (ann, bob) = (carts.key("ann"), carts.key("bob"));
    for cart in [&ann, &bob] {
        a.store.update(cart, |cart| cart.insert("apple")).unwrap();
    }
    a.store.update(&HITS, |hits| hits.add(1)).unwrap();
    let mut changes = b.store.subscribe(&ann).unwrap();
    while soon(changes.next()).await.unwrap().after().is_empty() {}
    tokio::time::sleep(hour / 2).await;
    b.store.update(&bob, |cart| cart.insert("pear")).unwrap();
    tokio::time::sleep(hour / 2 + Duration::from_secs(10)).await;
    let keys = |node: &Node| node.store.keys("", None, 9).unwrap();
    until(|| keys(&a) == ["cart/bob", "hits"] && keys(&b) == ["cart/bob", "hits"]).await;
    assert!(soon(changes.next()).await.unwrap().is_gone());
    a.store.expire_idle(&carts, None).unwrap();
    tokio::time::sleep(2 * hour).await;
    assert_eq!(keys(&b), ["cart/bob", "hits"]);
    let refused = a
        .store
        .expire_idle(&carts, Some(Duration::ZERO))
        .unwrap_err();
    assert_eq!(
        refused,
        StoreError::Update(UpdateError::Idle(Duration::ZERO))
    );
    let wrong: Keys<PnCounter> = Keys::with_prefix("");
    let refused = a.store.expire_idle(&wrong, Some(hour)).unwrap_err();
    assert!(
        matches!(refused, StoreError::Update(UpdateError::Family(0))),
        "{refused}"
    );
}

/// On a clock that goes.
#[tokio::test]
async fn a_deadline_passes() {
    let node = Node::alone().await;
    node.store.update(&HITS, |hits| hits.add(3)).unwrap();
    let soon = SystemTime::now() + Duration::from_millis(200);
    node.store.expire_at(&HITS, Some(soon)).unwrap();
    assert_eq!(node.store.read(&HITS, |hits| hits.value()), Ok(3));
    until_real(|| node.store.read(&HITS, |hits| hits.value()) == Ok(0)).await;
    // A deadline has whole milliseconds.
    assert!(SystemTime::now() + Duration::from_millis(1) >= soon);
    // Also if it is not deleted yet, an update begins anew.
    node.store.update(&HITS, |hits| hits.add(4)).unwrap();
    assert_eq!(node.store.read(&HITS, |hits| hits.value()), Ok(4));
    assert_eq!(node.store.deadline(&HITS), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_writes_a_value_with_its_end_and_begins_anew_after_it() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    soon(b.store.ready()).await.unwrap();
    let token = TOKENS.key("ann");
    let get = |node: &Node| {
        node.store
            .read(&token, |token| token.get().unwrap())
            .unwrap()
    };
    let write = |node: &Node, text: &str, end: Option<SystemTime>| {
        node.store.update_together(|tx| {
            let before = tx.read(&token, |token| token.get().unwrap());
            tx.edit(&token).set(text);
            if end.is_some() {
                assert!(tx.expire_at(&token, end));
            }
            before
        })
    };
    let future = SystemTime::now() + Duration::from_secs(3600);
    let past = SystemTime::now() - Duration::from_secs(5);
    assert_eq!(write(&a, "secret", Some(future)), Ok(None));
    until(|| get(&b).as_deref() == Some("secret")).await;
    assert!(b.store.deadline(&token).unwrap().unwrap() >= future);
    assert_eq!(write(&b, "old", Some(past)), Ok(Some("secret".to_owned())));
    assert_eq!(get(&b), None);
    assert_eq!(write(&b, "new", None), Ok(None), "it was over");
    assert_eq!(b.store.deadline(&token), Ok(None));
    until(|| agree(&[&a, &b]) && get(&a).as_deref() == Some("new")).await;
}
