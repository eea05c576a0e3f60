//! The receiving side of sessions with one peer.
//!
//! Frames of a session count only in order and without a gap; anything else breaks the session,
//! which costs asking anew and nothing more. Pieces of an exchange take effect as they come. A flush
//! takes effect as a whole, once everything that it builds on is here; until then it is held. A
//! full comparison is staged and committed at its end. Only an end takes over the sender's context.

use std::collections::VecDeque;

use crdt_core::kernel::{Comparison, MAX_ITEMS, Unit};
use crdt_core::{Context, Limits, ReplicaId, VersionVector};

use crate::config::MAX_PART;
use crate::fingerprint::Hashes;
use crate::frame::{Data, Ends, FrameError, SessionKind};
use crate::key_space::Frozen;
use crate::message::{Message, max_message};
use crate::range::{MAX_PAIRED, Print, Range, Verdict};
use crate::time::Time;

/// Flushes of one peer that wait for what they build on, at most.
pub const MAX_HELD: usize = 256;

/// Bytes of flushes of one peer that wait or are incomplete, at most: two of the largest messages.
pub const fn max_held_bytes(limits: &Limits) -> usize {
    max_message(limits).saturating_mul(2)
}

/// Bytes of a unit that comes in several messages, at most: as if 32 nodes, which is a large cluster, had each written
/// the largest payload to one register at one time.
pub const fn max_staged_bytes(limits: &Limits) -> usize {
    limits.payload.saturating_add(MAX_PART).saturating_mul(32)
}

/// Things in the parts of a unit, at most: a few bytes may say many, and each takes memory by itself.
const MAX_STAGED_ITEMS: usize = 4 * MAX_ITEMS;

/// Bytes of a message beyond which it takes some tenths of a millisecond to take in.
pub(crate) const LARGE: usize = 256 * 1024;

/// What the replica has to do after a frame.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// Frames are missing: ask anew.
    Ask,
    /// Join the floor of an exchange that begins.
    Begin(VersionVector),
    /// Apply a unit of an exchange.
    Apply(Unit),
    /// Say which of these ranges differ; `context` is the one at the end of the comparison.
    Ranges {
        session: u64,
        context: Context,
        ranges: Vec<(Range, Print)>,
    },
    /// What was to come of a share is here, if it was given.
    Shared { given: bool },
    /// An exchange is complete: take over.
    TakeOver {
        session: u64,
        context: Context,
        floor: VersionVector,
    },
    /// A comparison is complete: commit it.
    Commit {
        session: u64,
        comparison: Box<Comparison>,
        context: Context,
        floor: VersionVector,
    },
    /// A flush is complete and may be due, see [`Incoming::due`].
    Held,
}

/// A flush that is complete.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) session: u64,
    pub(crate) units: Vec<Unit>,
    /// The sender's context at its end.
    pub(crate) context: Context,
    /// How the sender's floor has risen.
    pub(crate) floor: VersionVector,
    /// The events of others that it builds on and that the session before did not bring.
    needs: Context,
    bytes: usize,
    since: Time,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    /// The last session that began.
    session: u64,
    open: Option<Open>,
    /// The sender's context at the end of the last session that is complete.
    base: Option<Context>,
    held: VecDeque<Held>,
    held_bytes: usize,
}

#[derive(Clone, Debug)]
struct Open {
    kind: SessionKind,
    for_draft: bool,
    next: u64,
    message: Vec<u8>,
    /// Parts of the unit that comes next, and how many things are in them.
    staged: Unit,
    items: usize,
    units: Vec<Unit>,
    /// Of the messages so far: of a flush of all, of an exchange of those that make up a unit.
    bytes: usize,
    comparison: Comparison,
    compared: Option<Compared>,
    heard: Time,
}

/// How much there is in a unit, each with a path or an event of its own.
fn items(unit: &Unit) -> usize {
    let records = unit.records.iter().map(|(_, record)| 1 + record.cuts.len());
    let links = unit.links.iter().map(|link| link.paths.len());
    let adds = unit.adds.iter().map(|(_, entries)| entries.len());
    records.sum::<usize>() + links.sum::<usize>() + adds.sum::<usize>()
}

impl Open {
    /// A unit together with its parts that came before.
    fn complete(&mut self, unit: Unit) -> Unit {
        if self.staged.is_empty() {
            return unit;
        }
        self.items = 0;
        let mut whole = std::mem::take(&mut self.staged);
        whole.extend(unit);
        whole.normalize();
        whole
    }
}

/// What a full comparison is about, from its first question on.
#[derive(Clone, Debug)]
struct Compared {
    /// What was here at the first question: all are answered from that.
    view: Frozen,
    /// The sender's context at the end.
    context: Context,
    questions: u64,
}

impl Incoming {
    /// Both sides had this context at one moment: flushes may build on it.
    pub(crate) fn set_equal(&mut self, context: &Context) {
        let idle = self.open.is_none() && self.held.is_empty();
        if idle
            && self
                .base
                .as_ref()
                .is_none_or(|base| base.is_subset(context))
        {
            self.base = Some(context.clone());
        }
    }

    /// Gives up a comparison that was not heard of since `then`: it holds a view of everything as it was. And whatever
    /// holds parts of a unit. Returns what it was.
    pub(crate) fn drop_stale(&mut self, then: Time) -> Option<SessionKind> {
        let holds = |open: &&Open| {
            open.kind == SessionKind::Comparison
                || !open.staged.is_empty()
                || !open.message.is_empty()
        };
        let stale = self.open.as_ref().filter(|open| open.heard < then);
        let kind = stale.filter(holds).map(|open| open.kind);
        if kind.is_some() {
            self.give_up();
        }
        kind
    }

    /// Whether an exchange or comparison is under way that was heard of since `then`.
    pub(crate) fn is_catching_up(&self, then: Time) -> bool {
        self.open
            .as_ref()
            .is_some_and(|o| o.kind != SessionKind::Flush && o.heard >= then)
    }

    /// Since when the first held flush waits.
    pub(crate) fn held_since(&self) -> Option<Time> {
        self.held.front().map(|held| held.since)
    }

    /// The next held flush whose needs are met.
    pub(crate) fn due(&mut self, context: &Context) -> Option<Held> {
        if !self.held.front()?.needs.is_subset(context) {
            return None;
        }
        let held = self.held.pop_front()?;
        self.held_bytes -= held.bytes;
        Some(held)
    }

    /// What kind of session is under way.
    pub(crate) fn under_way(&self) -> Option<SessionKind> {
        self.open.as_ref().map(|open| open.kind)
    }

    /// The flush that came last, if it is held.
    pub(crate) fn newest_held(&self) -> Option<&Held> {
        self.held.back()
    }

    /// Gives up what is held or incomplete, until an exchange begins.
    pub(crate) fn give_up(&mut self) {
        self.open = None;
        self.base = None;
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Whether a frame may complete a message that takes long to take in.
    pub(crate) fn completes_large(&self, data: &Data) -> bool {
        let ends = [Ends::Message, Ends::Session].contains(&data.ends);
        let open = self.open.as_ref().filter(|_| ends);
        open.is_some_and(|open| open.message.len() > LARGE || !open.staged.is_empty())
    }

    pub(crate) fn handle(
        &mut self,
        now: Time,
        data: &Data,
        sender: ReplicaId,
        limits: &Limits,
        hashes: &Hashes,
    ) -> Result<Step, FrameError> {
        if data.session < self.session || (data.session == self.session && self.open.is_none()) {
            return Ok(Step::Wait); // late or repeated
        }
        let begins = data.session > self.session;
        if begins && (data.number != 0 || !self.begin(now, data)) {
            self.session = data.session;
            self.give_up();
            return Ok(Step::Ask);
        }
        let Some(open) = &mut self.open else {
            return Ok(Step::Wait);
        };
        if data.number < open.next {
            return Ok(Step::Wait); // repeated
        }
        if data.number > open.next || (data.kind, data.for_draft) != (open.kind, open.for_draft) {
            self.give_up();
            return Ok(Step::Ask);
        }
        open.next += 1;
        open.heard = now;
        if data.ends == Ends::Aside {
            let is_sync = open.kind == SessionKind::Exchange && !open.for_draft;
            return match Message::decode(&data.chunk, limits)? {
                Message::Begin { floor } if is_sync => Ok(Step::Begin(floor)),
                Message::Unit(unit) if is_sync => Ok(Step::Apply(unit)),
                _ => Err(FrameError::Untrue("a message that does not belong there")),
            };
        }
        if open.message.len() + data.chunk.len() > max_message(limits) {
            return Err(FrameError::Limit("bytes of a message"));
        }
        open.bytes += data.chunk.len();
        match open.kind {
            SessionKind::Flush if self.held_bytes + open.bytes > max_held_bytes(limits) => {
                self.give_up();
                return Ok(Step::Ask);
            }
            SessionKind::Exchange if open.bytes > max_staged_bytes(limits) => {
                return Err(FrameError::Limit("bytes of a unit"));
            }
            _ => {}
        }
        let ends_session = data.ends == Ends::Session;
        if open.message.is_empty() && data.ends != Ends::Nothing {
            let message = Message::decode(&data.chunk, limits)?;
            return self.message(now, message, ends_session, sender, hashes);
        }
        open.message.extend_from_slice(&data.chunk);
        if data.ends == Ends::Nothing {
            return Ok(Step::Wait);
        }
        let bytes = std::mem::take(&mut open.message);
        let message = Message::decode(&bytes, limits)?;
        self.message(now, message, ends_session, sender, hashes)
    }

    /// A flush follows the session before it without a gap; an exchange may begin at any time.
    fn begin(&mut self, now: Time, data: &Data) -> bool {
        let follows = data.session == self.session + 1 && self.open.is_none();
        if data.kind == SessionKind::Flush {
            if !follows || self.base.is_none() || self.held.len() >= MAX_HELD {
                return false;
            }
        } else {
            self.give_up();
        }
        self.session = data.session;
        self.open = Some(Open {
            kind: data.kind,
            for_draft: data.for_draft,
            next: 0,
            message: Vec::new(),
            staged: Unit::default(),
            items: 0,
            units: Vec::new(),
            bytes: 0,
            comparison: Comparison::default(),
            compared: None,
            heard: now,
        });
        true
    }

    /// Which of some ranges differ, and the number of the question; `now` is what is here now. What is equal
    /// lives, as far as it was here at the first question; so does what differs in one event or two, but for those.
    pub(crate) fn compare(
        &mut self,
        now: impl FnOnce() -> Frozen,
        context: Context,
        ranges: &[(Range, Print)],
    ) -> Option<(u64, Vec<bool>)> {
        let open = self.open.as_mut()?;
        let compared = open.compared.get_or_insert_with(|| Compared {
            view: now(),
            context,
            questions: 0,
        });
        compared.questions += 1;
        let Frozen { store, index } = &compared.view;
        let mut kept = Context::new();
        let here = store.context();
        let mut looks = MAX_PAIRED;
        let differs = |(range, print): &(Range, Print)| {
            match range.judge(index, here, &compared.context, *print, &mut looks) {
                Verdict::Differs => return true,
                Verdict::Same | Verdict::OneMore => range.keep(index, here, &mut kept),
                Verdict::Without(one, two) => {
                    range.keep_without([one].into_iter().chain(two), index, here, &mut kept);
                }
            }
            false
        };
        let which = ranges.iter().map(differs).collect();
        open.comparison.keep(&kept);
        Some((compared.questions, which))
    }

    fn message(
        &mut self,
        now: Time,
        message: Message,
        ends: bool,
        sender: ReplicaId,
        hashes: &Hashes,
    ) -> Result<Step, FrameError> {
        let Some(open) = &mut self.open else {
            return Ok(Step::Wait);
        };
        let goes_on = matches!(
            message,
            Message::Begin { .. } | Message::Staged(_) | Message::Unit(_) | Message::Flush { .. }
        );
        if !open.staged.is_empty() && !goes_on {
            return Err(FrameError::Untrue("a unit without its last part"));
        }
        match (message, open.kind, ends) {
            (Message::Begin { .. } | Message::End { .. }, SessionKind::Exchange, _)
                if open.for_draft =>
            {
                Err(FrameError::Untrue(
                    "a share for a draft with more than values",
                ))
            }
            (Message::Begin { floor }, SessionKind::Exchange, false) => Ok(Step::Begin(floor)),
            (Message::Unit(unit), SessionKind::Exchange, false) => {
                open.bytes = 0;
                Ok(Step::Apply(open.complete(unit)))
            }
            (Message::Unit(unit), SessionKind::Flush, false) => {
                let unit = open.complete(unit);
                open.units.push(unit);
                Ok(Step::Wait)
            }
            (Message::Staged(part), SessionKind::Exchange | SessionKind::Flush, false) => {
                open.items += items(&part);
                if open.items > MAX_STAGED_ITEMS {
                    return Err(FrameError::Limit("items of a unit"));
                }
                open.staged.extend(part);
                Ok(Step::Wait)
            }
            (Message::Part(part), SessionKind::Comparison, false) => {
                open.comparison.stage(part);
                Ok(Step::Wait)
            }
            (Message::Ranges { context, ranges }, SessionKind::Comparison, false) => {
                Ok(Step::Ranges {
                    session: self.session,
                    context,
                    ranges,
                })
            }
            // Of which nothing may be concluded but that its pieces are here: nothing is taken over.
            (Message::Share { given }, SessionKind::Exchange, true) => {
                self.open = None;
                Ok(Step::Shared { given })
            }
            (Message::End { floor, context }, SessionKind::Exchange, true) => {
                self.open = None;
                self.base = Some(context.clone());
                Ok(Step::TakeOver {
                    session: self.session,
                    context,
                    floor,
                })
            }
            (Message::End { floor, context }, SessionKind::Comparison, true) => {
                let compared = open.compared.take();
                if compared.is_some_and(|compared| compared.context != context) {
                    return Err(FrameError::Untrue("a comparison with two ends"));
                }
                let comparison = Box::new(std::mem::take(&mut open.comparison));
                self.open = None;
                self.base = Some(context.clone());
                Ok(Step::Commit {
                    session: self.session,
                    comparison,
                    context,
                    floor,
                })
            }
            (
                Message::Flush {
                    news,
                    hash,
                    floor,
                    unit,
                },
                SessionKind::Flush,
                true,
            ) => {
                let unit = open.complete(unit);
                open.units.push(unit);
                let (units, bytes) = (std::mem::take(&mut open.units), open.bytes);
                self.open = None;
                let Some(base) = &self.base else {
                    return Ok(Step::Ask);
                };
                let mut context = base.clone();
                context.union(&news);
                if hashes.context(&context) as u64 != hash {
                    self.give_up();
                    return Ok(Step::Ask);
                }
                let mut needs = news;
                needs.set(sender, Default::default());
                self.base = Some(context.clone());
                self.held_bytes += bytes;
                let session = self.session;
                self.held.push_back(Held {
                    session,
                    units,
                    context,
                    floor,
                    needs,
                    bytes,
                    since: now,
                });
                Ok(Step::Held)
            }
            _ => Err(FrameError::Untrue(
                "a message that does not belong into its session",
            )),
        }
    }
}
