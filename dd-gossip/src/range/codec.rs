//! How ranges and their fingerprints are written.

use crdt_core::codec::{DecodeError, Reader, Writer};
use crdt_core::{Dot, ReplicaId};

use super::{MAX_COMPARED, Print, Range};
use crate::index::Sums;

/// It does not begin where the one before ends, nor in the same origin.
const FIRST: u8 = 0b1;
/// It ends in another origin than it begins in.
const ORIGIN: u8 = 0b10;
/// It has all that comes behind its beginning.
const REST: u8 = 0b100;
/// It does not begin where the one before ends, but in the same origin.
const SKIPS: u8 = 0b1000;

/// Writes ranges that ascend, each with a fingerprint.
pub(crate) fn encode(ranges: &[(Range, Print)], w: &mut Writer) {
    w.count(ranges.len());
    let mut at = Range::ALL.first;
    for (range, print) in ranges {
        let skips = range.first != at && range.first.replica == at.replica;
        let jumps = range.first != at && !skips;
        let is_rest = range.end == Range::ALL.end;
        let changes = !is_rest && range.end.replica != range.first.replica;
        let flags = [
            (jumps, FIRST),
            (changes, ORIGIN),
            (is_rest, REST),
            (skips, SKIPS),
        ];
        let flags = flags.into_iter().filter(|(is_set, _)| *is_set);
        w.byte(flags.fold(0, |flags, (_, flag)| flags | flag));
        if jumps {
            w.raw(&range.first.replica.to_bytes());
            w.varint(range.first.seq);
        } else if skips {
            w.varint(range.first.seq - at.seq);
        }
        if changes {
            w.raw(&range.end.replica.to_bytes());
            w.varint(range.end.seq);
        } else if !is_rest {
            w.varint(range.end.seq - range.first.seq);
        }
        w.raw(&print.0.hashes.to_be_bytes());
        w.raw(&print.0.squares.to_be_bytes());
        at = range.end;
    }
}

pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Vec<(Range, Print)>, DecodeError> {
    let count = r.varint()?;
    if count > MAX_COMPARED as u64 {
        return Err(DecodeError::Limit("ranges of a question"));
    }
    let mut out = Vec::new();
    let mut at = Range::ALL.first;
    for _ in 0..count {
        let flags = r.byte()?;
        let both = |a, b| flags & a != 0 && flags & b != 0;
        if flags & !(FIRST | ORIGIN | REST | SKIPS) != 0 || both(ORIGIN, REST) || both(FIRST, SKIPS)
        {
            return Err(DecodeError::Invalid("flags of a range"));
        }
        let first = if flags & FIRST != 0 {
            Dot::new(ReplicaId::from_bytes(r.array()?), r.varint()?)
        } else if flags & SKIPS != 0 {
            further(at, r.varint()?)?
        } else {
            at
        };
        let end = if flags & REST != 0 {
            Range::ALL.end
        } else if flags & ORIGIN == 0 {
            further(first, r.varint()?)?
        } else {
            Dot::new(ReplicaId::from_bytes(r.array()?), r.varint()?)
        };
        let again =
            flags & FIRST != 0 && first.replica == at.replica || flags & SKIPS != 0 && first == at;
        let same = flags & ORIGIN != 0 && first.replica == end.replica;
        let unsaid = flags & REST == 0 && end == Range::ALL.end;
        if first < at || end <= first || again || same || unsaid {
            return Err(DecodeError::NotCanonical);
        }
        let print = Print(Sums {
            hashes: u64::from_be_bytes(r.array()?),
            squares: u32::from_be_bytes(r.array()?),
        });
        out.push((Range { first, end }, print));
        at = end;
    }
    Ok(out)
}

fn further(dot: Dot, by: u64) -> Result<Dot, DecodeError> {
    let seq = dot.seq.checked_add(by);
    let seq = seq.ok_or(DecodeError::Invalid("bounds of a range"))?;
    Ok(Dot::new(dot.replica, seq))
}
