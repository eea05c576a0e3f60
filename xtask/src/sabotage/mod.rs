//! `cargo xtask sabotage`: rules left out of the real code, one at a time; the simulator has to find
//! each, or a test where the simulator can't.
//!
//! The sources are copied into the target folder, changed there, built and run. Nothing in the
//! product knows of it.

mod mutants;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::seeds;
use mutants::{FoundBy, MUTANTS, Mutant};

/// Leaves rules of replication out of the real code, one at a time, and demands that the simulator
/// finds each.
#[derive(Debug, Args)]
pub(crate) struct Sabotage {
    /// The seeds that each is given at most, as FROM..TO
    #[arg(long, default_value = "0..10000", value_parser = seeds::parse)]
    seeds: Range<u64>,
    /// Failing seeds after which a mutant is left; with 1 it is enough that it is found at all
    #[arg(long, default_value_t = 20)]
    enough: usize,
    /// These only; without it all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Sabotage {
    pub(crate) fn run(&self) -> Result<()> {
        let chosen = self.chosen()?;
        let source = root();
        let copy = source.join("target/sabotage");
        copy_sources(&source, &copy)?;
        let mut survivors = Vec::new();
        println!("{:<12} {:>10} {:>10}  left out", "name", "found in", "runs");
        for mutant in chosen {
            let began = Instant::now();
            let (failed, runs) = self.try_one(&source, &copy, mutant)?;
            println!(
                "{:<12} {failed:>10} {runs:>10}  {}{} ({:.0} s)",
                mutant.name,
                mutant.what,
                mutant.found_by,
                began.elapsed().as_secs_f64()
            );
            if failed == 0 {
                survivors.push(mutant.name);
            }
        }
        ensure!(survivors.is_empty(), "not found: {}", survivors.join(", "));
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<&'static Mutant>> {
        if self.names.is_empty() {
            let mut all: Vec<_> = MUTANTS.iter().collect();
            // Those of one file together, so that no more is compiled again than what stands on it.
            all.sort_by_key(|mutant| (mutant.found_by, mutant.changes[0].file));
            return Ok(all);
        }
        let find = |name: &String| {
            let known = MUTANTS
                .iter()
                .map(|m| m.name)
                .collect::<Vec<_>>()
                .join(", ");
            let mutant = MUTANTS.iter().find(|mutant| mutant.name == name);
            mutant.with_context(|| format!("{name:?} is none of {known}"))
        };
        self.names.iter().map(find).collect()
    }

    /// In how many runs of how many the mutant was found.
    fn try_one(&self, source: &Path, copy: &Path, mutant: &Mutant) -> Result<(usize, u64)> {
        for (file, text) in mutant.apply(source)? {
            std::fs::write(copy.join(file), text).with_context(|| format!("writing {file}"))?;
        }
        let outcome = match mutant.found_by {
            FoundBy::Simulator => self.simulate(copy),
            FoundBy::Test(package, name) => test(copy, package, name),
        };
        for change in mutant.changes {
            std::fs::copy(source.join(change.file), copy.join(change.file))
                .with_context(|| format!("restoring {}", change.file))?;
        }
        outcome.with_context(|| format!("the mutant {}", mutant.name))
    }

    fn simulate(&self, copy: &Path) -> Result<(usize, u64)> {
        let output = crate::cargo::cargo()
            .current_dir(copy)
            .env("CARGO_TARGET_DIR", copy.join("target"))
            // Most mutants are found in seconds: what counts is the time until they run.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
            .args(["run", "--release", "--quiet", "--package", "dd-testkit"])
            .args(["--example", "simulate", "--"])
            .arg(format!("{}..{}", self.seeds.start, self.seeds.end))
            .arg(self.enough.to_string())
            .stderr(Stdio::piped())
            .output()
            .context("running the simulator")?;
        let answer: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let count = |name: &str| answer.as_ref().and_then(|answer| answer[name].as_u64());
        match (count("failed"), count("runs")) {
            (Some(failed), Some(runs)) => Ok((usize::try_from(failed)?, runs)),
            _ => bail!("no result:\n{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// Whether a test fails, as one run of one.
fn test(copy: &Path, package: &str, name: &str) -> Result<(usize, u64)> {
    // The other ones of the package need not be compiled.
    let target: &[&str] = match name.contains("::tests::") {
        true => &["--lib"],
        false => &["--test", "it"],
    };
    let output = crate::cargo::cargo()
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .args(["test", "--quiet", "--no-fail-fast", "--package", package])
        .args(target)
        .args(["--", "--exact", name])
        .output()
        .context("running the test")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains("test result: FAILED") {
        return Ok((1, 1));
    }
    ensure!(
        output.status.success() && said.contains("1 passed"),
        "the test {name} was not run:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((0, 1))
}

/// The workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Copies what is not copied yet or was changed since, so that little is compiled again.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let (source, name) = (entry.path(), entry.file_name());
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy_sources(&source, &target)?;
        } else if std::fs::read(&source)? != std::fs::read(&target).unwrap_or_default() {
            std::fs::copy(&source, &target)
                .with_context(|| format!("copying {}", source.display()))?;
        }
    }
    Ok(())
}
