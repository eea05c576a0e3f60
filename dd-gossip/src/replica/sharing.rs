//! The first catch-up from several members at once.
//!
//! What there is comes in equal shares, by the order of events; whoever has given one is asked for the next, so that
//! each gives as much as it can. A share takes nothing over. When none is left that nobody was asked for, the one that is
//! free then is told what is here and asked for everything, and the others to send no more: that brings what is still
//! lacking, whatever the others held back or had more of, and the context at the end.

use crdt_core::kernel::{Comparison, Unit};
use crdt_core::{Context, Dot, Name, VersionVector};

use super::Replica;
use super::expiry::IDLE;
use super::owned::FAMILIES;
use crate::NodeId;
use crate::draft::Draft;
use crate::frame::Share;
use crate::key_space::Frozen;
use crate::peer::{Peer, Process};
use crate::time::Time;

/// Members that are asked for shares at one time, at most.
pub const MAX_SOURCES: usize = 3;

/// Shares of what there is. With fewer, more is left for the last one that is asked; each costs a round trip.
pub const SHARES: u8 = 32;

/// What has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sharing {
    /// The shares that are here, a bit for each.
    given: u32,
    /// A draft was begun. There is no other: whoever was told of values in it is told of no others.
    drafted: bool,
}

const _: () = assert!(SHARES as u32 <= u32::BITS, "there is a bit for each");

impl Replica {
    /// Whether a peer may be asked for what is lacking: one at a time, so that a replica that has
    /// much to catch up with is not sent everything by everyone; at the first time some for a share each.
    pub(super) fn may_ask(&self, now: Time, node: &NodeId) -> bool {
        let then = now.before(self.config.timing.retry);
        let others = self.peers.values().filter(|peer| peer.node != *node);
        let others = others.filter_map(|peer| Some((peer, peer.process.as_ref()?)));
        // That one will be asked counts as well: digests of several may come at once. But not of one that takes nothing,
        // and says nothing either.
        let will_be =
            |peer: &Peer, process: &Process| process.due.want == Some(true) && peer.seen >= then;
        let mut asked = others
            .filter(|(peer, process)| will_be(peer, process) || process.is_catching_up_from(then));
        if !self.may_share(node) {
            return asked.next().is_none();
        }
        let mut sources = 0;
        asked.all(|(_, process)| {
            sources += 1;
            let begun = process.is_catching_up_from(then) || !process.due.statement.is_empty();
            let gives_all = process.share.is_none() && begun;
            !gives_all && sources < MAX_SOURCES
        })
    }

    fn may_share(&self, node: &NodeId) -> bool {
        let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
        let gives = process.is_some_and(|process| !process.gives_no_share);
        let takes = match &self.draft {
            Some(draft) => !draft.is_closed(),
            None => !self.sharing.drafted,
        };
        !self.caught_up && gives && takes
    }

    /// Takes in what a share brought that can't be shown yet; after the end of sharing it is too late.
    pub(super) fn put_into_draft(&mut self, unit: Unit, events: &[Dot]) {
        if !self.caught_up && !std::mem::replace(&mut self.sharing.drafted, true) {
            self.draft = Some(Draft::of(&self.keys));
        }
        if let Some(draft) = &mut self.draft {
            draft.take(unit, events);
        }
    }

    /// The values in the draft, if there is one, for whoever is asked for the rest.
    pub(super) fn close_draft(&mut self) -> Option<Context> {
        let draft = self.draft.as_mut()?;
        let _shown = (!draft.is_closed()).then(|| self.keys.show());
        Some(draft.close().clone())
    }

    /// Whether something for the draft was asked for and has not come yet.
    pub(super) fn is_filling_draft(&self) -> bool {
        let mut processes = self.peers.values().filter_map(|peer| peer.process.as_ref());
        let comes = |process: &Process| {
            let is_told = process.due.want == Some(true);
            process.share.is_some() || process.asked.is_some() || is_told
        };
        self.draft.is_some() && processes.any(comes)
    }

    /// With what a full comparison is: what is here, or in the draft. None if there is no draft any more.
    pub(super) fn compared(&self, draft: bool) -> Option<Frozen> {
        if draft {
            let closed = self.draft.as_ref().filter(|draft| draft.is_closed());
            closed.map(Draft::freeze)
        } else {
            Some(self.keys.freeze())
        }
    }

    /// The rest has come. Returns whether what was put together is here now: not if there is no draft any more, or its
    /// values were stated to nobody.
    pub(super) fn show_draft(
        &mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
    ) -> bool {
        let Some(draft) = self.draft.take_if(|draft| draft.is_closed()) else {
            return false;
        };
        let _shown = self.keys.show();
        let complete = draft.complete(comparison, context, floor, &mut self.keys);
        if complete {
            // What was here and is not any more changed too.
            let special = [FAMILIES, IDLE].map(Name::new);
            let keys = special.into_iter().chain(self.expiry.keys().cloned());
            self.keys.note_marked(keys);
        }
        complete
    }

    /// The share that a peer is to be asked for; none if it is to be asked for everything.
    pub(super) fn next_share(&mut self, node: &NodeId) -> Option<Share> {
        if !self.may_share(node) {
            return None;
        }
        let processes = self.peers.values().filter_map(|peer| peer.process.as_ref());
        let asked_for = processes.filter_map(|process| process.share);
        let taken = asked_for.fold(self.sharing.given, |taken, at| taken | 1 << at);
        let process = self.process(node).ok()?;
        let at = process
            .share
            .or_else(|| (0..SHARES).find(|at| taken & (1 << at) == 0));
        process.share = at;
        at.map(|at| Share { at, of: SHARES })
    }

    /// A peer has given the share that it was asked for, or gives none.
    pub(super) fn note_shared(&mut self, now: Time, node: &NodeId, given: bool) {
        let Ok(process) = self.process(node) else {
            return;
        };
        process.gives_no_share |= !given;
        let Some(at) = process.share.take() else {
            return; // It was asked for something else since.
        };
        process.asked = None;
        if given {
            self.sharing.given |= 1 << at;
            self.counts.shares_received += 1;
        }
        let ask = self.may_ask(now, node);
        if let Ok(process) = self.process(node) {
            process.due.want = ask.then_some(true).or(process.due.want);
            process.deferred |= !ask;
        }
    }

    /// From now on everything comes from this one, or all is here: the others are to send no more of their shares.
    pub(super) fn end_sharing(&mut self, node: &NodeId) {
        let others = self.peers.values_mut().filter(|peer| peer.node != *node);
        for process in others.filter_map(|peer| peer.process.as_mut()) {
            let gives = process.share.take().is_some();
            if gives {
                process.asked = None;
                process.due.no_more = true;
                process.incoming.give_up();
            }
            let will_be = process.due.want == Some(true);
            if will_be {
                process.due.want = None;
                process.due.statement.clear();
            }
            process.deferred |= gives || will_be;
        }
        if let Ok(process) = self.process(node) {
            process.share = None;
        }
    }

    /// A peer that was asked is gone, or does not answer: others have what it was to bring.
    pub(super) fn ask_deferred(&mut self) {
        let processes = self.peers.values_mut();
        for process in processes.filter_map(|peer| peer.process.as_mut()) {
            process.due.digest |= std::mem::take(&mut process.deferred);
        }
    }
}
