//! One value of many bytes, and what becomes of small ones while it goes its way.

use anyhow::Result;
use clap::Args;
use dd_extension::types::LwwRegister;
use dd_extension::{Key, StoreConfig};

use super::chart::Chart;
use super::report::{About, Cell, Output, Report, processors};
use super::small_writes::{COLUMNS, SmallWrites, equal, row, until};
use super::threads::{self, Node};
use super::times::Times;

const LARGE: Key<LwwRegister<String>> = Key::new("large");

/// A value of 100 MB on three nodes: time, bytes, and what becomes meanwhile of small writes.
#[derive(Debug, Args)]
pub(crate) struct Large {
    /// Bytes of the value
    #[arg(long, default_value_t = 100_000_000)]
    value: usize,
    #[command(flatten)]
    small: SmallWrites,
}

impl Large {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!("A value of {} bytes on three nodes", self.value),
            counted: format!(
                "Three nodes of this process over QUIC on loopback, each with a runtime and a thread of \
                 its own ({} processors). One writes the value, two have it, the third starts with nothing. \
                 Received: frames of the last. Meanwhile one writes {} times a second, which another notes: the \
                 one that writes the value or gives it, or another. What the same one writes after it comes \
                 after it: order is causal.",
                processors(),
                self.small.rate
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["p50", "p99", "most"]).log(),
        });
        let mut config = StoreConfig::default();
        config.limits.payload = self.value.saturating_add(1024).max(config.limits.payload);
        let addresses = threads::addresses(3)?;
        let start = |at| Node::start_with(at, &addresses, config);
        let (a, b) = (start(0)?, start(1)?);
        let small = self.small.begin();
        report.row(row("a to b: nothing else", &small.alone((&a, &b))?))?;

        let value = |letter: &str| letter.repeat(self.value);
        let overwrite = |letter| {
            a.store.update(&LARGE, |large| large.set(&value(letter)))?;
            self.arrives(&b, letter)
        };
        let times = small.meanwhile((&a, &b), || overwrite("x"))?;
        self.row(&mut report, "a to b: a writes the value", &times, None)?;
        let times = small.meanwhile((&b, &a), || overwrite("y"))?;
        self.row(&mut report, "b to a: a writes it once more", &times, None)?;

        let c = start(2)?;
        let times = small.meanwhile((&a, &c), || self.arrives(&c, "y"))?;
        let received = c.store.status()?.replica.counts.bytes_received;
        self.row(&mut report, "a to c: c joins", &times, Some(received))?;
        equal([&a, &b, &c])?;
        [a, b, c].into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }

    fn arrives(&self, at: &Node, letter: &str) -> Result<()> {
        until("the value is there", || {
            let large = at.store.get(&LARGE)?;
            let large = large.view().get()?;
            Ok(large.is_some_and(|text| text.len() == self.value && text.starts_with(letter)))
        })
    }

    fn row(
        &self,
        report: &mut Report<'_>,
        what: &str,
        times: &Times,
        received: Option<u64>,
    ) -> Result<()> {
        let mut row = row(what, times);
        let payload = self.value as f64;
        row[5] = Cell::from(times.span().as_secs_f64());
        row[6] = Cell::from(payload / 1e6);
        if let Some(received) = received {
            row[7] = Cell::from(received as f64 / 1e6);
            row[8] = Cell::from(received as f64 / payload);
        }
        report.row(row)
    }
}
