//! What other nodes have: whether they have this replica's writes, and whether this one has theirs.
//!
//! Votes are those of nodes, not of processes; what a process acknowledged counts as long as it runs.
//! A process that may have lost what its node acknowledged before, as every new one of an in-memory
//! store may, has no vote in reads until it has what a majority of the others had after it started.
//! Without that rule a write confirmed by A and B is missed by a read of B and C, if B was restarted
//! in between.
//!
//! Nor are acknowledgements of several nodes enough. Of five nodes, B acknowledges a write of A, is
//! restarted and gets its vote from C, D and E, which have not got the write; then C acknowledges. A,
//! which has not noticed, counts A, B and C, and a read of B, D and E misses the write. There has to be
//! one moment at which as many processes have it: those that acknowledged are asked once more, and
//! count when they answer as the same processes. With one acknowledgement beside the own process the
//! moment is that of the acknowledgement.

use std::collections::BTreeMap;

use crdt_core::Context;

use super::Replica;
use crate::NodeId;
use crate::frame::{Answer, FrameError};
use crate::time::Time;

/// Barriers that wait for other nodes at one time, at most, of each kind.
pub const MAX_BARRIERS: usize = 4096;

/// A read that waits for what other nodes have; see [`Replica::begin_refresh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refresh(u64);

/// Writes that wait until other nodes have them; see [`Replica::begin_confirm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confirm(u64);

/// Too many barriers wait: [`MAX_BARRIERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_BARRIERS} calls wait for other nodes already: wait for some of them first")]
pub struct TooManyBarriers;

/// What each node stated in answer to a question.
type Statements = BTreeMap<NodeId, Statement>;

#[derive(Clone, Debug)]
struct Statement {
    /// Of the process that stated it.
    nonce: u64,
    votes: bool,
    context: Context,
}

#[derive(Clone, Debug)]
struct Confirmation {
    needed: usize,
    events: Context,
    /// The processes that had acknowledged when they were asked once more, and that question.
    again: Option<(BTreeMap<NodeId, u64>, Refresh)>,
}

/// The votes of this process and what it waits for.
#[derive(Clone, Debug)]
pub(super) struct Quorum {
    votes: bool,
    /// What was stated since each began. A question carries the number of the newest, and its answer
    /// counts for all up to that one.
    refreshes: BTreeMap<Refresh, Statements>,
    confirmations: BTreeMap<Confirm, Confirmation>,
    last: u64,
}

/// The refresh that gives a new process its vote.
const RECOVERY: Refresh = Refresh(0);

impl Quorum {
    /// `votes`: nothing can have been acknowledged by this node before.
    pub(super) fn new(votes: bool) -> Self {
        let recovery = (!votes).then(|| (RECOVERY, Statements::new()));
        Self {
            votes,
            refreshes: recovery.into_iter().collect(),
            confirmations: BTreeMap::new(),
            last: 0,
        }
    }

    /// Of a replica that is made anew in the same process: who waits for the former one's barriers must not
    /// take others for them.
    pub(super) fn reborn(&self) -> Self {
        Self {
            last: self.last,
            ..Self::new(false)
        }
    }

    pub(super) fn votes(&self) -> bool {
        self.votes
    }

    /// The number of the newest refresh.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether anybody waits until others have what was written here.
    pub(super) fn has_writers(&self) -> bool {
        !self.confirmations.is_empty()
    }

    /// Whether anybody waits for other nodes, beside this process for its vote.
    pub(super) fn has_readers(&self) -> bool {
        self.readers() > 0
    }

    fn readers(&self) -> usize {
        self.refreshes.len() - usize::from(!self.votes)
    }

    /// Whether a node that votes has not answered yet.
    pub(super) fn waits_for(&self, node: &NodeId) -> bool {
        let votes = |statements: &Statements| statements.get(node).is_some_and(|of| of.votes);
        !self.refreshes.values().all(votes)
    }
}

impl Replica {
    /// The events that were seen here.
    pub fn context(&self) -> &Context {
        self.keys.context()
    }

    /// Whether all of these events are here.
    pub fn has_seen(&self, events: &Context) -> bool {
        events.is_subset(self.keys.context())
    }

    /// Waits until so many nodes, this one included, have everything that this replica wrote so far.
    /// Whoever waits ends it with [`end_confirm`](Self::end_confirm).
    ///
    /// # Errors
    ///
    /// [`TooManyBarriers`].
    pub fn begin_confirm(&mut self, needed: usize) -> Result<Confirm, TooManyBarriers> {
        if self.quorum.confirmations.len() >= MAX_BARRIERS {
            return Err(TooManyBarriers);
        }
        self.quorum.last += 1;
        let confirm = Confirm(self.quorum.last);
        let confirmation = Confirmation {
            needed,
            events: self.keys.context().restrict([self.config.replica]),
            again: None,
        };
        self.quorum.confirmations.insert(confirm, confirmation);
        self.hurry_flushes();
        self.ask_holders_again();
        Ok(confirm)
    }

    /// The nodes that have what was written, this one first. It is confirmed when there are as many as
    /// it needs.
    pub fn confirmed_by(&self, confirm: Confirm) -> Vec<NodeId> {
        let own = || [self.config.node.clone()].into_iter();
        let Some(confirmation) = self.quorum.confirmations.get(&confirm) else {
            return Vec::new();
        };
        match &confirmation.again {
            None => {
                let holders = self.holders(&confirmation.events).into_keys();
                // One short of a majority until they have answered once more.
                let most = match confirmation.needed {
                    0..=2 => usize::MAX,
                    needed => needed - 1,
                };
                own().chain(holders).take(most).collect()
            }
            Some((asked, refresh)) => {
                let statements = self.quorum.refreshes.get(refresh);
                let nonce = |node| Some(statements?.get(node)?.nonce);
                let answered = asked
                    .iter()
                    .filter(|(node, asked)| nonce(node) == Some(**asked));
                own()
                    .chain(answered.map(|(node, _)| node.clone()))
                    .collect()
            }
        }
    }

    /// Where enough processes have acknowledged a write, they are asked once more. If too few of those
    /// still run, others are waited for.
    pub(super) fn ask_holders_again(&mut self) {
        let mut to_ask = Vec::new();
        let mut to_end = Vec::new();
        for (confirm, confirmation) in &self.quorum.confirmations {
            let needed = confirmation.needed;
            if needed <= 2 {
                continue;
            }
            let holders = self.holders(&confirmation.events);
            let runs = |(node, nonce): &(&NodeId, &u64)| holders.get(*node) == Some(*nonce);
            let again = confirmation.again.as_ref();
            let enough = |(asked, _): &(BTreeMap<NodeId, u64>, Refresh)| {
                asked.iter().filter(runs).count() + 1 >= needed
            };
            if again.is_some_and(enough) {
                continue;
            }
            to_end.extend(again.map(|_| *confirm));
            if holders.len() + 1 >= needed {
                to_ask.push((*confirm, holders));
            }
        }
        for confirm in to_end {
            self.end_question(confirm);
        }
        for (confirm, holders) in to_ask {
            let refresh = self.ask_all();
            if let Some(confirmation) = self.quorum.confirmations.get_mut(&confirm) {
                confirmation.again = Some((holders, refresh));
            }
        }
    }

    /// Nobody waits for it any more.
    pub fn end_confirm(&mut self, confirm: Confirm) {
        self.end_question(confirm);
        self.quorum.confirmations.remove(&confirm);
    }

    fn end_question(&mut self, confirm: Confirm) {
        let confirmation = self.quorum.confirmations.get_mut(&confirm);
        if let Some((_, refresh)) = confirmation.and_then(|confirmation| confirmation.again.take())
        {
            self.end_refresh(refresh);
        }
    }

    /// The other nodes whose present processes said that they have these events.
    fn holders(&self, events: &Context) -> BTreeMap<NodeId, u64> {
        let holder = |node: &NodeId| {
            let process = self.peers.get(node)?.process.as_ref()?;
            let has = events.is_subset(&process.known);
            has.then(|| (node.clone(), process.nonce))
        };
        self.others().filter_map(holder).collect()
    }

    /// Whether this process has a vote in reads.
    pub fn votes(&self) -> bool {
        self.quorum.votes
    }

    /// Asks the other nodes what they have now. Whoever waits ends it with
    /// [`end_refresh`](Self::end_refresh).
    ///
    /// # Errors
    ///
    /// [`TooManyBarriers`].
    pub fn begin_refresh(&mut self) -> Result<Refresh, TooManyBarriers> {
        let questions = self.quorum.confirmations.values();
        let questions = questions.filter(|confirmation| confirmation.again.is_some());
        if self.quorum.readers() - questions.count() >= MAX_BARRIERS {
            return Err(TooManyBarriers);
        }
        Ok(self.ask_all())
    }

    fn ask_all(&mut self) -> Refresh {
        self.quorum.last += 1;
        let refresh = Refresh(self.quorum.last);
        self.quorum.refreshes.insert(refresh, Statements::new());
        let peers = self.peers.values_mut();
        for process in peers.filter_map(|peer| peer.process.as_mut()) {
            process.due.query = true;
        }
        refresh
    }

    /// The nodes that vote and of which everything that they had when they were asked is here; this one
    /// first, if it votes.
    pub fn refreshed_by(&self, refresh: Refresh) -> Vec<NodeId> {
        let own = self.quorum.votes.then_some(&self.config.node);
        let others = self.caught_up_with(refresh).filter(|(_, votes)| *votes);
        let all = own.into_iter().chain(others.map(|(node, _)| node));
        all.cloned().collect()
    }

    /// Nobody waits for it any more.
    pub fn end_refresh(&mut self, refresh: Refresh) {
        self.quorum.refreshes.remove(&refresh);
    }

    /// The nodes of which everything that they had when they were asked is here, and whether they
    /// vote.
    fn caught_up_with(&self, refresh: Refresh) -> impl Iterator<Item = (&NodeId, bool)> {
        let statements = self.quorum.refreshes.get(&refresh);
        let statement = move |node: &NodeId| statements.and_then(|all| all.get(node));
        self.others().filter_map(move |node| {
            let of = statement(node)?;
            self.has_seen(&of.context).then_some((node, of.votes))
        })
    }

    /// A peer answers the question of this number.
    pub(super) fn answered(
        &mut self,
        now: Time,
        node: &NodeId,
        number: u64,
        answer: Answer,
        votes: bool,
    ) -> Result<(), FrameError> {
        let process = self.process(node)?;
        if number > process.questions {
            return Err(FrameError::Untrue("an answer to what was not asked"));
        }
        let asked = process.question.as_mut();
        let Some(asked) = asked.filter(|asked| asked.number == number && !asked.answered) else {
            return Ok(()); // once more
        };
        asked.answered = true;
        let covers = asked.covers;
        let context = match answer {
            Answer::Equal => asked.context.clone(),
            Answer::Context(context) => {
                if self.is_sealed_by(node, &context) {
                    return Ok(());
                }
                self.check_context(&context)?;
                self.keys.adopt_seals(&context);
                context
            }
            Answer::TooLong => {
                self.process(node)?.due.digest = true;
                return Ok(());
            }
        };
        let newest = self.quorum.refreshes.keys().next_back();
        let uncovered = newest.is_some_and(|newest| *newest > Refresh(covers));
        let lacking = !self.has_seen(&context);
        let process = self.process(node)?;
        let nonce = process.nonce;
        process.states(&context);
        process.due.query |= uncovered;
        if lacking {
            // Mostly it is on its way.
            process.lacking.get_or_insert((now, context.clone()));
        }
        for (_, statements) in self.quorum.refreshes.range_mut(..=Refresh(covers)) {
            let voted = statements.get(node).is_some_and(|of| of.votes);
            if !voted {
                let context = context.clone();
                let statement = Statement {
                    nonce,
                    votes,
                    context,
                };
                statements.insert(node.clone(), statement);
            }
        }
        self.schedule_forgetting(now);
        Ok(())
    }

    /// A process votes when it has what a majority of the others had after it started, if those vote, or
    /// what all of them had: what none of them has is lost whatever anybody does.
    pub(super) fn recover(&mut self) {
        if self.quorum.votes {
            return;
        }
        let others = self.others().count();
        let (all, voters) = self
            .caught_up_with(RECOVERY)
            .fold((0, 0), |(all, voters), (_, votes)| {
                (all + 1, voters + usize::from(votes))
            });
        if all == others || voters > others / 2 {
            self.quorum.votes = true;
            self.end_refresh(RECOVERY);
        }
    }

    /// When a peer is asked again: a frame may have been lost, or it may vote by now.
    pub(super) fn ask_again_at(&self, node: &NodeId) -> Option<Time> {
        let timing = self.config.timing;
        let process = self.peers.get(node)?.process.as_ref()?;
        let asked = process.question.as_ref()?;
        let soon = !asked.answered || self.quorum.has_readers();
        let wait = if soon {
            timing.hold
        } else {
            timing.exchange_idle
        };
        let due = process.due.query || !self.quorum.waits_for(node);
        (!due).then_some(asked.at + wait)
    }
}
