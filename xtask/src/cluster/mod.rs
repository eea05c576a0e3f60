//! Three nodes as processes of this machine, with wires between them that can be cut.

mod node;
mod program;
mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dd_transport_quic::Authority;
use tempfile::TempDir;

use crate::certs;

use node::Place;
pub(crate) use node::{Node, OnChange};
use relay::Relay;

/// The nodes.
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status_pages: false,
            on_change: Arc::new(|_, _| {}),
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
    nodes: [Option<Node>; 3],
    cut: BTreeSet<(usize, usize)>,
}

impl Cluster {
    /// Builds the node program, makes certificates, starts three nodes, of which the first one begins the
    /// cluster and the others join it, and waits until each is connected with the others.
    pub(crate) fn start(settings: Settings) -> Result<Self> {
        let program = program::build()?;
        let certs = tempfile::tempdir().context("making a folder for certificates")?;
        make_certificates(certs.path())?;
        let relays = NODES.iter().map(|_| Relay::new(NODES.len()));
        let relays = relays.collect::<Result<_, _>>().context("making wires")?;
        let mut cluster = Self {
            program,
            certs,
            settings,
            relays,
            nodes: [None, None, None],
            cut: BTreeSet::new(),
        };
        for at in 0..NODES.len() {
            cluster.spawn(at)?;
        }
        cluster.await_connected()?;
        Ok(cluster)
    }

    /// Starts a node that does not run, with nothing: it joins through the others that live, or begins the
    /// cluster if there are none.
    pub(crate) fn spawn(&mut self, at: usize) -> Result<()> {
        let alive = (0..NODES.len()).filter(|other| self.is_alive(*other));
        let alive: Vec<usize> = alive.collect();
        let reached = alive.iter().filter(|other| !self.is_cut(at, **other));
        let seeds: Vec<_> = reached.map(|other| self.relays[*other].address).collect();
        ensure!(
            alive.is_empty() || !seeds.is_empty(),
            "{} can reach nobody through whom to join: heal its wires first",
            NODES[at]
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
        let node = Node::start(&self.program, NODES[at], certs, &place, &self.settings)?;
        self.nodes[at] = Some(node);
        Ok(())
    }

    /// A node that runs.
    pub(crate) fn node(&mut self, at: usize) -> Result<&mut Node> {
        let node = self.nodes[at].as_mut();
        node.with_context(|| format!("node {} is dead", NODES[at]))
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
        ensure!(ended?, "node {} did not end well", NODES[at]);
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
        for other in (0..NODES.len()).filter(|other| *other != at) {
            self.set_cut(at, other, cut);
        }
    }

    /// Whether the wires between two nodes are cut.
    pub(crate) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one, other))
    }

    /// The nodes that are alive, together with those that they can reach.
    pub(crate) fn sides(&self) -> Vec<Vec<usize>> {
        let mut left: Vec<usize> = (0..NODES.len()).filter(|at| self.is_alive(*at)).collect();
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
                bail!("the nodes are not equal after {PATIENCE:?}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until all nodes are connected with each other, and take each other for up.
    pub(crate) fn await_connected(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (at, name) in NODES.iter().enumerate() {
            while !is_connected(&self.status(at)?["peers"]) {
                ensure!(Instant::now() < deadline, "{name} does not reach its peers");
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

/// Whether a node that says this of its peers knows all of them, and is connected with them.
pub(crate) fn is_connected(peers: &str) -> bool {
    let up = peers
        .split(',')
        .filter(|peer| peer.contains(":up:") && !peer.contains("away"));
    up.count() == NODES.len() - 1
}

/// An address of this machine that is free now.
fn free_address() -> std::io::Result<SocketAddr> {
    UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

/// A node by its name.
pub(crate) fn node_named(name: &str) -> Result<usize> {
    let at = NODES.iter().position(|node| *node == name.trim());
    at.with_context(|| format!("{name:?} is no node; they are a, b and c"))
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
