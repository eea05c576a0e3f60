//! The case of the system that this one starts from: many sets on one of three nodes.

use anyhow::{Context, Result};
use clap::Args;
use dd_extension::Keys;
use dd_extension::types::OrSet;
use tokio::time::Instant;

use super::chart::Chart;
use super::cluster::Nodes;
use super::report::{About, Cell, Column, Output, Report, cells, number};
use super::times::Times;

const SETS: Keys<OrSet<String>> = Keys::with_prefix("set/");

/// Keys of small sets on one of three nodes: until all have all, and one change after.
#[derive(Debug, Args)]
pub(crate) struct Original {
    /// Number of keys
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Elements of each set
    #[arg(long, default_value_t = 10)]
    elements: usize,
    /// Sets changed one after the other at the end
    #[arg(long, default_value_t = 100)]
    changes: usize,
}

const COLUMNS: [Column; 9] = [
    number("keys", "", 0),
    number("elements of each", "", 0),
    number("written locally", "s", 3),
    number("all have all", "s", 3),
    number("frames, key and receiver", "B", 1),
    number("UDP, key and receiver", "B", 1),
    number("frames in all", "B", 0),
    number("one change seen, p50", "ms", 2),
    number("one change seen, p99", "ms", 2),
];

impl Original {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "Sets written on one of three nodes, until all three have all".to_owned(),
            counted: "Bytes: frames handed to the transport by all three, and UDP datagrams with \
                 everything that QUIC adds. Then one set changed, until subscribers on both \
                 others were told."
                .to_owned(),
            columns: &COLUMNS,
            chart: Chart::bars(&["keys"], &["written locally", "all have all"]),
        });
        report.row(super::block_on(self.measure())?)?;
        Ok(report)
    }

    async fn measure(&self) -> Result<Vec<Cell>> {
        let nodes = Nodes::listed(3).await?;
        let before = nodes.sent().await?;
        let began = Instant::now();
        for at in 0..self.keys {
            nodes.stores[0].update(&SETS.key(format!("{at:06}")), |set| {
                for element in 0..self.elements {
                    set.insert(&format!("element-{element}"));
                }
            })?;
            // Others get a turn.
            if at % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let written = began.elapsed();
        nodes.equal().await?;
        let all = began.elapsed();
        let sent = nodes.sent().await?.since(before);
        let receivers = (self.keys * 2) as f64;
        let changes = self.changes(&nodes).await?;
        nodes.stop().await?;
        Ok(cells![
            self.keys,
            self.elements,
            written.as_secs_f64(),
            all.as_secs_f64(),
            sent.frames as f64 / receivers,
            sent.udp as f64 / receivers,
            sent.frames,
            changes.micros(50.0) / 1e3,
            changes.micros(99.0) / 1e3,
        ])
    }

    async fn changes(&self, nodes: &Nodes) -> Result<Times> {
        let start = Instant::now();
        let mut times = Vec::new();
        for at in 0..self.changes {
            let key = SETS.key(format!("{:06}", at * 7919 % self.keys.max(1)));
            let mut watchers = Vec::new();
            for store in &nodes.stores[1..] {
                let mut watcher = store.subscribe(&key)?;
                watcher.next().await.context("the store was stopped")?;
                watchers.push(watcher);
            }
            let began = Instant::now();
            nodes.stores[0].update(&key, |set| set.insert("one more"))?;
            for watcher in &mut watchers {
                watcher.next().await.context("the store was stopped")?;
            }
            times.push(began.elapsed());
        }
        Ok(Times::of(times, start.elapsed()))
    }
}
