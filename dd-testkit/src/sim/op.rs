//! What the simulated users do, and which events the oracle is told of.

use crdt_core::kernel::NodeRef;
use crdt_core::{
    Context, Crdt, Dot, LwwRegister, MvRegister, Name, OrMap, OrSet, Path, PnCounter, Shape,
};
use dd_gossip::{Replica, Time, Transaction, UpdateError};

use crate::oracle::{Event, Kind};
use crate::rng::Rng;

type Tags = OrSet<String>;
type Nested = OrMap<String, OrMap<String, PnCounter>>;
type Carts = OrMap<String, OrSet<String>>;

const KEYS: [&str; 2] = ["k", "l"];
/// Those of transactions: one more, at which little else is written.
const TRANSACTION_KEYS: [&str; 3] = ["k", "l", "m"];
const ELEMENTS: [&str; 3] = ["x", "y", "a longer element that is not inline"];

/// One local call.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    key: &'static str,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Insert(&'static str),
    Remove(&'static str),
    Clear,
    Set(u32),
    Put(String),
    Count(&'static str, &'static str, i64),
    Reset(&'static str, &'static str),
    RemoveMap(&'static str),
    AddTo(&'static str, &'static str),
    RemoveFrom(&'static str, &'static str),
    Delete,
}

/// What an op is to the oracle.
pub(crate) struct Footprint {
    pub(crate) path: Path,
    /// `None` for a count: its run is known afterwards.
    pub(crate) kind: Option<Kind>,
    pub(crate) n: i128,
}

impl Footprint {
    /// What an op did, as the oracle wants it: `place` is what is at its path afterwards.
    pub(crate) fn event(self, seen: Context, dot: Dot, place: Option<NodeRef<'_>>) -> Event {
        let Footprint { path, kind, n } = self;
        let run = place.and_then(|place| place.run(dot.replica));
        let start = run.map_or(dot.seq, |(_, run)| run.start);
        let kind = kind.unwrap_or(Kind::Count { n, start });
        Event { path, kind, seen }
    }
}

impl Op {
    /// One of each kind, all at one key: an element that comes and goes, a counter, and all of it.
    pub(crate) fn of_each_kind() -> Vec<Self> {
        let e = ELEMENTS[0];
        let whats = [
            What::Insert(e),
            What::Remove(e),
            What::Count(e, e, 1),
            What::Reset(e, e),
            What::Delete,
        ];
        whats.map(|what| Self { key: KEYS[0], what }).into()
    }

    /// An element at two keys, as one.
    pub(crate) fn pair() -> Vec<Self> {
        let what = What::Insert(ELEMENTS[0]);
        let at = |key| Self {
            key,
            what: what.clone(),
        };
        KEYS.map(at).into()
    }

    /// Something at a counter of one place, which everybody counts in and removes.
    pub(crate) fn of_one_counter(rng: &mut Rng) -> Self {
        let [a, b] = [ELEMENTS[0], ELEMENTS[1]];
        let what = match rng.below(10) {
            0..=6 => What::Count(a, b, [1, 2, 5, -3, 10][rng.below(5)]),
            7 => What::Reset(a, b),
            8 => What::RemoveMap(a),
            _ => What::Delete,
        };
        Self { key: KEYS[0], what }
    }

    /// Two or three, at different keys, or some of them at one.
    pub(crate) fn transaction(rng: &mut Rng) -> Vec<Self> {
        let (first, count) = (rng.below(3), 2 + rng.below(2));
        let at_one = 1 + usize::from(rng.chance(30));
        let keys = (0..count).map(|n| TRANSACTION_KEYS[(first + n / at_one) % 3]);
        keys.map(|key| Self {
            key,
            ..Self::random(rng)
        })
        .collect()
    }

    pub(crate) fn random(rng: &mut Rng) -> Self {
        let key = KEYS[rng.below(KEYS.len())];
        let mut e = || ELEMENTS[rng.below(ELEMENTS.len())];
        let (a, b) = (e(), e());
        let what = match rng.below(26) {
            0..=4 => What::Insert(a),
            5..=6 => What::Remove(a),
            7 => What::Clear,
            8..=9 => What::Set(rng.below(1000) as u32),
            10..=11 => What::Put("v".repeat(1 + rng.below(300))),
            12..=16 => What::Count(a, b, [1, 2, 5, -3, 10][rng.below(5)]),
            17 => What::Reset(a, b),
            18 => What::RemoveMap(a),
            19..=22 => What::AddTo(a, b),
            23 => What::RemoveFrom(a, b),
            _ => What::Delete,
        };
        Self { key, what }
    }

    pub(crate) fn footprint(&self) -> Footprint {
        let at = |shape: Option<Shape>, below: &[&str]| -> Path {
            let shape = shape.map(|shape| shape.name().clone());
            let below = below.iter().map(|name| Name::from(*name));
            [Name::from(self.key)]
                .into_iter()
                .chain(shape)
                .chain(below)
                .collect()
        };
        fn of<T: Crdt>() -> Option<Shape> {
            Some(Shape::of::<T>())
        }
        let (path, kind) = match &self.what {
            What::Insert(e) => (at(of::<Tags>(), &[e]), Kind::Write),
            What::Remove(e) => (at(of::<Tags>(), &[e]), Kind::Remove),
            What::Clear => (at(of::<Tags>(), &[]), Kind::Remove),
            What::Set(_) => (at(of::<LwwRegister<u32>>(), &[]), Kind::Write),
            What::Put(_) => (at(of::<MvRegister<String>>(), &[]), Kind::Write),
            What::Count(a, b, n) => {
                let path = at(of::<Nested>(), &[a, b]);
                return Footprint {
                    path,
                    kind: None,
                    n: i128::from(*n),
                };
            }
            What::Reset(a, b) => (at(of::<Nested>(), &[a, b]), Kind::Remove),
            What::RemoveMap(a) => (at(of::<Nested>(), &[a]), Kind::Remove),
            What::AddTo(a, e) => (at(of::<Carts>(), &[a, e]), Kind::Write),
            What::RemoveFrom(a, e) => (at(of::<Carts>(), &[a, e]), Kind::Remove),
            What::Delete => (at(None, &[]), Kind::Remove),
        };
        Footprint {
            path,
            kind: Some(kind),
            n: 0,
        }
    }

    /// Runs it.
    pub(crate) fn run(&self, at: &mut impl Target) -> Result<(), UpdateError> {
        let key = self.key.as_bytes();
        match &self.what {
            What::Insert(e) => at.update::<Tags>(key, |s| {
                s.insert(*e);
            }),
            What::Remove(e) => at.update::<Tags>(key, |s| {
                s.remove(*e);
            }),
            What::Clear => at.update::<Tags>(key, |s| {
                s.clear();
            }),
            What::Set(v) => at.update::<LwwRegister<u32>>(key, |r| r.set(v)),
            What::Put(v) => at.update::<MvRegister<String>>(key, |r| r.set(v)),
            What::Count(a, b, n) => at.update::<Nested>(key, |m| m.entry(*a).entry(*b).add(*n)),
            What::Reset(a, b) => at.update::<Nested>(key, |m| {
                m.entry(*a).remove(*b);
            }),
            What::RemoveMap(a) => at.update::<Nested>(key, |m| {
                m.remove(*a);
            }),
            What::AddTo(a, e) => at.update::<Carts>(key, |m| {
                m.entry(*a).insert(*e);
            }),
            What::RemoveFrom(a, e) => at.update::<Carts>(key, |m| {
                m.entry(*a).remove(*e);
            }),
            What::Delete => at.delete(key),
        }
    }
}

/// Where an op takes place.
pub(crate) trait Target {
    fn update<T: Crdt>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T::Edit<'_>),
    ) -> Result<(), UpdateError>;
    fn delete(&mut self, key: &[u8]) -> Result<(), UpdateError>;
}

/// A call of its own.
pub(crate) struct Call<'a> {
    pub(crate) replica: &'a mut Replica,
    pub(crate) now: Time,
    pub(crate) wall: u64,
}

impl Target for Call<'_> {
    fn update<T: Crdt>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T::Edit<'_>),
    ) -> Result<(), UpdateError> {
        let (now, wall) = (self.now, self.wall);
        self.replica
            .update::<T, (), UpdateError>(now, wall, key, |edit| {
                change(edit);
                Ok(())
            })
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), UpdateError> {
        self.replica.delete(self.now, key).map(drop)
    }
}

impl Target for Transaction<'_> {
    fn update<T: Crdt>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T::Edit<'_>),
    ) -> Result<(), UpdateError> {
        change(&mut self.edit::<T>(key));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), UpdateError> {
        Transaction::delete(self, key);
        Ok(())
    }
}
