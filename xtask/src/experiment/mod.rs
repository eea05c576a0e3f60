//! `cargo xtask experiment`: measurements, printed as tables.

mod bootstrap;
mod churn;
mod cluster;
mod detection;
mod enes;
mod idle;
mod latency;
mod majority;
mod original;
mod partition;
mod restarts;
mod threads;
mod times;

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
    /// Writes confirmed by a majority of three, beside the transport's own round trip
    Majority(majority::Majority),
    /// The experiments of Enes et al.: elements and metadata that each node sends
    Enes(enes::Enes),
    /// From a write on one of three nodes until subscribers on the others were told
    Latency(latency::Latency),
    /// An empty node joins two full ones
    Bootstrap(bootstrap::Bootstrap),
    /// Two replicas that were parted while one changed some of many keys: bytes and time to be equal again
    Partition(partition::Partition),
    /// Keys created and deleted on three node processes: their memory before, in between and after
    Churn(churn::Churn),
    /// One of three nodes started again and again: contexts, frames and floors, with and without sealing
    Restarts(restarts::Restarts),
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
            Experiment::Majority(majority) => majority.run(),
            Experiment::Enes(enes) => enes.run(),
            Experiment::Latency(latency) => latency.run(),
            Experiment::Bootstrap(bootstrap) => bootstrap.run(),
            Experiment::Partition(partition) => partition.run(),
            Experiment::Churn(churn) => churn.run(),
            Experiment::Restarts(restarts) => restarts.run(),
        }
    }
}
