//! The deterministic simulator: replicas, a network with faults, and the oracle after every step.
//!
//! A run is a function of its seed. It checks, on each replica that changed, that the state is the
//! one that the oracle gives for its context, that the context only grew, that it shows no part of a
//! transaction without the rest, that no replica
//! suspects another, that reads of a majority have what a majority had confirmed, and that what a hostile
//! peer sends is refused without any trace; and after healing that all are equal, that kept sums are the computed ones,
//! and that nothing but digests is sent any more.
//!
//! In a part of the runs, each chosen by its seed so that the others stay as they are, there is more: values end at a
//! time (`deadlines`), a peer misbehaves (`hostile`), members come and go as real nodes' do, who find each other by
//! SWIM over the same network (`members`), and own keys (`owned`), and some processes are of a later version
//! (`versions`). With members, majorities are counted over those that a process was told of, and `quorum` says what
//! is promised then; after healing all take exactly those for alive who run, nobody who is gone is a member, nothing
//! of processes that are gone is left unsealed, and owned keys are those that the living have written.

mod checks;
mod deadlines;
mod hostile;
mod made;
mod members;
mod network;
pub(crate) mod op;
mod owned;
mod quorum;
mod versions;
mod world;

use std::fmt;
use std::ops::Range;

use world::World;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Local calls and faults, at most.
    pub steps: usize,
    /// Nodes, at most; at least two.
    pub nodes: usize,
    /// Whether frames are lost, duplicated and reordered. Connections break either way.
    pub lossy: bool,
    /// Whether processes crash, and return empty, from an old snapshot or as they were.
    pub crashes: bool,
    /// Whether nodes are lost for ever.
    pub losses: bool,
    /// Whether some are attacked by a peer that misbehaves.
    pub hostile: bool,
    /// Values that end at a time, in every fourth run.
    pub deadlines: bool,
    /// Members that join, leave, fail and return, in every eighth run.
    pub members: bool,
    /// Keys that go with their owners, in those runs.
    pub owned: bool,
    /// Processes of a later version among the others, in every fifth run.
    pub versions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 120,
            nodes: 5,
            lossy: true,
            crashes: true,
            losses: true,
            hostile: true,
            deadlines: true,
            members: true,
            owned: true,
            versions: true,
        }
    }
}

/// What took place, summed over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say what was counted")]
pub struct Tally {
    pub runs: u64,
    pub events: u64,
    pub checks: u64,
    pub frames: u64,
    pub frames_lost: u64,
    pub frames_duplicated: u64,
    pub frames_reordered: u64,
    pub partitions: u64,
    pub one_way_partitions: u64,
    pub connections_broken: u64,
    pub exchanges_cut: u64,
    pub exchanges_done: u64,
    pub shares_done: u64,
    pub flushes_done: u64,
    pub comparisons_cut: u64,
    pub comparisons_done: u64,
    pub ranges_compared: u64,
    pub sessions_broken: u64,
    pub crashes: u64,
    pub returns_empty: u64,
    pub returns_from_old_snapshot: u64,
    pub returns_as_it_was: u64,
    pub nodes_lost: u64,
    pub clock_jumps: u64,
    pub records_forgotten: u64,
    pub sealed: u64,
    pub transactions: u64,
    pub transactions_forgotten: u64,
    pub majority_writes: u64,
    pub majority_reads: u64,
    pub deadlines: u64,
    pub ended: u64,
    pub joins: u64,
    pub leaves: u64,
    pub members_down: u64,
    pub removals: u64,
    pub made_anew: u64,
    pub promises_withdrawn: u64,
    pub owned_writes: u64,
    pub owned_deleted: u64,
    pub owned_put_right: u64,
    pub later_values: u64,
    pub later_frames: u64,
    pub later_frames_passed_over: u64,
    pub hostile_frames: u64,
    pub hostile_frames_refused: u64,
    pub simulated_seconds: u64,
    /// A hash of everything that was sent and that arrived, with its time: the same on every machine. Of several
    /// runs, in the order in which they were added.
    pub trace: u64,
}

impl Tally {
    /// All counts with their names.
    pub fn fields(&self) -> [(&'static str, u64); 47] {
        [
            ("runs", self.runs),
            ("events", self.events),
            ("checks", self.checks),
            ("frames", self.frames),
            ("frames_lost", self.frames_lost),
            ("frames_duplicated", self.frames_duplicated),
            ("frames_reordered", self.frames_reordered),
            ("partitions", self.partitions),
            ("one_way_partitions", self.one_way_partitions),
            ("connections_broken", self.connections_broken),
            ("exchanges_cut", self.exchanges_cut),
            ("exchanges_done", self.exchanges_done),
            ("shares_done", self.shares_done),
            ("flushes_done", self.flushes_done),
            ("comparisons_cut", self.comparisons_cut),
            ("comparisons_done", self.comparisons_done),
            ("ranges_compared", self.ranges_compared),
            ("sessions_broken", self.sessions_broken),
            ("crashes", self.crashes),
            ("returns_empty", self.returns_empty),
            ("returns_from_old_snapshot", self.returns_from_old_snapshot),
            ("returns_as_it_was", self.returns_as_it_was),
            ("nodes_lost", self.nodes_lost),
            ("clock_jumps", self.clock_jumps),
            ("records_forgotten", self.records_forgotten),
            ("sealed", self.sealed),
            ("transactions", self.transactions),
            ("transactions_forgotten", self.transactions_forgotten),
            ("majority_writes", self.majority_writes),
            ("majority_reads", self.majority_reads),
            ("deadlines", self.deadlines),
            ("ended", self.ended),
            ("joins", self.joins),
            ("leaves", self.leaves),
            ("members_down", self.members_down),
            ("removals", self.removals),
            ("made_anew", self.made_anew),
            ("promises_withdrawn", self.promises_withdrawn),
            ("owned_writes", self.owned_writes),
            ("owned_deleted", self.owned_deleted),
            ("owned_put_right", self.owned_put_right),
            ("later_values", self.later_values),
            ("later_frames", self.later_frames),
            ("later_frames_passed_over", self.later_frames_passed_over),
            ("hostile_frames", self.hostile_frames),
            ("hostile_frames_refused", self.hostile_frames_refused),
            ("simulated_seconds", self.simulated_seconds),
        ]
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.events += other.events;
        self.checks += other.checks;
        self.frames += other.frames;
        self.frames_lost += other.frames_lost;
        self.frames_duplicated += other.frames_duplicated;
        self.frames_reordered += other.frames_reordered;
        self.partitions += other.partitions;
        self.one_way_partitions += other.one_way_partitions;
        self.connections_broken += other.connections_broken;
        self.exchanges_cut += other.exchanges_cut;
        self.exchanges_done += other.exchanges_done;
        self.shares_done += other.shares_done;
        self.flushes_done += other.flushes_done;
        self.comparisons_cut += other.comparisons_cut;
        self.comparisons_done += other.comparisons_done;
        self.ranges_compared += other.ranges_compared;
        self.sessions_broken += other.sessions_broken;
        self.crashes += other.crashes;
        self.returns_empty += other.returns_empty;
        self.returns_from_old_snapshot += other.returns_from_old_snapshot;
        self.returns_as_it_was += other.returns_as_it_was;
        self.nodes_lost += other.nodes_lost;
        self.clock_jumps += other.clock_jumps;
        self.records_forgotten += other.records_forgotten;
        self.sealed += other.sealed;
        self.transactions += other.transactions;
        self.transactions_forgotten += other.transactions_forgotten;
        self.majority_writes += other.majority_writes;
        self.majority_reads += other.majority_reads;
        self.deadlines += other.deadlines;
        self.ended += other.ended;
        self.joins += other.joins;
        self.leaves += other.leaves;
        self.members_down += other.members_down;
        self.removals += other.removals;
        self.made_anew += other.made_anew;
        self.promises_withdrawn += other.promises_withdrawn;
        self.owned_writes += other.owned_writes;
        self.owned_deleted += other.owned_deleted;
        self.owned_put_right += other.owned_put_right;
        self.later_values += other.later_values;
        self.later_frames += other.later_frames;
        self.later_frames_passed_over += other.later_frames_passed_over;
        self.hostile_frames += other.hostile_frames;
        self.hostile_frames_refused += other.hostile_frames_refused;
        self.simulated_seconds += other.simulated_seconds;
        self.trace = (self.trace ^ other.trace).rotate_left(1);
    }
}

/// A run that showed a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed that reproduces it.
    pub seed: u64,
    /// What was wrong, where and when.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// Runs one seed.
///
/// # Errors
///
/// [`Failure`] if the run showed a fault.
pub fn run(seed: u64, options: Options) -> Result<Tally, Failure> {
    World::new(seed, options)
        .run()
        .map_err(|what| Failure { seed, what })
}

/// Runs many seeds. Stops after `stop` failures.
pub fn campaign(seeds: Range<u64>, options: Options, stop: usize) -> (Tally, Vec<Failure>) {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for seed in seeds {
        match run(seed, options) {
            Ok(one) => tally.add(&one),
            Err(failure) => {
                tally.runs += 1;
                failures.push(failure);
                if failures.len() >= stop {
                    break;
                }
            }
        }
    }
    (tally, failures)
}
