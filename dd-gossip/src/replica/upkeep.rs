//! What is due with time: comparisons of contexts, retries, forgetting.

use std::time::Duration;

use crdt_core::kernel::{Link, Record};
use crdt_core::{Context, Path};

use super::Replica;
use crate::NodeId;
use crate::peer::Peer;
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
                [process.flush_at, process.relay_at, hold, asked, lacking]
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
        let then = now.before(timing.retry);
        if over(process.asked, timing.retry) {
            process.asked = None;
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
        let away = self.config.timing.away;
        let crowded = self.keys.store().record_count() > MAX_RECORDS;
        let many_links = self.has_many_transactions();
        let nothing = Context::new();
        let waited_for = |peer: &Peer| now.since(peer.seen) < away;
        let known: Vec<&Context> = self
            .peers
            .values()
            .filter_map(|peer| match &peer.process {
                Some(process) => Some(&process.known),
                None => waited_for(peer).then_some(&nothing),
            })
            .collect();
        let own = self.config.replica;
        let owners: Vec<_> = self
            .peers
            .values()
            .filter_map(|peer| peer.process.as_ref())
            .map(|process| (process.replica, &process.stated))
            .collect();
        let stable = |mine: &Context, _: &Path, record: &Record| {
            let everywhere = crowded || known.iter().all(|known| known.contains(record.dot));
            // The owner of a run that was cut knows of the cut, and what it had counted by then is
            // here; what it counts later carries the cut.
            let owner_done = |replica| {
                replica == own
                    || owners.iter().any(|(owner, stated)| {
                        *owner == replica
                            && stated.contains(record.dot)
                            && stated.restrict([replica]).is_subset(mine)
                    })
            };
            everywhere && record.cuts.keys().all(|key| owner_done(key.replica))
        };
        let everywhere = |link: &Link| many_links || known.iter().all(|known| link.is_in(known));
        let links = self.keys.forget_links(everywhere);
        self.counts.transactions_forgotten += links as u64;
        self.counts.records_forgotten += self.keys.forget(stable) as u64;
    }

    pub(super) fn has_many_transactions(&self) -> bool {
        self.keys.store().link_count() > MAX_TRANSACTIONS
    }
}
