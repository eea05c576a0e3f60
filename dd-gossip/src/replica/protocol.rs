//! Inputs from the network.

use bytes::Bytes;
use crdt_core::kernel::{Comparison, Unit};
use crdt_core::{Context, Dot, Name, Path, ReplicaId, Shape, VersionVector};

use super::{Event, MAX_TRANSACTIONS, Replica};
use crate::NodeId;
use crate::config::MAX_KEY;
use crate::frame::{Ask, Data, Frame, FrameError, SessionKind};
use crate::incoming::Step;
use crate::key_space::Frozen;
use crate::peer::{Peer, Process, Values};
use crate::session::Session;
use crate::time::Time;

/// Peers that are asked whether they lack what came from another, at most, until they were. Where each asked all, one
/// change among 40 that are connected each with each took ten times the bytes of the change.
const MAX_RELAYED: usize = 4;

impl Replica {
    /// A peer can be sent frames.
    pub fn handle_connected(&mut self, now: Time, node: &NodeId) {
        if *node == self.config.node {
            return;
        }
        let peer = self
            .peers
            .entry(node.clone())
            .or_insert_with(|| Peer::new(node.clone(), false, now));
        peer.reset(true, now);
    }

    /// A peer is gone.
    pub fn handle_disconnected(&mut self, now: Time, node: &NodeId) {
        self.count_cut(node);
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        self.self_check.forget_opinion(node);
        let was_up = peer.process.is_some();
        let mut was_asked = false;
        if let Some(process) = &peer.process {
            peer.left_with = process.known.clone();
            let comes = process.incoming.under_way();
            let is_told = process.due.want == Some(true);
            let is_asked = process.asked.is_some() || is_told;
            was_asked = is_asked || comes.is_some_and(|kind| kind != SessionKind::Flush);
        }
        peer.reset(false, now);
        if !peer.member {
            self.peers.remove(node);
        }
        if was_up {
            self.ask_holders_again();
            self.emit(Event::PeerDown(node.clone()));
        }
        if was_asked && !self.caught_up {
            self.ask_deferred();
        }
    }

    /// A frame from a peer.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the frame can't be accepted. It changed nothing; the driver must end the
    /// connection.
    pub fn handle_frame(
        &mut self,
        now: Time,
        node: &NodeId,
        frame: &Bytes,
    ) -> Result<(), FrameError> {
        // Counted under its kind only once it was accepted: taking it apart takes it.
        let mut received = self.counts.received;
        let result = Frame::decode(frame).and_then(|decoded| {
            received.of(&decoded).count(frame.len());
            self.accept(now, node, decoded)
        });
        match &result {
            Ok(()) => {
                self.settle_owned(now);
                self.counts.received = received;
                self.recover();
                self.ask_holders_again();
                self.counts.frames_received += 1;
                self.counts.bytes_received += frame.len() as u64;
            }
            Err(error) => {
                self.counts.frames_refused += 1;
                self.abandon_incoming(node);
                tracing::warn!(peer = %node, %error, "frame refused");
            }
        }
        result
    }

    fn accept(&mut self, now: Time, node: &NodeId, frame: Frame) -> Result<(), FrameError> {
        let peer = self.peers.get_mut(node).filter(|peer| peer.connected);
        let peer = peer.ok_or(FrameError::NotConnected)?;
        peer.seen = now;
        if let Frame::Hello {
            nonce,
            replica,
            heard,
        } = frame
        {
            return self.hello(now, node, nonce, replica, heard);
        }
        let Some(process) = &mut peer.process else {
            peer.hello_due = true;
            return Ok(()); // its hello was lost
        };
        let bound = |bind: u64| bind == process.bind_in;
        match frame {
            Frame::Digest {
                bind,
                hash,
                fingerprint,
                wall,
            } if bound(bind) => {
                self.note_wall(now, node, wall);
                self.digest(now, node, hash, fingerprint)
            }
            Frame::Same { bind, hash } if bound(bind) => {
                if let Some((_, context)) = process.digest.take().filter(|d| d.0 as u64 == hash) {
                    process.set_equal(&context);
                    process.asked = None;
                    self.note_caught_up(node);
                    self.schedule_forgetting(now);
                }
                Ok(())
            }
            Frame::Want { bind, ask, context } if bound(bind) => self.want(now, node, ask, context),
            Frame::Data(data) if bound(data.bind) => self.data(now, node, &data),
            Frame::Ack { bind, session } if bound(bind) => {
                if session > process.sessions {
                    return Err(FrameError::Untrue("it acknowledges what was not sent"));
                }
                process.acknowledge(session);
                self.hurry_flushes();
                self.schedule_forgetting(now);
                Ok(())
            }
            Frame::Query { bind, number, hash } if bound(bind) => {
                process.due.answer = Some((number, hash));
                Ok(())
            }
            Frame::Answer {
                bind,
                number,
                votes,
                answer,
            } if bound(bind) => self.answered(now, node, number, answer, votes),
            Frame::SealAsk { bind, number, last } if bound(bind) => {
                self.seal_asked(node, number, &last)
            }
            Frame::SealAnswer {
                bind,
                number,
                digests,
            } if bound(bind) => self.seal_answered(now, node, number, digests),
            Frame::Differs {
                bind,
                session,
                number,
                which,
            } if bound(bind) => {
                let asked = process.session.as_mut().filter(|s| s.id() == session);
                if asked.is_some_and(|asked| !asked.answered(number, &which)) {
                    return Err(FrameError::Untrue("an answer to what was not asked"));
                }
                Ok(())
            }
            // Of another incarnation of either side, or of a kind from a later version.
            _ => Ok(()),
        }
    }

    fn hello(
        &mut self,
        now: Time,
        node: &NodeId,
        nonce: u64,
        replica: ReplicaId,
        heard: bool,
    ) -> Result<(), FrameError> {
        if nonce == self.config.nonce || replica == self.config.replica {
            return Err(FrameError::Untrue("it uses this process's own identity"));
        }
        let initiates = self.config.node < *node;
        let (own_nonce, hashes) = (self.config.nonce, self.hashes);
        let Some(peer) = self.peers.get_mut(node) else {
            return Err(FrameError::NotConnected);
        };
        // A replica that is made anew goes on with the same connections, and a hello from before may be overtaken by its
        // first: it would be taken for the one that runs, and nothing of that one would be heard again.
        let is_former = |process: &Process| process.nonce != nonce && replica < process.replica;
        if peer.process.as_ref().is_some_and(is_former) {
            return Ok(());
        }
        peer.hello_due |= !heard;
        if peer
            .process
            .as_ref()
            .is_some_and(|process| process.nonce == nonce)
        {
            return Ok(());
        }
        let mut process = Process::new(nonce, replica, own_nonce, &hashes);
        process.due.digest = initiates;
        process.due.query = self.quorum.has_readers();
        process.relay_at = Some(now + self.config.timing.relay);
        peer.process = Some(process);
        self.emit(Event::PeerUp(node.clone()));
        Ok(())
    }

    /// The peer states the hash of its context.
    fn digest(
        &mut self,
        now: Time,
        node: &NodeId,
        hash: u128,
        fingerprint: u64,
    ) -> Result<(), FrameError> {
        let equal = self.keys.context_hash() == hash;
        let context = self.keys.context().clone();
        let may_ask = self.may_ask(now, node);
        let then = now.before(self.config.timing.retry);
        let process = self.process(node)?;
        // It would begin anew what it is sending, and with a large message never come to its end.
        let shares = process.share.is_some() && process.is_catching_up_from(then);
        let ask = may_ask && !process.incoming.is_catching_up(then) && !shares;
        if equal {
            process.due.same = Some(hash as u64);
            process.set_equal(&context);
            process.asked = None;
            self.compare_sums(node, fingerprint);
            self.note_caught_up(node);
            self.schedule_forgetting(now);
        } else {
            process.due.want = Some(ask);
            process.deferred = !ask;
        }
        Ok(())
    }

    /// The peer states its context, and perhaps asks for what it lacks.
    fn want(
        &mut self,
        now: Time,
        node: &NodeId,
        ask: Ask,
        context: Context,
    ) -> Result<(), FrameError> {
        if self.is_sealed_by(node, &context) {
            return Ok(());
        }
        self.check_context(&context)?;
        if matches!(ask, Ask::PartOfDraft | Ask::Rest) {
            self.process(node)?.note_values(&context)?;
            let frozen = self.keys.freeze();
            return self.answer_to(node, ask, frozen);
        }
        self.process(node)?.its_values = Values::default();
        self.keys.adopt_seals(&context);
        self.note_different(now);
        let frozen = self.keys.freeze();
        let process = self.process(node)?;
        process.states(&context);
        process.digest = None;
        // Its seals were stated once, and more may have been seen here since.
        let known = process.known.clone();
        if self.is_sealed_by(node, &known) {
            return Ok(());
        }
        self.answer_to(node, ask, frozen)?;
        let process = self.process(node)?;
        // A statement goes on from the ones before.
        let known = process.known.clone();
        let lacking = !self.has_seen(&known);
        let ask = self.may_ask(now, node);
        let then = now.before(self.config.timing.retry);
        let process = self.process(node)?;
        if lacking && !process.is_catching_up_from(then) {
            process.due.want = process.due.want.max(Some(ask));
            process.deferred = !ask;
        }
        self.schedule_forgetting(now);
        Ok(())
    }

    /// Begins what a peer asks for, or ends it.
    fn answer_to(&mut self, node: &NodeId, ask: Ask, frozen: Frozen) -> Result<(), FrameError> {
        let chunk = self.sizes().chunk;
        // Who has not caught up itself has nothing to share.
        let least = if self.caught_up {
            self.config.shared
        } else {
            usize::MAX
        };
        let process = self.process(node)?;
        match ask {
            Ask::Nothing | Ask::PartOfDraft => return Ok(()),
            Ask::NoMore => {
                if let Some(session) = process.session.take_if(|session| session.is_share())
                    && !session.has_begun()
                {
                    // The peer does not know of it.
                    process.sessions -= 1;
                }
                return Ok(());
            }
            Ask::Everything | Ask::Share(_) | Ask::Rest => {}
        }
        process.sessions += 1;
        let (id, known) = (process.sessions, process.known.clone());
        let session = match ask {
            Ask::Share(share) => Session::share(id, frozen, known, share, least, chunk),
            Ask::Rest => {
                let Values { values, .. } = std::mem::take(&mut process.its_values);
                Session::rest(id, frozen, values, chunk)
            }
            _ => Session::exchange(id, frozen, known, chunk),
        };
        // No flush can follow a share.
        process.base = process.base.take().filter(|_| !session.is_share());
        process.session = Some(session);
        process.unacknowledged.clear();
        Ok(())
    }

    fn data(&mut self, now: Time, node: &NodeId, data: &Data) -> Result<(), FrameError> {
        let (limits, hashes) = (self.config.limits, self.hashes);
        let large = self.process(node)?.incoming.completes_large(data);
        let _shown = large.then(|| self.keys.show());
        let process = self.process(node)?;
        let sender = process.replica;
        let step = process
            .incoming
            .handle(now, data, sender, &limits, &hashes)?;
        // What it was asked for comes as one, and all of it.
        let compares = process.incoming.under_way() == Some(SessionKind::Comparison);
        if compares && data.number == 0 && process.asked.is_some() && !self.caught_up {
            self.end_sharing(node);
        }
        match step {
            Step::Wait => {}
            Step::Ask => {
                self.counts.sessions_broken += 1;
                self.ask_anew(now, node)?;
            }
            Step::Begin(floor) => {
                self.check_floor(&floor)?;
                self.keys.take_over(&Context::new(), &floor);
            }
            Step::Apply(unit) => {
                let events = self.check_unit(&unit)?;
                self.count_events(&events);
                if data.for_draft {
                    self.put_into_draft(unit, &events);
                } else {
                    self.keys.apply(&unit, &events);
                    if !events.is_empty() {
                        self.note_news(now, node);
                    }
                }
                let process = self.process(node)?;
                process.asked = process.asked.map(|_| now);
                process.brought += events.len() as u64;
                process.known.extend_sorted(&events);
            }
            Step::Ranges {
                session,
                context,
                ranges,
            } => {
                if self.is_sealed_by(node, &context) {
                    return Ok(());
                }
                self.check_context(&context)?;
                let Some(view) = self.compared(data.for_draft) else {
                    return self.ask_anew(now, node);
                };
                // It may be a look at many events.
                let _shown = self.keys.show();
                let process = self.process(node)?;
                let answer = process.incoming.compare(|| view, context, &ranges);
                process.due.differs = answer.map(|(number, which)| (session, number, which));
                self.counts.ranges_compared += ranges.len() as u64;
            }
            Step::Shared { given } => self.note_shared(now, node, given),
            Step::TakeOver {
                session,
                context,
                floor,
            } => {
                if self.is_sealed_by(node, &context) {
                    return Ok(());
                }
                self.check_end(&context, &floor)?;
                if !self.keys.may_take_over_seals(&context) || self.is_void(&context) {
                    // What was seen here of somebody who is gone is not what was when the exchange began.
                    return self.ask_anew(now, node);
                }
                self.keys.take_over(&context, &floor);
                self.counts.exchanges_received += 1;
                self.finished(now, node, session, &context)?;
            }
            Step::Commit {
                session,
                comparison,
                context,
                floor,
            } => {
                if self.is_sealed_by(node, &context) {
                    return Ok(());
                }
                self.check_end(&context, &floor)?;
                let events = self.check_comparison(&comparison, &context)?;
                if self.is_void(&context) {
                    // Whoever has what is in a draft is not told of seals.
                    self.draft = None;
                    return self.ask_anew(now, node);
                }
                self.count_events(&events);
                if !data.for_draft {
                    self.keys.commit(&comparison, &context, &floor);
                } else if !self.show_draft(&comparison, &context, &floor) {
                    return self.ask_anew(now, node);
                }
                self.counts.comparisons_received += 1;
                self.process(node)?.brought += events.len() as u64;
                self.finished(now, node, session, &context)?;
            }
            Step::Held => {
                let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
                let held = process.and_then(|process| process.incoming.newest_held());
                let context = held.map(|held| held.context.clone());
                if context
                    .as_ref()
                    .is_some_and(|context| self.is_sealed_by(node, context))
                {
                    self.abandon_incoming(node);
                    return Ok(());
                }
                self.check_newest_flush(node)?;
                if let Some(context) = context.filter(|context| !context.seals().is_empty()) {
                    self.keys.adopt_seals(&context);
                }
            }
        }
        self.apply_due_flushes(now)
    }

    /// Whether nothing may be taken over from who has this context: it has seen something else of somebody who is gone
    /// than was sealed here. It is to be told of that, and will be made anew.
    fn is_void(&self, context: &Context) -> bool {
        context.contradicts(self.keys.context())
    }

    /// An exchange or a comparison with a peer is complete.
    fn finished(
        &mut self,
        now: Time,
        node: &NodeId,
        session: u64,
        context: &Context,
    ) -> Result<(), FrameError> {
        let process = self.process(node)?;
        process.states(context);
        process.due.ack = Some(session);
        process.asked = None;
        process.deferred = false;
        if !self.caught_up {
            self.end_sharing(node);
        }
        self.note_caught_up(node);
        self.ask_deferred();
        self.note_news(now, node);
        Ok(())
    }

    /// Applies held flushes whose needs are met, until no more become so.
    fn apply_due_flushes(&mut self, now: Time) -> Result<(), FrameError> {
        let holds = |peer: &&Peer| {
            let process = peer.process.as_ref();
            process.is_some_and(|process| process.incoming.newest_held().is_some())
        };
        let held = self.peers.values().filter(holds);
        let nodes: Vec<NodeId> = held.map(|peer| peer.node.clone()).collect();
        let mut progress = true;
        while std::mem::take(&mut progress) {
            for node in &nodes {
                while let Some(held) = self.due_flush(node) {
                    if self.is_void(&held.context) {
                        self.ask_anew(now, node)?;
                        break;
                    }
                    let _shown = (held.units.len() > 1).then(|| self.keys.show());
                    for unit in &held.units {
                        let events = unit.events();
                        self.count_events(&events);
                        self.keys.apply(unit, &events);
                    }
                    self.keys.take_over(&held.context, &held.floor);
                    self.counts.flushes_received += 1;
                    let process = self.process(node)?;
                    process.states(&held.context);
                    process.due.ack = Some(held.session);
                    self.note_news(now, node);
                    progress = true;
                }
            }
        }
        Ok(())
    }

    fn count_events(&mut self, events: &[Dot]) {
        let context = self.keys.context();
        let known = events.iter().filter(|dot| context.contains(**dot));
        self.counts.events_known += known.count() as u64;
        self.counts.events_received += events.len() as u64;
    }

    /// Counts what is under way from a peer and now ends early.
    fn count_cut(&mut self, node: &NodeId) {
        let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
        self.counts
            .cut(process.and_then(|process| process.incoming.under_way()));
    }

    /// Of a peer that sent what was refused nothing takes effect later either, a held flush say:
    /// others may be heard before its connection has ended.
    fn abandon_incoming(&mut self, node: &NodeId) {
        self.count_cut(node);
        if let Ok(process) = self.process(node) {
            process.incoming.give_up();
        }
    }

    fn check_newest_flush(&self, node: &NodeId) -> Result<(), FrameError> {
        let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
        let Some(held) = process.and_then(|process| process.incoming.newest_held()) else {
            return Ok(());
        };
        self.check_end(&held.context, &held.floor)?;
        for unit in &held.units {
            self.check_unit(unit)?;
        }
        Ok(())
    }

    fn due_flush(&mut self, node: &NodeId) -> Option<crate::incoming::Held> {
        let process = self.peers.get_mut(node)?.process.as_mut()?;
        process.incoming.due(self.keys.context())
    }

    /// Asks a peer for everything that is lacking, giving up what it had begun.
    pub(super) fn ask_anew(&mut self, now: Time, node: &NodeId) -> Result<(), FrameError> {
        self.count_cut(node);
        let ask = self.may_ask(now, node);
        let process = self.process(node)?;
        process.incoming.give_up();
        process.due.want = Some(ask);
        process.deferred = !ask;
        Ok(())
    }

    /// What a peer had is here. A process without a vote asks whether that is all.
    fn note_caught_up(&mut self, node: &NodeId) {
        let unheard = !self.quorum.votes() && self.quorum.waits_for(node);
        if let Ok(process) = self.process(node) {
            process.due.query |= unheard && process.question.is_none();
        }
        // One that has as little is no proof, while what others have is on its way.
        if !self.caught_up && !self.is_filling_draft() {
            self.caught_up = true;
            self.draft = None;
            self.emit(Event::CaughtUp);
        }
    }

    /// Something came from a peer: others may lack it. Some are asked after a while, who do the same in turn, so that
    /// it comes to all wherever they are connected, and not each asks each.
    fn note_news(&mut self, now: Time, from: &NodeId) {
        let at = now + self.config.timing.relay;
        let others = self.peers.values_mut().filter(|peer| peer.node != *from);
        let processes = others.filter_map(|peer| peer.process.as_mut());
        let (asked, mut others): (Vec<_>, Vec<_>) =
            processes.partition(|process| process.relay_at.is_some());
        let more = MAX_RELAYED.saturating_sub(asked.len());
        while others.len() > more && more > 0 {
            others.swap_remove(self.rng.below(others.len()));
        }
        for process in others.into_iter().take(more) {
            process.relay_at = Some(at);
        }
        self.note_different(now);
        self.schedule_forgetting(now);
    }

    /// Returns its events, in order.
    fn check_unit(&self, unit: &Unit) -> Result<Vec<Dot>, FrameError> {
        let events = events_of(std::slice::from_ref(unit))?;
        let own = self.config.replica;
        let minted = self.keys.context().max(own);
        let made_up = |replica, seq| replica == own && seq > minted;
        let is = events.iter().any(|dot| made_up(dot.replica, dot.seq));
        // A removal that saw one would make it dead elsewhere as soon as it is made.
        let saw = unit.records.iter().any(|(_, record)| {
            let mut cuts = record.cuts.iter();
            record.seen.max(own) > minted || cuts.any(|(key, cut)| made_up(key.replica, cut.newest))
        });
        if is || saw {
            return Err(FrameError::Untrue(
                "an event of this replica that it never made",
            ));
        }
        if unit
            .links
            .iter()
            .any(|link| made_up(link.replica, link.last))
        {
            return Err(FrameError::Untrue(
                "a transaction of this replica that it never made",
            ));
        }
        self.check_links(std::slice::from_ref(unit))?;
        let adds = unit.adds.iter().map(|(path, _)| (path, 2));
        let records = unit.records.iter().map(|(path, _)| (path, 1));
        let links = unit.links.iter().flat_map(|link| link.paths.iter());
        let links = links.map(|path| (path, 1));
        // Many have one shape.
        let mut shape = None;
        adds.chain(records)
            .chain(links)
            .try_for_each(|(path, depth)| check_path(path, depth, &mut shape))?;
        Ok(events)
    }

    /// What claims to be a transaction stays until its events have come. Those of a peer that is sound
    /// are forgotten long before there are so many.
    fn check_links(&self, units: &[Unit]) -> Result<(), FrameError> {
        let more: usize = units.iter().map(|unit| unit.links.len()).sum();
        if more > 0 && self.keys.store().link_count() + more > 4 * MAX_TRANSACTIONS {
            return Err(FrameError::Limit("transactions"));
        }
        Ok(())
    }

    fn check_comparison(
        &self,
        comparison: &Comparison,
        context: &Context,
    ) -> Result<Vec<Dot>, FrameError> {
        let units = comparison.units();
        for unit in units {
            self.check_unit(unit)?;
        }
        self.check_links(units)?;
        let events = events_of(units)?;
        if events.iter().any(|dot| !context.contains(*dot)) {
            return Err(FrameError::Untrue("an event beyond the context"));
        }
        Ok(events)
    }

    pub(super) fn check_context(&self, context: &Context) -> Result<(), FrameError> {
        let own = self.config.replica;
        if context.max(own) > self.keys.context().max(own) {
            return Err(FrameError::Untrue(
                "events of this replica that it never made",
            ));
        }
        Ok(())
    }

    fn check_end(&self, context: &Context, floor: &VersionVector) -> Result<(), FrameError> {
        if floor.iter().any(|(origin, seq)| context.max(origin) < seq) {
            return Err(FrameError::Untrue("a floor beyond the context"));
        }
        self.check_context(context)
    }

    fn check_floor(&self, floor: &VersionVector) -> Result<(), FrameError> {
        let own = self.config.replica;
        if floor.get(own) > self.keys.context().max(own) {
            return Err(FrameError::Untrue(
                "forgotten removals of this replica that it never made",
            ));
        }
        Ok(())
    }
}

/// The events of units, in order. Each stands at one place: as a live dot, as a record, or as both.
fn events_of(units: &[Unit]) -> Result<Vec<Dot>, FrameError> {
    let mut events: Vec<Dot> = units.iter().flat_map(Unit::dots).collect();
    Dot::sort(&mut events);
    // Mostly each comes once.
    if !events.is_sorted_by(|a, b| a < b) {
        check_places(units)?;
        events.dedup();
    }
    Ok(events)
}

/// Of an event that comes twice one is a record, at the same path.
fn check_places(units: &[Unit]) -> Result<(), FrameError> {
    let adds = units.iter().flat_map(|unit| &unit.adds);
    let adds = adds.flat_map(|(path, entries)| entries.iter().map(move |e| (e.dot, false, path)));
    let records = units.iter().flat_map(|unit| &unit.records);
    let records = records.map(|(path, record)| (record.dot, true, path));
    let mut places: Vec<_> = adds.chain(records).collect();
    places.sort_unstable_by_key(|(dot, is_record, _)| (*dot, *is_record));
    let twice = |pair: &[(Dot, bool, &Path)]| {
        pair[0].0 == pair[1].0 && (pair[0].1 == pair[1].1 || pair[0].2 != pair[1].2)
    };
    if places.windows(2).any(twice) {
        return Err(FrameError::Untrue("one event at two places"));
    }
    Ok(())
}

/// `proper`: the shape that was found to be one last.
fn check_path<'a>(
    path: &'a Path,
    depth: usize,
    proper: &mut Option<&'a Name>,
) -> Result<(), FrameError> {
    let key = path.first().map_or(0, |key| key.len());
    if path.len() < depth || !(1..=MAX_KEY).contains(&key) {
        return Err(FrameError::Untrue("a path without a proper key"));
    }
    let shape = path.get(1).filter(|shape| Some(*shape) != *proper);
    let Some(shape) = shape else { return Ok(()) };
    if Shape::parse(shape).is_none() {
        return Err(FrameError::Untrue("a path without a proper shape"));
    }
    *proper = Some(shape);
    Ok(())
}
