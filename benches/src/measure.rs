//! How things are measured, and the tables of it.

use std::hint::black_box;
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

/// What is measured of an operation. All but times need a program whose allocator counts.
#[derive(Clone, Copy, Debug)]
pub enum Quantity {
    /// Nanoseconds.
    Time,
    /// How often memory was asked for, or for more in place of what there was.
    Allocations,
    /// How many bytes that was.
    AllocatedBytes,
}

/// The quantity of `op` over fresh outcomes of `set_up`; of times the median.
pub fn measure<T, R>(
    quantity: Quantity,
    repeats: usize,
    mut set_up: impl FnMut() -> T,
    mut op: impl FnMut(T) -> R,
) -> f64 {
    match quantity {
        Quantity::Time => time(repeats, set_up, op),
        Quantity::Allocations | Quantity::AllocatedBytes => {
            let input = set_up();
            let region = Region::new(&INSTRUMENTED_SYSTEM);
            let output = op(black_box(input));
            let change = region.change();
            drop(black_box(output));
            match quantity {
                Quantity::Allocations => (change.allocations + change.reallocations) as f64,
                _ => change.bytes_allocated as f64,
            }
        }
    }
}

/// The median time of `op`, in nanoseconds, over fresh outcomes of `set_up`.
pub fn time<T, R>(
    repeats: usize,
    mut set_up: impl FnMut() -> T,
    mut op: impl FnMut(T) -> R,
) -> f64 {
    let mut times: Vec<f64> = (0..repeats)
        .map(|_| {
            let input = set_up();
            let began = Instant::now();
            let output = op(black_box(input));
            let time = began.elapsed().as_secs_f64() * 1e9;
            drop(black_box(output));
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Live bytes of what is made.
pub fn heap<T>(make: impl FnOnce() -> T) -> f64 {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let made = make();
    let change = region.change();
    drop(made);
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

/// Ours beside another's.
#[derive(Debug)]
pub struct Table {
    rows: Vec<(String, f64, f64)>,
    title: String,
    other: &'static str,
}

impl Table {
    /// An empty one, beside the library `other`.
    pub fn new(title: &str, other: &'static str) -> Self {
        Self {
            rows: Vec::new(),
            title: title.to_owned(),
            other,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, name: &str, ours: f64, theirs: f64) {
        self.rows.push((name.to_owned(), ours, theirs));
    }

    /// Adds a row for the time of an operation, and one for each of its allocations and their bytes.
    pub fn rows(
        &mut self,
        name: &str,
        ours: impl Fn(Quantity) -> f64,
        theirs: impl Fn(Quantity) -> f64,
    ) {
        for (name, of) in [
            (name.to_owned(), Quantity::Time),
            (format!("{name}: allocations"), Quantity::Allocations),
            (format!("{name}: bytes"), Quantity::AllocatedBytes),
        ] {
            self.row(&name, ours(of), theirs(of));
        }
    }

    /// Prints it.
    pub fn print(&self) {
        println!(
            "{:<34} {:>12} {:>12} {:>8}",
            self.title, "crdt-core", self.other, "ratio"
        );
        for (name, ours, theirs) in &self.rows {
            println!(
                "  {name:<32} {ours:>12.2} {theirs:>12.2} {:>8.2}",
                theirs / ours
            );
        }
        println!();
    }
}
