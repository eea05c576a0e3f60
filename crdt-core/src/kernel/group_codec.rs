//! The canonical bytes of a group: siblings that hold one dot with nothing each, as the elements of a
//! set do. Names, origins and sequence numbers stand in columns.
//!
//! ```text
//! group   = count length+1 (or 0) name*  origins*  numbers
//! name    = bytes, behind their length unless all names, the first one too, are of one length
//! origins = count origin*, ascending; if there are more than one, for each member its place, packed
//! numbers = the least, a width, for each member the rest, packed
//! packed  = so many bits each, the least first, zeros up to a whole byte
//! ```
//!
//! The first name is that of the path before the group and is not repeated.

use alloc::vec::Vec;

use crate::Dot;
use crate::codec::{DecodeError, Reader, Writer};
use crate::seqs::MAX_SEQ;

/// Fewer siblings are written one by one.
pub(super) const MIN_GROUP: usize = 4;

/// Siblings, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Group {
    names: Vec<u8>,
    ends: Vec<usize>,
    dots: Vec<Dot>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.dots.len()
    }

    pub(super) fn push(&mut self, name: &[u8], dot: Dot) {
        self.names.extend_from_slice(name);
        self.ends.push(self.names.len());
        self.dots.push(dot);
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.ends.clear();
        self.dots.clear();
    }

    pub(super) fn member(&self, at: usize) -> (&[u8], Dot) {
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        (&self.names[from..self.ends[at]], self.dots[at])
    }

    /// Writes all but the first name. `origin` gives the place of a dot's origin in the unit's list.
    pub(super) fn encode(&self, w: &mut Writer, origin: impl Fn(Dot) -> usize) {
        w.count(self.len());
        let first = self.ends[0];
        let equal = self
            .ends
            .iter()
            .enumerate()
            .all(|(at, end)| *end == first * (at + 1));
        w.count(if equal { first + 1 } else { 0 });
        if equal {
            w.raw(&self.names[first..]);
        } else {
            (1..self.len()).for_each(|at| w.bytes(self.member(at).0));
        }
        self.encode_origins(w, origin);
        let (least, most) = self.bounds();
        w.varint(least);
        let width = bits(most - least);
        w.byte(width as u8);
        pack(w, width, self.dots.iter().map(|dot| dot.seq - least));
    }

    fn encode_origins(&self, w: &mut Writer, origin: impl Fn(Dot) -> usize) {
        let mut last = (self.dots[0].replica, origin(self.dots[0]));
        let places = self.dots.iter().map(|dot| {
            if dot.replica != last.0 {
                last = (dot.replica, origin(*dot));
            }
            last.1
        });
        let places: Vec<usize> = places.collect();
        let mut used = places.clone();
        used.sort_unstable();
        used.dedup();
        w.count(used.len());
        used.iter().for_each(|place| w.count(*place));
        if used.len() > 1 {
            let local = places
                .iter()
                .map(|place| used.partition_point(|p| p < place) as u64);
            pack(w, bits(used.len() as u64 - 1), local);
        }
    }

    fn bounds(&self) -> (u64, u64) {
        let seqs = || self.dots.iter().map(|dot| dot.seq);
        (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0))
    }

    /// Reads a group that begins with `first`, of at most `most` members with names of at most
    /// `longest` bytes. `origin` gives the replica of a place in the unit's list.
    pub(super) fn decode(
        &mut self,
        r: &mut Reader<'_>,
        first: &[u8],
        (most, longest): (usize, usize),
        mut origin: impl FnMut(u64) -> Result<crate::ReplicaId, DecodeError>,
    ) -> Result<(), DecodeError> {
        self.clear();
        // Each member but the first takes a byte of a name at least.
        let count = usize::try_from(r.varint()?).unwrap_or(usize::MAX);
        if count < MIN_GROUP {
            return Err(DecodeError::NotCanonical);
        }
        if count > most {
            return Err(DecodeError::Limit("paths in a unit"));
        }
        if count > r.remaining() {
            return Err(DecodeError::Truncated);
        }
        let zero = Dot::new(crate::ReplicaId::from_bytes([0; 16]), 0);
        self.push(first, zero);
        self.decode_names(r, count, longest)?;
        let distinct = r.count()?;
        if distinct > count {
            return Err(DecodeError::NotCanonical);
        }
        let used = (0..distinct)
            .map(|_| r.varint())
            .collect::<Result<Vec<u64>, _>>()?;
        if used.is_empty() || !used.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::NotCanonical);
        }
        let replicas = used
            .iter()
            .map(|place| origin(*place))
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = alloc::vec![used.len() == 1; used.len()];
        for (dot, replica) in self.dots.iter_mut().zip(core::iter::repeat(replicas[0])) {
            dot.replica = replica;
        }
        if used.len() > 1 {
            let mut packed = Packed::new(r, bits(used.len() as u64 - 1), count)?;
            for dot in &mut self.dots {
                let local = packed.next() as usize;
                dot.replica = *replicas.get(local).ok_or(DecodeError::Invalid("origin"))?;
                seen[local] = true;
            }
            packed.finish()?;
        }
        if seen.contains(&false) {
            return Err(DecodeError::NotCanonical);
        }
        self.decode_numbers(r)
    }

    fn decode_names(
        &mut self,
        r: &mut Reader<'_>,
        count: usize,
        longest: usize,
    ) -> Result<(), DecodeError> {
        let zero = self.dots[0];
        let first = self.ends[0];
        let length = r.varint()?;
        if length != 0 && length != first as u64 + 1 {
            return Err(DecodeError::NotCanonical);
        }
        let mut equal = true;
        for at in 1..count {
            let name = if length == 0 {
                r.bytes()?
            } else {
                r.raw(first)?
            };
            if name.len() > longest {
                return Err(DecodeError::Limit("length of a path component"));
            }
            equal &= name.len() == first;
            if self.member(at - 1).0 >= name {
                return Err(DecodeError::NotCanonical);
            }
            self.push(name, zero);
        }
        if equal == (length == 0) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(())
    }

    fn decode_numbers(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let least = r.varint()?;
        let width = u32::from(r.byte()?);
        if least == 0 || least > MAX_SEQ || width > bits(MAX_SEQ) {
            return Err(DecodeError::Limit("sequence number"));
        }
        let mut packed = Packed::new(r, width, self.dots.len())?;
        for dot in &mut self.dots {
            dot.seq = least + packed.next();
            if dot.seq > MAX_SEQ {
                return Err(DecodeError::Limit("sequence number"));
            }
        }
        packed.finish()?;
        let (min, max) = self.bounds();
        if min == least && bits(max - min) == width {
            Ok(())
        } else {
            Err(DecodeError::NotCanonical)
        }
    }
}

/// How many bits a number needs.
fn bits(n: u64) -> u32 {
    u64::BITS - n.leading_zeros()
}

fn pack(w: &mut Writer, width: u32, numbers: impl Iterator<Item = u64>) {
    let (mut buffer, mut held) = (0u128, 0);
    for n in numbers {
        buffer |= u128::from(n) << held;
        held += width;
        while held >= 8 {
            w.byte(buffer as u8);
            buffer >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        w.byte(buffer as u8);
    }
}

struct Packed<'a> {
    bytes: core::slice::Iter<'a, u8>,
    buffer: u128,
    held: u32,
    width: u32,
}

impl<'a> Packed<'a> {
    fn new(r: &mut Reader<'a>, width: u32, count: usize) -> Result<Self, DecodeError> {
        let len = (width as usize * count).div_ceil(8);
        Ok(Self {
            bytes: r.raw(len)?.iter(),
            buffer: 0,
            held: 0,
            width,
        })
    }

    fn next(&mut self) -> u64 {
        while self.held < self.width {
            let byte = self.bytes.next().copied().unwrap_or(0);
            self.buffer |= u128::from(byte) << self.held;
            self.held += 8;
        }
        let n = self.buffer & ((1 << self.width) - 1);
        self.buffer >>= self.width;
        self.held -= self.width;
        n as u64
    }

    /// The bits behind the last number must be zero.
    fn finish(self) -> Result<(), DecodeError> {
        if self.buffer == 0 {
            Ok(())
        } else {
            Err(DecodeError::NotCanonical)
        }
    }
}
