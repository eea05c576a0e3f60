//! Small writes behind many bytes, on a wire that carries few.

use anyhow::Result;
use clap::Args;
use dd_extension::types::LwwRegister;
use dd_extension::{Keys, StoreConfig};

use super::chart::Chart;
use super::report::{About, Cell, Output, Report};
use super::small_writes::{COLUMNS, SmallWrites, equal, row, until};
use super::threads::{self, Node};

const BULK: Keys<LwwRegister<String>> = Keys::with_prefix("bulk/");

/// Two nodes with a slow wire between them: what becomes of small writes while one has much to tell the other.
#[derive(Debug, Args)]
pub(crate) struct Wire {
    /// Bytes a second that the wire carries
    #[arg(long, default_value_t = 1_250_000, value_parser = clap::value_parser!(u32).range(10_000..))]
    wire: u32,
    /// Keys that one writes at once
    #[arg(long, default_value_t = 200)]
    keys: usize,
    /// Bytes of each
    #[arg(long, default_value_t = 100_000)]
    value: usize,
    #[command(flatten)]
    small: SmallWrites,
}

impl Wire {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!(
                "{} keys of {} bytes over a wire of {} bytes a second",
                self.keys, self.value, self.wire
            ),
            counted: format!(
                "Two nodes of this process over QUIC on loopback, with a relay in front of each that carries so \
                 much and drops what does not fit its socket. One writes the keys at once. Meanwhile it writes {} \
                 times a second, which the other notes. Received: frames of the other.",
                self.small.rate
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["p50", "p99", "most"]).log(),
        });
        let relays = threads::relays(2, self.wire)?;
        let start = |at| Node::start_behind(at, &relays, StoreConfig::default());
        let (a, b) = (start(0)?, start(1)?);
        equal([&a, &b])?;
        let small = self.small.begin();
        report.row(row("nothing else", &small.alone((&a, &b))?))?;
        let received =
            |node: &Node| -> Result<u64> { Ok(node.store.status()?.replica.counts.bytes_received) };
        let before = received(&b)?;
        let value = "x".repeat(self.value);
        let times = small.meanwhile((&a, &b), || {
            for at in 0..self.keys {
                let key = BULK.key(format!("{at:08}"));
                a.store.update(&key, |bulk| bulk.set(&value))?;
            }
            until("all is there", || {
                Ok(b.store.keys_of(&BULK, None, self.keys)?.len() == self.keys)
            })
        })?;
        let (payload, received) = (
            (self.keys * self.value) as f64,
            (received(&b)? - before) as f64,
        );
        let mut row = row("while the keys go over", &times);
        row[5] = Cell::from(times.span().as_secs_f64());
        row[6] = Cell::from(payload / 1e6);
        row[7] = Cell::from(received / 1e6);
        row[8] = Cell::from(received / payload);
        report.row(row)?;
        equal([&a, &b])?;
        [a, b].into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }
}
