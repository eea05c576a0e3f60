//! Seals: what is settled of incarnations that are gone takes no room in contexts.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::{Context, Dot, ReplicaId};
use proptest::prelude::*;

use crate::support::property;

/// Incarnations of three nodes.
fn replica(node: u64, incarnation: u64) -> ReplicaId {
    ReplicaId::new(node, incarnation)
}

type Dots = BTreeSet<(u64, u64, u64)>;
type Sealed = BTreeMap<u64, u64>;

fn dots() -> impl Strategy<Value = (Dots, Sealed)> {
    let dots = prop::collection::btree_set((1..4u64, 1..4u64, 1..9u64), 0..24);
    let sealed = prop::collection::btree_map(1..4u64, 1..4u64, 0..3);
    (dots, sealed)
}

fn context(dots: &Dots, sealed: &Sealed) -> Context {
    let dot =
        |(node, incarnation, seq): &(u64, u64, u64)| Dot::new(replica(*node, *incarnation), *seq);
    let mut context: Context = dots.iter().map(dot).collect();
    for (node, incarnation) in sealed {
        context.seal(replica(*node, *incarnation), *incarnation);
    }
    context
}

/// Whether an event is in it, by the definition: it was put in, or its incarnation is sealed.
fn has(dots: &Dots, sealed: &Sealed, dot: (u64, u64, u64)) -> bool {
    dots.contains(&dot) || sealed.get(&dot.0).is_some_and(|last| dot.1 <= *last)
}

fn all() -> impl Iterator<Item = (u64, u64, u64)> {
    (1..4).flat_map(|n| (1..5).flat_map(move |i| (1..10).map(move |s| (n, i, s))))
}

fn encoded(context: &Context) -> Vec<u8> {
    let mut w = Writer::new();
    context.encode(&mut w);
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<Context, DecodeError> {
    let mut r = Reader::new(bytes);
    let context = Context::decode(&mut r)?;
    r.finish()?;
    Ok(context)
}

#[test]
fn a_sealed_incarnation_is_as_good_as_wholly_seen() {
    property(
        1024,
        (dots(), dots()),
        |((in_a, seals_a), (in_b, seals_b))| {
            let (a, b) = (context(&in_a, &seals_a), context(&in_b, &seals_b));
            let mut union = a.clone();
            union.union(&b);
            let mut other = b.clone();
            other.union(&a);
            prop_assert_eq!(&union, &other);
            let difference = a.difference(&b);
            let mut subset = true;
            for dot in all() {
                let (node, incarnation, seq) = dot;
                let id = Dot::new(replica(node, incarnation), seq);
                let (in_a, in_b) = (has(&in_a, &seals_a, dot), has(&in_b, &seals_b, dot));
                prop_assert_eq!(a.contains(id), in_a, "{:?}", dot);
                prop_assert_eq!(union.contains(id), in_a || in_b, "{:?}", dot);
                prop_assert!(!in_a || in_b || difference.contains(id), "{:?}", dot);
                subset &= !in_a || in_b;
                let next = a.get(id.replica).map_or(seq, |seqs| seqs.next_missing(seq));
                prop_assert_eq!(next == seq, !in_a);
                let only = a.restrict([id.replica]);
                prop_assert_eq!(only.contains(id), in_a);
                prop_assert!(only.is_subset(&a));
            }
            prop_assert_eq!(a.is_subset(&b), subset);
            prop_assert!(a.is_subset(&union) && b.is_subset(&union));
            let mut again = b.clone();
            again.union(&difference);
            prop_assert_eq!(&again, &union, "the difference is all that is missing");
            prop_assert_eq!(decode(&encoded(&a)), Ok(a.clone()));
            let small = a.truncated(60);
            prop_assert!(small.is_subset(&a) && small.seals() == a.seals());
            Ok(())
        },
    );
}

#[test]
fn a_seal_is_taken_over_where_the_same_was_seen() {
    let (old, new) = (replica(1, 1), replica(1, 2));
    let mut a = Context::new();
    a.insert_range(old, 1, 7);
    a.insert(Dot::new(old, 9));
    a.insert_range(new, 1, 2);
    let (mut same, mut less) = (a.clone(), a.clone());
    less.set(old, crdt_core::Seqs::up_to(7));
    a.seal(old, a.digest_up_to(old));
    assert_eq!((a.origins(), a.seals().len()), (1, 1));
    assert!(!a.is_subset(&same), "it says that there is no more");
    assert!(same.adopt_seals(&a) && !same.adopt_seals(&a));
    assert_eq!(same, a);
    assert!(!less.adopt_seals(&a));
    assert!(!less.is_sealed(old) && less.is_subset(&a) && !a.is_subset(&less));
    // Of a sealed one nothing is kept any more, and a later seal covers it.
    a.insert(Dot::new(old, 100));
    assert_eq!(a, same);
    a.seal(new, 1);
    assert_eq!((a.origins(), a.seals().len()), (0, 1));
    assert!(a.contains(Dot::new(old, 1)) && !a.contains(Dot::new(replica(1, 3), 1)));
    a.seal(old, 5);
    assert!(a.is_sealed(new), "an earlier one changes nothing");
}

#[test]
fn contexts_do_not_grow_with_incarnations_that_are_sealed() {
    let mut context = Context::new();
    for incarnation in 1..=1000 {
        let one = replica(1, incarnation);
        context.insert_range(one, 1, 3);
        if incarnation > 1 {
            let last = replica(1, incarnation - 1);
            context.seal(last, context.digest_up_to(last));
        }
    }
    assert_eq!(encoded(&context).len(), 1 + (16 + 2 + 8) + (16 + 2));
}

#[test]
fn what_is_no_canonical_encoding_is_refused() {
    let mut w = Writer::new();
    w.count(2);
    for _ in 0..2 {
        w.raw(&replica(1, 2).to_bytes());
        w.raw(&[0, 0]);
        w.raw(&[7; 8]);
    }
    assert_eq!(decode(&w.finish()), Err(DecodeError::NotCanonical), "twice");
    let mut w = Writer::new();
    w.count(2);
    w.raw(&replica(1, 1).to_bytes());
    w.raw(&[3, 0]);
    w.raw(&replica(1, 2).to_bytes());
    w.raw(&[0, 0]);
    w.raw(&[7; 8]);
    assert_eq!(
        decode(&w.finish()),
        Err(DecodeError::NotCanonical),
        "beside what it covers"
    );
    let good = encoded(&context(&[(1, 3, 1)].into(), &[(1, 2)].into()));
    assert!(decode(&good).is_ok());
    for cut in 0..good.len() {
        assert!(decode(&good[..cut]).is_err());
    }
}

/// It has the later incarnation alone, which is all that is left of what the other has seen.
#[test]
fn what_is_sealed_already_is_part_of_what_was_seen() {
    let [first, second] = [1, 2].map(|incarnation| ReplicaId::new(7, incarnation));
    let later = Dot::new(second, 1);
    let mut all: Context = [Dot::new(first, 1), later].into_iter().collect();
    let mut same = all.clone();
    let mut lacking: Context = [later].into_iter().collect();
    all.seal(first, all.digest_up_to(first));
    assert_ne!(all.digest_up_to(second), lacking.digest_up_to(second));
    assert!(same.adopt_seals(&all));
    assert_eq!(all.digest_up_to(second), same.digest_up_to(second));
    all.seal(second, all.digest_up_to(second));
    assert!(
        !lacking.adopt_seals(&all),
        "it would claim the first one's events"
    );
}
