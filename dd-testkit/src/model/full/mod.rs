//! The executable model of the replication rules in full.
//!
//! Paths are up to three deep and anything can be removed at any level. Two to six replicas keep
//! several syncs in flight, interleaved frame by frame with local changes, with forgetting and with
//! each other. Frames are lost, sessions are cut, processes return from old snapshots under a new
//! incarnation, nodes vanish for a while or for ever. After every step the replica that changed is
//! held against the [definition](crate::model::History); at the end those that are left sync fully
//! and must agree.
//!
//! What a replica holds:
//!
//! * its context, the dots that it has seen;
//! * per path, the live dots and the runs of counters: start, newest event, total, and what was cut;
//! * per path, the records of removals: the event, what its maker had seen (without the
//!   incarnations that have nothing there), and up to which total it cuts each run. Whatever a
//!   record names at its path or below is void. A record that another at its path or above it
//!   contains is dropped;
//! * a floor: per incarnation, the newest event whose record was forgotten;
//! * transactions: their dots and paths.
//!
//! A sync sends, path by path, what the receiver's context lacks. Only with the last frame the
//! receiver takes over the whole context of the sender, void dots included. A receiver that lacks
//! something at or below the floor gets a full comparison instead, in which everything that the
//! sender has seen and does not show is void.
//!
//! Such a receiver may get values from several in shares, for a draft that nobody sees. Who brings the rest is told which
//! dots are in it, and sends everything else that it holds. Both together are the sender's state. That takes the place of
//! the receiver's own, of which it is brought what it lacks.
//!
//! [`Rule`] lists what all of this depends on. [`Options::broken`] leaves one rule out.

mod draft;
mod node;
mod rule;
mod session;
mod state;
mod unit;
mod world;

pub use rule::Rule;

use std::ops::Range;

use super::{Failure, Report};
use world::World;

/// When a removal's record may be forgotten, provided that all which its maker had seen is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forget {
    /// At any time.
    Any,
    /// When every node that is up has the event. The default.
    #[default]
    Stable,
    /// Never.
    None,
}

/// What can happen in a run besides changes, syncs, and nodes that are away for a while.
///
/// The default is crashes and lost nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Counters, and their removal at any level.
    pub counters: bool,
    /// Changes of several paths that belong together.
    pub transactions: bool,
    /// Half of the syncs make their pieces while they send instead of at the start.
    pub lazy: bool,
    /// The other syncs may go on from what the sender has by then instead of what it had at the start.
    pub renewed: bool,
    /// Shares of what there is, for drafts of receivers that lack what was forgotten.
    pub drafts: bool,
    /// Processes that die and return from an old snapshot.
    pub crash: bool,
    /// Nodes that are lost for ever.
    pub kill: bool,
}

impl Features {
    /// Everything.
    pub const ALL: Self = Self {
        counters: true,
        transactions: true,
        lazy: true,
        renewed: true,
        drafts: true,
        crash: true,
        kill: true,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        counters: false,
        transactions: false,
        lazy: false,
        renewed: false,
        drafts: false,
        crash: false,
        kill: false,
    };
}

impl Default for Features {
    fn default() -> Self {
        Self {
            crash: true,
            kill: true,
            ..Self::NONE
        }
    }
}

/// The setting of a run.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::{Forget, Options, Rule, campaign};
///
/// let broken = Options {
///     broken: Some(Rule::Takeover),
///     forget: Forget::Any,
///     stop: Some(1),
///     ..Options::default()
/// };
/// assert_eq!(campaign(0..1000, &broken).failures.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What can happen. Default: crashes and lost nodes.
    pub features: Features,
    /// When records are forgotten. Default: when every node that is up has the event.
    pub forget: Forget,
    /// The rule that is left out. Default: none.
    pub broken: Option<Rule>,
    /// Demand at the end that forgetting completes and that full comparisons cease. Holds in every
    /// run only together with `seal`. Default: no.
    pub live: bool,
    /// All members agree at the end on what there is of the incarnations that are gone.
    /// Default: no.
    pub seal: bool,
    /// A campaign ends after so many failures. Default: never.
    pub stop: Option<usize>,
}

impl Options {
    /// A setting without a rule, and seeds in which that is noticed: a few for most, and for the
    /// rarest those around the first of many that shows it.
    pub fn that_need(rule: Rule) -> (Self, Range<u64>) {
        let faults = Features::default();
        let counters = Features {
            counters: true,
            ..faults
        };
        let lazy = Features {
            lazy: true,
            ..faults
        };
        let renewed = Features {
            renewed: true,
            ..faults
        };
        let drafts = Features {
            drafts: true,
            ..counters
        };
        let transactions = Features {
            transactions: true,
            ..faults
        };
        let (features, forget, seeds) = match rule {
            Rule::Piece => (faults, Forget::Stable, 0..50),
            Rule::Above => (lazy, Forget::Stable, 0..200),
            Rule::Dead => (faults, Forget::Stable, 0..100),
            Rule::Takeover | Rule::Lost => (faults, Forget::Stable, 0..20),
            Rule::W6 => (lazy, Forget::Any, 0..1000),
            Rule::Floor => (faults, Forget::Any, 0..20),
            Rule::RelayFloor => (faults, Forget::Any, 0..500),
            Rule::FloorFirst => (Features::NONE, Forget::Stable, 288_000..288_020),
            Rule::Unit => (faults, Forget::Any, 0..200),
            Rule::Dirty => (lazy, Forget::Stable, 0..200),
            Rule::Pin => (lazy, Forget::Any, 0..200),
            Rule::News => (renewed, Forget::Stable, 0..200),
            Rule::Behind => (renewed, Forget::Any, 0..200),
            Rule::Draft | Rule::DraftBehind => (drafts, Forget::Any, 0..200),
            Rule::DraftLive => (drafts, Forget::Any, 2_360..2_380),
            Rule::DraftClosed => (drafts, Forget::Any, 7_170..7_190),
            Rule::DraftCut => (drafts, Forget::Any, 55_760..55_780),
            Rule::Session | Rule::Upward => (faults, Forget::Stable, 0..300),
            Rule::Cuts => (counters, Forget::Stable, 0..50),
            Rule::CutJoin => (counters, Forget::Stable, 0..200),
            Rule::Owner => (counters, Forget::Any, 0..100),
            Rule::Base => (counters, Forget::Any, 0..2000),
            Rule::Txn => (transactions, Forget::Stable, 0..50),
            Rule::TxnForget => (transactions, Forget::Stable, 0..200),
        };
        let options = Self {
            features,
            forget,
            broken: Some(rule),
            stop: Some(1),
            ..Self::default()
        };
        (options, seeds)
    }
}

/// What happened in some runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that held.
    pub runs: u64,
    /// Syncs that ended with the receiver taking over the sender's context.
    pub takeovers: u64,
    /// Syncs that went on from a later state of the sender.
    pub renewed: u64,
    /// Full comparisons that were begun.
    pub full: u64,
    /// Full comparisons that were committed.
    pub full_committed: u64,
    /// Drafts that were shown.
    pub drafts_shown: u64,
    /// Drafts that were given up because something was forgotten meanwhile.
    pub drafts_dropped: u64,
    /// Sessions that were cut.
    pub cut: u64,
    /// Processes that returned from a snapshot.
    pub crashes: u64,
    /// Nodes that were lost for ever.
    pub killed: u64,
    /// Nodes that at the end had records which could not be forgotten.
    pub stuck: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.takeovers += other.takeovers;
        self.renewed += other.renewed;
        self.full += other.full;
        self.full_committed += other.full_committed;
        self.drafts_shown += other.drafts_shown;
        self.drafts_dropped += other.drafts_dropped;
        self.cut += other.cut;
        self.crashes += other.crashes;
        self.killed += other.killed;
        self.stuck += other.stuck;
    }
}

/// Runs the model once. The same seed gives the same run on every machine.
///
/// # Errors
///
/// [`Failure`] if a replica shows, after any step, something else than the definition says, if the
/// replicas do not agree at the end, or if forgetting does not complete where that is demanded.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::{Options, full};
///
/// let tally = full::run(1, &Options::default())?;
/// assert_eq!(tally.runs, 1);
/// # Ok::<(), dd_testkit::model::Failure>(())
/// ```
pub fn run(seed: u64, options: &Options) -> Result<Tally, Failure> {
    World::new(seed, options).run()
}

/// Runs the model once per seed.
pub fn campaign(seeds: Range<u64>, options: &Options) -> Report {
    Report::collect(seeds, options.stop, |seed| run(seed, options))
}
