//! Messages: what a session says, cut over its frames.
//!
//! ```text
//! begin     = 4 floor                                first of an exchange, if anything was forgotten
//! unit      = 0 unit                                 pieces with their links, of an exchange or a flush
//! part      = 1 kept unit                            of a full comparison: what lives, what is lacking
//! ranges    = 5 context ranges                       of a full comparison: fingerprints of what lives, to be
//!                                                    answered; in the first the context of its end
//! end       = 2 floor context                        the last message of either
//! share     = 6 given                                the last message of an exchange that was to bring a
//!                                                    share: whether it did. If not, no share will be given
//! staged    = 7 unit                                 a part of the unit that comes next: a unit larger than
//!                                                    `MAX_PART` goes in several messages, and takes effect as one
//! flush     = 3 context hash floor unit              the last message of a flush: the events that
//!                                                    the sender saw since its session before, a
//!                                                    hash of its whole context, how its floor has
//!                                                    risen, and a unit
//! ```

use bytes::Bytes;
use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::kernel::{ComparisonPart, Unit};
use crdt_core::{Context, Limits, VersionVector};

use crate::frame::{FrameError, flag};
use crate::range::{self, Print, Range};

/// Most bytes of a message beside a payload: one goes by itself if it is larger than
/// [`MAX_PART`](crate::MAX_PART), and so does what a removal says of counters.
const MAX_BESIDE: usize = 64 * 1024 * 1024;

/// Largest message that is put together from chunks: a payload of the largest size, and 64 MiB for everything
/// beside it.
pub const fn max_message(limits: &Limits) -> usize {
    limits.payload.saturating_add(MAX_BESIDE)
}

const UNIT: u8 = 0;
const PART: u8 = 1;
const END: u8 = 2;
const FLUSH: u8 = 3;
const BEGIN: u8 = 4;
const RANGES: u8 = 5;
const SHARE: u8 = 6;
const STAGED: u8 = 7;

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Begin {
        floor: VersionVector,
    },
    Unit(Unit),
    /// A part of the unit that comes next.
    Staged(Unit),
    Part(ComparisonPart),
    Ranges {
        context: Context,
        ranges: Vec<(Range, Print)>,
    },
    End {
        floor: VersionVector,
        context: Context,
    },
    Share {
        given: bool,
    },
    Flush {
        news: Context,
        hash: u64,
        floor: VersionVector,
        unit: Unit,
    },
}

impl Message {
    pub(crate) fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        match self {
            Message::Begin { floor } => {
                w.byte(BEGIN);
                floor.encode(&mut w);
            }
            Message::Unit(unit) => {
                w.byte(UNIT);
                unit.encode(&mut w);
            }
            Message::Staged(unit) => {
                w.byte(STAGED);
                unit.encode(&mut w);
            }
            Message::Part(part) => {
                w.byte(PART);
                part.kept.encode(&mut w);
                part.unit.encode(&mut w);
            }
            Message::Ranges { context, ranges } => {
                w.byte(RANGES);
                context.encode(&mut w);
                range::encode(ranges, &mut w);
            }
            Message::End { floor, context } => {
                w.byte(END);
                floor.encode(&mut w);
                context.encode(&mut w);
            }
            Message::Share { given } => {
                w.byte(SHARE);
                w.byte(u8::from(*given));
            }
            Message::Flush {
                news,
                hash,
                floor,
                unit,
            } => {
                w.byte(FLUSH);
                news.encode(&mut w);
                w.raw(&hash.to_be_bytes());
                floor.encode(&mut w);
                unit.encode(&mut w);
            }
        }
        w.finish().into()
    }

    pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, FrameError> {
        let mut r = Reader::new(bytes);
        let message = match r.byte()? {
            BEGIN => Message::Begin {
                floor: VersionVector::decode(&mut r)?,
            },
            UNIT => Message::Unit(Unit::decode(&mut r, limits)?),
            STAGED => Message::Staged(Unit::decode(&mut r, limits)?),
            PART => {
                let kept = Context::decode(&mut r)?;
                Message::Part(ComparisonPart {
                    kept,
                    unit: Unit::decode(&mut r, limits)?,
                })
            }
            RANGES => Message::Ranges {
                context: Context::decode(&mut r)?,
                ranges: range::decode(&mut r)?,
            },
            END => Message::End {
                floor: VersionVector::decode(&mut r)?,
                context: Context::decode(&mut r)?,
            },
            SHARE => Message::Share {
                given: flag(&mut r)?,
            },
            FLUSH => Message::Flush {
                news: Context::decode(&mut r)?,
                hash: u64::from_be_bytes(r.array()?),
                floor: VersionVector::decode(&mut r)?,
                unit: Unit::decode(&mut r, limits)?,
            },
            _ => return Err(DecodeError::Invalid("kind of a message").into()),
        };
        r.finish()?;
        Ok(message)
    }
}
