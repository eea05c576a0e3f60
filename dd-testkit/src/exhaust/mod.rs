//! The exhaustive check: everything that two or three replicas can come to with a few events.
//!
//! From replicas that are connected and equal, every order of steps is tried: a local call of each kind, the
//! next frame from one to another, a connection that breaks and is there again, a process that crashes and
//! returns empty or as it was, time that passes so that removals are forgotten. What was reached before is not
//! gone through again, so all orders are covered by far fewer states. After each step the replicas that
//! changed are held against the oracle, and from every state in which nobody has anything to send time passes
//! without further faults until all are equal.
//!
//! The bound is that of [`Bounds`] and not one of depth: frames are never counted. A frame is carried when it
//! is made, unless [`Bounds::in_flight`] says that some may be on their way. It knows nothing of majorities and
//! sealing; those are the simulator's.

mod state;

use std::collections::HashSet;
use std::fmt;

use state::{State, Step};

/// The kinds of local calls, by their names: an element that comes and goes, a counter that is counted in and
/// reset, the deletion of their key, and an element at two keys as a transaction.
pub const CALLS: [&str; 6] = ["insert", "remove", "count", "reset", "delete", "pair"];

/// How much may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes, two or three.
    pub replicas: usize,
    /// Local calls that make events; a transaction is one.
    pub events: usize,
    /// Which of [`CALLS`] are made.
    pub calls: [bool; CALLS.len()],
    /// Connections that break.
    pub cuts: usize,
    /// Processes that crash.
    pub crashes: usize,
    /// How often time passes: as long as it takes until what all have is forgotten.
    pub waits: usize,
    /// Frames in each direction that are on their way while other things happen.
    pub in_flight: usize,
    /// States after which it is given up.
    pub states: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            replicas: 2,
            events: 2,
            calls: [true; CALLS.len()],
            cuts: 1,
            crashes: 1,
            waits: 1,
            in_flight: 0,
            states: u64::MAX,
        }
    }
}

/// What was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// Different states.
    pub states: u64,
    /// Steps from one to another.
    pub steps: u64,
    /// States in which nobody had anything to send, from which all became equal.
    pub at_rest: u64,
    /// The most steps from the start to a state.
    pub depth: usize,
    /// Whether that was all that there is within the bounds.
    pub complete: bool,
}

/// A way to a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The steps to it.
    pub steps: Vec<String>,
    /// What is wrong then.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        f.write_str(&self.what)
    }
}

/// A state on the way, with the steps from it that are still to be tried.
struct Visit {
    state: State,
    steps: std::vec::IntoIter<Step>,
    /// Nobody has had anything to send so far.
    at_rest: bool,
    /// The step that led here.
    by: Option<Step>,
}

impl Visit {
    fn new(state: State, by: Option<Step>) -> Self {
        Self {
            steps: state.steps().into_iter(),
            state,
            at_rest: true,
            by,
        }
    }
}

/// Goes through everything within the bounds, telling `progress` of the states so far.
///
/// # Errors
///
/// The first [`Fault`] that is found; there may be a shorter way to it.
pub fn exhaust(bounds: Bounds, mut progress: impl FnMut(u64)) -> Result<Covered, Fault> {
    let mut covered = Covered::default();
    let fault = |way: &[Visit], last: Option<Step>, what| {
        let steps = way.iter().filter_map(|visit| visit.by).chain(last);
        let steps = steps.map(|step| step.to_string()).collect();
        Fault { steps, what }
    };
    let start = State::new(bounds).map_err(|what| fault(&[], None, what))?;
    let mut scratch = String::new();
    let mut known = HashSet::from([start.hash(&mut scratch)]);
    let mut way = vec![Visit::new(start, None)];
    covered.states = 1;
    while let Some(visit) = way.last_mut() {
        let Some(step) = visit.steps.next() else {
            if visit.at_rest {
                let converged = visit.state.converge();
                converged.map_err(|what| fault(&way, None, what))?;
                covered.at_rest += 1;
            }
            way.pop();
            continue;
        };
        let next = match visit.state.after(step) {
            Ok(Some(next)) => next,
            Ok(None) => continue, // nothing to be done
            Err(what) => return Err(fault(&way, Some(step), what)),
        };
        visit.at_rest &= !step.is_frame();
        covered.steps += 1;
        if !known.insert(next.hash(&mut scratch)) {
            continue;
        }
        covered.states += 1;
        if covered.states.is_multiple_of(1024) {
            progress(covered.states);
        }
        if covered.states >= bounds.states {
            return Ok(covered);
        }
        way.push(Visit::new(next, Some(step)));
        covered.depth = covered.depth.max(way.len() - 1);
    }
    covered.complete = true;
    Ok(covered)
}
