//! Frames made by hand, byte by byte, for what no replica would send; and a look into frames.

use std::cmp::Ordering;
use std::hash::Hasher;

use bytes::Bytes;
use crdt_core::codec::{Reader, Writer};
use crdt_core::kernel::{Entry, Record, Unit, Value};
use crdt_core::{Context, Dot, Name, Path, ReplicaId, VersionVector};
use dd_gossip::{FRAME_VERSION, FrameError, NodeId, Replica, Time};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::{cluster, node, replica_id};

pub(crate) const HELLO: u8 = 1;
pub(crate) const DIGEST: u8 = 2;
pub(crate) const SAME: u8 = 3;
pub(crate) const WANT: u8 = 4;
pub(crate) const PART_OF_DRAFT: u8 = 4;
/// What one wants of which this is the last part of its draft.
pub(crate) const REST: u8 = 5;
pub(crate) const DATA: u8 = 5;
pub(crate) const ACK: u8 = 6;
pub(crate) const QUERY: u8 = 7;
pub(crate) const ANSWER: u8 = 8;
pub(crate) const SEAL_ASK: u8 = 10;
pub(crate) const SEAL_ANSWER: u8 = 11;
pub(crate) const DIFFERS: u8 = 12;

pub(crate) const EXCHANGE: u8 = 0;
pub(crate) const FLUSH: u8 = 1;
pub(crate) const COMPARISON: u8 = 2;
pub(crate) const ENDS_MESSAGE: u8 = 4;
/// A message by itself, in the middle of another.
pub(crate) const ASIDE: u8 = 16;
/// A session ends with the end of a message.
pub(crate) const ENDS_SESSION: u8 = 8 | ENDS_MESSAGE;

pub(crate) fn frame(kind: u8, body: &[u8]) -> Bytes {
    let mut w = Writer::new();
    w.byte(FRAME_VERSION);
    w.byte(kind);
    w.bytes(body);
    w.finish().into()
}

pub(crate) fn kind(frame: &[u8]) -> u8 {
    frame[1]
}

/// Of a frame that wants: what.
pub(crate) fn asks(frame: &[u8]) -> u8 {
    let mut r = Reader::new(&frame[2..]);
    r.bytes().expect("a body")[8]
}

/// What a data frame is a part of, and the part.
#[derive(Debug)]
pub(crate) struct DataFrame {
    pub(crate) flags: u8,
    pub(crate) chunk: Vec<u8>,
}

pub(crate) fn data_frame(frame: &[u8]) -> Option<DataFrame> {
    if kind(frame) != DATA {
        return None;
    }
    let body = Reader::new(&frame[2..]).bytes().expect("a body");
    let mut r = Reader::new(body);
    r.raw(8).expect("a binding");
    r.varint().expect("a session");
    r.varint().expect("a number");
    Some(DataFrame {
        flags: r.byte().expect("flags"),
        chunk: r.rest().to_vec(),
    })
}

/// Bytes of all data frames among these.
pub(crate) fn data_bytes(frames: &[Bytes]) -> usize {
    let data = frames.iter().filter(|frame| kind(frame) == DATA);
    data.map(Bytes::len).sum()
}

pub(crate) fn hello(nonce: u64, replica: ReplicaId, heard: bool) -> Bytes {
    let mut w = Writer::new();
    w.raw(&nonce.to_be_bytes());
    w.raw(&replica.to_bytes());
    w.byte(u8::from(heard));
    frame(HELLO, &w.finish())
}

fn sip(key: (u64, u64), bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// The keyed hash of the test cluster.
fn hash(bytes: &[u8]) -> u128 {
    let key = sip((0, 0), cluster().as_str().as_bytes());
    sip(((key >> 64) as u64, key as u64), bytes)
}

pub(crate) fn context_hash(context: &Context) -> u128 {
    let mut w = Writer::new();
    context.encode(&mut w);
    hash(&w.finish())
}

fn binding(from: u64, to: u64) -> u64 {
    let both = [from.to_be_bytes(), to.to_be_bytes()].concat();
    hash(&both) as u64
}

// -- messages ---------------------------------------------------------------------------------

pub(crate) fn unit(unit: &Unit) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(0);
    unit.encode(&mut w);
    w.finish()
}

/// A part of the unit that comes next.
pub(crate) fn staged(unit: &Unit) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(7);
    unit.encode(&mut w);
    w.finish()
}

pub(crate) fn part(kept: &Context, unit: &Unit) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(1);
    kept.encode(&mut w);
    unit.encode(&mut w);
    w.finish()
}

pub(crate) fn end(floor: &VersionVector, context: &Context) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(2);
    floor.encode(&mut w);
    context.encode(&mut w);
    w.finish()
}

pub(crate) fn flush(news: &Context, context: &Context, unit: &Unit) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(3);
    news.encode(&mut w);
    w.raw(&(context_hash(context) as u64).to_be_bytes());
    VersionVector::new().encode(&mut w);
    unit.encode(&mut w);
    w.finish()
}

pub(crate) fn begin(floor: &VersionVector) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(4);
    floor.encode(&mut w);
    w.finish()
}

/// A question about ranges of the first origin that there can be, by their first numbers and ends.
pub(crate) fn ranges(context: &Context, numbers: &[(u64, u64)]) -> Vec<u8> {
    let mut w = Writer::new();
    w.byte(5);
    context.encode(&mut w);
    w.count(numbers.len());
    let mut at = 0;
    for (first, end) in numbers {
        // Further on in the same origin, or with the whole of where it begins.
        w.byte(match first.cmp(&at) {
            Ordering::Greater => 8,
            Ordering::Equal => 0,
            Ordering::Less => 1,
        });
        if *first > at {
            w.varint(first - at);
        } else if *first < at {
            w.raw(&[0; 16]);
            w.varint(*first);
        }
        w.varint(end - first);
        w.raw(&[7; 12]);
        at = *end;
    }
    w.finish()
}

// -- what is in them --------------------------------------------------------------------------

pub(crate) fn path(names: &[&[u8]]) -> Path {
    names.iter().map(|name| Name::new(name)).collect()
}

pub(crate) fn dots(dots: &[Dot]) -> Context {
    dots.iter().copied().collect()
}

/// One dot with nothing, at a path.
pub(crate) fn add(path: &Path, dot: Dot) -> Unit {
    let value = Value::Unit;
    Unit {
        adds: vec![(path.clone(), vec![Entry { dot, value }])],
        ..Unit::default()
    }
}

/// A removal at a path that saw these dots.
pub(crate) fn removal(path: &Path, dot: Dot, seen: Context) -> Unit {
    let record = Record {
        dot,
        seen,
        cuts: Default::default(),
    };
    Unit {
        records: vec![(path.clone(), record)],
        ..Unit::default()
    }
}

/// A peer that exists on paper only: it has greeted a replica, and says whatever it is told to.
pub(crate) struct Stranger {
    pub(crate) node: NodeId,
    pub(crate) replica: ReplicaId,
    bind: u64,
    sessions: u64,
}

impl Stranger {
    /// Connects to a replica whose nonce is known, and greets it.
    pub(crate) fn meet(name: &str, at: &mut Replica, nonce: u64) -> Self {
        Self::meet_as(name, replica_id(name), at, nonce)
    }

    pub(crate) fn meet_as(name: &str, replica: ReplicaId, at: &mut Replica, nonce: u64) -> Self {
        let own = 76 + replica.incarnation();
        let stranger = Self {
            node: node(name),
            replica,
            bind: binding(own, nonce),
            sessions: 0,
        };
        at.handle_connected(Time::ZERO, &stranger.node);
        let hello = hello(own, stranger.replica, true);
        assert_eq!(stranger.say(at, &hello), Ok(()));
        while at.poll_transmit(Time::ZERO, &stranger.node).is_some() {}
        stranger
    }

    pub(crate) fn say(&self, to: &mut Replica, frame: &Bytes) -> Result<(), FrameError> {
        to.handle_frame(Time::ZERO, &self.node, frame)
    }

    /// Everything that the replica has for it now.
    pub(crate) fn hear(&self, from: &mut Replica) -> Vec<Bytes> {
        let mut heard = Vec::new();
        while let Some(frame) = from.poll_transmit(Time::ZERO, &self.node) {
            heard.push(frame);
        }
        heard
    }

    /// A frame of a kind, bound to both processes.
    pub(crate) fn bound(&self, kind: u8, rest: &[u8]) -> Bytes {
        frame(kind, &[&self.bind.to_be_bytes(), rest].concat())
    }

    pub(crate) fn digest(&self, context: &Context, fingerprint: u64) -> Bytes {
        let hash = context_hash(context).to_be_bytes();
        // Without a clock.
        self.bound(
            DIGEST,
            &[&hash[..], &fingerprint.to_be_bytes(), &[0]].concat(),
        )
    }

    /// A question what was seen of incarnations.
    pub(crate) fn seal_question(&self, number: u64, last: &[ReplicaId]) -> Bytes {
        let mut w = Writer::new();
        w.varint(number);
        w.count(last.len());
        last.iter().for_each(|replica| w.raw(&replica.to_bytes()));
        self.bound(SEAL_ASK, &w.finish())
    }

    /// An answer to such a question.
    pub(crate) fn seal_answer(&self, number: u64, digests: &[Option<u64>]) -> Bytes {
        let mut w = Writer::new();
        w.varint(number);
        w.count(digests.len());
        for digest in digests {
            w.byte(u8::from(digest.is_some()));
            w.raw(
                digest
                    .map(u64::to_be_bytes)
                    .as_ref()
                    .map_or(&[], |d| &d[..]),
            );
        }
        self.bound(SEAL_ANSWER, &w.finish())
    }

    /// An answer which ranges of a question differ.
    pub(crate) fn differs(&self, session: u64, number: u64, which: &[bool]) -> Bytes {
        let mut w = Writer::new();
        w.varint(session);
        w.varint(number);
        w.count(which.len());
        for byte in which.chunks(8) {
            let bits = byte.iter().enumerate();
            w.byte(bits.fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at));
        }
        self.bound(DIFFERS, &w.finish())
    }

    pub(crate) fn want(&self, send: bool, context: &Context) -> Bytes {
        self.ask(&[u8::from(send)], context)
    }

    /// A statement of a context with what is asked for.
    pub(crate) fn ask(&self, ask: &[u8], context: &Context) -> Bytes {
        let mut w = Writer::new();
        w.raw(ask);
        context.encode(&mut w);
        self.bound(WANT, &w.finish())
    }

    pub(crate) fn ack(&self, session: u64) -> Bytes {
        let mut w = Writer::new();
        w.varint(session);
        self.bound(ACK, &w.finish())
    }

    /// A question for the other's context.
    pub(crate) fn question(&self, number: u64, context: &Context) -> Bytes {
        let mut w = Writer::new();
        w.varint(number);
        w.raw(&context_hash(context).to_be_bytes());
        self.bound(QUERY, &w.finish())
    }

    /// A context in answer to a question.
    pub(crate) fn answer(&self, number: u64, votes: bool, context: &Context) -> Bytes {
        let mut w = Writer::new();
        w.varint(number);
        w.byte(u8::from(votes));
        w.byte(1);
        context.encode(&mut w);
        self.bound(ANSWER, &w.finish())
    }

    pub(crate) fn data(&self, session: u64, number: u64, flags: u8, chunk: &[u8]) -> Bytes {
        let mut w = Writer::new();
        w.varint(session);
        w.varint(number);
        w.byte(flags);
        w.raw(chunk);
        self.bound(DATA, &w.finish())
    }

    /// The frames of a new session with these messages, the last of which ends it.
    pub(crate) fn session(&mut self, kind: u8, messages: &[Vec<u8>]) -> Vec<Bytes> {
        self.sessions += 1;
        let last = messages.len() - 1;
        let frames = messages.iter().enumerate().map(|(at, message)| {
            let ends = if at == last {
                ENDS_SESSION
            } else {
                ENDS_MESSAGE
            };
            self.data(self.sessions, at as u64, kind | ends, message)
        });
        frames.collect()
    }

    /// Both have seen the same: flushes may follow.
    pub(crate) fn agree_on(&self, to: &mut Replica, context: &Context) {
        let fingerprint = to.status().fingerprint as u64;
        let digest = self.digest(context, fingerprint);
        assert_eq!(self.say(to, &digest), Ok(()));
        assert_eq!(to.status().context, *context, "they have seen the same");
    }
}
