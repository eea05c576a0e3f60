//! Executable models of the replication rules, and the definition that judges them.
//!
//! They are specifications, not implementations: causal contexts are plain sets of dots, there are
//! no clocks and no bytes, and every replica can be looked into. What they fix is which rule is
//! needed where.
//!
//! * [`History`] is the definition: what a replica must show, from the events that it has seen and
//!   nothing else. It serves the models and the simulator of the real code alike.
//! * [`store_protocol`] is the idea in its smallest form: paths two deep, a sync is atomic except
//!   that it may stop at any piece.
//! * [`full`] has everything that makes the rules hard: syncs interleaved frame by frame with writes
//!   and with each other, full comparisons cut midway, processes that return from old snapshots,
//!   nodes lost for ever, counters, transactions. It is held against the definition after every
//!   step.
//!
//! * [`majority`], [`sealing`] and [`comparison`] are by themselves: when a write is confirmed, when what a process that
//!   is gone had made is settled, and what a full comparison need not say.
//!
//! All can leave out a rule on purpose and must then fail, which shows that they can.

pub mod comparison;
mod definition;
pub mod full;
pub mod majority;
mod path;
pub mod sealing;
pub mod store_protocol;

pub use definition::{EventDot, Expected, History, Kind, Seen, Share};
pub use full::{Features, Forget, Options, Rule, Tally, campaign};
pub use path::ModelPath;

use std::collections::BTreeSet;

/// A causal context, or any other set of dots, as plainly as it can be.
type Dots = BTreeSet<EventDot>;

/// A run in which a replica did not show what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {what}")]
pub struct Failure {
    /// The seed that repeats the run.
    pub seed: u64,
    /// What went wrong, where.
    pub what: String,
}

/// What came of a series of runs.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::{Options, campaign};
///
/// let report = campaign(0..3, &Options::default());
/// assert!(report.failures.is_empty());
/// assert_eq!(report.runs, 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of runs, the failed ones included.
    pub runs: u64,
    /// What happened in the runs that held. The small model counts nothing.
    pub tally: Tally,
    /// The runs that failed, in the order of their seeds.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Runs a model once per seed until it has failed `stop` times.
    fn collect(
        seeds: impl IntoIterator<Item = u64>,
        stop: Option<usize>,
        mut run: impl FnMut(u64) -> Result<Tally, Failure>,
    ) -> Self {
        let mut report = Self::default();
        for seed in seeds {
            report.runs += 1;
            match run(seed) {
                Ok(tally) => report.tally.add(&tally),
                Err(failure) => report.failures.push(failure),
            }
            if stop.is_some_and(|stop| report.failures.len() >= stop) {
                break;
            }
        }
        report
    }
}

/// Two replicas out of many: one to read, one to change.
///
/// # Panics
///
/// If both are the same.
fn pair<T>(all: &mut [T], read: usize, change: usize) -> (&T, &mut T) {
    if read < change {
        let (low, high) = all.split_at_mut(change);
        (&low[read], &mut high[0])
    } else {
        let (low, high) = all.split_at_mut(read);
        (&high[0], &mut low[change])
    }
}
