//! What converged nodes say to each other while nothing happens, and for one change.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use dd_extension::types::PnCounter;
use dd_extension::{Keys, Store, StoreConfig};
use tokio::time::sleep;

use super::chart::Chart;
use super::cluster::Nodes;
use super::report::{About, Cell, Column, Output, Report, cells, number};

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter/");
/// After convergence, until the last acknowledgements are over and the interval is its longest.
const SETTLE: Duration = Duration::from_secs(20);
/// Until a change was acknowledged, too.
const ACKNOWLEDGED: Duration = Duration::from_millis(100);
const COLUMNS: [Column; 10] = [
    number("keys", "", 0),
    number("nodes", "", 0),
    number("exchanges", "/s node", 3),
    number("an exchange", "B", 1),
    number("goal", "B", 0),
    number("frames", "B/s node", 1),
    number("SWIM", "B/s node", 1),
    number("UDP", "B/s node", 1),
    number("change, frames", "B/receiver", 0),
    number("change, UDP", "B/receiver", 0),
];

/// Bytes among converged nodes while nothing happens, and for one changed key.
#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Numbers of keys
    #[arg(long, value_delimiter = ',', default_value = "10,1000000")]
    keys: Vec<usize>,
    /// Numbers of nodes
    #[arg(long, value_delimiter = ',', default_value = "2,10,32")]
    nodes: Vec<usize>,
    /// How long to watch, in seconds: as long as nodes that are equal are silent, at least
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Keys changed one after the other, each measured by itself
    #[arg(long, default_value_t = 20)]
    changes: usize,
}

impl Idle {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        self.check()?;
        let mut report = output.begin(About {
            title: "Idle nodes that have converged: bytes a second and node".to_owned(),
            counted: format!(
                "Nodes of this process over QUIC on loopback, members of one cluster with default \
                 settings, watched for {} s; all keys were written by the first. Frames: what the \
                 replicas hand to the transport; SWIM: packets of membership, in front of QUIC; \
                 UDP: datagrams with everything, what QUIC adds (keep-alive every 3 s, \
                 acknowledgements) too. An exchange: a digest and its answer, as frames; goal: 64 \
                 B and 16 B for each replica in the context. Change: median over the bytes of all \
                 nodes for one changed key until a tenth of a second after all have it, by the \
                 receivers, of UDP what is over idle.",
                self.seconds
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&["keys", "nodes"], &["frames", "SWIM", "UDP"]),
        });
        for nodes in &self.nodes {
            for keys in &self.keys {
                report.row(super::block_on(self.measure(*keys, *nodes))?)?;
            }
        }
        Ok(report)
    }

    /// Refuses a time in which there is nothing to see.
    fn check(&self) -> Result<()> {
        // Give or take a quarter.
        let silent = StoreConfig::default().timing.exchange_idle.mul_f64(1.25);
        ensure!(
            Duration::from_secs(self.seconds) >= silent,
            "idle nodes say nothing for up to {silent:?}: give --seconds {} or more",
            silent.as_secs_f64().ceil()
        );
        Ok(())
    }

    async fn measure(&self, keys: usize, count: usize) -> Result<Vec<Cell>> {
        let nodes = Nodes::members(count, StoreConfig::default()).await?;
        for at in 0..keys {
            nodes.stores[0].update(&COUNTERS.key(format!("{at:08}")), |c| c.add(1))?;
        }
        nodes.equal().await?;
        sleep(SETTLE).await;
        let idle = nodes.idle(Duration::from_secs(self.seconds)).await?;
        let change = |store: &Store, at: usize| {
            let key = COUNTERS.key(format!("{:08}", at * 7919 % keys.max(1)));
            Ok(store.update(&key, |c| c.add(1))?)
        };
        let [_, frames, udp] = nodes
            .changes(self.changes, ACKNOWLEDGED, &idle, change)
            .await?;
        let known = nodes.stores[0].status()?.replica.context.origins();
        nodes.stop().await?;
        let (each, receivers) = (count as f64, count as f64 - 1.0);
        Ok(cells![
            keys,
            count,
            idle.digests / each,
            (idle.digests > 0.0).then(|| idle.frames / idle.digests),
            64 + 16 * known,
            idle.frames / each,
            (idle.packets - idle.frames) / each,
            idle.udp / each,
            frames / receivers,
            udp / receivers,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_which_nothing_is_said_is_refused() {
        let check = |seconds| {
            let idle = Idle {
                keys: Vec::new(),
                nodes: Vec::new(),
                seconds,
                changes: 0,
            };
            idle.check()
        };
        check(10).unwrap();
        let error = check(9).unwrap_err().to_string();
        assert!(error.contains("--seconds 10 or more"), "{error}");
    }
}
