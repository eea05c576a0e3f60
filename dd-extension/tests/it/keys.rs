//! Listing keys, page by page.

use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{Key, Keys, Store};

use crate::node::Node;

const USERS: Keys<PnCounter> = Keys::with_prefix("user/");

fn write(store: &Store, name: &str) {
    let key = Key::<PnCounter>::of(name);
    store.update(&key, |n| n.add(1)).unwrap();
}

/// All keys of a prefix, by pages of this size.
fn by_pages(store: &Store, prefix: &str, size: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let after = all.last().map(String::as_str);
        let page = store.keys(prefix, after, size).unwrap();
        assert!(page.len() <= size);
        let Some(first) = page.first() else {
            return all;
        };
        assert!(all.last().is_none_or(|last| last < first), "a key again");
        all.extend(page);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_have_every_key_once_and_in_order() {
    let node = Node::alone().await;
    let store = &node.store;
    assert_eq!(store.keys("", None, 10), Ok(Vec::new()));
    let mut expected = Vec::new();
    for n in (0..100).rev() {
        write(store, USERS.key(n).as_str());
        expected.push(format!("user/{n}"));
    }
    expected.sort();
    // Neighbours of the prefix, on both sides.
    for other in ["user", "user.", "user0", "\u{10ffff}"] {
        write(store, other);
    }
    for size in [1, 7, 100, 101] {
        assert_eq!(by_pages(store, USERS.prefix(), size), expected);
    }
    assert_eq!(by_pages(store, "", 9).len(), 104);
    assert_eq!(store.keys("user/99", None, 9).unwrap(), ["user/99"]);
    assert_eq!(store.keys("user/99x", None, 9), Ok(Vec::new()));
    assert_eq!(store.keys("", None, 0), Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_page_begins_after_a_key_that_need_not_be_there() {
    let node = Node::alone().await;
    let store = &node.store;
    for name in ["a/1", "b/1", "b/2", "c/1"] {
        write(store, name);
    }
    let after = |key| store.keys("b/", Some(key), 9).unwrap();
    assert_eq!(after("b/1"), ["b/2"]);
    assert_eq!(after("b/11"), ["b/2"]);
    assert_eq!(after("b/2"), [""; 0]);
    // Before the family it begins at the first, beyond it there is nothing.
    assert_eq!(after("a/9"), ["b/1", "b/2"]);
    assert_eq!(after("b"), ["b/1", "b/2"]);
    assert_eq!(after("c/1"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn keys_come_and_go() {
    let node = Node::alone().await;
    let store = &node.store;
    for name in ["b", "d", "f"] {
        write(store, name);
    }
    assert_eq!(store.keys("", None, 2).unwrap(), ["b", "d"]);
    // Between two pages: one goes behind and one ahead of the place, one comes on each side.
    for name in ["d", "f"] {
        store.delete(&Key::<PnCounter>::of(name)).unwrap();
    }
    for name in ["c", "e"] {
        write(store, name);
    }
    assert_eq!(store.keys("", Some("d"), 2).unwrap(), ["e"]);
    assert_eq!(by_pages(store, "", 1), ["b", "c", "e"]);
    // A deleted key that is used again is there again.
    write(store, "d");
    assert_eq!(by_pages(store, "", 1), ["b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_there_while_anything_is_under_it() {
    let node = Node::alone().await;
    let store = &node.store;
    let cart = Key::<OrSet<String>>::new("cart");
    store.update(&cart, |cart| cart.insert("apple")).unwrap();
    store.update(&cart, |cart| cart.remove("apple")).unwrap();
    assert_eq!(store.keys("", None, 9), Ok(Vec::new()));
    assert_eq!(store.status().unwrap().replica.keys, 0);
    // Reading makes no key.
    store.read(&cart, |cart| cart.len()).unwrap();
    assert_eq!(store.keys("", None, 9), Ok(Vec::new()));
}

#[test]
fn families_make_keys_and_take_them_apart() {
    let key = USERS.key("ann");
    assert_eq!(key, Key::<PnCounter>::new("user/ann"));
    assert_eq!(USERS.rest_of(&key), Some("ann"));
    assert_eq!(USERS.rest_of(&Key::new("shop/ann")), None);
    let tenant = Keys::<PnCounter>::of(format!("tenant/{}/", 7));
    assert_eq!(tenant.key("hits").to_string(), "tenant/7/hits");
    assert_eq!(format!("{key:?} {USERS:?}"), "Key(user/ann) Keys(user/*)");
}
