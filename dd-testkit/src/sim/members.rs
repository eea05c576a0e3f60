//! Members that come and go, in some of the runs: each process finds the others by a [`Swim`] of its own, over the
//! same network, and its replica is told who belongs to the cluster as a node's driver tells it.
//!
//! A node joins through whoever runs, and has a replica once it was told of the others. It may leave, fail, be
//! removed by another's word or because it is down for long, and return in a new life. What is declared to have
//! left for good, or is lost, does not return.
//!
//! Nobody is removed by whom others have removed: the two sides of a partition that remove each other seal each
//! other too, and what one of them wrote meanwhile goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use dd_gossip::{
    Member, MemberState, Membership, NodeId, Swim, SwimTiming, Time, membership_frame,
    membership_message,
};

use super::network::{Arrival, Network};
use super::quorum::View;
use super::world::{Node, World, name};
use crate::rng::Rng;

/// Links are no slower, or answers come too late for these times of probing.
pub(super) const SLOWEST: Duration = Duration::from_millis(20);
/// By when all agree on who lives, after healing.
const AGREEMENT: Duration = Duration::from_secs(120);
/// A member that is down is removed after that, in half of the runs: longer than any partition lasts.
const REMOVE_AFTER: Duration = Duration::from_secs(100);
/// How long a node that left goes on at most: others may have taken away what it owns by then.
const FAREWELL: usize = 3_000;

pub(super) struct Members {
    rng: Rng,
    timing: SwimTiming,
    lives: Vec<Life>,
    /// Generations that were given out.
    generations: u64,
    /// Changes of any replica's members.
    changes: u64,
    /// Seeds are those who run: whoever has lost all others in the meantime finds them again.
    healing: bool,
}

/// A node, and its process if it runs.
#[derive(Default)]
struct Life {
    swim: Option<Swim>,
    /// Its replica starts when it has joined.
    starts: bool,
    /// The version of the members that was looked at last, and what they were.
    version: Option<u64>,
    states: BTreeMap<usize, MemberState>,
    generation: u64,
    /// The members that its replica was told of, itself included, and how often they changed.
    members: BTreeSet<usize>,
    changes: u64,
    /// What may not be lost and is not sent yet.
    waiting: BTreeMap<usize, VecDeque<Bytes>>,
    timer: Option<Time>,
    /// It has left, and ends then.
    ends: Option<Time>,
    /// It does not start again.
    for_good: bool,
    /// It was removed while it ran, and has not heard of it.
    removed: bool,
}

impl Members {
    /// Whether no more than half of those whom a node takes for members are up there: then nobody is removed by
    /// being down for long.
    fn are_few(&self, at: usize) -> bool {
        let states = self.lives[at].states.values();
        let members = states.filter(|state| state.is_member());
        let up: Vec<bool> = members.map(|state| state.is_alive()).collect();
        2 * up.iter().filter(|up| **up).count() <= up.len()
    }

    pub(super) fn new(seed: u64, nodes: usize, network: &mut Network) -> Self {
        let mut rng = Rng::new(seed.rotate_left(48) ^ 0x5EED);
        network.quicken(SLOWEST);
        let timing = SwimTiming {
            probe: Duration::from_millis(400),
            answer: Duration::from_millis(120),
            suspect: Duration::from_millis(1_500),
            gossip: Duration::from_millis(500),
            remove_after: match rng.chance(50) {
                true => REMOVE_AFTER,
                false => SwimTiming::default().remove_after,
            },
        };
        Self {
            rng,
            timing,
            lives: (0..nodes).map(|_| Life::default()).collect(),
            generations: 0,
            changes: 0,
            healing: false,
        }
    }

    /// Whether a node is there from the start.
    pub(super) fn begins_with(&mut self, at: usize) -> bool {
        at == 0 || self.rng.chance(60)
    }

    /// How often it is looked what can be sealed: two rounds of questions take less.
    pub(super) fn seal(&mut self) -> Duration {
        Duration::from_millis([300, 2_000, 10_000][self.rng.below(3)])
    }

    fn runs(&self, at: usize) -> bool {
        self.lives[at].swim.is_some()
    }

    pub(super) fn is_gone_for_good(&self, at: usize) -> bool {
        self.lives[at].for_good
    }

    fn has_joined(&self, at: usize) -> bool {
        self.lives[at].swim.as_ref().is_some_and(Swim::has_joined)
    }

    /// Whether there is a cluster: those who only look for one are none.
    fn is_there(&self) -> bool {
        (0..self.lives.len()).any(|at| self.has_joined(at))
    }

    fn knows(&self, at: usize, other: usize) -> bool {
        let state = self.lives[at].states.get(&other);
        state.is_some_and(|state| state.is_member())
    }

    /// Whether a node's process takes another for alive.
    pub(super) fn takes_for_alive(&self, at: usize, other: usize) -> bool {
        let state = self.lives[at].states.get(&other);
        state.is_some_and(|state| state.is_alive())
    }

    /// Whether one of two connects to the other: it knows it as a member, or it joins and this is its seed.
    fn would_connect(&self, a: usize, b: usize) -> bool {
        let joins = !self.has_joined(a) || !self.has_joined(b);
        // Who was removed hears of it before it meets anybody else, if somebody remembers.
        let all = 0..self.lives.len();
        let remembers = |at: usize, b: usize| {
            let state = self.lives[at].states.get(&b);
            state.is_some_and(|state| !state.is_member())
        };
        let tells = |a: usize, b: usize| {
            let somebody = || all.clone().any(|at| at != b && remembers(at, b));
            !self.lives[b].removed || remembers(a, b) || !somebody()
        };
        // Who has left is not found any more.
        if self.lives[a].ends.is_some() || self.lives[b].ends.is_some() {
            return false;
        }
        let known = self.knows(a, b) || self.knows(b, a);
        tells(a, b) && tells(b, a) && (joins || known || self.healing)
    }

    /// The members that a node's replica was told of, itself included.
    pub(super) fn of(&self, at: usize) -> &BTreeSet<usize> {
        &self.lives[at].members
    }

    /// How often the members of any replica, and of this one, have changed.
    pub(super) fn changes(&self, at: usize) -> (u64, u64) {
        (self.changes, self.lives[at].changes)
    }

    /// Whether nobody has joined but the first process.
    pub(super) fn is_founding(&self) -> bool {
        self.changes == 1 && self.generations == 16
    }

    /// All processes with a replica, each with those over whom it counts.
    pub(super) fn views<'w>(&'w self, nodes: &'w [Node]) -> Vec<View<'w>> {
        let view = |(node, of): (usize, &'w Node)| {
            Some(View {
                node,
                replica: of.replica.as_ref()?,
                members: self.of(node),
            })
        };
        nodes.iter().enumerate().filter_map(view).collect()
    }

    /// The process of a node ends.
    pub(super) fn end(&mut self, at: usize) {
        let life = &mut self.lives[at];
        *life = Life {
            changes: life.changes,
            for_good: life.for_good,
            ..Life::default()
        };
    }
}

impl World {
    /// Whether a node's process runs, with or without a replica.
    pub(super) fn runs(&self, at: usize) -> bool {
        match &self.members {
            Some(members) => members.runs(at),
            None => self.nodes[at].replica.is_some(),
        }
    }

    /// Whether two processes are to be connected.
    pub(super) fn would_connect(&self, a: usize, b: usize) -> bool {
        let members = self.members.as_ref();
        self.runs(a) && self.runs(b) && members.is_none_or(|members| members.would_connect(a, b))
    }

    // -- a process --------------------------------------------------------------------------------

    /// A process begins to look for the others; its replica starts when it has found them, with nothing, as those
    /// of all nodes do.
    pub(super) fn join(&mut self, at: usize) -> Result<(), String> {
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        // Somebody begins it, and does so anew where nobody is left of it.
        let founds = !members.is_there();
        members.generations += 16;
        let generation = match members.rng.chance(10) {
            // Its clock was set back.
            true => 1 + members.rng.below(members.generations as usize) as u64,
            false => members.generations,
        };
        let (seed, address) = (members.rng.next_u64(), format!("host{at}:7400"));
        let id = self.nodes[at].id.clone();
        let swim = Swim::new(id, address, generation, founds, members.timing, seed);
        members.lives[at].swim = Some(swim);
        members.lives[at].starts = true;
        self.tally.joins += 1;
        self.turn(at)?;
        for other in 0..self.nodes.len() {
            if other != at && self.rng.chance(80) {
                self.mend_connection(at, other);
            }
        }
        Ok(())
    }

    /// Where all that run look for a cluster, one of them begins it.
    pub(super) fn begin_anew(&mut self) -> Result<(), String> {
        let Some(members) = self.members.as_mut().filter(|members| !members.is_there()) else {
            return Ok(());
        };
        let Some(first) = (0..members.lives.len()).find(|at| members.runs(*at)) else {
            return Ok(());
        };
        if let Some(swim) = &mut members.lives[first].swim {
            swim.found();
        }
        self.turn(first)
    }

    /// Hands membership what is its. Returns whether the replica has no part in it.
    pub(super) fn arrive_at_members(
        &mut self,
        at: usize,
        arrival: &Arrival,
        current: u64,
    ) -> Result<bool, String> {
        let now = self.now;
        let Some(members) = &mut self.members else {
            return Ok(false);
        };
        let life = &mut members.lives[at];
        let Some(swim) = &mut life.swim else {
            return Ok(true);
        };
        let mut only = false;
        match arrival {
            Arrival::Connected { with, connection } if *connection == current => {
                life.waiting.remove(with);
                swim.handle_connected(now, &name(*with));
            }
            Arrival::Disconnected { with } => {
                life.waiting.remove(with);
                swim.handle_disconnected(now, &name(*with));
            }
            Arrival::Frame {
                from,
                connection,
                frame,
            }
            | Arrival::Packet {
                from,
                connection,
                frame,
            } if *connection == current => {
                if let Some(message) = membership_message(frame) {
                    only = true;
                    let handled = message
                        .and_then(|message| swim.handle_message(now, &name(*from), &message));
                    handled.map_err(|error| format!("node {at} refused n{from}: {error}"))?;
                }
            }
            Arrival::MemberTimer => {
                only = true;
                if life.timer != Some(now) {
                    return Ok(true); // replaced by another
                }
                life.timer = None;
                swim.handle_timeout(now);
            }
            _ => return Ok(false),
        }
        self.turn(at)?;
        Ok(only)
    }

    /// Sends what membership has to send, and tells the replica if the members changed.
    pub(super) fn turn(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        let life = &mut members.lives[at];
        let Some(swim) = &mut life.swim else {
            return Ok(());
        };
        while let Some(message) = swim.poll_message() {
            let Some(to) = number(&message.to) else {
                continue;
            };
            let frame = membership_frame(&message.bytes);
            if message.lossy {
                self.network
                    .send_packet(now, at, to, frame, &mut members.rng);
            } else {
                life.waiting.entry(to).or_default().push_back(frame);
            }
        }
        for (to, waiting) in &mut life.waiting {
            // What the transport has to deliver waits while nothing comes through.
            while self.network.carries(at, *to) {
                let Some(frame) = waiting.pop_front() else {
                    break;
                };
                self.network.send_surely(now, at, *to, frame);
            }
        }
        let changed = life.version.replace(swim.version()) != Some(swim.version());
        let due = swim.poll_timeout().filter(|due| {
            let timer = life.timer;
            timer.is_none_or(|timer| timer > (*due).max(now))
        });
        if let Some(due) = due {
            let due = due.max(now + Duration::from_micros(1));
            life.timer = Some(due);
            self.network.schedule(due, at, Arrival::MemberTimer);
        }
        if changed {
            self.members_changed(at)?;
        }
        Ok(())
    }

    fn members_changed(&mut self, at: usize) -> Result<(), String> {
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        let life = &mut members.lives[at];
        let Some(swim) = &life.swim else {
            return Ok(());
        };
        let all = swim.members();
        let states = all.iter().filter_map(|m| Some((number(&m.node)?, m.state)));
        let states: BTreeMap<usize, MemberState> = states.collect();
        let own = all.iter().find(|member| number(&member.node) == Some(at));
        let generation = own.map_or(0, |own| own.generation);
        let reborn = std::mem::replace(&mut life.generation, generation) != generation;
        let before = std::mem::replace(&mut life.states, states.clone());
        let of = |node: &usize| before.get(node).copied();
        for (node, state) in &states {
            let went = of(node) != Some(*state) && of(node).is_some();
            self.tally.members_down += u64::from(went && *state == MemberState::Down);
        }
        if states.get(&at) == Some(&MemberState::Up) && reborn {
            life.removed = false;
        }
        let is_member = |node: &usize| before.get(node).is_some_and(|s| s.is_member());
        let present = states.iter().filter(|(_, state)| state.is_member());
        let present: BTreeSet<usize> = present.map(|(node, _)| *node).chain([at]).collect();
        let new: Vec<usize> = present.iter().copied().filter(|n| !is_member(n)).collect();
        let starts = swim.has_joined() && std::mem::take(&mut life.starts);
        if life.members != present {
            life.members = present;
            life.changes += 1;
            members.changes += 1;
        }
        if starts {
            self.start_replica(at, DotStore::new())?;
            self.tell_members(at, &all)?;
            self.tell_who_is_connected(at);
            self.pump(at, "start")?;
        } else {
            self.tell_members(at, &all)?;
        }
        for other in new {
            if other != at && self.rng.chance(80) {
                self.mend_connection(at, other);
            }
        }
        Ok(())
    }

    /// Tells a replica who its members are, and looks whether it counts over them.
    fn tell_members(&mut self, at: usize, all: &[Member]) -> Result<(), String> {
        let now = self.now;
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let before = replica.state();
        replica.set_members(now, all);
        let counted = replica.nodes();
        let members = self.members.as_ref().map_or(0, |all| all.of(at).len());
        if counted != members {
            return Err(format!(
                "node {at} counts majorities over {counted} nodes, and has {members} members"
            ));
        }
        self.record_made(at, &before)?;
        self.weigh_promises();
        self.pump(at, "a change of members")
    }

    fn tell_who_is_connected(&mut self, at: usize) {
        let now = self.now;
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            if self.network.link(at, other).connection != 0
                && let Some(replica) = &mut self.nodes[at].replica
            {
                replica.handle_connected(now, &name(other));
            }
        }
    }

    /// What majorities had confirmed is weighed anew, because who counts has changed.
    fn weigh_promises(&mut self) {
        let Some(members) = &self.members else {
            return;
        };
        let (views, quorum) = (members.views(&self.nodes), &mut self.quorum);
        self.tally.promises_withdrawn += quorum.members_changed(&views);
    }

    /// The same for what was confirmed just now.
    pub(super) fn weigh_new_promises(&mut self) -> Result<(), String> {
        match &self.members {
            None => Ok(()),
            Some(members) => self.quorum.weigh_new(&members.views(&self.nodes)),
        }
    }

    /// What a replica that was made anew is told again.
    pub(super) fn tell_again(&mut self, at: usize) -> Result<(), String> {
        if let Some(members) = &mut self.members {
            let life = &mut members.lives[at];
            life.removed = false;
            let all = life.swim.as_ref().map(Swim::members);
            self.tell_members(at, &all.unwrap_or_default())?;
        }
        self.tell_who_is_connected(at);
        Ok(())
    }

    // -- what is done -----------------------------------------------------------------------------

    /// Now and then somebody joins, leaves or is removed, and time passes until others notice.
    pub(super) fn come_and_go(&mut self) -> Result<(), String> {
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        let at = members.rng.below(members.lives.len());
        let (what, wait) = (members.rng.below(100), members.rng.below(2_000));
        let passes = members.rng.chance(25);
        match what {
            0..=7 => self.come_back(at)?,
            8..=11 => self.leave(at)?,
            12..=17 => self.remove_somebody(at)?,
            _ => {}
        }
        self.end_those_who_left(false);
        if passes {
            self.pass(Duration::from_millis(wait as u64))?;
        }
        Ok(())
    }

    fn leave(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        let stay = self.not_gone();
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        let for_good = stay > 2 && members.rng.chance(50);
        let after = Duration::from_millis(members.rng.below(FAREWELL) as u64);
        let running = (0..members.lives.len()).filter(|at| members.has_joined(*at));
        let running = running.count();
        let life = &mut members.lives[at];
        let Some(swim) = life.swim.as_mut().filter(|swim| swim.has_joined()) else {
            return Ok(());
        };
        if running < 3 || life.ends.is_some() {
            return Ok(());
        }
        swim.leave(now);
        life.ends = Some(now + after);
        life.for_good = for_good;
        self.tally.leaves += 1;
        self.turn(at)
    }

    /// How many nodes are neither lost nor gone for good.
    pub(super) fn not_gone(&self) -> usize {
        let gone = |at: usize| self.members.as_ref().is_some_and(|m| m.lives[at].for_good);
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(at, node)| !node.lost && !gone(*at)).count()
    }

    /// Those whose time to end has come, or all who left.
    pub(super) fn end_those_who_left(&mut self, all: bool) {
        for at in 0..self.nodes.len() {
            let ends = self.members.as_ref().and_then(|m| m.lives[at].ends);
            if ends.is_some_and(|ends| all || ends <= self.now) {
                self.end_process(at);
            }
        }
    }

    /// A node removes another that is down.
    fn remove_somebody(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        let Some(members) = &mut self.members else {
            return Ok(());
        };
        let life = &mut members.lives[at];
        if life.removed || life.ends.is_some() {
            return Ok(());
        }
        let down = life.states.iter().filter(|(_, s)| **s == MemberState::Down);
        let down: Vec<usize> = down.map(|(node, _)| *node).collect();
        let whom = members.rng.pick(&down).copied();
        let (Some(whom), Some(swim)) = (whom, &mut members.lives[at].swim) else {
            return Ok(());
        };
        if swim.remove(now, &name(whom)) {
            self.tally.removals += 1;
            members.lives[whom].removed = members.lives[whom].swim.is_some();
        }
        self.turn(at)
    }

    // -- the end ----------------------------------------------------------------------------------

    /// Connects all who know of each other, until all agree on who lives, and takes out who will not return.
    pub(super) fn await_agreement(&mut self) -> Result<(), String> {
        match &mut self.members {
            Some(members) => members.healing = true,
            None => return Ok(()),
        }
        self.await_that("who lives", World::disagreement)?;
        let gone = (0..self.nodes.len()).filter(|at| !self.runs(*at));
        let gone: Vec<usize> = gone.collect();
        let first = (0..self.nodes.len()).find(|at| self.runs(*at));
        if let (Some(members), Some(first)) = (&mut self.members, first)
            && (members.timing.remove_after != REMOVE_AFTER || members.are_few(first))
        {
            let now = self.now;
            for whom in gone {
                if let Some(swim) = &mut members.lives[first].swim {
                    self.tally.removals += u64::from(swim.remove(now, &name(whom)));
                }
            }
            self.turn(first)?;
        }
        self.await_that("who belongs to the cluster", World::dead_member)
    }

    /// Waits until nothing is wrong any more.
    pub(super) fn await_that(
        &mut self,
        what: &str,
        wrong: impl Fn(&Self) -> Option<String>,
    ) -> Result<(), String> {
        let deadline = self.now + AGREEMENT;
        while let Some(wrong) = wrong(self) {
            if self.now > deadline {
                return Err(format!(
                    "{AGREEMENT:?} after healing it is not settled {what}: {wrong}"
                ));
            }
            for a in 0..self.nodes.len() {
                for b in 0..a {
                    self.mend_connection(a, b);
                }
            }
            self.pass(Duration::from_millis(500))?;
        }
        Ok(())
    }

    /// Where a process does not take for alive exactly those who run.
    fn disagreement(&self) -> Option<String> {
        let members = self.members.as_ref()?;
        let all = 0..self.nodes.len();
        let running: BTreeSet<usize> = all.filter(|at| members.runs(*at)).collect();
        let wrong = running.iter().find_map(|at| {
            let states = &members.lives[*at].states;
            let alive = states.iter().filter(|(_, state)| state.is_alive());
            let alive: BTreeSet<usize> = alive.map(|(node, _)| *node).collect();
            let works = self.nodes[*at].replica.is_some();
            (alive != running || !works).then(|| format!("to n{at}: {states:?}"))
        });
        wrong.map(|wrong| format!("{wrong}; those run: {running:?}"))
    }

    /// Where a node that is gone for good still counts.
    fn dead_member(&self) -> Option<String> {
        self.disagreement().or_else(|| {
            let members = self.members.as_ref()?;
            let running = (0..self.nodes.len()).filter(|at| members.runs(*at));
            let mut counts = running.map(|at| (at, members.of(at)));
            let counts = counts.find(|(_, of)| of.iter().any(|node| !members.runs(*node)));
            counts.map(|(at, of)| format!("to n{at} those are members: {of:?}"))
        })
    }

    /// An incarnation that is gone and not sealed, after there was time for it.
    pub(super) fn unsealed_incarnation(&self) -> Option<String> {
        self.members.as_ref()?;
        let replicas = self.nodes.iter().filter_map(|node| node.replica.as_ref());
        let running: Vec<_> = replicas
            .clone()
            .map(|replica| replica.replica_id())
            .collect();
        let mut entries = replicas.flat_map(|replica| {
            let origins = replica.context().iter().map(|(origin, _)| origin);
            origins.map(|origin| (replica.node().clone(), origin))
        });
        let (node, origin) = entries.find(|(_, origin)| !running.contains(origin))?;
        Some(format!("{node} has {origin} in its context"))
    }
}

/// The number of a node by its name.
fn number(name: &NodeId) -> Option<usize> {
    name.as_str().strip_prefix('n')?.parse().ok()
}
