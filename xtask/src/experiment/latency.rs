//! From a write on one node until it is visible on all.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use dd_extension::types::MaxRegister;
use dd_extension::{Keys, Store};

use super::chart::Chart;
use super::report::{About, Column, Output, Report, cells, number, processors};
use super::threads::{self, Node};
use super::times::Times;

/// Each holds when it was written last, in nanoseconds since the experiment began.
pub(super) const WRITTEN: Keys<MaxRegister<u64>> = Keys::with_prefix("written/");

const COLUMNS: [Column; 6] = [
    number("writes a second", "", 0),
    number("seen", "", 0),
    number("p50", "us", 0),
    number("p99", "us", 0),
    number("p99.9", "us", 0),
    number("most", "us", 0),
];

/// Three nodes, one of which writes at a steady rate: how long until a subscriber on each of the others was told.
#[derive(Debug, Args)]
pub(crate) struct Latency {
    /// Writes a second
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    rates: Vec<u32>,
    /// For how long, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Keys that are written in turn
    #[arg(long, default_value_t = 1000)]
    keys: u32,
}

impl Latency {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "From a write on one of three nodes until subscribers on the others were told"
                .to_owned(),
            counted: format!(
                "Three nodes of this process over QUIC on loopback, each with a runtime and a \
                 thread of its own ({} processors). One writes {} keys in turn; a subscriber on \
                 each other node notes when it is told of a write. A write that comes before its \
                 subscriber has been told of the one before is not counted by itself.",
                processors(),
                self.keys
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&["writes a second"], &["p50", "p99", "p99.9"]).log(),
        });
        let nodes = threads::start(3)?;
        let began = Instant::now();
        for rate in &self.rates {
            let count = rate * self.seconds;
            let times = measure(&nodes, began, *rate, count, self.keys)?;
            report.row(cells![
                *rate,
                times.count(),
                times.micros(50.0),
                times.micros(99.0),
                times.micros(99.9),
                times.micros(100.0),
            ])?;
        }
        nodes.into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }
}

fn measure(nodes: &[Node], began: Instant, rate: u32, count: u32, keys: u32) -> Result<Times> {
    let [writer, others @ ..] = nodes else {
        bail!("no nodes")
    };
    let watch = |node: &Node| Ok(node.runtime.spawn(watch(node.store.clone(), began, count)?));
    let watchers: Vec<_> = others.iter().map(watch).collect::<Result<_>>()?;
    let start = Instant::now();
    for at in 0..count {
        let due = start + Duration::from_secs_f64(f64::from(at) / f64::from(rate));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        write(&writer.store, began, at % keys)?;
    }
    // A last one by which the others know that it is over.
    write(&writer.store, began, u32::MAX)?;
    let waiting = tokio::runtime::Builder::new_current_thread().build()?;
    let mut all = Vec::new();
    for watcher in watchers {
        all.extend(waiting.block_on(watcher).context("a watcher panicked")??);
    }
    Ok(Times::of(all, start.elapsed()))
}

/// Writes the time that it is.
pub(super) fn write(store: &Store, began: Instant, key: u32) -> Result<()> {
    let now = began.elapsed().as_nanos() as u64;
    store.update(&WRITTEN.key(key.to_string()), |written| written.raise(&now))?;
    Ok(())
}

/// Notes how long each write took to come, until the last one.
pub(super) fn watch(
    store: Store,
    began: Instant,
    most: u32,
) -> Result<impl Future<Output = Result<Vec<Duration>>> + use<>> {
    let since = began.elapsed().as_nanos() as u64;
    let mut changes = store.subscribe_all(&WRITTEN)?;
    Ok(async move {
        let last = WRITTEN.key(u32::MAX.to_string());
        let mut times = Vec::with_capacity(most as usize);
        loop {
            let (key, change) = changes.next().await.context("the store was stopped")?;
            let now = began.elapsed();
            let Some(written) = change.after().get() else {
                continue;
            };
            // What was there before.
            if written < since {
                continue;
            }
            if key == last {
                return Ok(times);
            }
            times.push(now.saturating_sub(Duration::from_nanos(written)));
        }
    })
}
