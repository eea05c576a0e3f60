//! What the restarts of one node leave in the contexts of all.

use anyhow::{Result, anyhow};
use clap::Args;
use dd_testkit::restarts::{self, LIFE};

/// One of three nodes is started again and again, each time without what it had, and writes: sizes of contexts,
/// frames and floors, with and without sealing.
#[derive(Debug, Args)]
pub(crate) struct Restarts {
    /// How often it is started
    #[arg(long, default_value_t = 1000)]
    restarts: u64,
}

impl Restarts {
    pub(crate) fn run(&self) -> Result<()> {
        println!(
            "Three replicas in virtual time, each process of the third one living {} s, in which it inserts an\n\
             element and removes it. Sizes at the first node, in bytes; frames on average, those that state a\n\
             context since the row before.",
            LIFE.as_secs() + 5
        );
        for (what, seals) in [("with sealing", true), ("without", false)] {
            println!(
                "\n{what:<14} {:>10} {:>10} {:>14} {:>16} {:>8}",
                "context", "origins", "digest frame", "stating frame", "floors"
            );
            for row in restarts::restart(self.restarts, seals).map_err(|what| anyhow!(what))? {
                println!(
                    "{:<14} {:>10} {:>10} {:>14} {:>16} {:>8}",
                    format!("{} restarts", row.restarts),
                    row.context,
                    row.origins,
                    row.digest,
                    row.want,
                    row.floors
                );
            }
        }
        Ok(())
    }
}
