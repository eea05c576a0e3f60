//! What is due with time: comparisons of contexts, retries, forgetting.

use std::collections::BTreeMap;
use std::time::Duration;

use crdt_core::kernel::{Link, Record};
use crdt_core::{Context, Path, ReplicaId};

use super::Replica;
use crate::NodeId;
use crate::config::Config;
use crate::peer::Peer;
use crate::session::Session;
use crate::time::Time;

/// How long records are collected before they are looked through for what may be forgotten.
const FORGET: Duration = Duration::from_millis(250);

/// Removal records that are kept at most; beyond it those that this replica's context covers go,
/// and a peer that lacks them catches up by a full comparison. At some 100 bytes each, 64 MiB.
pub const MAX_RECORDS: usize = 640 * 1024;

/// Transactions that are kept at most, as of records: beyond it those go of which this replica has all
/// events. At some hundred bytes each, 2 MiB; at the most paths that each may have, some 300 MiB.
pub const MAX_TRANSACTIONS: usize = 16 * 1024;

impl Replica {
    /// Does what is due by now. To be called when [`poll_timeout`](Self::poll_timeout) is over;
    /// earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Time) {
        let nodes: Vec<NodeId> = self.peers.keys().cloned().collect();
        for node in &nodes {
            self.retry(now, node);
        }
        if now >= self.exchange_at {
            self.begin_exchange(now);
        }
        self.delete_orphans(now);
        self.look_for_seals(now);
        self.end_what_is_over(now);
        self.scrub(now);
        if self.forget_at.is_some_and(|at| now >= at) {
            self.forget_at = None;
            self.forget(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, or a frame will be.
    pub fn poll_timeout(&self) -> Time {
        let timing = self.config.timing;
        let mut next = self
            .forget_at
            .map_or(self.exchange_at, |at| at.min(self.exchange_at));
        next = next.min(self.sealing.poll_timeout());
        next = self
            .self_check
            .poll_timeout()
            .map_or(next, |at| at.min(next));
        next = self.poll_expiry().map_or(next, |at| at.min(next));
        next = self.owned.poll_timeout().map_or(next, |at| at.min(next));
        for peer in self.peers.values().filter(|peer| peer.connected) {
            let hello = peer.hello_sent.filter(|_| peer.process.is_none());
            let hello = hello.map(|sent| sent + timing.retry);
            let process = peer.process.as_ref();
            let due = process.map(|process| {
                let hold = process
                    .incoming
                    .held_since()
                    .map(|since| since + timing.hold);
                let asked = process.asked.map(|asked| asked + timing.retry);
                let lacking = process.lacking.as_ref().map(|(at, _)| *at + timing.hold);
                let session = process.session.as_ref();
                let answer = session.and_then(Session::waits_since);
                let answer = answer.map(|since| since + timing.retry);
                [
                    process.flush_at,
                    process.relay_at,
                    hold,
                    asked,
                    lacking,
                    answer,
                ]
            });
            for at in due.into_iter().flatten().chain([hello]).flatten() {
                next = next.min(at);
            }
            next = self
                .ask_again_at(&peer.node)
                .map_or(next, |at| at.min(next));
        }
        next
    }

    fn retry(&mut self, now: Time, node: &NodeId) {
        let timing = self.config.timing;
        let over = |since: Option<Time>, wait| since.is_some_and(|since| now >= since + wait);
        let newer = self.keys.context().clone();
        let ask_again = self.ask_again_at(node).is_some_and(|at| now >= at);
        let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.connected) else {
            return;
        };
        let Some(process) = &mut peer.process else {
            if over(peer.hello_sent, timing.retry) {
                (peer.hello_sent, peer.hello_due) = (None, true);
            }
            return;
        };
        if process.flush_at.is_some_and(|at| now >= at) {
            process.flush_at = None;
            process.due.flush = true;
        }
        if process.relay_at.is_some_and(|at| now >= at) {
            process.relay_at = None;
            process.due.digest |= !newer.is_subset(&process.known) && process.session.is_none();
        }
        process.due.query |= ask_again;
        if over(process.lacking.as_ref().map(|(at, _)| *at), timing.hold) {
            let lacking = process.lacking.take();
            process.due.digest |= lacking.is_some_and(|(_, events)| !events.is_subset(&newer));
        }
        let session = process.session.as_ref();
        if over(session.and_then(Session::waits_since), timing.retry) {
            // Its answer was lost: contexts are compared anew.
            process.session = None;
            process.due.digest = true;
            self.counts.sessions_broken += 1;
        }
        let stale = process.incoming.drop_stale(now.before(timing.retry * 4));
        self.counts.comparisons_cut += u64::from(stale);
        let then = now.before(timing.retry);
        if over(process.asked, timing.retry) {
            process.asked = None;
            // It may not have heard what it was told.
            process.told = Context::new();
            process.due.digest |= !process.incoming.is_catching_up(then);
        }
        if over(process.incoming.held_since(), timing.hold) {
            self.counts.sessions_broken += 1;
            // The peer is up, so asking can't fail.
            let _ = self.ask_anew(now, node);
        }
    }

    /// Compares contexts with a random peer that is up and has nothing under way.
    fn begin_exchange(&mut self, now: Time) {
        let timing = self.config.timing;
        self.exchange_at = now + self.rng.spread(self.exchange_wait);
        self.exchange_wait = (self.exchange_wait * 2).min(timing.exchange_idle);
        let then = now.before(timing.retry);
        let mut idle: Vec<_> = self
            .peers
            .values_mut()
            .filter_map(|peer| peer.process.as_mut())
            .filter(|process| process.session.is_none() && !process.is_catching_up_from(then))
            .collect();
        if !idle.is_empty() {
            let chosen = self.rng.below(idle.len());
            idle[chosen].due.digest = true;
        }
    }

    /// There is something to exchange: the interval between comparisons is short again.
    pub(super) fn note_different(&mut self, now: Time) {
        let timing = self.config.timing;
        if self.exchange_wait > timing.exchange {
            self.exchange_wait = timing.exchange;
            self.exchange_at = self.exchange_at.min(now + self.rng.spread(timing.exchange));
        }
    }

    pub(super) fn schedule_forgetting(&mut self, now: Time) {
        let store = self.keys.store();
        if store.record_count() + store.link_count() > 0 {
            self.forget_at.get_or_insert(now + FORGET);
        }
    }

    /// Forgets the removal records that every peer has, and the transactions. A peer that has been
    /// away for too long is not waited for, and with too many records or transactions none is.
    pub(super) fn forget(&mut self, now: Time) {
        let crowded = self.has_many_transactions();
        let awaited = Awaited::of(&self.config, &self.peers, now, crowded);
        let everywhere = |link: &Link| awaited.all_have(|known| link.is_in(known));
        let links = self.keys.forget_links(everywhere);
        self.counts.transactions_forgotten += links as u64;

        let awaited = Awaited::of(&self.config, &self.peers, now, self.has_many_records());
        let stable = |mine: &Context, _: &Path, record: &Record| {
            awaited.lacking(record).next().is_none() && awaited.is_settled(mine, record)
        };
        self.counts.records_forgotten += self.keys.forget(stable) as u64;
    }

    /// Why removal records are still kept. O(records × peers).
    pub fn records_awaited(&self, now: Time) -> RecordsAwaited {
        let awaited = Awaited::of(&self.config, &self.peers, now, self.has_many_records());
        let mut why = RecordsAwaited::default();
        for (_, record) in self.keys.store().records() {
            for node in awaited.lacking(record) {
                *why.by_peer.entry(node.clone()).or_default() += 1;
            }
            why.of_counters += u64::from(!awaited.is_settled(self.keys.context(), record));
        }
        why
    }

    fn has_many_records(&self) -> bool {
        self.keys.store().record_count() > MAX_RECORDS
    }

    pub(super) fn has_many_transactions(&self) -> bool {
        self.keys.store().link_count() > MAX_TRANSACTIONS
    }
}

/// Why removal records are still kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordsAwaited {
    /// Peers that are not known to have some of them, with how many. A peer that has been away for
    /// longer than [`Timing::away`](crate::Timing::away) is not waited for.
    pub by_peer: BTreeMap<NodeId, u64>,
    /// Records of removed counters that wait for word from a process that counted in them.
    pub of_counters: u64,
}

/// What the peers are known to have, for the question what may be forgotten.
struct Awaited<'a> {
    own: ReplicaId,
    known: Vec<(&'a NodeId, Option<&'a Context>)>,
    /// Processes with what they stated themselves.
    owners: Vec<(ReplicaId, &'a Context)>,
}

impl<'a> Awaited<'a> {
    /// `crowded`: nobody is waited for.
    fn of(config: &Config, peers: &'a BTreeMap<NodeId, Peer>, now: Time, crowded: bool) -> Self {
        let is_awaited =
            |peer: &Peer| peer.process.is_some() || now.since(peer.seen) < config.timing.away;
        let awaited = peers.values().filter(|peer| !crowded && is_awaited(peer));
        let known = awaited.map(|peer| {
            let process = peer.process.as_ref();
            (&peer.node, process.map(|process| &process.known))
        });
        let processes = peers.values().filter_map(|peer| peer.process.as_ref());
        Self {
            own: config.replica,
            known: known.collect(),
            owners: processes.map(|p| (p.replica, &p.stated)).collect(),
        }
    }

    fn all_have(&self, has: impl Fn(&Context) -> bool) -> bool {
        self.known.iter().all(|(_, known)| known.is_some_and(&has))
    }

    /// The peers that are not known to have a record.
    fn lacking(&self, record: &Record) -> impl Iterator<Item = &'a NodeId> {
        let has = |known: &Context| known.contains(record.dot);
        let lacking = self.known.iter().filter(move |(_, k)| !k.is_some_and(has));
        lacking.map(|(node, _)| *node)
    }

    /// Whether the owner of each run that was cut knows of the cut, and what it had counted by then
    /// is here; what it counts later carries the cut.
    fn is_settled(&self, mine: &Context, record: &Record) -> bool {
        let is_done = |replica| {
            replica == self.own
                || mine.is_sealed(replica)
                || self.owners.iter().any(|(owner, stated)| {
                    *owner == replica
                        && stated.contains(record.dot)
                        && stated.restrict([replica]).is_subset(mine)
                })
        };
        record.cuts.keys().all(|key| is_done(key.replica))
    }
}
