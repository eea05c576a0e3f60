//! Calls a second of one store, and events a second that a replica takes in.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{CHUNK, Key, Keys, Store, StoreConfig};
use dd_testkit::merging;

use super::chart::Chart;
use super::cluster::Nodes;
use super::report::{About, Cell, Column, Output, Report, cells, number, text};

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter/");
const SET: Key<OrSet<u64>> = Key::new("set");
/// Elements of the set.
const ELEMENTS: usize = 100_000;
const COLUMNS: [Column; 6] = [
    text("", 44),
    number("calls or events", "M/s", 3),
    number("each", "ns", 0),
    number("of a map's", "", 2),
    number("longest", "ms", 2),
    number("sending", "M/s", 3),
];

/// Local updates and reads of a store, beside a hash map of the standard library in the same run, and the merge of
/// another's events into many keys.
#[derive(Debug, Args)]
pub(crate) struct Throughput {
    /// Counters
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Calls of each kind
    #[arg(long, default_value_t = 1_000_000)]
    calls: usize,
    /// Events of each kind that are merged
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Bytes of data in a frame between replicas; by default as between stores
    #[arg(long, default_value_t = CHUNK)]
    chunk: usize,
}

impl Throughput {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!(
                "Calls of one thread into a store of {} counters and a set of {ELEMENTS} numbers, \
                 and events merged into as many counters",
                self.keys
            ),
            counted: "Calls: of a store without peers, its driver running; names are made by the \
                      caller and count; new elements come into the set until it has twice as many. A map's: the calls a second beside those of a HashMap of \
                      the standard library with the same names, adding to a number or getting it. \
                      Events: what a replica's handle_frame takes, and of forgetting its \
                      handle_timeout, in one thread without a \
                      network; longest: one frame, or one step of forgetting, for which readers wait \
                      at most; of reads while a set of twice as many is deleted, one read, of a thread of its own. \
                      Sending: the same events of what the sender's poll_transmit takes."
                .to_owned(),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["calls or events"]).log(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let nodes = runtime.block_on(Nodes::members(1, StoreConfig::default()))?;
        self.local(&nodes.stores[0], &mut report)?;
        runtime.block_on(nodes.stop())?;
        let mut rows = Vec::new();
        merging::merge(self.keys, self.events, self.chunk, |merged| {
            rows.push(merged)
        })
        .map_err(|what| anyhow!(what))?;
        for merged in rows {
            let rate = |time: std::time::Duration| merged.events as f64 / time.as_secs_f64() / 1e6;
            report.row(cells![
                format!("merge: {}", merged.what),
                rate(merged.receiving),
                1e3 / rate(merged.receiving),
                Cell::None,
                merged.longest.as_secs_f64() * 1e3,
                match merged.sending.is_zero() {
                    true => Cell::None,
                    false => Cell::from(rate(merged.sending)),
                },
            ])?;
        }
        Ok(report)
    }

    fn local(&self, store: &Store, report: &mut Report<'_>) -> Result<()> {
        let mut map: HashMap<String, u64> = HashMap::new();
        for at in 0..self.keys {
            store.update(&counter(at), |counter| counter.add(1))?;
            map.insert(name(at), 1);
        }
        for at in 0..ELEMENTS {
            store.update(&SET, |set| set.insert(&spread(at)))?;
        }
        let some = |at: usize| spread(at) as usize % self.keys;
        let adding = self.rate(|at| {
            *map.entry(name(some(at))).or_default() += 1;
            Ok(())
        })?;
        let getting = self.rate(|at| {
            black_box(map.get(&name(some(at))));
            Ok(())
        })?;
        let adding_hot = self.rate(|_| {
            *map.entry(name(7)).or_default() += 1;
            Ok(())
        })?;
        drop(map);
        let mut row = |what: &str, rate: f64, map: Option<f64>| {
            report.row(cells![
                what,
                rate,
                1e3 / rate,
                map.map(|map| rate / map),
                Cell::None,
                Cell::None
            ])
        };
        row("HashMap: add to a number, in no order", adding, None)?;
        row("HashMap: get, in no order", getting, None)?;
        let key = counter(7);
        let rate = self.rate(|_| Ok(store.update(&key, |counter| counter.add(1))?))?;
        row("counter: add, one key", rate, Some(adding_hot))?;
        let rate = self.rate(|at| Ok(store.update(&counter(some(at)), |c| c.add(1))?))?;
        row("counter: add, keys in no order", rate, Some(adding))?;
        let rate = self.rate(|at| {
            black_box(store.read(&counter(some(at)), |counter| counter.value())?);
            Ok(())
        })?;
        row("counter: read, keys in no order", rate, Some(getting))?;
        let rate = self.rate(|at| {
            black_box(store.read(&SET, |set| set.contains(&spread(at % ELEMENTS)))?);
            Ok(())
        })?;
        row("set: contains, each by a read", rate, None)?;
        let set = store.get(&SET)?;
        let rate = self.rate(|at| {
            black_box(set.view().contains(&spread(at % ELEMENTS)));
            Ok(())
        })?;
        row("set: contains, in one snapshot", rate, None)?;
        drop(set);
        let rate = of_calls(ELEMENTS, |at| {
            store.update(&SET, |set| set.insert(&spread(ELEMENTS + at)))?;
            Ok(())
        })?;
        row("set: insert a new element", rate, None)?;
        let (rate, longest) = while_deleted(store)?;
        report.row(cells![
            "set: contains, while it is deleted",
            rate,
            1e3 / rate,
            Cell::None,
            longest,
            Cell::None
        ])
    }

    fn rate(&self, call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
        of_calls(self.calls, call)
    }
}

/// Reads of the set from when it is about to be deleted until it is: millions a second, and the longest in milliseconds.
fn while_deleted(store: &Store) -> Result<(f64, f64)> {
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<_> {
            let (began, mut calls, mut longest) = (Instant::now(), 0u32, 0f64);
            while !gone.load(Ordering::Acquire) {
                let call = Instant::now();
                black_box(
                    store.read(&SET, |set| set.contains(&spread(calls as usize % ELEMENTS)))?,
                );
                longest = longest.max(call.elapsed().as_secs_f64() * 1e3);
                calls += 1;
            }
            Ok((
                f64::from(calls) / began.elapsed().as_secs_f64() / 1e6,
                longest,
            ))
        });
        let deleted = store.delete(&SET);
        gone.store(true, Ordering::Release);
        let read = reader.join().map_err(|_| anyhow!("the reader panicked"))?;
        deleted?;
        read
    })
}

/// Millions of calls a second.
fn of_calls(calls: usize, mut call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    (0..calls).try_for_each(&mut call)?;
    Ok(calls as f64 / began.elapsed().as_secs_f64() / 1e6)
}

fn name(at: usize) -> String {
    format!("{:016x}", spread(at))
}

fn counter(at: usize) -> Key<PnCounter> {
    COUNTERS.key(name(at))
}

/// Numbers that come in no order.
fn spread(n: usize) -> u64 {
    (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
