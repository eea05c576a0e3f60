//! One operation of ours or of `crdts`, for a tool that counts the instructions of
//! [`counted`]. `cargo xtask bench instructions` runs it under callgrind.
//!
//! Without arguments it lists the operations; with the name of one and `ours` or `crdts` it runs that,
//! and says how often.

mod jobs;

use std::process::ExitCode;

use benches::others::crdts::{CrdtsCounter, CrdtsLww, CrdtsMap, CrdtsMv, CrdtsSet};
use benches::ours::Ours;
use crdt_core::{LwwRegister, MvRegister, OrMap, OrSet, PnCounter};

type OurSet = Ours<OrSet<u64>>;
type CrdtsNumbers = CrdtsSet<u64>;

/// Sets up and runs; returns how many operations were counted.
type Job = fn() -> usize;

/// A name, ours, and that of `crdts`.
const OPERATIONS: [(&str, Job, Job); 20] = [
    (
        "set of 1000: insert",
        || jobs::insert::<OurSet>(1_000),
        || jobs::insert::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 1000: contains",
        || jobs::contains::<OurSet>(1_000),
        || jobs::contains::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 1000: remove",
        || jobs::remove::<OurSet>(1_000),
        || jobs::remove::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 1000: merge",
        || jobs::merge::<OurSet>(1_000),
        || jobs::merge::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 1000: encode",
        || jobs::encode::<OurSet>(1_000),
        || jobs::encode::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 1000: decode",
        || jobs::decode::<OurSet>(1_000),
        || jobs::decode::<CrdtsNumbers>(1_000),
    ),
    (
        "set of 100000: insert",
        || jobs::insert::<OurSet>(100_000),
        || jobs::insert::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 100000: contains",
        || jobs::contains::<OurSet>(100_000),
        || jobs::contains::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 100000: remove",
        || jobs::remove::<OurSet>(100_000),
        || jobs::remove::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 100000: merge",
        || jobs::merge::<OurSet>(100_000),
        || jobs::merge::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 100000: encode",
        || jobs::encode::<OurSet>(100_000),
        || jobs::encode::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 100000: decode",
        || jobs::decode::<OurSet>(100_000),
        || jobs::decode::<CrdtsNumbers>(100_000),
    ),
    (
        "set of 1000: insert, one by one",
        jobs::update::<OurSet>,
        jobs::update::<CrdtsNumbers>,
    ),
    (
        "counter: add",
        jobs::add::<Ours<PnCounter>>,
        jobs::add::<CrdtsCounter>,
    ),
    (
        "counter: add, one by one",
        jobs::add_one::<Ours<PnCounter>>,
        jobs::add_one::<CrdtsCounter>,
    ),
    (
        "counter of 1000 replicas: merge",
        jobs::merge_counters::<Ours<PnCounter>>,
        jobs::merge_counters::<CrdtsCounter>,
    ),
    (
        "last-writer register: set",
        jobs::set_register::<Ours<LwwRegister<u64>>>,
        jobs::set_register::<CrdtsLww>,
    ),
    (
        "multi-value register: set",
        jobs::set_register::<Ours<MvRegister<u64>>>,
        jobs::set_register::<CrdtsMv>,
    ),
    (
        "map of 1000: insert",
        || jobs::insert_entries::<Ours<OrMap<String, MvRegister<u64>>>>(1_000),
        || jobs::insert_entries::<CrdtsMap>(1_000),
    ),
    (
        "map of 100000: insert",
        || jobs::insert_entries::<Ours<OrMap<String, MvRegister<u64>>>>(100_000),
        || jobs::insert_entries::<CrdtsMap>(100_000),
    ),
];

/// What is counted. It stands in no other name, is not generic and never inlined: callgrind switches
/// itself on and off by its name.
#[inline(never)]
fn counted(operation: &mut dyn FnMut()) {
    operation();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, library] = arguments.as_slice() else {
        OPERATIONS.iter().for_each(|(name, ..)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, ours, theirs)) = OPERATIONS.iter().find(|(known, ..)| known == name) else {
        eprintln!("error: no operation is called {name:?}");
        return ExitCode::FAILURE;
    };
    let job = if library == "ours" { ours } else { theirs };
    println!("{}", job());
    ExitCode::SUCCESS
}
