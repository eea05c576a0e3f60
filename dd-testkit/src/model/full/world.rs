//! One run: replicas, sessions between them, faults, and the definition that judges every step.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Node, Op};
use super::rule::{Rule, Rules};
use super::session::Session;
use super::state::{Record, State};
use super::{Forget, Options, Tally};
use crate::Rng;
use crate::model::{EventDot, Failure, History, ModelPath};

/// At most so many syncs are in flight at once.
const SESSIONS: usize = 6;

/// One run.
pub(super) struct World<'a> {
    seed: u64,
    options: &'a Options,
    rules: Rules,
    rng: Rng,
    history: History,
    /// The dots of every transaction.
    transactions: Vec<Vec<EventDot>>,
    nodes: Vec<Node>,
    /// Incarnations so far.
    incarnations: u64,
    /// Unreachable for a while.
    down: BTreeSet<usize>,
    /// Lost for ever.
    dead: BTreeSet<usize>,
    /// Incarnations of which all members agree what there is.
    sealed: BTreeSet<u64>,
    sessions: Vec<Session>,
    snapshots: Vec<Vec<State>>,
    leaves: Vec<ModelPath>,
    counters: Vec<ModelPath>,
    tally: Tally,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, options: &'a Options) -> Self {
        let mut rng = Rng::new(seed);
        let rules = Rules::all_but(options.broken);
        let count = one_of(&mut rng, [2, 3, 3, 4, 5, 6]);
        let nodes: Vec<Node> = (0..count).map(|id| Node::new(id, rules)).collect();
        let keys = &["k", "l"][..one_of(&mut rng, [1, 1, 2])];
        let (leaves, counters) = layout(keys, &mut rng);
        Self {
            seed,
            options,
            rules,
            history: History::default(),
            transactions: Vec::new(),
            incarnations: count,
            down: BTreeSet::new(),
            dead: BTreeSet::new(),
            sealed: BTreeSet::new(),
            sessions: Vec::new(),
            snapshots: nodes.iter().map(|node| vec![node.state.clone()]).collect(),
            nodes,
            leaves,
            counters: if options.features.counters {
                counters
            } else {
                Vec::new()
            },
            tally: Tally::default(),
            rng,
        }
    }

    /// Runs to the end, unless a replica shows what it must not.
    pub(super) fn run(mut self) -> Result<Tally, Failure> {
        for _ in 0..self.rng.range(20, 160) {
            self.act()?;
        }
        if self.rng.chance(70) {
            self.down.clear();
        }
        self.converge()?;
        self.compare()?;
        if self.options.forget != Forget::None {
            self.forget_all()?;
        }
        self.tally.runs = 1;
        Ok(self.tally)
    }

    /// One thing happens. The thresholds are in thousandths.
    fn act(&mut self) -> Result<(), Failure> {
        let features = &self.options.features;
        let x = self.rng.below(1000);
        let up = self.up();
        let at = up[self.rng.below(up.len())];
        if x < 350 {
            self.change(at)
        } else if x < 500 && up.len() > 1 {
            self.begin_session(at, &up);
            Ok(())
        } else if x < 860 && !self.sessions.is_empty() {
            self.advance_session()
        } else if x < 880 && !self.sessions.is_empty() {
            let cut = self.rng.below(self.sessions.len());
            self.sessions.remove(cut);
            self.tally.cut += 1;
            Ok(())
        } else if x < 940 && self.options.forget != Forget::None {
            self.forget(at);
            self.check(at, "forgetting")
        } else if x < 960 && features.crash {
            self.save_or_restore(at);
            Ok(())
        } else {
            if x < 970 && up.len() > 2 {
                self.down.insert(at);
            } else if x < 985 && !self.down.is_empty() {
                let back = self.rng.below(self.down.len());
                let back = self.down.iter().nth(back).copied();
                self.down.retain(|node| Some(*node) != back);
            } else if x < 990 && features.kill && up.len() > 2 {
                self.dead.insert(at);
                self.tally.killed += 1;
            }
            Ok(())
        }
    }

    fn change(&mut self, at: usize) -> Result<(), Failure> {
        if self.options.features.transactions && self.rng.chance(30) {
            let ops: Vec<Op> = (0..self.rng.range(2, 3)).map(|_| self.op()).collect();
            let id = self.transactions.len();
            let dots = self.nodes[at].transact(id, &ops, &mut self.history);
            self.transactions.push(dots);
        } else {
            let op = self.op();
            self.nodes[at].perform(&op, &mut self.history);
        }
        self.check(at, "a local change")
    }

    fn op(&mut self) -> Op {
        let rng = &mut self.rng;
        let kind = rng.below(100);
        if !self.counters.is_empty() && kind < 50 {
            let path = self.counters[rng.below(self.counters.len())].clone();
            return match kind {
                0..40 => Op::Count(path, one_of(rng, [1, 2, 5, -3, 10])),
                _ => Op::Remove(path),
            };
        }
        let path = self.leaves[rng.below(self.leaves.len())].clone();
        match rng.below(5) {
            0 => Op::Write(path),
            1 | 2 => Op::Add(path),
            3 => Op::Remove(path),
            _ => Op::Remove(path.truncated(rng.range(1, path.names().len() - 1))),
        }
    }

    fn begin_session(&mut self, at: usize, up: &[usize]) {
        let others: Vec<usize> = up.iter().copied().filter(|node| *node != at).collect();
        let to = others[self.rng.below(others.len())];
        if self.sessions.len() < SESSIONS {
            let lazy = self.options.features.lazy && self.rng.chance(50);
            let (nodes, rng) = (&mut self.nodes, &mut self.rng);
            let session = if self.options.features.drafts && rng.chance(50) {
                let is_rest = rng.chance(40);
                Session::for_draft(nodes, (at, to), is_rest, rng)
            } else {
                Session::new(nodes, (at, to), lazy, rng)
            };
            self.tally.full += u64::from(session.is_full());
            self.sessions.push(session);
        }
    }

    /// Lets one or more frames of a session arrive.
    fn advance_session(&mut self) -> Result<(), Failure> {
        let at = self.rng.below(self.sessions.len());
        for _ in 0..one_of(&mut self.rng, [1, 1, 2, 8]) {
            let is_up = |node| !self.down.contains(&node) && !self.dead.contains(&node);
            if !self.sessions[at].is_valid(&self.nodes, is_up) {
                self.sessions.remove(at);
                break;
            }
            let session = &mut self.sessions[at];
            if self.options.features.renewed && is_up(session.from) && self.rng.chance(30) {
                session.renew(&self.nodes[session.from], &mut self.rng, &mut self.tally);
            }
            let over = session.step(&mut self.nodes, &mut self.rng, &mut self.tally);
            let (to, kind) = (session.to, session.kind());
            if over {
                self.sessions.remove(at);
            }
            self.check(to, kind)?;
            if over {
                break;
            }
        }
        Ok(())
    }

    fn save_or_restore(&mut self, at: usize) {
        if self.rng.chance(50) {
            self.snapshots[at].push(self.nodes[at].state.clone());
            return;
        }
        let old = self.rng.below(self.snapshots[at].len());
        let snapshot = self.snapshots[at].swap_remove(old);
        self.snapshots[at] = vec![snapshot.clone()];
        self.nodes[at].restore(snapshot, self.incarnations);
        self.incarnations += 1;
        self.tally.crashes += 1;
    }

    /// Everybody who is up syncs with everybody, until nobody lacks anything.
    fn converge(&mut self) -> Result<(), Failure> {
        let up = self.up();
        for _ in 0..4 {
            for (&from, &to) in up
                .iter()
                .flat_map(|from| up.iter().map(move |to| (from, to)))
            {
                if self.nodes[from].state.context != self.nodes[to].state.context {
                    self.sync(from, to);
                    self.check(to, "the last sync")?;
                }
            }
        }
        Ok(())
    }

    /// A sync that is repeated until nothing of it is lost.
    fn sync(&mut self, from: usize, to: usize) {
        loop {
            let mut session = Session::new(&self.nodes, (from, to), false, &mut self.rng);
            self.tally.full += u64::from(session.is_full());
            while !session.step(&mut self.nodes, &mut self.rng, &mut self.tally) {}
            if !session.has_lost() {
                return;
            }
        }
    }

    /// Demands that all have seen the same events and show the same.
    fn compare(&self) -> Result<(), Failure> {
        let up = self.up();
        let first = &self.nodes[up[0]].state;
        for node in up.iter().map(|at| &self.nodes[*at].state) {
            if node.context != first.context {
                return Err(self.failure("contexts differ".to_owned()));
            }
            if let Some(words) = node.shown().difference(&first.shown()) {
                return Err(self.failure(format!("equal contexts, different states: {words}")));
            }
        }
        Ok(())
    }

    /// Everybody forgets. If so demanded, nothing may be left that can never be forgotten.
    fn forget_all(&mut self) -> Result<(), Failure> {
        let up = self.up();
        if self.options.seal && self.down.is_empty() {
            self.sealed = (0..self.incarnations).collect();
            self.sealed
                .retain(|id| up.iter().all(|at| self.nodes[*at].id != *id));
        }
        let demands = self.options.live && self.down.is_empty();
        for &at in &up {
            self.forget(at);
            let records = self.nodes[at].state.records.values().flatten();
            let left = records.filter(|record| record.cuts.is_empty()).count();
            self.tally.stuck += u64::from(left > 0);
            if demands && left > 0 {
                return Err(self.failure(format!("{left} records can never be forgotten")));
            }
        }
        if let ([from, to, ..], true) = (&up[..], demands) {
            let op = Op::Add(self.leaves[0].clone());
            self.nodes[*from].perform(&op, &mut self.history);
            if Session::new(&self.nodes, (*from, *to), false, &mut self.rng).is_full() {
                return Err(self.failure("full comparisons for ever".to_owned()));
            }
        }
        Ok(())
    }

    /// A replica forgets the records and transactions that it no longer needs.
    fn forget(&mut self, at: usize) {
        let node = &self.nodes[at];
        let mut floor: BTreeMap<u64, u64> = BTreeMap::new();
        let mut raise = |dot: &EventDot| {
            let known = floor.entry(dot.0).or_default();
            *known = (*known).max(dot.1);
        };
        let mut records = node.state.records.clone();
        for of_path in records.values_mut() {
            of_path.retain(|record| {
                let forgotten = self.may_forget(node, record);
                if forgotten {
                    raise(&record.event);
                }
                !forgotten
            });
        }
        records.retain(|_, of_path| !of_path.is_empty());
        let mut transactions = node.state.transactions.clone();
        transactions.retain(|_, transaction| {
            let dots = &transaction.dots;
            let is_live = |dot| node.state.live.values().any(|live| live.contains(dot));
            if !self.rules.keep(Rule::TxnForget) && !dots.iter().all(is_live) {
                return false;
            }
            let forgotten = dots.is_subset(&node.state.context)
                && self.everybody(|other| dots.is_subset(&other.state.context));
            if forgotten {
                dots.iter().for_each(&mut raise);
            }
            !forgotten
        });
        let state = &mut self.nodes[at].state;
        state.raise_floor(&floor);
        (state.records, state.transactions) = (records, transactions);
    }

    fn may_forget(&self, node: &Node, record: &Record) -> bool {
        let known = |dot: &EventDot| node.state.context.contains(dot);
        let complete = record
            .seen
            .iter()
            .all(|dot| self.sealed.contains(&dot.0) || known(dot));
        self.everybody(|other| other.state.context.contains(&record.event))
            && (complete || !self.rules.keep(Rule::W6))
            && record
                .cuts
                .keys()
                .all(|(_, owner, _)| self.has_heard(node, record.event, *owner))
    }

    /// Whether something holds at all members, if forgetting waits for them.
    fn everybody(&self, holds: impl Fn(&Node) -> bool) -> bool {
        self.options.forget == Forget::Any || self.up().iter().all(|at| holds(&self.nodes[*at]))
    }

    /// Whether a run's owner knows of its removal, and all that it made until then is known here.
    fn has_heard(&self, node: &Node, removal: EventDot, owner: u64) -> bool {
        if !self.rules.keep(Rule::Owner) || owner == node.id {
            return true;
        }
        let up = self.up();
        let owner = up
            .iter()
            .map(|at| &self.nodes[*at])
            .find(|other| other.id == owner);
        owner.is_some_and(|owner| {
            let mut made = (1..=owner.seq).map(|seq| (owner.id, seq));
            owner.state.context.contains(&removal)
                && made.all(|dot| node.state.context.contains(&dot))
        })
    }

    /// Holds what a replica shows against the definition.
    fn check(&self, at: usize, after: &str) -> Result<(), Failure> {
        let state = &self.nodes[at].state;
        let wanted = self.history.expected(&state.context);
        if let Some(words) = state.shown().difference(&wanted) {
            return Err(self.failure(format!("after {after}, node {at}: {words}")));
        }
        for (id, dots) in self.transactions.iter().enumerate() {
            let known = dots.iter().any(|dot| state.context.contains(dot));
            if known
                && !dots
                    .iter()
                    .all(|dot| self.history.reflected(*dot, &state.context))
            {
                let words = format!("after {after}, node {at}: transaction {id} is torn: {dots:?}");
                return Err(self.failure(words));
            }
        }
        Ok(())
    }

    fn failure(&self, what: String) -> Failure {
        Failure {
            seed: self.seed,
            what,
        }
    }

    /// The nodes that are up. There are two at least.
    fn up(&self) -> Vec<usize> {
        let up = |node: &usize| !self.down.contains(node) && !self.dead.contains(node);
        (0..self.nodes.len()).filter(up).collect()
    }
}

/// The paths of a run: those of registers and elements, and those of counters.
fn layout(keys: &[&str], rng: &mut Rng) -> (Vec<ModelPath>, Vec<ModelPath>) {
    let (elements, nested) = (one_of(rng, [1, 2, 3]), one_of(rng, [0, 1, 2]));
    let (mut leaves, mut counters) = (Vec::new(), Vec::new());
    for key in keys {
        leaves.extend((0..elements).map(|e| ModelPath::new([key, e.to_string().as_str()])));
        leaves.extend((0..nested).map(|f| ModelPath::new([key, "m", f.to_string().as_str()])));
        counters.push(ModelPath::new([key, "c"]));
        counters.push(ModelPath::new([key, "m", "c"]));
    }
    (leaves, counters)
}

fn one_of<T: Copy, const N: usize>(rng: &mut Rng, of: [T; N]) -> T {
    of[rng.below(N)]
}
