//! A sync in flight: from one replica to another, frame by frame, while both go on changing. Pieces come in any order,
//! and one that stops or loses some has brought any part of them: as a share of a first catch-up does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Tally;
use super::node::Node;
use super::rule::Rule;
use super::state::{Cut, Run, State, Transactions};
use super::unit::Unit;
use crate::Rng;
use crate::model::{Dots, EventDot, ModelPath, pair};

/// How many frames in a hundred are lost.
const LOSS: usize = 4;

/// A sync in flight.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) from: usize,
    pub(super) to: usize,
    from_process: u64,
    to_process: u64,
    /// The receiver's context at the start, and what it was sent since: what it has if nothing was lost.
    peer: Dots,
    /// The sender's context at the start, which the receiver takes over at the end.
    start: Dots,
    /// The sender's floor at the start, or at the end if pieces are made while they are sent.
    floor: BTreeMap<u64, u64>,
    lost: bool,
    /// The draft of the receiver that it brings something for.
    draft: Option<u64>,
    plan: Plan,
}

/// What is still to be sent.
#[derive(Debug)]
enum Plan {
    /// Pieces as they were at the start.
    Frozen {
        units: VecDeque<Unit>,
        transactions: Transactions,
        mark: usize,
    },
    /// Pieces that are made when their turn comes; `mark` is what the sender had changed before.
    Lazy {
        paths: VecDeque<ModelPath>,
        mark: usize,
    },
    /// A full comparison. A frame without a path is only staged.
    Full {
        frames: VecDeque<Option<ModelPath>>,
        snapshot: Box<State>,
    },
    /// Values for a draft.
    Share { units: VecDeque<Unit> },
    /// All but what is in a draft, which takes effect at the end.
    Rest { frames: usize, snapshot: Box<State> },
}

/// What comes next.
enum Frame {
    Unit(Unit),
    Lazy(ModelPath),
    Full(Option<ModelPath>),
    Share(Unit),
    Rest,
}

impl Session {
    /// Begins a sync; a full comparison if the sender forgot something that the receiver lacks.
    pub(super) fn new(
        nodes: &[Node],
        (from, to): (usize, usize),
        lazy: bool,
        rng: &mut Rng,
    ) -> Self {
        let (x, y) = (&nodes[from], &nodes[to]);
        let peer = &y.state.context;
        let plan = if x.state.has_forgotten_for(peer) {
            full_plan(x, y, rng)
        } else if lazy {
            let mut paths: Vec<ModelPath> = x.state.paths().into_iter().collect();
            rng.shuffle(&mut paths);
            Plan::Lazy {
                paths: paths.into(),
                mark: x.touched.len(),
            }
        } else {
            Plan::Frozen {
                units: x.state.units(&x.state.paths(), peer, rng).into(),
                transactions: brought(&x.state, peer),
                mark: x.touched.len(),
            }
        };
        Self {
            from,
            to,
            from_process: x.process,
            to_process: y.process,
            peer: peer.clone(),
            start: x.state.context.clone(),
            floor: x.state.floor.clone(),
            lost: false,
            draft: None,
            plan,
        }
    }

    /// Begins to bring a share, which is any part, for a draft of the receiver, or the rest.
    pub(super) fn for_draft(
        nodes: &mut [Node],
        (from, to): (usize, usize),
        is_rest: bool,
        rng: &mut Rng,
    ) -> Self {
        let (x, y) = pair(nodes, from, to);
        let draft = y.begin_draft();
        let number = draft.number;
        let mut stated = Dots::new();
        let plan = if is_rest {
            stated = draft.close();
            let frames = 1 + rng.below(4);
            let snapshot = Box::new(x.state.clone());
            Plan::Rest { frames, snapshot }
        } else {
            let paths = x.state.paths();
            let units = x.state.units(&paths, &y.state.context, rng);
            Plan::Share {
                units: units.into(),
            }
        };
        Self {
            from,
            to,
            from_process: x.process,
            to_process: y.process,
            peer: stated,
            start: x.state.context.clone(),
            floor: x.state.floor.clone(),
            lost: false,
            draft: Some(number),
            plan,
        }
    }

    /// What it is called in the description of a failure.
    pub(super) fn kind(&self) -> &'static str {
        match self.plan {
            Plan::Frozen { .. } => "sync",
            Plan::Lazy { .. } => "lazy sync",
            Plan::Full { .. } => "full comparison",
            Plan::Share { .. } => "share",
            Plan::Rest { .. } => "rest",
        }
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.plan, Plan::Full { .. })
    }

    /// Whether a frame was lost on the way.
    pub(super) fn has_lost(&self) -> bool {
        self.lost
    }

    /// Whether it can go on. Frames that were made at the start arrive even if the sender is gone.
    pub(super) fn is_valid(&self, nodes: &[Node], is_up: impl Fn(usize) -> bool) -> bool {
        let (x, y) = (&nodes[self.from], &nodes[self.to]);
        let needs_sender = matches!(self.plan, Plan::Lazy { .. });
        let has_sender = is_up(self.from) && x.process == self.from_process;
        let same_receiver = y.process == self.to_process || !y.state.rules.keep(Rule::Session);
        let draft = y.draft.as_ref().map(|draft| draft.number);
        let has_draft = self.draft.is_none() || self.draft == draft;
        is_up(self.to) && has_draft && same_receiver && (has_sender || !needs_sender)
    }

    /// Goes on from what the sender has now, as if it began anew against what the receiver has by now. What was sent
    /// and has not changed since is not sent again. A receiver has to take nothing that comes after a gap then.
    pub(super) fn renew(&mut self, x: &Node, rng: &mut Rng, tally: &mut Tally) {
        let Plan::Frozen { units, mark, .. } = &self.plan else {
            return;
        };
        let rules = x.state.rules;
        let is_behind = x.state.has_forgotten_for(&self.peer);
        if self.lost || x.process != self.from_process || (is_behind && rules.keep(Rule::Behind)) {
            return;
        }
        let changed: BTreeSet<_> = x.touched.iter().skip(*mark).collect();
        let mut paths = x.state.paths();
        paths.retain(|path| {
            let unsent = units.iter().any(|unit| unit.is_at_path(path));
            unsent || (changed.contains(path) && rules.keep(Rule::News))
        });
        let tied: BTreeSet<_> = paths.iter().flat_map(|path| self.linked(x, path)).collect();
        paths.extend(tied);
        self.plan = Plan::Frozen {
            units: x.state.units(&paths, &self.peer, rng).into(),
            transactions: brought(&x.state, &self.peer),
            mark: x.touched.len(),
        };
        self.start.clone_from(&x.state.context);
        self.floor.clone_from(&x.state.floor);
        tally.renewed += 1;
    }

    /// Lets one frame arrive, or the end of the session. Returns whether it is over.
    pub(super) fn step(&mut self, nodes: &mut [Node], rng: &mut Rng, tally: &mut Tally) -> bool {
        let (x, y) = pair(nodes, self.from, self.to);
        // What its maker had forgotten when it made a removal must not be sent piece by piece by
        // whoever has the removal: the removal names only what was there, or on record, at its maker.
        let is_sync = matches!(self.plan, Plan::Frozen { .. } | Plan::Lazy { .. });
        if y.state.rules.keep(Rule::FloorFirst) && is_sync {
            if matches!(self.plan, Plan::Lazy { .. }) {
                self.floor.clone_from(&x.state.floor);
            }
            y.state.raise_floor(&self.floor);
        }
        let Some(frame) = self.plan.next() else {
            self.finish(x, y, rng, tally);
            return true;
        };
        if let Frame::Unit(unit) = &frame {
            self.peer.extend(unit.dots());
        }
        if rng.chance(LOSS) {
            self.lost = true;
        } else if !self.deliver(frame, x, y, rng) {
            return true;
        }
        if !x.state.rules.keep(Rule::Takeover) && is_sync {
            y.state.context.extend(&self.start);
        }
        false
    }

    /// Lets a frame arrive. Returns whether the session may go on.
    fn deliver(&self, frame: Frame, x: &Node, y: &mut Node, rng: &mut Rng) -> bool {
        match (frame, &self.plan) {
            (Frame::Unit(unit), _) => y.apply(&unit),
            (Frame::Lazy(path), _) => {
                if self.must_start_again(x) {
                    return false;
                }
                let mut paths = self.linked(x, &path);
                paths.insert(0, path);
                for unit in x.state.units(&paths, &self.peer, rng) {
                    y.apply(&unit);
                }
            }
            (Frame::Full(Some(path)), Plan::Full { snapshot, .. }) => {
                compare_path(snapshot, y, &path);
            }
            (Frame::Share(unit), _) => {
                if let Some(draft) = &mut y.draft {
                    draft.take_unit(&unit);
                }
            }
            (Frame::Full(_) | Frame::Rest, _) => {}
        }
        true
    }

    /// Whether the sender has forgotten what the receiver lacked at the start.
    fn must_start_again(&self, x: &Node) -> bool {
        x.state.rules.keep(Rule::Pin) && x.state.has_forgotten_for(&self.peer)
    }

    /// The last frame has arrived: takes over the sender's context, unless something was lost.
    fn finish(&mut self, x: &Node, y: &mut Node, rng: &mut Rng, tally: &mut Tally) {
        let rules = y.state.rules;
        if self.lost && rules.keep(Rule::Lost) {
            return;
        }
        match &self.plan {
            Plan::Full { snapshot, .. } => {
                commit(snapshot, y);
                tally.full_committed += 1;
                return;
            }
            Plan::Share { .. } => return,
            Plan::Rest { snapshot, .. } => {
                let shown = y.show_draft(snapshot, &self.peer, rng);
                tally.drafts_shown += u64::from(shown);
                tally.drafts_dropped += u64::from(!shown);
                return;
            }
            Plan::Frozen { transactions, .. } => {
                y.state.keep_transactions(transactions);
                y.state.context.extend(&self.start);
            }
            Plan::Lazy { mark, .. } => {
                if self.must_start_again(x) {
                    return;
                }
                if rules.keep(Rule::Dirty) {
                    let changed: BTreeSet<_> = x.touched.iter().skip(*mark).cloned().collect();
                    y.apply(&Unit::merged(x.state.units(&changed, &self.peer, rng)));
                }
                self.floor.clone_from(&x.state.floor);
                let mut known = x.state.transactions_lacking(&self.peer);
                let brings =
                    |dot: &EventDot| y.state.context.contains(dot) || self.start.contains(dot);
                known.retain(|_, transaction| transaction.dots.iter().all(brings));
                y.state.keep_transactions(&known);
                y.state.context.extend(&self.start);
            }
        }
        if rules.keep(Rule::RelayFloor) {
            y.state.raise_floor(&self.floor);
        }
        tally.takeovers += 1;
    }

    /// The other paths that transactions tie to one, directly or through other transactions.
    fn linked(&self, x: &Node, path: &ModelPath) -> Vec<ModelPath> {
        if !x.state.rules.keep(Rule::Txn) {
            return Vec::new();
        }
        let all = x.state.paths();
        let transactions = x.state.transactions_lacking(&self.peer);
        let mut seen = BTreeSet::from([path.clone()]);
        let mut todo = vec![path.clone()];
        while let Some(path) = todo.pop() {
            let of_path = transactions
                .values()
                .filter(|transaction| transaction.paths.iter().any(|at| at.is_related(&path)));
            for transaction in of_path {
                let tied =
                    |path: &&ModelPath| transaction.paths.iter().any(|at| at.is_related(path));
                let new: Vec<_> = all.difference(&seen).filter(tied).cloned().collect();
                seen.extend(new.iter().cloned());
                todo.extend(new);
            }
        }
        seen.remove(path);
        seen.into_iter().collect()
    }
}

impl Plan {
    fn next(&mut self) -> Option<Frame> {
        match self {
            Self::Frozen { units, .. } => units.pop_front().map(Frame::Unit),
            Self::Lazy { paths, .. } => paths.pop_front().map(Frame::Lazy),
            Self::Full { frames, .. } => frames.pop_front().map(Frame::Full),
            Self::Share { units } => units.pop_front().map(Frame::Share),
            Self::Rest { frames, .. } => {
                *frames = frames.checked_sub(1)?;
                Some(Frame::Rest)
            }
        }
    }
}

/// The transactions of which a takeover from this state brings a dot.
fn brought(state: &State, peer: &Dots) -> Transactions {
    let mut transactions = state.transactions_lacking(peer);
    let brings = |dot: &EventDot| state.context.contains(dot) && !peer.contains(dot);
    transactions.retain(|_, transaction| transaction.dots.iter().any(brings));
    transactions
}

fn full_plan(x: &Node, y: &Node, rng: &mut Rng) -> Plan {
    let snapshot = Box::new(x.state.clone());
    let frames = if x.state.rules.keep(Rule::Unit) {
        vec![None; 1 + rng.below(4)].into()
    } else {
        let mut paths = x.state.paths();
        paths.extend(y.state.live.keys().chain(y.state.runs.keys()).cloned());
        paths.into_iter().map(Some).collect()
    };
    Plan::Full { frames, snapshot }
}

/// Makes one path what a full comparison says: what the sender has seen and does not show is void.
fn compare_path(snapshot: &State, y: &mut Node, path: &ModelPath) {
    let new = compare_live(snapshot, &mut y.state, path);
    let new_runs = compare_runs(snapshot, &mut y.state, path);
    if !snapshot.rules.keep(Rule::Unit) {
        y.state.context.extend(new);
        y.state.context.extend(new_runs);
    }
}

/// Returns the dots of the sender that were new.
fn compare_live(snapshot: &State, state: &mut State, path: &ModelPath) -> Dots {
    let none = Dots::new();
    let theirs = snapshot.live.get(path).unwrap_or(&none);
    let new: Dots = theirs.difference(&state.context).copied().collect();
    let kept: Dots = new
        .iter()
        .copied()
        .filter(|dot| !state.is_void(path, *dot))
        .collect();
    let ours = state.live.entry(path.clone()).or_default();
    ours.retain(|dot| theirs.contains(dot) || !snapshot.context.contains(dot));
    ours.extend(kept);
    new
}

/// Returns the newest dots of the sender's runs that were new.
fn compare_runs(snapshot: &State, state: &mut State, path: &ModelPath) -> Dots {
    let none = BTreeMap::new();
    let theirs = snapshot.runs.get(path).unwrap_or(&none);
    let ours = state.runs.entry(path.clone()).or_default();
    ours.retain(|origin, run| {
        theirs.contains_key(origin) || !snapshot.context.contains(&(*origin, run.newest))
    });
    let brings_cuts = state.rules.keep(Rule::Base);
    let mut new = Dots::new();
    for (&origin, run) in theirs {
        if !state.context.contains(&(origin, run.newest)) {
            let cut = if brings_cuts { run.cut } else { Cut::default() };
            state.take_run(path, origin, Run { cut, ..*run });
            new.insert((origin, run.newest));
        } else if brings_cuts && run.cut.seq > 0 {
            state.cut_known(path, origin, run);
        }
    }
    new
}

/// Ends a full comparison: all of it becomes visible at once.
fn commit(snapshot: &State, y: &mut Node) {
    let rules = snapshot.rules;
    if rules.keep(Rule::Unit) {
        let known = [&snapshot.live, &y.state.live]
            .into_iter()
            .flat_map(BTreeMap::keys);
        let runs = [&snapshot.runs, &y.state.runs]
            .into_iter()
            .flat_map(BTreeMap::keys);
        let paths: BTreeSet<ModelPath> = known.chain(runs).cloned().collect();
        for path in &paths {
            compare_path(snapshot, y, path);
        }
    }
    for (path, record) in snapshot
        .records
        .iter()
        .flat_map(|(p, rs)| rs.iter().map(move |r| (p, r)))
    {
        if !y.state.context.contains(&record.event) {
            y.state.remove(path, record);
            y.state.keep_record(path, record);
        }
    }
    y.state.keep_transactions(&snapshot.transactions);
    y.state.context.extend(&snapshot.context);
    if rules.keep(Rule::RelayFloor) {
        y.state.raise_floor(&snapshot.floor);
    }
    y.touched.extend(y.state.paths());
}
