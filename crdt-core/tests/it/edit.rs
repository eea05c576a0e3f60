//! Local updates: whole or not at all, within limits; and the records that they leave.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crdt_core::kernel::{DotStore, Transaction, Value};
use crdt_core::{
    Behind, Causal, Context, Crdt, EditError, Limits, LwwRegister, MAX_RECORDS, MvRegister, Name,
    OrMap, OrSet, PnCounter, Timestamp,
};

use crate::support::{copy, empty, kernel_state, merged, replica, update};

type Set = OrSet<String>;

const SMALL: Limits = Limits {
    element: 4,
    payload: 16,
    depth: 3,
};

/// A store with something in it: at `kept` and, removed again, at `gone`.
fn store() -> DotStore {
    let mut store = DotStore::new();
    transact(&mut store, |tx| {
        tx.at(&path(&["kept"])).add(Value::Unit);
        tx.at(&path(&["gone"])).add(Value::Unit);
    })
    .expect("within the limits");
    transact(&mut store, |tx| {
        tx.at(&path(&["gone"])).remove();
    })
    .expect("nothing to refuse");
    store
}

fn path(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| Name::from(*name)).collect()
}

fn transact(
    store: &mut DotStore,
    change: impl FnOnce(&mut Transaction<'_>),
) -> Result<(), EditError> {
    store
        .transact(replica(1), Timestamp::ZERO, SMALL, |tx| {
            change(tx);
            Ok(())
        })
        .map(drop)
}

/// Every kind of event, around one that has to be refused: nothing of it is left.
fn refused(change: impl FnOnce(&mut Transaction<'_>)) -> EditError {
    let mut store = store();
    let before = store.clone();
    let error = transact(&mut store, |tx| {
        tx.at(&path(&["new"])).add(Value::Unit);
        let mut set = tx.at(&path(&["new"]));
        assert!(set.fill(&"a".into()) && set.fill(&"b".into()) && !set.fill(&"a".into()));
        tx.at(&path(&["kept"])).write(Value::Unit);
        tx.at(&path(&["n"])).count(5);
        change(tx);
        tx.at(&path(&["n"])).count(6);
        tx.at(&[]).remove();
        tx.at(&path(&["last"])).add(Value::Unit);
    })
    .expect_err("beyond a limit");
    assert_eq!(store, before);
    // Work goes on, with the very next dot.
    transact(&mut store, |tx| tx.at(&path(&["new"])).add(Value::Unit)).expect("within the limits");
    let next = before.context().max(replica(1)) + 1;
    assert_eq!(store.context().max(replica(1)), next);
    error
}

fn accepted(change: impl FnOnce(&mut Transaction<'_>)) {
    let mut store = store();
    let before = store.context().clone();
    transact(&mut store, change).expect("at the bound");
    assert_ne!(store.context(), &before);
}

fn bytes(len: usize) -> Value {
    Value::Bytes(vec![7; len].into())
}

#[test]
fn elements_at_the_limit_and_one_past_it() {
    let write = |len: usize| {
        move |tx: &mut Transaction<'_>| tx.at(&path(&["k", &"x".repeat(len)])).write(Value::Unit)
    };
    accepted(write(4));
    assert_eq!(
        refused(write(5)),
        EditError::ElementTooLong { len: 5, max: 4 }
    );
    let count =
        |len: usize| move |tx: &mut Transaction<'_>| tx.at(&path(&[&"x".repeat(len)])).count(1);
    accepted(count(4));
    assert_eq!(
        refused(count(5)),
        EditError::ElementTooLong { len: 5, max: 4 }
    );
}

#[test]
fn payloads_at_the_limit_and_one_past_it() {
    let write = |len| move |tx: &mut Transaction<'_>| tx.at(&path(&["k"])).write(bytes(len));
    accepted(write(16));
    assert_eq!(
        refused(write(17)),
        EditError::PayloadTooLong { len: 17, max: 16 }
    );
    // Over something that is there, as well.
    let over = |len| move |tx: &mut Transaction<'_>| tx.at(&path(&["kept"])).write(bytes(len));
    accepted(over(16));
    assert_eq!(
        refused(over(17)),
        EditError::PayloadTooLong { len: 17, max: 16 }
    );
}

#[test]
fn depth_at_the_limit_and_one_past_it() {
    let at = |depth| move |tx: &mut Transaction<'_>| tx.at(&path(&["d"].repeat(depth))).count(1);
    accepted(at(3));
    assert_eq!(refused(at(4)), EditError::TooDeep { depth: 4, max: 3 });
}

#[test]
fn the_first_error_is_the_one_that_is_told() {
    let error = refused(|tx| {
        tx.at(&path(&["k"])).write(bytes(17));
        tx.at(&path(&["too long"])).write(Value::Unit);
    });
    assert_eq!(error, EditError::PayloadTooLong { len: 17, max: 16 });
}

#[test]
fn a_closure_that_fails_changes_nothing() {
    let mut store = store();
    let before = store.clone();
    let result = store.transact(replica(1), Timestamp::ZERO, SMALL, |tx| {
        tx.at(&path(&["kept"])).remove();
        Err::<(), _>(EditError::TooDeep { depth: 9, max: 9 })
    });
    assert!(result.is_err());
    assert_eq!(store, before);
}

#[test]
fn a_value_refuses_a_whole_update_at_the_default_limits() {
    let longest = "x".repeat(Limits::default().element);
    let mut set: Causal<Set> = empty(1);
    update(&mut set, |s| s.insert(&longest));
    let before = set.encode();
    let too_long = set.update(|s| {
        s.insert("fine");
        s.insert(&format!("{longest}x"));
    });
    let max = Limits::default().element;
    let expected = EditError::ElementTooLong { len: max + 1, max };
    assert_eq!(too_long.expect_err("beyond the limit"), expected);
    assert_eq!(set.encode(), before);
    assert!(update(&mut set, |s| s.insert("fine")).value);
}

#[test]
fn a_payload_that_serde_refuses_fails_the_update() {
    struct Stubborn;
    impl serde::Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    impl<'de> serde::Deserialize<'de> for Stubborn {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    let mut map: Causal<OrMap<String, LwwRegister<Stubborn>>> = empty(1);
    let failed = map.update(|m| m.entry("k").set(&Stubborn));
    assert!(matches!(failed, Err(EditError::Payload(_))));
    let mut register: Causal<MvRegister<Stubborn>> = empty(1);
    let failed = register.update(|r| r.set(&Stubborn));
    assert!(matches!(failed, Err(EditError::Payload(_))));
    assert!(map.view().is_empty() && map.context().is_empty());
    assert!(register.view().is_empty() && register.context().is_empty());
}

#[test]
fn a_panic_in_the_closure_changes_nothing_and_work_goes_on() {
    let mut map: Causal<OrMap<String, PnCounter>> = empty(1);
    update(&mut map, |m| {
        m.entry("a").add(1);
        m.entry("b").add(2);
    });
    update(&mut map, |m| m.remove("b"));
    let (before, reading) = (map.encode(), format!("{:?}", map.view()));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        map.update(|m| {
            m.entry("a").add(10);
            m.entry("c").add(11);
            m.clear();
            m.entry("d").add(12);
            // No panic hook: it would print a backtrace that looks like a failure.
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(format!("{:?}", map.view()), reading);
    assert_eq!(map.encode(), before);
    let done = update(&mut map, |m| m.entry("c").add(3));
    assert_eq!(format!("{:?}", map.view()), r#"{"a": 1, "c": 3}"#);
    let mut other = empty(2);
    for _ in 0..2 {
        other.merge(&map).expect("an id of its own");
        assert_eq!(other.apply(&done.delta), Ok(()));
        assert_eq!(kernel_state(&other), kernel_state(&map));
    }
}

#[test]
fn an_update_that_does_nothing_is_no_event() {
    let mut set: Causal<Set> = empty(1);
    update(&mut set, |s| s.insert("x"));
    let before = set.encode();
    let done = update(&mut set, |s| {
        (
            s.remove("y"),
            s.ensure("x"),
            s.contains("x"),
            s.contains("y"),
        )
    });
    assert_eq!(done.value, (false, false, true, false));
    assert!(done.delta.is_empty());
    assert_eq!(set.encode(), before);
}

#[test]
fn an_update_reads_what_it_did_so_far() {
    let mut map: Causal<OrMap<String, PnCounter>> = empty(1);
    update(&mut map, |m| {
        m.entry("k").add(3);
        assert_eq!(m.entry("k").value(), 3);
        assert!(m.view().contains_key("k"));
        assert!(m.entry("k").reset());
        assert!(!m.view().contains_key("k"));
        assert!(!m.remove("k"));
    });
    assert!(map.view().is_empty());
}

/// Where a run stands depends on its total, and on whether anything else is there.
#[test]
fn counts_go_on_wherever_the_run_stands() {
    let mut map: Causal<OrMap<String, PnCounter>> = empty(1);
    let mut expected = 0;
    for n in [
        1,
        i64::MAX,
        1,
        i64::MAX,
        i64::MIN,
        -1,
        i64::MIN,
        i64::MIN,
        5,
    ] {
        let delta = update(&mut map, |m| m.entry("k").add(n)).delta;
        expected += i128::from(n);
        let entry = map.view().get("k").map(|counter| counter.value());
        assert_eq!(entry, Some(expected), "after {n}");
        // Undone where it was.
        let failed = map.update(|m| {
            m.entry("k").add(7);
            m.entry("k").add(-9);
            m.entry("too long".repeat(10_000).as_str()).add(1);
        });
        assert!(failed.is_err());
        assert_eq!(
            map.view().get("k").map(|counter| counter.value()),
            Some(expected)
        );
        let mut alone: Causal<OrMap<String, PnCounter>> = empty(2);
        alone
            .apply(&delta)
            .expect("a delta with all that there was");
        assert_eq!(
            alone.view().get("k").map(|counter| counter.value()),
            Some(expected)
        );
    }
    // Beside another replica's run, and after a cut.
    let mut other: Causal<OrMap<String, PnCounter>> = empty(2);
    other.merge(&map).expect("an id of its own");
    update(&mut other, |m| m.entry("k").add(10));
    map.merge(&other).expect("an id of its own");
    update(&mut map, |m| m.entry("k").add(100));
    assert_eq!(
        map.view().get("k").map(|counter| counter.value()),
        Some(expected + 110)
    );
    update(&mut map, |m| {
        m.entry("k").reset();
        m.entry("k").add(3);
    });
    update(&mut map, |m| m.entry("k").add(4));
    assert_eq!(map.view().get("k").map(|counter| counter.value()), Some(7));
}

/// What an update makes void itself is known to whoever has its delta: contexts become equal by
/// deltas alone.
#[test]
fn a_delta_brings_the_events_that_its_update_made_void() {
    let mut a: Causal<OrMap<String, OrSet<String>>> = empty(1);
    let mut b = empty(2);
    let done = update(&mut a, |m| {
        m.entry("k").insert("x");
        m.entry("k").insert("x");
        m.entry("l").insert("y");
        m.clear();
        m.entry("k").insert("z");
    });
    assert_eq!(b.apply(&done.delta), Ok(()));
    assert_eq!(kernel_state(&a), kernel_state(&b));
    // The same by what one lacks.
    let mut c: Causal<OrMap<String, OrSet<String>>> = empty(3);
    let all = a.delta_since(c.context()).expect("nothing was forgotten");
    assert_eq!(c.apply(&all), Ok(()));
    assert_eq!(kernel_state(&a), kernel_state(&c));
    let nothing = a.delta_since(c.context()).expect("nothing was forgotten");
    assert!(nothing.is_empty());
}

/// A delta made for a replica leaves out what that one has: another one must not take it.
#[test]
fn a_delta_for_one_replica_is_refused_by_another_that_lacks_more() {
    let [mut a, mut b, mut c]: [Causal<PnCounter>; 3] = [1, 2, 3].map(empty);
    let first = update(&mut a, |n| n.add(-1)).delta;
    assert_eq!(c.apply(&first), Ok(()));
    update(&mut a, |n| n.reset());
    b.merge(&a).expect("an id of its own");
    update(&mut a, |n| n.add(5));
    let for_b = a.delta_since(b.context()).expect("nothing was forgotten");
    assert_eq!(c.apply(&for_b), Err(Behind.into()));
    assert_eq!(c.view().value(), -1);
    assert_eq!(b.apply(&for_b), Ok(()));
    assert_eq!(b.view().value(), 5);
    c.merge(&b).expect("an id of its own");
    assert_eq!(c.view().value(), 5);
}

/// Inserts and removes one element after the other.
fn churn(set: &mut Causal<Set>, elements: Range<usize>) {
    for n in elements {
        let element = n.to_string();
        update(set, |s| s.insert(&element));
        update(set, |s| s.remove(&element));
    }
}

#[test]
fn records_beyond_the_most_are_forgotten_and_deltas_then_refused() {
    let mut a: Causal<Set> = empty(1);
    update(&mut a, |s| s.insert("kept"));
    update(&mut a, |s| s.insert("removed"));
    let stale = a.fork(replica(2)).expect("an id of its own");
    let mut current = a.fork(replica(3)).expect("an id of its own");
    update(&mut a, |s| s.remove("removed"));
    current.merge(&a).expect("an id of its own");
    churn(&mut a, 1..MAX_RECORDS);
    assert!(a.delta_since(stale.context()).is_ok(), "at the bound");
    churn(&mut a, 0..1);
    assert_eq!(a.delta_since(stale.context()).err(), Some(Behind));
    let done = update(&mut a, |s| s.insert("new"));
    let mut behind = copy(&stale);
    assert_eq!(behind.apply(&done.delta), Err(Behind.into()));
    assert_eq!(kernel_state(&behind), kernel_state(&stale));
    for old in [&stale, &current] {
        let caught_up = merged(old, &a);
        assert_eq!(kernel_state(&caught_up), kernel_state(&a));
        assert_eq!(caught_up.view().iter().collect::<Vec<_>>(), ["kept", "new"]);
        // And the stale one brings nothing back.
        assert_eq!(kernel_state(&merged(&a, old)), kernel_state(&a));
    }
    let mut caught_up = merged(&stale, &a);
    assert_eq!(caught_up.apply(&done.delta), Ok(()));
}

/// Whoever lost a delta of an update that made nothing else is not behind for ever.
#[test]
fn a_replica_with_a_hole_above_the_floor_still_takes_deltas() {
    let mut a: Causal<Set> = empty(1);
    update(&mut a, |s| s.insert("x"));
    update(&mut a, |s| s.remove("x"));
    let mut b = a.fork(replica(2)).expect("an id of its own");
    assert_eq!(a.forget([b.context()]), 1);
    let lost = update(&mut a, |s| s.insert("y")).delta;
    let next = update(&mut a, |s| s.insert("z")).delta;
    assert_eq!(b.apply(&next), Ok(()));
    assert_eq!(b.apply(&lost), Ok(()));
    assert_eq!(kernel_state(&a), kernel_state(&b));
}

/// The owner of a run that was cut counts on, not knowing; the record has to be there still.
#[test]
fn forgetting_never_brings_the_total_of_a_removed_counter_back() {
    let mut a: Causal<OrMap<u64, PnCounter>> = empty(1);
    let mut b: Causal<OrMap<u64, PnCounter>> = empty(2);
    update(&mut b, |m| m.entry(&0).add(5));
    a.merge(&b).expect("an id of its own");
    update(&mut a, |m| m.remove(&0));
    for key in 1..=MAX_RECORDS as u64 + 10 {
        update(&mut a, |m| m.entry(&key).add(1));
        update(&mut a, |m| m.remove(&key));
    }
    // Its own removals went; the one that took something of another replica away did not.
    assert_eq!(a.delta_since(&Context::new()).err(), Some(Behind));
    let on_the_way = update(&mut b, |m| m.entry(&0).add(1)).delta;
    let value = |at: &Causal<OrMap<u64, PnCounter>>| at.view().get(&0).map(|c| c.value());
    assert_eq!(value(&merged(&a, &b)), Some(1));
    let mut by_delta = copy(&a);
    assert_eq!(by_delta.apply(&on_the_way), Ok(()));
    assert_eq!(value(&by_delta), Some(1));
}

#[test]
fn a_removal_is_forgotten_once_all_have_it_and_its_counters_owners_were_heard() {
    let mut a: Causal<PnCounter> = empty(1);
    let mut b: Causal<PnCounter> = empty(2);
    update(&mut b, |n| n.add(5));
    a.merge(&b).expect("an id of its own");
    update(&mut a, |n| n.reset());
    let on_the_way = update(&mut b, |n| n.add(1)).delta;
    assert_eq!(a.forget([b.context()]), 0, "it lacks the removal");
    b.merge(&a).expect("an id of its own");
    assert_eq!(a.forget([b.context()]), 0, "it counted before it had it");
    assert_eq!(a.apply(&on_the_way), Ok(()));
    assert_eq!(a.view().value(), 1);
    assert_eq!(a.forget([b.context()]), 1);
    update(&mut b, |n| n.add(2));
    a.merge(&b).expect("an id of its own");
    assert_eq!((a.view().value(), b.view().value()), (3, 3));
    assert_eq!(kernel_state(&a), kernel_state(&b));
}

#[test]
fn one_transaction_of_everything_is_one_delta() {
    fn shape<T: Crdt>() -> String {
        let mut out = String::new();
        T::shape(&mut out);
        out
    }
    assert_eq!(
        shape::<OrMap<String, OrMap<u8, Set>>>(),
        "or_map<str,or_map<u8,or_set<str>>>"
    );
    let mut a: Causal<OrMap<String, OrMap<u8, Set>>> = empty(1);
    let mut b = empty(2);
    let done = update(&mut a, |m| {
        for key in 0..10u8 {
            m.entry("k").entry(&key).insert("x");
            m.entry("l").entry(&key).insert("y");
        }
        m.remove("k");
    });
    assert_eq!(b.apply(&done.delta), Ok(()));
    assert_eq!(kernel_state(&a), kernel_state(&b));
    assert_eq!(b.view().keys().collect::<Vec<_>>(), ["l"]);
}

/// A removal names only what was there, or on record, at its maker. So a delta that passes one on must
/// not be taken by whoever lacks what its maker had forgotten. Found by the laws in a long run.
#[test]
fn a_delta_says_what_its_sender_had_forgotten() {
    type Counts = OrMap<String, PnCounter>;
    let mut a = empty::<Counts>(1);
    update(&mut a, |m| m.entry("c").add(1));
    let (mut b, mut c) = (
        a.fork(replica(2)).expect("an id of its own"),
        a.fork(replica(3)).expect("an id of its own"),
    );
    // a and b have the removal of "c", and a forgets it as if there were no others.
    update(&mut a, |m| m.remove("c"));
    b.merge(&a).expect("an id of its own");
    assert_eq!(a.forget([b.context()]), 1);
    // a removes all, which names nothing at "c" any more; b is sent that, and writes.
    update(&mut a, |m| m.entry("a").add(1));
    update(&mut a, |m| m.clear());
    let delta = a
        .delta_since(b.context())
        .expect("b lacks nothing that was forgotten");
    b.apply(&delta).expect("b has the rest");
    let passed_on = update(&mut b, |m| m.entry("a").add(7)).delta;
    // c has not seen the first removal: with the second alone, "c" would stand though it was seen.
    assert_eq!(c.apply(&passed_on), Err(Behind.into()));
    c.merge(&b).expect("an id of its own");
    assert_eq!(c.view().get("c").map(|n| n.value()), None);
    assert_eq!(c.view().get("a").map(|n| n.value()), Some(7));
}

/// A replica that forgot a reset too early counts the old total again when the counter goes on elsewhere;
/// it does not make those do so that still know of the reset.
#[test]
fn a_reset_that_one_replica_forgot_too_early_is_not_undone_elsewhere() {
    let mut counting = empty::<PnCounter>(1);
    update(&mut counting, |c| c.add(5));
    let mut resetting = counting.fork(replica(2)).expect("an id of its own");
    update(&mut resetting, |c| c.reset());
    let mut forgetful = resetting.fork(replica(3)).expect("an id of its own");
    assert_eq!(
        forgetful.forget([resetting.context()]),
        1,
        "without asking who counts"
    );
    update(&mut counting, |c| c.add(2));
    forgetful.merge(&counting).expect("an id of its own");
    for source in [&counting, &forgetful] {
        let both = merged(&resetting, source);
        assert_eq!(both.view().value(), 2);
    }
}
