//! `cargo xtask experiment`: measurements, as tables, JSON, CSV and pictures.

mod bootstrap;
mod chart;
mod chitchat;
mod churn;
mod cluster;
mod detection;
mod enes;
mod idle;
mod large;
mod latency;
mod majority;
mod memory;
mod original;
mod partition;
mod redis;
mod report;
mod restarts;
mod small_writes;
mod threads;
mod throughput;
mod times;
mod wire;

use anyhow::Result;
use clap::{Args, Subcommand};

use report::Output;

/// Measures the store over QUIC on loopback, all nodes in this process.
#[derive(Debug, Args)]
pub(crate) struct Experiment {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Bytes between two converged nodes while nothing happens, and for one changed key
    Idle(idle::Idle),
    /// A member that fails, among many simulated ones: when it is noticed, and false alarms
    Detection(detection::Detection),
    Chitchat(chitchat::Chitchat),
    Redis(redis::Redis),
    /// 10 000 keys of sets of 10 on one of three nodes: until all have all, and one change after
    Original(original::Original),
    Memory(memory::Memory),
    Throughput(throughput::Throughput),
    /// Writes confirmed by a majority of three, beside the transport's own round trip
    Majority(majority::Majority),
    /// The experiments of Enes et al.: elements and metadata that each node sends
    Enes(enes::Enes),
    /// From a write on one of three nodes until subscribers on the others were told
    Latency(latency::Latency),
    /// An empty node joins two full ones
    Bootstrap(bootstrap::Bootstrap),
    /// A value of 100 MB on three nodes, and small writes meanwhile
    Large(large::Large),
    /// Two nodes with a slow wire between them, and small writes while one has much to tell the other
    Wire(wire::Wire),
    /// Two replicas that were parted while one changed some of many keys: bytes and time to be equal again
    Partition(partition::Partition),
    /// Keys created and deleted on three node processes: their memory before, in between and after
    Churn(churn::Churn),
    /// One of three nodes started again and again: contexts, frames and floors, with and without sealing
    Restarts(restarts::Restarts),
}

impl Experiment {
    pub(crate) fn run(&self) -> Result<()> {
        let output = &self.output;
        let (name, report) = match &self.which {
            Which::Idle(idle) => ("idle", idle.run(output)),
            Which::Detection(detection) => ("detection", detection.run(output)),
            Which::Chitchat(chitchat) => ("chitchat", chitchat.run(output)),
            Which::Redis(redis) => ("redis", redis.run(output)),
            Which::Original(original) => ("original", original.run(output)),
            Which::Memory(memory) => ("memory", memory.run(output)),
            Which::Throughput(throughput) => ("throughput", throughput.run(output)),
            Which::Majority(majority) => ("majority", majority.run(output)),
            Which::Enes(enes) => ("enes", enes.run(output)),
            Which::Latency(latency) => ("latency", latency.run(output)),
            Which::Bootstrap(bootstrap) => ("bootstrap", bootstrap.run(output)),
            Which::Large(large) => ("large", large.run(output)),
            Which::Wire(wire) => ("wire", wire.run(output)),
            Which::Partition(partition) => ("partition", partition.run(output)),
            Which::Churn(churn) => ("churn", churn.run(output)),
            Which::Restarts(restarts) => ("restarts", restarts.run(output)),
        };
        report?.finish(name)
    }
}

/// For experiments that are one task.
fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build()?.block_on(task)
}
