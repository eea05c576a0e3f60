//! The types under test: their operations, what each wants to do to the tree, and what a value
//! reads as.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crdt_core::{
    Crdt, GCounter, GSet, LwwMap, LwwRegister, MvRegister, OrMap, OrSet, PnCounter, SetView,
};
use proptest::prelude::*;

use super::oracle::{Event, Intent, What};

/// A value as read, of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Number(i128),
    Elements(BTreeSet<String>),
    Winner(Option<u8>),
    Values(BTreeSet<u8>),
    Map(BTreeMap<String, Reading>),
}

/// A type under test.
pub(crate) trait Subject: Crdt {
    /// One of its operations.
    type Op: Clone + Debug + 'static;

    /// Random operations.
    fn ops() -> BoxedStrategy<Self::Op>;

    /// Does it.
    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op);

    /// What it means to the specification.
    fn intent(op: &Self::Op) -> Intent;

    /// The value as the type reads it.
    fn read(view: Self::View<'_>) -> Reading;

    /// The value that the live events, `depth` levels above which the value stands, ought to give.
    fn expected(live: &[&Event], depth: usize) -> Reading;
}

/// Few keys and elements, so that histories meet at them.
fn names() -> BoxedStrategy<String> {
    prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]).boxed()
}

impl Subject for GCounter {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        any::<u8>().boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, n: &u8) {
        edit.add(u64::from(*n));
    }

    fn intent(n: &u8) -> Intent {
        Intent::Count(vec![], i64::from(*n))
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Number(view.value() as i128)
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        sum(live)
    }
}

fn sum(live: &[&Event]) -> Reading {
    let amounts = live.iter().map(|event| match event.what {
        What::Count { n, .. } => i128::from(n),
        _ => 0,
    });
    Reading::Number(amounts.sum())
}

#[derive(Clone, Debug)]
pub(crate) enum PnOp {
    Add(i8),
    Reset,
}

impl Subject for PnCounter {
    type Op = PnOp;

    fn ops() -> BoxedStrategy<PnOp> {
        prop_oneof![
            4 => any::<i8>().prop_map(PnOp::Add),
            1 => Just(PnOp::Reset),
        ]
        .boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &PnOp) {
        match op {
            PnOp::Add(n) => edit.add(i64::from(*n)),
            PnOp::Reset => drop(edit.reset()),
        }
    }

    fn intent(op: &PnOp) -> Intent {
        match op {
            PnOp::Add(n) => Intent::Count(vec![], i64::from(*n)),
            PnOp::Reset => Intent::Remove(vec![]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Number(view.value())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        sum(live)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum GSetOp {
    Insert(String),
    Ensure(String),
}

impl Subject for GSet<String> {
    type Op = GSetOp;

    fn ops() -> BoxedStrategy<GSetOp> {
        prop_oneof![
            names().prop_map(GSetOp::Insert),
            names().prop_map(GSetOp::Ensure),
        ]
        .boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &GSetOp) {
        match op {
            GSetOp::Insert(e) => edit.insert(e.as_str()),
            GSetOp::Ensure(e) => edit.ensure(e.as_str()),
        };
    }

    fn intent(op: &GSetOp) -> Intent {
        match op {
            GSetOp::Insert(e) => Intent::Write(vec![e.clone()], 0),
            GSetOp::Ensure(e) => Intent::Ensure(vec![e.clone()]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        elements(view)
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        live_elements(live, depth)
    }
}

fn elements(view: SetView<'_, String>) -> Reading {
    let elements: BTreeSet<String> = view.iter().collect();
    assert_eq!(elements.len(), view.len());
    assert_eq!(view.is_empty(), elements.is_empty());
    assert!(elements.iter().all(|e| view.contains(e)));
    Reading::Elements(elements)
}

fn live_elements(live: &[&Event], depth: usize) -> Reading {
    Reading::Elements(live.iter().map(|e| e.place[depth].clone()).collect())
}

#[derive(Clone, Debug)]
pub(crate) enum SetOp {
    Insert(String),
    Ensure(String),
    Remove(String),
    Clear,
}

impl Subject for OrSet<String> {
    type Op = SetOp;

    fn ops() -> BoxedStrategy<SetOp> {
        prop_oneof![
            4 => names().prop_map(SetOp::Insert),
            1 => names().prop_map(SetOp::Ensure),
            3 => names().prop_map(SetOp::Remove),
            1 => Just(SetOp::Clear),
        ]
        .boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &SetOp) {
        match op {
            SetOp::Insert(e) => edit.insert(e.as_str()),
            SetOp::Ensure(e) => edit.ensure(e.as_str()),
            SetOp::Remove(e) => edit.remove(e.as_str()),
            SetOp::Clear => edit.clear(),
        };
    }

    fn intent(op: &SetOp) -> Intent {
        match op {
            SetOp::Insert(e) => Intent::Write(vec![e.clone()], 0),
            SetOp::Ensure(e) => Intent::Ensure(vec![e.clone()]),
            SetOp::Remove(e) => Intent::Remove(vec![e.clone()]),
            SetOp::Clear => Intent::Remove(vec![]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        elements(view)
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        live_elements(live, depth)
    }
}

impl Subject for LwwRegister<u8> {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        any::<u8>().boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, value: &u8) {
        edit.set(value);
    }

    fn intent(value: &u8) -> Intent {
        Intent::Write(vec![], *value)
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Winner(view.get().expect("a payload"))
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        winner(live)
    }
}

fn winner(live: &[&Event]) -> Reading {
    let writes = live.iter().filter_map(|event| match event.what {
        What::Write { value, stamp } => Some((stamp, event.dot.replica, value)),
        _ => None,
    });
    Reading::Winner(writes.max().map(|(_, _, value)| value))
}

impl Subject for MvRegister<u8> {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        (0..5u8).boxed()
    }

    fn apply(edit: &mut Self::Edit<'_>, value: &u8) {
        edit.set(value);
    }

    fn intent(value: &u8) -> Intent {
        Intent::Write(vec![], *value)
    }

    fn read(view: Self::View<'_>) -> Reading {
        let values = view.values().expect("payloads");
        assert_eq!(view.is_empty(), values.is_empty());
        Reading::Values(values.into_iter().collect())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        let values = live.iter().filter_map(|event| match event.what {
            What::Write { value, .. } => Some(value),
            _ => None,
        });
        Reading::Values(values.collect())
    }
}

#[derive(Clone, Debug)]
pub(crate) enum MapOp<O> {
    At(String, O),
    Remove(String),
    Clear,
}

fn map_ops<O: Clone + Debug + 'static>(inner: BoxedStrategy<O>) -> BoxedStrategy<MapOp<O>> {
    prop_oneof![
        6 => (names(), inner).prop_map(|(k, op)| MapOp::At(k, op)),
        3 => names().prop_map(MapOp::Remove),
        1 => Just(MapOp::Clear),
    ]
    .boxed()
}

/// The live events by the name that they have at this depth, each group as `read` gives it.
fn by_name(live: &[&Event], depth: usize, read: impl Fn(&[&Event]) -> Reading) -> Reading {
    let mut groups: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in live {
        groups
            .entry(event.place[depth].clone())
            .or_default()
            .push(event);
    }
    Reading::Map(groups.into_iter().map(|(k, g)| (k, read(&g))).collect())
}

impl Subject for LwwMap<String, u8> {
    type Op = MapOp<u8>;

    fn ops() -> BoxedStrategy<Self::Op> {
        map_ops(any::<u8>().boxed())
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            MapOp::At(k, value) => edit.insert(k, value),
            MapOp::Remove(k) => drop(edit.remove(k)),
            MapOp::Clear => drop(edit.clear()),
        }
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            MapOp::At(k, value) => Intent::Write(vec![k.clone()], *value),
            MapOp::Remove(k) => Intent::Remove(vec![k.clone()]),
            MapOp::Clear => Intent::Remove(vec![]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        let read = |(k, v): (String, Result<u8, _>)| {
            assert_eq!(v, view.get(&k).map(|v: Option<u8>| v.expect("a value")));
            (k, Reading::Winner(v.ok()))
        };
        Reading::Map(view.iter().map(read).collect())
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        by_name(live, depth, winner)
    }
}

impl<V: Subject> Subject for OrMap<String, V> {
    type Op = MapOp<V::Op>;

    fn ops() -> BoxedStrategy<Self::Op> {
        map_ops(V::ops())
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            MapOp::At(k, op) => V::apply(&mut edit.entry(k), op),
            MapOp::Remove(k) => drop(edit.remove(k)),
            MapOp::Clear => drop(edit.clear()),
        }
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            MapOp::At(k, op) => under(k, V::intent(op)),
            MapOp::Remove(k) => Intent::Remove(vec![k.clone()]),
            MapOp::Clear => Intent::Remove(vec![]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        assert_eq!(view.len(), view.keys().count());
        Reading::Map(view.iter().map(|(k, v)| (k, V::read(v))).collect())
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        by_name(live, depth, |group| V::expected(group, depth + 1))
    }
}

/// The same intent one level further down.
fn under(key: &str, mut intent: Intent) -> Intent {
    match &mut intent {
        Intent::Write(place, _)
        | Intent::Ensure(place)
        | Intent::Remove(place)
        | Intent::Count(place, _) => place.insert(0, key.to_owned()),
    }
    intent
}
