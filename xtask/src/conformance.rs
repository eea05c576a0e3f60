//! `cargo xtask conformance`: a file of short histories against every way in which values replicate.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use dd_testkit::vectors;

/// Runs a file of conformance cases with whole states, with deltas only, and through the store.
#[derive(Debug, Args)]
pub(crate) struct Conformance {
    /// One case a line, as JSON; the format is described in dd-testkit/src/vectors/mod.rs
    file: PathBuf,
}

impl Conformance {
    pub(crate) fn run(&self) -> Result<()> {
        let name = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("opening {name}"))?;
        let report =
            vectors::run_file(BufReader::new(file)).with_context(|| format!("in {name}"))?;
        print!("{report}");
        let passed: usize = report.passed.values().sum();
        println!("{passed} passed, {} failed", report.failed.len());
        if report.is_good() {
            Ok(())
        } else {
            bail!("{name}: not every case passed, or none was run")
        }
    }
}
