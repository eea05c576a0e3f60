//! `cargo xtask demo`: three nodes as processes, a partition, a killed node, and every claim checked.

mod implied;
mod script;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cluster::{Cluster, LOOK, NODES, Settings};
use implied::Implied;
use script::Step;

pub(crate) const DEFAULT: &str = include_str!("default.ops");

/// Starts three nodes as processes with fresh certificates, runs a file of operations on them, cuts
/// one off, kills one, and checks that all end with what the file implies.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The operations; see the default one, xtask/src/demo/default.ops
    #[arg(long, value_name = "FILE")]
    ops: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(&self) -> Result<()> {
        let began = Instant::now();
        let text = match &self.ops {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("reading the operations in {}", file.display()))?,
            None => DEFAULT.to_owned(),
        };
        let steps = script::parse(&text)?;
        let mut world = World::start()?;
        world.run(&steps)?;
        world.finish()?;
        println!(
            "\nAll of it held, in {:.1} s.",
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

struct World {
    cluster: Cluster,
    /// Which process each node is: counted up with every start.
    processes: [usize; 3],
    implied: Implied,
    lines: usize,
}

impl World {
    fn start() -> Result<Self> {
        let cluster = Cluster::start(Settings::default())?;
        claim(
            "One process began the cluster, two joined it through it; all authenticated each other and are connected.",
        );
        Ok(Self {
            cluster,
            processes: [0, 1, 2],
            implied: Implied::default(),
            lines: 0,
        })
    }

    fn run(&mut self, steps: &[Step]) -> Result<()> {
        println!("\nRunning {} steps.", steps.len());
        for step in steps {
            match step {
                Step::Line(at, line) => self.line(*at, line)?,
                Step::Cut(at) => self.cut(*at)?,
                Step::Heal(at) => self.heal(*at)?,
                Step::Kill(at) => self.kill(*at)?,
                Step::Restart(at) => self.restart(*at)?,
            }
        }
        Ok(())
    }

    /// One line at one node; then whoever is connected with it has seen it before anything else is
    /// done, so that the file alone says who had seen what.
    fn line(&mut self, at: usize, line: &str) -> Result<()> {
        println!("    {}> {line}", NODES[at]);
        self.cluster.node(at)?.ask(line)?;
        self.implied.line(self.processes[at], line)?;
        self.lines += 1;
        // Timestamps of writes on two sides of a cut are as far apart as the lines are.
        std::thread::sleep(LOOK);
        self.await_equal()
    }

    fn cut(&mut self, at: usize) -> Result<()> {
        self.show("before the cut")?;
        self.cluster.set_cut_off(at, true);
        println!(
            "\nCut the wires of {}: both sides go on writing.",
            NODES[at]
        );
        Ok(())
    }

    fn heal(&mut self, at: usize) -> Result<()> {
        self.show(&format!("while {} is cut off", NODES[at]))?;
        let here = self.cluster.status(at)?;
        let there = self.cluster.status((at + 1) % NODES.len())?;
        ensure!(
            here["context"] != there["context"],
            "the two sides wrote nothing while apart"
        );
        claim("Both sides accepted every write while they were apart, and differ now.");
        self.cluster.set_cut_off(at, false);
        let healed = Instant::now();
        self.await_equal()?;
        claim(&format!(
            "Healed: all three hold the same again after {:.2} s.",
            healed.elapsed().as_secs_f64()
        ));
        self.show("after healing")
    }

    fn kill(&mut self, at: usize) -> Result<()> {
        self.cluster.kill(at)?;
        println!(
            "\nKilled {} with SIGKILL: the others go on writing.",
            NODES[at]
        );
        Ok(())
    }

    fn restart(&mut self, at: usize) -> Result<()> {
        claim("The two that are left accepted every write and agree.");
        self.show(&format!("while {} is dead", NODES[at]))?;
        let started = Instant::now();
        self.cluster.spawn(at)?;
        self.processes[at] += NODES.len();
        self.cluster.node(at)?.ask("ready")?;
        self.await_equal()?;
        claim(&format!(
            "{} came back with nothing, as a new incarnation, and has everything after {:.2} s.",
            NODES[at],
            started.elapsed().as_secs_f64()
        ));
        self.cluster.await_connected()
    }

    /// Checks the values, and ends the nodes.
    fn finish(mut self) -> Result<()> {
        self.await_equal()?;
        self.show("at the end")?;
        let implied = self.implied.values();
        for at in 0..NODES.len() {
            self.check_values(at, &implied)?;
        }
        claim(&format!(
            "On each node every one of the {} keys holds what the {} lines of the file imply.",
            implied.len(),
            self.lines
        ));
        claim("Nothing that was deleted came back, nothing that survived a conflict is missing.");
        self.cluster.stop()?;
        claim("All nodes stopped cleanly.");
        Ok(())
    }

    fn check_values(&mut self, at: usize, implied: &BTreeMap<String, String>) -> Result<()> {
        let node = self.cluster.node(at)?;
        let keys = node.ask("keys")?;
        let keys: Vec<&str> = keys
            .split_once(": ")
            .map_or("", |(_, keys)| keys)
            .split_whitespace()
            .collect();
        let expected: Vec<&str> = implied.keys().map(String::as_str).collect();
        ensure!(
            keys == expected,
            "node {} has the keys {keys:?}, the file implies {expected:?}",
            NODES[at]
        );
        for (key, value) in implied {
            let actual = node.ask(&format!("get {key}"))?;
            ensure!(
                actual == *value,
                "node {}: {key} is {actual}\nthe file implies {value}",
                NODES[at]
            );
        }
        Ok(())
    }

    /// Waits until those who can reach each other are equal.
    fn await_equal(&mut self) -> Result<()> {
        for side in self.cluster.sides() {
            if let Err(error) = self.cluster.await_equal(&side) {
                self.show("when patience ended")?;
                return Err(error);
            }
            let processes: Vec<usize> = side.iter().map(|at| self.processes[*at]).collect();
            self.implied.exchanged(&processes);
        }
        Ok(())
    }

    fn show(&mut self, when: &str) -> Result<()> {
        println!("\n  {when}:");
        println!(
            "  {:<5} {:>5} {:>7} {:>8} {:>8}  {:<12} {:<12} {:>10} {:>10}",
            "node",
            "keys",
            "events",
            "writers",
            "removals",
            "context",
            "fingerprint",
            "sent B",
            "received B"
        );
        for (at, name) in NODES.iter().enumerate() {
            if !self.cluster.is_alive(at) {
                println!("  {name:<5} (dead)");
                continue;
            }
            let status = self.cluster.status(at)?;
            println!(
                "  {:<5} {:>5} {:>7} {:>8} {:>8}  {:<12} {:<12} {:>10} {:>10}",
                name,
                status["keys"],
                status["events"],
                status["origins"],
                status["records"],
                &status["context"][..10],
                &status["fingerprint"][..10],
                status["sent"],
                status["received"],
            );
        }
        Ok(())
    }
}

fn claim(what: &str) {
    println!("  \u{2713} {what}");
}
