//! `cargo xtask laws`: the laws of the types over many random histories, and over all short ones.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Checks the laws of every type: each property over N random histories, and every history of a few
/// steps of three replicas.
#[derive(Debug, Args)]
pub(crate) struct Laws {
    /// Random histories for each property of each type
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    cases: u32,
    /// The seed that the random histories come from [default: that of the tests]
    #[arg(long)]
    seed: Option<u64>,
    /// Most steps of the histories that are all gone through
    #[arg(long, value_name = "N", default_value_t = 4)]
    steps: u32,
}

impl Laws {
    pub(crate) fn run(&self) -> Result<()> {
        let args = [
            "test",
            "--release",
            "--package",
            "crdt-core",
            "--test",
            "it",
            "--",
            "laws::",
            "exhaustive::",
            "--nocapture",
        ];
        let mut env = vec![
            ("LAW_CASES", self.cases.to_string()),
            ("EXHAUSTIVE_STEPS", self.steps.to_string()),
        ];
        env.extend(self.seed.map(|seed| ("TEST_SEED", seed.to_string())));
        let settings = env.iter().map(|(name, value)| format!("{name}={value}"));
        let settings: Vec<String> = settings.collect();
        println!("$ {} cargo {}", settings.join(" "), args.join(" "));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let begun = Instant::now();
        let status = crate::cargo::cargo()
            .args(args)
            .envs(env)
            .current_dir(root.context("finding the workspace")?)
            .status()
            .context("starting cargo")?;
        ensure!(status.success(), "the laws failed: {status}");
        println!("all laws hold; {} s", begun.elapsed().as_secs());
        Ok(())
    }
}
