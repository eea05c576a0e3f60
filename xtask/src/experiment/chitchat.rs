//! The same work done by `chitchat` and by this store, side by side in one run.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use dd_extension::types::LwwRegister;
use dd_extension::{Keys, Store, StoreConfig};
use tokio::time::{Instant, sleep};

use super::chart::Chart;
use super::cluster::Nodes;
use super::report::{About, Cell, Column, Output, Report, cells, number, text};
use crate::cargo::cargo;

const VALUES: Keys<LwwRegister<String>> = Keys::with_prefix("value/");
/// Until the interval between exchanges is its longest.
const SETTLE: Duration = Duration::from_secs(15);
/// Until the other nodes have acknowledged a change.
const ACKNOWLEDGED: Duration = Duration::from_millis(100);
const COLUMNS: [Column; 11] = [
    text("", 24),
    number("nodes", "", 0),
    number("all met", "s", 2),
    number("idle, frames", "B/s node", 0),
    number("idle, UDP", "B/s node", 0),
    number("change at all", "ms", 1),
    number("change, frames", "B/receiver", 0),
    number("change, UDP", "B/receiver", 0),
    number("keys at all", "s", 2),
    number("keys, frames", "B/key,recv", 0),
    number("keys, UDP", "B/key,recv", 0),
];

/// Nodes of `chitchat` and of this store: bytes while idle, one change, and many keys at once
#[derive(Debug, Args)]
pub(crate) struct Chitchat {
    /// Numbers of nodes
    #[arg(long, value_delimiter = ',', default_value = "3,10,40")]
    nodes: Vec<usize>,
    /// Keys that the first node writes
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// How long to watch while nothing happens, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long to wait for what follows on a change, in seconds
    #[arg(long, default_value_t = 3)]
    settle: u64,
    /// Keys changed one after the other
    #[arg(long, default_value_t = 5)]
    changes: usize,
}

impl Chitchat {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "chitchat and this store, idle: bytes a second and node".to_owned(),
            counted: format!(
                "Nodes in one process on loopback with default settings, rounds of gossip every \
                 second; ours back off to 8 s while they find nothing, and a second row is \
                 without that. {} keys of 22 bytes with texts of 16, in no order, written by the \
                 first node. UDP: payload of datagrams, with failure detection; ours with TLS, \
                 QUIC, acknowledgements and keep-alive, in a full mesh. Frames: what our replicas \
                 hand to QUIC. Idle with all keys, watched for {} s. Change: medians over {} of \
                 one key (of ours 4 times as many), bytes over idle, by the receivers, until {} s \
                 after all have it (0.1 s, after which ours say no more of it). V1 compresses \
                 digests, V0 is what versions before it read.",
                self.keys, self.seconds, self.changes, self.settle
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&["nodes"], &["idle, UDP"]).by("").log(),
        });
        for nodes in &self.nodes {
            let defaults = StoreConfig::default();
            let mut steady = defaults;
            steady.timing.exchange_idle = steady.timing.exchange;
            for (what, config) in [("this store", defaults), ("this store, every 1 s", steady)] {
                report.row(super::block_on(self.measure(what, *nodes, config))?)?;
            }
            for version in [0, 1] {
                let (nodes, keys, changes) = (*nodes as u64, self.keys as u64, self.changes as u64);
                let numbers = [version, nodes, keys, self.seconds, self.settle, changes];
                report.rows_of(
                    cargo()
                        .args(["run", "--release", "--quiet", "--package", "benches"])
                        .args(["--features", "chitchat", "--bin", "run-chitchat", "--"])
                        .args(numbers.map(|number| number.to_string())),
                )?;
            }
        }
        report.note(
            "What chitchat does otherwise. It compresses keys and values together, and as each \
             key has one node that writes it, nothing like a dot goes along. It needs no \
             connections, so that there is nothing of TLS, acknowledgements and keep-alive (and \
             everything is in the clear, and taken from whoever sends a packet). A change is \
             passed on from node to node, a round each, where ours goes from its writer to each \
             at once, and each acknowledges it. Which of these makes how much of a difference is \
             not measured here.",
        );
        Ok(report)
    }

    async fn measure(&self, what: &str, count: usize, config: StoreConfig) -> Result<Vec<Cell>> {
        let began = Instant::now();
        let nodes = Nodes::members(count, config).await?;
        let met = began.elapsed().as_secs_f64();

        let (before, began) = (nodes.sent().await?, Instant::now());
        let set = |store: &Store, key: usize, value: usize| -> Result<()> {
            let (key, value) = (spread(key), spread(value));
            Ok(store.update(&VALUES.key(key), |register| register.set(&value))?)
        };
        for at in 0..self.keys {
            set(&nodes.stores[0], at, at + self.keys)?;
        }
        nodes.equal().await?;
        let (filled, fill) = (
            began.elapsed().as_secs_f64(),
            nodes.sent().await?.since(before),
        );

        sleep(SETTLE).await;
        let idle = nodes.idle(Duration::from_secs(self.seconds)).await?;
        let change = |store: &Store, at: usize| set(store, at * 7919 % self.keys, at);
        let [time, frames, udp] = nodes
            .changes(4 * self.changes, ACKNOWLEDGED, &idle, change)
            .await?;
        nodes.stop().await?;
        let (each, receivers) = (count as f64, count as f64 - 1.0);
        let keys = self.keys as f64 * receivers;
        Ok(cells![
            what,
            count,
            met,
            idle.frames / each,
            idle.udp / each,
            time,
            frames / receivers,
            udp / receivers,
            filled,
            fill.frames as f64 / keys,
            fill.udp as f64 / keys,
        ])
    }
}

/// A number spread over 64 bits, as a text.
fn spread(at: usize) -> String {
    format!("{:016x}", (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
