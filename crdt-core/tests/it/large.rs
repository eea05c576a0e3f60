//! Values that are larger than a block of the tree: against a model, by every route.

use std::collections::BTreeSet;

use crdt_core::kernel::{DotStore, EditError, Entry, EntryRef, Transaction, Unit, Value};
use crdt_core::{Causal, Dot, Limits, MAX_SEQ, Name, OrMap, OrSet, Path, PnCounter, Timestamp};
use proptest::prelude::*;

use crate::support::{copy, empty, kernel_state, property, replica, update};

type Set = OrSet<Vec<u8>>;

/// Names of many lengths, some of them equal in their first eight bytes; few are longer than a block.
fn name(n: u16) -> Vec<u8> {
    let text = format!("{:05}", n.wrapping_mul(40_503));
    match n % 7 {
        0 => text.into_bytes(),
        1 => format!("prefix--{text}").into_bytes(),
        2 => text.as_bytes()[..2].to_vec(),
        3 => vec![0; usize::from(n % 20)],
        4 if n % 50 == 4 => [text.as_bytes(), &[7; 3000]].concat(),
        _ => u64::from(n)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes()
            .to_vec(),
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16),
    Remove(u16),
    /// A stretch of names, to fill and to empty blocks.
    InsertFrom(u16),
    RemoveFrom(u16),
}

const STRETCH: u16 = 150;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let n = || 0..600u16;
    let op = prop_oneof![
        6 => n().prop_map(Op::Insert),
        3 => n().prop_map(Op::Remove),
        2 => n().prop_map(Op::InsertFrom),
        2 => n().prop_map(Op::RemoveFrom),
    ];
    prop::collection::vec(op, 1..60)
}

fn run(set: &mut Causal<Set>, model: &mut BTreeSet<Vec<u8>>, op: &Op) {
    let (from, to, insert) = match *op {
        Op::Insert(n) => (n, n + 1, true),
        Op::Remove(n) => (n, n + 1, false),
        Op::InsertFrom(n) => (n, n + STRETCH, true),
        Op::RemoveFrom(n) => (n, n + STRETCH, false),
    };
    update(set, |edit| {
        for n in from..to {
            let name = name(n);
            if insert {
                assert_eq!(edit.insert(&name), model.insert(name));
            } else {
                assert_eq!(edit.remove(&name), model.remove(&name));
            }
        }
    });
}

fn check(set: &Causal<Set>, model: &BTreeSet<Vec<u8>>) -> Result<(), TestCaseError> {
    let view = set.view();
    prop_assert_eq!(view.len(), model.len());
    prop_assert!(view.iter().eq(model.iter().cloned()));
    for n in 0..600 {
        let name = name(n);
        prop_assert_eq!(view.contains(&name), model.contains(&name));
    }
    let loaded = Causal::<Set>::load(&set.encode(), replica(99)).expect("its own bytes");
    prop_assert_eq!(kernel_state(&loaded), kernel_state(set));
    prop_assert!(loaded.view().iter().eq(model.iter().cloned()));
    Ok(())
}

#[test]
fn a_set_is_what_the_model_is() {
    property(60, ops(), |ops| {
        let (mut set, mut model) = (empty::<Set>(1), BTreeSet::new());
        for op in &ops {
            let (before, was) = (copy(&set), model.clone());
            run(&mut set, &mut model, op);
            // A copy that was taken before is not touched.
            prop_assert!(before.view().iter().eq(was.iter().cloned()));
            let (added, removed) = (set.view(), before.view());
            prop_assert!(
                added
                    .difference(&removed)
                    .eq(model.difference(&was).cloned())
            );
            prop_assert!(
                removed
                    .difference(&added)
                    .eq(was.difference(&model).cloned())
            );
        }
        check(&set, &model)
    });
}

#[test]
fn forks_merge_to_the_same_as_their_deltas() {
    property(60, (ops(), ops(), ops()), |(common, ours, theirs)| {
        let (mut a, mut model) = (empty::<Set>(1), BTreeSet::new());
        common.iter().for_each(|op| run(&mut a, &mut model, op));
        let mut b = a.fork(replica(2)).expect("an id of its own");
        let (mut model_b, base) = (model.clone(), a.context().clone());
        ours.iter().for_each(|op| run(&mut a, &mut model, op));
        theirs.iter().for_each(|op| run(&mut b, &mut model_b, op));
        let (mut ab, mut ba) = (copy(&a), copy(&b));
        ab.merge(&b).expect("an id of its own");
        ba.merge(&a).expect("an id of its own");
        prop_assert_eq!(kernel_state(&ab), kernel_state(&ba));
        if let Ok(delta) = b.delta_since(&base) {
            let mut by_delta = copy(&a);
            by_delta.apply(&delta).expect("it has the base");
            prop_assert_eq!(kernel_state(&by_delta), kernel_state(&ab));
        }
        // What both have is there; what neither has is not.
        let both: BTreeSet<_> = model.intersection(&model_b).cloned().collect();
        let all: BTreeSet<_> = model.union(&model_b).cloned().collect();
        let merged: BTreeSet<_> = ab.view().iter().collect();
        prop_assert!(merged.is_subset(&all), "nothing comes back");
        let untouched = both.iter().filter(|name| !merged.contains(*name)).count();
        prop_assert_eq!(untouched, 0, "nothing is lost");
        check(&ab, &merged)
    });
}

/// A block packs the origins of its dots into a byte.
#[test]
fn more_replicas_than_a_block_has_room_for() {
    let mut all = empty::<OrSet<u64>>(0);
    for n in 1..=700u64 {
        let mut one = all.fork(replica(n)).expect("an id of its own");
        // Always the same few elements: origins come and go in one block.
        update(&mut one, |set| set.insert(&(n % 5)));
        all.merge(&one).expect("an id of its own");
        assert_eq!(all.view().len(), n.min(5) as usize);
    }
    let mut concurrent = empty::<OrSet<u64>>(0);
    for n in 1..=700u64 {
        let mut one = empty::<OrSet<u64>>(n);
        update(&mut one, |set| {
            set.insert(&1);
            set.insert(&n);
        });
        concurrent.merge(&one).expect("an id of its own");
    }
    assert_eq!(concurrent.view().len(), 700);
    let loaded = Causal::<OrSet<u64>>::load(&concurrent.encode(), replica(9999)).expect("bytes");
    assert_eq!(kernel_state(&loaded), kernel_state(&concurrent));
    update(&mut concurrent, |set| set.remove(&1));
    assert!(
        !concurrent.view().contains(&1),
        "all seven hundred dots of it are gone"
    );
    assert_eq!(concurrent.view().len(), 699);
}

#[test]
fn a_map_of_many_counters_takes_part_in_both_directions() {
    type Map = OrMap<u64, PnCounter>;
    let mut a = empty::<Map>(1);
    update(&mut a, |map| {
        (0..1000u64).for_each(|k| map.entry(&k).add(1))
    });
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut a, |map| {
        (0..1000u64).step_by(3).for_each(|k| map.entry(&k).add(10))
    });
    update(&mut b, |map| {
        for k in (0..1000u64).step_by(2) {
            map.remove(&k);
        }
    });
    update(&mut b, |map| {
        (1000..1500u64).for_each(|k| map.entry(&k).add(5))
    });
    let mut ba = copy(&b);
    ba.merge(&a).expect("an id of its own");
    a.merge(&b).expect("an id of its own");
    assert_eq!(kernel_state(&a), kernel_state(&ba));
    for k in 0..1500 {
        let expected = match k {
            1000.. => Some(5),
            _ if k % 6 == 0 => Some(10), // removed at b, counted on at a
            _ if k % 2 == 0 => None,
            _ if k % 3 == 0 => Some(11),
            _ => Some(1),
        };
        assert_eq!(a.view().get(&k).map(|c| c.value()), expected, "{k}");
    }
}

/// The places of a block that has become sparse are put into the one before it, whose list of origins
/// may be all but full of those that are gone.
#[test]
fn blocks_are_merged_whatever_origins_they_have_had() {
    for gone in 248..260u64 {
        let mut set = empty::<OrSet<u64>>(0);
        update(&mut set, |set| {
            for n in 0..80u64 {
                set.insert(&n);
            }
        });
        // Two at once, both new, where the second block begins.
        let (mut one, mut other) = (
            set.fork(replica(1001)).expect("an id of its own"),
            set.fork(replica(1002)).expect("an id of its own"),
        );
        for n in 60..80u64 {
            update(&mut one, |set| set.insert(&n));
            update(&mut other, |set| set.insert(&n));
        }
        set.merge(&one).expect("an id of its own");
        set.merge(&other).expect("an id of its own");
        // Each writes over the one before, in the first block.
        for n in 1..=gone {
            let mut next = set.fork(replica(n)).expect("an id of its own");
            update(&mut next, |set| set.insert(&5));
            set = next;
        }
        let mut set = set.fork(replica(1003)).expect("an id of its own");
        update(&mut set, |set| {
            for n in 0..58u64 {
                set.remove(&n);
            }
        });
        let expected: Vec<u64> = (58..80).collect();
        assert!(
            set.view().iter().eq(expected.iter().copied()),
            "after {gone}"
        );
        let loaded = Causal::<OrSet<u64>>::load(&set.encode(), replica(9999)).expect("its bytes");
        assert_eq!(kernel_state(&loaded), kernel_state(&set));
        update(&mut set, |set| {
            for n in 58..80u64 {
                assert!(set.remove(&n));
            }
        });
        assert!(set.view().is_empty());
    }
}

/// A block packs a dot into eight bytes, one of which is its origin's.
#[test]
fn the_greatest_sequence_number_fits_a_block() {
    let path: Path = [Name::from("k"), Name::from("x")].as_slice().into();
    let entry = |origin, seq| Entry {
        dot: Dot::new(replica(origin), seq),
        value: Value::Unit,
    };
    let entries = [entry(1, MAX_SEQ), entry(2, 1), entry(2, MAX_SEQ)];
    for entries in (1..=3).map(|n| &entries[..n]) {
        let mut store = DotStore::new();
        let unit = Unit {
            adds: vec![(path.clone(), entries.to_vec())],
            ..Unit::default()
        };
        store.apply(&unit, &mut Vec::new());
        let place = store.root().get(&path).expect("something is there");
        assert!(place.entries().eq(entries.iter().map(EntryRef::from)));
    }
}

/// A place has one place under it, then two, then another one, hundreds of times: alone in its block, and beside one
/// that always has several.
#[test]
fn what_stands_under_one_key_may_be_another_each_time() {
    for beside in [false, true] {
        let mut map = empty::<OrMap<u8, OrSet<u16>>>(1);
        if beside {
            update(&mut map, |map| map.entry(&0).insert(&1));
            update(&mut map, |map| map.entry(&0).insert(&2));
        }
        update(&mut map, |map| map.entry(&7).insert(&0));
        for n in 0..600 {
            update(&mut map, |map| map.entry(&7).insert(&(n + 1)));
            update(&mut map, |map| map.entry(&7).remove(&n));
            let elements: Vec<u16> = map.view().get(&7).into_iter().flatten().collect();
            assert_eq!(elements, [n + 1]);
        }
        assert_eq!(map.view().len(), 1 + usize::from(beside));
    }
}

#[test]
fn a_value_is_visited_in_parts_of_any_size() {
    let mut store = DotStore::new();
    let mut add = |names: &[&str], dots: usize| {
        let path: Vec<Name> = names.iter().map(|name| Name::from(*name)).collect();
        let add = |tx: &mut Transaction<'_>| {
            (0..dots).for_each(|_| tx.at(&path).add(Value::Unit));
            Ok::<_, EditError>(())
        };
        store
            .transact(replica(1), Timestamp::ZERO, Limits::default(), add)
            .unwrap();
    };
    for n in 0..300 {
        add(&["set", "or_set<str>", &format!("{n}")], 1 + n % 3);
    }
    add(&["map", "or_map<str, gset<str>>"], 2);
    add(&["map", "or_map<str, gset<str>>", "a", "b", "c"], 1);
    add(&["map", "or_map<str, gset<str>>", "a", "b"], 1);
    let mut all = Vec::new();
    let root = store.root().as_ref();
    root.visit(&mut Vec::new(), &mut |path, entry| {
        all.push((path.to_vec(), entry.dot));
    });
    assert_eq!(all.len(), 604);
    for many in [1, 2, 7, 64, 603, 604, 10_000] {
        let (mut found, mut after) = (Vec::new(), None::<Path>);
        loop {
            let before = found.len();
            after = root.visit_some(after.as_deref(), many, &mut |path, entry| {
                found.push((path.to_vec(), entry.dot));
            });
            assert!(
                found.len() - before < many + 3,
                "no more than one place more"
            );
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "{many}");
    }
    for most in [1, 2, 300, 603, 604, 605, 10_000] {
        assert_eq!(root.count_up_to(most), most.min(604));
    }
    // Behind a place that is not there.
    let gone = [Name::from("map"), Name::from("z"), Name::from("y")];
    let mut found = 0;
    let end = root.visit_some(Some(&gone), 1_000, &mut |path, _| {
        assert_eq!(path[0].as_bytes(), b"set");
        found += 1;
    });
    assert_eq!((found, end), (600, None));
}
