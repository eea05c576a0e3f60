//! The types under test: their operations, what each wants to do to the tree, and what a value
//! reads as.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use crdt_core::{
    Crdt, DwFlag, EwFlag, GCounter, GSet, Joined, Lattice, LwwMap, LwwRegister, MaxRegister,
    MinRegister, MvRegister, OrMap, OrSet, PnCounter, RemoveWinsSet, SetView,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

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

    /// A few that meet, for histories that are gone through exhaustively; the first two most.
    fn alphabet() -> Vec<Self::Op>;

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

fn a() -> String {
    "a".to_owned()
}

fn b() -> String {
    "b".to_owned()
}

impl Subject for GCounter {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        any::<u8>().boxed()
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![1, 2]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![PnOp::Add(5), PnOp::Reset, PnOp::Add(-2)]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![
            GSetOp::Insert(a()),
            GSetOp::Ensure(a()),
            GSetOp::Insert(b()),
        ]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![
            SetOp::Insert(a()),
            SetOp::Remove(a()),
            SetOp::Clear,
            SetOp::Insert(b()),
        ]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![1, 2]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![1, 2]
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

    fn alphabet() -> Vec<Self::Op> {
        vec![
            MapOp::At(a(), 1),
            MapOp::Remove(a()),
            MapOp::At(a(), 2),
            MapOp::Clear,
        ]
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

    fn alphabet() -> Vec<Self::Op> {
        let mut inner = V::alphabet().into_iter().map(|op| MapOp::At(a(), op));
        let (first, second) = (inner.next(), inner.next());
        let first = first.into_iter().chain([MapOp::Remove(a())]);
        first.chain(second).chain([MapOp::Clear]).collect()
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
    intent.place_mut().insert(0, key.to_owned());
    intent
}

/// Something put in or taken away.
#[derive(Clone, Debug)]
pub(crate) enum Either<T> {
    In(T),
    Out(T),
}

fn either<T: Clone + Debug + 'static>(of: BoxedStrategy<T>) -> BoxedStrategy<Either<T>> {
    let out = of.clone().prop_map(Either::Out);
    prop_oneof![3 => of.prop_map(Either::In), 2 => out].boxed()
}

/// Of a leaf of plus and minus: a plus and no minus.
fn is_on(live: &[&Event]) -> bool {
    let wrote = |sign| {
        let mut all = live.iter();
        all.any(|e| matches!(e.what, What::Write { value, .. } if value == sign))
    };
    wrote(1) && !wrote(0)
}

impl Subject for RemoveWinsSet<String> {
    type Op = Either<String>;

    fn ops() -> BoxedStrategy<Self::Op> {
        either(names())
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![Either::In(a()), Either::Out(a()), Either::In(b())]
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            Either::In(e) => edit.insert(e.as_str()),
            Either::Out(e) => edit.remove(e.as_str()),
        };
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            Either::In(e) => Intent::Write(vec![e.clone()], 1),
            Either::Out(e) => Intent::Write(vec![e.clone()], 0),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        let elements: BTreeSet<String> = view.iter().collect();
        assert_eq!(elements.len(), view.len());
        assert_eq!(view.is_empty(), elements.is_empty());
        assert!(elements.iter().all(|e| view.contains(e)));
        Reading::Elements(elements)
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        let of = |e: &str| -> Vec<&Event> {
            let here = live.iter().filter(|event| event.place[depth] == e);
            here.copied().collect()
        };
        let all: BTreeSet<String> = live
            .iter()
            .map(|event| event.place[depth].clone())
            .collect();
        Reading::Elements(all.into_iter().filter(|e| is_on(&of(e))).collect())
    }
}

impl Subject for EwFlag {
    type Op = Either<()>;

    fn ops() -> BoxedStrategy<Self::Op> {
        either(Just(()).boxed())
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![Either::In(()), Either::Out(())]
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            Either::In(()) => edit.enable(),
            Either::Out(()) => drop(edit.disable()),
        }
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            Either::In(()) => Intent::Write(vec![], 1),
            Either::Out(()) => Intent::Remove(vec![]),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Number(view.is_on().into())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        Reading::Number((!live.is_empty()).into())
    }
}

impl Subject for DwFlag {
    type Op = Either<()>;

    fn ops() -> BoxedStrategy<Self::Op> {
        either(Just(()).boxed())
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![Either::In(()), Either::Out(())]
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            Either::In(()) => edit.enable(),
            Either::Out(()) => edit.disable(),
        }
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            Either::In(()) => Intent::Write(vec![], 1),
            Either::Out(()) => Intent::Write(vec![], 0),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Number(view.is_on().into())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        Reading::Number(is_on(live).into())
    }
}

fn written<'a>(live: &'a [&Event]) -> impl Iterator<Item = u8> + 'a {
    live.iter().filter_map(|event| match event.what {
        What::Write { value, .. } => Some(value),
        _ => None,
    })
}

impl Subject for MaxRegister<u8> {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        (0..6u8).boxed()
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![2, 1, 3]
    }

    fn apply(edit: &mut Self::Edit<'_>, value: &u8) {
        edit.raise(value);
    }

    fn intent(value: &u8) -> Intent {
        Intent::Push(vec![], *value, Ordering::Greater)
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Winner(view.get())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        Reading::Winner(written(live).max())
    }
}

impl Subject for MinRegister<u8> {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        (0..6u8).boxed()
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![2, 3, 1]
    }

    fn apply(edit: &mut Self::Edit<'_>, value: &u8) {
        edit.lower(value);
    }

    fn intent(value: &u8) -> Intent {
        Intent::Push(vec![], *value, Ordering::Less)
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Winner(view.get())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        Reading::Winner(written(live).min())
    }
}

/// Sets of eight bits, joined by union.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bits(pub(crate) u8);

impl Lattice for Bits {
    const NAME: &'static str = "bits";

    fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Subject for Joined<Bits> {
    type Op = u8;

    fn ops() -> BoxedStrategy<u8> {
        (0..8u32).prop_map(|bit| 1 << bit).boxed()
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![1, 2]
    }

    fn apply(edit: &mut Self::Edit<'_>, bit: &u8) {
        edit.update(|bits| bits.0 = *bit);
    }

    fn intent(bit: &u8) -> Intent {
        Intent::Join(vec![], *bit)
    }

    fn read(view: Self::View<'_>) -> Reading {
        Reading::Number(view.get().expect("bits").0.into())
    }

    fn expected(live: &[&Event], _: usize) -> Reading {
        Reading::Number(written(live).fold(0, |all, bits| all | bits).into())
    }
}

crdt_core::record! {
    /// One of each kind of leaf.
    pub(crate) struct Profile: "profile", ProfileView, ProfileEdit {
        name: LwwRegister<u8>,
        tags: OrSet<String>,
        visits: PnCounter,
    }
}

const FIELDS: [&str; 3] = ["name:lww_register", "tags:or_set<str>", "visits:pn_counter"];

#[derive(Clone, Debug)]
pub(crate) enum ProfileOp {
    Name(u8),
    Tags(SetOp),
    Visits(PnOp),
}

impl Subject for Profile {
    type Op = ProfileOp;

    fn ops() -> BoxedStrategy<Self::Op> {
        prop_oneof![
            LwwRegister::<u8>::ops().prop_map(ProfileOp::Name),
            OrSet::<String>::ops().prop_map(ProfileOp::Tags),
            PnCounter::ops().prop_map(ProfileOp::Visits),
        ]
        .boxed()
    }

    fn alphabet() -> Vec<Self::Op> {
        vec![
            ProfileOp::Name(1),
            ProfileOp::Tags(SetOp::Insert(a())),
            ProfileOp::Tags(SetOp::Clear),
            ProfileOp::Visits(PnOp::Add(1)),
        ]
    }

    fn apply(edit: &mut Self::Edit<'_>, op: &Self::Op) {
        match op {
            ProfileOp::Name(op) => LwwRegister::<u8>::apply(&mut edit.name(), op),
            ProfileOp::Tags(op) => OrSet::<String>::apply(&mut edit.tags(), op),
            ProfileOp::Visits(op) => PnCounter::apply(&mut edit.visits(), op),
        }
    }

    fn intent(op: &Self::Op) -> Intent {
        match op {
            ProfileOp::Name(op) => under(FIELDS[0], LwwRegister::<u8>::intent(op)),
            ProfileOp::Tags(op) => under(FIELDS[1], OrSet::<String>::intent(op)),
            ProfileOp::Visits(op) => under(FIELDS[2], PnCounter::intent(op)),
        }
    }

    fn read(view: Self::View<'_>) -> Reading {
        let fields = [
            LwwRegister::<u8>::read(view.name()),
            OrSet::<String>::read(view.tags()),
            PnCounter::read(view.visits()),
        ];
        let named = FIELDS.iter().map(|field| (*field).to_owned()).zip(fields);
        Reading::Map(named.collect())
    }

    fn expected(live: &[&Event], depth: usize) -> Reading {
        let of = |field: usize| -> Vec<&Event> {
            let here = live
                .iter()
                .filter(|event| event.place[depth] == FIELDS[field]);
            here.copied().collect()
        };
        let fields = [
            LwwRegister::<u8>::expected(&of(0), depth + 1),
            OrSet::<String>::expected(&of(1), depth + 1),
            PnCounter::expected(&of(2), depth + 1),
        ];
        let named = FIELDS.iter().map(|field| (*field).to_owned()).zip(fields);
        Reading::Map(named.collect())
    }
}

/// Calls a macro with all types under test, each with a name for a module.
macro_rules! for_all_types {
    ($then:ident) => {
        $then! {
            g_counter: GCounter;
            pn_counter: PnCounter;
            g_set: GSet<String>;
            or_set: OrSet<String>;
            lww_register: LwwRegister<u8>;
            mv_register: MvRegister<u8>;
            lww_map: LwwMap<String, u8>;
            remove_wins_set: RemoveWinsSet<String>;
            ew_flag: EwFlag;
            dw_flag: DwFlag;
            max_register: MaxRegister<u8>;
            min_register: MinRegister<u8>;
            joined: Joined<Bits>;
            record: Profile;
            or_map_of_pn_counter: OrMap<String, PnCounter>;
            or_map_of_remove_wins_set: OrMap<String, RemoveWinsSet<String>>;
            or_map_of_max_register: OrMap<String, MaxRegister<u8>>;
            or_map_of_dw_flag: OrMap<String, DwFlag>;
            or_map_of_record: OrMap<String, Profile>;
            or_map_of_or_set: OrMap<String, OrSet<String>>;
            or_map_of_mv_register: OrMap<String, MvRegister<u8>>;
            or_map_of_or_map_of_pn_counter: OrMap<String, OrMap<String, PnCounter>>;
        }
    };
}

pub(crate) use for_all_types;
