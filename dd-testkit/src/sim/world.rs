//! One run: nodes, what is done to them, and the checks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_core::kernel::DotStore;
use crdt_core::{Context, Dot, Limits, ReplicaId, Shape};
use dd_gossip::{ClusterId, Config, NodeId, Replica, Time, Timing, UpdateError};

use super::deadlines::Deadlines;
use super::hostile;
use super::members::Members;
use super::network::{Arrival, Network};
use super::op::{Call, Op};
use super::owned::Owned;
use super::quorum::{Quorum, View, majority};
use super::versions::Versions;
use super::{Options, Tally};
use crate::oracle::{Event, Oracle};
use crate::rng::Rng;

/// Old snapshots that are kept of a node.
const SNAPSHOTS: usize = 4;

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) options: Options,
    pub(super) now: Time,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) oracle: Oracle,
    /// The events of each transaction at more than one key, as far as they are the oracle's.
    pub(super) transactions: Vec<Vec<Dot>>,
    pub(super) quorum: Quorum,
    pub(super) tally: Tally,
    /// What had been seen of each node's incarnations when they were sealed, up to the last one, by the seal's digest:
    /// where all have lost a seal, and only an old snapshot without it is left, another is made of what that has.
    pub(super) sealed: BTreeMap<(ReplicaId, u64), Context>,
    /// What a peer that misbehaves does; `None` if there is none. Of its own, so that it changes nothing else.
    pub(super) hostile: Option<Rng>,
    pub(super) hostile_done: hostile::Outcome,
    /// In some runs values end at a time. Of its own as well.
    pub(super) deadlines: Option<Deadlines>,
    /// In some runs members come and go, and own keys; in some there are two versions. Each of its own.
    pub(super) members: Option<Members>,
    pub(super) owned: Option<Owned>,
    pub(super) versions: Option<Versions>,
    /// Whether all writes go to one counter: what is rare elsewhere then happens often.
    pub(super) one_counter: bool,
}

pub(super) struct Node {
    pub(super) id: NodeId,
    /// `None` while the process is down.
    pub(super) replica: Option<Replica>,
    /// What a process that is down had at its end.
    pub(super) last: DotStore,
    pub(super) incarnation: u64,
    pub(super) lost: bool,
    /// Its replica is to be made anew.
    pub(super) damaged: bool,
    pub(super) snapshots: Vec<DotStore>,
    pub(super) checked: Context,
    /// The same with what was sealed as it was before.
    pub(super) full: Context,
    pub(super) wall_offset: i64,
    pub(super) wall_drift: i64,
    pub(super) timer: Option<Time>,
    pub(super) forgotten: u64,
}

impl World {
    pub(super) fn new(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let comes_and_goes = options.members && seed % 8 == 6;
        let count = 2 + rng.below(options.nodes.max(2) - 1);
        // With two, there is no majority without one of them.
        let count = if comes_and_goes { count.max(3) } else { count };
        let mut network = Network::new(count, options.lossy && rng.chance(50), &mut rng);
        let members = comes_and_goes.then(|| Members::new(seed, count, &mut network));
        let owns = options.owned && comes_and_goes;
        let nodes = (0..count).map(|at| Node {
            id: name(at),
            replica: None,
            last: DotStore::new(),
            incarnation: 0,
            lost: false,
            damaged: false,
            snapshots: Vec::new(),
            checked: Context::new(),
            full: Context::new(),
            wall_offset: rng.below(7_200_000) as i64 - 3_600_000,
            wall_drift: rng.below(200) as i64 - 100,
            timer: None,
            forgotten: 0,
        });
        let nodes = nodes.collect();
        let (oracle, tally) = (Oracle::default(), Tally::default());
        let one_counter = rng.chance(20);
        Self {
            nodes,
            rng,
            options,
            now: Time::ZERO,
            network,
            oracle,
            transactions: Vec::new(),
            quorum: Quorum::default(),
            tally,
            sealed: BTreeMap::new(),
            hostile: (options.hostile && seed.is_multiple_of(8)).then(|| Rng::new(!seed)),
            hostile_done: hostile::Outcome::default(),
            deadlines: (options.deadlines && seed % 4 == 3).then(|| Deadlines::new(seed, count)),
            members,
            owned: owns.then(|| Owned::new(seed, count)),
            versions: (options.versions && seed % 5 == 4).then(|| Versions::new(seed, count)),
            one_counter,
        }
    }

    pub(super) fn run(mut self) -> Result<Tally, String> {
        for at in 0..self.nodes.len() {
            if self.members.as_mut().is_none_or(|m| m.begins_with(at)) {
                self.start(at, DotStore::new())?;
            }
        }
        for _ in 0..self.rng.below(self.options.steps) + self.options.steps / 4 {
            self.step()?;
            self.attack()?;
            self.end_some()?;
            self.do_something_later()?;
            self.write_owned()?;
            self.come_and_go()?;
            let wait = [0, 0, 200, 2_000, 30_000, 400_000][self.rng.below(6)];
            let wait = Duration::from_micros(self.rng.below(wait + 1) as u64);
            self.pass(wait)?;
        }
        self.heal()?;
        self.tally.runs = 1;
        self.tally.events = self.oracle.len() as u64;
        self.tally.frames = self.network.sent;
        self.tally.frames_lost = self.network.lost;
        self.tally.frames_duplicated = self.network.duplicated;
        self.tally.frames_reordered = self.network.reordered;
        self.tally.simulated_seconds = self.now.since_start().as_secs();
        self.tally.hostile_frames = self.hostile_done.frames;
        self.tally.hostile_frames_refused = self.hostile_done.refused;
        self.tally.trace = self.network.trace.hash();
        Ok(self.tally)
    }

    // -- what is done -----------------------------------------------------------------------------

    fn step(&mut self) -> Result<(), String> {
        let at = self.rng.below(self.nodes.len());
        let to = (at + 1 + self.rng.below(self.nodes.len() - 1)) % self.nodes.len();
        match self.rng.below(100) {
            0..=64 => {
                for _ in 0..1 + self.rng.below(4) {
                    if self.rng.chance(20) {
                        self.transaction(at)?;
                    } else {
                        self.local(at)?;
                    }
                }
                let (majority, changes) = (self.majority(to), self.changes(to));
                if let Some(replica) = &mut self.nodes[to].replica
                    && self.rng.chance(30)
                {
                    self.quorum.read(to, replica, majority, changes);
                    self.pump(to, "a majority read")?;
                }
            }
            65..=72 => {
                let busiest = self.network.busiest().filter(|_| self.rng.chance(50));
                let (a, b) = busiest.unwrap_or((at, to));
                self.break_connection(a, b);
            }
            73..=82 => self.mend_connection(at, to),
            83..=84 => {
                let both = self.rng.chance(50);
                self.network.link(at, to).silent = true;
                self.network.link(to, at).silent |= both;
                self.tally.one_way_partitions += u64::from(!both);
                self.tally.partitions += u64::from(both);
            }
            85..=86 => {
                self.network.link(at, to).silent = false;
                self.network.link(to, at).silent = false;
            }
            87..=89 => self.snapshot(at),
            90..=92 if self.options.crashes => self.crash(at),
            93..=97 if self.options.crashes => self.come_back(at)?,
            98 if self.options.losses => self.lose(at),
            99 => {
                let hours = self.rng.below(20_000) as i64 - 10_000;
                self.nodes[at].wall_offset += hours * 3_600_000;
                self.tally.clock_jumps += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn local(&mut self, at: usize) -> Result<(), String> {
        let op = if self.one_counter {
            Op::of_one_counter(&mut self.rng)
        } else {
            Op::random(&mut self.rng)
        };
        let (now, wall) = (self.now, self.wall(at));
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let id = replica.replica_id();
        let mut bare = replica.state().context().clone();
        let footprint = op.footprint();
        // What is over is removed first, as an event of its own.
        let key = &footprint.path[..1];
        let over = replica
            .is_over(&key[0], wall)
            .then(|| Dot::new(id, bare.max(id) + 1));
        let mut call = Call { replica, now, wall };
        op.run(&mut call)
            .map_err(|error| format!("{op:?} was refused: {error}"))?;
        let state = replica.state();
        if let Some(dot) = over.filter(|dot| state.context().contains(*dot)) {
            let seen = self.unsealed(&bare)?;
            self.oracle.record(dot, Event::removal(key.into(), seen));
            bare.insert(dot);
        }
        let dot = Dot::new(id, bare.max(id) + 1);
        if state.context().contains(dot) {
            let place = state.root().get(&footprint.path);
            let event = footprint.event(self.unsealed(&bare)?, dot, place);
            self.oracle.record(dot, event);
            if self.rng.chance(30) {
                let (majority, changes) = (self.majority(at), self.changes(at));
                if let Some(replica) = &mut self.nodes[at].replica {
                    self.quorum.write(at, replica, majority, changes);
                }
            }
        }
        self.pump(at, &format!("{op:?}"))
    }

    /// Several ops at different keys as one. Now and then it gives up, and nothing may be left of it.
    fn transaction(&mut self, at: usize) -> Result<(), String> {
        let ops = Op::transaction(&mut self.rng);
        let gives_up = self.rng.chance(10);
        let (now, wall) = (self.now, self.wall(at));
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let id = replica.replica_id();
        let before = replica.state();
        let mut seen = before.context().clone();
        let mut events = Vec::new();
        let is_over = |op: &Op| replica.is_over(op.footprint().path[0].as_bytes(), wall);
        let over: Vec<bool> = ops.iter().map(is_over).collect();
        let mut begun = BTreeSet::new();
        let outcome = replica.transaction::<(), UpdateError>(now, wall, |tx| {
            for (op, over) in ops.iter().zip(over) {
                let made = tx.events();
                op.run(tx)?;
                let footprint = op.footprint();
                let over = begun.insert(footprint.path[0].clone()) && over;
                let mut more = tx.events() - made;
                // What is over is removed first, as an event of its own; a delete does just that.
                if over && more > 0 && footprint.path.len() > 1 {
                    let dot = Dot::new(id, seen.max(id) + 1);
                    let key = footprint.path[..1].into();
                    events.push((dot, Event::removal(key, seen.clone())));
                    seen.insert(dot);
                    more -= 1;
                }
                if more > 0 {
                    let dot = Dot::new(id, seen.max(id) + 1);
                    let shape = footprint.path.get(1).and_then(|name| Shape::parse(name));
                    let key = footprint.path.first().map_or(&[][..], |key| key.as_bytes());
                    let value = shape.and_then(|shape| tx.value(key, &shape));
                    let place = value.and_then(|value| value.get(&footprint.path[2..]));
                    events.push((dot, footprint.event(seen.clone(), dot, place)));
                    seen.insert(dot);
                }
            }
            // Any error will do.
            if gives_up {
                Err(UpdateError::Key(0))
            } else {
                Ok(())
            }
        });
        if gives_up || outcome.is_err() {
            if outcome != Err(UpdateError::Key(0)) || replica.state() != before {
                return Err(format!("{ops:?} was to give up: {outcome:?}"));
            }
            return Ok(());
        }
        if *replica.state().context() != seen {
            return Err(format!("{ops:?} made other events than it said"));
        }
        if events.len() > 1 {
            self.tally.transactions += 1;
            self.transactions.push(events.iter().map(|e| e.0).collect());
        }
        for (dot, mut event) in events {
            event.seen = self.unsealed(&event.seen)?;
            self.oracle.record(dot, event);
        }
        self.pump(at, &format!("{ops:?}"))
    }

    /// Now and then some node is attacked.
    fn attack(&mut self) -> Result<(), String> {
        let Some(rng) = &mut self.hostile else {
            return Ok(());
        };
        if !rng.chance(5) {
            return Ok(());
        }
        let at = rng.below(self.nodes.len());
        if let Some(replica) = &mut self.nodes[at].replica {
            let attacked = hostile::attack(replica, self.now, rng);
            self.hostile_done += attacked.map_err(|what| format!("node {at}: {what}"))?;
            self.pump(at, "an attack")?;
        }
        Ok(())
    }

    /// How many nodes are a majority, as a node's process counts.
    fn majority(&self, at: usize) -> usize {
        match (&self.members, &self.nodes[at].replica) {
            (Some(_), Some(replica)) => majority(replica.nodes()),
            _ => majority(self.nodes.len()),
        }
    }

    fn changes(&self, at: usize) -> (u64, u64) {
        let members = self.members.as_ref();
        members.map_or((0, 0), |members| members.changes(at))
    }

    fn break_connection(&mut self, a: usize, b: usize) {
        if self.network.disconnect(self.now, a, b, &mut self.rng) {
            self.tally.connections_broken += 1;
        }
    }

    pub(super) fn mend_connection(&mut self, a: usize, b: usize) {
        if self.would_connect(a, b) && !self.network.is_connected(a, b) {
            // Later than any notice of the former connection's end.
            self.network
                .connect(self.now + Duration::from_millis(301), a, b);
        }
    }

    fn snapshot(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if let Some(replica) = &node.replica {
            if node.snapshots.len() == SNAPSHOTS {
                let old = self.rng.below(SNAPSHOTS);
                node.snapshots.remove(old);
            }
            node.snapshots.push(replica.state());
        }
    }

    fn crash(&mut self, at: usize) {
        if self.runs(at) {
            self.tally.crashes += 1;
            self.end_process(at);
        }
    }

    pub(super) fn end_process(&mut self, at: usize) {
        if let Some(replica) = self.nodes[at].replica.take() {
            self.count(&replica);
            self.nodes[at].last = replica.state();
        }
        self.nodes[at].damaged = false;
        if let Some(members) = &mut self.members {
            members.end(at);
        }
        if let Some(owned) = &mut self.owned {
            owned.end(at);
        }
        self.process_ended();
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            self.network.disconnect(self.now, at, other, &mut self.rng);
        }
    }

    pub(super) fn come_back(&mut self, at: usize) -> Result<(), String> {
        let left = self.members.as_ref();
        let left = left.is_some_and(|members| members.is_gone_for_good(at));
        if self.runs(at) || self.nodes[at].lost || left {
            return Ok(());
        }
        let kept = if self.members.is_some() { 1 } else { 3 };
        let state = match self.rng.below(kept) {
            0 => {
                self.tally.returns_empty += 1;
                DotStore::new()
            }
            1 => {
                self.tally.returns_from_old_snapshot += 1;
                self.rng
                    .pick(&self.nodes[at].snapshots)
                    .cloned()
                    .unwrap_or_default()
            }
            _ => {
                self.tally.returns_as_it_was += 1;
                self.nodes[at].last.clone()
            }
        };
        self.start(at, state)
    }

    fn lose(&mut self, at: usize) {
        if self.not_gone() > 2 && self.rng.chance(30) {
            self.crash(at);
            self.nodes[at].lost = true;
            self.tally.nodes_lost += 1;
        }
    }

    pub(super) fn start(&mut self, at: usize, state: DotStore) -> Result<(), String> {
        self.choose_version(at);
        if self.members.is_some() {
            return self.join(at);
        }
        self.start_replica(at, state)?;
        for other in 0..self.nodes.len() {
            if other != at && self.rng.chance(80) {
                self.mend_connection(at, other);
            }
        }
        self.pump(at, "start")
    }

    pub(super) fn start_replica(&mut self, at: usize, state: DotStore) -> Result<(), String> {
        let incarnation = self.nodes[at].incarnation + 1;
        let chunk = [64, 100, 300, dd_gossip::MAX_CHUNK][self.rng.below(4)];
        let nonce = self.rng.next_u64();
        let shared = [1, 5, dd_gossip::MIN_SHARED][(nonce % 3) as usize];
        let part = [1, 200, dd_gossip::MAX_PART][(nonce / 3 % 3) as usize];
        let (mut replica, mut bootstrap) = (ReplicaId::new(at as u64 + 1, incarnation), false);
        let mut peers: Vec<NodeId> = self.nodes.iter().map(|node| node.id.clone()).collect();
        if let Some(members) = &self.members {
            replica = self.nodes[at].id.incarnation(incarnation, 0);
            peers = members.of(at).iter().map(|other| name(*other)).collect();
            bootstrap = members.is_founding();
        }
        let config = Config {
            cluster: "sim"
                .parse::<ClusterId>()
                .map_err(|error| error.to_string())?,
            node: self.nodes[at].id.clone(),
            replica,
            nonce,
            seed: nonce,
            peers,
            bootstrap,
            timing: self.timing(),
            limits: Limits::default(),
            chunk,
            shared,
            part,
        };
        let full = self.unsealed(state.context())?;
        let node = &mut self.nodes[at];
        node.incarnation = incarnation;
        node.checked = state.context().clone();
        node.full = full;
        node.timer = None;
        node.forgotten = 0;
        node.replica = Some(Replica::restore(config, state.clone(), self.now));
        match self.owned {
            Some(_) => self.record_own_doing(at, &state),
            None => Ok(()),
        }
    }

    fn timing(&mut self) -> Timing {
        let standard = Timing::default();
        // Short enough that some peers are not waited for, so that full comparisons are needed.
        let away = Duration::from_secs([1, 5, 3600][self.rng.below(3)]);
        // Often enough that what goes on while it is asked is cut, restarted and written to.
        let seal = Duration::from_millis([50, 500, 10_000, 60_000][self.rng.below(4)]);
        let (members, owned) = (&mut self.members, &mut self.owned);
        Timing {
            away,
            seal: members.as_mut().map_or(seal, Members::seal),
            orphaned: owned.as_mut().map_or(standard.orphaned, Owned::orphaned),
            ..standard
        }
    }

    pub(super) fn wall(&self, at: usize) -> u64 {
        let node = &self.nodes[at];
        let since = self.now.since_start().as_millis() as i64;
        let drifted = since + since * node.wall_drift / 1000;
        (1_700_000_000_000 + drifted + node.wall_offset) as u64
    }

    // -- time -------------------------------------------------------------------------------------

    pub(super) fn pass(&mut self, wait: Duration) -> Result<(), String> {
        let until = self.now + wait;
        while let Some((at, node, arrival)) = self.network.next(until) {
            self.now = self.now.max(at);
            self.arrive(node, arrival)?;
        }
        self.now = until;
        Ok(())
    }

    fn arrive(&mut self, at: usize, arrival: Arrival) -> Result<(), String> {
        let now = self.now;
        let peer = match &arrival {
            Arrival::Connected { with, .. } | Arrival::Disconnected { with } => Some(*with),
            Arrival::Frame { from, .. } | Arrival::Packet { from, .. } => Some(*from),
            Arrival::Timer | Arrival::MemberTimer => None,
        };
        let peer_id = peer.map(|peer| self.nodes[peer].id.clone());
        let current = peer.map_or(0, |peer| self.network.link(at, peer).connection);
        self.tell_time(at);
        if self.arrive_at_members(at, &arrival, current)? {
            return Ok(());
        }
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let before = self.owned.is_some().then(|| replica.state());
        match (arrival, peer_id) {
            (Arrival::Connected { connection, .. }, Some(id)) if connection == current => {
                replica.handle_connected(now, &id);
            }
            (Arrival::Disconnected { .. }, Some(id)) => replica.handle_disconnected(now, &id),
            (
                Arrival::Frame {
                    connection, frame, ..
                },
                Some(id),
            ) if connection == current => {
                replica
                    .handle_frame(now, &id, &frame)
                    .map_err(|error| format!("node {at} refused a frame of {id}: {error}"))?;
            }
            (Arrival::Timer, _) => {
                if self.nodes[at].timer != Some(now) {
                    return Ok(()); // replaced by another
                }
                self.nodes[at].timer = None;
                self.timeout(at)?;
            }
            _ => {}
        }
        if let Some(before) = before {
            self.record_own_doing(at, &before)?;
        }
        self.pump(at, "input")?;
        // A frame that arrived makes room for the next one of its sender.
        if let Some(peer) = peer {
            self.pump(peer, "room")?;
        }
        Ok(())
    }

    /// Takes everything out of a replica that it has to say, and checks it.
    pub(super) fn pump(&mut self, at: usize, after: &str) -> Result<(), String> {
        let now = self.now;
        let others: Vec<usize> = (0..self.nodes.len()).filter(|other| *other != at).collect();
        for to in others {
            let id = self.nodes[to].id.clone();
            while self.network.has_room(at, to) {
                let Some(replica) = &mut self.nodes[at].replica else {
                    return Ok(());
                };
                let Some(frame) = replica.poll_transmit(now, &id) else {
                    break;
                };
                self.network.send(now, at, to, frame, &mut self.rng);
            }
        }
        let changes = self.changes(at);
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let mut damaged = false;
        while let Some(event) = replica.poll_event() {
            damaged |= matches!(event, dd_gossip::Event::Damaged(_));
            if let dd_gossip::Event::Diverged(peer) = event {
                return Err(format!(
                    "at {now:?} node {at} finds {peer} diverged after {after}"
                ));
            }
        }
        let done = self.quorum.look(at, replica, changes)?;
        self.tally.majority_writes += done.writes;
        self.tally.majority_reads += done.reads;
        let due = replica.poll_timeout().max(now + Duration::from_micros(1));
        if self.nodes[at].timer.is_none_or(|timer| timer > due) {
            self.nodes[at].timer = Some(due);
            self.network.schedule(due, at, Arrival::Timer);
        }
        if done.writes > 0 {
            self.weigh_new_promises()?;
        }
        self.check(at, after)?;
        self.repair(at, damaged)
    }

    /// What becomes of promises when a process has ended.
    pub(super) fn process_ended(&mut self) {
        let running = self.nodes.iter().filter_map(|node| node.replica.as_ref());
        let views: Vec<View<'_>> = match &self.members {
            Some(members) => members.views(&self.nodes),
            None => Vec::new(),
        };
        self.quorum.ended(running, &views);
    }

    pub(super) fn count(&mut self, replica: &Replica) {
        let counts = replica.counts();
        self.tally.exchanges_done += counts.exchanges_received;
        self.tally.shares_done += counts.shares_received;
        self.tally.flushes_done += counts.flushes_received;
        self.tally.comparisons_done += counts.comparisons_received;
        self.tally.exchanges_cut += counts.exchanges_cut;
        self.tally.comparisons_cut += counts.comparisons_cut;
        self.tally.ranges_compared += counts.ranges_compared;
        self.tally.sessions_broken += counts.sessions_broken;
        self.tally.records_forgotten += counts.records_forgotten;
        self.tally.transactions_forgotten += counts.transactions_forgotten;
        self.tally.later_frames_passed_over += counts.received.unknown.frames;
    }
}

pub(super) fn name(at: usize) -> NodeId {
    format!("n{at}")
        .parse()
        .expect("a letter and a number name a node")
}
