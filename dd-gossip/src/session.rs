//! The sending side of a session: what a peer lacks, from a frozen view, frame by frame.
//!
//! The view is frozen when the session begins, so that the pieces, the records and the context at
//! the end are those of one moment, whatever is written, received or forgotten meanwhile. Frames are
//! made when they are asked for; only one message is held as bytes.

use bytes::Bytes;
use crdt_core::kernel::Unit;
use crdt_core::{Context, ReplicaId, VersionVector};

use crate::fingerprint::Hashes;
use crate::frame::{Data, Frame, Message, SessionKind};
use crate::key_space::{Frozen, Walk};
use crate::linked::Linked;

#[derive(Clone, Debug)]
pub(crate) struct Session {
    id: u64,
    kind: SessionKind,
    frozen: Frozen,
    against: Context,
    /// Of a flush: the events since the session before, and how the floor has risen since.
    news: Context,
    risen: VersionVector,
    /// Of an exchange: the floor was stated.
    begun: bool,
    walk: Walk,
    message: Bytes,
    number: u64,
    ended: bool,
}

impl Session {
    /// Everything that a peer with context `against` lacks.
    pub(crate) fn exchange(id: u64, frozen: Frozen, against: Context) -> Self {
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
        Self::new(id, kind, frozen, against, walk)
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
            walk,
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

    /// The context that the peer takes over at the end.
    pub(crate) fn context(&self) -> &Context {
        self.frozen.store.context()
    }

    /// The floor that the peer knows of at the end.
    pub(crate) fn floor(&self) -> &VersionVector {
        self.frozen.store.floor()
    }

    /// The next frame; `None` when the session is over.
    pub(crate) fn next_frame(&mut self, bind: u64, chunk: usize, hashes: &Hashes) -> Option<Frame> {
        if self.message.is_empty() {
            if self.ended {
                return None;
            }
            // Units of three quarters of a frame mostly fit one, with what surrounds them.
            self.message = self.next_message(chunk / 4 * 3, hashes).encode();
        }
        let chunk = self.message.split_to(self.message.len().min(chunk));
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

    fn next_message(&mut self, weight: usize, hashes: &Hashes) -> Message {
        // Before the first piece, so that whoever gets a removal knows what its maker had forgotten:
        // it names only what was there or on record at its maker.
        let states_floor = self.kind == SessionKind::Exchange && !self.floor().is_empty();
        if states_floor && !std::mem::replace(&mut self.begun, true) {
            let floor = self.floor().clone();
            return Message::Begin { floor };
        }
        let (frozen, against) = (&self.frozen, &self.against);
        let next = match self.kind {
            SessionKind::Comparison => self.walk.parts(frozen, against, weight).map(Message::Part),
            SessionKind::Exchange => self.walk.pieces(frozen, against, weight).map(Message::Unit),
            SessionKind::Flush => {
                let unit = self
                    .walk
                    .pieces(frozen, against, weight)
                    .unwrap_or_default();
                if self.walk.clone().pieces(frozen, against, 1).is_some() {
                    Some(Message::Unit(unit))
                } else {
                    self.ended = true;
                    return self.end_of_flush(unit, hashes);
                }
            }
        };
        next.unwrap_or_else(|| {
            self.ended = true;
            let store = &self.frozen.store;
            Message::End {
                floor: store.floor().clone(),
                context: store.context().clone(),
            }
        })
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
