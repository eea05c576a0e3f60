//! Frames: the bytes between two replicas.
//!
//! ```text
//! frame     = version kind length body
//! hello     = nonce replica heard                    first on every connection, from both sides
//! digest    = bind hash fingerprint wall             "this is the hash of my context"
//! same      = bind hash                              "mine is equal"
//! want      = bind 0 context                         "this is my context, or a part of it"
//! want      = bind 1 context                         "as well; send what I lack"
//! want      = bind 2 at of context                   "as well; send what I lack of one of so many shares"
//! want      = bind 3 context                         "as well; send no more of the share"
//! want      = bind 4 context                         "these values are in my draft, and others"
//! want      = bind 5 context                         "and these; send everything else that you hold"
//! data      = bind session number flags chunk        a part of a message of a session
//! ack       = bind session                           "all up to this session is here"
//! query     = bind number hash                       "this is the hash of my context; what is yours?"
//! answer    = bind number votes 0                    "equal to that"
//! answer    = bind number votes 1 context            "this one"
//! answer    = bind number votes 2                    "too long for a frame"
//! seal-ask  = bind number incarnations               "what have you seen of these?"
//! seal-answer = bind number digests                  "this"
//! differs   = bind session number bits               "of the ranges you asked about these differ"
//! membership = message                               "of a membership service"; see `membership`
//! ```
//!
//! `bind` is a hash of the nonces of the two processes: a frame from or for another incarnation of
//! either is refused. The messages of a session are cut over its frames anywhere, so that nothing
//! is too large for a frame. A whole one may go in a single frame between those of another: a unit of what is newer,
//! or the floor under which that was made. What messages there are says `message.rs`.

use bytes::Bytes;
use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::{Context, ReplicaId};

use crate::MAX_FRAME;
use crate::range::MAX_COMPARED;

/// The version of the frame format that this crate writes.
pub const FRAME_VERSION: u8 = 1;

/// Most bytes of a chunk, so that its frame stays within [`MAX_FRAME`].
pub const MAX_CHUNK: usize = MAX_FRAME - 64;

/// Most bytes of an encoded context in a frame; what goes beyond is left out, which costs bytes
/// later and is never wrong.
pub(crate) const MAX_CONTEXT: usize = MAX_FRAME - 1024;

/// Nodes of which incarnations are sealed at one time, at most.
pub const MAX_SEALS: usize = 256;

const HELLO: u8 = 1;
const DIGEST: u8 = 2;
const SAME: u8 = 3;
const WANT: u8 = 4;
const DATA: u8 = 5;
const ACK: u8 = 6;
const QUERY: u8 = 7;
const ANSWER: u8 = 8;
/// Not a replica's affair: see [`membership_message`].
const MEMBERSHIP: u8 = 9;
const SEAL_ASK: u8 = 10;
const SEAL_ANSWER: u8 = 11;
const DIFFERS: u8 = 12;

const NOTHING: u8 = 0;
const EVERYTHING: u8 = 1;
const ONE_SHARE: u8 = 2;
const NO_MORE: u8 = 3;
const PART_OF_DRAFT: u8 = 4;
const REST: u8 = 5;

const KIND_BITS: u8 = 0b11;
const ENDS_MESSAGE: u8 = 0b100;
const ENDS_SESSION: u8 = 0b1000;
const ASIDE: u8 = 0b1_0000;
const FOR_DRAFT: u8 = 0b10_0000;

/// A frame that carries a message of a membership service.
pub fn membership_frame(message: &[u8]) -> Bytes {
    let mut w = Writer::new();
    w.byte(FRAME_VERSION);
    w.byte(MEMBERSHIP);
    w.bytes(message);
    w.finish().into()
}

/// The message of a membership service that a frame carries, if it carries one.
pub fn membership_message(frame: &Bytes) -> Option<Result<Bytes, FrameError>> {
    if !matches!(frame.as_ref(), [FRAME_VERSION, MEMBERSHIP, ..]) {
        return None;
    }
    let mut r = Reader::new(&frame[2..]);
    let message = r.bytes().and_then(|message| {
        r.finish()?;
        Ok(frame.slice_ref(message))
    });
    Some(message.map_err(FrameError::from))
}

/// Whether a frame carries data of a session; the others are small and only steer. For whoever
/// counts traffic or gives data a lane of its own.
pub fn carries_data(frame: &[u8]) -> bool {
    matches!(frame, [FRAME_VERSION, DATA, ..])
}

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// Everything that the peer lacks, each piece visible as it comes.
    Exchange,
    /// The newest own events, visible together.
    Flush,
    /// Everything that is live, for a peer that is behind what was forgotten.
    Comparison,
}

/// What a peer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Nothing,
    /// Everything that is lacking.
    Everything,
    /// What is lacking of this share.
    Share(Share),
    /// No more of the share that it was asked for.
    NoMore,
    /// Nothing yet: the context is a part of what is in a draft, not of what was seen.
    PartOfDraft,
    /// Everything but what is in the draft, of which this is the last part.
    Rest,
}

/// The `at`-th of `of` parts of what a replica holds, which are about equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) at: u8,
    pub(crate) of: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `heard`: the peer's own hello has come.
    Hello {
        nonce: u64,
        replica: ReplicaId,
        heard: bool,
    },
    /// `wall`: the sender's clock, in milliseconds since 1970; 0 if it has none.
    Digest {
        bind: u64,
        hash: u128,
        fingerprint: u64,
        wall: u64,
    },
    Same {
        bind: u64,
        hash: u64,
    },
    Want {
        bind: u64,
        ask: Ask,
        context: Context,
    },
    Data(Data),
    Ack {
        bind: u64,
        session: u64,
    },
    Query {
        bind: u64,
        number: u64,
        hash: u128,
    },
    /// `votes`: what its node acknowledged before this process is here, as far as anybody has it.
    Answer {
        bind: u64,
        number: u64,
        votes: bool,
        answer: Answer,
    },
    /// What the peer has seen of these incarnations, and of those before them of their nodes.
    SealAsk {
        bind: u64,
        number: u64,
        last: Vec<ReplicaId>,
    },
    /// A digest for each; none where its node's process may still run.
    SealAnswer {
        bind: u64,
        number: u64,
        digests: Vec<Option<u64>>,
    },
    /// Which of the ranges of the `number`-th question of a full comparison differ.
    Differs {
        bind: u64,
        session: u64,
        number: u64,
        which: Vec<bool>,
    },
    /// Of a kind that this version does not know: passed over.
    Unknown(u8),
}

/// The context of whoever was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Equal,
    Context(Context),
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) bind: u64,
    pub(crate) session: u64,
    pub(crate) number: u64,
    pub(crate) kind: SessionKind,
    /// What it brings is for a draft: a share if it is an exchange, the rest if it is a comparison.
    pub(crate) for_draft: bool,
    pub(crate) ends: Ends,
    pub(crate) chunk: Bytes,
}

/// What the chunk of a data frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Nothing,
    Message,
    /// Its last message, and so the session.
    Session,
    /// It is a message by itself, in the middle of another.
    Aside,
}

impl Frame {
    pub(crate) fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        let kind = match self {
            Frame::Hello {
                nonce,
                replica,
                heard,
            } => {
                w.raw(&nonce.to_be_bytes());
                w.raw(&replica.to_bytes());
                w.byte(u8::from(*heard));
                HELLO
            }
            Frame::Digest {
                bind,
                hash,
                fingerprint,
                wall,
            } => {
                w.raw(&bind.to_be_bytes());
                w.raw(&hash.to_be_bytes());
                w.raw(&fingerprint.to_be_bytes());
                w.varint(*wall);
                DIGEST
            }
            Frame::Same { bind, hash } => {
                w.raw(&bind.to_be_bytes());
                w.raw(&hash.to_be_bytes());
                SAME
            }
            Frame::Want { bind, ask, context } => {
                w.raw(&bind.to_be_bytes());
                ask.encode(&mut w);
                context.encode(&mut w);
                WANT
            }
            Frame::Data(data) => {
                data.encode(&mut w);
                DATA
            }
            Frame::Ack { bind, session } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*session);
                ACK
            }
            Frame::Query { bind, number, hash } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*number);
                w.raw(&hash.to_be_bytes());
                QUERY
            }
            Frame::Answer {
                bind,
                number,
                votes,
                answer,
            } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*number);
                w.byte(u8::from(*votes));
                match answer {
                    Answer::Equal => w.byte(0),
                    Answer::Context(context) => {
                        w.byte(1);
                        context.encode(&mut w);
                    }
                    Answer::TooLong => w.byte(2),
                }
                ANSWER
            }
            Frame::SealAsk { bind, number, last } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*number);
                w.count(last.len());
                for replica in last {
                    w.raw(&replica.to_bytes());
                }
                SEAL_ASK
            }
            Frame::SealAnswer {
                bind,
                number,
                digests,
            } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*number);
                w.count(digests.len());
                for digest in digests {
                    w.byte(u8::from(digest.is_some()));
                    if let Some(digest) = digest {
                        w.raw(&digest.to_be_bytes());
                    }
                }
                SEAL_ANSWER
            }
            Frame::Differs {
                bind,
                session,
                number,
                which,
            } => {
                w.raw(&bind.to_be_bytes());
                w.varint(*session);
                w.varint(*number);
                bits(which, &mut w);
                DIFFERS
            }
            Frame::Unknown(kind) => *kind,
        };
        let body = w.finish();
        let mut w = Writer::new();
        w.byte(FRAME_VERSION);
        w.byte(kind);
        w.bytes(&body);
        w.finish().into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        if bytes.len() > MAX_FRAME {
            return Err(FrameError::TooLong(bytes.len()));
        }
        let mut r = Reader::new(bytes);
        let version = r.byte()?;
        if version != FRAME_VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = r.byte()?;
        let body = r.bytes()?;
        r.finish()?;
        let mut r = Reader::new(body);
        let frame = match kind {
            HELLO => Frame::Hello {
                nonce: u64::from_be_bytes(r.array()?),
                replica: ReplicaId::from_bytes(r.array()?),
                heard: flag(&mut r)?,
            },
            DIGEST => Frame::Digest {
                bind: u64::from_be_bytes(r.array()?),
                hash: u128::from_be_bytes(r.array()?),
                fingerprint: u64::from_be_bytes(r.array()?),
                wall: r.varint()?,
            },
            SAME => Frame::Same {
                bind: u64::from_be_bytes(r.array()?),
                hash: u64::from_be_bytes(r.array()?),
            },
            WANT => Frame::Want {
                bind: u64::from_be_bytes(r.array()?),
                ask: Ask::decode(&mut r)?,
                context: Context::decode(&mut r)?,
            },
            DATA => return Ok(Frame::Data(Data::decode(r, bytes)?)),
            ACK => Frame::Ack {
                bind: u64::from_be_bytes(r.array()?),
                session: r.varint()?,
            },
            QUERY => Frame::Query {
                bind: u64::from_be_bytes(r.array()?),
                number: r.varint()?,
                hash: u128::from_be_bytes(r.array()?),
            },
            ANSWER => Frame::Answer {
                bind: u64::from_be_bytes(r.array()?),
                number: r.varint()?,
                votes: flag(&mut r)?,
                answer: match r.byte()? {
                    0 => Answer::Equal,
                    1 => Answer::Context(Context::decode(&mut r)?),
                    2 => Answer::TooLong,
                    _ => return Err(DecodeError::Invalid("kind of an answer").into()),
                },
            },
            SEAL_ASK => Frame::SealAsk {
                bind: u64::from_be_bytes(r.array()?),
                number: r.varint()?,
                last: few(&mut r, |r| Ok(ReplicaId::from_bytes(r.array()?)))?,
            },
            SEAL_ANSWER => Frame::SealAnswer {
                bind: u64::from_be_bytes(r.array()?),
                number: r.varint()?,
                digests: few(&mut r, |r| {
                    let digest = flag(r)?.then(|| r.array()).transpose()?;
                    Ok(digest.map(u64::from_be_bytes))
                })?,
            },
            DIFFERS => Frame::Differs {
                bind: u64::from_be_bytes(r.array()?),
                session: r.varint()?,
                number: r.varint()?,
                which: read_bits(&mut r)?,
            },
            other => return Ok(Frame::Unknown(other)),
        };
        r.finish()?;
        Ok(frame)
    }
}

impl Ask {
    fn encode(self, w: &mut Writer) {
        match self {
            Self::Nothing => w.byte(NOTHING),
            Self::Everything => w.byte(EVERYTHING),
            Self::Share(Share { at, of }) => {
                w.byte(ONE_SHARE);
                w.byte(at);
                w.byte(of);
            }
            Self::NoMore => w.byte(NO_MORE),
            Self::PartOfDraft => w.byte(PART_OF_DRAFT),
            Self::Rest => w.byte(REST),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.byte()? {
            NOTHING => Ok(Self::Nothing),
            EVERYTHING => Ok(Self::Everything),
            ONE_SHARE => {
                let (at, of) = (r.byte()?, r.byte()?);
                if at >= of {
                    return Err(DecodeError::Invalid("number of a share"));
                }
                Ok(Self::Share(Share { at, of }))
            }
            NO_MORE => Ok(Self::NoMore),
            PART_OF_DRAFT => Ok(Self::PartOfDraft),
            REST => Ok(Self::Rest),
            _ => Err(DecodeError::Invalid("what is wanted")),
        }
    }
}

impl Data {
    fn encode(&self, w: &mut Writer) {
        w.raw(&self.bind.to_be_bytes());
        w.varint(self.session);
        w.varint(self.number);
        let kind = match self.kind {
            SessionKind::Exchange => 0,
            SessionKind::Flush => 1,
            SessionKind::Comparison => 2,
        };
        let ends = match self.ends {
            Ends::Nothing => 0,
            Ends::Message => ENDS_MESSAGE,
            Ends::Session => ENDS_MESSAGE | ENDS_SESSION,
            Ends::Aside => ASIDE,
        };
        let draft = if self.for_draft { FOR_DRAFT } else { 0 };
        w.byte(kind | ends | draft);
        w.raw(&self.chunk);
    }

    fn decode(mut r: Reader<'_>, frame: &Bytes) -> Result<Self, FrameError> {
        let bind = u64::from_be_bytes(r.array()?);
        let session = r.varint()?;
        let number = r.varint()?;
        let flags = r.byte()?;
        let kind = match flags & KIND_BITS {
            0 => SessionKind::Exchange,
            1 => SessionKind::Flush,
            2 => SessionKind::Comparison,
            _ => return Err(DecodeError::Invalid("kind of a session").into()),
        };
        const BOTH: u8 = ENDS_MESSAGE | ENDS_SESSION;
        let for_draft = flags & FOR_DRAFT != 0;
        if for_draft && kind == SessionKind::Flush {
            return Err(DecodeError::Invalid("kind of a session for a draft").into());
        }
        let ends = match flags & !(KIND_BITS | FOR_DRAFT) {
            0 => Ends::Nothing,
            ENDS_MESSAGE => Ends::Message,
            BOTH => Ends::Session,
            ASIDE => Ends::Aside,
            _ => return Err(DecodeError::Invalid("flags of a data frame").into()),
        };
        let chunk = frame.slice_ref(r.rest());
        Ok(Self {
            bind,
            session,
            number,
            kind,
            for_draft,
            ends,
            chunk,
        })
    }
}

pub(crate) fn flag(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
}

fn bits(of: &[bool], w: &mut Writer) {
    w.count(of.len());
    for byte in of.chunks(8) {
        let bits = byte.iter().enumerate();
        w.byte(bits.fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at));
    }
}

fn read_bits(r: &mut Reader<'_>) -> Result<Vec<bool>, FrameError> {
    let count = r.varint()?;
    if count > MAX_COMPARED as u64 {
        return Err(FrameError::Limit("ranges of a question"));
    }
    let mut out = Vec::new();
    let mut byte = 0;
    for at in 0..count {
        if at % 8 == 0 {
            byte = r.byte()?;
        }
        out.push(byte & 1 != 0);
        byte >>= 1;
    }
    if byte != 0 && count % 8 != 0 {
        return Err(DecodeError::NotCanonical.into());
    }
    Ok(out)
}

fn few<T>(
    r: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, FrameError> {
    let count = r.varint()?;
    if count > MAX_SEALS as u64 {
        return Err(FrameError::Limit("incarnations to be sealed at one time"));
    }
    Ok((0..count).map(|_| one(r)).collect::<Result<_, _>>()?)
}

/// Why a frame was refused. It changed nothing, and nothing of what was under way from its sender takes
/// effect; what had come and was complete stays. The connection that it came over has to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It is longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes; at most {MAX_FRAME} are allowed")]
    TooLong(usize),
    /// It has another version.
    #[error("frame version {0}, this node speaks {FRAME_VERSION}: upgrade the older of the two")]
    Version(u8),
    /// It is no encoding of anything.
    #[error("a damaged frame: {0}")]
    Decode(#[from] DecodeError),
    /// It is well-formed and can't be true.
    #[error("a frame that can't be true: {0}")]
    Untrue(&'static str),
    /// A limit of the protocol was passed.
    #[error("beyond a limit of the protocol: {0}")]
    Limit(&'static str),
    /// It came from a node that is not connected.
    #[error("a frame from a node that is not connected")]
    NotConnected,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_back_and_has_these_bytes() {
        let share = Share { at: 7, of: 32 };
        let asks: [(Ask, &[u8]); 6] = [
            (Ask::Nothing, &[0]),
            (Ask::Everything, &[1]),
            (Ask::Share(share), &[2, 7, 32]),
            (Ask::NoMore, &[3]),
            (Ask::PartOfDraft, &[4]),
            (Ask::Rest, &[5]),
        ];
        for (ask, golden) in asks {
            let want = Frame::Want {
                bind: 1,
                ask,
                context: Context::new(),
            };
            let bytes = want.encode();
            assert_eq!(&bytes[11..bytes.len() - 1], golden);
            assert_eq!(Frame::decode(&bytes), Ok(want));
        }
    }
}
