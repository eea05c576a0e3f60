//! Transactions of a store: what their closures see, and that no subscriber anywhere sees a part.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use dd_extension::types::{LwwRegister, OrSet, PnCounter};
use dd_extension::{Key, Store, StoreError, Transaction, TryUpdateError, UpdateError};
use dd_testkit::MemoryNetwork;

use crate::node::{Node, agree, id, is_up, mesh, soon, state, until};

const FROM: Key<OrSet<String>> = Key::new("from");
const TO: Key<OrSet<String>> = Key::new("to");
const COUNT: Key<PnCounter> = Key::new("count");
const TEXT: Key<LwwRegister<String>> = Key::new("text");

fn shift(store: &Store, element: &str) -> Result<bool, TryUpdateError<Infallible>> {
    store.transaction(|tx| {
        let there = tx.edit(&FROM).remove(element);
        if there {
            tx.edit(&TO).insert(element);
        }
        Ok(there)
    })
}

/// In which of the two sets an element is.
fn places(store: &Store, element: &str) -> (bool, bool) {
    let both = |tx: &mut Transaction<'_>| {
        let from = tx.read(&FROM, |set| set.contains(element));
        (from, tx.view(&TO).contains(element))
    };
    store.update_together(both).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_transaction_moves_an_element() {
    let node = Node::alone().await;
    let store = &node.store;
    store.update(&FROM, |set| set.insert("x")).unwrap();
    assert_eq!(shift(store, "x"), Ok(true));
    assert_eq!(shift(store, "x"), Ok(false));
    assert_eq!(places(store, "x"), (false, true));
    let seen = store.update_together(|tx| {
        tx.edit(&COUNT).add(2);
        assert!(tx.delete(&TO) && !tx.delete(&TO));
        (tx.view(&COUNT).value(), tx.view(&TO).len())
    });
    assert_eq!(seen, Ok((2, 0)));
    assert_eq!(store.read(&TO, |set| set.len()), Ok(0));
}

#[tokio::test(start_paused = true)]
async fn what_gives_up_fails_or_panics_writes_nothing() {
    let node = Node::alone().await;
    let store = &node.store;
    store.update(&FROM, |set| set.insert("x")).unwrap();
    let before = state(store);
    let gave_up = store.transaction(|tx| {
        tx.edit(&FROM).remove("x");
        tx.edit(&TO).insert("x");
        Err::<(), _>("no")
    });
    assert_eq!(gave_up, Err(TryUpdateError::Closure("no")));
    let nameless = Key::<PnCounter>::new("");
    let refused = store.transaction(|tx| {
        tx.edit(&FROM).remove("x");
        tx.edit(&nameless).add(1);
        Ok::<_, Infallible>(())
    });
    let key = TryUpdateError::Store(StoreError::Update(UpdateError::Key(0)));
    assert_eq!(refused, Err(key.clone()));
    // A read alone is no better than a write.
    let refused = store.transaction(|tx| {
        tx.edit(&FROM).remove("x");
        Ok::<_, Infallible>(tx.read(&nameless, |n| n.value()))
    });
    assert_eq!(refused, Err(key));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transaction(|tx| -> Result<(), Infallible> {
            tx.delete(&FROM);
            panic!("as this test wants it")
        })
    }));
    assert!(panicked.is_err());
    // One that never gives up is refused alike.
    let refused = store.update_together(|tx| {
        tx.edit(&FROM).remove("x");
        tx.edit(&nameless).add(1);
    });
    let key = StoreError::Update(UpdateError::Key(0));
    assert_eq!(refused, Err(key));
    let inside = store.update_together(|_| store.update_together(|_| ()));
    assert_eq!(inside, Ok(Err(StoreError::InsideClosure)));
    let inside = store
        .transaction(|_| Ok::<_, Infallible>(shift(store, "x")))
        .unwrap();
    assert_eq!(
        inside,
        Err(TryUpdateError::Store(StoreError::InsideClosure))
    );
    let inside = store.update(&COUNT, |_| shift(store, "x")).unwrap();
    assert_eq!(
        inside,
        Err(TryUpdateError::Store(StoreError::InsideClosure))
    );
    assert_eq!(state(store), before);
    assert_eq!(shift(store, "x"), Ok(true));
    node.dd.stop().await.unwrap();
    assert_eq!(
        shift(store, "x"),
        Err(TryUpdateError::Store(StoreError::Stopped))
    );
    assert_eq!(store.update_together(|_| ()), Err(StoreError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn subscribers_on_another_node_see_all_of_it() {
    let network = MemoryNetwork::new();
    let [a, b] = mesh(&network, ["a", "b"]).await;
    let mut to = b.store.subscribe(&TO).unwrap();
    soon(to.next()).await.unwrap();
    for n in 0..50 {
        let element = n.to_string();
        a.store.update(&FROM, |set| set.insert(&element)).unwrap();
        assert_eq!(shift(&a.store, &element), Ok(true));
        let change = soon(to.next()).await.unwrap();
        assert_eq!(
            change.added().collect::<Vec<_>>(),
            std::slice::from_ref(&element)
        );
        assert_eq!(places(&b.store, &element), (false, true));
    }
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_through_a_third_node_sees_no_part() {
    let network = MemoryNetwork::new();
    let [a, b, c] = mesh(&network, ["a", "b", "c"]).await;
    until(|| is_up(&c.store, "a") && is_up(&c.store, "b")).await;
    for n in 0..40 {
        a.store
            .update(&FROM, |set| set.insert(&n.to_string()))
            .unwrap();
    }
    until(|| agree(&[&a, &b, &c])).await;
    network.cut(&id("a"), &id("c"));
    network.cut(&id("b"), &id("c"));
    until(|| !is_up(&c.store, "a") && !is_up(&c.store, "b")).await;
    let text = "x".repeat(100_000);
    for n in 0..40 {
        assert_eq!(shift(&a.store, &n.to_string()), Ok(true));
        // Over several frames, and replaced before c has any of it.
        a.store
            .update_together(|tx| {
                tx.edit(&COUNT).add(1);
                tx.edit(&TEXT).set(&text);
            })
            .unwrap();
        a.store.update(&COUNT, |count| count.add(1)).unwrap();
    }
    until(|| agree(&[&a, &b])).await;
    a.dd.stop().await.unwrap();

    let mut to = c.store.subscribe(&TO).unwrap();
    soon(to.next()).await.unwrap();
    network.heal(&id("b"), &id("c"));
    until(|| {
        for n in 0..40 {
            let (from, to) = places(&c.store, &n.to_string());
            assert!(from != to, "{n} is in both sets or in none");
        }
        let (count, text) = c
            .store
            .update_together(|tx| (tx.view(&COUNT).value(), tx.view(&TEXT).get().unwrap()))
            .unwrap();
        assert_eq!(count == 0, text.is_none());
        agree(&[&b, &c])
    })
    .await;
    let told = soon(to.next()).await.unwrap();
    assert!(told.added().count() > 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(c.store.read(&COUNT, |count| count.value()), Ok(80));
}
