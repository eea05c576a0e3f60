//! What a service would take instead: Redis on the same machine, beside the store in the process.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{Key, Keys, Store, StoreConfig};
use tempfile::TempDir;

use super::chart::Chart;
use super::cluster::Nodes;
use super::report::{About, Cell, Column, Output, Report, cells, median, number, text};

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter:");
const SET: Key<OrSet<String>> = Key::new("set");
/// Commands that are sent before the first is answered.
const PIPELINE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);
const COLUMNS: [Column; 7] = [
    text("", 36),
    number("Redis", "/s", 0),
    number("this store", "/s", 0),
    number("Redis, each", "us", 2),
    number("this store, each", "us", 2),
    number("Redis, memory", "B", 1),
    number("this store, memory", "B", 1),
];

/// Redis over a Unix socket and this store in the process: reads, writes and memory of counters and of a set
#[derive(Debug, Args)]
pub(crate) struct Redis {
    /// Counters, and members of the set
    #[arg(long, default_value_t = 100_000)]
    items: usize,
    /// Calls of each kind, one at a time; ten times as many are pipelined
    #[arg(long, default_value_t = 100_000)]
    calls: usize,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

impl Redis {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let server = Server::start()?;
        let mut report = output.begin(About {
            title: "Redis over a Unix socket, and this store in the process: calls a second"
                .to_owned(),
            counted: format!(
                "{} and {} of this store, each alone, without disks and without replication. \
                 Calls: items in no order, of {} counters with names of 20 bytes and of one set \
                 of as many texts of 20 bytes, by one client: redis-benchmark, and a thread; \
                 medians of {} rounds. Redis answers one call after the other, or {PIPELINE} that \
                 were sent together; this store is called one at a time in both. Memory for each: \
                 of Redis used_memory as INFO has it, of this store what is allocated and not \
                 freed.",
                server.version()?,
                env!("CARGO_PKG_VERSION"),
                self.items,
                self.rounds
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["Redis", "this store"]).log(),
        });
        let empty = server.used_memory()?;
        server.fill("incr", "counter:%012d", self.items)?;
        let counters = server.used_memory()?;
        server.fill("sadd set", "element:%012d", self.items)?;
        let all = server.used_memory()?;
        let calls = [
            ("counter raised", "INCR counter:__rand_int__"),
            ("counter read", "GET counter:__rand_int__"),
            ("set: insert", "SADD set element:__rand_int__"),
            ("set: contains", "SISMEMBER set element:__rand_int__"),
        ];
        for ((what, command), ours) in calls.into_iter().zip(self.ours()?) {
            for (how, pipeline) in [("one at a time", 1), ("pipelined", PIPELINE)] {
                let theirs = self.median(|| self.benchmark(&server, command, pipeline))?;
                report.row(cells![
                    format!("{what}, {how}"),
                    theirs,
                    ours,
                    1e6 / theirs,
                    1e6 / ours,
                    Cell::None,
                    Cell::None,
                ])?;
            }
        }
        let heap = super::memory::heap(self.items)?;
        let heap = |what: &str| {
            let row = heap.iter().find(|(name, ..)| name == what);
            row.map(|(_, each, _)| *each)
        };
        let each = |bytes: u64| bytes as f64 / self.items as f64;
        let usage = |key: &str| -> Result<f64> {
            let answer = server.ask(&["MEMORY", "USAGE", key, "SAMPLES", "0"])?;
            Ok(answer.parse()?)
        };
        let mut memory = |what: &str, theirs: f64, ours: Option<f64>| {
            let mut row = vec![Cell::None; COLUMNS.len()];
            (row[0], row[5], row[6]) = (what.into(), theirs.into(), ours.into());
            report.row(row)
        };
        memory("a counter", each(counters - empty), heap("a counter"))?;
        let one = usage("counter:000000000001")?;
        memory("a counter, by MEMORY USAGE", one, None)?;
        let member = heap("a text in one set");
        memory("a member of the set", each(all - counters), member)?;
        memory(
            "a member, by MEMORY USAGE",
            usage("set")? / self.items as f64,
            None,
        )?;
        report.note(
            "They promise other things. Redis is one server that many processes ask, its counters \
             are one number, and it evicts, expires and stores what it has. Each node of this \
             store has all of it in its own process, with what merging needs, and goes on alone.",
        );
        Ok(report)
    }

    /// Calls a second, of each kind.
    fn ours(&self) -> Result<[f64; 4]> {
        // Its tasks go on while this thread calls.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let nodes = runtime.block_on(Nodes::members(1, StoreConfig::default()))?;
        let store = &nodes.stores[0];
        let raise = |store: &Store, at: usize| -> Result<bool> {
            store.update(&counter(at), |counter| counter.add(1))?;
            Ok(true)
        };
        let insert = |store: &Store, at: usize| -> Result<bool> {
            store.update(&SET, |set| set.insert(element(at).as_str()))?;
            Ok(true)
        };
        for at in 0..self.items {
            raise(store, at)?;
            insert(store, at)?;
        }
        let read = |store: &Store, at: usize| -> Result<bool> {
            Ok(store.read(&counter(at), |counter| counter.value() > 0)?)
        };
        let contains = |store: &Store, at: usize| -> Result<bool> {
            Ok(store.read(&SET, |set| set.contains(element(at).as_str()))?)
        };
        let rates = [
            self.median(|| self.rate(store, raise))?,
            self.median(|| self.rate(store, read))?,
            self.median(|| self.rate(store, insert))?,
            self.median(|| self.rate(store, contains))?,
        ];
        runtime.block_on(nodes.stop())?;
        Ok(rates)
    }

    fn median(&self, measure: impl Fn() -> Result<f64>) -> Result<f64> {
        let rounds = (0..self.rounds).map(|_| measure());
        Ok(median(rounds.collect::<Result<Vec<_>>>()?))
    }

    fn rate(&self, store: &Store, call: impl Fn(&Store, usize) -> Result<bool>) -> Result<f64> {
        let (calls, mut state) = (self.calls * 10, 1u64);
        let began = Instant::now();
        for _ in 0..calls {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let found = call(store, (state >> 33) as usize % self.items)?;
            ensure!(found, "something is missing in the store");
        }
        Ok(calls as f64 / began.elapsed().as_secs_f64())
    }

    /// Calls a second, as Redis' own program measures them.
    fn benchmark(&self, server: &Server, command: &str, pipeline: usize) -> Result<f64> {
        let calls = if pipeline > 1 {
            10 * self.calls
        } else {
            self.calls
        };
        let output = server.run(
            Command::new("redis-benchmark")
                .arg("-s")
                .arg(server.socket())
                .args(["-c", "1", "-P", &pipeline.to_string()])
                .args([
                    "-n",
                    &calls.to_string(),
                    "-r",
                    &self.items.to_string(),
                    "--csv",
                ])
                .args(command.split(' ')),
        )?;
        // The name of the test is quoted, and so is each number.
        let numbers = output
            .lines()
            .last()
            .and_then(|line| line.split("\",\"").nth(1));
        let rate = numbers.with_context(|| format!("redis-benchmark printed {output}"))?;
        Ok(rate.trim_matches('"').parse()?)
    }
}

fn counter(at: usize) -> Key<PnCounter> {
    COUNTERS.key(format!("{at:012}"))
}

fn element(at: usize) -> String {
    format!("element:{at:012}")
}

/// A Redis of this experiment's own, which ends with it.
struct Server {
    process: Child,
    folder: TempDir,
}

impl Server {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for Redis")?;
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(socket(folder.path()))
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(not_installed)?;
        let server = Self { process, folder };
        let deadline = Instant::now() + PATIENCE;
        while !socket(server.folder.path()).exists() || server.ask(&["PING"])? != "PONG" {
            ensure!(
                Instant::now() < deadline,
                "Redis does not answer after {PATIENCE:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn socket(&self) -> std::path::PathBuf {
        socket(self.folder.path())
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("redis-cli");
        let answer = self.run(command.arg("-s").arg(self.socket()).args(words))?;
        Ok(answer.trim().to_owned())
    }

    fn run(&self, command: &mut Command) -> Result<String> {
        let output = command.output().map_err(not_installed)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{command:?} failed: {said}");
        Ok(said)
    }

    /// Calls a command once for each number.
    fn fill(&self, command: &str, name: &str, count: usize) -> Result<()> {
        let words = command.split(' ').map(|word| format!("'{word}'"));
        let call = words.collect::<Vec<_>>().join(",");
        let script = format!(
            "for i = 0, {count} - 1 do redis.call({call}, string.format('{name}', i)) end return \
             'filled'"
        );
        let answer = self.ask(&["EVAL", &script, "0"])?;
        ensure!(answer == "filled", "Redis answered {answer}");
        Ok(())
    }

    fn used_memory(&self) -> Result<u64> {
        Ok(self.info("memory", "used_memory:")?.parse()?)
    }

    fn version(&self) -> Result<String> {
        Ok(format!("Redis {}", self.info("server", "redis_version:")?))
    }

    fn info(&self, section: &str, name: &str) -> Result<String> {
        let all = self.ask(&["INFO", section])?;
        let value = all.lines().find_map(|line| line.strip_prefix(name));
        let value = value.with_context(|| format!("Redis does not tell its {name}"))?;
        Ok(value.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(folder: &Path) -> std::path::PathBuf {
    folder.join("redis.sock")
}

fn not_installed(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "redis-server, redis-cli and redis-benchmark are needed: on Debian and Ubuntu \
             `apt-get install redis-server`, on macOS `brew install redis`, others: \
             https://redis.io"
        ),
        _ => anyhow!("starting Redis: {error}"),
    }
}
