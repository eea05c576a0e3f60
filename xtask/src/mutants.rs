//! `cargo xtask mutants`: whether the tests of `crdt-core` notice when its code is wrong.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::sabotage::root;

/// What is mutated unless files are named: the kernel's joins and differences and what they stand on.
const FILES: [&str; 23] = [
    "causal",
    "clock",
    "context",
    "cow_map",
    "delta",
    "kernel/block",
    "kernel/children",
    "kernel/children_builder",
    "kernel/comparison",
    "kernel/effect",
    "kernel/join",
    "kernel/leaf",
    "kernel/node",
    "kernel/record",
    "kernel/records",
    "kernel/runs",
    "kernel/store",
    "kernel/transaction",
    "kernel/tree_builder",
    "kernel/unit",
    "kernel/zip",
    "seqs",
    "version_vector",
];

/// Where cargo-mutants writes what it found, below `target`.
const OUTPUT: &str = "target/mutants";

/// Mutates `crdt-core` with cargo-mutants, one change at a time, and runs its tests against each. What
/// no test notices is a gap in the tests, code that does nothing, or the same by other means; of these
/// last `.cargo/mutants.toml` has a list. All takes hours: `--shard 0/20` takes every twentieth.
#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// One of N parts of all mutants, spread over all files
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// More files to mutate, from the root of the workspace
    files: Vec<String>,
}

impl Mutants {
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(
            is_installed(),
            "cargo-mutants is not installed: cargo install cargo-mutants --locked"
        );
        let mut args: Vec<String> = ["mutants", "--package", "crdt-core", "--output", OUTPUT]
            .map(String::from)
            .to_vec();
        let files = FILES.map(|file| format!("crdt-core/src/{file}.rs"));
        for file in files.iter().chain(&self.files) {
            args.extend(["--file".into(), file.clone()]);
        }
        if let Some(shard) = &self.shard {
            let sharding = ["--sharding", "round-robin", "--shard", shard];
            args.extend(sharding.map(String::from));
        }
        println!("$ cargo {}", args.join(" "));
        std::fs::create_dir_all(root().join(OUTPUT)).context("making a folder for the outcome")?;
        let status = cargo().args(args).status().context("starting cargo")?;
        summarize()?;
        ensure!(status.success(), "{}", meaning(status));
        println!("every mutant was noticed");
        Ok(())
    }
}

fn cargo() -> Command {
    let mut command = crate::cargo::cargo();
    command.current_dir(root());
    command
}

fn is_installed() -> bool {
    let version = cargo().args(["mutants", "--version"]).output();
    version.is_ok_and(|output| output.status.success())
}

/// Says how many mutants there were of each outcome, and names those that nothing noticed.
fn summarize() -> Result<()> {
    let out = root().join(OUTPUT).join("mutants.out");
    for outcome in ["caught", "timeout", "unviable", "missed"] {
        let file = out.join(format!("{outcome}.txt"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        println!("{outcome}: {}", text.lines().count());
        if outcome == "missed" {
            text.lines().for_each(|mutant| println!("  {mutant}"));
        }
    }
    Ok(())
}

/// What an exit code of cargo-mutants says.
fn meaning(status: ExitStatus) -> String {
    match status.code() {
        Some(2) => "no test noticed some mutants".into(),
        Some(3) => "some mutants ran into the time limit, or were not noticed".into(),
        Some(4) => "the tests fail without any mutation".into(),
        _ => format!("cargo-mutants failed: {status}"),
    }
}
