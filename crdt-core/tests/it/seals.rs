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
fn who_has_the_latest_incarnation_alone_takes_no_seal_over() {
    let (first, second) = (replica(1, 1), replica(1, 2));
    let mut a = Context::new();
    a.insert_range(first, 1, 7);
    a.seal(first, a.digest_up_to(first));
    a.insert_range(second, 1, 2);
    let (mut same, mut less) = (a.clone(), Context::new());
    less.insert_range(second, 1, 2);
    a.seal(second, a.digest_up_to(second));
    assert!(same.adopt_seals(&a));
    assert_eq!(same, a);
    assert!(
        !less.adopt_seals(&a),
        "of the first one it has seen nothing"
    );
    // Nor does one that has seen all of both and does not know that the first is sealed: it is told.
    let mut more = less.clone();
    more.insert_range(first, 1, 7);
    assert!(!more.adopt_seals(&a));
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

#[test]
fn a_seal_that_builds_on_another_is_not_taken_over_by_who_lacks_what_that_one_covers() {
    let (first, second) = (replica(1, 1), replica(1, 2));
    let mut all = Context::new();
    all.insert(Dot::new(first, 1));
    all.insert(Dot::new(second, 1));
    let mut follows = all.clone();
    all.seal(first, all.digest_up_to(first));
    assert!(follows.adopt_seals(&all));
    all.seal(second, all.digest_up_to(second));
    assert!(follows.adopt_seals(&all) && follows == all);

    let mut part = Context::new();
    part.insert(Dot::new(second, 1));
    assert!(!part.adopt_seals(&all));
    assert!(!part.contains(Dot::new(first, 1)));
}

#[test]
fn who_has_seen_something_else_than_was_sealed_contradicts() {
    let (before, gone, later) = (replica(1, 1), replica(1, 2), replica(1, 3));
    let of = |dots: &[(ReplicaId, u64)]| -> Context {
        dots.iter()
            .map(|(origin, seq)| Dot::new(*origin, *seq))
            .collect()
    };
    let seen = of(&[(before, 1), (gone, 1), (gone, 2)]);
    let mut sealed = seen.clone();
    sealed.seal(gone, seen.digest_up_to(gone));
    assert!(!seen.contradicts(&sealed) && !sealed.contradicts(&seen));
    // Nor does who has seen nothing of it.
    for nothing in [of(&[]), of(&[(later, 1), (replica(2, 1), 1)])] {
        assert!(!nothing.contradicts(&sealed), "{nothing:?}");
    }
    for else_ in [&[(gone, 3)][..], &[(gone, 1)], &[(before, 1)]] {
        let else_ = of(else_);
        assert!(else_.contradicts(&sealed), "{else_:?}");
        assert!(!else_.contradicts(&seen), "nothing is sealed there");
    }
    // A seal before it that was sealed with it, or was not.
    let mut first = of(&[(before, 1)]);
    first.seal(before, first.digest_up_to(before));
    let mut both = first.clone();
    both.insert(Dot::new(gone, 1));
    let mut built = both.clone();
    built.seal(gone, both.digest_up_to(gone));
    assert!(!both.contradicts(&built) && !built.contradicts(&both));
    assert!(first.contradicts(&built) && seen.contradicts(&built));
    // Of two seals the lesser gives way, or the earlier.
    assert!(!first.contradicts(&sealed) || !sealed.contradicts(&first));
    assert!(built.contradicts(&sealed) != sealed.contradicts(&built));
    assert!(!built.contradicts(&built.clone()));
}

#[test]
fn of_two_that_sealed_each_other_one_prevails_for_all_who_ask() {
    let sealed = |replicas: &[ReplicaId]| {
        let mut context = Context::new();
        for replica in replicas {
            context.insert(Dot::new(*replica, 1));
            context.seal(*replica, context.digest_up_to(*replica));
        }
        context
    };
    let [a, b, c, d] = [1, 2, 3, 4].map(|node| replica(node, 1));
    // Whoever has a part of its side's seals only gets the same answer.
    for (one, other) in [
        (sealed(&[b, d]), sealed(&[a, c])),
        (sealed(&[d]), sealed(&[a, c])),
        (sealed(&[b, d]), sealed(&[c])),
    ] {
        assert!(one.prevails_over(&other) && !other.prevails_over(&one));
    }
    // What both have decides nothing, nor an earlier seal where a later one is.
    let (one, other) = (sealed(&[a, d]), sealed(&[b, d]));
    assert!(other.prevails_over(&one) && !one.prevails_over(&other));
    let later = sealed(&[a, replica(4, 2)]);
    assert!(later.prevails_over(&other) && !other.prevails_over(&later));
    let same = sealed(&[a]);
    assert!(!same.prevails_over(&same.clone()));
    // Of two seals of one the greater digest does.
    let mut more = Context::new();
    more.insert_range(a, 1, 2);
    more.seal(a, more.digest_up_to(a));
    assert!(more.prevails_over(&same) != same.prevails_over(&more));
    assert_eq!(more.prevails_over(&same), same.contradicts(&more));
}
