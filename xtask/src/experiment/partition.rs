//! What it costs two replicas to be equal again after a partition.

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use dd_testkit::partition::{Outcome, Parted, VALUE};

use super::chart::Chart;
use super::report::{About, Cell, Column, Output, Report, cells, number, text};

const COLUMNS: [Column; 7] = [
    text("how", 18),
    number("changed", "keys", 0),
    number("payload", "B", 0),
    number("bytes", "B", 0),
    number("ratio", "", 2),
    number("over, each", "B", 1),
    number("work of both", "ms", 1),
];

/// Two replicas with many keys are parted, one changes some keys, and they meet again: bytes and time, where events
/// tell what is lacking, and where a removal was forgotten, so that it takes a full comparison.
#[derive(Debug, Args)]
pub(crate) struct Partition {
    /// Keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Keys changed while apart, each number by itself: some, and no more than there are
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000,100000")]
    changed: Vec<usize>,
    /// How often each key was written again before, on average, in no order
    #[arg(long, default_value_t = 0)]
    history: usize,
}

impl Partition {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        self.check()?;
        let mut report = output.begin(About {
            title: format!(
                "Two replicas of {} keys, some changed while apart: until they are equal again",
                self.keys
            ),
            counted: format!(
                "Two replicas in one thread, without a network: keys of 12 bytes, each a register \
                 with a text of {VALUE} bytes, each written {} times. Payload: changed keys and \
                 values. Bytes: frames in both directions. Over: bytes beyond the payload, for \
                 each changed key. Time: the work of both, in turn.",
                self.history + 1
            ),
            columns: &COLUMNS,
            chart: Chart::lines(&["changed"], &["bytes"]).by("how").log(),
        });
        let mut parted = Parted::new(self.keys, self.history).map_err(|what| anyhow!(what))?;
        report.row(row("an empty replica", self.keys, &parted.whole))?;
        for (what, forgotten) in [("by events", false), ("by full comparison", true)] {
            for changed in &self.changed {
                let outcome = parted.change(*changed, forgotten);
                let outcome = outcome.map_err(|what| anyhow!(what))?;
                if (outcome.comparisons > 0) != forgotten {
                    return Err(anyhow!("{what}: {} full comparisons", outcome.comparisons));
                }
                report.row(row(what, *changed, &outcome))?;
            }
        }
        Ok(report)
    }

    /// Refuses numbers of changed keys that can't be.
    fn check(&self) -> Result<()> {
        for changed in &self.changed {
            ensure!(
                (1..=self.keys).contains(changed),
                "of {} keys {changed} can't be changed: give --keys and --changed that fit",
                self.keys
            );
        }
        Ok(())
    }
}

fn row(what: &str, changed: usize, outcome: &Outcome) -> Vec<Cell> {
    let (bytes, payload) = (outcome.bytes as f64, outcome.payload as f64);
    cells![
        what,
        changed,
        outcome.payload,
        outcome.bytes,
        bytes / payload,
        (bytes - payload) / changed as f64,
        outcome.time.as_secs_f64() * 1e3,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_changed_keys_than_there_are_and_none_are_refused() {
        let check = |keys, changed| {
            let partition = Partition {
                keys,
                changed: vec![1, changed],
                history: 0,
            };
            partition.check()
        };
        check(10, 10).unwrap();
        for (keys, changed) in [(10, 100), (10, 0), (0, 1)] {
            let error = check(keys, changed).unwrap_err().to_string();
            assert!(error.contains("can't be changed"), "{error}");
        }
    }
}
