//! A replica: a process with an incarnation, what it holds, and the events that it makes.

use std::rc::Rc;

use super::draft::Draft;
use super::rule::{Rule, Rules};
use super::state::{Cut, Run, State, Transaction};
use super::unit::Unit;
use crate::Rng;
use crate::model::{Dots, EventDot, History, Kind, ModelPath};

/// An operation of a user.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Add(ModelPath),
    Write(ModelPath),
    Remove(ModelPath),
    Count(ModelPath, i128),
}

impl Op {
    fn path(&self) -> &ModelPath {
        match self {
            Self::Add(path) | Self::Write(path) | Self::Remove(path) | Self::Count(path, _) => path,
        }
    }
}

/// A replica and the process that runs it.
#[derive(Debug)]
pub(super) struct Node {
    /// Counts the processes: a session is bound to one.
    pub(super) process: u64,
    /// The incarnation, whose dots nobody else makes. A restored process gets a new one.
    pub(super) id: u64,
    /// Number of events that the incarnation made.
    pub(super) seq: u64,
    pub(super) state: State,
    /// The paths that this process changed, in order.
    pub(super) touched: Vec<ModelPath>,
    pub(super) draft: Option<Draft>,
    /// How many drafts this replica has begun.
    drafts: u64,
}

impl Node {
    pub(super) fn new(id: u64, rules: Rules) -> Self {
        Self {
            process: 0,
            id,
            seq: 0,
            state: State::new(rules),
            touched: Vec::new(),
            draft: None,
            drafts: 0,
        }
    }

    /// The draft, which is begun with what is live here.
    pub(super) fn begin_draft(&mut self) -> &mut Draft {
        let state = &self.state;
        self.draft.get_or_insert_with(|| {
            self.drafts += 1;
            Draft::of(state, self.drafts)
        })
    }

    /// What there is at the sender of the rest takes the place of what is here, which is brought to that by a sync that
    /// takes effect as one. Returns whether it could.
    pub(super) fn show_draft(&mut self, sender: &State, stated: &Dots, rng: &mut Rng) -> bool {
        let Some(draft) = self.draft.take() else {
            return false;
        };
        let mut state = draft.completed(sender, stated);
        if self.state.has_forgotten_for(&state.context) && state.rules.keep(Rule::DraftBehind) {
            return false;
        }
        std::mem::swap(&mut self.state, &mut state);
        let here = state;
        let lacking = Unit::merged(here.units(&here.paths(), &self.state.context, rng));
        let transactions = here.transactions_lacking(&self.state.context);
        self.apply(&lacking);
        self.state.keep_transactions(&transactions);
        self.state.context.extend(&here.context);
        self.state.raise_floor(&here.floor);
        self.touched.extend(self.state.paths());
        true
    }

    /// Starts a new process from a snapshot.
    pub(super) fn restore(&mut self, snapshot: State, id: u64) {
        self.state = snapshot;
        self.process += 1;
        self.touched.clear();
        self.draft = None;
        (self.id, self.seq) = (id, 0);
    }

    /// Makes an event, unless there is nothing to remove.
    pub(super) fn perform(&mut self, op: &Op, history: &mut History) -> Option<EventDot> {
        let path = op.path();
        let there = self.state.has_under(path);
        if matches!(op, Op::Remove(_)) && !there {
            return None;
        }
        let dot = (self.id, self.seq + 1);
        self.seq = dot.1;
        let removes = matches!(op, Op::Write(_) | Op::Remove(_)) && there;
        let record = removes.then(|| Rc::new(self.state.make_record(path, dot)));
        history.record(dot, path.clone(), self.kind(op), &self.state.context);
        self.state.context.insert(dot);
        if let Some(record) = &record {
            self.state.remove(path, record);
        }
        match op {
            Op::Add(_) | Op::Write(_) => {
                self.state.live.entry(path.clone()).or_default().insert(dot);
            }
            Op::Count(_, n) => self.count(path, *n),
            Op::Remove(_) => {}
        }
        if let Some(record) = &record {
            self.state.keep_record(path, record);
        }
        self.touched.push(path.clone());
        Some(dot)
    }

    /// Makes events that belong together, and returns their dots.
    pub(super) fn transact(
        &mut self,
        id: usize,
        ops: &[Op],
        history: &mut History,
    ) -> Vec<EventDot> {
        let mut events = Vec::new();
        for op in ops {
            events.extend(
                self.perform(op, history)
                    .map(|dot| (dot, op.path().clone())),
            );
        }
        let (dots, paths): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        if paths.len() > 1 {
            let dots: Dots = dots.iter().copied().collect();
            self.state
                .transactions
                .insert(id, Rc::new(Transaction { dots, paths }));
        }
        dots
    }

    /// What the event that is about to be made does.
    fn kind(&self, op: &Op) -> Kind {
        match op {
            Op::Add(_) => Kind::Add,
            Op::Write(_) => Kind::Write,
            Op::Remove(_) => Kind::Remove,
            Op::Count(path, n) => Kind::Count {
                n: *n,
                start: self.run(path).start,
            },
        }
    }

    /// The run at a path that the current event goes on with or begins.
    fn run(&self, path: &ModelPath) -> Run {
        let known = self
            .state
            .runs
            .get(path)
            .and_then(|runs| runs.get(&self.id));
        let begins = Run {
            start: self.seq,
            newest: 0,
            total: 0,
            cut: Cut::default(),
        };
        known.copied().unwrap_or(begins)
    }

    fn count(&mut self, path: &ModelPath, n: i128) {
        let run = self.run(path);
        let run = Run {
            newest: self.seq,
            total: run.total + n,
            ..run
        };
        self.state
            .runs
            .entry(path.clone())
            .or_default()
            .insert(self.id, run);
    }
}
