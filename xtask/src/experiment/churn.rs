//! What keys that come and go leave in memory.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cargo::cargo;
use crate::cluster::{Cluster, NODES, Settings};

/// Longest wait until everything is forgotten.
const PATIENCE: Duration = Duration::from_secs(300);

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
    pub(crate) fn run(&self) -> Result<()> {
        if self.heap {
            return self.count_heap();
        }
        println!(
            "Three node processes over QUIC on loopback; {} keys, each a set of one element, are created and\n\
             deleted by the first, {} at a time. Resident memory of each process in MiB (VmRSS, which has what the\n\
             allocator keeps; --heap shows what is allocated), with nothing in it, at the most, and when all is forgotten.\n",
            self.keys, self.at_once
        );
        let mut cluster = Cluster::start(Settings::default())?;
        let processes = children()?;
        if processes.len() != NODES.len() {
            bail!("{} processes where three were started", processes.len());
        }
        // What a process takes at its first work stays with it.
        self.batch(&mut cluster, "warm", 1000)?;
        await_forgotten(&mut cluster)?;
        let line = |what: &str, memory: &[u64]| {
            let shown = memory
                .iter()
                .map(|kib| format!("{:>9.1}", *kib as f64 / 1024.0));
            println!("{what:<24} {}", shown.collect::<String>());
        };
        let heads = NODES.map(|node| format!("{node:>9}"));
        println!("{:<24} {}", "", heads.concat());
        let before = resident(&processes)?;
        line("empty", &before);
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
            line(&format!("the most, round {round}"), &most);
            let after = resident(&processes)?;
            line(&format!("forgotten, round {round}"), &after);
            let share = after.iter().zip(&before);
            let shares = share.map(|(a, b)| format!("{:>8.1}%", *a as f64 / *b as f64 * 100.0));
            println!(
                "{:<24} {}  ({:.0} s)",
                "  of empty",
                shares.collect::<String>(),
                began.elapsed().as_secs_f64()
            );
        }
        cluster.stop()
    }

    fn count_heap(&self) -> Result<()> {
        let numbers = [self.keys, self.at_once, self.rounds];
        let status = cargo()
            .args(["run", "--release", "--quiet", "--package", "xtask"])
            .args(["--bin", "churn-heap", "--"])
            .args(numbers.map(|number| number.to_string()))
            .status()
            .context("running cargo")?;
        ensure!(status.success(), "the program that counts has failed");
        Ok(())
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
