//! Maps and counters side by side with the documents of `automerge`, `dson` and `loro`, in one run.
//! `cargo xtask bench documents` runs it.

mod document;
mod jobs;
mod others;
mod ours;

use std::alloc::System;

use benches::measure::Table;
use crdt_core::PnCounter;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use document::{Counter, Document};
use others::automerge::Automerge;
use others::dson::Dson;
use others::loro::{Loro, state_only};
use ours::{LastWriter, MultiValue, Ours};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SIZES: [usize; 2] = [1_000, 10_000];

/// What the numbers mean, and where the others do something else.
const PREFACE: &str = "\
Maps of strings to numbers. Times in nanoseconds, medians; ratio: how many times as much the other
takes. An update is what a replica needs that has all before, in bytes.

automerge and loro keep every change ever made, here one transaction of all keys, and can show or
merge what was at any of them; crdt-core and dson keep the present alone. Of concurrent writes to one
key loro keeps one, and beside it stands LwwMap; automerge and dson keep all, and beside them stands
OrMap of MvRegister. loro merges through bytes. dson has no encoding of its own: it
stands in MessagePack. What was written over leaves a record here, up to a limit above which they are
forgotten: hence the bytes of small maps that were rewritten. Counters: each addition is one operation.
";

fn main() {
    println!("{PREFACE}");
    for size in SIZES {
        map::<Ours<MultiValue>, Automerge>(size).print();
        map::<Ours<MultiValue>, Dson>(size).print();
        let mut table = map::<Ours<LastWriter>, Loro>(size);
        let ours = |bytes: usize| bytes as f64 / size as f64;
        table.row(
            "encoded, loro without history",
            jobs::encoded_bytes::<Ours<LastWriter>>(size),
            ours(state_only(&jobs::filled(size)).len()),
        );
        table.print();
    }
    counter::<Automerge>();
    counter::<Loro>();
}

fn map<O: Document, D: Document>(size: usize) -> Table {
    let mut table = Table::new(&format!("map of {size} keys"), D::NAME);
    let rows = [
        (
            "set all, each",
            jobs::set_all::<O> as fn(usize) -> f64,
            jobs::set_all::<D> as fn(usize) -> f64,
        ),
        (
            "set one, and its update",
            jobs::set_one::<O>,
            jobs::set_one::<D>,
        ),
        ("apply that update", jobs::apply::<O>, jobs::apply::<D>),
        (
            "update, bytes",
            jobs::update_bytes::<O>,
            jobs::update_bytes::<D>,
        ),
        ("merge two halves, each", jobs::merge::<O>, jobs::merge::<D>),
        ("encode, each", jobs::encode::<O>, jobs::encode::<D>),
        ("decode, each", jobs::decode::<O>, jobs::decode::<D>),
        (
            "heap bytes, each",
            jobs::heap_bytes::<O>,
            jobs::heap_bytes::<D>,
        ),
        (
            "encoded bytes, each",
            jobs::encoded_bytes::<O>,
            jobs::encoded_bytes::<D>,
        ),
        (
            "heap, rewritten 10 times",
            jobs::rewritten_heap::<O>,
            jobs::rewritten_heap::<D>,
        ),
        (
            "encoded, rewritten 10 times",
            jobs::rewritten_bytes::<O>,
            jobs::rewritten_bytes::<D>,
        ),
    ];
    for (name, ours, theirs) in rows {
        table.row(name, ours(size), theirs(size));
    }
    table
}

fn counter<C: Counter>() {
    type Our = Ours<PnCounter>;
    let mut table = Table::new(&format!("counter, after {} additions", jobs::ADDS), C::NAME);
    let rows = [
        (
            "add, many at once",
            jobs::add::<Our> as fn() -> f64,
            jobs::add::<C> as fn() -> f64,
        ),
        (
            "add one, and its update",
            jobs::add_one::<Our>,
            jobs::add_one::<C>,
        ),
        (
            "apply that update",
            jobs::apply_add::<Our>,
            jobs::apply_add::<C>,
        ),
        (
            "update, bytes",
            jobs::add_bytes::<Our>,
            jobs::add_bytes::<C>,
        ),
        (
            "encoded bytes, in all",
            jobs::counter_bytes::<Our>,
            jobs::counter_bytes::<C>,
        ),
    ];
    for (name, ours, theirs) in rows {
        table.row(name, ours(), theirs());
    }
    table.print();
}
