//! What becomes of small writes while something large is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::latency;
use super::report::{Cell, Column, cells, number, text};
use super::threads::Node;
use super::times::Times;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

pub(super) const COLUMNS: [Column; 9] = [
    text("", 44),
    number("seen", "", 0),
    number("p50", "us", 0),
    number("p99", "us", 0),
    number("most", "us", 0),
    number("took", "s", 2),
    number("payload", "MB", 1),
    number("received", "MB", 1),
    number("ratio", "", 2),
];

#[derive(Debug, Args)]
pub(super) struct SmallWrites {
    /// Small writes a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) rate: u32,
}

/// Small writes of one experiment: their times count from one beginning.
pub(super) struct Begun {
    rate: u32,
    began: Instant,
}

impl SmallWrites {
    pub(super) fn begin(&self) -> Begun {
        Begun {
            rate: self.rate,
            began: Instant::now(),
        }
    }
}

impl Begun {
    /// Those of one node, as another sees them, while something is done; and how long that took.
    pub(super) fn meanwhile(
        &self,
        (writer, reader): (&Node, &Node),
        act: impl FnOnce() -> Result<()>,
    ) -> Result<Times> {
        let (began, since) = (self.began, Instant::now());
        let watch = latency::watch(reader.store.clone(), began, 0)?;
        let watcher = reader.runtime.spawn(watch);
        let done = Arc::new(AtomicBool::new(false));
        let (store, until, interval) = (
            writer.store.clone(),
            Arc::clone(&done),
            Duration::from_secs(1) / self.rate,
        );
        let writes = std::thread::spawn(move || -> Result<()> {
            let mut at = 0;
            while !until.load(Ordering::Relaxed) {
                std::thread::sleep(interval);
                latency::write(&store, began, at % 1000)?;
                at += 1;
            }
            latency::write(&store, began, u32::MAX)
        });
        let acted = act();
        let took = since.elapsed();
        done.store(true, Ordering::Relaxed);
        match writes.join() {
            Ok(written) => written?,
            Err(_) => bail!("the writer panicked"),
        }
        acted?;
        let waiting = tokio::runtime::Builder::new_current_thread().build()?;
        let times = waiting.block_on(watcher);
        Ok(Times::of(times.context("the watcher panicked")??, took))
    }

    /// As [`meanwhile`](Self::meanwhile), while nothing else happens.
    pub(super) fn alone(&self, nodes: (&Node, &Node)) -> Result<Times> {
        self.meanwhile(nodes, || {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        })
    }
}

/// What they took; the columns of what was done are free.
pub(super) fn row(what: &str, times: &Times) -> Vec<Cell> {
    let micros = [50.0, 99.0, 100.0].map(|percent| Cell::from(times.micros(percent)));
    let mut row = cells![what, times.count()];
    row.extend(micros);
    row.resize(COLUMNS.len(), Cell::None);
    row
}

/// Waits until something holds.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            bail!("{what}: not after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until all have seen the same, and demands that they hold the same then.
pub(super) fn equal<'a>(nodes: impl IntoIterator<Item = &'a Node> + Clone) -> Result<()> {
    until("the nodes are equal", || {
        let status = |node: &Node| Ok(node.store.status()?.replica);
        let all = nodes.clone().into_iter().map(status);
        let all = all.collect::<Result<Vec<_>>>()?;
        let mut pairs = all.windows(2);
        if !pairs.all(|two| two[0].context_hash == two[1].context_hash) {
            return Ok(false);
        }
        if all
            .windows(2)
            .any(|two| two[0].fingerprint != two[1].fingerprint)
        {
            bail!("equal contexts with unequal fingerprints");
        }
        Ok(true)
    })
}
