//! `cargo xtask bench`: comparisons with other libraries, in one run.

pub(crate) mod instructions;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;

use crate::cargo::cargo;

/// Compares with other libraries, side by side in one run.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The data types beside those of `crdts` and `lattices`: times, heap and encoded bytes
    Types,
    /// Maps and counters beside the documents of `automerge`, `dson` and `loro`
    Documents,
    Instructions(instructions::Instructions),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Bench::Types => run(&["--bin", "compare-types"]),
            Bench::Documents => run(&["--features", "documents", "--bin", "compare-documents"]),
            Bench::Instructions(instructions) => instructions.run(),
        }
    }
}

/// Runs a program of `benches`.
fn run(which: &[&str]) -> Result<()> {
    let status = cargo()
        .args(["run", "--release", "--quiet", "--package", "benches"])
        .args(which)
        .status()
        .with_context(|| format!("running {}", which.join(" ")))?;
    ensure!(status.success(), "{} failed: {status}", which.join(" "));
    Ok(())
}
