//! Frames for the network.

use bytes::Bytes;
use crdt_core::Context;

use super::Replica;
use crate::NodeId;
use crate::config::{MAX_PART, MIN_CHUNK};
use crate::frame::{Answer, Ask, Ends, Frame, MAX_CHUNK, MAX_CONTEXT, SessionKind};
use crate::peer::{MAX_UNACKNOWLEDGED, Question};
use crate::session::{Session, Sizes};
use crate::statement;
use crate::time::Time;

/// More new own events than this go by an exchange, piece by piece, not as one flush.
pub const MAX_FLUSH_EVENTS: u64 = 4096;

impl Replica {
    /// The next frame for a peer, made now. `None` if there is nothing to send.
    pub fn poll_transmit(&mut self, now: Time, node: &NodeId) -> Option<Bytes> {
        let frame = self.next_frame(now, node)?;
        let bytes = frame.encode();
        self.counts.frames_sent += 1;
        self.counts.bytes_sent += bytes.len() as u64;
        self.counts.sent.of(&frame).count(bytes.len());
        Some(bytes)
    }

    fn next_frame(&mut self, now: Time, node: &NodeId) -> Option<Frame> {
        let peer = self.peers.get_mut(node).filter(|peer| peer.connected)?;
        if std::mem::take(&mut peer.hello_due) {
            peer.hello_sent = Some(now);
            let heard = peer.process.is_some();
            let (nonce, replica) = (self.config.nonce, self.config.replica);
            return Some(Frame::Hello {
                nonce,
                replica,
                heard,
            });
        }
        self.next_small_frame(now, node)
            .or_else(|| self.next_data_frame(now, node))
    }

    fn next_small_frame(&mut self, now: Time, node: &NodeId) -> Option<Frame> {
        let process = self.process(node).ok()?;
        if let Some(session) = process.due.ack.take() {
            let bind = process.bind_out;
            return Some(Frame::Ack { bind, session });
        }
        if !process.due.has_small_frame() {
            return None;
        }
        let hash = self.keys.context_hash();
        let fingerprint = self.keys.fingerprint() as u64;
        let context = self.keys.context().clone();
        let (votes, newest) = (self.votes(), self.quorum.last());
        let waits = self.quorum.waits_for(node);
        let wall = self.stated_wall(now);
        let process = self.process(node).ok()?;
        let bind = process.bind_out;
        if let Some(hash) = process.due.same.take() {
            return Some(Frame::Same { bind, hash });
        }
        if process.due.no_more || process.due.want.is_some() {
            return self.next_want(now, node);
        }
        if let Some((number, asked)) = process.due.answer.take() {
            let answer = if asked == hash {
                Answer::Equal
            } else {
                let all = context.truncated(MAX_CONTEXT) == context;
                if all {
                    Answer::Context(context)
                } else {
                    Answer::TooLong
                }
            };
            return Some(Frame::Answer {
                bind,
                number,
                votes,
                answer,
            });
        }
        if let Some((session, number, which)) = process.due.differs.take() {
            return Some(Frame::Differs {
                bind,
                session,
                number,
                which,
            });
        }
        if let Some((number, digests)) = process.due.seal_answer.take() {
            return Some(Frame::SealAnswer {
                bind,
                number,
                digests,
            });
        }
        let ask = process.due.seal_ask.take();
        if let Some((number, last)) = ask.and_then(|n| Some((n, self.seals_asked(n)?))) {
            return Some(Frame::SealAsk { bind, number, last });
        }
        let process = self.process(node).ok()?;
        if waits && process.due.query {
            process.due.query = false;
            let unanswered = process.question.take().filter(|asked| !asked.answered);
            let question = match unanswered {
                Some(asked) => Question { at: now, ..asked },
                None => {
                    process.questions += 1;
                    Question {
                        number: process.questions,
                        covers: newest,
                        context,
                        hash,
                        at: now,
                        answered: false,
                    }
                }
            };
            let (number, hash) = (question.number, question.hash);
            process.question = Some(question);
            return Some(Frame::Query { bind, number, hash });
        }
        if std::mem::take(&mut process.due.digest) {
            process.digest = Some((hash, context));
            return Some(Frame::Digest {
                bind,
                hash,
                fingerprint,
                wall,
            });
        }
        None
    }

    /// The next part of a statement of the context, and with the last one what is asked for.
    fn next_want(&mut self, now: Time, node: &NodeId) -> Option<Frame> {
        let own = self.config.replica;
        let context = self.keys.context().clone();
        let no_more = std::mem::take(&mut self.process(node).ok()?.due.no_more);
        let send = !no_more && self.process(node).ok()?.due.want.take()?;
        // While a statement is told, it is for everything.
        let goes_on = !self.process(node).ok()?.due.statement.is_empty();
        let share = (send && !goes_on).then(|| self.next_share(node)).flatten();
        if send && share.is_none() && !self.caught_up {
            self.end_sharing(node);
        }
        let draft = if send && share.is_none() {
            self.close_draft()
        } else {
            None
        };
        let process = self.process(node).ok()?;
        if std::mem::replace(&mut process.due.states_draft, draft.is_some()) != draft.is_some() {
            process.due.statement.clear();
        }
        let (part_of, all) = match draft {
            Some(_) => (Ask::PartOfDraft, Ask::Rest),
            None => (Ask::Nothing, Ask::Everything),
        };
        let is_told = !process.told.is_empty();
        let (mut ask, mut part) = match share {
            _ if no_more => (Ask::NoMore, Context::new()),
            // What came meanwhile in other shares does not belong to this one.
            Some(share) if is_told => (Ask::Share(share), Context::new()),
            Some(share) => {
                let part = context.untold(&process.told).truncated(MAX_CONTEXT);
                (Ask::Share(share), part)
            }
            None if send => {
                if process.due.statement.is_empty() {
                    process.due.statement = match &draft {
                        Some(values) => statement::parts(values, &Context::new()),
                        None => statement::parts(&context, &process.told),
                    };
                }
                let part = process.due.statement.pop_front().unwrap_or_default();
                (all, part)
            }
            None => {
                let part = context.untold(&process.told).truncated(MAX_CONTEXT);
                (Ask::Nothing, part)
            }
        };
        if !process.due.statement.is_empty() && ask == all {
            process.due.want = Some(true);
            ask = part_of;
        }
        if matches!(ask, Ask::Everything | Ask::Share(_) | Ask::Rest) {
            process.asked = Some(now);
            process.deferred = false;
        }
        if draft.is_none() {
            // Never left out: the peer relies on knowing what was made here by now.
            part.set(own, context.get(own).cloned().unwrap_or_default());
            process.told.union(&part);
        }
        let bind = process.bind_out;
        Some(Frame::Want {
            bind,
            ask,
            context: part,
        })
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes {
            chunk: self.config.chunk.clamp(MIN_CHUNK, MAX_CHUNK),
            part: self.config.part.clamp(1, MAX_PART),
        }
    }

    fn next_data_frame(&mut self, now: Time, node: &NodeId) -> Option<Frame> {
        let (hashes, sizes) = (self.hashes, self.sizes());
        if self.process(node).ok()?.session.is_none() {
            let session = self.new_flush(now, node)?;
            self.process(node).ok()?.session = Some(session);
        }
        self.renew_session(now, node);
        // A message may have a large value in it, and nothing is written meanwhile.
        let _shown = self.keys.show();
        let process = self.process(node).ok()?;
        let bind = process.bind_out;
        let session = process.session.as_mut()?;
        let frame = session.next_frame(now, bind, sizes, &hashes)?;
        if matches!(&frame, Frame::Data(data) if data.ends == Ends::Session) {
            if session.is_share() {
                process.session = None;
                return Some(frame);
            }
            let (id, kind, context) = (session.id(), session.kind(), session.context().clone());
            process.base = Some(context.clone());
            process.floor = session.floor().clone();
            process.unacknowledged.push_back((id, context));
            process.session = None;
            match kind {
                SessionKind::Exchange => self.counts.exchanges_sent += 1,
                SessionKind::Flush => self.counts.flushes_sent += 1,
                SessionKind::Comparison => self.counts.comparisons_sent += 1,
            }
            // What was written while it went on goes with the next flush.
            self.schedule_flushes(now);
        }
        Some(frame)
    }

    /// What is written, or comes, while an exchange is under way does not wait for its end.
    fn renew_session(&mut self, now: Time, node: &NodeId) {
        let interval = self.config.timing.flush;
        let process = self
            .peers
            .get_mut(node)
            .and_then(|peer| peer.process.as_mut());
        let session = process.and_then(|process| Some((process.session.as_mut()?, &process.known)));
        if let Some((session, known)) = session
            && session.is_outdated(now, interval, self.keys.context(), known)
        {
            let renewed = session.renew(self.keys.freeze());
            self.counts.exchanges_renewed += u64::from(renewed);
        }
    }

    /// A flush of the newest own events, if it is due and the peer can take it.
    fn new_flush(&mut self, now: Time, node: &NodeId) -> Option<Session> {
        let own = self.config.replica;
        let newest = self.keys.context().max(own);
        let chunk = self.sizes().chunk;
        let process = self.process(node).ok()?;
        let sent = process.base.as_ref()?.max(own);
        if process.flush_at.is_some_and(|at| at <= now) {
            process.flush_at = None;
            process.due.flush = true;
        }
        if !process.due.flush || process.unacknowledged.len() >= MAX_UNACKNOWLEDGED {
            return None;
        }
        process.due.flush = false;
        if newest <= sent {
            return None;
        }
        let frozen = self.keys.freeze();
        let process = self.process(node).ok()?;
        let before = process.base.clone()?;
        process.flushed = Some(now);
        process.sessions += 1;
        let id = process.sessions;
        let small = newest - sent <= MAX_FLUSH_EVENTS;
        let flush = small
            .then(|| Session::flush(id, frozen.clone(), &before, &process.floor, own))
            .flatten();
        Some(flush.unwrap_or_else(|| Session::exchange(id, frozen, process.known.clone(), chunk)))
    }

    /// Pushes own events now, without collecting more.
    pub fn flush_now(&mut self, now: Time) {
        self.schedule_flushes(now);
        for process in self
            .peers
            .values_mut()
            .filter_map(|peer| peer.process.as_mut())
        {
            if process.flush_at.take().is_some() {
                process.due.flush = true;
            }
        }
    }

    /// While somebody waits for others to have what was written here, a push waits for the acknowledgement of
    /// the one before and for nothing else: what is written meanwhile goes together.
    pub(super) fn hurry_flushes(&mut self) {
        if !self.quorum.has_writers() {
            return;
        }
        let processes = self.peers.values_mut();
        for process in processes.filter_map(|peer| peer.process.as_mut()) {
            if process.unacknowledged.is_empty() && process.flush_at.take().is_some() {
                process.due.flush = true;
            }
        }
    }

    /// Whether everything that this replica wrote was handed out for a peer, or the peer has it.
    /// Also true for a peer that is not up: nothing can be handed out for it.
    pub fn has_sent_all(&self, node: &NodeId) -> bool {
        let own = self.config.replica;
        let newest = self.keys.context().max(own);
        let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
        process.is_none_or(|process| {
            let sent = process.base.as_ref().map_or(0, |base| base.max(own));
            process.session.is_none() && newest <= sent.max(process.known.max(own))
        })
    }

    /// Own events are to be pushed to every peer that is up: at once if the last push is a while
    /// ago, otherwise with what else comes until the interval is over.
    pub(super) fn schedule_flushes(&mut self, now: Time) {
        let (own, interval) = (self.config.replica, self.config.timing.flush);
        let newest = self.keys.context().max(own);
        for process in self
            .peers
            .values_mut()
            .filter_map(|peer| peer.process.as_mut())
        {
            let sent = process.base.as_ref().map(|base: &Context| base.max(own));
            if sent.is_some_and(|sent| sent < newest) {
                let next = process
                    .flushed
                    .map_or(now, |last| (last + interval).max(now));
                process.flush_at.get_or_insert(next);
            }
        }
        self.schedule_forgetting(now);
    }
}
