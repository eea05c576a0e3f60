//! The data types side by side with those of `crdts` and `lattices`, in one run: times as medians of
//! alternating repeats, bytes as the allocator counts them. `cargo xtask bench types` runs it.

mod jobs;

use std::alloc::System;

use benches::measure::{Quantity, Table};
use benches::others::crdts::{CrdtsCounter, CrdtsSet};
use benches::ours::Ours;
use benches::subject::{Element, Set};
use crdt_core::{OrSet, PnCounter};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SIZES: [usize; 2] = [1_000, 100_000];
/// Sizes at which heap bytes are counted besides: the load of a hash table swings with them.
const HEAP_SIZES: [usize; 4] = [10_000, 70_000, 114_000, 116_000];

type OurSet<E> = Ours<OrSet<E>>;
type OurCounter = Ours<PnCounter>;

fn main() {
    println!("Times in nanoseconds, medians; ratio: how many times as much the other takes.");
    println!("Sets: an element is inserted, asked for, removed; the rest is for each element.\n");
    for size in SIZES {
        sets::<u64>(size);
        sets::<[u8; 16]>(size);
    }
    for size in HEAP_SIZES {
        heap::<u64>(size);
        heap::<[u8; 16]>(size);
    }
    counters();
}

fn sets<E: Element>(size: usize)
where
    CrdtsSet<E>: Set<E>,
{
    let mut table = Table::new(&format!("set of {size} {}", E::NAME), "crdts");
    let of_an_operation = [
        (
            "insert",
            jobs::insert::<E, OurSet<E>> as fn(Quantity, usize) -> f64,
            jobs::insert::<E, CrdtsSet<E>> as fn(Quantity, usize) -> f64,
        ),
        (
            "remove",
            jobs::remove::<E, OurSet<E>>,
            jobs::remove::<E, CrdtsSet<E>>,
        ),
        (
            "merge, half overlaps",
            jobs::merge_disjoint::<E, OurSet<E>>,
            jobs::merge_disjoint::<E, CrdtsSet<E>>,
        ),
    ];
    let rows = [
        (
            "contains",
            jobs::contains::<E, OurSet<E>> as fn(usize) -> f64,
            jobs::contains::<E, CrdtsSet<E>> as fn(usize) -> f64,
        ),
        (
            "iterate",
            jobs::iterate::<E, OurSet<E>>,
            jobs::iterate::<E, CrdtsSet<E>>,
        ),
        (
            "merge, forked halves",
            jobs::merge_forks::<E, OurSet<E>>,
            jobs::merge_forks::<E, CrdtsSet<E>>,
        ),
        (
            "merge of 1 %, each of it",
            jobs::merge_delta::<E, OurSet<E>>,
            jobs::merge_delta::<E, CrdtsSet<E>>,
        ),
        (
            "merge, identical, in all",
            jobs::merge_identical::<E, OurSet<E>>,
            jobs::merge_identical::<E, CrdtsSet<E>>,
        ),
        (
            "encode",
            jobs::encode::<E, OurSet<E>>,
            jobs::encode::<E, CrdtsSet<E>>,
        ),
        (
            "decode",
            jobs::decode::<E, OurSet<E>>,
            jobs::decode::<E, CrdtsSet<E>>,
        ),
        (
            "heap bytes",
            jobs::held::<E, OurSet<E>>,
            jobs::held::<E, CrdtsSet<E>>,
        ),
        (
            "encoded bytes",
            jobs::encoded::<E, OurSet<E>>,
            jobs::encoded::<E, CrdtsSet<E>>,
        ),
    ];
    for (name, ours, theirs) in of_an_operation {
        table.rows(name, |of| ours(of, size), |of| theirs(of, size));
    }
    for (name, ours, theirs) in rows {
        table.row(name, ours(size), theirs(size));
    }
    let union = jobs::union::<E>(size);
    let merge = jobs::merge_disjoint::<E, OurSet<E>>(Quantity::Time, size);
    table.row("plain union (lattices)", merge, union);
    table.print();
}

fn heap<E: Element>(size: usize)
where
    CrdtsSet<E>: Set<E>,
{
    let mut table = Table::new(&format!("set of {size} {}", E::NAME), "crdts");
    table.row(
        "heap bytes",
        jobs::held::<E, OurSet<E>>(size),
        jobs::held::<E, CrdtsSet<E>>(size),
    );
    table.print();
}

fn counters() {
    let mut table = Table::new("counter", "crdts");
    table.rows(
        "add",
        jobs::counter_add::<OurCounter>,
        jobs::counter_add::<CrdtsCounter>,
    );
    table.rows(
        "merge of 1000, each",
        |of| jobs::counter_merge::<OurCounter>(of, 1000),
        |of| jobs::counter_merge::<CrdtsCounter>(of, 1000),
    );
    table.print();
}
