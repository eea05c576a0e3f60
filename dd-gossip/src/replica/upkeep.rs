//! What is due with time: comparisons of contexts, retries.

use crdt_core::Context;

use super::Replica;
use crate::NodeId;
use crate::session::Session;
use crate::time::Time;

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
        self.forget_if_due(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, or a frame will be.
    pub fn poll_timeout(&self) -> Time {
        let timing = self.config.timing;
        let mut next = self.exchange_at;
        next = self
            .forgetting
            .poll_timeout()
            .map_or(next, |at| at.min(next));
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
        self.counts.cut(stale);
        let then = now.before(timing.retry);
        let mut lost = false;
        if over(process.asked, timing.retry) {
            process.asked = None;
            // It may not have heard what it was told.
            process.told = Context::new();
            process.due.statement.clear();
            let comes = process.incoming.is_catching_up(then);
            process.share = process.share.filter(|_| comes);
            process.due.digest |= !comes;
            lost = !comes;
        }
        if over(process.incoming.held_since(), timing.hold) {
            self.counts.sessions_broken += 1;
            // The peer is up, so asking can't fail.
            let _ = self.ask_anew(now, node);
        }
        if lost && !self.caught_up {
            self.ask_deferred();
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
}
