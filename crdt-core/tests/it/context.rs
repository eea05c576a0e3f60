//! Sequence sets and contexts against sets of numbers.

use std::collections::BTreeSet;

use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::{Context, Dot, MAX_RANGES, MAX_SEQ, ReplicaId, Seqs, VersionVector};
use proptest::prelude::*;

use crate::support::{property, replica};

type Model = BTreeSet<u64>;

/// Ranges to be added one after the other, small enough to meet.
fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((1..60u64, 0..6u64), 0..20)
}

fn both(ranges: &[(u64, u64)]) -> (Seqs, Model) {
    let (mut seqs, mut model) = (Seqs::default(), Model::new());
    for &(first, more) in ranges {
        seqs.insert_range(first, first + more);
        model.extend(first..=first + more);
    }
    (seqs, model)
}

fn numbers(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
    ranges.flat_map(|(first, last)| first..=last).collect()
}

/// The canonical bytes of something.
fn bytes(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    encode(&mut w);
    w.finish()
}

fn decode_seqs(bytes: &[u8]) -> Result<Seqs, DecodeError> {
    let mut r = Reader::new(bytes);
    let seqs = Seqs::decode(&mut r)?;
    r.finish().map(|()| seqs)
}

fn decode_context(bytes: &[u8]) -> Result<Context, DecodeError> {
    let mut r = Reader::new(bytes);
    let context = Context::decode(&mut r)?;
    r.finish().map(|()| context)
}

#[test]
fn seqs_are_sets_of_numbers() {
    property(512, ranges(), |ranges| {
        let (seqs, model) = both(&ranges);
        prop_assert_eq!(
            numbers(seqs.ranges()),
            Vec::from_iter(model.iter().copied())
        );
        prop_assert_eq!(seqs.len(), model.len() as u64);
        prop_assert_eq!(seqs.is_empty(), model.is_empty());
        prop_assert_eq!(seqs.max(), model.last().copied().unwrap_or(0));
        let prefix = (1..).take_while(|n| model.contains(n)).last();
        prop_assert_eq!(seqs.prefix(), prefix.unwrap_or(0));
        for n in 0..70 {
            prop_assert_eq!(seqs.contains(n), model.contains(&n));
            let missing = (n.max(1)..).find(|m| !model.contains(m));
            prop_assert_eq!(seqs.next_missing(n.max(1)), missing.unwrap_or(0));
            let from: Vec<_> = seqs.ranges().filter(|(_, last)| *last >= n).collect();
            prop_assert_eq!(seqs.ranges_from(n).collect::<Vec<_>>(), from);
        }
        // Canonical: disjoint, ascending, with a gap between each two.
        let gaps: Vec<_> = seqs.ranges().collect();
        prop_assert!(gaps.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        Ok(())
    });
}

#[test]
fn seqs_do_the_arithmetic_of_sets() {
    property(512, (ranges(), ranges()), |(a, b)| {
        let ((a, in_a), (b, in_b)) = (both(&a), both(&b));
        let left = Vec::from_iter(in_a.difference(&in_b).copied());
        prop_assert_eq!(numbers(a.without(&b)), left);
        prop_assert_eq!(a.is_subset(&b), in_a.is_subset(&in_b));
        let mut union = a.clone();
        union.union(&b);
        prop_assert_eq!(
            numbers(union.ranges()),
            Vec::from_iter(in_a.union(&in_b).copied())
        );
        prop_assert!(a.is_subset(&union) && b.is_subset(&union));
        Ok(())
    });
}

#[test]
fn seqs_have_one_encoding() {
    property(256, ranges(), |ranges| {
        let (seqs, model) = both(&ranges);
        let encoded = bytes(|w| seqs.encode(w));
        prop_assert_eq!(decode_seqs(&encoded), Ok(seqs));
        // One number at a time, from above, comes to the same bytes.
        let mut other = Seqs::default();
        model.iter().rev().for_each(|n| other.insert(*n));
        prop_assert_eq!(bytes(|w| other.encode(w)), encoded);
        Ok(())
    });
}

#[test]
fn whatever_decodes_is_canonical() {
    property(2_048, prop::collection::vec(0..4u8, 0..60), |input| {
        if let Ok(seqs) = decode_seqs(&input) {
            prop_assert_eq!(bytes(|w| seqs.encode(w)), input.clone());
        }
        // Ids of sixteen such bytes are rare enough to be in order now and then.
        if let Ok(context) = decode_context(&input) {
            prop_assert_eq!(bytes(|w| context.encode(w)), input);
        }
        Ok(())
    });
}

/// Dots of three origins.
fn dots() -> impl Strategy<Value = BTreeSet<(u64, u64)>> {
    prop::collection::btree_set((1..4u64, 1..20u64), 0..30)
}

fn context_of(dots: &BTreeSet<(u64, u64)>) -> Context {
    let dot = |(origin, seq): &(u64, u64)| Dot::new(replica(*origin), *seq);
    dots.iter().map(dot).collect()
}

#[test]
fn contexts_do_the_arithmetic_of_sets() {
    property(512, (dots(), dots()), |(in_a, in_b)| {
        let (a, b) = (context_of(&in_a), context_of(&in_b));
        let mut union = a.clone();
        union.union(&b);
        prop_assert_eq!(&union, &context_of(&(&in_a | &in_b)));
        prop_assert_eq!(a.difference(&b), context_of(&(&in_a - &in_b)));
        prop_assert_eq!(a.is_subset(&b), in_a.is_subset(&in_b));
        prop_assert_eq!(a.len(), in_a.len() as u64);
        prop_assert_eq!(a.is_empty(), in_a.is_empty());
        let of = |origins: [u64; 2]| {
            let mut part = in_a.clone();
            part.retain(|(origin, _)| origins.contains(origin));
            context_of(&part)
        };
        prop_assert_eq!(a.restrict([3, 1, 7].map(replica)), of([1, 3]));
        let origins: BTreeSet<u64> = in_a.iter().map(|(origin, _)| *origin).collect();
        prop_assert_eq!(a.origins(), origins.len());
        for n in 1..5 {
            let seqs = in_a.iter().filter(|(origin, _)| *origin == n);
            let max = seqs.map(|(_, seq)| *seq).max();
            prop_assert_eq!(a.max(replica(n)), max.unwrap_or(0));
        }
        for (origin, seq) in &in_a | &in_b {
            let dot = Dot::new(replica(origin), seq);
            prop_assert_eq!(a.contains(dot), in_a.contains(&(origin, seq)));
        }
        let encoded = bytes(|w| a.encode(w));
        prop_assert_eq!(decode_context(&encoded), Ok(a));
        Ok(())
    });
}

/// Few and many origins are united differently.
#[test]
fn contexts_of_many_origins_are_united_whichever_has_more() {
    let dots = |most| prop::collection::btree_set((1..60u64, 1..5u64), 0..most);
    let sizes = [1, 20, 200];
    for (ours, theirs) in sizes.into_iter().flat_map(|a| sizes.map(|b| (a, b))) {
        property(64, (dots(ours), dots(theirs)), |(in_a, in_b)| {
            let (mut a, b) = (context_of(&in_a), context_of(&in_b));
            a.union(&b);
            prop_assert_eq!(a, context_of(&(&in_a | &in_b)));
            Ok(())
        });
    }
}

#[test]
fn a_truncated_context_has_as_many_origins_as_fit() {
    let mut context = Context::new();
    (1..=3).for_each(|n| context.set(replica(n), Seqs::up_to(n)));
    let is_enough = |size: &usize| context.truncated(*size) == context;
    let whole = (0..1_000).find(is_enough).expect("a size that is enough");
    for n in 1..=3 {
        let size = whole * n / 3;
        assert_eq!(context.truncated(size).origins(), n);
        assert_eq!(context.truncated(size - 1).origins(), n - 1);
    }
}

#[test]
fn a_truncated_context_fits_also_if_its_numbers_are_great() {
    let mut context = Context::new();
    for n in 1..=100 {
        context.insert_range(replica(1), n << 48, (n << 48) + (1 << 47));
    }
    let whole = bytes(|w| context.encode(w)).len();
    for size in 1..=2 * whole {
        assert!(bytes(|w| context.truncated(size).encode(w)).len() <= size);
    }
}

#[test]
fn a_truncated_context_fits_and_claims_nothing_more() {
    property(256, (dots(), 0..200usize), |(dots, size)| {
        let context = context_of(&dots);
        let part = context.truncated(size);
        prop_assert!(part.is_subset(&context));
        prop_assert!(bytes(|w| part.encode(w)).len() <= size.max(1));
        Ok(())
    });
}

#[test]
fn overlapping_clones_do_not_touch_each_other() {
    let mut a = context_of(&BTreeSet::from([(1, 1), (2, 5)]));
    let before = a.clone();
    a.insert_range(replica(1), 2, 9);
    a.set(replica(2), Seqs::default());
    assert_eq!(before.max(replica(1)), 1);
    assert!(before.contains(Dot::new(replica(2), 5)));
    assert_eq!(a.origins(), 1);
    assert_eq!(a.get(replica(2)), None);
}

/// Bytes of sets that are not canonical, or beyond a limit.
#[test]
fn seqs_refuse_what_is_not_canonical_or_beyond_limits() {
    let seqs = |fields: &[u64]| decode_seqs(&bytes(|w| fields.iter().for_each(|n| w.varint(*n))));
    assert!(seqs(&[MAX_SEQ, 0]).is_ok());
    assert_eq!(
        seqs(&[MAX_SEQ + 1, 0]),
        Err(DecodeError::Limit("sequence number"))
    );
    assert!(seqs(&[0, 1, MAX_SEQ - 2, 0]).is_ok());
    for beyond in [
        [0, 1, MAX_SEQ - 1, 0],
        [0, 1, 0, MAX_SEQ],
        [MAX_SEQ, 1, 0, 0],
        [0, 1, u64::MAX, 0],
        [0, 1, 0, u64::MAX],
    ] {
        assert_eq!(seqs(&beyond), Err(DecodeError::Limit("sequence number")));
    }
    assert_eq!(seqs(&[0, u64::MAX]), Err(DecodeError::Truncated));
    assert_eq!(seqs(&[0, 1, 0]), Err(DecodeError::Truncated));
    assert_eq!(
        decode_seqs(&[0x80, 0x00, 0]),
        Err(DecodeError::NotCanonical)
    );
    assert_eq!(decode_seqs(&[0, 0, 0]), Err(DecodeError::TrailingBytes));
}

#[test]
fn the_number_of_ranges_is_bounded() {
    let with_ranges = |n: usize| {
        bytes(|w| {
            w.varint(0);
            w.count(n);
            (0..n).for_each(|_| w.raw(&[0, 0]));
        })
    };
    assert!(decode_seqs(&with_ranges(MAX_RANGES)).is_ok());
    assert_eq!(
        decode_seqs(&with_ranges(MAX_RANGES + 1)),
        Err(DecodeError::Limit("ranges of an origin"))
    );
}

#[test]
fn contexts_refuse_what_is_not_canonical() {
    let context = |origins: &[(u64, u64)]| {
        decode_context(&bytes(|w| {
            w.count(origins.len());
            for &(origin, prefix) in origins {
                w.raw(&replica(origin).to_bytes());
                Seqs::up_to(prefix).encode(w);
            }
        }))
    };
    assert!(context(&[(1, 1), (2, 1)]).is_ok());
    for bad in [[(2, 1), (1, 1)], [(1, 1), (1, 2)]] {
        assert_eq!(context(&bad), Err(DecodeError::NotCanonical));
    }
    // Nothing seen of an origin is the beginning of a seal, which goes on with a digest.
    assert_eq!(context(&[(1, 1), (2, 0)]), Err(DecodeError::Truncated));
    assert_eq!(decode_context(&[9]), Err(DecodeError::Truncated));
}

#[test]
fn the_size_of_a_hostile_context_does_not_overflow() {
    let mut context = Context::new();
    for n in 0..300 {
        context.set(replica(n), Seqs::up_to(MAX_SEQ));
    }
    assert_eq!(context.len(), u64::MAX);
}

#[test]
fn version_vectors_keep_the_greatest_and_have_one_encoding() {
    let (a, b): (ReplicaId, ReplicaId) = (replica(1), replica(2));
    let mut vector = VersionVector::new();
    vector.raise(b, 7);
    vector.raise(a, 3);
    vector.raise(a, 2);
    let mut other = VersionVector::new();
    other.raise(a, 5);
    vector.join(&other);
    assert_eq!(
        (vector.get(a), vector.get(b), vector.get(replica(3))),
        (5, 7, 0)
    );
    let decode = |bytes: &[u8]| VersionVector::decode(&mut Reader::new(bytes));
    assert_eq!(decode(&bytes(|w| vector.encode(w))), Ok(vector));
    let one = |seq: u64| {
        bytes(|w| {
            w.count(1);
            w.raw(&a.to_bytes());
            w.varint(seq);
        })
    };
    assert_eq!(decode(&one(0)), Err(DecodeError::NotCanonical));
    assert!(decode(&one(MAX_SEQ)).is_ok());
    assert_eq!(
        decode(&one(MAX_SEQ + 1)),
        Err(DecodeError::Limit("sequence number"))
    );
}

#[test]
fn version_vectors_are_compared_by_origin() {
    let vector = |numbers: &[(u64, u64)]| {
        let mut out = VersionVector::new();
        numbers
            .iter()
            .for_each(|(n, seq)| out.raise(replica(*n), *seq));
        out
    };
    let mine = vector(&[(1, 5), (2, 7), (3, 1)]);
    let theirs = vector(&[(1, 6), (2, 6), (4, 9)]);
    assert_eq!(mine.beyond(&theirs), vector(&[(2, 7), (3, 1)]));
    assert_eq!(theirs.beyond(&mine), vector(&[(1, 6), (4, 9)]));
    assert!(mine.beyond(&mine).is_empty() && !mine.is_empty());
    assert!(vector(&[(1, 0)]).is_empty(), "zero is what it was");
}

#[test]
fn what_was_seen_is_shown_as_ranges_by_origin() {
    let context = context_of(&BTreeSet::from([(1, 1), (1, 2), (1, 5), (2, 3)]));
    assert_eq!(
        format!("{context:?}"),
        "{1.1: [(1, 2), (5, 5)], 2.1: [(3, 3)]}"
    );
    let mut vector = VersionVector::new();
    vector.raise(replica(2), 3);
    assert_eq!(format!("{vector:?}"), "{2.1: 3}");
}
