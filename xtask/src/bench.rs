//! `cargo xtask bench`: comparisons with other libraries, in one run.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

/// Compares with other libraries, side by side in one run.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The data types beside those of `crdts` and `lattices`: times, heap and encoded bytes
    Types,
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        let program = match self {
            Bench::Types => "compare-types",
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args([
                "run",
                "--release",
                "--quiet",
                "--package",
                "benches",
                "--bin",
                program,
            ])
            .status()
            .with_context(|| format!("running {program}"))?;
        ensure!(status.success(), "{program} failed: {status}");
        Ok(())
    }
}
