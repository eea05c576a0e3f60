//! What keys that come and go leave in memory.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::chart::Chart;
use super::report::{About, Cell, Column, Output, Report, cells, number, text};
use crate::cargo::cargo;
use crate::cluster::{Cluster, NODES, Settings};

/// Longest wait until everything is forgotten.
const PATIENCE: Duration = Duration::from_secs(300);

const PROCESSES: [Column; 8] = [
    text("", 20),
    number("a", "MiB", 1),
    number("b", "MiB", 1),
    number("c", "MiB", 1),
    number("a of empty", "%", 1),
    number("b of empty", "%", 1),
    number("c of empty", "%", 1),
    number("took", "s", 0),
];
const HEAP: [Column; 4] = [
    text("", 20),
    number("not freed", "MiB", 2),
    number("resident", "MiB", 1),
    number("not freed of empty", "%", 1),
];

/// Keys created and deleted on three node processes: their memory before, in between and after.
#[derive(Debug, Args)]
pub(crate) struct Churn {
    /// Keys
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Keys that are there at one time: so many are created, deleted, and so on
    #[arg(long, default_value_t = 10_000)]
    at_once: usize,
    /// How often all of it is done; what stays from one time to the next is lost
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Instead of processes, three stores of one program that counts what is allocated and not freed: what the
    /// stores keep, without what the allocator does
    #[arg(long)]
    heap: bool,
}

impl Churn {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let (counted, columns, values): (_, &[Column], &[&str]) = match self.heap {
            true => (
                "Three stores of one program. What they have allocated and not freed, all three \
                 together, and resident memory, which has what the allocator keeps",
                &HEAP,
                &["not freed"],
            ),
            false => (
                "Three node processes. Resident memory of each (VmRSS, which has what the \
                 allocator keeps; --heap shows what is allocated)",
                &PROCESSES,
                &["a", "b", "c"],
            ),
        };
        let mut report = output.begin(About {
            title: format!("Memory while {} keys are created and deleted", self.keys),
            counted: format!(
                "{counted}: with nothing in it, at the most, and when all is forgotten. Over QUIC \
                 on loopback; the first node creates and deletes keys, each a set of one element, \
                 {} at a time.",
                self.at_once
            ),
            columns,
            chart: Chart::bars(&[""], values),
        });
        match self.heap {
            true => self.count_heap(&mut report)?,
            false => self.watch_processes(&mut report)?,
        }
        Ok(report)
    }

    fn watch_processes(&self, report: &mut Report<'_>) -> Result<()> {
        let mut cluster = Cluster::start(Settings::default())?;
        let processes = children()?;
        if processes.len() != NODES.len() {
            bail!("{} processes where three were started", processes.len());
        }
        // What a process takes at its first work stays with it.
        self.batch(&mut cluster, "warm", 1000)?;
        await_forgotten(&mut cluster)?;
        let before = resident(&processes)?;
        let mut line = |what: String, memory: &[u64], took: Option<f64>| {
            let mut row = cells![what];
            row.extend(memory.iter().map(|kib| Cell::from(*kib as f64 / 1024.0)));
            let shares = memory.iter().zip(&before);
            row.extend(shares.map(|(now, then)| Cell::from(*now as f64 / *then as f64 * 100.0)));
            row.push(took.into());
            report.row(row)
        };
        line("empty".to_owned(), &before, None)?;
        for round in 1..=self.rounds {
            let mut most = before.clone();
            let began = Instant::now();
            let mut left = self.keys;
            while left > 0 {
                let count = left.min(self.at_once.max(1));
                self.batch(&mut cluster, &format!("r{round}-{left}"), count)?;
                left -= count;
                let now = resident(&processes)?;
                most = most.iter().zip(now).map(|(a, b)| b.max(*a)).collect();
            }
            await_forgotten(&mut cluster)?;
            line(format!("the most, round {round}"), &most, None)?;
            let took = began.elapsed().as_secs_f64();
            line(
                format!("forgotten, round {round}"),
                &resident(&processes)?,
                Some(took),
            )?;
        }
        cluster.stop()
    }

    fn count_heap(&self, report: &mut Report<'_>) -> Result<()> {
        let numbers = [self.keys, self.at_once, self.rounds];
        report.rows_of(
            cargo()
                .args(["run", "--release", "--quiet", "--package", "xtask"])
                .args(["--bin", "churn-heap", "--"])
                .args(numbers.map(|number| number.to_string())),
        )
    }

    fn batch(&self, cluster: &mut Cluster, name: &str, count: usize) -> Result<()> {
        let first = cluster.node(0)?;
        first.ask(&format!("repeat {count} insert key-{name}-{{i}} element"))?;
        first.ask(&format!("repeat {count} delete key-{name}-{{i}}"))?;
        Ok(())
    }
}

/// Until all nodes are equal and empty, and remember no removal.
fn await_forgotten(cluster: &mut Cluster) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        cluster.await_equal(&[0, 1, 2])?;
        let mut left = Vec::new();
        for at in 0..NODES.len() {
            let status = cluster.status(at)?;
            left.extend([status["keys"].clone(), status["records"].clone()]);
        }
        if left.iter().all(|count| count == "0") {
            // What peers said last, and buffers.
            std::thread::sleep(Duration::from_secs(2));
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("keys and records are left: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes that this one started, in the order of their start.
fn children() -> Result<Vec<u32>> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("there is no /proc: this needs Linux")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let parent = field(pid, "PPid:");
        if parent.is_ok_and(|parent| parent == u64::from(own)) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Resident memory in KiB.
fn resident(processes: &[u32]) -> Result<Vec<u64>> {
    processes.iter().map(|pid| field(*pid, "VmRSS:")).collect()
}

fn field(pid: u32, name: &str) -> Result<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join("status");
    let status =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("{} says nothing of {name}", path.display()))?;
    Ok(number.parse()?)
}
