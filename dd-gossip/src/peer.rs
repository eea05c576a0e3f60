//! What a replica keeps of one peer. All but the name dies with the peer's process.

use std::collections::VecDeque;

use crdt_core::{Context, ReplicaId, VersionVector};

use crate::NodeId;
use crate::fingerprint::Hashes;
use crate::frame::FrameError;
use crate::incoming::Incoming;
use crate::session::Session;
use crate::statement::MAX_STATEMENT;
use crate::time::Time;

/// Flushes that a peer has not acknowledged, at most; more wait until it does.
pub const MAX_UNACKNOWLEDGED: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    /// Whether it belongs to the cluster. One that does not may be connected, and is talked to.
    pub(crate) member: bool,
    pub(crate) connected: bool,
    /// When it was last connected.
    pub(crate) seen: Time,
    pub(crate) hello_due: bool,
    pub(crate) hello_sent: Option<Time>,
    pub(crate) process: Option<Process>,
    /// What its process had when it was last heard. For people alone: its next process may have
    /// nothing.
    pub(crate) left_with: Context,
}

/// One process of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) nonce: u64,
    pub(crate) replica: ReplicaId,
    pub(crate) bind_out: u64,
    pub(crate) bind_in: u64,
    /// Events that it has for certain: it said so, or sent them.
    pub(crate) known: Context,
    /// The contexts that it stated itself, each with all that it had made by then. What was sent
    /// to it and acknowledged is none: it may have made events before that are still on their way.
    pub(crate) stated: Context,
    pub(crate) due: Due,
    /// What it was told of this replica's context when that was stated; a statement goes on from there.
    pub(crate) told: Context,
    /// What it was asked last about its context, and how often it was asked.
    pub(crate) question: Option<Question>,
    pub(crate) questions: u64,
    /// What it answered and was not all here, and when.
    pub(crate) lacking: Option<(Time, Context)>,
    /// The context whose hash was sent last.
    pub(crate) digest: Option<(u128, Context)>,
    /// When it was asked for what is lacking here, until that has come.
    pub(crate) asked: Option<Time>,
    /// It has something that is lacking here, but somebody else was asked.
    pub(crate) deferred: bool,
    /// The share that it was asked for.
    pub(crate) share: Option<u8>,
    /// It said that it gives none.
    pub(crate) gives_no_share: bool,
    /// The values that it said are in its draft, until it asks for something.
    pub(crate) its_values: Values,
    /// Events that it brought in exchanges and full comparisons, some of which may have been here.
    pub(crate) brought: u64,
    pub(crate) sessions: u64,
    pub(crate) session: Option<Session>,
    /// This replica's context at the end of the last session to it.
    pub(crate) base: Option<Context>,
    /// This replica's floor as the last session to it stated it.
    pub(crate) floor: VersionVector,
    pub(crate) unacknowledged: VecDeque<(u64, Context)>,
    pub(crate) incoming: Incoming,
    pub(crate) flush_at: Option<Time>,
    pub(crate) flushed: Option<Time>,
    pub(crate) relay_at: Option<Time>,
    /// Its wall clock less the own one, in milliseconds, as it stated it last.
    pub(crate) skew: Option<i64>,
}

/// What a peer said is in its draft, and in how many parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) values: Context,
    parts: usize,
}

/// A question for a peer's context. Until it is answered it is repeated as it was, and no other is
/// asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) number: u64,
    /// The newest refresh when it was asked.
    pub(crate) covers: u64,
    /// The own context by then, and its hash.
    pub(crate) context: Context,
    pub(crate) hash: u128,
    /// When it was sent last.
    pub(crate) at: Time,
    pub(crate) answered: bool,
}

/// What is due; of small frames at most one of each kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    pub(crate) digest: bool,
    pub(crate) same: Option<u64>,
    pub(crate) want: Option<bool>,
    /// What else it is told of this replica's context before it is asked.
    pub(crate) statement: VecDeque<Context>,
    /// That is of the draft.
    pub(crate) states_draft: bool,
    /// It is to send no more of its share.
    pub(crate) no_more: bool,
    pub(crate) ack: Option<u64>,
    /// It is to be asked for its context.
    pub(crate) query: bool,
    /// It asked for this replica's: the number and the hash of its question.
    pub(crate) answer: Option<(u64, u128)>,
    /// It is to be asked what it has seen of incarnations that may be sealed: the number of the question.
    pub(crate) seal_ask: Option<u64>,
    /// It asked that.
    pub(crate) seal_answer: Option<(u64, Vec<Option<u64>>)>,
    /// It asked which ranges differ: the session, the number of the question, and which.
    pub(crate) differs: Option<(u64, u64, Vec<bool>)>,
    /// Own events are to be pushed.
    pub(crate) flush: bool,
}

impl Due {
    /// Whether any frame is due that is no part of a session.
    pub(crate) fn has_small_frame(&self) -> bool {
        let wants = self.want.is_some() || self.no_more;
        let asks = self.digest || self.query || wants || self.seal_ask.is_some();
        let answers = self.same.is_some()
            || self.answer.is_some()
            || self.seal_answer.is_some()
            || self.differs.is_some();
        asks || answers || self.ack.is_some()
    }
}

impl Peer {
    pub(crate) fn new(node: NodeId, member: bool, now: Time) -> Self {
        Self {
            node,
            member,
            connected: false,
            seen: now,
            hello_due: false,
            hello_sent: None,
            process: None,
            left_with: Context::new(),
        }
    }

    /// A connection came or went: nothing of the former one counts any more.
    pub(crate) fn reset(&mut self, connected: bool, now: Time) {
        *self = Self {
            connected,
            hello_due: connected,
            left_with: std::mem::take(&mut self.left_with),
            ..Self::new(self.node.clone(), self.member, now)
        };
    }
}

impl Process {
    pub(crate) fn new(nonce: u64, replica: ReplicaId, own_nonce: u64, hashes: &Hashes) -> Self {
        Self {
            nonce,
            replica,
            bind_out: hashes.binding(own_nonce, nonce),
            bind_in: hashes.binding(nonce, own_nonce),
            known: Context::new(),
            stated: Context::new(),
            due: Due::default(),
            told: Context::new(),
            question: None,
            questions: 0,
            lacking: None,
            digest: None,
            asked: None,
            deferred: false,
            share: None,
            gives_no_share: false,
            its_values: Values::default(),
            brought: 0,
            sessions: 0,
            session: None,
            base: None,
            floor: VersionVector::new(),
            unacknowledged: VecDeque::new(),
            incoming: Incoming::default(),
            flush_at: None,
            flushed: None,
            relay_at: None,
            skew: None,
        }
    }

    /// It has these values in its draft, with those that it named before.
    pub(crate) fn note_values(&mut self, values: &Context) -> Result<(), FrameError> {
        self.its_values.parts += 1;
        if self.its_values.parts > MAX_STATEMENT {
            return Err(FrameError::Limit("parts of a draft"));
        }
        self.its_values.values.union(values);
        Ok(())
    }

    /// It had this context at one moment.
    pub(crate) fn states(&mut self, context: &Context) {
        self.known.union(context);
        self.stated.union(context);
    }

    /// Both had this context at one moment.
    pub(crate) fn set_equal(&mut self, context: &Context) {
        self.states(context);
        self.incoming.set_equal(context);
        let idle = self.session.is_none();
        if idle
            && self
                .base
                .as_ref()
                .is_none_or(|base| base.is_subset(context))
        {
            self.base = Some(context.clone());
        }
    }

    /// Whether something is on its way from it that was asked for, or comes without being asked.
    pub(crate) fn is_catching_up_from(&self, then: Time) -> bool {
        self.asked.is_some_and(|asked| asked >= then) || self.incoming.is_catching_up(then)
    }

    pub(crate) fn acknowledge(&mut self, session: u64) {
        while self
            .unacknowledged
            .front()
            .is_some_and(|(id, _)| *id <= session)
        {
            if let Some((_, context)) = self.unacknowledged.pop_front() {
                self.known.union(&context);
            }
        }
    }
}
