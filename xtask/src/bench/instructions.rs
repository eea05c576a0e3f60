//! `cargo xtask bench instructions`: counts that are the same in every run, where times are not.
//!
//! Each operation runs in a process of its own under valgrind's callgrind, which counts the instructions
//! of one function alone (`benches/src/bin/count-instructions`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::cargo;

/// Counts that were recorded, of ours alone.
const RECORD: &str = "benches/instructions.json";
/// How much more than recorded is a failure, in per cent.
const TOLERANCE: f64 = 10.0;
/// The function that is counted.
const COUNTED: &str = "*count_instructions::counted*";

/// Counts instructions per operation, ours beside those of `crdts`. Needs valgrind
#[derive(Debug, Args)]
pub(crate) struct Instructions {
    /// Only operations whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Ours alone, against what is recorded: fails if an operation takes over 10 % more
    #[arg(long, conflicts_with = "record")]
    check: bool,
    /// Ours alone, and writes the counts down for `--check`
    #[arg(long, conflicts_with = "only")]
    record: bool,
}

impl Instructions {
    pub(crate) fn run(&self) -> Result<()> {
        find_valgrind()?;
        let program = build()?;
        let operations = list(&program)?;
        let operations: Vec<&str> = operations
            .lines()
            .filter(|name| name.contains(&self.only))
            .collect();
        ensure!(!operations.is_empty(), "no operation has {:?}", self.only);
        if self.check {
            check(&program, &operations)
        } else if self.record {
            record(&program, &operations)
        } else {
            compare(&program, &operations)
        }
    }
}

fn compare(program: &Path, operations: &[&str]) -> Result<()> {
    println!(
        "{:<34} {:>12} {:>12} {:>8}",
        "instructions per operation", "crdt-core", "crdts", "ratio"
    );
    for name in operations {
        let ours = count(program, name, "ours")?.context("ours has every operation")?;
        match count(program, name, "crdts")? {
            Some(theirs) => println!(
                "  {name:<32} {ours:>12.1} {theirs:>12.1} {:>8.2}",
                theirs / ours
            ),
            None => println!("  {name:<32} {ours:>12.1}"),
        }
    }
    Ok(())
}

fn record(program: &Path, operations: &[&str]) -> Result<()> {
    let mut counts = BTreeMap::new();
    for name in operations {
        let count = count(program, name, "ours")?.context("ours has every operation")?;
        let count = count.round() as u64;
        println!("  {name:<32} {count:>12}");
        counts.insert(*name, count);
    }
    let text = serde_json::to_string_pretty(&counts)? + "\n";
    let path = recorded_at()?;
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn check(program: &Path, operations: &[&str]) -> Result<()> {
    let path = recorded_at()?;
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let recorded: BTreeMap<String, u64> =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    println!(
        "{:<34} {:>12} {:>12} {:>8}",
        "instructions per operation", "recorded", "now", "change"
    );
    let mut failed = Vec::new();
    for name in operations {
        let now = count(program, name, "ours")?.context("ours has every operation")?;
        let Some(before) = recorded.get(*name).map(|count| *count as f64) else {
            failed.push(format!("{name}: not recorded yet, takes {now:.0}"));
            continue;
        };
        let change = (now / before - 1.0) * 100.0;
        println!("  {name:<32} {before:>12.0} {now:>12.0} {change:>+7.1}%");
        if change > TOLERANCE {
            failed.push(format!("{name}: {before:.0} to {now:.0}, {change:+.1} %"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "operations that take over {TOLERANCE} % more instructions than recorded in {RECORD}:\n  {}\n\
         If that is meant, or the compiler is another one, record anew with \
         `cargo xtask bench instructions --record`, and say why in the commit.",
        failed.join("\n  ")
    )
}

/// Instructions for one of the operations. `None` if the library has no such operation.
fn count(program: &Path, name: &str, library: &str) -> Result<Option<f64>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(program)
        .args([name, library])
        .output()
        .context("starting valgrind")?;
    let (said, report) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{name} of {library}:\n{report}");
    let operations: f64 = said
        .trim()
        .parse()
        .with_context(|| format!("{name}: {said}"))?;
    if operations == 0.0 {
        return Ok(None);
    }
    let instructions: f64 = report
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .with_context(|| format!("{name}: valgrind says no count:\n{report}"))?;
    ensure!(
        instructions > 0.0,
        "{name}: nothing was counted; is {COUNTED} still what the function is called?"
    );
    Ok(Some(instructions / operations))
}

/// Whether what counts is installed.
pub(crate) fn has_valgrind() -> bool {
    let found = Command::new("valgrind").arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

fn find_valgrind() -> Result<()> {
    ensure!(
        has_valgrind(),
        "valgrind is missing: `apt-get install valgrind`, `dnf install valgrind`, or as your system \
         installs packages"
    );
    Ok(())
}

/// The program, built as for release.
fn build() -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--release", "--package", "benches"])
        .args(["--bin", "count-instructions"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("building count-instructions")?;
    ensure!(
        output.status.success(),
        "building count-instructions failed"
    );
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .context("cargo does not say where count-instructions is")
}

fn list(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .output()
        .context("asking for the operations")?;
    Ok(String::from_utf8(output.stdout)?)
}

fn recorded_at() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    Ok(root.context("finding the workspace")?.join(RECORD))
}
