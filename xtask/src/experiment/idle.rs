//! What two converged nodes say to each other while nothing happens, and for one change.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use dd_extension::Keys;
use dd_extension::types::PnCounter;
use tokio::time::sleep;

use super::cluster::Nodes;

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter/");
/// After convergence, until the last acknowledgements are over and the interval is its longest.
const SETTLE: Duration = Duration::from_secs(20);

/// Bytes between two converged nodes while nothing happens, and for one changed key.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Numbers of keys
    #[arg(long, value_delimiter = ',', default_value = "10,100000")]
    keys: Vec<usize>,
    /// How long to watch, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keys changed one after the other, each measured by itself
    #[arg(long, default_value_t = 20)]
    changes: usize,
}

impl Idle {
    pub(crate) async fn run(&self) -> Result<()> {
        println!(
            "Two nodes; bytes of both together. Frames: what the replicas hand to the transport;"
        );
        println!(
            "wire: UDP datagrams with everything that QUIC adds (keep-alive every 3 s, packets of"
        );
        println!("acknowledgements).");
        println!();
        println!(
            "{:>9} | {:>8} {:>12} {:>12} | {:>8} {:>12} {:>12}",
            "keys", "frames", "bytes", "wire", "frames", "bytes", "wire"
        );
        println!(
            "{:>9} | {:^34} | {:^34}",
            "",
            format!("idle for {} s", self.seconds),
            "one changed key (median)"
        );
        for keys in &self.keys {
            self.measure(*keys).await?;
        }
        Ok(())
    }

    async fn measure(&self, keys: usize) -> Result<()> {
        let nodes = Nodes::start(2).await?;
        for at in 0..keys {
            nodes.stores[0].update(&COUNTERS.key(format!("{at:08}")), |c| c.add(1))?;
        }
        nodes.equal().await?;
        sleep(SETTLE).await;
        let before = nodes.bytes()?;
        sleep(Duration::from_secs(self.seconds)).await;
        let idle = nodes.bytes()?.since(before);
        let mut changes = Vec::new();
        for at in 0..self.changes {
            let before = nodes.bytes()?;
            let key = COUNTERS.key(format!("{:08}", at * 7919 % keys.max(1)));
            nodes.stores[0].update(&key, |c| c.add(1))?;
            nodes.equal().await?;
            // The acknowledgement.
            sleep(Duration::from_millis(100)).await;
            changes.push(nodes.bytes()?.since(before));
        }
        let median = |mut all: Vec<u64>| {
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0)
        };
        println!(
            "{keys:>9} | {:>8} {:>12} {:>12} | {:>8} {:>12} {:>12}",
            idle.frames,
            idle.frame_bytes,
            idle.wire_bytes,
            median(changes.iter().map(|b| b.frames).collect()),
            median(changes.iter().map(|b| b.frame_bytes).collect()),
            median(changes.iter().map(|b| b.wire_bytes).collect()),
        );
        nodes.stop().await
    }
}
