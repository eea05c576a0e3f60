//! The case of the system that this one starts from: many sets on one of three nodes.

use anyhow::{Context, Result};
use clap::Args;
use dd_extension::Keys;
use dd_extension::types::OrSet;
use tokio::time::Instant;

use super::cluster::Nodes;

const SETS: Keys<OrSet<String>> = Keys::with_prefix("set/");

/// Keys of small sets on one of three nodes: until all have all, and one change after.
#[derive(Debug, Args)]
pub(crate) struct Original {
    /// Number of keys
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Elements of each set
    #[arg(long, default_value_t = 10)]
    elements: usize,
    /// Sets changed one after the other at the end
    #[arg(long, default_value_t = 100)]
    changes: usize,
}

impl Original {
    pub(crate) async fn run(&self) -> Result<()> {
        let nodes = Nodes::start(3).await?;
        let before = nodes.bytes()?;
        let began = Instant::now();
        for at in 0..self.keys {
            nodes.stores[0].update(&SETS.key(format!("{at:06}")), |set| {
                for element in 0..self.elements {
                    set.insert(&format!("element-{element}"));
                }
            })?;
            // Others get a turn.
            if at % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let written = began.elapsed();
        nodes.equal().await?;
        let all = began.elapsed();
        let bytes = nodes.bytes()?.since(before);
        let receivers = (self.keys * 2) as f64;
        println!(
            "{} keys of sets of {}, written on one of three nodes:",
            self.keys, self.elements
        );
        println!(
            "  written locally after         {:>9.3} s",
            written.as_secs_f64()
        );
        println!(
            "  all three have all after      {:>9.3} s",
            all.as_secs_f64()
        );
        println!(
            "  bytes per key and receiver    {:>9.1} (frames)  {:.1} (wire)",
            bytes.frame_bytes as f64 / receivers,
            bytes.wire_bytes as f64 / receivers
        );
        println!(
            "  bytes in all                  {:>9} (frames)",
            bytes.frame_bytes
        );
        self.changes(&nodes).await?;
        nodes.stop().await
    }

    async fn changes(&self, nodes: &Nodes) -> Result<()> {
        let mut times = Vec::new();
        for at in 0..self.changes {
            let key = SETS.key(format!("{:06}", at * 7919 % self.keys.max(1)));
            let mut watchers = Vec::new();
            for store in &nodes.stores[1..] {
                let mut watcher = store.subscribe(&key)?;
                watcher.next().await.context("the store was stopped")?;
                watchers.push(watcher);
            }
            let began = Instant::now();
            nodes.stores[0].update(&key, |set| set.insert("one more"))?;
            for watcher in &mut watchers {
                watcher.next().await.context("the store was stopped")?;
            }
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| {
            times
                .get(times.len() * share / 100)
                .map_or(0.0, |t| t.as_secs_f64() * 1e3)
        };
        println!(
            "  one set changed, seen by subscribers on both others after {:.2} ms (median), {:.2} ms (p99)",
            at(50),
            at(99)
        );
        Ok(())
    }
}
