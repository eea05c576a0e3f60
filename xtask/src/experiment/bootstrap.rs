//! An empty node joins a full cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use dd_extension::types::{LwwRegister, OrSet};
use dd_extension::{Key, Keys};

use super::chart::Chart;
use super::latency;
use super::report::{About, Cell, Column, Output, Report, cells, number, processors, text};
use super::threads::{self, Node};
use super::times::Times;

const VALUES: Keys<LwwRegister<String>> = Keys::with_prefix("value/");
const BLOB: Key<LwwRegister<Vec<u8>>> = Key::new("blob");
const SET: Key<OrSet<u64>> = Key::new("set");
/// Bytes of a value of most keys.
const VALUE: usize = 100;
const MEMBERS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(600);

const COLUMNS: [Column; 9] = [
    text("", 30),
    number("seen", "", 0),
    number("p50", "us", 0),
    number("p99", "us", 0),
    number("most", "us", 0),
    number("took", "s", 2),
    number("payload", "MB", 1),
    number("received", "MB", 1),
    number("ratio", "", 2),
];

/// An empty node catches up with full ones: time, bytes and what share each sent, and what becomes meanwhile of small
/// writes between two of those.
#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    /// Keys of 100 bytes
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Bytes of one large value
    #[arg(long, default_value_t = 10_000_000)]
    blob: usize,
    /// Full nodes, two at least
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=9))]
    full: u8,
    /// Small writes a second meanwhile
    #[arg(long, default_value_t = 100)]
    rate: u32,
}

impl Bootstrap {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!(
                "An empty node joins {} that hold {} keys: small writes before and meanwhile",
                self.full, self.keys
            ),
            counted: format!(
                "{} nodes of this process over QUIC on loopback, each with a runtime and a \
                 thread of its own ({} processors). All but one hold keys with {VALUE} bytes, a value of \
                 {} bytes and a set of {MEMBERS} elements; that one starts with nothing. \
                 Payload: keys, values and elements. Received: frames. In brackets: what share of the events \
                 each sent. Meanwhile the first writes {} times a second, which the second notes.",
                self.full + 1,
                processors(),
                self.blob,
                self.rate
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["p50", "p99", "most"]).log(),
        });
        let addresses = threads::addresses(usize::from(self.full) + 1)?;
        let full: Vec<Node> = (0..usize::from(self.full))
            .map(|at| Node::start(at, &addresses))
            .collect::<Result<_>>()?;
        self.fill(&full[0])?;
        equal(&full)?;
        let began = Instant::now();
        let quiet = small(&full, began, self.rate, Duration::from_secs(2))?;
        report.row(row("small writes before", &quiet))?;

        let payload = self.keys * (VALUE + 14) + self.blob + MEMBERS as usize * 8;
        let joined = Instant::now();
        let joiner = Node::start(full.len(), &addresses)?;
        let done = Arc::new(AtomicBool::new(false));
        let meanwhile = {
            let (stores, done) = (
                [full[0].store.clone(), full[1].store.clone()],
                Arc::clone(&done),
            );
            let watcher = full[1]
                .runtime
                .spawn(latency::watch(stores[1].clone(), began, 0)?);
            let rate = self.rate;
            std::thread::spawn(move || -> Result<_> {
                let mut at = 0;
                while !done.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_secs(1) / rate);
                    latency::write(&stores[0], began, at % 1000)?;
                    at += 1;
                }
                latency::write(&stores[0], began, u32::MAX)?;
                Ok(watcher)
            })
        };
        let deadline = Instant::now() + PATIENCE;
        while joiner.store.status()?.replica.keys < self.keys {
            if Instant::now() > deadline {
                bail!("it has not caught up after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = joined.elapsed();
        done.store(true, Ordering::Relaxed);
        let watcher = match meanwhile.join() {
            Ok(watcher) => watcher?,
            Err(_) => bail!("the writer panicked"),
        };
        let waiting = tokio::runtime::Builder::new_current_thread().build()?;
        let times = waiting
            .block_on(watcher)
            .context("the watcher panicked")??;
        report.row(row("small writes meanwhile", &Times::of(times, took)))?;
        let status = joiner.store.status()?.replica;
        let brought = status.peers.iter().map(|peer| peer.brought);
        let all = brought.clone().sum::<u64>().max(1);
        let shares = brought.map(|events| format!("{} %", events * 100 / all));
        let shares: Vec<String> = shares.collect();
        let received = status.counts.bytes_received;
        let (none, payload, received) = (Cell::None, payload as f64, received as f64);
        report.row(cells![
            format!("caught up ({})", shares.join(", ")),
            none.clone(),
            none.clone(),
            none.clone(),
            none,
            took.as_secs_f64(),
            payload / 1e6,
            received / 1e6,
            received / payload,
        ])?;
        let mut all = full;
        all.push(joiner);
        equal(&all)?;
        all.into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }

    fn fill(&self, node: &Node) -> Result<()> {
        for at in 0..self.keys {
            let value = format!("{at:0VALUE$}");
            let key = VALUES.key(format!("{at:08}"));
            node.store.update(&key, |register| register.set(&value))?;
        }
        node.store
            .update(&BLOB, |blob| blob.set(&vec![7; self.blob]))?;
        node.store.update(&SET, |set| {
            for element in 0..MEMBERS {
                set.insert(&element);
            }
        })?;
        Ok(())
    }
}

fn row(what: &str, times: &Times) -> Vec<Cell> {
    let micros = [50.0, 99.0, 100.0].map(|percent| Cell::from(times.micros(percent)));
    let mut row = cells![what, times.count()];
    row.extend(micros);
    row.resize(COLUMNS.len(), Cell::None);
    row
}

fn small(nodes: &[Node], began: Instant, rate: u32, span: Duration) -> Result<Times> {
    let watcher = nodes[1]
        .runtime
        .spawn(latency::watch(nodes[1].store.clone(), began, 0)?);
    let count = rate * span.as_secs() as u32;
    for at in 0..count {
        std::thread::sleep(Duration::from_secs(1) / rate);
        latency::write(&nodes[0].store, began, at % 1000)?;
    }
    latency::write(&nodes[0].store, began, u32::MAX)?;
    let waiting = tokio::runtime::Builder::new_current_thread().build()?;
    let times = waiting
        .block_on(watcher)
        .context("the watcher panicked")??;
    Ok(Times::of(times, span))
}

fn equal(nodes: &[Node]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = |node: &Node| Ok(node.store.status()?.replica);
        let all = nodes.iter().map(status).collect::<Result<Vec<_>>>()?;
        if all
            .windows(2)
            .all(|two| two[0].context_hash == two[1].context_hash)
        {
            if all
                .windows(2)
                .any(|two| two[0].fingerprint != two[1].fingerprint)
            {
                bail!("equal contexts with unequal fingerprints");
            }
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the nodes are not equal after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
