//! `cargo xtask ci`: what must hold beside the tests.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::bench::instructions;
use crate::{cargo, play, status_page};

/// Format, lints, docs, and a smoke of every longer campaign.
#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// Lints the comparisons with other libraries as well, which bring a hundred crates
    #[arg(long)]
    comparisons: bool,
}

impl Ci {
    pub(crate) fn run(&self) -> Result<()> {
        cargo(&["fmt", "--all", "--check"])?;
        let lint = |features: &[&str]| {
            let what = ["clippy", "--workspace", "--all-targets"];
            cargo(&[&what, features, &["--", "--deny", "warnings"]].concat())
        };
        lint(&cargo::FEATURES)?;
        if self.comparisons {
            lint(&["--all-features"])?;
        }
        with_env(
            "RUSTDOCFLAGS",
            "-D warnings",
            &[&["doc", "--workspace", "--no-deps"], &cargo::FEATURES[..]].concat(),
        )?;
        // Without the features, as most services have it.
        let plain = ["clippy", "--package", "dd-extension", "--all-targets"];
        cargo(&[&plain[..], &["--", "--deny", "warnings"]].concat())?;
        if instructions::has_valgrind() {
            xtask(&["bench", "instructions", "--check", "--only", "store"])?;
        } else {
            println!("No valgrind is here: instructions were not counted.");
        }
        xtask(&["no-std"])?;
        xtask(&["sim", "--seeds", "0..300"])?;
        xtask(&["model", "--seeds", "0..100", "--break", "takeover"])?;
        xtask(&["exhaust", "--events", "1"])?;
        xtask(&[
            "sabotage", "--seeds", "0..1000", "--enough", "1", "takeover",
        ])?;
        xtask(&["conformance", "dd-testkit/tests/data/vectors.jsonl"])?;
        xtask(&["demo"])?;
        play()?;
        xtask(&["situations", "18", "19", "20", "22", "30"])?;
        if status_page::has_browser() {
            xtask(&["status-page"])?;
        } else {
            println!("No Chromium is here: the status page was not looked at.");
        }
        report()?;
        xtask(&["experiment", "original", "--keys", "200", "--changes", "5"])?;
        xtask(&[
            "experiment",
            "partition",
            "--keys",
            "2000",
            "--changed",
            "1,100",
        ])?;
        xtask(&["experiment", "enes", "tree"])?;
        xtask(&["experiment", "latency", "--rates", "200", "--seconds", "1"])?;
        xtask(&["experiment", "wire", "--keys", "20"])?;
        xtask(&[
            "experiment",
            "bootstrap",
            "--keys",
            "2000",
            "--blob",
            "200000",
        ])
    }
}

fn cargo(args: &[&str]) -> Result<()> {
    run(cargo::cargo().args(args), args)
}

fn with_env(name: &str, value: &str, args: &[&str]) -> Result<()> {
    run(cargo::cargo().env(name, value).args(args), args)
}

/// This program again, as a user would call it.
fn xtask(args: &[&str]) -> Result<()> {
    let this = std::env::current_exe().context("finding this program")?;
    run(Command::new(this).args(args), args)
}

/// A short experiment as programs read it: JSON alone on stdout, and both files.
fn report() -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder for a report")?;
    let args = ["idle", "--keys", "10", "--nodes", "2", "--seconds", "10"];
    println!("\n$ experiment {} --json", args.join(" "));
    let output = Command::new(std::env::current_exe().context("finding this program")?)
        .arg("experiment")
        .args(args)
        .args(["--changes", "3", "--json", "--out"])
        .arg(folder.path())
        .stderr(Stdio::inherit())
        .output()
        .context("starting an experiment")?;
    ensure!(output.status.success(), "it failed: {}", output.status);
    let json: Value = serde_json::from_slice(&output.stdout).context("reading its JSON")?;
    let rows = json["rows"].as_array().context("it has no rows")?;
    ensure!(!rows.is_empty(), "it has no rows");
    let read = |name| std::fs::read_to_string(folder.path().join(name));
    let csv = read("idle.csv").context("reading its CSV")?;
    ensure!(csv.lines().count() == rows.len() + 1, "rows lack: {csv}");
    let svg = read("idle.svg").context("reading its picture")?;
    ensure!(
        svg.starts_with("<svg") && svg.matches("<rect").count() > 1,
        "no bars"
    );
    Ok(())
}

/// A conflict made by hand at the prompt, and what becomes of it.
fn play() -> Result<()> {
    let this = std::env::current_exe().context("finding this program")?;
    println!("\n$ play < a few lines");
    let said = play::say(&this, play::SMOKE)?;
    print!("{said}");
    play::check(&said)
}

fn run(command: &mut Command, args: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    println!("\n$ {}", args.join(" "));
    let status = command
        .current_dir(root.context("finding the workspace")?)
        .status()
        .with_context(|| format!("starting {}", args.join(" ")))?;
    ensure!(status.success(), "{} failed: {status}", args.join(" "));
    Ok(())
}
