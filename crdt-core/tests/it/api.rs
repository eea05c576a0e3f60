//! Reading is alike everywhere: in order, by range, compared, shown and serialised.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::{
    Causal, Crdt, DwFlag, Element, EwFlag, GCounter, GCounterMap, GSet, LwwMap, LwwRegister,
    MaxRegister, MinRegister, MvRegister, OrMap, OrMultiMap, OrSet, PnCounter, RemoveWinsSet,
    Timestamp, record,
};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

use crate::support::subject::Bits;
use crate::support::{empty, property, update};

record! {
    /// A record with a field of every kind that reads differently.
    struct Account: "account", AccountView, AccountEdit {
        name: LwwRegister<String>,
        tags: OrSet<String>,
        visits: PnCounter,
        active: EwFlag,
    }
}

/// An element without serde and without `Debug`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Bare(u8);

impl Element for Bare {
    fn shape(out: &mut String) {
        out.push_str("bare");
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        u8::decode(bytes).map(Self)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        self.0.encode_part(out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
        u8::decode_part(bytes).map(Self)
    }
}

record! {
    /// A record may have fields that can't be serialised; then it can't either.
    struct OfBare: "of_bare", OfBareView, OfBareEdit {
        all: RemoveWinsSet<Bare>,
        visits: PnCounter,
    }
}

fn after<T: Crdt, R: std::fmt::Debug>(change: impl FnOnce(&mut T::Edit<'_>) -> R) -> Causal<T> {
    let mut value = empty::<T>(1);
    update(&mut value, change);
    value
}

#[test]
fn ranges_are_those_of_std() {
    let numbers = prop::collection::btree_set(any::<i8>(), 0..60);
    property(256, (numbers, any::<i8>(), any::<i8>()), |(std, a, b)| {
        let (a, b) = (a.min(b), a.max(b));
        let set = after::<OrSet<i8>, _>(|s| {
            std.iter().for_each(|n| {
                s.insert(n);
            })
        });
        let rw = after::<RemoveWinsSet<i8>, _>(|s| {
            (i8::MIN..=i8::MAX).for_each(|n| {
                s.remove(&n);
            });
            std.iter().for_each(|n| {
                s.insert(n);
            });
        });
        let map = after::<GCounterMap<i8>, _>(|m| std.iter().for_each(|n| m.entry(n).add(1)));
        let lww = after::<LwwMap<i8, i8>, _>(|m| std.iter().for_each(|n| m.insert(n, n)));
        macro_rules! alike {
            ($($range:expr),+) => {$(
                let expected: Vec<i8> = std.range($range).copied().collect();
                prop_assert_eq!(set.view().range($range).collect::<Vec<_>>(), &expected[..]);
                prop_assert_eq!(rw.view().range($range).collect::<Vec<_>>(), &expected[..]);
                prop_assert!(map.view().range($range).map(|(k, _)| k).eq(expected.clone()));
                prop_assert!(lww.view().range($range).map(|(k, _)| k).eq(expected.clone()));
            )+};
        }
        alike!(a..b, a..=b, a.., ..b, ..=b);
        let ends = (std.first().copied(), std.last().copied());
        prop_assert_eq!((set.view().first(), set.view().last()), ends);
        prop_assert_eq!((rw.view().first(), rw.view().last()), ends);
        let (first, last) = (map.view().first_key_value(), map.view().last_key_value());
        prop_assert_eq!((first.map(|e| e.0), last.map(|e| e.0)), ends);
        let (first, last) = (lww.view().first_key_value(), lww.view().last_key_value());
        prop_assert_eq!(first, ends.0.map(|n| (n, Ok(n))));
        prop_assert_eq!(last, ends.1.map(|n| (n, Ok(n))));
        prop_assert_eq!(set.view(), std.clone());
        prop_assert_eq!(rw.view(), std.clone());
        prop_assert_eq!(
            lww.view(),
            std.iter().map(|n| (*n, *n)).collect::<BTreeMap<_, _>>()
        );
        prop_assert!(map.view().keys().eq(std.iter().copied()));
        prop_assert!(map.view().values().all(|count| count.value() == 1));
        prop_assert!(lww.view().values().eq(std.iter().map(|n| Ok(*n))));
        Ok(())
    });
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "what is tested")]
fn a_range_takes_borrowed_forms_and_may_be_the_wrong_way_round() {
    let words = after::<GSet<String>, _>(|s| {
        ["ash", "beech", "birch"].iter().for_each(|word| {
            s.insert(*word);
        });
    });
    let words = words.view();
    assert!(words.range("b"..).eq(["beech", "birch"]));
    assert!(words.range(.."beech").eq(["ash"]));
    assert!(
        words
            .range(String::from("beech")..=String::from("birch"))
            .eq(["beech", "birch"])
    );
    assert_eq!(words.range("c".."a").next(), None);
    let bytes = after::<GSet<Vec<u8>>, _>(|s| s.insert(&[1u8, 2]));
    assert!(bytes.view().range(&[1u8][..]..&[2][..]).eq([vec![1u8, 2]]));
    let numbers = after::<GSet<u64>, _>(|s| s.insert(&5));
    assert_eq!(numbers.view().range(9..3).count(), 0);
}

#[test]
fn a_set_is_compared_with_std_by_its_elements() {
    let set = after::<OrSet<u8>, _>(|s| (s.insert(&1), s.insert(&2)));
    assert_eq!(set.view(), BTreeSet::from([1, 2]));
    for other in [vec![], vec![1], vec![1, 3], vec![1, 2, 3]] {
        assert_ne!(set.view(), BTreeSet::from_iter(other));
    }
    let rw = after::<RemoveWinsSet<u8>, _>(|s| (s.insert(&1), s.insert(&2), s.remove(&0)));
    assert_eq!(rw.view(), BTreeSet::from([1, 2]));
    for other in [vec![], vec![1], vec![1, 3], vec![1, 2, 3]] {
        assert_ne!(rw.view(), BTreeSet::from_iter(other));
    }
}

#[test]
fn views_are_copied_iterated_compared_and_shown() {
    let map = after::<OrMultiMap<u8, u8>, _>(|m| {
        m.entry(&1).insert(&10);
        m.entry(&2).insert(&20);
    });
    let view = map.view();
    let copied = view;
    let mut all = Vec::new();
    for (key, set) in view {
        for element in &set {
            all.push((key, element));
        }
    }
    assert_eq!(all, [(1, 10), (2, 20)]);
    assert_eq!(
        copied,
        map.fork(crate::support::replica(2))
            .expect("an id of its own")
            .view()
    );
    assert_eq!(format!("{copied:?}"), "{1: {10}, 2: {20}}");
}

#[test]
fn an_edit_reads_and_shows_what_the_update_did_so_far() {
    let mut account = empty::<Account>(1);
    let shown = update(&mut account, |a| {
        a.name().set("Ann");
        a.tags().insert("new");
        a.visits().add(2);
        assert_eq!(a.view().visits().value(), 2);
        assert_eq!(a.visits().view().value(), 2);
        assert!(a.tags().view().contains("new"));
        assert!(!a.active().view().is_on());
        format!("{a:?}")
    });
    let expected = r#"Account { name: Ok(Some("Ann")), tags: {"new"}, visits: 2, active: false }"#;
    assert_eq!(shown.value, expected);
    let mut count = empty::<GCounter>(1);
    let shown = update(&mut count, |c| {
        c.add(3);
        (c.view().value(), format!("{c:?}"))
    });
    assert_eq!(shown.value, (3, "3".to_owned()));
}

fn as_json<T: Crdt>(value: &Causal<T>) -> serde_json::Value
where
    for<'a> T::View<'a>: Serialize,
{
    serde_json::to_value(value.view()).expect("serialises")
}

#[test]
fn every_view_serialises_as_what_it_reads_as() {
    assert_eq!(as_json(&after::<GCounter, _>(|c| c.add(3))), json!(3));
    assert_eq!(as_json(&after::<PnCounter, _>(|c| c.add(-3))), json!(-3));
    let insert = |s: &mut crdt_core::GSetEdit<'_, u8>| (s.insert(&2), s.insert(&1));
    assert_eq!(as_json(&after::<GSet<u8>, _>(insert)), json!([1, 2]));
    assert_eq!(
        as_json(&after::<OrSet<u8>, _>(|s| s.insert(&1))),
        json!([1])
    );
    let rw = after::<RemoveWinsSet<u8>, _>(|s| (s.insert(&1), s.remove(&2)));
    assert_eq!(as_json(&rw), json!([1]));
    assert_eq!(as_json(&empty::<LwwRegister<u8>>(1)), json!(null));
    assert_eq!(
        as_json(&after::<LwwRegister<u8>, _>(|r| r.set(&1))),
        json!(1)
    );
    assert_eq!(as_json(&empty::<MvRegister<u8>>(1)), json!([]));
    assert_eq!(
        as_json(&after::<MvRegister<u8>, _>(|r| r.set(&1))),
        json!([1])
    );
    assert_eq!(as_json(&empty::<MaxRegister<u8>>(1)), json!(null));
    assert_eq!(
        as_json(&after::<MaxRegister<u8>, _>(|r| r.raise(&1))),
        json!(1)
    );
    assert_eq!(
        as_json(&after::<MinRegister<u8>, _>(|r| r.lower(&1))),
        json!(1)
    );
    assert_eq!(as_json(&after::<EwFlag, _>(|f| f.enable())), json!(true));
    assert_eq!(as_json(&after::<DwFlag, _>(|f| f.disable())), json!(false));
    assert_eq!(
        as_json(&after::<LwwMap<String, u8>, _>(|m| m.insert("k", &1))),
        json!({"k": 1})
    );
    let nested = after::<OrMap<String, GCounterMap<u8>>, _>(|m| m.entry("k").entry(&7).add(1));
    assert_eq!(as_json(&nested), json!({"k": {"7": 1}}));
    assert_eq!(as_json(&empty::<crdt_core::Joined<Bits>>(1)), json!(0));
    let account = after::<Account, _>(|a| a.tags().insert("new"));
    let expected = json!({"name": null, "tags": ["new"], "visits": 0, "active": false});
    assert_eq!(as_json(&account), expected);
}

#[test]
fn what_cant_be_decoded_is_an_error_of_serde() {
    let text = after::<LwwMap<u8, String>, _>(|m| m.insert(&1, "long"));
    let as_numbers = Causal::<LwwMap<u8, u8>>::load(&text.encode(), crate::support::replica(2));
    // The shape does not name the payload's type, so that it may evolve: reading reports it.
    let error = serde_json::to_value(as_numbers.expect("the same shape").view()).unwrap_err();
    assert!(error.to_string().contains("left over"), "{error}");
}

#[test]
fn a_key_of_a_map_is_a_register() {
    let mut a = empty::<LwwMap<u8, u8>>(1);
    let mut b = empty::<LwwMap<u8, u8>>(2);
    let at = Timestamp::from_millis;
    a.update_at(at(10), |m| m.insert(&1, &1)).expect("written");
    b.update_at(at(11), |m| m.insert(&1, &2)).expect("written");
    a.merge(&b).expect("an id of its own");
    let register = a.view().register(&1);
    assert_eq!(register.get(), Ok(Some(2)));
    assert_eq!(register.timestamp(), Some(at(11)));
    assert_eq!(register.losers(), Ok(vec![1]));
    assert_eq!(a.view().conflicts(&1), 1);
    assert!(a.view().register(&9).is_empty());
}

#[test]
fn an_element_needs_neither_serde_nor_debug() {
    let set = after::<OrSet<Bare>, _>(|s| s.insert(&Bare(1)));
    assert!(set.view().contains(&Bare(1)));
    let record = after::<OfBare, _>(|r| r.all().insert(&Bare(1)));
    assert_eq!(record.view().all().len(), 1);
}
