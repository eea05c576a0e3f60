//! Membership that the nodes find out among themselves.
//!
//! Whether a node answers is found out by SWIM with suspicion (Das, Gupta, Motivala, *SWIM: Scalable
//! Weakly-consistent Infection-style Process Group Membership Protocol*, 2002), by the crate `foca`: its
//! packets may be lost. Who belongs to the cluster is in the [roster](super::roster), which nodes tell each
//! other when they connect and whenever it changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use bytes::Bytes;
use crdt_core::codec::{DecodeError, Writer};
use foca::{
    AccumulatingRuntime, Codec, Foca, NoCustomBroadcast, OwnedNotification, PeriodicParams,
    PostcardCodec, Timer,
};

use super::member::{Member, MemberState};
use super::roster::{self, Entry, Gone, Roster, Told};
use super::swim_id::SwimId;
use super::{Membership, Message};
use crate::config::check_intervals;
use crate::rng::Rng;
use crate::{ConfigError, FrameError, NodeId, Time};

/// Largest message that may be lost, in bytes: it has to fit a packet with what QUIC puts around it.
pub const MAX_PACKET: usize = 1100;

const PACKET: u8 = 0;
/// Of a node that belongs to the cluster.
const ROSTER: u8 = 1;
/// Of one that has not met the cluster yet.
const NEWCOMER: u8 = 2;

/// How many others are asked to try it, when a node does not answer.
const HELPERS: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");
/// How often a change is passed on by each node: of a hundred nodes of which half of the packets are lost, one
/// in some twenty thousand then misses a change, and has to find out by itself.
const TRANSMISSIONS: NonZeroU8 = NonZeroU8::new(20).expect("20 is not 0");
/// Whose life is outbid twice within this has a namesake.
const SUSPICIOUS: Duration = Duration::from_secs(60);
const ONE: NonZeroUsize = NonZeroUsize::new(1).expect("1 is not 0");

/// When members are probed and given up. [`SwimTiming::default`] suits a local network: with it a node that
/// fails is taken for down after some 6 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwimTiming {
    /// How often one member is probed. Default 1 s.
    pub probe: Duration,
    /// How long its answer may take, before others are asked to try. Default 300 ms; under a third of
    /// `probe`.
    pub answer: Duration,
    /// How long a member that did not answer has to object, before it is taken for down. Default 5 s.
    pub suspect: Duration,
    /// How often changes are passed on, beside what goes with probes. Default 200 ms.
    pub gossip: Duration,
    /// How long a member may be down before it is removed, by a side of the cluster that has most of the members,
    /// or half with the first by name. Default 24 h.
    pub remove_after: Duration,
}

impl Default for SwimTiming {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(1),
            answer: Duration::from_millis(300),
            suspect: Duration::from_secs(5),
            gossip: Duration::from_millis(200),
            remove_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl SwimTiming {
    /// Checks that the times make sense together: each lasts [`MIN_INTERVAL`](crate::MIN_INTERVAL) to
    /// [`MAX_INTERVAL`](crate::MAX_INTERVAL), answers come within a third of `probe`, and who is suspected has that
    /// long at least.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_intervals([
            ("membership.probe", self.probe),
            ("membership.answer", self.answer),
            ("membership.suspect", self.suspect),
            ("membership.gossip", self.gossip),
            ("membership.remove_after", self.remove_after),
        ])?;
        let rule = "must be at most a third of membership.probe";
        ConfigError::unless(self.answer * 3 <= self.probe, "membership.answer", rule)?;
        let rule = "must not be shorter than membership.probe";
        ConfigError::unless(self.suspect >= self.probe, "membership.suspect", rule)
    }

    fn foca(&self) -> foca::Config {
        let every = |frequency, num_members| {
            Some(PeriodicParams {
                frequency,
                num_members,
            })
        };
        let mut config = foca::Config::simple();
        config.probe_period = self.probe;
        config.probe_rtt = self.answer;
        config.num_indirect_probes = HELPERS;
        config.max_transmissions = TRANSMISSIONS;
        config.suspect_to_down_after = self.suspect;
        config.remove_down_after = Some(self.remove_after);
        config.max_packet_size = NonZeroUsize::new(MAX_PACKET - 1).unwrap_or(ONE);
        config.notify_down_members = true;
        config.periodic_announce = every(self.probe * 30, ONE);
        config.periodic_announce_to_down_members = every(self.probe * 30, ONE);
        config.periodic_gossip = every(self.gossip, HELPERS);
        config
    }
}

/// Membership by SWIM.
///
/// A node that begins a cluster has joined; any other has when one that has joined told it who belongs to it:
/// nodes that look for a cluster and meet each other are none. Whom to ask is the transport's affair
/// ([`Transport::seed`](crate::Transport::seed)).
pub struct Swim {
    own: NodeId,
    timing: SwimTiming,
    roster: Roster,
    foca: Foca<SwimId, PostcardCodec, SwimRng, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<SwimId>,
    timers: BTreeMap<(Time, u64), Timer<SwimId>>,
    next_timer: u64,
    connected: BTreeSet<NodeId>,
    /// What each connected node is to be told of.
    to_tell: BTreeMap<NodeId, BTreeSet<NodeId>>,
    messages: VecDeque<Message>,
    down_since: BTreeMap<NodeId, Time>,
    /// When this node began a new life last because others knew of a later one.
    renewed: Option<Time>,
    /// When it has to again, and later than which.
    outlived: Option<(Time, u64)>,
    /// When it calls those who are connected and taken for down: foca does not, where nobody is left.
    calls: Option<Time>,
    joined: bool,
    left: bool,
    states: Vec<(NodeId, u64, MemberState)>,
    version: u64,
}

impl Swim {
    /// A node that has met nobody. `generation` has to be greater than that of the node's former lives, a
    /// wall clock's time say; where it is not, the others say so and it is raised. `founds`: it begins a new
    /// cluster.
    pub fn new(
        own: NodeId,
        address: String,
        generation: u64,
        founds: bool,
        timing: SwimTiming,
        seed: u64,
    ) -> Self {
        let id = SwimId {
            node: own.clone(),
            generation,
        };
        let rng = SwimRng(Rng::new(seed));
        let mut roster = Roster::default();
        let entry = Entry {
            generation,
            gone: None,
            address,
        };
        roster.join(Time::ZERO, &own, entry);
        let mut swim = Self {
            foca: Foca::new(id, timing.foca(), rng, PostcardCodec),
            own,
            timing,
            roster,
            runtime: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            connected: BTreeSet::new(),
            to_tell: BTreeMap::new(),
            messages: VecDeque::new(),
            down_since: BTreeMap::new(),
            renewed: None,
            outlived: None,
            calls: None,
            joined: founds,
            left: false,
            states: Vec::new(),
            version: 0,
        };
        swim.note(Time::ZERO);
        swim
    }

    /// A node whose process was a member before, and goes on with what it knew: it still is one, and so are those
    /// members. They count as down until they answer. To be called right after [`new`](Self::new).
    #[must_use]
    pub fn resume(mut self, members: &[Member]) -> Self {
        for member in members.iter().filter(|member| member.node != self.own) {
            let gone = match member.state {
                MemberState::Left => Some(Gone::Left),
                MemberState::Removed => Some(Gone::Removed),
                MemberState::Up | MemberState::Suspect | MemberState::Down => None,
            };
            let (generation, address) = (member.generation, member.address.clone());
            let entry = Entry {
                generation,
                gone,
                address,
            };
            self.roster.join(Time::ZERO, &member.node, entry);
        }
        self.joined = true;
        self.note(Time::ZERO);
        self
    }

    /// Whoever is connected is told that this node belongs to the cluster, and does so too.
    fn set_joined(&mut self) {
        if std::mem::replace(&mut self.joined, true) {
            return;
        }
        self.version += 1;
        for peer in self.connected.clone() {
            let told = self.to_tell.entry(peer).or_default();
            told.insert(self.own.clone());
        }
    }

    /// Sends what foca wants sent, and so on; to be called after whatever it was told.
    fn drain(&mut self, now: Time) {
        while let Some((to, packet)) = self.runtime.to_send() {
            if !self.connected.contains(&to.node) {
                continue; // as good as lost
            }
            let mut bytes = Vec::with_capacity(1 + packet.len());
            bytes.push(PACKET);
            bytes.extend_from_slice(&packet);
            self.messages.push_back(Message {
                to: to.node,
                bytes: bytes.into(),
                lossy: true,
            });
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.next_timer += 1;
            self.timers.insert((now + after, self.next_timer), timer);
        }
        let mut reborn = false;
        while let Some(notification) = self.runtime.to_notify() {
            reborn |= matches!(notification, OwnedNotification::Rejoin(_));
        }
        if reborn && !self.left {
            self.live_anew(now);
        }
        self.note(now);
        let lonely = !self.left && self.foca.num_members() == 0;
        let called = lonely && self.connected_and_down().next().is_some();
        self.calls = called.then(|| self.calls.unwrap_or(now + self.timing.suspect));
    }

    /// Members that are taken for down and can be sent messages: packets were lost, and the connection was not.
    fn connected_and_down(&self) -> impl Iterator<Item = SwimId> + '_ {
        let is = |(node, _, state): &&(NodeId, u64, MemberState)| {
            *state == MemberState::Down && self.connected.contains(node)
        };
        let down = self.states.iter().filter(is);
        down.map(|(node, generation, _)| SwimId {
            node: node.clone(),
            generation: *generation,
        })
    }

    /// Whoever answers, or hears that it was taken for dead, lives.
    fn call_if_due(&mut self, now: Time) {
        if self.calls.take_if(|due| *due <= now).is_none() {
            return;
        }
        let down: Vec<SwimId> = self.connected_and_down().collect();
        for id in down {
            debug(self.foca.announce(id, &mut self.runtime));
        }
    }

    /// The own entry says in which life this node is.
    fn live_anew(&mut self, now: Time) {
        let address = self.roster.get(&self.own).map(|own| own.address.clone());
        let entry = Entry {
            generation: self.foca.identity().generation,
            gone: None,
            address: address.unwrap_or_default(),
        };
        let own = self.own.clone();
        self.learn(now, &own, entry, None);
    }

    /// Takes an entry in, and tells the others if it is new.
    fn learn(&mut self, now: Time, node: &NodeId, entry: Entry, from: Option<&NodeId>) -> bool {
        let new = self.roster.join(now, node, entry);
        if new {
            for peer in self.connected.iter().filter(|peer| Some(*peer) != from) {
                let told = self.to_tell.entry(peer.clone()).or_default();
                told.insert(node.clone());
            }
        }
        new
    }

    /// Tells foca what the roster says of another node.
    fn suggest(&mut self, node: &NodeId, generation: u64, state: foca::State) {
        let node = node.clone();
        let id = SwimId { node, generation };
        let update = foca::Member::new(id, 0, state);
        let applied = self
            .foca
            .apply_many([update].into_iter(), false, &mut self.runtime);
        debug(applied);
    }

    /// Compares who is how with what was known, and counts for how long members are down.
    fn note(&mut self, now: Time) {
        let states = self.find_states();
        if states == self.states {
            return;
        }
        self.version += 1;
        let down = |(node, _, state): &(NodeId, u64, MemberState)| {
            (*state == MemberState::Down).then(|| node.clone())
        };
        let down: BTreeSet<NodeId> = states.iter().filter_map(down).collect();
        self.down_since.retain(|node, _| down.contains(node));
        for node in down {
            self.down_since.entry(node).or_insert(now);
        }
        self.states = states;
    }

    /// Who is down and may be removed without anybody's word, and since when. Two sides of a partition must not remove
    /// each other: each would seal what the other's processes wrote, and when they meet, both would have to begin anew. So
    /// only that side removes which has most of the members, or half with the first by name.
    fn removable(&self) -> impl Iterator<Item = (&NodeId, &Time)> {
        let members = || self.states.iter().filter(|(.., state)| state.is_member());
        let up = members().filter(|(.., state)| *state != MemberState::Down);
        let (up, all) = (2 * up.count(), members().count());
        let first = members().map(|(node, ..)| node).min();
        let has_first = first.is_some_and(|first| !self.down_since.contains_key(first));
        let most = up > all || (up == all && has_first);
        self.down_since.iter().filter(move |_| most)
    }

    fn find_states(&self) -> Vec<(NodeId, u64, MemberState)> {
        let known = self.foca.iter_membership_state();
        let known: BTreeMap<&NodeId, &foca::Member<SwimId>> =
            known.map(|member| (&member.id().node, member)).collect();
        let state = |(node, entry): (&NodeId, &Entry)| {
            let seen = known.get(node);
            // What SWIM knows of a later life is news of its own, and that of a former one is old.
            let seen = seen.filter(|member| member.id().generation >= entry.generation);
            let state = match (entry.gone, seen.map(|member| member.state())) {
                (Some(Gone::Left), _) => MemberState::Left,
                (Some(Gone::Removed), _) => MemberState::Removed,
                (None, _) if *node == self.own => MemberState::Up,
                (None, Some(foca::State::Alive)) => MemberState::Up,
                (None, Some(foca::State::Suspect)) => MemberState::Suspect,
                (None, Some(foca::State::Down) | None) => MemberState::Down,
            };
            (node.clone(), entry.generation, state)
        };
        self.roster.iter().map(state).collect()
    }

    fn handle_packet(&mut self, from: &NodeId, packet: &[u8]) -> Result<(), FrameError> {
        let header = PostcardCodec.decode_header(packet);
        let header: foca::Header<SwimId> =
            header.map_err(|_| DecodeError::Invalid("membership packet"))?;
        if header.src.node != *from {
            return Err(FrameError::Untrue("a membership packet of another node"));
        }
        // Packets for a former life are passed over, and so is what refers to a probe that is over.
        match self.foca.handle_data(packet, &mut self.runtime) {
            Err(foca::Error::Decode(_) | foca::Error::MalformedPacket) => {
                Err(DecodeError::Invalid("membership packet").into())
            }
            Err(foca::Error::IndirectForOurselves) => {
                Err(FrameError::Untrue("a membership packet by way of itself"))
            }
            other => {
                debug(other);
                Ok(())
            }
        }
    }

    /// `joined`: who tells it belongs to the cluster.
    fn handle_roster(
        &mut self,
        now: Time,
        from: &NodeId,
        bytes: &[u8],
        joined: bool,
    ) -> Result<(), FrameError> {
        let told = roster::decode(bytes)?;
        if !self.roster.has_room(&told) {
            return Err(FrameError::Limit("members"));
        }
        for Told {
            node,
            entry,
            answers,
        } in told
        {
            if node == self.own {
                self.hear_of_self(now, entry);
                continue;
            }
            let (generation, gone) = (entry.generation, entry.gone.is_some());
            if self.learn(now, &node, entry, Some(from)) {
                let alive = !gone && (answers || self.connected.contains(&node));
                let state = if alive {
                    foca::State::Alive
                } else {
                    foca::State::Down
                };
                self.suggest(&node, generation, state);
            }
        }
        if joined {
            self.set_joined();
        }
        Ok(())
    }

    /// Others remember a later life of this node, or that it was removed: it begins a new one.
    fn hear_of_self(&mut self, now: Time, entry: Entry) {
        let own = self.generation();
        let outlived = entry.generation > own || (entry.generation == own && entry.gone.is_some());
        if self.left || !outlived {
            return;
        }
        let due = self.renewed.map_or(now, |last| last + self.timing.probe);
        let known = self.outlived.map_or(0, |(_, known)| known);
        self.outlived = Some((due.max(now), entry.generation.max(known)));
        self.renew_if_due(now);
    }

    /// Two processes of one name would outbid each other without end, so it takes its time.
    fn renew_if_due(&mut self, now: Time) {
        let due = self.outlived.take_if(|(due, _)| *due <= now);
        let Some((_, generation)) = due.filter(|(_, known)| *known >= self.generation()) else {
            return;
        };
        if self
            .renewed
            .is_some_and(|last| now.since(last) < SUSPICIOUS)
        {
            let node = &self.own;
            tracing::warn!(%node, "others know of a later life of this node again: does another process run under its name?");
        }
        self.renewed = Some(now);
        let id = SwimId {
            node: self.own.clone(),
            generation: generation.saturating_add(1),
        };
        debug(self.foca.change_identity(id, &mut self.runtime));
        self.live_anew(now);
    }

    fn generation(&self) -> u64 {
        self.foca.identity().generation
    }

    fn tell(&mut self, peer: &NodeId) {
        let Some(due) = self.to_tell.remove(peer) else {
            return;
        };
        let told: Vec<Told> = self
            .states
            .iter()
            .filter(|(node, ..)| due.contains(node))
            .filter_map(|(node, _, state)| {
                Some(Told {
                    node: node.clone(),
                    entry: self.roster.get(node)?.clone(),
                    answers: state.is_alive(),
                })
            })
            .collect();
        for part in roster::messages(&told) {
            let mut w = Writer::new();
            w.byte(if self.joined { ROSTER } else { NEWCOMER });
            roster::encode(part, &mut w);
            self.messages.push_back(Message {
                to: peer.clone(),
                bytes: Bytes::from(w.finish()),
                lossy: false,
            });
        }
    }
}

impl Membership for Swim {
    fn members(&self) -> Vec<Member> {
        let member = |(node, generation, state): &(NodeId, u64, MemberState)| {
            let address = self.roster.get(node)?.address.clone();
            Some(Member::new(node.clone(), address, *generation, *state))
        };
        self.states.iter().filter_map(member).collect()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn handle_connected(&mut self, now: Time, node: &NodeId) {
        self.connected.insert(node.clone());
        let all = self.roster.iter().map(|(node, _)| node.clone()).collect();
        self.to_tell.insert(node.clone(), all);
        let entry = self.roster.get(node).filter(|entry| entry.gone.is_none());
        if let Some(generation) = entry.map(|entry| entry.generation) {
            self.suggest(node, generation, foca::State::Alive);
            // If it is taken for dead it has to hear of that, to come back in a new life.
            let node = node.clone();
            let id = SwimId { node, generation };
            debug(self.foca.announce(id, &mut self.runtime));
        }
        self.drain(now);
    }

    fn handle_disconnected(&mut self, _now: Time, node: &NodeId) {
        self.connected.remove(node);
        self.to_tell.remove(node);
        self.messages.retain(|message| message.to != *node);
    }

    fn handle_message(
        &mut self,
        now: Time,
        from: &NodeId,
        message: &[u8],
    ) -> Result<(), FrameError> {
        if self.left {
            return Ok(());
        }
        let result = match message.split_first() {
            Some((&PACKET, packet)) => self.handle_packet(from, packet),
            Some((&ROSTER, told)) => self.handle_roster(now, from, told, true),
            Some((&NEWCOMER, told)) => self.handle_roster(now, from, told, false),
            Some(_) => Ok(()), // of a later version
            None => Err(DecodeError::Invalid("membership message").into()),
        };
        self.drain(now);
        result
    }

    fn handle_timeout(&mut self, now: Time) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let timer = entry.remove();
            debug(self.foca.handle_timer(timer, &mut self.runtime));
            self.drain(now);
        }
        self.renew_if_due(now);
        self.call_if_due(now);
        self.drain(now);
        let then = now.before(self.timing.remove_after);
        let long = |since: &Time| now.since(*since) >= self.timing.remove_after;
        let over = self.removable().filter(|(_, since)| long(since));
        let over: Vec<NodeId> = over.map(|(node, _)| node.clone()).collect();
        for node in over {
            self.remove(now, &node);
        }
        if now.since(Time::ZERO) >= self.timing.remove_after && self.roster.forget_gone(then) {
            self.note(now);
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let since = self.removable().map(|(_, since)| *since).min();
        let since = since.into_iter().chain(self.roster.oldest_gone());
        let over = since.map(|since| since + self.timing.remove_after);
        let outlived = self.outlived.map(|(due, _)| due);
        over.chain(timer).chain(outlived).chain(self.calls).min()
    }

    fn poll_message(&mut self) -> Option<Message> {
        while self.messages.is_empty() {
            let peer = self.to_tell.keys().next().cloned()?;
            self.tell(&peer);
        }
        self.messages.pop_front()
    }

    fn has_joined(&self) -> bool {
        self.joined
    }

    fn found(&mut self) {
        self.set_joined();
    }

    fn leave(&mut self, now: Time) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let (own, entry) = (self.own.clone(), self.roster.get(&self.own).cloned());
        if let Some(entry) = entry {
            let gone = Some(Gone::Left);
            self.learn(now, &own, Entry { gone, ..entry }, None);
        }
        self.timers.clear();
        self.outlived = None;
        self.calls = None;
        self.note(now);
    }

    fn remove(&mut self, now: Time, node: &NodeId) -> bool {
        let entry = self.roster.get(node).filter(|entry| entry.gone.is_none());
        let Some(entry) = entry.filter(|_| *node != self.own).cloned() else {
            return false;
        };
        let (generation, gone) = (entry.generation, Some(Gone::Removed));
        self.learn(now, node, Entry { gone, ..entry }, None);
        self.suggest(node, generation, foca::State::Down);
        self.drain(now);
        true
    }
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim")
            .field("own", &self.own)
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

/// What foca can't do is said for whoever looks for it; none of it leaves it in disorder.
fn debug(result: Result<(), foca::Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "membership");
    }
}

/// The machine's own random numbers, as foca wants them.
struct SwimRng(Rng);

impl rand_core::TryRng for SwimRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let random = self.0.next().to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_membership_can_not_work_with_are_refused() {
        let usual = SwimTiming::default();
        assert_eq!(usual.validate(), Ok(()));
        let millis = Duration::from_millis;
        type Change = fn(&mut SwimTiming);
        let wrong: [(Change, &str); 7] = [
            (|timing| timing.probe = Duration::ZERO, "membership.probe"),
            (|timing| timing.probe = Duration::MAX, "membership.probe"),
            (|timing| timing.answer = Duration::ZERO, "membership.answer"),
            (
                |timing| timing.answer = timing.probe / 3 + Duration::from_nanos(1),
                "membership.answer",
            ),
            (
                |timing| timing.suspect = timing.probe / 2,
                "membership.suspect",
            ),
            (|timing| timing.gossip = Duration::ZERO, "membership.gossip"),
            (
                |timing| timing.remove_after = Duration::MAX,
                "membership.remove_after",
            ),
        ];
        for (change, setting) in wrong {
            let mut timing = usual;
            change(&mut timing);
            assert_eq!(timing.validate().unwrap_err().setting, setting);
        }
        let timing = SwimTiming {
            probe: millis(30),
            answer: millis(10),
            ..usual
        };
        assert_eq!(timing.validate(), Ok(()));
    }
}
