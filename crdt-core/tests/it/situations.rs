//! Situations that were defects, anomalies or hard cases in systems in production, 1 to 16: those
//! that a value can meet by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use crdt_core::{
    Causal, Crdt, Delta, GCounter, LwwRegister, MvRegister, OrMap, OrSet, PnCounter, Timestamp,
};

use crate::support::{copy, empty, merged, replica, update};

type Set = Causal<OrSet<String>>;
type Map<V> = Causal<OrMap<String, V>>;

fn elements(set: &Set) -> Vec<String> {
    set.view().iter().collect()
}

fn insert(set: &mut Set, element: &str) -> Delta<OrSet<String>> {
    update(set, |s| s.insert(element)).delta
}

fn remove(set: &mut Set, element: &str) -> Delta<OrSet<String>> {
    update(set, |s| s.remove(element)).delta
}

/// A set with these elements at replica 1.
fn set_of(inserted: &[&str]) -> Set {
    let mut set = empty(1);
    for element in inserted {
        insert(&mut set, element);
    }
    set
}

/// Everybody gets what everybody has.
fn gossip<T: Crdt, const N: usize>(replicas: [&mut Causal<T>; N]) {
    for _ in 0..2 {
        for into in 0..N {
            for from in 0..N {
                let sender = copy(replicas[from]);
                replicas[into].merge(&sender).expect("an id of its own");
            }
        }
    }
}

/// The outcome of a merge, which has to be the same from both sides.
fn either_way<T: Crdt>(a: &Causal<T>, b: &Causal<T>, check: impl Fn(&Causal<T>)) {
    check(&merged(a, b));
    check(&merged(b, a));
}

fn apply<T: Crdt>(into: &mut Causal<T>, delta: &Delta<T>) {
    into.apply(delta).expect("nothing was forgotten");
}

#[test]
fn situation_01_removals_merged_with_a_copy_taken_before() {
    let mut a = set_of(&["u1", "u2"]);
    let before = a.fork(replica(2)).expect("an id of its own");
    remove(&mut a, "u1");
    remove(&mut a, "u2");
    either_way(&a, &before, |set| assert!(set.view().is_empty()));
}

#[test]
fn situation_02_insertions_and_removals_from_one_start() {
    let a = set_of(&["u1", "u2", "u3"]);
    let (mut b, mut c) = (
        a.fork(replica(2)).expect("an id of its own"),
        a.fork(replica(3)).expect("an id of its own"),
    );
    insert(&mut b, "u1");
    remove(&mut b, "u2");
    remove(&mut b, "u3");
    insert(&mut c, "u4");
    remove(&mut c, "u3");
    insert(&mut c, "u2");
    either_way(&b, &c, |set| assert_eq!(elements(set), ["u1", "u2", "u4"]));
}

#[test]
fn situation_03_six_orders_of_merging_are_all_empty() {
    let mut a = set_of(&["z"]);
    let c = a.fork(replica(3)).expect("an id of its own");
    remove(&mut a, "z");
    let mut b: Set = empty(2);
    insert(&mut b, "z");
    a.merge(&b).expect("an id of its own");
    remove(&mut b, "z");
    for [x, y, z] in [
        [&a, &b, &c],
        [&a, &c, &b],
        [&b, &a, &c],
        [&b, &c, &a],
        [&c, &a, &b],
        [&c, &b, &a],
    ] {
        assert!(merged(&merged(x, y), z).view().is_empty());
        assert!(merged(x, &merged(y, z)).view().is_empty());
    }
}

#[test]
fn situation_04_a_delayed_removal_arrives_again() {
    let mut a = set_of(&["a", "b"]);
    let mut b = a.fork(replica(2)).expect("an id of its own");
    let mut c = a.fork(replica(3)).expect("an id of its own");
    let removal = remove(&mut a, "b");
    insert(&mut b, "c");
    apply(&mut c, &removal);
    insert(&mut c, "b");
    gossip([&mut a, &mut b, &mut c]);
    for mut set in [a, b, c] {
        apply(&mut set, &removal);
        assert_eq!(elements(&set), ["a", "b", "c"]);
    }
}

#[test]
fn situation_05_clear_concurrent_with_an_insertion_and_replayed() {
    let mut a = set_of(&["a", "b", "c"]);
    let mut b = a.fork(replica(2)).expect("an id of its own");
    let clear = update(&mut a, |s| s.clear()).delta;
    insert(&mut b, "d");
    gossip([&mut a, &mut b]);
    assert_eq!(elements(&a), ["d"]);
    insert(&mut b, "b");
    apply(&mut b, &clear);
    a.merge(&b).expect("an id of its own");
    for set in [&a, &b] {
        assert_eq!(elements(set), ["b", "d"]);
    }
}

#[test]
fn situation_06_a_gap_between_deltas() {
    let mut a = set_of(&["a"]);
    let (mut b, mut c) = (
        a.fork(replica(2)).expect("an id of its own"),
        a.fork(replica(3)).expect("an id of its own"),
    );
    let lost = insert(&mut a, "b");
    let later = insert(&mut a, "c");
    let theirs = insert(&mut b, "d");
    apply(&mut c, &later);
    apply(&mut c, &theirs);
    // Held, and known to be missing: who asks for the rest gets it.
    assert_eq!(elements(&c), ["a", "c", "d"]);
    assert!(!a.context().is_subset(c.context()));
    let rest = a.delta_since(c.context()).expect("nothing was forgotten");
    apply(&mut c, &rest);
    assert_eq!(elements(&c), ["a", "b", "c", "d"]);
    gossip([&mut a, &mut b, &mut c]);
    apply(&mut c, &lost);
    for set in [&a, &b, &c] {
        assert_eq!(elements(set), ["a", "b", "c", "d"]);
    }
}

#[test]
fn situation_07_a_removals_delta_says_nothing_of_unrelated_events() {
    let mut a: Set = empty(1);
    let x = insert(&mut a, "x");
    let y = insert(&mut a, "y");
    let removal = remove(&mut a, "x");
    let mut b: Set = empty(2);
    apply(&mut b, &x);
    apply(&mut b, &removal);
    assert!(b.view().is_empty());
    assert!(!a.context().is_subset(b.context()));
    apply(&mut b, &y);
    assert_eq!(elements(&b), ["y"]);
    assert_eq!(b.context(), a.context());
}

#[test]
fn situation_08_counts_from_both_sides_and_replays() {
    let [mut a, mut b]: [Causal<GCounter>; 2] = [1, 2].map(empty);
    let mut deltas = Vec::new();
    for n in [3, 4] {
        deltas.push(update(&mut a, |c| c.add(n)).delta);
    }
    for n in [2, 7, 1] {
        deltas.push(update(&mut b, |c| c.add(n)).delta);
    }
    for _ in 0..2 {
        for delta in deltas.iter().rev().chain(&deltas) {
            apply(&mut a, delta);
            apply(&mut b, delta);
        }
        gossip([&mut a, &mut b]);
    }
    assert_eq!((a.view().value(), b.view().value()), (17, 17));
}

#[test]
fn situation_09_counter_removed_under_concurrent_add() {
    let mut a: Map<PnCounter> = empty(1);
    update(&mut a, |m| m.entry("k").add(3));
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut b, |m| m.entry("k").add(0));
    a.merge(&b).expect("an id of its own");
    update(&mut a, |m| m.remove("k"));
    update(&mut b, |m| m.entry("k").add(10));
    either_way(&a, &b, |map| {
        assert_eq!(map.view().get("k").map(|c| c.value()), Some(10));
    });
}

#[test]
fn situation_10_clocks_an_hour_apart_in_turn() {
    let hour = Duration::from_secs(3_600).as_millis() as u64;
    let [mut a, mut b]: [Causal<LwwRegister<u64>>; 2] = [1, 2].map(empty);
    for turn in 0..20 {
        let now = 1_700_000_000_000 + turn;
        let (writer, reader, clock) = match turn % 2 {
            0 => (&mut a, &mut b, now + hour),
            _ => (&mut b, &mut a, now),
        };
        writer
            .update_at(Timestamp::from_millis(clock), |r| r.set(&turn))
            .expect("within the limits");
        reader.merge(writer).expect("an id of its own");
        for register in [&*reader, &*writer] {
            assert_eq!(register.view().get(), Ok(Some(turn)));
            assert_eq!(register.view().conflicts(), 0);
        }
    }
}

#[test]
fn situation_11_a_clock_jumps_a_year_ahead_and_is_repaired() {
    let year = Duration::from_secs(365 * 86_400).as_millis() as u64;
    let now = 1_700_000_000_000;
    let mut a: Causal<LwwRegister<String>> = empty(1);
    let write = |at: &mut Causal<LwwRegister<String>>, millis, value: &str| {
        at.update_at(Timestamp::from_millis(millis), |r| r.set(value))
            .expect("within the limits");
    };
    write(&mut a, now + year, "from the future");
    let mut b = a.fork(replica(2)).expect("an id of its own");
    write(&mut b, now + 1, "b");
    write(&mut a, now + 2, "a");
    write(&mut a, now + 3, "a again");
    either_way(&a, &b, |register| {
        assert_eq!(register.view().get(), Ok(Some("a again".to_owned())));
        assert_eq!(register.view().losers(), Ok(vec!["b".to_owned()]));
    });
}

#[test]
fn situation_12_two_hundred_concurrent_first_writes() {
    fn all<T: Crdt>(write: impl Fn(&mut T::Edit<'_>, u64)) -> [Causal<T>; 2] {
        let each: Vec<Causal<T>> = (1..=200)
            .map(|n| {
                let mut register = empty(n);
                register
                    .update_at(Timestamp::from_bits(n % 7), |r| write(r, n))
                    .expect("within the limits");
                register
            })
            .collect();
        let up = each.iter().fold(empty(1_000), |all, one| merged(&all, one));
        let down = each
            .iter()
            .rev()
            .fold(empty(1_001), |all, one| merged(&all, one));
        [up, down]
    }
    for register in all::<LwwRegister<u64>>(|r, n| r.set(&n)) {
        // Clock 6, and of those who read that the greatest replica.
        assert_eq!(register.view().get(), Ok(Some(195 + 1 - 7 + 6)));
        assert_eq!(register.view().conflicts(), 199);
    }
    for register in all::<MvRegister<u64>>(|r, n| r.set(&n)) {
        let values: BTreeSet<u64> = register
            .view()
            .values()
            .expect("numbers")
            .into_iter()
            .collect();
        assert_eq!(values, (1..=200).collect());
    }
}

#[test]
fn situation_13_a_key_removed_while_an_element_is_inserted_under_it() {
    let mut a: Map<OrSet<String>> = empty(1);
    update(&mut a, |m| m.entry("b").insert("old"));
    let mut b = a.fork(replica(2)).expect("an id of its own");
    let removal = update(&mut a, |m| m.remove("b")).delta;
    let insertion = update(&mut b, |m| m.entry("b").insert("new")).delta;
    let only_new = |map: &Map<OrSet<String>>| {
        let set = map.view().get("b").expect("the key");
        assert_eq!(set.iter().collect::<Vec<_>>(), ["new"]);
    };
    either_way(&a, &b, only_new);
    for deltas in [[&removal, &insertion], [&insertion, &removal]] {
        let mut third = b.fork(replica(3)).expect("an id of its own");
        deltas.iter().for_each(|delta| apply(&mut third, delta));
        only_new(&third);
    }
}

#[test]
fn situation_14_an_element_removed_and_another_inserted_under_one_key() {
    let mut a: Map<OrSet<String>> = empty(1);
    update(&mut a, |m| m.entry("k").insert("x"));
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut a, |m| m.entry("k").remove("x"));
    assert!(!a.view().contains_key("k"));
    update(&mut b, |m| m.entry("k").insert("y"));
    either_way(&a, &b, |map| {
        let set = map.view().get("k").expect("the key");
        assert_eq!(set.iter().collect::<Vec<_>>(), ["y"]);
    });
}

#[test]
fn situation_15_removed_and_put_again_twice_with_an_old_copy_merged() {
    let mut a: Map<OrSet<String>> = empty(1);
    update(&mut a, |m| m.entry("k").insert("1"));
    let first = a.fork(replica(2)).expect("an id of its own");
    update(&mut a, |m| m.remove("k"));
    update(&mut a, |m| m.entry("k").insert("2"));
    let second = a.fork(replica(3)).expect("an id of its own");
    update(&mut a, |m| m.remove("k"));
    update(&mut a, |m| m.entry("k").insert("3"));
    for old in [&first, &second, &merged(&first, &second)] {
        either_way(&a, old, |map| {
            let set = map.view().get("k").expect("the key");
            assert_eq!(set.iter().collect::<Vec<_>>(), ["3"]);
        });
    }
}

#[test]
fn situation_16_three_levels_the_top_removed_while_the_bottom_is_updated() {
    let mut a: Map<OrMap<String, OrMap<String, PnCounter>>> = empty(1);
    update(&mut a, |m| {
        m.entry("top").entry("middle").entry("bottom").add(5);
        m.entry("top").entry("middle").entry("other").add(6);
        m.entry("top").entry("else").entry("bottom").add(7);
    });
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut a, |m| m.remove("top"));
    update(&mut b, |m| {
        m.entry("top").entry("middle").entry("bottom").add(1)
    });
    either_way(&a, &b, |map| {
        assert_eq!(
            format!("{:?}", map.view()),
            r#"{"top": {"middle": {"bottom": 1}}}"#
        );
    });
}
