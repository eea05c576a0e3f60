//! Bytes from anywhere: decoding never panics, takes memory in proportion to the input, and
//! whatever decodes encodes to the same bytes again.

use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::kernel::{MAX_ITEMS, MAX_LINK_PATHS, MAX_TOTAL, Unit};
use crdt_core::{
    Causal, Context, Crdt, Delta, Dot, GCounter, Limits, LoadError, LwwMap, MAX_SEQ, OrMap, OrSet,
    PnCounter, Seqs, Shape, UsedId, VersionVector,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::subject::Subject;
use crate::support::world::{World, forgetful_histories};
use crate::support::{copy, empty, property, replica, update};

type Nested = OrMap<String, OrMap<String, PnCounter>>;

fn decode_unit(bytes: &[u8]) -> Result<Unit, DecodeError> {
    let mut r = Reader::new(bytes);
    let unit = Unit::decode(&mut r, &Limits::default())?;
    r.finish().map(|()| unit)
}

fn encode_unit(unit: &Unit) -> Vec<u8> {
    let mut w = Writer::new();
    unit.encode(&mut w);
    w.finish()
}

/// Does with a value that came from outside what one does with values.
fn use_value<T: Subject>(mut value: Causal<T>, change: impl Fn(&mut T::Edit<'_>))
where
    for<'a> T::View<'a>: std::fmt::Debug,
{
    let _ = format!("{value:?} {}", value.context().len());
    let mut other = copy(&value);
    let done = update(&mut other, &change);
    let _ = value.apply(&done.delta);
    value.merge(&other).expect("an id of its own");
    value.forget([other.context()]);
    let _ = value.delta_since(&Context::new());
    assert!(Causal::<T>::load(&value.encode(), replica(77)).is_ok());
}

/// Checks what can be made of bytes.
fn digest<T: Subject>(bytes: &[u8], change: impl Fn(&mut T::Edit<'_>)) -> Result<(), TestCaseError>
where
    for<'a> T::View<'a>: std::fmt::Debug,
{
    if let Ok(value) = Causal::<T>::load(bytes, replica(88)) {
        prop_assert_eq!(value.encode(), bytes);
        use_value(value, &change);
    }
    if let Ok(delta) = Delta::<T>::load(bytes) {
        prop_assert_eq!(delta.encode(), bytes);
        let mut value = empty::<T>(88);
        update(&mut value, &change);
        let _ = value.apply(&delta);
        let _ = format!("{delta:?} {value:?}");
    }
    if let Ok(unit) = decode_unit(bytes) {
        prop_assert_eq!(encode_unit(&unit), bytes);
    }
    let mut r = Reader::new(bytes);
    if let Ok(context) = Context::decode(&mut r) {
        let mut w = Writer::new();
        context.encode(&mut w);
        prop_assert_eq!(w.finish(), &bytes[..bytes.len() - r.remaining()]);
    }
    Ok(())
}

/// Damage: bytes changed, taken out, put in, cut off.
#[derive(Clone, Debug)]
enum Damage {
    Change(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![0..5u8, Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    prop_oneof![
        6 => (any::<Index>(), byte()).prop_map(|(at, b)| Damage::Change(at, b)),
        1 => any::<Index>().prop_map(Damage::Remove),
        1 => (any::<Index>(), byte()).prop_map(|(at, b)| Damage::Insert(at, b)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

/// Does it behind the first `spared` bytes, which name format and shape.
fn damaged(bytes: &[u8], spared: usize, damage: &[Damage]) -> Vec<u8> {
    let mut out = bytes[spared..].to_vec();
    for step in damage {
        let n = out.len();
        if n == 0 {
            break;
        }
        match step {
            Damage::Change(at, to) => out[at.index(n)] = *to,
            Damage::Remove(at) => drop(out.remove(at.index(n))),
            Damage::Insert(at, byte) => out.insert(at.index(n + 1), *byte),
            Damage::Cut(at) => out.truncate(at.index(n)),
        }
    }
    [&bytes[..spared], &out].concat()
}

/// Values and deltas of random histories, damaged.
fn survives_damage<T: Subject>(change: impl Fn(&mut T::Edit<'_>))
where
    for<'a> T::View<'a>: std::fmt::Debug,
{
    let spared = 2 + Shape::of::<T>().as_str().len();
    let inputs = (
        forgetful_histories::<T>(25),
        prop::collection::vec(prop::collection::vec(damage(), 1..4), 20),
        any::<Index>(),
    );
    property(96, inputs, |(history, damages, which)| {
        let world = World::<T>::after(3, &history)?;
        let value = which.get(&world.replicas).encode();
        let delta = match &world.deltas[..] {
            [] => value.clone(),
            deltas => which.get(deltas).encode(),
        };
        for bytes in [&value, &delta] {
            digest::<T>(bytes, &change)?;
            for damage in &damages {
                digest::<T>(&damaged(bytes, spared, damage), &change)?;
            }
        }
        Ok(())
    });
}

#[test]
fn damaged_counters_are_refused_or_harmless() {
    survives_damage::<PnCounter>(|c| c.add(1));
    survives_damage::<GCounter>(|c| c.add(1));
}

#[test]
fn damaged_sets_are_refused_or_harmless() {
    survives_damage::<OrSet<String>>(|s| {
        s.insert("a");
        s.remove("b");
    });
}

#[test]
fn damaged_maps_are_refused_or_harmless() {
    survives_damage::<LwwMap<String, u8>>(|m| m.insert("a", &1));
    survives_damage::<Nested>(|m| {
        m.entry("a").remove("b");
        m.entry("a").entry("b").add(1);
    });
}

#[test]
fn every_truncation_is_refused() {
    let mut a: Causal<Nested> = empty(1);
    update(&mut a, |m| {
        m.entry("k").entry("l").add(1);
        m.entry("k").entry("m").add(2);
    });
    let delta = update(&mut a, |m| m.remove("k")).delta.encode();
    let value = a.encode();
    for len in 0..value.len() {
        assert!(Causal::<Nested>::load(&value[..len], replica(9)).is_err());
    }
    for len in 0..delta.len() {
        assert!(Delta::<Nested>::load(&delta[..len]).is_err());
    }
    for bytes in [value, delta] {
        let longer = [&bytes[..], &[0]].concat();
        assert!(Causal::<Nested>::load(&longer, replica(9)).is_err());
        assert!(Delta::<Nested>::load(&longer).is_err());
    }
}

#[test]
fn random_bytes_are_refused_or_harmless() {
    let byte = prop_oneof![3 => 0..4u8, 1 => any::<u8>()];
    property(4_096, prop::collection::vec(byte, 0..80), |bytes| {
        digest::<OrSet<String>>(&bytes, |s| {
            s.insert("a");
        })
    });
}

/// Writes a unit by hand.
struct Crafted(Writer);

impl Crafted {
    /// With origins 1 to `n`.
    fn with_origins(origins: &[u64]) -> Self {
        let mut w = Writer::new();
        w.count(origins.len());
        origins.iter().for_each(|n| w.raw(&replica(*n).to_bytes()));
        Self(w)
    }

    fn n(mut self, n: u64) -> Self {
        self.0.varint(n);
        self
    }

    fn ns<const N: usize>(self, all: [u64; N]) -> Self {
        all.into_iter().fold(self, Self::n)
    }

    fn signed(mut self, n: i128) -> Self {
        self.0.signed(n);
        self
    }

    /// A path that shares some components with the one before it.
    fn path(mut self, shared: usize, more: &[&str]) -> Self {
        self.0.count(shared);
        self.0.count(more.len());
        for name in more {
            self.0.count(name.len() + 1);
            self.0.raw(name.as_bytes());
        }
        self
    }

    /// A leaf with one dot of the first origin that carries nothing.
    fn leaf(self, shared: usize, more: &[&str]) -> Self {
        self.path(shared, more).n(1).n(0).signed(1).n(0)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.raw(bytes);
        self
    }

    /// Decodes; what decodes has to encode to the same bytes again.
    fn decode(self) -> Result<Unit, DecodeError> {
        let bytes = self.0.finish();
        let unit = decode_unit(&bytes)?;
        assert_eq!(encode_unit(&unit), bytes);
        Ok(unit)
    }

    fn refused(self) -> DecodeError {
        self.decode().expect_err("not a unit")
    }
}

/// A unit of no records and this many leaves, of one origin.
fn leaves(count: u64) -> Crafted {
    Crafted::with_origins(&[1]).ns([0, count])
}

#[test]
fn counts_that_can_not_be_true_are_refused() {
    assert!(Crafted::with_origins(&[]).ns([0, 0]).decode().is_ok());
    for count in [3, 1 << 20, 1 << 40, u64::MAX] {
        let w = || Crafted(Writer::new()).n(count);
        assert_eq!(w().refused(), DecodeError::Truncated, "origins");
        let records = Crafted::with_origins(&[1]).n(count);
        assert_eq!(records.refused(), DecodeError::Truncated, "records");
        assert_eq!(leaves(count).refused(), DecodeError::Truncated, "leaves");
        let path = leaves(1).n(0).n(count);
        assert_eq!(path.refused(), DecodeError::Truncated, "components");
        let entries = leaves(1).path(0, &["k"]).n(count);
        assert_eq!(entries.refused(), DecodeError::Truncated, "entries");
        let bytes = leaves(1).path(0, &["k"]).n(1).n(0).signed(1).n(1).n(count);
        assert_eq!(bytes.refused(), DecodeError::Truncated, "payload");
    }
}

#[test]
fn overlong_numbers_are_refused() {
    let overlong = Crafted::with_origins(&[]).raw(&[0x80, 0]).n(0);
    assert_eq!(overlong.refused(), DecodeError::NotCanonical);
    let beyond = Crafted::with_origins(&[]).raw(&[0xff; 19]);
    assert!(matches!(beyond.refused(), DecodeError::Invalid(_)));
}

#[test]
fn sequence_numbers_beyond_the_greatest_are_refused() {
    let dot = |seq| leaves(1).path(0, &["k"]).n(1).n(0).signed(seq).n(0);
    let greatest = i128::from(MAX_SEQ);
    assert!(dot(greatest).decode().is_ok());
    for seq in [greatest + 1, 0, -1, i128::MAX, i128::MIN] {
        assert_eq!(dot(seq).refused(), DecodeError::Limit("sequence number"));
    }
    // As a difference, too: it must not wrap around.
    let next = |seq| {
        dot(greatest).decode().and(
            leaves(1)
                .path(0, &["k"])
                .n(2)
                .n(0)
                .signed(greatest)
                .n(0)
                .n(0)
                .signed(seq)
                .n(0)
                .decode(),
        )
    };
    assert_eq!(next(i128::MAX), Err(DecodeError::Limit("sequence number")));
    assert_eq!(next(1), Err(DecodeError::Limit("sequence number")));
}

#[test]
fn paths_have_their_limits() {
    let limits = Limits::default();
    let deep = |n: usize| leaves(1).path(0, &vec!["d"; n]).n(1).n(0).signed(1).n(0);
    assert!(deep(limits.depth).decode().is_ok());
    assert_eq!(
        deep(limits.depth + 1).refused(),
        DecodeError::Limit("depth of a path")
    );
    let deeper = leaves(2)
        .leaf(0, &vec!["d"; limits.depth])
        .leaf(limits.depth, &["e"]);
    assert_eq!(deeper.refused(), DecodeError::Limit("depth of a path"));
    let long = |n: usize| leaves(1).leaf(0, &[&"x".repeat(n)]);
    assert!(long(limits.element).decode().is_ok());
    assert_eq!(
        long(limits.element + 1).refused(),
        DecodeError::Limit("length of a path component")
    );
}

#[test]
fn payloads_have_their_limit() {
    let limits = Limits {
        payload: 10,
        ..Limits::default()
    };
    let payload = |n: usize| {
        let Crafted(mut w) = leaves(1).path(0, &["k"]).n(1).n(0).signed(1).n(1);
        w.bytes(&vec![0; n]);
        Unit::decode(&mut Reader::new(&w.finish()), &limits)
    };
    assert!(payload(10).is_ok());
    assert_eq!(payload(11), Err(DecodeError::Limit("length of a payload")));
}

#[test]
fn the_number_of_paths_is_bounded() {
    let name = |n: usize| (n as u32).to_be_bytes();
    let paths = |count: usize| {
        // A group of siblings, four bytes each.
        let Crafted(mut w) = leaves(1);
        w.raw(&[0, 1, 5]);
        w.raw(&name(0));
        w.raw(&[0]);
        w.count(count);
        w.raw(&[5]);
        (1..count).for_each(|n| w.raw(&name(n)));
        w.raw(&[1, 0, 1, 0]);
        decode_unit(&w.finish()).map(drop)
    };
    assert_eq!(paths(MAX_ITEMS), Ok(()));
    assert_eq!(
        paths(MAX_ITEMS + 1),
        Err(DecodeError::Limit("paths in a unit"))
    );
}

#[test]
fn what_is_out_of_order_or_double_is_refused() {
    for origins in [[2, 1], [1, 1]] {
        let unit = Crafted::with_origins(&origins).ns([0, 0]);
        assert_eq!(unit.refused(), DecodeError::NotCanonical, "origins");
    }
    let unused = Crafted::with_origins(&[1, 2]).ns([0, 1]).leaf(0, &["k"]);
    assert_eq!(
        unused.refused(),
        DecodeError::NotCanonical,
        "an origin that nobody uses"
    );
    let unknown = Crafted::with_origins(&[1])
        .ns([0, 1])
        .path(0, &["k"])
        .n(1)
        .n(1)
        .signed(1)
        .n(0);
    assert_eq!(unknown.refused(), DecodeError::Invalid("origin"));
    let shares_too_much = leaves(1).leaf(1, &["k"]);
    assert_eq!(
        shares_too_much.refused(),
        DecodeError::Invalid("shared path")
    );

    assert!(leaves(2).leaf(0, &["a"]).leaf(1, &["b"]).decode().is_ok());
    assert!(leaves(2).leaf(0, &["a"]).leaf(0, &["b"]).decode().is_ok());
    for (shared, more) in [
        (0, &["a"][..]),
        (0, &["Z"]),
        (1, &[]),
        (0, &[]),
        (0, &["a", "b"]),
    ] {
        let unit = leaves(2).leaf(0, &["a"]).leaf(shared, more);
        assert_eq!(
            unit.refused(),
            DecodeError::NotCanonical,
            "{shared} {more:?}"
        );
    }

    let none = leaves(1).path(0, &["k"]).n(0).n(0);
    assert_eq!(
        none.refused(),
        DecodeError::NotCanonical,
        "a leaf without entries"
    );
    for next in [0, -1] {
        let dots = leaves(1)
            .path(0, &["k"])
            .n(2)
            .n(0)
            .signed(2)
            .n(0)
            .n(0)
            .signed(next)
            .n(0);
        assert_eq!(dots.refused(), DecodeError::NotCanonical, "dots of a leaf");
    }
    let kind = leaves(1).path(0, &["k"]).n(1).n(0).signed(1).n(3);
    assert_eq!(kind.refused(), DecodeError::Invalid("kind of an entry"));
}

/// A unit of a group of the siblings a to d, up to the names behind the first.
fn group(members: u64) -> Crafted {
    group_of(leaves(1), members)
}

fn group_of(before: Crafted, members: u64) -> Crafted {
    before.path(0, &["a"]).n(0).n(members)
}

/// Names of one byte each, the first origin, and the sequence numbers 5, 6, 7, 5 in two bits each.
const COLUMNS: &[u8] = &[2, b'b', b'c', b'd', 1, 0, 5, 2, 0b0010_0100];

#[test]
fn groups_have_one_encoding() {
    assert!(group(4).raw(COLUMNS).decode().is_ok());
    let not_canonical = |what: &str, unit: Crafted| {
        assert_eq!(unit.refused(), DecodeError::NotCanonical, "{what}");
    };
    let columns = |at: usize, byte: u8| {
        let mut changed = COLUMNS.to_vec();
        changed[at] = byte;
        group(4).raw(&changed)
    };
    not_canonical("too few", group(3).raw(&[2, b'b', b'c', 1, 0, 5, 0]));
    not_canonical("names out of order", columns(2, b'b'));
    not_canonical("a length that is not the first name's", columns(0, 3));
    not_canonical(
        "equal lengths spelled out",
        group(4).raw(&[0, 1, b'b', 1, b'c', 1, b'd', 1, 0, 5, 2, 0b0010_0100]),
    );
    assert!(
        group(4)
            .raw(&[0, 1, b'b', 2, b'c', b'c', 1, b'd', 1, 0, 5, 2, 0b0010_0100])
            .decode()
            .is_ok()
    );
    not_canonical("numbers wider than need be", columns(8, 0b0001_0100));
    not_canonical("a least number that nobody has", columns(8, 0b1110_0111));
    not_canonical(
        "bits behind the last",
        group(4).raw(&[2, b'b', b'c', b'd', 1, 0, 5, 1, 0b0001_0010]),
    );
    not_canonical(
        "a sibling behind it",
        group_of(leaves(2), 4).raw(COLUMNS).leaf(0, &["e"]),
    );
    let before = leaves(2).leaf(0, &["Z"]);
    not_canonical("a sibling before it", group_of(before, 4).raw(COLUMNS));
    let singles = ["a", "b", "c"]
        .iter()
        .fold(leaves(4), |unit, name| unit.leaf(0, &[*name]));
    not_canonical("siblings that are no group", singles.leaf(0, &["d"]));
}

#[test]
fn groups_are_bounded() {
    for members in [1 << 21, u64::MAX] {
        let refused = group(members).raw(COLUMNS).refused();
        assert_eq!(refused, DecodeError::Limit("paths in a unit"));
    }
    let truncated = group(1000).raw(COLUMNS).refused();
    assert_eq!(truncated, DecodeError::Truncated);
    let number = |least: u64| {
        let w = group(4).raw(&COLUMNS[..6]).n(least);
        w.raw(&[2, 0b0010_0100])
    };
    assert!(number(MAX_SEQ - 2).decode().is_ok());
    for least in [0, MAX_SEQ - 1, MAX_SEQ + 1, u64::MAX] {
        assert_eq!(
            number(least).refused(),
            DecodeError::Limit("sequence number")
        );
    }
    let wide = group(4).raw(&COLUMNS[..7]).raw(&[57]).raw(&[0; 40]);
    assert_eq!(wide.refused(), DecodeError::Limit("sequence number"));
}

#[test]
fn origins_of_groups_are_listed_in_order_and_all_used() {
    let of = |origins: &[u64], columns: &[u8]| {
        let unit = Crafted::with_origins(origins).ns([0, 1]);
        group_of(unit, 4).raw(&[2, b'b', b'c', b'd']).raw(columns)
    };
    // Both origins, by turns; all numbers are 1.
    assert!(of(&[1, 2], &[2, 0, 1, 0b1010, 1, 0]).decode().is_ok());
    let refused = |origins: &[u64], columns: &[u8]| of(origins, columns).refused();
    let not_canonical = DecodeError::NotCanonical;
    assert_eq!(refused(&[1, 2], &[2, 1, 0, 0b1010, 1, 0]), not_canonical);
    assert_eq!(refused(&[1, 2], &[2, 0, 0, 0b1010, 1, 0]), not_canonical);
    assert_eq!(refused(&[1, 2], &[2, 0, 1, 0, 1, 0]), not_canonical);
    assert_eq!(refused(&[1, 2], &[1, 0, 1, 0]), not_canonical);
    assert_eq!(refused(&[1], &[0, 1, 0]), not_canonical);
    let no_origin = DecodeError::Invalid("origin");
    assert_eq!(refused(&[1], &[1, 1, 1, 0]), no_origin);
    // Three origins take two bits, of which one value means nothing.
    let three = |packed| of(&[1, 2, 3], &[3, 0, 1, 2, packed, 1, 0]);
    assert!(three(0b0010_0100).decode().is_ok());
    assert_eq!(three(0b1110_0100).refused(), no_origin);
}

/// A unit with one record of dot (1, 9) at "k", up to its set of seen dots.
fn record() -> Crafted {
    Crafted::with_origins(&[1, 2])
        .n(2)
        .path(0, &["k"])
        .n(0)
        .signed(9)
}

/// What an event removed where it also stands goes along with its entry, in one way.
#[test]
fn a_removal_with_an_entry_has_one_form() {
    // A leaf with one entry, the ninth event of the second origin, and its kind.
    let leaf = |heads: u64, kind: u64| {
        Crafted::with_origins(&[1, 2])
            .n(heads)
            .n(1)
            .path(0, &["k"])
            .n(1)
            .n(1)
            .signed(9)
            .n(kind)
    };
    let of_first = |unit: Crafted| unit.ns([1, 0, 8, 0]).n(0);
    let own = leaf(0, 4).ns([1, 1, 8, 0]).n(0);
    assert_eq!(
        own.refused(),
        DecodeError::NotCanonical,
        "it has a short form"
    );
    assert_eq!(
        leaf(0, 8).refused(),
        DecodeError::NotCanonical,
        "the first origin is not used"
    );
    assert_eq!(
        leaf(0, 12).refused(),
        DecodeError::Invalid("kind of an entry")
    );
    let unit = of_first(leaf(0, 4)).decode().expect("a removal");
    assert_eq!(unit.records.len(), 1);
    assert_eq!(unit.records[0].0, unit.adds[0].0);
    assert_eq!(unit.records[0].1.dot, unit.adds[0].1[0].dot);

    // The first event of an origin had seen none before it.
    let first = Crafted::with_origins(&[2])
        .n(0)
        .n(1)
        .path(0, &["k"])
        .n(1)
        .n(0)
        .signed(1)
        .n(8);
    assert_eq!(first.refused(), DecodeError::Invalid("kind of an entry"));

    // By itself, though its event stands in a leaf.
    let stands = |by: i128| {
        let alone = record().n(1).ns([1, 8, 0]).n(0);
        let leaf = alone.n(1).path(0, &["k"]).n(1);
        leaf.n(0).signed(by).n(0)
    };
    assert!(stands(-1).decode().is_ok(), "another event");
    assert_eq!(stands(0).refused(), DecodeError::NotCanonical);
}

#[test]
fn records_that_are_not_canonical_are_refused() {
    // Seen: both origins up to 1; no cuts; no leaves.
    let seen = |first: u64, second: u64, prefix: u64| {
        record()
            .n(2)
            .ns([first, 1, 0])
            .ns([second, prefix, 0])
            .ns([0, 0])
    };
    assert!(seen(0, 1, 1).decode().is_ok());
    assert_eq!(seen(1, 0, 1).refused(), DecodeError::NotCanonical);
    assert_eq!(seen(1, 1, 1).refused(), DecodeError::NotCanonical);
    // Nothing seen of an origin is the beginning of a seal, which goes on with a digest.
    assert_eq!(seen(0, 1, 0).refused(), DecodeError::Truncated);
    let again = record().n(1).ns([1, 1, 0]).n(0);
    let twice = |seq| {
        let Crafted(w) = Crafted::with_origins(&[1, 2])
            .n(4)
            .path(0, &["k"])
            .n(0)
            .signed(9);
        Crafted(w)
            .n(0)
            .n(0)
            .path(1, &[])
            .n(0)
            .signed(seq)
            .ns([1, 1, 1, 0])
            .n(0)
            .n(0)
    };
    assert!(again.n(0).decode().is_ok());
    assert!(twice(1).decode().is_ok());
    assert_eq!(
        twice(0).refused(),
        DecodeError::NotCanonical,
        "the same record twice"
    );
    assert_eq!(twice(-1).refused(), DecodeError::NotCanonical);
}

#[test]
fn links_that_can_not_be_are_refused() {
    // Of the events up to this one, and so many before it.
    let link = |last: i128, before: u64| {
        let w = Crafted::with_origins(&[1]).ns([1, 1, 0]);
        w.signed(last).n(before)
    };
    let at_two = |w: Crafted| w.n(2).path(0, &["k"]).path(0, &["l"]).n(0);
    assert!(at_two(link(2, 1)).decode().is_ok());
    assert!(at_two(link(9, 8)).decode().is_ok());
    let events = DecodeError::Invalid("events of a transaction");
    assert_eq!(at_two(link(2, 0)).refused(), events, "one event");
    assert_eq!(at_two(link(2, 2)).refused(), events, "from 0 on");
    assert_eq!(at_two(link(2, u64::MAX)).refused(), events);
    let beyond = i128::from(MAX_SEQ) + 1;
    let seq = DecodeError::Limit("sequence number");
    assert_eq!(at_two(link(beyond, 1)).refused(), seq);

    let none = Crafted::with_origins(&[1]).ns([1, 0, 0]);
    assert_eq!(none.refused(), DecodeError::NotCanonical, "links, and none");
    let one = link(2, 1).n(1).path(0, &["k"]).n(0);
    assert!(one.decode().is_ok());
    let paths = DecodeError::Limit("paths of a transaction");
    assert_eq!(link(2, 1).n(0).n(0).refused(), paths);
    let count = MAX_LINK_PATHS as u64 + 1;
    let many = (0..count).fold(link(2, 1).n(count), |w, n| {
        w.path(0, &[format!("{n:04}").as_str()])
    });
    assert_eq!(many.n(0).refused(), paths);
    let again = link(2, 1).n(2).path(0, &["k"]).path(1, &[]).n(0);
    assert_eq!(again.refused(), DecodeError::NotCanonical, "a path twice");
    let nested = link(2, 1).n(2).path(0, &["k"]).path(1, &["x"]).n(0);
    assert_eq!(
        nested.refused(),
        DecodeError::NotCanonical,
        "a path under another"
    );
    let falling = link(2, 1).n(2).path(0, &["l"]).path(0, &["k"]).n(0);
    assert_eq!(falling.refused(), DecodeError::NotCanonical);

    let two = |step: i128| {
        let w = Crafted::with_origins(&[1]).ns([1, 2, 0]).signed(4).n(1);
        let w = w.n(2).path(0, &["k"]).path(0, &["l"]).n(0).signed(step);
        at_two(w.n(1))
    };
    assert!(two(1).decode().is_ok());
    assert_eq!(two(0).refused(), DecodeError::NotCanonical, "a link twice");
    assert_eq!(two(-1).refused(), DecodeError::NotCanonical);
}

#[test]
fn a_value_by_itself_has_no_links() {
    let link = || {
        let w = Crafted::with_origins(&[1]).ns([1, 1, 0]).signed(2);
        let Crafted(w) = w.ns([1, 2]).path(0, &["k"]).path(0, &["l"]).n(0);
        w.finish()
    };
    let mut a: Causal<OrSet<String>> = empty(1);
    let refused = DecodeError::Invalid("a transaction within one value");
    // A value that has seen nothing ends with an empty unit, and so does its delta.
    let value = a.encode();
    let value = [&value[..value.len() - 3], &link()].concat();
    let loaded = Causal::<OrSet<String>>::load(&value, replica(9));
    assert_eq!(loaded.map(drop), Err(LoadError::Decode(refused)));
    let delta = update(&mut a, |_| ()).delta.encode();
    let delta = [&delta[..delta.len() - 3], &link()].concat();
    let loaded = Delta::<OrSet<String>>::load(&delta);
    assert_eq!(loaded.map(drop), Err(LoadError::Decode(refused)));
}

#[test]
fn cuts_that_can_not_be_are_refused() {
    let cut = |start: u64, newest: u64, total: i128| {
        let w = record().n(0).n(1).ns([1, 1]).raw(b"c").n(1);
        w.ns([start, newest]).signed(total).n(0)
    };
    assert!(cut(1, 1, MAX_TOTAL).decode().is_ok());
    assert!(cut(1, MAX_SEQ, -MAX_TOTAL).decode().is_ok());
    assert_eq!(cut(0, 1, 1).refused(), DecodeError::Invalid("cut of a run"));
    assert_eq!(cut(3, 2, 1).refused(), DecodeError::Invalid("cut of a run"));
    assert_eq!(
        cut(1, MAX_SEQ + 1, 1).refused(),
        DecodeError::Limit("sequence number")
    );
    assert_eq!(
        cut(1, 1, MAX_TOTAL + 1).refused(),
        DecodeError::Limit("total of a counter")
    );
}

#[test]
fn runs_that_can_not_be_are_refused() {
    let run = |dot: i128, start: u64, total: i128, cut_seq: u64, cut_total: i128| {
        let w = leaves(1).path(0, &["k"]).n(1).n(0).signed(dot).n(2);
        w.n(start).signed(total).n(cut_seq).signed(cut_total)
    };
    assert!(run(9, 9, 1, 0, 0).decode().is_ok());
    assert!(run(9, 1, MAX_TOTAL, 8, -MAX_TOTAL).decode().is_ok());
    for (start, cut_seq, cut_total) in [
        (0, 0, 0),
        (10, 0, 0),
        (1, 9, 1), // all of it is cut: it is not live
        (1, 10, 1),
        (3, 2, 1),
        (1, 0, 1),
    ] {
        let refused = run(9, start, 1, cut_seq, cut_total).refused();
        assert_eq!(refused, DecodeError::Invalid("run of a counter"));
    }
    let total = DecodeError::Limit("total of a counter");
    assert_eq!(run(9, 1, MAX_TOTAL + 1, 0, 0).refused(), total);
    assert_eq!(run(9, 1, 0, 1, i128::MIN).refused(), total);
}

/// The bytes of a value, from its parts.
fn value_bytes<T: Crdt>(context: &Context, floor: &VersionVector, unit: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(1);
    w.bytes(Shape::of::<T>().name());
    context.encode(&mut w);
    floor.encode(&mut w);
    w.raw(unit);
    w.finish()
}

#[test]
fn values_that_no_replica_holds_are_refused() {
    type Set = OrSet<String>;
    let mut context = Context::new();
    context.set(replica(1), Seqs::up_to(9));
    context.set(replica(2), Seqs::up_to(9));
    let none = VersionVector::new();
    let load = |floor: &VersionVector, unit: Crafted| {
        Causal::<Set>::load(
            &value_bytes::<Set>(&context, floor, &unit.0.finish()),
            replica(3),
        )
        .map(drop)
    };
    let live = |seq: i128| leaves(1).path(0, &["k"]).n(1).n(0).signed(seq).n(0);
    assert_eq!(load(&none, live(9)), Ok(()));
    assert!(matches!(
        load(&none, live(10)),
        Err(LoadError::Decode(DecodeError::Invalid(_)))
    ));
    let mut floor = VersionVector::new();
    floor.raise(replica(1), 10);
    assert!(matches!(
        load(&floor, live(9)),
        Err(LoadError::Decode(DecodeError::Invalid(_)))
    ));
    // A record at "k" that saw what is live there.
    let dead = |seen: u64| {
        let w = Crafted::with_origins(&[1])
            .n(2)
            .path(0, &["k"])
            .n(0)
            .signed(9);
        w.n(1)
            .ns([0, seen, 0])
            .n(0)
            .n(1)
            .path(0, &["k"])
            .n(1)
            .n(0)
            .signed(-1)
            .n(0)
    };
    assert_eq!(load(&none, dead(7)), Ok(()));
    assert_eq!(load(&none, dead(8)), Err(DecodeError::NotCanonical.into()));
}

#[test]
fn loading_says_what_is_wrong() {
    let mut a: Causal<OrSet<String>> = empty(1);
    let delta = update(&mut a, |s| s.insert("x")).delta.encode();
    let value = a.encode();
    type Set = OrSet<String>;
    assert_eq!(
        Causal::<Set>::load(&value, replica(1)).err(),
        Some(UsedId(replica(1)).into())
    );
    assert_eq!(
        Causal::<OrSet<u64>>::load(&value, replica(2)).err(),
        Some(LoadError::Shape)
    );
    assert_eq!(
        Delta::<OrSet<u64>>::load(&delta).err(),
        Some(LoadError::Shape)
    );
    for bytes in [value, delta] {
        let later = [&[2], &bytes[1..]].concat();
        assert_eq!(
            Causal::<Set>::load(&later, replica(2)).err(),
            Some(LoadError::Format(2))
        );
        assert_eq!(Delta::<Set>::load(&later).err(), Some(LoadError::Format(2)));
    }
    assert!(matches!(
        Causal::<Set>::load(&[], replica(2)).err(),
        Some(LoadError::Decode(DecodeError::Truncated))
    ));
}

/// Elements that are none, from a peer whose bytes are not of its type.
#[test]
fn bytes_that_are_no_element_are_passed_over_and_counted() {
    let mut context = Context::new();
    context.insert(Dot::new(replica(1), 1));
    context.insert(Dot::new(replica(2), 1));
    let Crafted(mut w) = Crafted::with_origins(&[1, 2]).ns([0, 2]).leaf(0, &["ok"]);
    w.raw(&[0, 1, 2, 0xff, 1, 1]);
    w.signed(1);
    w.byte(0);
    let bytes = value_bytes::<OrSet<String>>(&context, &VersionVector::new(), &w.finish());
    let set = Causal::<OrSet<String>>::load(&bytes, replica(3)).expect("a value");
    assert_eq!(set.view().iter().collect::<Vec<_>>(), ["ok"]);
    assert_eq!((set.view().len(), set.view().malformed()), (2, 1));
    assert_eq!(set.encode(), bytes);
}

#[test]
fn shapes_are_parsed_strictly_and_bounded() {
    for good in ["a", "or_map<str,or_set<u64>>", "t<a,b,c>", "x9_"] {
        assert_eq!(
            Shape::parse(good.as_bytes()).map(|s| s.to_string()),
            Some(good.to_owned())
        );
    }
    for bad in [
        "", "A", "a<", "a<>", "a<b", "a<b>>", "a<b,>", "a b", "a<b>c", ",", "<a>",
    ] {
        assert_eq!(Shape::parse(bad.as_bytes()), None, "{bad}");
    }
    let nested = |n: usize| format!("{}a{}", "a<".repeat(n - 1), ">".repeat(n - 1));
    assert!(Shape::parse(nested(crdt_core::MAX_SHAPE_DEPTH).as_bytes()).is_some());
    assert!(Shape::parse(nested(crdt_core::MAX_SHAPE_DEPTH + 1).as_bytes()).is_none());
    assert!(Shape::parse("a".repeat(crdt_core::MAX_SHAPE).as_bytes()).is_some());
    assert!(Shape::parse("a".repeat(crdt_core::MAX_SHAPE + 1).as_bytes()).is_none());
}
