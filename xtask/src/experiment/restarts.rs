//! What the restarts of one node leave in the contexts of all.

use anyhow::{Result, anyhow};
use clap::Args;
use dd_testkit::restarts::{self, LIFE};

use super::chart::Chart;
use super::report::{About, Column, Output, Report, cells, number, text};

const COLUMNS: [Column; 7] = [
    text("", 15),
    number("restarts", "", 0),
    number("context", "B", 0),
    number("origins", "", 0),
    number("digest frame", "B", 0),
    number("stating frame", "B", 0),
    number("floors", "", 0),
];

/// One of three nodes is started again and again, each time without what it had, and writes: sizes of contexts,
/// frames and floors, with and without sealing.
#[derive(Debug, Args)]
pub(crate) struct Restarts {
    /// How often it is started
    #[arg(long, default_value_t = 1000)]
    restarts: u64,
}

impl Restarts {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "What the restarts of one node leave in the context of another".to_owned(),
            counted: format!(
                "Three replicas in virtual time, each process of the third one living {} s, in \
                 which it inserts an element and removes it. Sizes at the first node; frames on \
                 average, those that state a context since the row before.",
                LIFE.as_secs() + 5
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&["restarts"], &["context"]).by("").log(),
        });
        for (what, seals) in [("with sealing", true), ("without sealing", false)] {
            for sizes in restarts::restart(self.restarts, seals).map_err(|what| anyhow!(what))? {
                report.row(cells![
                    what,
                    sizes.restarts,
                    sizes.context,
                    sizes.origins,
                    sizes.digest,
                    sizes.want,
                    sizes.floors,
                ])?;
            }
        }
        Ok(report)
    }
}
