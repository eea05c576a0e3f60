//! What several test modules need: seeded property runs, replicas by number, and the state that
//! the kernel holds under a value.

pub(crate) mod catching_up;
pub(crate) mod oracle;
pub(crate) mod subject;
pub(crate) mod world;

use std::fmt::Debug;

use crdt_core::codec::{Reader, Writer};
use crdt_core::kernel::{DotStore, Entry, Unit};
use crdt_core::{
    Causal, Context, Crdt, Delta, Limits, Path, ReplicaId, Shape, Updated, VersionVector,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

/// The `n`-th replica of a test.
pub(crate) fn replica(n: u64) -> ReplicaId {
    ReplicaId::new(n, 1)
}

/// An empty value at the `n`-th replica.
pub(crate) fn empty<T: Crdt>(n: u64) -> Causal<T> {
    Causal::new(replica(n))
}

/// An update that no limit refuses.
pub(crate) fn update<T: Crdt, R: Debug>(
    at: &mut Causal<T>,
    change: impl FnOnce(&mut T::Edit<'_>) -> R,
) -> Updated<R, T> {
    at.update(change).expect("within the limits")
}

/// A second copy of a value, under one of two ids that never write.
pub(crate) fn copy<T: Crdt>(of: &Causal<T>) -> Causal<T> {
    let ids = [u64::MAX, u64::MAX - 1].map(replica);
    let other = if of.replica() == ids[0] {
        ids[1]
    } else {
        ids[0]
    };
    of.fork(other).expect("an id that never writes")
}

/// `into` with everything that `from` has, both left alone.
pub(crate) fn merged<T: Crdt>(into: &Causal<T>, from: &Causal<T>) -> Causal<T> {
    let mut out = copy(into);
    out.merge(from).expect("an id of its own");
    out
}

/// What a replica has seen, and the dots that are live in it. Not the removal records that it
/// keeps: those are its own affair.
#[derive(Debug, PartialEq)]
pub(crate) struct KernelState {
    pub(crate) context: Context,
    pub(crate) live: Vec<(Path, Vec<Entry>)>,
}

/// The kernel's state under a value, read from its bytes.
pub(crate) fn kernel_state<T: Crdt>(of: &Causal<T>) -> KernelState {
    let bytes = of.encode();
    let mut r = Reader::new(&bytes);
    r.byte().expect("format");
    r.bytes().expect("shape");
    let context = Context::decode(&mut r).expect("context");
    VersionVector::decode(&mut r).expect("floor");
    let unit = Unit::decode(&mut r, &Limits::default()).expect("unit");
    r.finish().expect("nothing behind the unit");
    KernelState {
        context,
        live: unit.adds,
    }
}

/// The store under a value, read from its bytes.
pub(crate) fn store_of<T: Crdt>(of: &Causal<T>) -> DotStore {
    let bytes = of.encode();
    let mut r = Reader::new(&bytes);
    r.byte().expect("format");
    r.bytes().expect("shape");
    let context = Context::decode(&mut r).expect("context");
    let floor = VersionVector::decode(&mut r).expect("floor");
    DotStore::decode_whole(&mut r, &Limits::default(), context, floor).expect("store")
}

/// What a delta says, read from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeltaParts {
    pub(crate) needs: Context,
    pub(crate) brings: Context,
    pub(crate) floor: VersionVector,
    pub(crate) unit: Unit,
}

impl DeltaParts {
    pub(crate) fn of<T: Crdt>(delta: &Delta<T>) -> Self {
        let bytes = delta.encode();
        let mut r = Reader::new(&bytes);
        r.byte().expect("format");
        r.bytes().expect("shape");
        let needs = Context::decode(&mut r).expect("needs");
        let brings = Context::decode(&mut r).expect("brings");
        let floor = VersionVector::decode(&mut r).expect("floor");
        let unit = Unit::decode(&mut r, &Limits::default()).expect("unit");
        r.finish().expect("nothing behind the unit");
        Self {
            needs,
            brings,
            floor,
            unit,
        }
    }

    /// A delta that says this.
    pub(crate) fn to_delta<T: Crdt>(&self) -> Delta<T> {
        let mut w = Writer::new();
        w.byte(1);
        w.bytes(Shape::of::<T>().name());
        self.needs.encode(&mut w);
        self.brings.encode(&mut w);
        self.floor.encode(&mut w);
        self.unit.encode(&mut w);
        Delta::load(&w.finish()).expect("the bytes of a delta")
    }
}

/// A number from the environment.
pub(crate) fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Runs a property `cases` times, or as often as `LAW_CASES` says, from a fixed seed, or that of
/// `TEST_SEED`, and shrinks what fails.
pub(crate) fn property<S: Strategy>(
    cases: u32,
    inputs: S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let seed = from_env("TEST_SEED").unwrap_or(0x5eed);
    let asked = from_env("LAW_CASES").map(|n| u32::try_from(n).expect("LAW_CASES"));
    let config = Config {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    match TestRunner::new(config).run(&inputs, test) {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => {
            panic!("seed {seed}: {why}\nminimal failing input: {input:#?}")
        }
        Err(TestError::Abort(why)) => panic!("seed {seed}: aborted: {why}"),
    }
}
