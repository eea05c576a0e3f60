//! An empty node joins a full cluster.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use dd_extension::types::{LwwRegister, OrSet};
use dd_extension::{Key, Keys};

use super::chart::Chart;
use super::report::{About, Cell, Output, Report, cells, processors};
use super::small_writes::{COLUMNS, SmallWrites, equal, row, until};
use super::threads::{self, Node};

const VALUES: Keys<LwwRegister<String>> = Keys::with_prefix("value/");
const GONE: Keys<LwwRegister<u64>> = Keys::with_prefix("gone/");
const BLOB: Key<LwwRegister<Vec<u8>>> = Key::new("blob");
const SET: Key<OrSet<u64>> = Key::new("set");
/// Bytes of a value of most keys.
const VALUE: usize = 100;
const MEMBERS: u64 = 20_000;

/// An empty node catches up with full ones: time, bytes and what share each sent, and what becomes meanwhile of small
/// writes between two of those.
#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    /// Keys of 100 bytes
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Bytes of one large value
    #[arg(long, default_value_t = 10_000_000)]
    blob: usize,
    /// Full nodes, two at least
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=9))]
    full: u8,
    /// Keys that were there besides, and whose removal was forgotten before the node joins
    #[arg(long, default_value_t = 1_000)]
    removed: usize,
    #[command(flatten)]
    small: SmallWrites,
}

impl Bootstrap {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!(
                "An empty node joins {} that hold {} keys: small writes before and meanwhile",
                self.full, self.keys
            ),
            counted: format!(
                "{} nodes of this process over QUIC on loopback, each with a runtime and a \
                 thread of its own ({} processors). All but one hold keys with {VALUE} bytes, a value of \
                 {} bytes and a set of {MEMBERS} elements, and have removed {} others and forgotten that; that one \
                 starts with nothing. \
                 Payload: keys, values and elements. Received: frames. In brackets: what share of the events \
                 each sent. Meanwhile the first writes {} times a second, which the second notes.",
                self.full + 1,
                processors(),
                self.blob,
                self.removed,
                self.small.rate
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["p50", "p99", "most"]).log(),
        });
        let addresses = threads::addresses(usize::from(self.full) + 1)?;
        let full: Vec<Node> = (0..usize::from(self.full))
            .map(|at| Node::start(at, &addresses[..usize::from(self.full)]))
            .collect::<Result<_>>()?;
        self.fill(&full[0])?;
        equal(&full)?;
        self.remove(&full)?;
        let [writer, reader, ..] = &full[..] else {
            bail!("two full nodes at least");
        };
        let small = self.small.begin();
        let quiet = small.alone((writer, reader))?;
        report.row(row("small writes before", &quiet))?;

        let payload = self.keys * (VALUE + 14) + self.blob + MEMBERS as usize * 8;
        let joined = Instant::now();
        let joiner = Node::start(full.len(), &addresses)?;
        let mut took = Duration::ZERO;
        let meanwhile = small.meanwhile((writer, reader), || {
            until("it has caught up", || {
                Ok(joiner.store.status()?.replica.keys >= self.keys)
            })?;
            took = joined.elapsed();
            Ok(())
        })?;
        report.row(row("small writes meanwhile", &meanwhile))?;
        let status = joiner.store.status()?.replica;
        let brought = status.peers.iter().map(|peer| peer.brought);
        let all = brought.clone().sum::<u64>().max(1);
        let shares = brought.map(|events| format!("{} %", events * 100 / all));
        let shares: Vec<String> = shares.collect();
        let received = status.counts.bytes_received;
        let (none, payload, received) = (Cell::None, payload as f64, received as f64);
        report.row(cells![
            format!("caught up ({})", shares.join(", ")),
            none.clone(),
            none.clone(),
            none.clone(),
            none,
            took.as_secs_f64(),
            payload / 1e6,
            received / 1e6,
            received / payload,
        ])?;
        let mut all = full;
        all.push(joiner);
        equal(&all)?;
        all.into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }

    /// Removes keys, and waits until everybody has forgotten that.
    fn remove(&self, full: &[Node]) -> Result<()> {
        let gone = |at| GONE.key(format!("{at:08}"));
        for at in 0..self.removed {
            full[0].store.update(&gone(at), |value| value.set(&0))?;
        }
        for at in 0..self.removed {
            full[0].store.delete(&gone(at))?;
        }
        for node in full {
            until("removals are forgotten", || {
                let replica = node.store.status()?.replica;
                let forgotten = replica.counts.records_forgotten >= self.removed as u64;
                Ok(forgotten && replica.records == 0)
            })?;
        }
        equal(full)
    }

    fn fill(&self, node: &Node) -> Result<()> {
        for at in 0..self.keys {
            let value = format!("{at:0VALUE$}");
            let key = VALUES.key(format!("{at:08}"));
            node.store.update(&key, |register| register.set(&value))?;
        }
        node.store
            .update(&BLOB, |blob| blob.set(&vec![7; self.blob]))?;
        node.store.update(&SET, |set| {
            for element in 0..MEMBERS {
                set.insert(&element);
            }
        })?;
        Ok(())
    }
}
