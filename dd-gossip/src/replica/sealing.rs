//! Sealing: contexts do not grow with restarts.
//!
//! Every process of a node writes under an id of its own, so every one that wrote leaves an entry in contexts
//! and digests. When a process is gone and every member has seen the same of it, its entry is replaced by a
//! seal, one for each node, which covers all its incarnations up to one: whatever there might be of them
//! counts as seen.
//!
//! The rule is that of `dd-testkit`'s model of sealing: the member with the first name asks all others twice for
//! a digest of what they have seen. If all answer both times, as the same processes, with its own, there was a
//! moment at which all had seen the same, and from then on nobody can get more from anybody. Whoever is
//! connected to the process in question does not answer. Others take the seal over when contexts are compared.
//!
//! Who was not asked, because it is no member to who sealed, may have seen something else. If that is nothing, it
//! goes through a full comparison. Otherwise there may be removals among it that the seal does not count, and
//! what they removed can't be told from what is gone: its replica is [made anew](Replica::reborn), and until then
//! nothing is taken over from it. The digest does not tell more from less, so that it is made anew where it has seen
//! less as well. What no other replica had of its own events is lost then, and what it alone had got from processes
//! that are gone. Of two sides that removed each other, and sealed each other's processes, only one side's replicas
//! are: of the seals that only one side has, the side that has the greatest stays.
//!
//! A member that is down keeps everything from being sealed, until it is back or is removed.

use std::collections::BTreeMap;

use crdt_core::ReplicaId;

use super::Replica;
use crate::NodeId;
use crate::frame::{FrameError, MAX_SEALS};
use crate::peer::Peer;
use crate::time::Time;

#[derive(Clone, Debug)]
pub(super) struct Sealing {
    look_at: Time,
    questions: u64,
    question: Option<Question>,
}

/// A question to all others, in its first or second round.
#[derive(Clone, Debug)]
struct Question {
    /// Of the round.
    number: u64,
    /// What may be sealed, with what was seen here when the first round began.
    candidates: Vec<(ReplicaId, u64)>,
    /// The processes that were asked.
    asked: BTreeMap<NodeId, u64>,
    answered: BTreeMap<NodeId, Vec<Option<u64>>>,
    second: bool,
}

impl Sealing {
    pub(super) fn new(look_at: Time) -> Self {
        Self {
            look_at,
            questions: 0,
            question: None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Time {
        self.look_at
    }
}

impl Replica {
    /// Looks for incarnations that can be sealed, if it is time to. What was asked before is given up.
    pub(super) fn look_for_seals(&mut self, now: Time) {
        if now < self.sealing.look_at {
            return;
        }
        self.sealing.look_at = now + self.rng.spread(self.config.timing.seal);
        self.sealing.question = None;
        let asks = self.others().all(|node| self.config.node < *node);
        if !asks {
            return;
        }
        // All members, and whoever else is here and might hold something.
        let asked = self
            .peers
            .values()
            .filter(|p| p.member || p.process.is_some());
        let process = |peer: &Peer| Some((peer.node.clone(), peer.process.as_ref()?.nonce));
        let asked: Option<BTreeMap<NodeId, u64>> = asked.map(process).collect();
        let candidates = self.candidates();
        if let (Some(asked), false) = (asked, candidates.is_empty()) {
            self.ask_for_seals(now, candidates, asked, false);
        }
    }

    /// Incarnations that are gone, as far as is known here, with what was seen of them.
    fn candidates(&self) -> Vec<(ReplicaId, u64)> {
        let running = self.running();
        let members: Vec<u64> = self.others().map(NodeId::hashed).collect();
        let mut last: BTreeMap<u64, ReplicaId> = BTreeMap::new();
        for (origin, _) in self.keys.context().iter() {
            let gone = match running.get(&origin.node()) {
                Some(newest) => origin < *newest,
                None => !members.contains(&origin.node()),
            };
            if gone {
                last.insert(origin.node(), origin);
            }
        }
        let digest = |last: ReplicaId| (last, self.keys.context().digest_up_to(last));
        last.into_values().take(MAX_SEALS).map(digest).collect()
    }

    /// The incarnations that run, as far as they are connected; of each node the first.
    fn running(&self) -> BTreeMap<u64, ReplicaId> {
        let processes = self.peers.values().filter_map(|peer| peer.process.as_ref());
        let all = processes.map(|process| process.replica);
        let mut running = BTreeMap::new();
        for replica in all.chain([self.config.replica]) {
            let first = running.entry(replica.node()).or_insert(replica);
            *first = replica.min(*first);
        }
        running
    }

    fn ask_for_seals(
        &mut self,
        now: Time,
        candidates: Vec<(ReplicaId, u64)>,
        asked: BTreeMap<NodeId, u64>,
        second: bool,
    ) {
        self.sealing.questions += 1;
        let number = self.sealing.questions;
        for node in asked.keys() {
            if let Ok(process) = self.process(node) {
                process.due.seal_ask = Some(number);
            }
        }
        self.sealing.question = Some(Question {
            number,
            candidates,
            asked,
            answered: BTreeMap::new(),
            second,
        });
        self.weigh_seals(now);
    }

    /// What is asked of others, for the question of this number.
    pub(super) fn seals_asked(&self, number: u64) -> Option<Vec<ReplicaId>> {
        let question = self.sealing.question.as_ref();
        let question = question.filter(|question| question.number == number)?;
        Some(question.candidates.iter().map(|(last, _)| *last).collect())
    }

    /// A peer asks what was seen here.
    pub(super) fn seal_asked(
        &mut self,
        node: &NodeId,
        number: u64,
        last: &[ReplicaId],
    ) -> Result<(), FrameError> {
        let running = self.running();
        let context = self.keys.context();
        let digest = |last: &ReplicaId| {
            let newest = running.get(&last.node());
            if newest.is_some_and(|newest| newest <= last) {
                return None;
            }
            let sealed = context.seals().iter().find(|(sealed, _)| sealed == last);
            let digest = sealed.map(|(_, digest)| digest);
            digest.or_else(|| (!context.is_sealed(*last)).then(|| context.digest_up_to(*last)))
        };
        let digests = last.iter().map(digest).collect();
        self.process(node)?.due.seal_answer = Some((number, digests));
        Ok(())
    }

    /// A peer answers.
    pub(super) fn seal_answered(
        &mut self,
        now: Time,
        node: &NodeId,
        number: u64,
        digests: Vec<Option<u64>>,
    ) -> Result<(), FrameError> {
        let nonce = self.process(node)?.nonce;
        let question = self.sealing.question.as_mut();
        let Some(question) = question.filter(|question| question.number == number) else {
            return Ok(()); // late
        };
        if digests.len() != question.candidates.len() {
            return Err(FrameError::Untrue("an answer to another question"));
        }
        if question.asked.get(node) == Some(&nonce) {
            question.answered.insert(node.clone(), digests);
            self.weigh_seals(now);
        }
        Ok(())
    }

    /// When all have answered, asks once more, or seals.
    fn weigh_seals(&mut self, now: Time) {
        let whole = |question: &mut Question| question.answered.len() == question.asked.len();
        let Some(question) = self.sealing.question.take_if(whole) else {
            return;
        };
        // Those who are members by now.
        let members = self.others().all(|node| question.asked.contains_key(node));
        let answers = |at: usize| question.answered.values().map(move |digests| digests[at]);
        let context = self.keys.context();
        let agreed = |(at, (last, digest)): (usize, &(ReplicaId, u64))| {
            let same = context.digest_up_to(*last) == *digest && !context.is_sealed(*last);
            let all = answers(at).all(|answer| answer == Some(*digest));
            (same && all && members).then_some((*last, *digest))
        };
        let candidates = question.candidates.iter().enumerate();
        let agreed: Vec<(ReplicaId, u64)> = candidates.filter_map(agreed).collect();
        if agreed.is_empty() {
            return;
        }
        if !question.second && !question.asked.is_empty() {
            return self.ask_for_seals(now, agreed, question.asked, true);
        }
        for (last, digest) in &agreed {
            self.keys.seal(*last, *digest);
        }
        tracing::debug!(node = %self.config.node, sealed = agreed.len(), "sealed");
        let processes = self.peers.values_mut();
        for process in processes.filter_map(|peer| peer.process.as_mut()) {
            process.due.digest = true;
        }
        // Records may have waited for processes that are gone.
        self.schedule_forgetting(now);
    }
}
