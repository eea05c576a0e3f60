//! The data types side by side with those of `crdts` and `lattices`, in one run: times as medians of
//! alternating repeats, bytes as the allocator counts them. `cargo xtask bench types` runs it.

mod measure;
mod others;
mod ours;
mod subject;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use measure::Table;
use subject::{Element, Subject};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SIZES: [usize; 2] = [1_000, 100_000];
/// Sizes at which heap bytes are counted besides: the load of a hash table swings with them.
const HEAP_SIZES: [usize; 4] = [10_000, 70_000, 114_000, 116_000];

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
    others::Crdts<E>: Subject<E>,
{
    let mut table = Table::new(&format!("set of {size} {}", E::NAME), "crdts");
    let rows = [
        (
            "insert",
            measure::insert::<E, ours::Ours<E>> as fn(usize) -> f64,
            measure::insert::<E, others::Crdts<E>> as fn(usize) -> f64,
        ),
        (
            "contains",
            measure::contains::<E, ours::Ours<E>>,
            measure::contains::<E, others::Crdts<E>>,
        ),
        (
            "remove",
            measure::remove::<E, ours::Ours<E>>,
            measure::remove::<E, others::Crdts<E>>,
        ),
        (
            "iterate",
            measure::iterate::<E, ours::Ours<E>>,
            measure::iterate::<E, others::Crdts<E>>,
        ),
        (
            "merge, half overlaps",
            measure::merge_disjoint::<E, ours::Ours<E>>,
            measure::merge_disjoint::<E, others::Crdts<E>>,
        ),
        (
            "merge, forked halves",
            measure::merge_forks::<E, ours::Ours<E>>,
            measure::merge_forks::<E, others::Crdts<E>>,
        ),
        (
            "merge of 1 %, each of it",
            measure::merge_delta::<E, ours::Ours<E>>,
            measure::merge_delta::<E, others::Crdts<E>>,
        ),
        (
            "merge, identical, in all",
            measure::merge_identical::<E, ours::Ours<E>>,
            measure::merge_identical::<E, others::Crdts<E>>,
        ),
        (
            "encode",
            measure::encode::<E, ours::Ours<E>>,
            measure::encode::<E, others::Crdts<E>>,
        ),
        (
            "decode",
            measure::decode::<E, ours::Ours<E>>,
            measure::decode::<E, others::Crdts<E>>,
        ),
        (
            "heap bytes",
            measure::heap::<E, ours::Ours<E>>,
            measure::heap::<E, others::Crdts<E>>,
        ),
        (
            "encoded bytes",
            measure::encoded::<E, ours::Ours<E>>,
            measure::encoded::<E, others::Crdts<E>>,
        ),
    ];
    for (name, ours, theirs) in rows {
        table.row(name, ours(size), theirs(size));
    }
    let union = measure::union::<E>(size);
    let merge = measure::merge_disjoint::<E, ours::Ours<E>>(size);
    table.row("plain union (lattices)", merge, union);
    table.print();
}

fn heap<E: Element>(size: usize)
where
    others::Crdts<E>: Subject<E>,
{
    let mut table = Table::new(&format!("set of {size} {}", E::NAME), "crdts");
    table.row(
        "heap bytes",
        measure::heap::<E, ours::Ours<E>>(size),
        measure::heap::<E, others::Crdts<E>>(size),
    );
    table.print();
}

fn counters() {
    let mut table = Table::new("counter", "crdts");
    table.row("add", ours::counter_add(), others::counter_add());
    table.row(
        "merge of 1000 replicas, each",
        ours::counter_merge(1000),
        others::counter_merge(1000),
    );
    table.print();
}
