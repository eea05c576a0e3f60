//! What a replica that lacks something which was forgotten has got in shares: values alone. Which of them live, and what
//! else was seen, says who brings the rest.

use std::collections::BTreeMap;

use super::rule::{Rule, Rules};
use super::state::{Cut, Run, State};
use super::unit::Unit;
use crate::model::{Dots, EventDot, ModelPath};

/// Values by path, without a context of their own.
#[derive(Debug)]
pub(super) struct Draft {
    /// A session for a draft is for no later one.
    pub(super) number: u64,
    live: BTreeMap<ModelPath, Dots>,
    runs: BTreeMap<ModelPath, BTreeMap<u64, Run>>,
    /// All dots that ever were in it.
    came: Dots,
    /// It takes nothing more.
    closed: bool,
    rules: Rules,
}

impl Draft {
    /// A draft that begins with what is live.
    pub(super) fn of(state: &State, number: u64) -> Self {
        let mut draft = Self {
            number,
            live: BTreeMap::new(),
            runs: BTreeMap::new(),
            came: Dots::new(),
            closed: false,
            rules: state.rules,
        };
        for (path, dots) in &state.live {
            draft.take(path, dots, &BTreeMap::new());
        }
        for (path, runs) in &state.runs {
            draft.take(path, &Dots::new(), runs);
        }
        draft
    }

    /// Takes in the values of a unit.
    pub(super) fn take_unit(&mut self, unit: &Unit) {
        if self.closed && self.rules.keep(Rule::DraftClosed) {
            return;
        }
        for (path, live, runs) in unit.values() {
            self.take(path, live, runs);
        }
    }

    fn take(&mut self, path: &ModelPath, live: &Dots, runs: &BTreeMap<u64, Run>) {
        self.came.extend(live);
        self.live.entry(path.clone()).or_default().extend(live);
        for (origin, run) in runs {
            if run.cut.seq > 0 && self.rules.keep(Rule::DraftCut) {
                continue;
            }
            self.came.insert((*origin, run.newest));
            let here = self.runs.entry(path.clone()).or_default();
            let newer = here
                .get(origin)
                .is_none_or(|known| known.newest < run.newest);
            if newer {
                here.insert(*origin, *run);
            }
        }
    }

    /// What is stated to whoever is asked for the rest.
    pub(super) fn close(&mut self) -> Dots {
        self.closed = true;
        if self.rules.keep(Rule::DraftLive) {
            self.dots()
        } else {
            self.came.clone()
        }
    }

    fn dots(&self) -> Dots {
        let runs = self.runs.values().flatten();
        let newest = runs.map(|(origin, run)| (*origin, run.newest));
        let live = self.live.values().flatten().copied();
        live.chain(newest).collect()
    }

    /// The state of whoever brings the rest: all of it, but for values that were stated to be in here.
    pub(super) fn completed(&self, sender: &State, stated: &Dots) -> State {
        let mut state = sender.clone();
        for (path, dots) in &mut state.live {
            let here = self.live.get(path);
            let has = |dot: &EventDot| here.is_some_and(|here| here.contains(dot));
            dots.retain(|dot| !stated.contains(dot) || has(dot));
        }
        for (path, runs) in &mut state.runs {
            let here = self.runs.get(path);
            runs.retain(|origin, run| {
                if !stated.contains(&(*origin, run.newest)) {
                    return true;
                }
                let known = here.and_then(|here| here.get(origin));
                let Some(known) = known.filter(|known| known.newest == run.newest) else {
                    return false;
                };
                // A cut of the sender's comes with the rest.
                let cut = greater(known.cut, run.cut);
                *run = Run { cut, ..*known };
                true
            });
        }
        if !self.rules.keep(Rule::Draft) {
            for (path, dots) in &self.live {
                let more = dots.iter().filter(|dot| !state.context.contains(dot));
                let more: Dots = more.copied().collect();
                state.live.entry(path.clone()).or_default().extend(more);
            }
            state.context.extend(&self.dots());
        }
        state
    }
}

fn greater(one: Cut, other: Cut) -> Cut {
    if one.seq > other.seq { one } else { other }
}
