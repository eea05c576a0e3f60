//! The experiments of Enes, Almeida, Baquero and Leitão (*Efficient Synchronization of State-based CRDTs*, ICDE 2019)
//! with real replicas in virtual time, beside that paper's best protocol in the same run.
//!
//! Their set-up: every node makes one event a second, for 100 seconds, and synchronises with its neighbours
//! once a second. Counted is what is sent: *elements*, the smallest parts that a state consists of, and *metadata*.
//! Their protocol is counted here by its rules, with elements as names alone: each node keeps what is new since its last
//! round, with where it came from, sends all but that (BP), and keeps of what it receives what it did not have (RR).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_core::{GSet, LwwMap, LwwRegister};
use dd_gossip::{Replica, Time, UpdateError};

use crate::mesh::{Mesh, config};
use crate::rng::Rng;

/// Events of each node.
pub const EVENTS: usize = 100;

/// What the nodes do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    /// Each event adds an element of its own to one set.
    GSet,
    /// 1 000 registers, of which each node has its share; each event writes so many per cent of that anew.
    GMap(usize),
    /// A small Twitter: 10 000 users, each with followers, posts and a timeline; 15 % of the operations follow somebody,
    /// 35 % post, to all timelines of those who follow. Users are chosen with this Zipf coefficient.
    Retwis(f64),
}

/// Who is connected with whom.
#[derive(Clone, Debug)]
pub struct Topology {
    nodes: usize,
    edges: Vec<(usize, usize)>,
}

/// The partial mesh of the paper: 15 nodes with four neighbours each.
const MESH: [[usize; 4]; 15] = [
    [14, 11, 4, 1],
    [2, 5, 0, 12],
    [1, 13, 6, 3],
    [7, 14, 2, 4],
    [8, 0, 5, 3],
    [9, 6, 1, 4],
    [5, 7, 10, 2],
    [3, 11, 6, 8],
    [4, 9, 12, 7],
    [5, 8, 10, 13],
    [11, 6, 9, 14],
    [10, 7, 0, 12],
    [13, 11, 1, 8],
    [12, 2, 9, 14],
    [0, 3, 13, 10],
];

/// Its tree.
const TREE: [(usize, usize); 14] = [
    (0, 1),
    (0, 8),
    (0, 13),
    (1, 6),
    (2, 5),
    (3, 10),
    (4, 5),
    (5, 6),
    (6, 10),
    (7, 13),
    (8, 9),
    (8, 14),
    (10, 12),
    (11, 13),
];

impl Topology {
    /// The partial mesh of 15 nodes.
    pub fn mesh() -> Self {
        let pairs = MESH.iter().enumerate();
        let pairs = pairs.flat_map(|(a, others)| others.iter().map(move |b| (a, *b)));
        Self {
            nodes: MESH.len(),
            edges: pairs.filter(|(a, b)| a < b).collect(),
        }
    }

    /// The tree of 15 nodes.
    pub fn tree() -> Self {
        Self {
            nodes: 15,
            edges: TREE.to_vec(),
        }
    }

    /// A ring with chords: a mesh of any size of four neighbours each.
    pub fn chords(nodes: usize) -> Self {
        let far = (nodes as f64).sqrt().round() as usize;
        let chords = (0..nodes).flat_map(|a| [(a, (a + 1) % nodes), (a, (a + far) % nodes)]);
        Self {
            nodes,
            edges: chords.collect(),
        }
    }

    fn neighbours(&self, of: usize) -> Vec<usize> {
        let others = self.edges.iter().filter_map(|(a, b)| match of {
            of if of == *a => Some(*b),
            of if of == *b => Some(*a),
            _ => None,
        });
        others.collect()
    }
}

/// What was sent, for each node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Elements.
    pub elements: f64,
    /// Everything else, in numbers of eight bytes; for the paper's protocol one for each message and its
    /// acknowledgement, as it counts them.
    pub metadata: f64,
    /// Bytes of all frames.
    pub bytes: f64,
    /// Bytes of the elements alone, names and values.
    pub element_bytes: f64,
}

/// One smallest part of a state: the key, the name in it, and the version of a value.
#[derive(Clone, Debug)]
enum Update {
    Add(String, String),
    Put(String, String, usize),
    PutIn(String, String, String),
}

/// The same for both protocols: who does what in which second.
struct Script {
    nodes: usize,
    workload: Workload,
    rng: Rng,
    followers: BTreeMap<usize, BTreeSet<usize>>,
    /// The share of the users up to each.
    zipf: Vec<f64>,
}

const USERS: usize = 10_000;
const KEYS: usize = 1_000;
/// Bytes of a post and of its name.
const POST: (usize, usize) = (270, 31);

impl Script {
    fn new(nodes: usize, workload: Workload) -> Self {
        let coefficient = match workload {
            Workload::Retwis(coefficient) => coefficient,
            _ => 0.0,
        };
        let weights = (1..=USERS).map(|rank| 1.0 / (rank as f64).powf(coefficient));
        let mut sum = 0.0;
        let zipf = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self {
            nodes,
            workload,
            rng: Rng::new(7),
            followers: BTreeMap::new(),
            zipf: zipf.collect(),
        }
    }

    fn user(&mut self) -> usize {
        let all = self.zipf.last().copied().unwrap_or(0.0);
        let at = self.rng.below(1 << 40) as f64 / (1u64 << 40) as f64 * all;
        self.zipf.partition_point(|sum| *sum < at).min(USERS - 1)
    }

    /// What happens in a second: at which millisecond, where, and what, in the order of time.
    fn second(&mut self, second: usize) -> Vec<(u64, usize, Vec<Update>)> {
        let mut all = Vec::new();
        for node in 0..self.nodes {
            let at = self.rng.below(1000) as u64;
            all.push((at, node, self.event(node, second)));
        }
        all.sort_by_key(|(at, node, _)| (*at, *node));
        all
    }

    fn event(&mut self, node: usize, second: usize) -> Vec<Update> {
        match self.workload {
            Workload::GSet => vec![Update::Add("set".into(), format!("{node}#{second}"))],
            Workload::GMap(percent) => {
                let own = KEYS.div_ceil(self.nodes);
                let keys = node * own..((node + 1) * own).min(KEYS);
                let count = (keys.len() * percent).div_ceil(100);
                let mut chosen = BTreeSet::new();
                while chosen.len() < count {
                    chosen.insert(keys.start + self.rng.below(keys.len()));
                }
                let put =
                    |key: usize| Update::Put(format!("key {key}"), format!("{second}"), second);
                chosen.into_iter().map(put).collect()
            }
            Workload::Retwis(_) => match self.rng.below(100) {
                0..15 => {
                    let (who, whom) = (self.user(), self.user());
                    self.followers.entry(whom).or_default().insert(who);
                    vec![Update::Add(format!("followers/{whom}"), format!("{who}"))]
                }
                15..50 => {
                    let who = self.user();
                    let id = format!("{:0width$}", node * EVENTS + second, width = POST.1);
                    let text = "x".repeat(POST.0);
                    let mut all = vec![Update::PutIn(format!("posts/{who}"), id.clone(), text)];
                    for reader in self.followers.get(&who).into_iter().flatten() {
                        let name = format!("{:020}", second * 1000 + node);
                        all.push(Update::PutIn(
                            format!("timeline/{reader}"),
                            name,
                            id.clone(),
                        ));
                    }
                    all
                }
                _ => Vec::new(),
            },
        }
    }
}

/// Runs real replicas.
///
/// # Errors
///
/// What went wrong; nothing should.
pub fn replicas(topology: &Topology, workload: Workload) -> Result<Sent, String> {
    let (mut mesh, mut script) = (Mesh::default(), Script::new(topology.nodes, workload));
    for at in 0..topology.nodes {
        mesh.add(Replica::new(config(at, topology.nodes)?, mesh.now));
    }
    for (a, b) in &topology.edges {
        mesh.connect(*a, *b);
    }
    mesh.run(Duration::from_secs(10))?;
    let sum = |mesh: &Mesh, of: fn(&dd_gossip::Counts) -> u64| -> u64 {
        mesh.replicas
            .iter()
            .map(|replica| of(&replica.counts()))
            .sum()
    };
    let before = sum(&mesh, |counts| counts.bytes_sent);
    let mut made = (0u64, 0u64);
    for second in 0..EVENTS {
        let start = mesh.now;
        for (millis, node, updates) in script.second(second) {
            mesh.run_until(start + Duration::from_millis(millis))?;
            for update in updates {
                made.0 += 1;
                made.1 += update.bytes();
                let now = mesh.now;
                update.make(&mut mesh.replicas[node], now)?;
            }
        }
        mesh.run_until(start + Duration::from_secs(1))?;
    }
    mesh.converge(Duration::from_secs(60))?;
    let elements = sum(&mesh, |counts| counts.events_received) as f64;
    let bytes = (sum(&mesh, |counts| counts.bytes_sent) - before) as f64;
    let element_bytes = elements * made.1 as f64 / made.0.max(1) as f64;
    let nodes = topology.nodes as f64;
    Ok(Sent {
        elements: elements / nodes,
        metadata: (bytes - element_bytes) / 8.0 / nodes,
        bytes: bytes / nodes,
        element_bytes: element_bytes / nodes,
    })
}

impl Update {
    /// Of the names and values alone.
    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Add(_, name) => name.len(),
            Self::Put(key, value, _) => key.len() + value.len(),
            Self::PutIn(_, name, value) => name.len() + value.len(),
        };
        bytes as u64
    }

    fn make(self, replica: &mut Replica, now: Time) -> Result<(), String> {
        let wall = now.since(Time::ZERO).as_millis() as u64;
        let made: Result<(), UpdateError> = match self {
            Self::Add(key, name) => {
                replica.update::<GSet<String>, _, _>(now, wall, key.as_bytes(), |set| {
                    set.insert(name.as_str());
                    Ok(())
                })
            }
            Self::Put(key, value, _) => {
                replica.update::<LwwRegister<String>, _, _>(now, wall, key.as_bytes(), |register| {
                    register.set(&value);
                    Ok(())
                })
            }
            Self::PutIn(key, name, value) => {
                replica.update::<LwwMap<String, String>, _, _>(now, wall, key.as_bytes(), |map| {
                    map.insert(name.as_str(), &value);
                    Ok(())
                })
            }
        };
        made.map_err(|error| error.to_string())
    }

    /// Which element it is, and which version of it.
    fn element(self) -> ((String, String), usize) {
        match self {
            Self::Add(key, name) | Self::PutIn(key, name, _) => ((key, name), 0),
            Self::Put(key, _, version) => ((key, String::new()), version),
        }
    }
}

type Elements = BTreeMap<(String, String), (usize, u64)>;

/// Counts what the delta protocol with BP and RR sends: rounds once a second, every message arrives at once.
pub fn bp_rr(topology: &Topology, workload: Workload) -> Sent {
    let mut script = Script::new(topology.nodes, workload);
    let neighbours: Vec<_> = (0..topology.nodes)
        .map(|n| topology.neighbours(n))
        .collect();
    let mut states = vec![Elements::new(); topology.nodes];
    // Deltas since the last round with where they came from.
    let mut buffers: Vec<Vec<(Option<usize>, Elements)>> = vec![Vec::new(); topology.nodes];
    let mut sent = Sent::default();
    let mut second = 0;
    while second < EVENTS || buffers.iter().any(|buffer| !buffer.is_empty()) {
        if second < EVENTS {
            for (_, node, updates) in script.second(second) {
                for update in updates {
                    let bytes = update.bytes();
                    let (name, version) = update.element();
                    let delta = Elements::from([(name, (version, bytes))]);
                    states[node].extend(delta.clone());
                    buffers[node].push((None, delta));
                }
            }
        }
        second += 1;
        let round: Vec<_> = buffers.iter_mut().map(std::mem::take).collect();
        for (node, buffer) in round.iter().enumerate() {
            for to in &neighbours[node] {
                let mut message = Elements::new();
                for (_, delta) in buffer.iter().filter(|(from, _)| from != &Some(*to)) {
                    join(&mut message, delta);
                }
                if message.is_empty() {
                    continue;
                }
                sent.elements += message.len() as f64;
                sent.element_bytes += message
                    .values()
                    .map(|(_, bytes)| *bytes as f64)
                    .sum::<f64>();
                sent.metadata += 2.0;
                let new = join(&mut states[*to], &message);
                if !new.is_empty() {
                    buffers[*to].push((Some(node), new));
                }
            }
        }
    }
    let nodes = topology.nodes as f64;
    Sent {
        elements: sent.elements / nodes,
        metadata: sent.metadata / nodes,
        bytes: (sent.element_bytes + 8.0 * sent.metadata) / nodes,
        element_bytes: sent.element_bytes / nodes,
    }
}

/// Elements that each node sends at least, on average, if none that is replaced soon after is left out.
pub fn least(topology: &Topology, workload: Workload) -> f64 {
    let mut script = Script::new(topology.nodes, workload);
    let made: usize = (0..EVENTS)
        .flat_map(|second| script.second(second))
        .map(|(_, _, updates)| updates.len())
        .sum();
    (made * (topology.nodes - 1)) as f64 / topology.nodes as f64
}

/// Joins, and returns what was new.
fn join(into: &mut Elements, from: &Elements) -> Elements {
    let mut new = Elements::new();
    for (name, value) in from {
        if into.get(name).is_none_or(|mine| mine.0 < value.0) {
            into.insert(name.clone(), *value);
            new.insert(name.clone(), *value);
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The closed form for sets: each element crosses each edge in both directions, but for the way it came.
    #[test]
    fn the_papers_protocol_sends_what_it_is_known_to_send() {
        let (mesh, tree) = (Topology::mesh(), Topology::tree());
        assert_eq!(mesh.edges.len(), 30);
        let sent = bp_rr(&mesh, Workload::GSet).elements;
        assert!((4_500.0..4_700.0).contains(&sent), "{sent}");
        let sent = bp_rr(&tree, Workload::GSet).elements;
        assert!((1_399.0..1_401.0).contains(&sent), "{sent}");
    }

    #[test]
    fn replicas_send_elements_little_more_often_than_they_have_to() {
        let sent = replicas(&Topology::tree(), Workload::GSet).expect("they converge");
        assert!((1_399.0..1_500.0).contains(&sent.elements), "{sent:?}");
    }
}
