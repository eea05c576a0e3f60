//! The sending side of a session: what a peer lacks, from a frozen view, frame by frame.
//!
//! The view is frozen when the session begins, so that the pieces, the records and the context at
//! the end are those of one moment, whatever is written, received or forgotten meanwhile. Frames are
//! made when they are asked for; only one message is held as bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use crdt_core::kernel::{ComparisonPart, Unit};
use crdt_core::{Context, ReplicaId, VersionVector};

use crate::asking::Asking;
use crate::fingerprint::Hashes;
use crate::frame::{Data, Frame, Message, SessionKind, Share};
use crate::key_space::Frozen;
use crate::linked::Linked;
use crate::range::Range;
use crate::time::Time;
use crate::walk::Walk;

/// How what is sent is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Bytes of data in a frame.
    pub(crate) chunk: usize,
    /// Bytes of a unit that go in one message.
    pub(crate) part: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    id: u64,
    kind: SessionKind,
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
    message: Bytes,
    number: u64,
    ended: bool,
}

/// What is sent to a peer that asks for a share.
enum Given {
    Share(Walk),
    Whole,
    Nothing,
}

impl Given {
    fn of(frozen: &Frozen, against: &Context, share: Share, least: usize) -> Self {
        let Frozen { store, index } = frozen;
        let lacking = store.context().difference(against).len();
        let few = lacking.min(index.len() as u64) < least as u64;
        let linked = (!few && !store.is_behind_floor(against))
            .then(|| Linked::of(store, against).ok())
            .flatten();
        match linked {
            Some(linked) => {
                let parts = Range::ALL.split(index, u64::from(share.of));
                // Of less than one event for each the last ones are empty.
                let part = parts.get(usize::from(share.at)).copied();
                Self::Share(Walk::within(part.unwrap_or(Range::NONE), linked))
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
            session.asking = Asking::new(&session.frozen.index, &session.against, chunk);
        }
        session
    }

    /// What a peer with context `against` lacks of a share; together with the others it is all, but the peer can't
    /// know that, and asks for what it still lacks at the end. Where that would be a full comparison, which is staged
    /// and committed as one, or fewer than `least` events, everything goes with the first share, and no other is given.
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
            Given::Share(walk) => (true, walk),
            Given::Nothing => (false, Walk::within(Range::NONE, Linked::default())),
        };
        Self {
            share: Some(given),
            ..Self::new(id, SessionKind::Exchange, frozen, against, walk)
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
            frozen,
            against,
            news: Context::new(),
            risen: VersionVector::new(),
            begun: false,
            asking: Asking::default(),
            share: None,
            walk,
            parts: VecDeque::new(),
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
        if self.message.is_empty() {
            if self.ended {
                return None;
            }
            self.message = self.next_message(now, sizes, hashes)?.encode();
        }
        let chunk = self.message.split_to(self.message.len().min(sizes.chunk));
        self.asking.note_sent(now, chunk.len());
        let ends_message = self.message.is_empty();
        let number = self.number;
        self.number += 1;
        Some(Frame::Data(Data {
            bind,
            session: self.id,
            number,
            kind: self.kind,
            ends_message,
            ends_session: ends_message && self.ended,
            chunk,
        }))
    }

    fn next_message(&mut self, now: Time, sizes: Sizes, hashes: &Hashes) -> Option<Message> {
        if self.share == Some(false) {
            self.ended = true;
            return Some(Message::Share { given: false });
        }
        // Before the first piece, so that whoever gets a removal knows what its maker had forgotten:
        // it names only what was there or on record at its maker.
        let states_floor = self.kind == SessionKind::Exchange && !self.floor().is_empty();
        if states_floor && !std::mem::replace(&mut self.begun, true) {
            let floor = self.floor().clone();
            return Some(Message::Begin { floor });
        }
        // Units of three quarters of a frame mostly fit one, with what surrounds them.
        let weight = sizes.chunk / 4 * 3;
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
                let is_some = !part.kept.is_empty() || !part.unit.is_empty();
                if waits && !is_some {
                    return None;
                }
                is_some.then_some(Message::Part(part))
            }
            SessionKind::Exchange => self.next_unit(weight, sizes.part),
            SessionKind::Flush => match self.next_unit(weight, sizes.part) {
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

    /// The next unit, or the next part of one that is too large for a message.
    fn next_unit(&mut self, weight: usize, part: usize) -> Option<Message> {
        if self.parts.is_empty() {
            let unit = self.walk.pieces(&self.frozen, &self.against, weight)?;
            self.parts = unit.cut(part);
        }
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
