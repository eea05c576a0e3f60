//! Bytes are identity, and bytes outlive the types that wrote them: what goes wrong with that is
//! refused or reported. What the compiler refuses is in `src/refused.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crdt_core::{
    Causal, Crdt, Delta, EditError, GCounterMap, GSet, Joined, Lattice, LoadError, LwwMap,
    LwwRegister, MvRegister, OrMap, OrSet, Payload, PayloadError, PnCounter, Shape, UsedId,
    WrittenFrom, check_payload, record,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::support::{empty, replica, update};

/// What writing `value` is refused with, the same by every type that holds payloads; nothing is
/// written.
fn refused<V: Payload>(value: &V) -> PayloadError {
    fn by<T: Crdt>(write: impl FnOnce(&mut T::Edit<'_>)) -> PayloadError {
        let mut at = empty::<T>(1);
        let Err(EditError::Payload(error)) = at.update(write) else {
            panic!("the payload was not refused");
        };
        assert_eq!(at.encode(), empty::<T>(1).encode());
        error
    }
    let error = by::<LwwRegister<V>>(|r| r.set(value));
    assert_eq!(by::<MvRegister<V>>(|r| r.set(value)), error);
    assert_eq!(by::<LwwMap<u8, V>>(|m| m.insert(&1, value)), error);
    assert_eq!(check_payload(value), Err(error.clone()));
    error
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    nick: Option<String>,
    age: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum InternallyTagged {
    Number { n: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum AdjacentlyTagged {
    Number(u64),
}

#[derive(Serialize, Deserialize)]
struct Flattens {
    age: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Serialize, Deserialize)]
struct OneSided {
    #[serde(serialize_with = "doubled")]
    n: u8,
}

fn doubled<S: Serializer>(n: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(n * 2)
}

#[test]
fn types_that_need_the_names_of_fields_are_refused_when_they_are_written() {
    let unreadable = |error| matches!(error, PayloadError::Unreadable(_));
    assert!(unreadable(refused(&Untagged::Number(1))));
    assert!(unreadable(refused(&Untagged::Text("a".to_owned()))));
    assert!(unreadable(refused(&InternallyTagged::Number { n: 1 })));
    assert!(unreadable(refused(&AdjacentlyTagged::Number(1))));
    assert!(unreadable(refused(&serde_json::json!({"a": 1}))));
    let rest = BTreeMap::from([("a".to_owned(), 1)]);
    let flattens = Flattens { age: 7, rest };
    assert!(matches!(refused(&flattens), PayloadError::Postcard(_)));
}

#[test]
fn a_field_that_is_skipped_is_refused_when_it_is_skipped() {
    let age = 7;
    let skipped = Skips { nick: None, age };
    assert!(matches!(refused(&skipped), PayloadError::Unreadable(_)));
    let nick = Some("Ann".to_owned());
    assert_eq!(check_payload(&Skips { nick, age }), Ok(()));
}

#[test]
fn what_is_written_otherwise_than_read_is_refused() {
    assert_eq!(refused(&OneSided { n: 3 }), PayloadError::ReadsDifferently);
}

/// Where the bytes of the next field happen to be a value of the skipped one, too.
#[test]
fn a_skipped_field_that_is_filled_from_the_next_goes_unnoticed() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Filled {
        #[serde(skip_serializing_if = "is_zero")]
        first: u8,
        second: u32,
    }
    fn is_zero(n: &u8) -> bool {
        *n == 0
    }
    let (first, second) = (0, 128);
    assert_eq!(check_payload(&Filled { first, second }), Ok(()));
}

#[test]
fn serde_attributes_that_do_no_harm_are_let_through() {
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Harmless {
        #[serde(default, rename = "n", alias = "number")]
        number: u8,
        #[serde(skip)]
        _cached: u64,
    }
    let (number, _cached) = (1, 9);
    let value = Harmless { number, _cached };
    assert_eq!(check_payload(&value), Ok(()));
}

/// What one write of each kind that holds payloads leaves, as bytes.
fn written<V: Payload + WrittenFrom<Q>, Q: ?Sized>(value: &Q) -> [Vec<u8>; 3] {
    let mut lww = empty::<LwwRegister<V>>(1);
    let mut mv = empty::<MvRegister<V>>(1);
    let mut map = empty::<LwwMap<u8, V>>(1);
    update(&mut lww, |r| r.set(value));
    update(&mut mv, |r| r.set(value));
    update(&mut map, |m| m.insert(&1, value));
    [lww.encode(), mv.encode(), map.encode()]
}

#[test]
fn borrowed_forms_are_written_as_what_they_borrow() {
    fn own<V: Payload>(value: &V) -> [Vec<u8>; 3] {
        written::<V, V>(value)
    }
    let long = "\u{e9}".repeat(2000);
    for text in ["", "a", "it's \u{1f980}", &long] {
        assert_eq!(written::<String, _>(text), own(&text.to_owned()));
    }
    // An array by itself has no length, and one that stands for a vector has.
    let bytes = b"abc";
    assert_eq!(written::<Vec<u8>, _>(bytes), own(&bytes.to_vec()));
    assert_eq!(written::<Vec<u8>, _>(&bytes[..]), own(&bytes.to_vec()));
    assert_ne!(own(bytes), own(&bytes.to_vec()));
    // Of registers that tell values apart by their bytes, too.
    let (mut a, mut b) = (
        empty::<MvRegister<String>>(1),
        empty::<MvRegister<String>>(2),
    );
    update(&mut a, |r| r.set("x"));
    update(&mut b, |r| r.set(&"x".to_owned()));
    a.merge(&b).expect("it merges");
    assert_eq!(a.view().values(), Ok(vec!["x".to_owned()]));
}

/// A form that is not written as the payload is caught as what can't be read is.
#[test]
fn a_borrowed_form_with_other_bytes_is_refused() {
    #[derive(Serialize, Deserialize)]
    struct Name(String);
    impl WrittenFrom<u64> for Name {
        fn write_from<S: Serializer>(form: &u64, serializer: S) -> Result<S::Ok, S::Error> {
            form.serialize(serializer)
        }
    }
    let mut at = empty::<LwwRegister<Name>>(1);
    let error = at.update(|r| r.set(&5)).map(drop);
    let Err(EditError::Payload(PayloadError::Unreadable(_))) = error else {
        panic!("{error:?} instead of a refusal");
    };
    assert!(at.view().is_empty());
}

/// Types that a caller leaves open are those of the payload still.
#[test]
fn the_type_of_a_payload_is_inferred() {
    let mut at = empty::<LwwRegister<u16>>(1);
    update(&mut at, |r| r.set(&7));
    update(&mut at, |r| r.set(&"8".parse().expect("a number")));
    update(&mut at, |r| r.set(&3u8.into()));
    update(&mut at, |r| r.set(&Default::default()));
    let mut at = empty::<MvRegister<Option<String>>>(1);
    update(&mut at, |r| r.set(&None));
    update(&mut at, |r| r.set(&Some("x".into())));
    let mut at = empty::<LwwMap<u8, Vec<u64>>>(1);
    update(&mut at, |m| m.insert(&1, &Vec::new()));
    update(&mut at, |m| m.insert(&1, &vec![1, 2]));
    update(&mut at, |m| m.insert(&1, &(1..3).collect()));
    let mut at = empty::<LwwRegister<[i8; 2]>>(1);
    update(&mut at, |r| r.set(&[1, 2]));
    let mut at = empty::<LwwRegister<(f32, BTreeMap<u8, u8>)>>(1);
    update(&mut at, |r| r.set(&(1.0, BTreeMap::new())));
}

/// Payloads are opaque: floats are no identity in them.
#[test]
fn floats_are_payloads_and_nan_too() {
    let mut at = empty::<MvRegister<f64>>(1);
    for value in [f64::NAN, -0.0, 0.0, f64::INFINITY] {
        update(&mut at, |r| r.set(&value));
        let read = at.view().values().expect("a float");
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].to_bits(), value.to_bits());
    }
}

#[test]
fn hash_maps_are_refused_where_bytes_tell_values_apart() {
    let squares: HashMap<u32, u32> = (0..200).map(|n| (n, n * n)).collect();
    let set: HashSet<u32> = (0..200).collect();
    let no_fixed_order = |error| error == Err(EditError::Payload(PayloadError::NoFixedOrder));
    let mut mv = empty::<MvRegister<HashMap<u32, u32>>>(1);
    assert!(no_fixed_order(mv.update(|r| r.set(&squares)).map(drop)));
    assert!(mv.view().is_empty());
    assert_eq!(check_payload(&set), Err(PayloadError::NoFixedOrder));
    assert_eq!(
        check_payload(&vec![(1u8, squares.clone())]),
        Err(PayloadError::NoFixedOrder)
    );
    let sorted: BTreeMap<u32, u32> = squares.clone().into_iter().collect();
    assert_eq!(check_payload(&sorted), Ok(()));
    // Elsewhere the winner is chosen by timestamp and replica, and equal values need no equal bytes.
    let mut lww = empty::<LwwRegister<HashMap<u32, u32>>>(1);
    update(&mut lww, |r| r.set(&squares));
    assert_eq!(lww.view().get(), Ok(Some(squares)));
    let mut joined = empty::<Joined<Seen>>(1);
    update(&mut joined, |j| j.update(|seen| seen.0 = set.clone()));
    assert_eq!(joined.view().get().expect("readable").0, set);
}

/// A lattice with a hash set in it.
#[derive(Default, Serialize, Deserialize)]
struct Seen(HashSet<u32>);

impl Lattice for Seen {
    const NAME: &'static str = "seen";

    fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Person {
    name: String,
    age: u8,
}

/// Reads what was written as a `Was` as a `Now`.
fn reread<Was: Payload, Now: Payload>(written: &Was) -> Result<Option<Now>, PayloadError> {
    let mut was = empty::<LwwRegister<Was>>(1);
    update(&mut was, |r| r.set(written));
    let now = Causal::<LwwRegister<Now>>::load(&was.encode(), replica(2)).expect("one shape");
    now.view().get()
}

#[test]
fn an_evolved_struct_or_enum_is_an_error_of_reading() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct WithMail {
        name: String,
        age: u8,
        mail: String,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Two {
        A,
        B,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    enum Three {
        A,
        B,
        C(u8),
    }
    let (name, age) = ("Ann".to_owned(), 7);
    let old = Person {
        name: name.clone(),
        age,
    };
    let added = reread::<_, WithMail>(&old);
    assert!(matches!(added, Err(PayloadError::Postcard(_))), "{added:?}");
    let mail = "ann@example.org".to_owned();
    let removed = reread::<_, Person>(&WithMail { name, age, mail });
    assert_eq!(removed, Err(PayloadError::LeftOver(16)));
    let unknown = reread::<_, Two>(&Three::C(1));
    assert!(
        matches!(unknown, Err(PayloadError::Postcard(_))),
        "{unknown:?}"
    );
    // A variant added at the end harms nobody.
    assert_eq!(reread::<_, Three>(&Two::B), Ok(Some(Three::B)));
    assert_eq!(reread::<_, Three>(&Two::A), Ok(Some(Three::A)));
}

/// What the documentation of `Payload` says can't be noticed.
#[test]
fn a_struct_whose_bytes_fit_both_versions_is_misread() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Was {
        width: u8,
        height: u8,
    }
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Now {
        height: u8,
        width: u8,
    }
    let (width, height) = (1, 2);
    let now = reread::<_, Now>(&Was { width, height });
    let (width, height) = (height, width);
    assert_eq!(now, Ok(Some(Now { height, width })));
}

/// A node that can't read a payload keeps it and passes it on.
#[test]
fn an_unreadable_payload_is_kept_and_passed_on() {
    let mut new = empty::<LwwMap<u8, (u8, String)>>(1);
    update(&mut new, |m| m.insert(&1, &(1, "a".to_owned())));
    let mut old = Causal::<LwwMap<u8, u8>>::load(&new.encode(), replica(2)).expect("one shape");
    assert_eq!(old.view().get(&1), Err(PayloadError::LeftOver(2)));
    update(&mut old, |m| m.insert(&2, &7));
    let again = Causal::<LwwMap<u8, (u8, String)>>::load(&old.encode(), replica(3));
    let again = again.expect("one shape");
    assert_eq!(again.view().get(&1), Ok(Some((1, "a".to_owned()))));
    assert!(again.view().get(&2).is_err());
    assert_eq!(again.view().len(), 2);
}

/// Bytes of a `Was`, or of a delta of one, are not taken for a `Now`.
fn are_told_apart<Was: Crdt, Now: Crdt>(write: impl FnOnce(&mut Was::Edit<'_>) -> bool) {
    assert_ne!(Shape::of::<Was>(), Shape::of::<Now>());
    let mut was = empty::<Was>(1);
    let done = update(&mut was, write);
    let loaded = Causal::<Now>::load(&was.encode(), replica(2));
    assert_eq!(loaded.err(), Some(LoadError::Shape));
    let loaded = Delta::<Now>::load(&done.delta.encode());
    assert_eq!(loaded.err(), Some(LoadError::Shape));
}

#[test]
fn widened_elements_and_keys_are_another_type() {
    are_told_apart::<GSet<u32>, GSet<u64>>(|s| s.insert(&1));
    are_told_apart::<OrSet<u32>, OrSet<i32>>(|s| s.insert(&1));
    are_told_apart::<LwwMap<u32, u8>, LwwMap<u64, u8>>(|m| {
        m.insert(&1, &1);
        true
    });
    are_told_apart::<GCounterMap<u8>, GCounterMap<char>>(|m| {
        m.entry(&1).add(1);
        true
    });
    are_told_apart::<GSet<[u8; 16]>, GSet<Vec<u8>>>(|s| s.insert(&[1; 16]));
    are_told_apart::<GSet<[u8; 16]>, GSet<[u8; 17]>>(|s| s.insert(&[1; 16]));
    are_told_apart::<GSet<[u8; 16]>, GSet<u128>>(|s| s.insert(&[1; 16]));
    are_told_apart::<GSet<String>, GSet<Vec<u8>>>(|s| s.insert("a"));
    are_told_apart::<GSet<(u8, u8)>, GSet<[u8; 2]>>(|s| s.insert(&(1, 2)));
    are_told_apart::<OrMap<u8, PnCounter>, GCounterMap<u8>>(|m| m.remove(&1));
}

mod before {
    super::record! {
        /// A record as it was.
        pub(super) struct Doc: "doc", DocView, DocEdit {
            ids: super::OrSet<u32>,
            name: super::LwwRegister<String>,
        }
    }
}

mod after {
    super::record! {
        /// A record of which a field was widened and one added.
        pub(super) struct Doc: "doc", DocView, DocEdit {
            ids: super::OrSet<u64>,
            hits: super::PnCounter,
            name: super::LwwRegister<String>,
        }
    }
}

/// Within one value two types under one name stand side by side, as they do under a key of the store.
#[test]
fn a_field_that_was_widened_stands_beside_what_it_was() {
    let mut old = empty::<before::Doc>(1);
    update(&mut old, |d| {
        d.ids().insert(&7);
        d.name().set("a");
    });
    let mut new = Causal::<after::Doc>::load(&old.encode(), replica(2)).expect("one shape");
    assert!(new.view().ids().is_empty());
    assert_eq!(new.view().name().get(), Ok(Some("a".to_owned())));
    update(&mut new, |d| {
        d.ids().insert(&8);
        d.hits().add(1);
    });
    let back = Causal::<before::Doc>::load(&new.encode(), replica(3)).expect("one shape");
    assert!(back.view().ids().iter().eq([7]));
    let forth = Causal::<after::Doc>::load(&back.encode(), replica(4)).expect("one shape");
    assert!(forth.view().ids().iter().eq([8]));
    assert_eq!(forth.view().hits().value(), 1);
}

/// The id of a replica that wrote to a value is in its context: nobody else goes on under it.
#[test]
fn a_value_is_not_loaded_under_an_id_that_wrote_to_it() {
    let mut a = empty::<OrSet<u8>>(1);
    update(&mut a, |s| s.insert(&1));
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut b, |s| s.insert(&2));
    for used in [1, 2] {
        let loaded = Causal::<OrSet<u8>>::load(&b.encode(), replica(used));
        assert_eq!(loaded.err(), Some(UsedId(replica(used)).into()));
    }
    // Also where nothing of what it wrote is left.
    update(&mut b, |s| s.remove(&1));
    let loaded = Causal::<OrSet<u8>>::load(&b.encode(), replica(1));
    assert_eq!(loaded.err(), Some(UsedId(replica(1)).into()));
    assert!(Causal::<OrSet<u8>>::load(&b.encode(), replica(3)).is_ok());
}

/// Nor does it come together unnoticed with what somebody else wrote under the own id, as far as one
/// replica can see that.
#[test]
fn what_somebody_else_wrote_under_the_own_id_is_refused() {
    let taken = UsedId(replica(1));
    let mut a = empty::<OrSet<u8>>(1);
    let mut unheard = empty::<OrSet<u8>>(2);
    assert_eq!(a.fork(replica(1)).err(), Some(taken));
    update(&mut a, |s| s.insert(&1));
    unheard.merge(&a).expect("an id of its own");
    assert_eq!(unheard.fork(replica(1)).err(), Some(taken));

    // A value that began under the same id, with as many events, more, or none yet.
    for events in 0..4 {
        let mut twin = empty::<OrSet<u8>>(1);
        (0..events).for_each(|n| drop(update(&mut twin, |s| s.insert(&(10 + n)))));
        let before = a.encode();
        assert_eq!(a.merge(&twin), Err(taken));
        assert_eq!(a.encode(), before);
        assert_eq!(twin.merge(&a), Err(taken));
    }

    // By way of a third replica it shows by the events that this one did not make.
    let mut twin = empty::<OrSet<u8>>(1);
    let deltas = [10, 11].map(|n| update(&mut twin, |s| s.insert(&n)).delta);
    let mut third = empty::<OrSet<u8>>(3);
    third.merge(&twin).expect("an id of its own");
    let before = a.encode();
    assert_eq!(a.merge(&third), Err(taken));
    assert_eq!(a.apply(&deltas[1]), Err(taken.into()));
    assert_eq!(a.encode(), before);

    // Nor may a delta bring them beside what it is about: records that its maker had already.
    let mut old = empty::<OrSet<u8>>(1);
    update(&mut old, |s| s.insert(&7));
    update(&mut old, |s| s.remove(&7));
    let mut fourth = old.fork(replica(4)).expect("an id of its own");
    let done = update(&mut fourth, |s| s.insert(&7));
    let before = a.encode();
    assert_eq!(a.apply(&done.delta), Err(taken.into()));
    assert_eq!(a.encode(), before);

    // A removal may have seen what has not come here.
    let mut fifth = empty::<OrSet<u8>>(5);
    update(&mut fifth, |s| s.insert(&7));
    let mut remover = fifth.fork(replica(6)).expect("an id of its own");
    let done = update(&mut remover, |s| s.remove(&7));
    let mut without = empty::<OrSet<u8>>(8);
    without.apply(&done.delta).expect("it builds on nothing");
    assert_eq!(without.fork(replica(5)).err(), Some(UsedId(replica(5))));
    let loaded = Causal::<OrSet<u8>>::load(&without.encode(), replica(5));
    assert_eq!(loaded.err(), Some(UsedId(replica(5)).into()));

    // Two that only read may have one id.
    let (mut one, other) = (unheard.fork(replica(7)), a.fork(replica(7)));
    let (one, other) = (
        one.as_mut().expect("a fresh id"),
        other.expect("a fresh id"),
    );
    assert_eq!(one.merge(&other), Ok(()));
}

/// Values of which nobody took part in the other's history are united like any others.
#[test]
fn values_with_unrelated_histories_are_united() {
    let mut a = empty::<OrSet<u8>>(1);
    update(&mut a, |s| (s.insert(&1), s.insert(&2), s.remove(&1)));
    let mut b = empty::<OrSet<u8>>(2);
    update(&mut b, |s| (s.insert(&1), s.insert(&3)));
    a.merge(&b).expect("an id of its own");
    b.merge(&a).expect("an id of its own");
    assert!(a.view().iter().eq([1, 2, 3]));
    assert_eq!(a.view(), b.view());
}
