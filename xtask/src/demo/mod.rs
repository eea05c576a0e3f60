//! `cargo xtask demo`: three nodes as processes, a partition, a killed node, and every claim checked.

mod implied;
mod node;
mod relay;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use dd_transport_quic::Authority;

use crate::certs;
use implied::Implied;
use node::Node;
use relay::Relay;
use script::{NODES, Step};

pub(crate) const DEFAULT: &str = include_str!("default.ops");

/// Longest wait until nodes are equal.
const CONVERGENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether they are.
const LOOK: Duration = Duration::from_millis(2);

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
        println!("Building the node program.");
        let program = build()?;
        let certs = tempfile::tempdir().context("making a folder for certificates")?;
        make_certificates(certs.path())?;
        let mut world = World::start(&program, certs.path())?;
        world.run(&steps)?;
        world.finish()?;
        println!(
            "\nAll of it held, in {:.1} s.",
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "dd-extension",
            "--features",
            "node",
        ])
        .args([
            "--bin",
            "dd-node",
            "--message-format",
            "json-render-diagnostics",
        ])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("running cargo to build the node program")?;
    ensure!(output.status.success(), "the node program does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    program.context("cargo does not say where the node program is")
}

fn make_certificates(dir: &Path) -> Result<()> {
    let authority = Authority::new(&"demo".parse()?)?;
    std::fs::write(dir.join("ca.pem"), authority.certificate_pem())?;
    for name in NODES {
        certs::issue(&authority, name, dir)?;
    }
    println!(
        "Made a cluster authority and a certificate for each of {}.",
        NODES.join(", ")
    );
    Ok(())
}

struct World<'p> {
    program: &'p Path,
    certs: &'p Path,
    /// By dialling and dialled node.
    relays: BTreeMap<(usize, usize), Relay>,
    nodes: [Option<Node>; 3],
    /// Which process each node is: counted up with every start.
    processes: [usize; 3],
    cut: Option<usize>,
    implied: Implied,
    lines: usize,
}

impl<'p> World<'p> {
    fn start(program: &'p Path, certs: &'p Path) -> Result<Self> {
        let mut relays = BTreeMap::new();
        for from in 0..NODES.len() {
            for to in (0..NODES.len()).filter(|to| *to != from) {
                relays.insert((from, to), Relay::new().context("making a wire")?);
            }
        }
        let nodes = [None, None, None];
        let implied = Implied::default();
        let processes = [0, 1, 2];
        let mut world = Self {
            program,
            certs,
            relays,
            nodes,
            processes,
            cut: None,
            implied,
            lines: 0,
        };
        for at in 0..NODES.len() {
            world.spawn(at)?;
        }
        world.await_connected()?;
        claim("Three processes authenticated each other and are connected.");
        Ok(world)
    }

    fn spawn(&mut self, at: usize) -> Result<()> {
        let others = (0..NODES.len()).filter(|other| *other != at);
        let peers: Vec<_> = others
            .map(|other| (NODES[other], self.relays[&(at, other)].address))
            .collect();
        let node = Node::start(self.program, NODES[at], self.certs, &peers)?;
        for ((_, to), relay) in &self.relays {
            if *to == at {
                relay.lead_to(node.address);
            }
        }
        self.nodes[at] = Some(node);
        Ok(())
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
        let node = self.nodes[at].as_mut().context("a line for a dead node")?;
        println!("    {}> {line}", NODES[at]);
        node.ask(line)?;
        self.implied.line(self.processes[at], line)?;
        self.lines += 1;
        // Timestamps of writes on two sides of a cut are as far apart as the lines are.
        std::thread::sleep(LOOK);
        self.await_equal()
    }

    fn cut(&mut self, at: usize) -> Result<()> {
        self.show("before the cut")?;
        self.wires_of(at, true);
        self.cut = Some(at);
        println!(
            "\nCut the wires of {}: both sides go on writing.",
            NODES[at]
        );
        Ok(())
    }

    fn heal(&mut self, at: usize) -> Result<()> {
        self.show(&format!("while {} is cut off", NODES[at]))?;
        let here = self.status(at)?;
        let there = self.status((at + 1) % NODES.len())?;
        ensure!(
            here["context"] != there["context"],
            "the two sides wrote nothing while apart"
        );
        claim("Both sides accepted every write while they were apart, and differ now.");
        self.cut = None;
        self.wires_of(at, false);
        let healed = Instant::now();
        self.await_equal()?;
        claim(&format!(
            "Healed: all three hold the same again after {:.2} s.",
            healed.elapsed().as_secs_f64()
        ));
        self.show("after healing")
    }

    fn kill(&mut self, at: usize) -> Result<()> {
        let mut node = self.nodes[at].take().context("the node is dead already")?;
        node.kill()?;
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
        self.spawn(at)?;
        self.processes[at] += NODES.len();
        if let Some(node) = &mut self.nodes[at] {
            node.ask("ready")?;
        }
        self.await_equal()?;
        claim(&format!(
            "{} came back with nothing, as a new incarnation, and has everything after {:.2} s.",
            NODES[at],
            started.elapsed().as_secs_f64()
        ));
        self.await_connected()
    }

    /// Checks the values, and ends the nodes.
    fn finish(&mut self) -> Result<()> {
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
        for node in &mut self.nodes {
            let well = node.as_mut().map_or(Ok(true), Node::quit)?;
            ensure!(well, "a node did not end well");
        }
        claim("All nodes stopped cleanly.");
        Ok(())
    }

    fn check_values(&mut self, at: usize, implied: &BTreeMap<String, String>) -> Result<()> {
        let node = self.nodes[at].as_mut().context("a node is dead")?;
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

    fn wires_of(&self, at: usize, cut: bool) {
        for ((from, to), relay) in &self.relays {
            if *from == at || *to == at {
                relay.set_cut(cut);
            }
        }
    }

    fn status(&mut self, at: usize) -> Result<BTreeMap<String, String>> {
        self.nodes[at]
            .as_mut()
            .context("the node is dead")?
            .status()
    }

    /// Nodes that are alive and on one side, the node that is cut off by itself.
    fn sides(&self) -> Vec<Vec<usize>> {
        let alive = (0..NODES.len()).filter(|at| self.nodes[*at].is_some());
        let (apart, together) = alive.partition(|at| self.cut == Some(*at));
        vec![apart, together]
    }

    fn await_equal(&mut self) -> Result<()> {
        for side in self.sides() {
            let deadline = Instant::now() + CONVERGENCE;
            loop {
                let statuses = side
                    .iter()
                    .map(|at| self.status(*at))
                    .collect::<Result<Vec<_>>>()?;
                let contexts = statuses
                    .windows(2)
                    .all(|two| two[0]["context"] == two[1]["context"]);
                if contexts {
                    let prints = statuses
                        .windows(2)
                        .all(|two| two[0]["fingerprint"] == two[1]["fingerprint"]);
                    ensure!(prints, "equal contexts with unequal fingerprints");
                    break;
                }
                if Instant::now() > deadline {
                    self.show("when patience ended")?;
                    bail!("the nodes are not equal after {CONVERGENCE:?}");
                }
                std::thread::sleep(LOOK);
            }
            let processes: Vec<usize> = side.iter().map(|at| self.processes[*at]).collect();
            self.implied.exchanged(&processes);
        }
        Ok(())
    }

    fn await_connected(&mut self) -> Result<()> {
        let deadline = Instant::now() + CONVERGENCE;
        for (at, name) in NODES.iter().enumerate() {
            while self.status(at)?["peers"].contains("away") {
                ensure!(Instant::now() < deadline, "{name} does not reach its peers");
                std::thread::sleep(LOOK);
            }
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
            if self.nodes[at].is_none() {
                println!("  {name:<5} (dead)");
                continue;
            }
            let status = self.status(at)?;
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
