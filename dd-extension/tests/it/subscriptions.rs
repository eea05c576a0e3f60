//! Subscriptions: the value first, then what was added and removed; slow subscribers; the end.

use std::time::Duration;

use dd_extension::types::{GSet, LwwMap, OrMap, OrSet, OrSetEdit, PnCounter};
use dd_extension::{Change, Key, Keys, MAX_DUE, Store};

use crate::node::{Node, soon};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart/ann");
const CARTS: Keys<OrSet<String>> = Keys::with_prefix("cart/");

fn insert(store: &Store, key: &Key<OrSet<String>>, elements: &[&str]) {
    let insert = |set: &mut OrSetEdit<'_, String>| {
        for element in elements {
            set.insert(*element);
        }
    };
    store.update(key, insert).unwrap();
}

fn texts(elements: impl Iterator<Item = String>) -> String {
    elements.collect::<Vec<_>>().join(" ")
}

/// Added, removed, as one text each.
fn difference(change: &Change<OrSet<String>>) -> (String, String) {
    (texts(change.added()), texts(change.removed()))
}

#[tokio::test(start_paused = true)]
async fn a_key_tells_its_value_then_each_change() {
    let node = Node::alone().await;
    let store = &node.store;
    insert(store, &CART, &["apple", "pear"]);
    let mut cart = store.subscribe(&CART).unwrap();
    assert_eq!(cart.key(), &CART);
    let first = soon(cart.next()).await.unwrap();
    assert!(first.is_initial() && !first.is_gone());
    assert!(first.before().is_empty());
    assert_eq!(difference(&first), ("apple pear".into(), String::new()));
    assert_eq!(first.missed(), 0);

    store
        .update(&CART, |cart| {
            cart.remove("pear");
            cart.insert("fig");
        })
        .unwrap();
    let change = soon(cart.next()).await.unwrap();
    assert!(!change.is_initial() && !change.is_gone());
    assert_eq!(difference(&change), ("fig".into(), "pear".into()));
    assert_eq!(texts(change.before().iter()), "apple pear");
    assert_eq!(texts(change.after().iter()), "apple fig");

    store.delete(&CART).unwrap();
    let change = soon(cart.next()).await.unwrap();
    assert!(change.is_gone() && !change.snapshot().exists());
    assert_eq!(difference(&change), (String::new(), "apple fig".into()));
}

#[tokio::test(start_paused = true)]
async fn the_first_thing_told_may_be_that_nothing_is_there() {
    let node = Node::alone().await;
    let store = &node.store;
    let mut hits = store.subscribe(&HITS).unwrap();
    let first = soon(hits.next()).await.unwrap();
    assert!(first.is_initial() && first.is_gone());
    store.update(&HITS, |hits| hits.add(2)).unwrap();
    let change = soon(hits.next()).await.unwrap();
    assert_eq!((change.before().value(), change.after().value()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_family_tells_its_values_in_order_then_changes() {
    let node = Node::alone().await;
    let store = &node.store;
    for name in ["zoe", "ann", "bob"] {
        insert(store, &CARTS.key(name), &[name]);
    }
    // Beside the family, and in it with another type.
    insert(store, &Key::new("cart"), &["no"]);
    let other = Key::<PnCounter>::new("cart/count");
    store.update(&other, |n| n.add(1)).unwrap();

    let mut carts = store.subscribe_all(&CARTS).unwrap();
    for name in ["ann", "bob", "zoe"] {
        let (key, change) = soon(carts.next()).await.unwrap();
        assert_eq!(CARTS.rest_of(&key), Some(name));
        assert!(change.is_initial());
        assert_eq!(difference(&change), (name.to_owned(), String::new()));
    }
    store.update(&other, |n| n.add(1)).unwrap();
    insert(store, &CARTS.key("cid"), &["new"]);
    let (key, change) = soon(carts.next()).await.unwrap();
    assert_eq!(key, CARTS.key("cid"));
    assert!(!change.is_initial());
    store.delete(&CARTS.key("bob")).unwrap();
    let (key, change) = soon(carts.next()).await.unwrap();
    assert_eq!((key, change.is_gone()), (CARTS.key("bob"), true));
    assert_eq!(difference(&change), (String::new(), "bob".into()));
    // Used again, it begins from nothing.
    insert(store, &CARTS.key("bob"), &["again"]);
    let (_, change) = soon(carts.next()).await.unwrap();
    assert_eq!(difference(&change), ("again".into(), String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_large_family_is_told_whole() {
    // More than a page, and written to while it is told.
    let node = Node::alone().await;
    let store = &node.store;
    let numbers = Keys::<PnCounter>::with_prefix("n/");
    for n in 0..1000 {
        let key = numbers.key(format_args!("{n:03}"));
        store.update(&key, |count| count.add(1)).unwrap();
    }
    let mut all = store.subscribe_all(&numbers).unwrap();
    for n in 0..1000 {
        let (key, change) = soon(all.next()).await.unwrap();
        assert_eq!(key.as_str(), format!("n/{n:03}"));
        assert!(change.is_initial());
        if n == 0 {
            for later in ["n/000", "n/999"] {
                store
                    .update(&Key::<PnCounter>::of(later), |c| c.add(1))
                    .unwrap();
            }
        }
        // The key that was still to come is told with its newest value, once.
        let expected = if n == 999 { 2 } else { 1 };
        assert_eq!(change.after().value(), expected);
    }
    let (key, change) = soon(all.next()).await.unwrap();
    assert_eq!((key.as_str(), change.after().value()), ("n/000", 2));
    assert!(!change.is_initial());
}

#[tokio::test(start_paused = true)]
async fn other_collections_tell_what_was_added_and_removed() {
    let node = Node::alone().await;
    let store = &node.store;
    let (seen, map) = (
        Key::<GSet<u8>>::new("seen"),
        Key::<OrMap<u8, PnCounter>>::new("map"),
    );
    let flags = Key::<LwwMap<u8, bool>>::new("flags");
    let mut seen_changes = store.subscribe(&seen).unwrap();
    let mut map_changes = store.subscribe(&map).unwrap();
    let mut flag_changes = store.subscribe(&flags).unwrap();
    for n in [1, 2] {
        store.update(&seen, |seen| seen.insert(&n)).unwrap();
        store.update(&map, |map| map.entry(&n).add(1)).unwrap();
        store
            .update(&flags, |flags| flags.insert(&n, &true))
            .unwrap();
    }
    let added = soon(seen_changes.next()).await.unwrap();
    assert_eq!(added.added().collect::<Vec<_>>(), [1, 2]);
    let added = soon(map_changes.next()).await.unwrap();
    assert_eq!(added.added().collect::<Vec<_>>(), [1, 2]);
    let added = soon(flag_changes.next()).await.unwrap();
    assert_eq!(added.added().collect::<Vec<_>>(), [1, 2]);

    store.delete(&seen).unwrap();
    store
        .update(&map, |map| (map.remove(&1), map.entry(&2).add(1)))
        .unwrap();
    store.update(&flags, |flags| flags.remove(&2)).unwrap();
    let change = soon(seen_changes.next()).await.unwrap();
    assert_eq!(change.removed().collect::<Vec<_>>(), [1, 2]);
    let change = soon(map_changes.next()).await.unwrap();
    assert_eq!(change.removed().collect::<Vec<_>>(), [1]);
    // A key whose value changed was neither added nor removed.
    assert_eq!(change.added().count(), 0);
    let change = soon(flag_changes.next()).await.unwrap();
    assert_eq!(change.removed().collect::<Vec<_>>(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_is_told_how_many_it_missed_and_gets_the_newest() {
    let node = Node::alone().await;
    let store = &node.store;
    let mut hits = store.subscribe(&HITS).unwrap();
    let mut all = store
        .subscribe_all(&Keys::<PnCounter>::with_prefix("h"))
        .unwrap();
    soon(hits.next()).await.unwrap();
    store.update(&HITS, |hits| hits.add(1)).unwrap();
    assert_eq!(soon(hits.next()).await.unwrap().missed(), 0);
    assert_eq!(soon(all.next()).await.unwrap().1.missed(), 0);

    for _ in 0..5 {
        store.update(&HITS, |hits| hits.add(1)).unwrap();
    }
    let change = soon(hits.next()).await.unwrap();
    assert_eq!((change.before().value(), change.after().value()), (1, 6));
    assert_eq!(change.missed(), 4);
    let (_, change) = soon(all.next()).await.unwrap();
    assert_eq!((change.after().value(), change.missed()), (6, 4));
    // Who has caught up misses nothing.
    store.update(&HITS, |hits| hits.add(1)).unwrap();
    assert_eq!(soon(hits.next()).await.unwrap().missed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_waits_for_more_keys_than_are_kept_is_told_all() {
    let node = Node::alone().await;
    let store = &node.store;
    let numbers = Keys::<PnCounter>::with_prefix("n/");
    let gone = numbers.key("gone");
    store.update(&gone, |n| n.add(1)).unwrap();
    store.update(&numbers.key("stays"), |n| n.add(1)).unwrap();
    let mut all = store.subscribe_all(&numbers).unwrap();
    for _ in 0..2 {
        soon(all.next()).await.unwrap();
    }

    store.delete(&gone).unwrap();
    let many = MAX_DUE + 1;
    for half in [0..many / 2, many / 2..many] {
        for n in half {
            let key = numbers.key(format_args!("{n:05}"));
            store.update(&key, |count| count.add(1)).unwrap();
        }
        // Lets the store mark what is due: the subscriber has too much, not the replica.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for n in 0..many {
        let (key, change) = soon(all.next()).await.unwrap();
        assert_eq!(key.as_str(), format!("n/{n:05}"));
        assert!(!change.is_initial());
    }
    let (key, change) = soon(all.next()).await.unwrap();
    assert_eq!((key, change.is_gone()), (gone, true));
    // And nothing twice: the next thing told is the next change.
    store.update(&numbers.key("stays"), |n| n.add(1)).unwrap();
    let (key, change) = soon(all.next()).await.unwrap();
    assert_eq!((key.as_str(), change.after().value()), ("n/stays", 2));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_subscriptions() {
    let node = Node::alone().await;
    let mut idle = node.store.subscribe(&HITS).unwrap();
    let mut untold = node.store.subscribe(&CART).unwrap();
    let mut all = node.store.subscribe_all(&CARTS).unwrap();
    soon(idle.next()).await.unwrap();
    // One waits while the store is stopped.
    let waiting = tokio::spawn(async move {
        assert!(idle.next().await.is_none());
        idle
    });
    tokio::task::yield_now().await;
    node.dd.stop().await.unwrap();
    let mut idle = soon(waiting).await.unwrap();
    // However often one asks.
    for _ in 0..2 {
        assert!(soon(idle.next()).await.is_none());
        assert!(soon(untold.next()).await.is_none());
        assert!(soon(all.next()).await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_is_forgotten() {
    let node = Node::alone().await;
    let store = &node.store;
    let count = || store.status().unwrap().subscriptions;
    let (hits, all) = (
        store.subscribe(&HITS).unwrap(),
        store.subscribe_all(&CARTS).unwrap(),
    );
    let second = store.subscribe(&HITS).unwrap();
    assert_eq!(count(), 3);
    drop((hits, all));
    assert_eq!(count(), 1);
    store.update(&HITS, |hits| hits.add(1)).unwrap();
    drop(second);
    assert_eq!(count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_nothing() {
    let node = Node::alone().await;
    let store = &node.store;
    let mut hits = store.subscribe(&HITS).unwrap();
    soon(hits.next()).await.unwrap();
    for n in 1..=3 {
        let given_up = tokio::select! {
            biased;
            _ = hits.next() => false,
            () = std::future::ready(()) => true,
        };
        assert!(given_up);
        store.update(&HITS, |hits| hits.add(1)).unwrap();
        assert_eq!(soon(hits.next()).await.unwrap().after().value(), n);
    }
}

#[tokio::test(start_paused = true)]
async fn two_types_under_one_key_are_kept_apart_and_reported() {
    let node = Node::alone().await;
    let store = &node.store;
    let (number, set) = (Key::<PnCounter>::new("k"), Key::<OrSet<String>>::new("k"));
    let mut numbers = store.subscribe(&number).unwrap();
    let mut sets = store.subscribe(&set).unwrap();
    store.update(&number, |n| n.add(7)).unwrap();
    assert_eq!(soon(numbers.next()).await.unwrap().after().value(), 7);
    assert!(soon(sets.next()).await.unwrap().is_gone());

    insert(store, &set, &["apple"]);
    // Nobody else had a turn since.
    assert_eq!(store.status().unwrap().conflicts, ["k"]);
    let change = soon(sets.next()).await.unwrap();
    assert_eq!(difference(&change), ("apple".into(), String::new()));
    assert_eq!(store.status().unwrap().conflicts, ["k"]);
    // The other type's subscriber has nothing to be told.
    store.update(&number, |n| n.add(1)).unwrap();
    let change = soon(numbers.next()).await.unwrap();
    assert_eq!((change.before().value(), change.after().value()), (7, 8));

    let shapes = store.shapes("k").unwrap();
    let names: Vec<_> = shapes.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["or_set<str>", "pn_counter"]);
    assert_eq!(store.status().unwrap().conflicts, ["k"]);
    assert_eq!(store.keys("", None, 9).unwrap(), ["k"]);

    // A delete through either takes both, and then there is nothing to report.
    assert_eq!(store.delete(&number), Ok(true));
    assert!(soon(sets.next()).await.unwrap().is_gone());
    assert!(soon(numbers.next()).await.unwrap().is_gone());
    assert_eq!(store.status().unwrap().conflicts, [""; 0]);
    assert!(store.shapes("k").unwrap().is_empty());
}

/// Those of keys that have one type again leave room for others.
#[tokio::test(start_paused = true)]
async fn of_many_keys_that_had_two_types_the_last_is_reported_still() {
    let node = Node::alone().await;
    let store = &node.store;
    let end = Key::<PnCounter>::new("end");
    let mut told = store.subscribe(&end).unwrap();
    assert!(soon(told.next()).await.unwrap().is_initial());
    for n in 0..=1024 {
        let key = format!("k-{n}");
        let (number, set) = (Key::<PnCounter>::of(&key), Key::of(&key));
        store.update(&number, |n| n.add(1)).unwrap();
        insert(store, &set, &["apple"]);
        if n % 64 == 0 {
            store.update(&end, |n| n.add(1)).unwrap();
            soon(told.next()).await.unwrap();
            assert_eq!(store.status().unwrap().conflicts, [key]);
        } else {
            // The store's task has seen it, and then it is gone.
            tokio::task::yield_now().await;
        }
        store.delete(&number).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_dropped_is_counted_no_more() {
    let node = Node::alone().await;
    let subscriptions = || node.store.status().unwrap().subscriptions;
    // Of keys that never change.
    let one = node.store.subscribe(&CART).unwrap();
    let all = node.store.subscribe_all(&CARTS).unwrap();
    assert_eq!(subscriptions(), 2);
    drop((one, all));
    assert_eq!(subscriptions(), 0);
}
