//! A peer that misbehaves: it is connected as anybody else, and what it sends is damaged, made up, out of
//! order, or far too much.
//!
//! Members are trusted with contexts, floors, links and seals: what is well formed and claims events that do
//! not exist is believed. So what a victim accepts is tried on a copy of it, and says nothing of the run; what it
//! refuses must have changed nothing, and is then done to the victim itself, which must go on and agree with the
//! others.

use std::fmt::Write as _;
use std::ops::AddAssign;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use crdt_core::{Context, Dot, Limits, MAX_SEQ, ReplicaId, VersionVector};
use dd_gossip::{ClusterId, Config, NodeId, Replica, Time, Timing};

use super::op::{Call, Op};
use crate::rng::Rng;

/// Frames of one attack, in each direction, without those of the flood.
const FRAMES: usize = 40;
const FLOOD: usize = 200;
/// What a byte that was received may take in memory, as it is shown for debugging, and what an attack may
/// take beside that.
const GROWTH: (usize, usize) = (64, 64 * 1024);

/// What came of attacks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) frames: u64,
    pub(super) refused: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.refused += other.refused;
    }
}

/// Attacks a replica. `Err` says what it did that it should not have.
pub(super) fn attack(victim: &mut Replica, now: Time, rng: &mut Rng) -> Result<Outcome, String> {
    let mut attack = Attack::new(victim, now, rng)?;
    for _ in 0..FRAMES {
        attack.round()?;
    }
    attack.flood()?;
    attack.go_on()?;
    attack.in_earnest(victim)?;
    Ok(attack.outcome)
}

struct Attack<'r> {
    now: Time,
    rng: &'r mut Rng,
    name: NodeId,
    victim: Replica,
    /// Sends what would be right.
    peer: Replica,
    /// What the victim refused.
    refused: Vec<Bytes>,
    last: Bytes,
    outcome: Outcome,
}

impl<'r> Attack<'r> {
    fn new(victim: &Replica, now: Time, rng: &'r mut Rng) -> Result<Self, String> {
        let name = "hostile".parse::<NodeId>();
        let name = name.map_err(|error| error.to_string())?;
        let nonce = rng.next_u64();
        let replica = ReplicaId::new(u64::MAX, nonce >> 20);
        let config = Config {
            cluster: "sim"
                .parse::<ClusterId>()
                .map_err(|error| error.to_string())?,
            node: name.clone(),
            replica,
            nonce,
            seed: nonce,
            peers: vec![victim.node().clone()],
            bootstrap: false,
            timing: Timing::default(),
            limits: Limits::default(),
            chunk: [dd_gossip::MIN_CHUNK, dd_gossip::MAX_CHUNK][rng.below(2)],
            shared: [1, dd_gossip::MIN_SHARED][rng.below(2)],
            part: [1, dd_gossip::MAX_PART][rng.below(2)],
        };
        let mut peer = Replica::restore(config, made_up(victim, rng), now);
        for _ in 0..rng.below(6) {
            let mut call = Call {
                replica: &mut peer,
                now,
                // Of the far future, now and then.
                wall: [1_700_000_000_000, u64::MAX, u64::MAX >> 16][rng.below(3)],
            };
            // It may have made up so much that nothing more can be written.
            let _ = Op::random(rng).run(&mut call);
        }
        let mut attack = Self {
            now,
            rng,
            name,
            victim: victim.fork(),
            peer,
            refused: Vec::new(),
            last: Bytes::from_static(&[0]),
            outcome: Outcome::default(),
        };
        attack.connect();
        Ok(attack)
    }

    fn connect(&mut self) {
        let victim = self.victim.node().clone();
        for (replica, other) in [(&mut self.victim, &self.name), (&mut self.peer, &victim)] {
            replica.handle_disconnected(self.now, other);
            replica.handle_connected(self.now, other);
        }
    }

    /// A frame each way; that to the victim may be damaged.
    fn round(&mut self) -> Result<(), String> {
        let victim = self.victim.node().clone();
        if let Some(frame) = self.victim.poll_transmit(self.now, &self.name) {
            // What it says to damaged frames may be wrong too.
            let _ = self.peer.handle_frame(self.now, &victim, &frame);
        }
        let Some(frame) = self.peer.poll_transmit(self.now, &victim) else {
            let damaged = damaged(&self.last, self.rng);
            return self.send(damaged);
        };
        let sent = match self.rng.below(3) {
            0 => damaged(&frame, self.rng),
            _ => frame.clone(),
        };
        self.last = frame;
        self.send(sent)
    }

    fn send(&mut self, frame: Bytes) -> Result<(), String> {
        self.outcome.frames += 1;
        if refuses(&mut self.victim, self.now, &self.name, &frame)? {
            self.outcome.refused += 1;
            self.refused.push(frame);
            self.connect();
        }
        Ok(())
    }

    /// Many frames, none of them an error that would end the connection.
    fn flood(&mut self) -> Result<(), String> {
        let (before, mut received) = (size(&self.victim), 0);
        for _ in 0..FLOOD {
            let frame = match self.rng.below(4) {
                0 => damaged(&self.last, self.rng),
                _ => self.last.clone(),
            };
            received += frame.len();
            self.send(frame)?;
        }
        let (after, most) = (size(&self.victim), before + received * GROWTH.0 + GROWTH.1);
        if after > most {
            return Err(format!(
                "{received} bytes made a replica grow from {before} to {after}"
            ));
        }
        Ok(())
    }

    /// The victim still works, with whatever it accepted.
    fn go_on(&mut self) -> Result<(), String> {
        let now = self.now;
        self.victim.handle_disconnected(now, &self.name);
        let mut call = Call {
            replica: &mut self.victim,
            now,
            wall: 1_700_000_000_000,
        };
        // It can be refused: made-up events leave a counter no room, for instance.
        let _ = Op::random(self.rng).run(&mut call);
        self.victim.handle_timeout(now);
        let kept = self.victim.status().fingerprint;
        if self.victim.recompute_fingerprint() != kept {
            return Err("a hostile peer made the kept fingerprint wrong".to_owned());
        }
        Ok(())
    }

    /// What is refused is done to the victim itself.
    fn in_earnest(&mut self, victim: &mut Replica) -> Result<(), String> {
        for frame in &self.refused {
            victim.handle_connected(self.now, &self.name);
            if refuses(&mut victim.fork(), self.now, &self.name, frame)? {
                refuses(victim, self.now, &self.name, frame)?;
            }
            victim.handle_disconnected(self.now, &self.name);
        }
        Ok(())
    }
}

/// Whether a frame is refused, which must change nothing.
fn refuses(victim: &mut Replica, now: Time, from: &NodeId, frame: &Bytes) -> Result<bool, String> {
    let (before, kept) = (victim.state(), victim.status().fingerprint);
    if victim.handle_frame(now, from, frame).is_ok() {
        return Ok(false);
    }
    if victim.state() != before || victim.status().fingerprint != kept {
        return Err(format!("a refused frame changed the state: {frame:02x?}"));
    }
    Ok(true)
}

/// A state that claims what is not so.
fn made_up(victim: &Replica, rng: &mut Rng) -> DotStore {
    let mut state = match rng.below(2) {
        0 => DotStore::new(),
        _ => victim.state(),
    };
    let known: Vec<ReplicaId> = victim.context().iter().map(|(origin, _)| origin).collect();
    let mut claimed = Context::new();
    for _ in 0..rng.below(4) {
        let origin = match rng.pick(&known) {
            Some(origin) if rng.chance(70) => *origin,
            _ => ReplicaId::new(rng.next_u64(), rng.next_u64()),
        };
        let seq = [1, 7, 1 << 40, MAX_SEQ][rng.below(4)];
        claimed.insert(Dot::new(origin, seq));
        if rng.chance(30) {
            claimed.seal(origin, rng.next_u64());
        }
    }
    let mut floor = VersionVector::new();
    if rng.chance(30)
        && let Some(origin) = rng.pick(&known)
    {
        floor.raise(*origin, [1, 1 << 40][rng.below(2)]);
    }
    state.take_over(&claimed, &floor);
    state
}

fn damaged(frame: &[u8], rng: &mut Rng) -> Bytes {
    let mut bytes = frame.to_vec();
    match rng.below(6) {
        0 => bytes.truncate(1 + rng.below(bytes.len())),
        1 => bytes.extend((0..1 + rng.below(64)).map(|_| 0xFF)),
        2 => {
            bytes = (0..1 + rng.below(200))
                .map(|_| rng.next_u64() as u8)
                .collect()
        }
        3 => {
            // Numbers that go on and on.
            let at = rng.below(bytes.len());
            let end = bytes.len().min(at + 10);
            bytes[at..end].fill(0xFF);
        }
        _ => {
            for _ in 0..1 + rng.below(3) {
                let at = rng.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
    }
    Bytes::from(bytes)
}

/// How much there is in a replica, as it is shown for debugging.
fn size(replica: &Replica) -> usize {
    struct Length(usize);
    impl std::fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    let _ = write!(length, "{replica:?}");
    length.0
}
