//! Nodes as processes of this machine, with wires between them that can be cut and slowed down.

mod node;
mod program;
mod transcript;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dd_testkit::{Relay, free_address};
use dd_transport_quic::Authority;
use tempfile::TempDir;

use crate::certs;

pub(crate) use node::{Node, OnChange, Place};
pub(crate) use program::build;
pub(crate) use transcript::{Transcript, clipped};

/// The names of nodes; there are as many as [`Settings::nodes`] says.
pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The nodes of an ordinary cluster.
pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];

/// Longest wait until nodes are equal, or connected.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether they are.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// What nodes are started with beside their names and addresses.
pub(crate) struct Settings {
    /// Whether each serves a status page.
    pub(crate) status_pages: bool,
    /// Is told the name of a node and what it says of a key that is watched.
    pub(crate) on_change: OnChange,
    /// How many nodes there are, at most as many as [`NAMES`].
    pub(crate) nodes: usize,
    /// The node program, if it is built already.
    pub(crate) program: Option<PathBuf>,
    /// Takes down what nodes say.
    pub(crate) transcript: Transcript,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status_pages: false,
            on_change: Arc::new(|_, _| {}),
            nodes: NODES.len(),
            program: None,
            transcript: Transcript::default(),
        }
    }
}

/// Nodes that found each other. Each is reached through a relay in front of it, which is the address that it
/// tells the others. All processes end with it: they are killed, and should this program be
/// killed itself, the end of their input stops them.
pub(crate) struct Cluster {
    program: PathBuf,
    certs: TempDir,
    settings: Settings,
    /// In front of each node.
    relays: Vec<Relay>,
    nodes: Vec<Option<Node>>,
    cut: BTreeSet<(usize, usize)>,
}

impl Cluster {
    /// Builds the node program, makes certificates, starts the nodes, of which the first one begins the
    /// cluster and the others join it, and waits until each is connected with the others.
    pub(crate) fn start(settings: Settings) -> Result<Self> {
        let all = settings.nodes;
        let mut cluster = Self::prepare(settings)?;
        println!(
            "Made a cluster authority and a certificate for each of {}.",
            NAMES[..all].join(", ")
        );
        cluster.spawn_all()?;
        Ok(cluster)
    }

    /// The same without a node that runs.
    pub(crate) fn prepare(mut settings: Settings) -> Result<Self> {
        let program = match settings.program.take() {
            Some(program) => program,
            None => build()?,
        };
        let certs = tempfile::tempdir().context("making a folder for certificates")?;
        make_certificates(certs.path(), &NAMES[..settings.nodes])?;
        let relays = (0..settings.nodes).map(|_| Relay::new(settings.nodes));
        let relays = relays.collect::<Result<_, _>>().context("making wires")?;
        Ok(Self {
            program,
            certs,
            nodes: (0..settings.nodes).map(|_| None).collect(),
            settings,
            relays,
            cut: BTreeSet::new(),
        })
    }

    /// Starts all nodes that do not run, and waits until each is connected with the others.
    pub(crate) fn spawn_all(&mut self) -> Result<()> {
        for at in self.all() {
            if !self.is_alive(at) {
                self.spawn(at)?;
            }
        }
        self.await_connected()
    }

    /// Every node, whether it runs or not.
    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.nodes.len()).collect()
    }

    /// The nodes that run.
    pub(crate) fn alive(&self) -> Vec<usize> {
        let mut all = self.all();
        all.retain(|at| self.is_alive(*at));
        all
    }

    /// Starts a node that does not run, with nothing: it joins through the others that live, or begins the
    /// cluster if there are none.
    pub(crate) fn spawn(&mut self, at: usize) -> Result<()> {
        let alive = self.alive();
        let reached = alive.iter().filter(|other| !self.is_cut(at, **other));
        let seeds: Vec<_> = reached.map(|other| self.relays[*other].address).collect();
        ensure!(
            alive.is_empty() || !seeds.is_empty(),
            "{} can reach nobody through whom to join: heal its wires first",
            NAMES[at]
        );
        // Relays tell nodes apart by where their packets come from, so that has to be known beforehand.
        let listen = free_address().context("finding a free port")?;
        for (to, relay) in self.relays.iter().enumerate() {
            if to == at {
                relay.lead_to(listen);
            } else {
                relay.carry_from(at, listen);
            }
        }
        let place = Place {
            listen,
            advertise: self.relays[at].address,
            seeds,
        };
        let certs = self.certs.path();
        let node = Node::start(&self.program, NAMES[at], certs, &place, &self.settings)?;
        self.nodes[at] = Some(node);
        Ok(())
    }

    /// A node that runs.
    pub(crate) fn node(&mut self, at: usize) -> Result<&mut Node> {
        let node = self.nodes[at].as_mut();
        node.with_context(|| format!("node {} is dead", NAMES[at]))
    }

    pub(crate) fn is_alive(&self, at: usize) -> bool {
        self.nodes[at].is_some()
    }

    /// Kills a node without a word.
    pub(crate) fn kill(&mut self, at: usize) -> Result<()> {
        self.node(at)?.kill()?;
        self.nodes[at] = None;
        Ok(())
    }

    /// Has a node leave for good, and waits until its process has ended.
    pub(crate) fn leave(&mut self, at: usize) -> Result<()> {
        let ended = self.node(at)?.end_by("leave");
        self.nodes[at] = None;
        ensure!(ended?, "node {} did not end well", NAMES[at]);
        Ok(())
    }

    /// Cuts or heals the wires between two nodes: what either of them dialled.
    pub(crate) fn set_cut(&mut self, one: usize, other: usize, cut: bool) {
        for wire in [(one, other), (other, one)] {
            self.relays[wire.1].set_cut(wire.0, cut);
            if cut {
                self.cut.insert(wire);
            } else {
                self.cut.remove(&wire);
            }
        }
    }

    /// Cuts or heals all wires of a node.
    pub(crate) fn set_cut_off(&mut self, at: usize, cut: bool) {
        for other in self.all() {
            if other != at {
                self.set_cut(at, other, cut);
            }
        }
    }

    /// Has the wires of a node carry so many bytes a second each, or as many as can be.
    pub(crate) fn set_rate(&mut self, at: usize, rate: Option<u32>) {
        for other in self.all() {
            self.relays[other].set_rate(at, rate);
            self.relays[at].set_rate(other, rate);
        }
    }

    /// Whether the wires between two nodes are cut.
    pub(crate) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one, other))
    }

    /// The nodes that are alive, together with those that they can reach.
    pub(crate) fn sides(&self) -> Vec<Vec<usize>> {
        let mut left = self.alive();
        let mut sides = Vec::new();
        while !left.is_empty() {
            let mut side = vec![left.remove(0)];
            while let Some(next) = left
                .iter()
                .position(|at| side.iter().any(|of| !self.is_cut(*of, *at)))
            {
                side.push(left.remove(next));
            }
            side.sort_unstable();
            sides.push(side);
        }
        sides
    }

    /// The status of a node as names and values.
    pub(crate) fn status(&mut self, at: usize) -> Result<BTreeMap<String, String>> {
        self.node(at)?.status()
    }

    /// Waits until nodes have seen the same. Fails if they then hold something else.
    pub(crate) fn await_equal(&mut self, side: &[usize]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statuses = side
                .iter()
                .map(|at| self.status(*at))
                .collect::<Result<Vec<_>>>()?;
            let same = |what: &str| statuses.windows(2).all(|two| two[0][what] == two[1][what]);
            if same("context") {
                ensure!(
                    same("fingerprint"),
                    "equal contexts with unequal fingerprints"
                );
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "the nodes are not equal after {PATIENCE:?}: {}",
                    differences(side, &statuses)
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Gives a node a line again and again, until its answer, or what it says of a line that it refuses, is so.
    pub(crate) fn ask_until(
        &mut self,
        at: usize,
        line: &str,
        is_so: impl Fn(Result<&str, &str>) -> bool,
    ) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.node(at)?.try_ask(line)?;
            if is_so(answer.as_deref().map_err(String::as_str)) {
                return Ok(answer.unwrap_or_else(|error| error));
            }
            ensure!(
                Instant::now() < deadline,
                "{}> {line}: after {PATIENCE:?} still {}",
                NAMES[at],
                clipped(&format!("{answer:?}"))
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until all nodes that run are connected with each other, and take each other for up.
    pub(crate) fn await_connected(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let alive = self.alive();
        for at in &alive {
            loop {
                let peers = self.status(*at)?["peers"].clone();
                if is_connected(&peers, alive.len() - 1) {
                    break;
                }
                ensure!(
                    Instant::now() < deadline,
                    "{} does not reach its peers: {peers}",
                    NAMES[*at]
                );
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Ends all nodes the ordinary way. Fails if one does not end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        for node in self.nodes.iter_mut().flatten() {
            ensure!(node.end_by("quit")?, "a node did not end well");
        }
        Ok(())
    }
}

/// Whether a node that says this of its peers is connected with so many.
pub(crate) fn is_connected(peers: &str, others: usize) -> bool {
    let up = peers
        .split(',')
        .filter(|peer| peer.contains(":up:") && !peer.contains("away"));
    up.count() == others
}

/// A node by its name.
pub(crate) fn node_named(name: &str) -> Result<usize> {
    let at = NODES.iter().position(|node| *node == name.trim());
    at.with_context(|| format!("{name:?} is no node; they are a, b and c"))
}

/// What tells nodes apart, node by node.
fn differences(nodes: &[usize], statuses: &[BTreeMap<String, String>]) -> String {
    let of = |(at, status): (&usize, &BTreeMap<String, String>)| {
        let said = ["keys", "events", "records", "context", "peers"].map(|what| {
            let value = status.get(what).map_or("", String::as_str);
            format!("{what}={value}")
        });
        format!("{}: {}", NAMES[*at], said.join(" "))
    };
    let all: Vec<String> = nodes.iter().zip(statuses).map(of).collect();
    all.join("; ")
}

/// Makes an authority, and a certificate for each node.
pub(crate) fn make_certificates(dir: &Path, names: &[&str]) -> Result<()> {
    let authority = Authority::new(&"demo".parse()?)?;
    std::fs::write(dir.join("ca.pem"), authority.certificate_pem())?;
    for name in names {
        certs::issue(&authority, name, dir)?;
    }
    Ok(())
}
