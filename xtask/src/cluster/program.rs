//! The node program.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cargo::{AS_THIS, FEATURES, cargo};

/// Builds it, and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    println!("Building the node program.");
    let output = cargo()
        .args(["build", "--quiet", "--workspace"])
        .args(FEATURES)
        .args(AS_THIS)
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
        let is_it = message["target"]["name"] == "dd-node" && message["profile"]["test"] == false;
        Some(PathBuf::from(message["executable"].as_str()?)).filter(|_| is_it)
    });
    program.context("cargo does not say where the node program is")
}
