//! The copy-on-write map against the standard library's.

use std::collections::BTreeMap;
use std::ops::Bound;

use crdt_core::{CowMap, Group, Measure};
use proptest::prelude::*;

use crate::support::property;

#[derive(Clone, Debug)]
enum Op {
    Insert(u16, u32),
    Remove(u16),
    Change(u16, u32),
    /// A clone is taken, which has to stay as it is from here on.
    Clone,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = || 0..400u16;
    let op = prop_oneof![
        6 => (key(), any::<u32>()).prop_map(|(k, v)| Op::Insert(k, v)),
        4 => key().prop_map(Op::Remove),
        2 => (key(), any::<u32>()).prop_map(|(k, v)| Op::Change(k, v)),
        1 => Just(Op::Clone),
    ];
    prop::collection::vec(op, 1..800)
}

/// How many entries, and a sum over their keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summed(usize, u64);

impl Measure<u16, u32> for Summed {
    fn of(key: &u16, value: &u32) -> Self {
        Self(1, u64::from(*key) + u64::from(*value))
    }
}

impl Group for Summed {
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

type Map = CowMap<u16, u32, Summed>;
type Model = BTreeMap<u16, u32>;

fn same(map: &Map, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(map.len(), model.len());
    prop_assert_eq!(map.is_empty(), model.is_empty());
    prop_assert!(map.iter().eq(model.iter()));
    prop_assert_eq!(map.last(), model.last_key_value());
    for key in [0, 1, 17, 200, 399, 400, u16::MAX] {
        let below = |key| {
            let below = model.range(..key).map(|(k, v)| Summed::of(k, v));
            below.fold(Summed::default(), Summed::plus)
        };
        prop_assert_eq!(map.sum_below(&key), below(key));
        let nth = map.first_where(|sum| sum.0 > usize::from(key));
        let expected = model.iter().nth(usize::from(key));
        prop_assert_eq!(nth, expected.map(|(k, v)| (k, v, below(*k))));
    }
    Ok(())
}

#[test]
fn does_what_the_standard_map_does_and_clones_stay() {
    property(64, ops(), |ops| {
        let (mut map, mut model) = (Map::new(), Model::new());
        let mut plain: CowMap<u16, u32> = CowMap::new();
        let mut clones: Vec<(Map, Model)> = Vec::new();
        for op in ops {
            match op {
                Op::Insert(k, v) => {
                    prop_assert_eq!(plain.insert(k, v), model.get(&k).copied());
                    prop_assert_eq!(map.insert(k, v), model.insert(k, v));
                }
                Op::Remove(k) => {
                    prop_assert_eq!(plain.remove(&k), model.get(&k).copied());
                    prop_assert_eq!(map.remove(&k), model.remove(&k));
                }
                Op::Change(k, v) => {
                    let changed = map.change_floor(
                        |key| *key <= k,
                        |key, value| (*key, core::mem::replace(value, v)),
                    );
                    let floor = model.range_mut(..=k).next_back();
                    let expected = floor.map(|(key, value)| (*key, core::mem::replace(value, v)));
                    prop_assert_eq!(changed, expected);
                    if let Some((key, former)) = changed {
                        let value = plain.get_mut(&key);
                        prop_assert_eq!(value.as_deref(), Some(&former));
                        value.into_iter().for_each(|value| *value = v);
                    }
                    prop_assert_eq!(plain.get_mut(&k).is_some(), model.contains_key(&k));
                }
                Op::Clone => {
                    let clone = map.clone();
                    prop_assert!(clone.same(&map));
                    clones.push((clone, model.clone()));
                }
            }
        }
        same(&map, &model)?;
        prop_assert!(plain.iter().eq(model.iter()));
        for (clone, model) in &clones {
            same(clone, model)?;
        }
        let entries: Vec<_> = model.clone().into_iter().collect();
        let rebuilt: Map = model.clone().into_iter().collect();
        prop_assert_eq!(&rebuilt, &map);
        same(&Map::from_sorted(entries), &model)?;
        Ok(())
    });
}

#[test]
fn two_versions_of_one_map_are_joined_in_step() {
    let changes = || prop::collection::vec((0..400u16, any::<u32>()), 0..40);
    let maps = (0..400u16, changes(), changes());
    property(128, maps, |(len, ours, theirs)| {
        let common: Map = (0..len).map(|key| (key, 7)).collect();
        let version = |changes: &[(u16, u32)]| {
            let mut map = common.clone();
            for (key, value) in changes.iter().filter(|(key, _)| *key < len) {
                map.insert(*key, *value);
            }
            map
        };
        let (ours, theirs) = (version(&ours), version(&theirs));
        let greater = |a: &mut u32, b: &u32| {
            let grows = *a < *b;
            *a = (*a).max(*b);
            grows
        };
        let mut joined = ours.clone();
        prop_assert!(joined.join_in_step(&theirs, greater));
        let both = ours.iter().zip(&theirs);
        prop_assert!(
            joined
                .iter()
                .map(|(k, v)| (*k, *v))
                .eq(both.map(|((k, a), (_, b))| (*k, *a.max(b))))
        );
        prop_assert_eq!(joined.len(), ours.len());
        let mut again = joined.clone();
        prop_assert!(again.join_in_step(&theirs, greater) && again.same(&joined));

        // Another key somewhere, or another form: nothing is changed.
        let mut longer = theirs.clone();
        longer.insert(len, 1);
        let mut kept = joined.clone();
        prop_assert!(!kept.join_in_step(&longer, greater) && kept.same(&joined));
        Ok(())
    });
}

#[test]
fn looks_up_and_iterates_from_every_bound() {
    let keys = prop::collection::btree_map(0..400u16, any::<u32>(), 0..300);
    property(32, keys, |model| {
        let map: Map = model.iter().map(|(k, v)| (*k, *v)).collect();
        for k in 0..402 {
            prop_assert_eq!(map.get(&k), model.get(&k));
            prop_assert_eq!(map.contains_key(&k), model.contains_key(&k));
            for from in [Bound::Included(k), Bound::Excluded(k)] {
                let expected = model.range((from, Bound::Unbounded));
                prop_assert!(map.iter_from(from.as_ref()).eq(expected));
            }
        }
        prop_assert!(map.iter_from(Bound::<&u16>::Unbounded).eq(model.iter()));
        Ok(())
    });
}

/// Keys in an order that looks random and is the same always.
fn scattered(n: u32) -> Vec<u32> {
    (0..n).map(|k| k.wrapping_mul(2_654_435_761)).collect()
}

#[test]
fn thousands_of_keys_in_any_order_come_and_go() {
    const N: u32 = 5_000;
    let ascending: Vec<u32> = (0..N).collect();
    let descending: Vec<u32> = (0..N).rev().collect();
    let orders = [ascending, descending, scattered(N)];
    for arrival in &orders {
        for (nth, departure) in orders.iter().enumerate() {
            // The scattered keys are other ones than the ascending, so some removals find nothing.
            let mut map: CowMap<u32, u32> = arrival.iter().map(|k| (*k, !k)).collect();
            let full = map.clone();
            assert_eq!(map.len(), N as usize);
            assert!(arrival.iter().all(|k| map.get(k) == Some(&!k)));
            for k in departure.iter().chain(arrival) {
                let had = map.contains_key(k);
                assert_eq!(map.remove(k).is_some(), had, "departure {nth}");
            }
            assert!(map.is_empty() && map.last().is_none() && map.iter().next().is_none());
            assert_eq!(full.len(), N as usize);
            assert_eq!(full.iter().count(), N as usize);
            assert!(full.iter().zip(full.iter().skip(1)).all(|(a, b)| a.0 < b.0));
        }
    }
}

#[test]
fn maps_of_equal_entries_are_equal_however_they_were_made() {
    let up: CowMap<u32, ()> = (0..1_000).map(|k| (k, ())).collect();
    let mut down: CowMap<u32, ()> = (0..2_000).rev().map(|k| (k, ())).collect();
    assert_ne!(up, down);
    for k in 1_000..2_000 {
        down.remove(&k);
    }
    assert!(up == down && !up.same(&down));
}
