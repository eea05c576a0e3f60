//! The sending side of a session: what a peer lacks, from a frozen view, frame by frame.
//!
//! The view is frozen when the session begins, so that the pieces, the records and the context at
//! the end are those of one moment, whatever is written, received or forgotten meanwhile. Frames are
//! made when they are asked for; only one message is held as bytes.
//!
//! An exchange may go on from a later view, as if it had begun anew against what the peer has by then: what changed goes
//! first, in between the chunks of a large message too, so that nothing that is new waits for all that is old.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::{ComparisonPart, Unit};
use crdt_core::{Context, Dot, ReplicaId, VersionVector};

use crate::asking::Asking;
use crate::fingerprint::Hashes;
use crate::frame::{Data, Ends, Frame, SessionKind, Share};
use crate::key_space::Frozen;
use crate::linked::{Effort, Linked};
use crate::message::Message;
use crate::range::Range;
use crate::time::Time;
use crate::walk::Walk;

/// What transactions may tie together of that which a peer lacks, at most, for an exchange with it to go on from a later
/// view: it is looked for anew each time.
const RENEWED: Effort = Effort {
    paths: 256,
    events: 1024,
};

/// How often an exchange goes on from a later view: as often as flushes are made at first, and of its duration so many
/// times, lest each leaves a gap in what the peer has seen until the end, and those become too many.
const RENEWALS: u32 = 1024;

/// Values of a draft that are dead at the source of the rest, about.
const DEAD_IN_DRAFT: u64 = 16;

/// How what is sent is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of data in a frame.
    pub(crate) chunk: usize,
    /// Bytes of a unit that go in one message.
    pub(crate) part: usize,
}

impl Sizes {
    /// Of a unit: three quarters of a frame mostly fit one, with what surrounds them.
    fn weight(self) -> usize {
        self.chunk / 4 * 3
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    id: u64,
    kind: SessionKind,
    /// What it brings is for the peer's draft.
    for_draft: bool,
    frozen: Frozen,
    against: Context,
    /// Of a flush: the events since the session before, and how the floor has risen since.
    news: Context,
    risen: VersionVector,
    /// The floor of an exchange was stated, or the context of a comparison.
    begun: bool,
    /// Of a comparison: where what is live differs.
    asking: Asking,
    /// Of an exchange that is to bring a share and no more: whether it does.
    share: Option<bool>,
    walk: Walk,
    /// What is still to go of a unit that was cut.
    parts: VecDeque<Unit>,
    /// Events that the peer has once all of what is under way is there. Not before: what goes aside overtakes it.
    under_way: Vec<Dot>,
    /// When it was looked first and last whether there is a later view.
    looked: Option<(Time, Time)>,
    /// Nothing is left of what there was at the beginning, or it can't go on from a later view.
    is_last: bool,
    /// What was sent last is old: news have their turn.
    news_turn: bool,
    /// The message is news.
    is_news: bool,
    /// News that does not fit a frame, and waits for the end of what is under way.
    waiting: Option<Unit>,
    message: Bytes,
    number: u64,
    ended: bool,
}

/// What is sent to a peer that asks for a share.
enum Given {
    Share(Box<Walk>),
    Whole,
    Nothing,
}

impl Given {
    fn of(frozen: &Frozen, against: &Context, share: Share, least: usize) -> Self {
        let Frozen { store, index } = frozen;
        let lacking = store.context().difference(against).len();
        let few = lacking.min(index.len() as u64) < least as u64;
        let linked = (!few).then(|| Linked::of(store, against).ok()).flatten();
        match linked {
            Some(linked) => {
                let parts = Range::ALL.split(index, u64::from(share.of));
                // Of less than one event for each the last ones are empty.
                let part = parts.get(usize::from(share.at)).copied();
                Self::Share(Box::new(Walk::within(part.unwrap_or(Range::NONE), linked)))
            }
            None if share.at == 0 => Self::Whole,
            None => Self::Nothing,
        }
    }
}

impl Session {
    /// Everything that a peer with context `against` lacks, in frames with `chunk` bytes of data.
    pub(crate) fn exchange(id: u64, frozen: Frozen, against: Context, chunk: usize) -> Self {
        let linked = Linked::of(&frozen.store, &against);
        let (kind, walk) = match linked {
            Ok(linked) if !frozen.store.is_behind_floor(&against) => {
                (SessionKind::Exchange, Walk::linked(linked))
            }
            // Which takes effect as one, so that nothing of it has to be linked.
            _ => {
                let links = frozen.store.links_lacked_by(&against).cloned();
                (SessionKind::Comparison, Walk::as_one(links.collect()))
            }
        };
        let mut session = Self::new(id, kind, frozen, against, walk);
        if kind == SessionKind::Comparison {
            let lacking = session.context().difference(&session.against).len();
            let (index, against) = (&session.frozen.index, &session.against);
            session.asking = Asking::new(index, against, lacking, chunk);
        }
        session
    }

    /// What a peer with context `against` lacks of a share; together with the others it is all, but the peer can't
    /// know that, and asks for what it still lacks at the end. Where it lacks something that was forgotten the share is
    /// for a draft. Where that would be fewer than `least` events, or transactions tie too much together, everything goes
    /// with the first share, and no other is given.
    pub(crate) fn share(
        id: u64,
        frozen: Frozen,
        against: Context,
        share: Share,
        least: usize,
        chunk: usize,
    ) -> Self {
        let (given, walk) = match Given::of(&frozen, &against, share, least) {
            Given::Whole => return Self::exchange(id, frozen, against, chunk),
            Given::Share(walk) => (true, *walk),
            Given::Nothing => (false, Walk::within(Range::NONE, Linked::default())),
        };
        Self {
            share: Some(given),
            for_draft: given && frozen.store.is_behind_floor(&against),
            ..Self::new(id, SessionKind::Exchange, frozen, against, walk)
        }
    }

    /// Everything but the values that are in a peer's draft.
    pub(crate) fn rest(id: u64, frozen: Frozen, values: Context, chunk: usize) -> Self {
        let links = frozen.store.links().cloned();
        let walk = Walk::with_all_records(links.collect());
        // Of what is in the draft little can be dead here.
        let asking = Asking::new(&frozen.index, &values, DEAD_IN_DRAFT, chunk);
        Self {
            for_draft: true,
            asking,
            ..Self::new(id, SessionKind::Comparison, frozen, values, walk)
        }
    }

    /// The events of `own` since the session before, at whose end the context was `before` and the
    /// floor `floor`. `None` if the peer has to be asked for its context first.
    pub(crate) fn flush(
        id: u64,
        frozen: Frozen,
        before: &Context,
        floor: &VersionVector,
        own: ReplicaId,
    ) -> Option<Self> {
        let context = frozen.store.context();
        let mut against = context.clone();
        against.set(own, before.get(own).cloned().unwrap_or_default());
        let news = context.difference(before);
        let risen = frozen.store.floor().beyond(floor);
        if frozen.store.is_behind_floor(&against) {
            return None;
        }
        let links = frozen.store.links_lacked_by(&against);
        let links = links.filter(|link| link.is_news(context, &against));
        let walk = Walk::as_one(links.cloned().collect());
        Some(Self {
            news,
            risen,
            ..Self::new(id, SessionKind::Flush, frozen, against, walk)
        })
    }

    fn new(id: u64, kind: SessionKind, frozen: Frozen, against: Context, walk: Walk) -> Self {
        let message = Bytes::new();
        Self {
            id,
            kind,
            for_draft: false,
            frozen,
            against,
            news: Context::new(),
            risen: VersionVector::new(),
            begun: false,
            asking: Asking::default(),
            share: None,
            walk,
            parts: VecDeque::new(),
            under_way: Vec::new(),
            looked: None,
            is_last: false,
            news_turn: true,
            is_news: false,
            waiting: None,
            message,
            number: 0,
            ended: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn kind(&self) -> SessionKind {
        self.kind
    }

    /// Whether it brings a share, or says that none is given: its end is not that of everything.
    pub(crate) fn is_share(&self) -> bool {
        self.share.is_some()
    }

    /// Whether any frame of it was made.
    pub(crate) fn has_begun(&self) -> bool {
        self.number > 0
    }

    /// Whether to go on from a later view, if this is what was seen by now here, and by the peer: once in an `interval`.
    pub(crate) fn is_outdated(
        &mut self,
        now: Time,
        interval: Duration,
        context: &Context,
        peer: &Context,
    ) -> bool {
        let is_due = self
            .looked
            .is_none_or(|(first, last)| last + interval.max(now.since(first) / RENEWALS) <= now);
        let is_open = self.has_begun() && !self.is_last && self.share.is_none();
        let is_exchange = self.kind == SessionKind::Exchange;
        if !is_due || !is_open || !is_exchange || self.has_news() {
            return false;
        }
        self.looked = Some((self.looked.map_or(now, |(first, _)| first), now));
        !context.is_subset(self.context()) && !context.difference(self.context()).is_subset(peer)
    }

    /// Goes on from a later view, unless what was forgotten or sealed since would have to be told first, or
    /// transactions tie too much together: then it does not any more. Returns whether it does.
    pub(crate) fn renew(&mut self, frozen: Frozen) -> bool {
        let (later, store) = (&frozen.store, &self.frozen.store);
        self.is_last = later.is_behind_floor(&self.against)
            || later.context().seals() != store.context().seals();
        let linked = Linked::with(RENEWED, later, &self.against);
        let Some(linked) = linked.ok().filter(|_| !self.is_last) else {
            self.is_last = true;
            return false;
        };
        self.begun &= later.floor() == store.floor();
        self.walk.renew(store.context().clone(), linked);
        self.frozen = frozen;
        true
    }

    fn has_news(&self) -> bool {
        self.walk.has_news() || self.waiting.is_some()
    }

    /// The context that the peer takes over at the end.
    pub(crate) fn context(&self) -> &Context {
        self.frozen.store.context()
    }

    /// The floor that the peer knows of at the end.
    pub(crate) fn floor(&self) -> &VersionVector {
        self.frozen.store.floor()
    }

    /// Since when the peer has been owing an answer without which the session can't go on.
    pub(crate) fn waits_since(&self) -> Option<Time> {
        self.asking.waits_since()
    }

    /// The peer says which of the ranges of a question differ. Returns whether that can be.
    pub(crate) fn answered(&mut self, number: u64, which: &[bool]) -> bool {
        let (index, against) = (&self.frozen.index, &self.against);
        self.asking.answered(number, which, index, against)
    }

    /// The next frame; `None` when the session is over, or waits for the peer.
    pub(crate) fn next_frame(
        &mut self,
        now: Time,
        bind: u64,
        sizes: Sizes,
        hashes: &Hashes,
    ) -> Option<Frame> {
        let is_under_way = !self.message.is_empty() || !self.parts.is_empty();
        if is_under_way && let Some(chunk) = self.next_aside(sizes) {
            return Some(self.frame(bind, Ends::Aside, chunk));
        }
        if !is_under_way {
            self.against.extend_sorted(&self.under_way);
            self.under_way.clear();
        }
        if self.message.is_empty() {
            if self.ended {
                return None;
            }
            self.message = self.next_message(now, sizes, hashes)?.encode();
        }
        let chunk = self.message.split_to(self.message.len().min(sizes.chunk));
        // What is larger than a frame is as good as old.
        self.news_turn = !self.is_news || !self.message.is_empty();
        self.asking.note_sent(now, chunk.len());
        let ends = match (self.message.is_empty(), self.ended) {
            (false, _) => Ends::Nothing,
            (true, false) => Ends::Message,
            (true, true) => Ends::Session,
        };
        Some(self.frame(bind, ends, chunk))
    }

    fn frame(&mut self, bind: u64, ends: Ends, chunk: Bytes) -> Frame {
        let number = self.number;
        self.number += 1;
        Frame::Data(Data {
            bind,
            session: self.id,
            number,
            kind: self.kind,
            for_draft: self.for_draft,
            ends,
            chunk,
        })
    }

    fn next_message(&mut self, now: Time, sizes: Sizes, hashes: &Hashes) -> Option<Message> {
        if self.share == Some(false) {
            self.ended = true;
            return Some(Message::Share { given: false });
        }
        // Before the first piece, so that whoever gets a removal knows what its maker had forgotten:
        // it names only what was there or on record at its maker.
        if self.states_floor() {
            self.begun = true;
            let floor = self.floor().clone();
            return Some(Message::Begin { floor });
        }
        let weight = sizes.weight();
        let (frozen, against) = (&self.frozen, &self.against);
        let next = match self.kind {
            SessionKind::Comparison => {
                if let Some(ranges) = self.asking.next_question(now, &frozen.index, against) {
                    let first = std::mem::replace(&mut self.begun, true);
                    let end = (!first).then(|| self.context().clone());
                    let context = end.unwrap_or_default();
                    return Some(Message::Ranges { context, ranges });
                }
                // What it lacks goes while it looks for what differs.
                if self.asking.is_ahead() {
                    return None;
                }
                let mut part = ComparisonPart::default();
                let lacking = self.walk.add_lacking(frozen, against, weight, &mut part);
                let waits = self.asking.waits_since().is_some();
                if !waits {
                    let rest = weight.saturating_sub(lacking);
                    let statement = self.asking.statement();
                    statement.add_kept(frozen, against, rest, &mut part);
                }
                part.unit.normalize();
                let goes_on = self.walk.is_looking();
                let is_some = goes_on || !part.kept.is_empty() || !part.unit.is_empty();
                if waits && !is_some {
                    return None;
                }
                is_some.then_some(Message::Part(part))
            }
            SessionKind::Exchange => self.next_old_or_new(sizes),
            SessionKind::Flush => match self.next_unit(sizes) {
                Some(Message::Unit(unit)) if !self.has_pieces() => {
                    self.ended = true;
                    return Some(self.end_of_flush(unit, hashes));
                }
                None => {
                    self.ended = true;
                    return Some(self.end_of_flush(Unit::default(), hashes));
                }
                unit => unit,
            },
        };
        Some(next.unwrap_or_else(|| {
            self.ended = true;
            if let Some(given) = self.share {
                return Message::Share { given };
            }
            let store = &self.frozen.store;
            Message::End {
                floor: store.floor().clone(),
                context: store.context().clone(),
            }
        }))
    }

    /// Of an exchange what is old and what is news in turn, the rest of either when there is no more of the other.
    fn next_old_or_new(&mut self, sizes: Sizes) -> Option<Message> {
        let news = self.news_turn && self.parts.is_empty();
        let first = news.then(|| self.next_news(sizes)).flatten();
        self.is_news = first.is_some();
        if let Some(message) = first.or_else(|| self.next_unit(sizes)) {
            return Some(message);
        }
        let last = self.next_news(sizes);
        self.is_news = last.is_some();
        // Only then it is known which links have nothing left that could be sent.
        last.or_else(|| self.next_unit(sizes))
    }

    fn next_news(&mut self, sizes: Sizes) -> Option<Message> {
        let unit = self.waiting.take().or_else(|| self.news(sizes))?;
        self.under_way = unit.events();
        self.parts = unit.cut(sizes.part);
        self.next_part()
    }

    fn news(&mut self, sizes: Sizes) -> Option<Unit> {
        let (frozen, against) = (&self.frozen, &self.against);
        self.walk.news(frozen, against, sizes.weight())
    }

    /// A message in the middle of what is under way, if there is news, its turn, and room for it in one frame.
    fn next_aside(&mut self, sizes: Sizes) -> Option<Bytes> {
        if !self.news_turn || self.waiting.is_some() || !self.walk.has_news() {
            return None;
        }
        if self.states_floor() {
            let floor = self.floor().clone();
            let begin = Message::Begin { floor }.encode();
            self.begun = begin.len() <= sizes.chunk;
            return self.begun.then_some(begin);
        }
        let unit = self.news(sizes)?;
        let events = unit.events();
        let message = Message::Unit(unit);
        let bytes = message.encode();
        if bytes.len() <= sizes.chunk {
            self.news_turn = false;
            self.against.extend_sorted(&events);
            return Some(bytes);
        }
        if let Message::Unit(unit) = message {
            self.waiting = Some(unit);
        }
        None
    }

    /// Of an exchange: whether the floor has to be stated before any piece.
    fn states_floor(&self) -> bool {
        let is_sync = self.kind == SessionKind::Exchange && !self.for_draft;
        is_sync && !self.begun && !self.floor().is_empty()
    }

    /// The next unit, or the next part of one that is too large for a message.
    fn next_unit(&mut self, sizes: Sizes) -> Option<Message> {
        if self.parts.is_empty() {
            let (frozen, against) = (&self.frozen, &self.against);
            let unit = self.walk.pieces(frozen, against, sizes.weight());
            let unit = match self.for_draft {
                true => unit.map(Unit::into_values),
                false => unit,
            };
            self.is_last |= unit.is_none();
            let unit = unit?;
            if self.kind == SessionKind::Exchange && !unit.links.is_empty() {
                // So that what is tied together is not sent again from a later view.
                self.under_way = unit.events();
            }
            self.parts = unit.cut(sizes.part);
        }
        self.next_part()
    }

    fn next_part(&mut self) -> Option<Message> {
        let part = self.parts.pop_front()?;
        Some(if self.parts.is_empty() {
            Message::Unit(part)
        } else {
            Message::Staged(part)
        })
    }

    fn has_pieces(&self) -> bool {
        let next = self.walk.clone().pieces(&self.frozen, &self.against, 1);
        next.is_some()
    }

    fn end_of_flush(&self, unit: Unit, hashes: &Hashes) -> Message {
        let hash = hashes.context(self.context()) as u64;
        Message::Flush {
            news: self.news.clone(),
            hash,
            floor: self.risen.clone(),
            unit,
        }
    }
}
