//! `cargo xtask experiment`: measurements, printed as tables.

mod cluster;
mod detection;
mod idle;
mod original;

use anyhow::Result;
use clap::Subcommand;

/// Measures the store over QUIC on loopback, all nodes in this process.
#[derive(Debug, Subcommand)]
pub(crate) enum Experiment {
    /// Bytes between two converged nodes while nothing happens, and for one changed key
    Idle(idle::Idle),
    /// A member that fails, among many simulated ones: when it is noticed, and false alarms
    Detection(detection::Detection),
    /// 10 000 keys of sets of 10 on one of three nodes: until all have all, and one change after
    Original(original::Original),
}

impl Experiment {
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        match self {
            Experiment::Idle(idle) => runtime.block_on(idle.run()),
            Experiment::Detection(detection) => detection.run(),
            Experiment::Original(original) => runtime.block_on(original.run()),
        }
    }
}
