//! One operation of ours or of `crdts`, for a tool that counts the instructions of
//! [`counted`]. `cargo xtask bench instructions` runs it under callgrind.
//!
//! Without arguments it lists the operations; with the name of one and `ours` or `crdts` it runs that,
//! and says how often.

mod jobs;
mod store;

use std::process::ExitCode;

use benches::others::crdts::{CrdtsCounter, CrdtsLww, CrdtsMap, CrdtsMv, CrdtsSet};
use benches::ours::Ours;
use crdt_core::{LwwRegister, MvRegister, OrMap, OrSet, PnCounter};

type OurSet = Ours<OrSet<u64>>;
type CrdtsNumbers = CrdtsSet<u64>;

/// Sets up and runs; returns how many operations were counted.
type Job = fn() -> usize;

/// A name, ours, and that of `crdts`.
const TYPES: [(&str, Job, Job); 20] = [
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

/// Those of a store, for which nothing stands beside.
const STORE: [(&str, Job); 10] = [
    ("store: add to a new counter", store::add_new),
    ("store: add to a counter", store::add_again),
    ("store: read a counter", store::value),
    ("store: delete a counter", store::delete),
    ("store: overwrite a register", store::overwrite),
    ("store: insert into a set", store::insert_new),
    ("store: contains in a set", store::contains),
    ("store: merge a new counter", store::merge_new),
    ("store: merge a changed counter", store::merge_changed),
    ("store: merge a deleted counter", store::merge_deleted),
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
        let types = TYPES.iter().map(|(name, ..)| name);
        let store = STORE.iter().map(|(name, _)| name);
        types.chain(store).for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let of_types = TYPES.iter().find(|(known, ..)| known == name);
    let of_store = STORE.iter().find(|(known, _)| known == name);
    let job = match (library.as_str(), of_types, of_store) {
        ("ours", Some((_, ours, _)), _) => ours,
        ("ours", None, Some((_, ours))) => ours,
        ("crdts", Some((_, _, theirs)), _) => theirs,
        (_, None, Some(_)) => {
            println!("0");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: no operation is called {name:?}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", job());
    ExitCode::SUCCESS
}
