//! Closures that give up, panic, call the store, or take their time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use dd_extension::types::{OrSet, PnCounter, PnCounterEdit};
use dd_extension::{Key, Keys, Store, StoreError, TryUpdateError, UpdateError};

use crate::node::{Node, state};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");

#[tokio::test(start_paused = true)]
async fn an_error_of_the_closure_writes_nothing() {
    #[derive(Debug, PartialEq)]
    struct OutOfStock {
        left: i128,
    }
    let node = Node::alone().await;
    let store = &node.store;
    let take = |n: i64| {
        store.try_update(&HITS, |stock| {
            stock.add(-n);
            let left = stock.value();
            if left < 0 {
                Err(OutOfStock { left })
            } else {
                Ok(left)
            }
        })
    };
    store.update(&HITS, |stock| stock.add(3)).unwrap();
    assert_eq!(take(2), Ok(1));
    let before = state(store);
    let gave_up = TryUpdateError::Closure(OutOfStock { left: -1 });
    assert_eq!(take(2), Err(gave_up));
    assert_eq!(state(store), before);
    assert_eq!(store.read(&HITS, |stock| stock.value()), Ok(1));

    // What the store has to say is told apart.
    let nameless = Key::<PnCounter>::new("");
    let error = store.try_update(&nameless, |n| Ok::<_, OutOfStock>(n.value()));
    let key = StoreError::Update(UpdateError::Key(0));
    assert_eq!(error, Err(TryUpdateError::Store(key)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_closure_changes_and_poisons_nothing() {
    let node = Node::alone().await;
    let store = &node.store;
    store.update(&CART, |cart| cart.insert("apple")).unwrap();
    let before = state(store);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.update(&CART, |cart| {
            cart.remove("apple");
            cart.insert("pear");
            panic!("in an update, as this test wants it");
        })
    }));
    assert!(panicked.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.read(&CART, |_| panic!("in a read, as this test wants it"))
    }));
    assert!(panicked.is_err());

    assert_eq!(state(store), before);
    assert_eq!(store.read(&CART, |cart| cart.contains("apple")), Ok(true));
    assert_eq!(store.update(&CART, |cart| cart.insert("pear")), Ok(true));
    assert_eq!(store.delete(&CART), Ok(true));
}

/// Calls everything that a handle has.
fn every_call(store: &Store, other: &Store) -> [Result<(), StoreError>; 11] {
    let all = Keys::<PnCounter>::with_prefix("");
    let add = |hits: &mut PnCounterEdit<'_>| hits.add(1);
    let try_add = |hits: &mut PnCounterEdit<'_>| Ok::<_, StoreError>(hits.reset());
    let tried = store
        .try_update(&HITS, try_add)
        .map_err(|error| match error {
            TryUpdateError::Store(error) | TryUpdateError::Closure(error) => error,
        });
    [
        store.update(&HITS, add),
        tried.map(drop),
        store.read(&HITS, |_| ()),
        store.get(&HITS).map(drop),
        store.delete(&HITS).map(drop),
        store.subscribe(&HITS).map(drop),
        store.subscribe_all(&all).map(drop),
        store.keys("", None, 1).map(drop),
        store.shapes("hits").map(drop),
        store.status().map(drop),
        // Of another store too: it may be the other way round elsewhere.
        other.update(&HITS, add),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_store_call_inside_of_a_closure_is_an_error() {
    let (node, second) = (Node::alone().await, Node::alone().await);
    let (store, other) = (node.store.clone(), second.store.clone());
    let (done, is_done) = channel();
    // In a thread, because what must not happen is that a call waits for ever.
    let calls = std::thread::spawn(move || {
        let calls = || every_call(&store, &other);
        let refused = |results: [Result<(), StoreError>; 11]| {
            for (n, result) in results.into_iter().enumerate() {
                assert_eq!(result, Err(StoreError::InsideClosure), "call {n}");
            }
        };
        refused(store.update(&CART, |_| calls()).unwrap());
        refused(store.try_update(&CART, |_| Ok::<_, ()>(calls())).unwrap());
        refused(store.read(&CART, |_| calls()).unwrap());
        // What needs no replica answers anywhere.
        let asked = store.update(&CART, |_| (store.node().clone(), store.replica_id()));
        assert_eq!(asked, Ok((store.node().clone(), store.replica_id())));
        // Outside again all is well, and none of that was done.
        assert_eq!(other.read(&HITS, |hits| hits.value()), Ok(0));
        assert!(calls().iter().all(Result::is_ok));
        done.send(()).unwrap();
    });
    let waited = is_done.recv_timeout(Duration::from_secs(60));
    assert_ne!(waited, Err(RecvTimeoutError::Timeout), "a call waits");
    calls.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_read_holds_no_lock() {
    let node = Node::alone().await;
    let store = &node.store;
    store.update(&HITS, |hits| hits.add(1)).unwrap();
    let read = store.read(&HITS, |hits| {
        // Another thread may write meanwhile; what is read stays as it was.
        std::thread::scope(|scope| {
            let write = scope.spawn(|| store.update(&HITS, |hits| hits.add(1)));
            write.join().unwrap().unwrap();
        });
        hits.value()
    });
    assert_eq!(read, Ok(1));
    assert_eq!(store.read(&HITS, |hits| hits.value()), Ok(2));
}
