//! Updates and reads: every type through the store, and its limits.

use dd_extension::types::{
    EditError, GCounter, GCounterMap, GSet, LwwMap, LwwRegister, MvRegister, OrMap, OrSet,
    PnCounter, Shape,
};
use dd_extension::{Key, StoreConfig, StoreError, UpdateError};

use crate::node::{Node, state};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");
type Shelves = OrMap<String, OrMap<u32, OrSet<String>>>;
const SHELVES: Key<Shelves> = Key::new("shelves");

#[tokio::test(start_paused = true)]
async fn counters() {
    let node = Node::alone().await;
    let store = &node.store;
    let now = store.update(&HITS, |hits| {
        hits.add(5);
        hits.add(-7);
        hits.value()
    });
    assert_eq!(now, Ok(-2));
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(-2));
    assert_eq!(store.update(&HITS, |hits| hits.reset()), Ok(true));
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(0));

    let visits = Key::<GCounter>::new("visits");
    store
        .update(&visits, |visits| visits.add(u64::MAX))
        .unwrap();
    store.update(&visits, |visits| visits.add(1)).unwrap();
    let value = store.read(&visits, |visits| visits.value());
    assert_eq!(value, Ok(u128::from(u64::MAX) + 1));
}

#[tokio::test(start_paused = true)]
async fn sets() {
    let node = Node::alone().await;
    let store = &node.store;
    let seen = Key::<GSet<u64>>::new("seen");
    assert_eq!(store.update(&seen, |seen| seen.insert(&9)), Ok(true));
    assert_eq!(store.update(&seen, |seen| seen.insert(&9)), Ok(false));
    assert_eq!(store.update(&seen, |seen| seen.ensure(&3)), Ok(true));
    let all = store.read(&seen, |seen| seen.iter().collect::<Vec<_>>());
    assert_eq!(all.unwrap(), [3, 9]);

    store
        .update(&CART, |cart| {
            cart.insert("pear");
            cart.insert("apple");
            // An update sees what it did so far.
            assert!(cart.contains("pear") && cart.remove("pear"));
        })
        .unwrap();
    assert_eq!(store.read(&CART, |cart| cart.contains("apple")), Ok(true));
    assert_eq!(store.read(&CART, |cart| cart.len()), Ok(1));
    assert_eq!(store.update(&CART, |cart| cart.clear()), Ok(true));
    assert_eq!(store.read(&CART, |cart| cart.is_empty()), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn registers() {
    let node = Node::alone().await;
    let store = &node.store;
    let motd = Key::<LwwRegister<(String, u8)>>::new("motd");
    let unset = store.read(&motd, |motd| motd.get()).unwrap();
    assert_eq!(unset.unwrap(), None);
    for n in [1, 2] {
        let value = ("hello".to_owned(), n);
        store.update(&motd, |motd| motd.set(&value)).unwrap();
    }
    let set = store.read(&motd, |motd| motd.get()).unwrap();
    assert_eq!(set.unwrap(), Some(("hello".to_owned(), 2)));

    let title = Key::<MvRegister<String>>::new("title");
    for text in ["draft", "final"] {
        let text = text.to_owned();
        store.update(&title, |title| title.set(&text)).unwrap();
    }
    let values = store.read(&title, |title| title.values()).unwrap();
    assert_eq!(values.unwrap(), ["final"]);
}

#[tokio::test(start_paused = true)]
async fn maps() {
    let node = Node::alone().await;
    let store = &node.store;
    let flags = Key::<LwwMap<String, bool>>::new("flags");
    store
        .update(&flags, |flags| {
            flags.insert("dark-mode", &true);
            flags.insert("beta", &false);
            assert!(flags.remove("beta"));
        })
        .unwrap();
    let dark = store.read(&flags, |flags| flags.get("dark-mode")).unwrap();
    assert_eq!(dark.unwrap(), Some(true));
    assert_eq!(store.read(&flags, |flags| flags.len()), Ok(1));

    let views = Key::<GCounterMap<String>>::new("views");
    for page in ["home", "about", "home"] {
        store
            .update(&views, |views| views.entry(page).add(2))
            .unwrap();
    }
    let views = store.get(&views).unwrap();
    let counts = views.view().iter().map(|(page, n)| (page, n.value()));
    let expected = [("about".to_owned(), 2), ("home".to_owned(), 4)];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn maps_in_maps() {
    let node = Node::alone().await;
    let store = &node.store;
    let fresh = store.update(&SHELVES, |shelves| {
        shelves.entry("fruit").entry(&1).insert("apple");
        shelves.entry("fruit").entry(&2).insert("pear")
    });
    assert_eq!(fresh, Ok(true));
    let has = store.read(&SHELVES, |shelves| {
        let fruit = shelves.get("fruit")?;
        Some(fruit.get(&1)?.contains("apple"))
    });
    assert_eq!(has, Ok(Some(true)));
    let removed = store.update(&SHELVES, |shelves| shelves.entry("fruit").remove(&1));
    assert_eq!(removed, Ok(true));
    let rest = store.read(&SHELVES, |shelves| {
        let fruit = shelves.get("fruit");
        fruit.map_or(Vec::new(), |fruit| fruit.keys().collect())
    });
    assert_eq!(rest.unwrap(), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_empty_and_a_snapshot_stays() {
    let node = Node::alone().await;
    let store = &node.store;
    assert!(!store.get(&CART).unwrap().exists());
    assert_eq!(store.read(&CART, |cart| cart.len()), Ok(0));
    assert_eq!(store.delete(&CART), Ok(false));

    store.update(&CART, |cart| cart.insert("apple")).unwrap();
    let snapshot = store.get(&CART).unwrap();
    assert_eq!(store.delete(&CART), Ok(true));
    assert!(snapshot.exists() && snapshot.view().contains("apple"));
    assert!(!store.get(&CART).unwrap().exists());
    // A deleted key can be used again, with nothing of before.
    store.update(&CART, |cart| cart.insert("pear")).unwrap();
    let now = store.get(&CART).unwrap();
    assert_eq!(now.view().iter().collect::<Vec<_>>(), ["pear"]);
    // It outlives the store, and may go to another thread.
    let sent = std::thread::spawn(move || snapshot.view().len());
    assert_eq!(sent.join().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_can_not_be_used_is_refused_by_every_call() {
    let node = Node::alone().await;
    let store = &node.store;
    let before = state(store);
    for (name, error) in [
        (String::new(), UpdateError::Key(0)),
        ("k".repeat(1025), UpdateError::Key(1025)),
        ("\0idle".to_owned(), UpdateError::Reserved),
    ] {
        let key = Key::<PnCounter>::of(name);
        let results = [
            store.update(&key, |n| n.add(1)),
            store.delete(&key).map(drop),
            store.expire_at(&key, None).map(drop),
            store.read(&key, |n| assert_eq!(n.value(), 0)),
            store.get(&key).map(drop),
            store.subscribe(&key).map(drop),
            store.deadline(&key).map(drop),
            store.shapes(key.as_str()).map(drop),
            store
                .tree(key.as_str(), &Shape::of::<PnCounter>())
                .map(drop),
        ];
        for (n, result) in results.into_iter().enumerate() {
            assert_eq!(result, Err(StoreError::Update(error.clone())), "call {n}");
        }
    }
    let error = UpdateError::Key(1025).to_string();
    assert!(error.contains("1 to 1024"), "{error}");
    assert_eq!(state(store), before);
}

#[tokio::test(start_paused = true)]
async fn keys_have_1_to_1024_bytes() {
    let node = Node::alone().await;
    let store = &node.store;
    for right in [1, 1024] {
        let key = Key::<PnCounter>::of("k".repeat(right));
        store.update(&key, |n| n.add(1)).unwrap();
        assert_eq!(store.read(&key, |n| n.value()), Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn values_beyond_a_limit_are_refused_whole() {
    let mut config = StoreConfig::default();
    config.limits.payload = 100;
    // The key, its shape, and two levels of a value.
    config.limits.depth = 4;
    let node = Node::alone_with(config).await;
    let store = &node.store;
    let before = state(store);
    let refused = |result: Result<(), StoreError>| match result {
        Err(StoreError::Update(UpdateError::Edit(error))) => error,
        other => panic!("{other:?} instead of a refusal"),
    };

    let max = config.limits.element;
    let error = refused(store.update(&CART, |cart| {
        cart.insert("apple");
        cart.insert("x".repeat(max + 1).as_str());
    }));
    let len = max + 1;
    assert_eq!(error, EditError::ElementTooLong { len, max });

    let motd = Key::<LwwRegister<String>>::new("motd");
    let error = refused(store.update(&motd, |motd| motd.set(&"x".repeat(101))));
    assert!(
        matches!(error, EditError::PayloadTooLong { max: 100, .. }),
        "{error}"
    );

    let error = refused(store.update(&SHELVES, |shelves| {
        shelves.entry("fruit").entry(&1).insert("apple");
    }));
    assert_eq!(error, EditError::TooDeep { depth: 5, max: 4 });

    // Nothing was written, not even the apple before the element that was too long.
    assert_eq!(state(store), before);
    assert_eq!(store.keys("", None, 10), Ok(Vec::new()));
    // At the limits all is well.
    store
        .update(&CART, |cart| cart.insert("x".repeat(max).as_str()))
        .unwrap();
    let counts = Key::<OrMap<String, OrSet<String>>>::new("two levels");
    store
        .update(&counts, |counts| counts.entry("a").insert("b"))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn counters_with_long_names_are_removed_in_parts() {
    let node = Node::alone().await;
    let store = &node.store;
    let views = Key::<GCounterMap<String>>::new("views");
    let len = StoreConfig::default().limits.element;
    let longest = |n: usize| format!("{n:0>3}{}", "x".repeat(len - 3));
    let count = 32 * 1024 * 1024 / len + 1;
    for n in 0..count {
        let name = longest(n);
        store
            .update(&views, |views| views.entry(&name).add(1))
            .unwrap();
    }
    let before = state(store);
    let (bytes, max) = (count * len, 32 * 1024 * 1024);
    let error = EditError::CounterNamesTooLong { bytes, max };
    let refused = store.update(&views, |views| views.clear());
    assert_eq!(refused, Err(UpdateError::Edit(error).into()));
    assert_eq!(state(store), before);
    let remove = store.update(&views, |views| views.remove(&longest(0)));
    assert_eq!(remove, Ok(true));
}
