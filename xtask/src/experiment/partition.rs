//! What it costs two replicas to be equal again after a partition.

use anyhow::{Result, anyhow};
use clap::Args;
use dd_testkit::partition::{Outcome, Parted, VALUE};

/// Two replicas with many keys are parted, one changes some keys, and they meet again: bytes and time, where events
/// tell what is lacking, and where a removal was forgotten, so that it takes a full comparison.
#[derive(Debug, Args)]
pub(crate) struct Partition {
    /// Keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Keys changed while apart, each number by itself
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000,100000")]
    changed: Vec<usize>,
    /// How often each key was written again before, on average, in no order
    #[arg(long, default_value_t = 0)]
    history: usize,
}

impl Partition {
    pub(crate) fn run(&self) -> Result<()> {
        println!(
            "Two replicas in one thread, without a network: {} keys of 12 bytes, each a register with a text of\n\
             {VALUE} bytes, each written {} times. Payload: changed keys and values. Bytes: frames in both\n\
             directions. Over: bytes beyond the payload, for each changed key. Time: the work of both, in turn.\n",
            self.keys,
            self.history + 1
        );
        println!(
            "{:<22} {:>9} {:>13} {:>13} {:>7} {:>9} {:>11}",
            "", "changed", "payload", "bytes", "ratio", "over", "ms"
        );
        let mut parted = Parted::new(self.keys, self.history).map_err(|what| anyhow!(what))?;
        row("an empty replica", self.keys, &parted.whole);
        for (what, forgotten) in [("by events", false), ("by full comparison", true)] {
            for changed in self.changed.iter().filter(|changed| **changed <= self.keys) {
                let outcome = parted.change(*changed, forgotten);
                let outcome = outcome.map_err(|what| anyhow!(what))?;
                if (outcome.comparisons > 0) != forgotten {
                    return Err(anyhow!("{what}: {} full comparisons", outcome.comparisons));
                }
                row(what, *changed, &outcome);
            }
        }
        Ok(())
    }
}

fn row(what: &str, changed: usize, outcome: &Outcome) {
    println!(
        "{what:<22} {changed:>9} {:>13} {:>13} {:>7.2} {:>9.1} {:>11.1}",
        outcome.payload,
        outcome.bytes,
        outcome.bytes as f64 / outcome.payload as f64,
        (outcome.bytes as f64 - outcome.payload as f64) / changed as f64,
        outcome.time.as_secs_f64() * 1e3
    );
}
