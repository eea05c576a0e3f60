//! A number for each origin.

use alloc::vec::Vec;
use core::fmt;

use crate::ReplicaId;
use crate::codec::{DecodeError, Reader, Writer};
use crate::context::Context;
use crate::cow_map::CowMap;
use crate::seqs::MAX_SEQ;

/// The greatest sequence number per origin.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct VersionVector {
    origins: CowMap<ReplicaId, u64>,
}

impl VersionVector {
    /// Zero everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is zero everywhere.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// The number of an origin, 0 if it has none.
    pub fn get(&self, origin: ReplicaId) -> u64 {
        self.origins.get(&origin).copied().unwrap_or(0)
    }

    /// Raises the number of an origin to at least `seq`.
    pub fn raise(&mut self, origin: ReplicaId, seq: u64) {
        if self.get(origin) < seq {
            self.origins.insert(origin, seq);
        }
    }

    /// Where it is above `other`, its numbers.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (origin, seq) in self.iter().filter(|(o, seq)| *seq > other.get(*o)) {
            out.raise(origin, seq);
        }
        out
    }

    /// The greater number everywhere.
    pub fn join(&mut self, other: &Self) {
        for (origin, seq) in other.iter() {
            self.raise(origin, seq);
        }
    }

    /// Drops the numbers of origins that are sealed in a context.
    pub fn drop_sealed(&mut self, context: &Context) {
        if context.seals().is_empty() {
            return;
        }
        let sealed = self.iter().filter(|(origin, _)| context.is_sealed(*origin));
        let sealed: Vec<ReplicaId> = sealed.map(|(origin, _)| origin).collect();
        for origin in sealed {
            self.origins.remove(&origin);
        }
    }

    /// Origins with their numbers, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> {
        self.origins.iter().map(|(origin, seq)| (*origin, *seq))
    }

    /// Writes the canonical bytes.
    pub fn encode(&self, w: &mut Writer) {
        w.count(self.origins.len());
        for (origin, seq) in self.iter() {
            w.raw(&origin.to_bytes());
            w.varint(seq);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no canonical encoding.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = Self::new();
        let mut last = None;
        for _ in 0..r.count()? {
            let origin = ReplicaId::from_bytes(r.array()?);
            let seq = r.varint()?;
            if last >= Some(origin) || seq == 0 {
                return Err(DecodeError::NotCanonical);
            }
            if seq > MAX_SEQ {
                return Err(DecodeError::Limit("sequence number"));
            }
            last = Some(origin);
            out.origins.insert(origin, seq);
        }
        Ok(out)
    }
}

impl fmt::Debug for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origins.fmt(f)
    }
}
