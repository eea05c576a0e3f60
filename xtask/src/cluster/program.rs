//! The node program.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cargo::{FEATURES, PROFILE, cargo};

/// Builds it, and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    println!("Building the node program.");
    let output = cargo()
        .args(["build", "--quiet", "--workspace"])
        .args(FEATURES)
        .args(PROFILE)
        .args([
            "--bin",
            "dd-node",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("running cargo to build the node program")?;
    ensure!(output.status.success(), "the node program does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.context("cargo does not say where the node program is")
}
