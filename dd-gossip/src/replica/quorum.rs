//! What other nodes have: whether they have this replica's writes, and whether this one has theirs.
//!
//! Votes are those of nodes, not of processes; what a process acknowledged counts as long as it runs.
//! A process that may have lost what its node acknowledged before, as every new one of an in-memory
//! store may, has no vote in reads until it has what a majority of the others had after it started.
//! Without that rule a write confirmed by A and B is missed by a read of B and C, if B was restarted
//! in between.

use std::collections::BTreeMap;

use crdt_core::Context;

use super::Replica;
use crate::NodeId;
use crate::frame::{Answer, FrameError};
use crate::time::Time;

/// Reads that wait for other nodes at one time, at most.
pub const MAX_REFRESHES: usize = 4096;

/// A read that waits for what other nodes have; see [`Replica::begin_refresh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refresh(u64);

/// Too many reads wait: [`MAX_REFRESHES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_REFRESHES} reads wait for other nodes already: wait for some of them first")]
pub struct TooManyRefreshes;

/// What each node stated in answer to a question.
type Statements = BTreeMap<NodeId, Statement>;

#[derive(Clone, Debug)]
struct Statement {
    votes: bool,
    context: Context,
}

/// The votes of this process and what it waits for.
#[derive(Debug)]
pub(super) struct Quorum {
    votes: bool,
    /// What was stated since each began. A question carries the number of the newest, and its answer
    /// counts for all up to that one.
    refreshes: BTreeMap<Refresh, Statements>,
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
            last: 0,
        }
    }

    pub(super) fn votes(&self) -> bool {
        self.votes
    }

    /// The number of the newest refresh.
    pub(super) fn last(&self) -> u64 {
        self.last
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
    /// The nodes of the cluster, this one included.
    pub fn nodes(&self) -> usize {
        self.others().count() + 1
    }

    fn others(&self) -> impl Iterator<Item = &NodeId> {
        self.peers
            .keys()
            .filter(|node| self.config.peers.contains(node))
    }

    /// The events that were seen here.
    pub fn context(&self) -> &Context {
        self.keys.context()
    }

    /// What this replica wrote so far, for [`confirmed_by`](Self::confirmed_by).
    pub fn written(&self) -> Context {
        self.keys.context().restrict([self.config.replica])
    }

    /// Whether all of these events are here.
    pub fn has_seen(&self, events: &Context) -> bool {
        events.is_subset(self.keys.context())
    }

    /// The nodes that have all of these events, as far as their present processes said so; this one
    /// first, if it has.
    pub fn confirmed_by(&self, events: &Context) -> Vec<NodeId> {
        let has = |node: &&NodeId| {
            let peer = self.peers.get(*node);
            let process = peer.and_then(|peer| peer.process.as_ref());
            process.is_some_and(|process| events.is_subset(&process.known))
        };
        let own = self.has_seen(events).then_some(&self.config.node);
        let all = own.into_iter().chain(self.others().filter(has));
        all.cloned().collect()
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
    /// [`TooManyRefreshes`].
    pub fn begin_refresh(&mut self) -> Result<Refresh, TooManyRefreshes> {
        if self.quorum.readers() >= MAX_REFRESHES {
            return Err(TooManyRefreshes);
        }
        self.quorum.last += 1;
        let refresh = Refresh(self.quorum.last);
        self.quorum.refreshes.insert(refresh, Statements::new());
        for process in self
            .peers
            .values_mut()
            .filter_map(|peer| peer.process.as_mut())
        {
            process.due.query = true;
        }
        Ok(refresh)
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
                self.check_context(&context)?;
                context
            }
            Answer::TooLong => {
                self.process(node)?.due.digest = true;
                return Ok(());
            }
        };
        let uncovered = covers < self.quorum.last;
        let lacking = !self.has_seen(&context);
        let process = self.process(node)?;
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
                statements.insert(node.clone(), Statement { votes, context });
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
