//! Causal contexts: which events a replica has seen.
//!
//! Per origin a contiguous prefix plus, briefly, a few ranges (Almeida, Shoker, Baquero, *Delta
//! State Replicated Data Types*, 2018; Malkhi and Terry, *Concise Version Vectors in WinFS*, 2005).

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::Hasher;
use core::ops::Bound;

use siphasher::sip::SipHasher24;

use crate::codec::{DecodeError, Reader, Writer};
use crate::cow_map::CowMap;
use crate::seals::{Seal, Seals};
use crate::seqs::Seqs;
use crate::{Dot, ReplicaId};

/// Up to so many origins are looked up one by one; more are walked in step.
const FEW: usize = 8;

/// The set of events that a replica has seen, or any other set of dots. Cloning is O(1).
///
/// ```
/// use crdt_core::{Context, Dot, ReplicaId};
///
/// let (a, b) = (ReplicaId::new(1, 1), ReplicaId::new(2, 1));
/// let mut seen = Context::new();
/// seen.insert(Dot::new(a, 1));
/// seen.insert(Dot::new(b, 3));
/// assert!(seen.contains(Dot::new(b, 3)) && !seen.contains(Dot::new(b, 2)));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// None of them is sealed.
    origins: CowMap<ReplicaId, Seqs>,
    seals: Seals,
}

impl Context {
    /// Nothing seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty() && self.seals.is_empty()
    }

    /// Number of events, without those of sealed origins. The last number there is, if a peer made up more than that.
    pub fn len(&self) -> u64 {
        self.iter()
            .fold(0, |n: u64, (_, seqs)| n.saturating_add(seqs.len()))
    }

    /// Number of origins, without those that are sealed.
    pub fn origins(&self) -> usize {
        self.origins.len()
    }

    /// The seals: for each of these nodes, every event of its incarnations up to one counts as seen.
    pub fn seals(&self) -> &Seals {
        &self.seals
    }

    /// Whether all that this replica made counts as seen.
    pub fn is_sealed(&self, replica: ReplicaId) -> bool {
        self.seals.covers(replica)
    }

    /// What is kept of a node's incarnations up to one, as a number: equal if, and all but only if, what was
    /// seen of them is equal. Of incarnations that are sealed already their seal is in it, so that who has the
    /// others alone has another one.
    pub fn digest_up_to(&self, last: ReplicaId) -> u64 {
        let first = ReplicaId::new(last.node(), 0);
        let origins = self.origins.iter_from(Bound::Included(&first));
        let mut w = Writer::new();
        if let Some((sealed, digest)) = self.seals.digest_of(first) {
            w.raw(&sealed.to_bytes());
            w.raw(&digest.to_be_bytes());
        }
        for (origin, seqs) in origins.take_while(|(origin, _)| **origin <= last) {
            w.raw(&origin.to_bytes());
            seqs.encode(&mut w);
        }
        let mut hasher = SipHasher24::new();
        hasher.write(&w.finish());
        hasher.finish()
    }

    /// From now on every event of the incarnations of a node up to this one counts as seen, and what was seen
    /// of them takes no room. For incarnations that are gone and of which every replica has seen the same;
    /// `digest` is [`digest_up_to`](Self::digest_up_to) of that. Does nothing if a later one is sealed.
    pub fn seal(&mut self, last: ReplicaId, digest: u64) {
        let incarnation = last.incarnation();
        if !self.seals.insert(
            last.node(),
            Seal {
                incarnation,
                digest,
            },
        ) {
            return;
        }
        let first = ReplicaId::new(last.node(), 0);
        let origins = self.origins.iter_from(Bound::Included(&first));
        let origins = origins.take_while(|(origin, _)| **origin <= last);
        let gone: Vec<ReplicaId> = origins.map(|(origin, _)| *origin).collect();
        for origin in gone {
            self.origins.remove(&origin);
        }
    }

    /// Takes over the seals of `other` where what was seen here is what was sealed there: then nothing is
    /// lacking that it says was seen. Returns whether there was any.
    pub fn adopt_seals(&mut self, other: &Self) -> bool {
        let mut adopted = false;
        for (last, digest) in other.seals.iter() {
            if !self.is_sealed(last) && self.digest_up_to(last) == digest {
                self.seal(last, digest);
                adopted = true;
            }
        }
        adopted
    }

    /// Whether the event was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.get(dot.replica)
            .is_some_and(|seqs| seqs.contains(dot.seq))
    }

    /// Whether something was seen here of incarnations that `other` has sealed, and not just what was sealed there.
    /// What of it was removed by events that the seal does not count is dead here and live there, and nobody can
    /// tell what that is. Of two seals of the same incarnations it is the lesser that says so.
    pub fn contradicts(&self, other: &Self) -> bool {
        other.seals.iter().any(|(last, digest)| {
            let first = ReplicaId::new(last.node(), 0);
            match self.seals.digest_of(first) {
                Some((sealed, _)) if sealed > last => false,
                Some((sealed, own)) if sealed == last => own < digest,
                older => {
                    let mut origins = self.origins.iter_from(Bound::Included(&first));
                    let any = origins.next().is_some_and(|(origin, _)| *origin <= last);
                    (any || older.is_some()) && self.digest_up_to(last) != digest
                }
            }
        })
    }

    /// Whether of the seals that only one of the two has, or has with another digest, the greatest is here. Of two contexts
    /// one prevails at most, whoever asks; neither does if their seals are the same. For two sides that have sealed each
    /// other's processes.
    pub fn prevails_over(&self, other: &Self) -> bool {
        let greatest = |of: &Self, beside: &Self| {
            let lacks = |seal: &(ReplicaId, u64)| beside.seals.lacks(*seal);
            of.seals.iter().filter(lacks).max()
        };
        greatest(self, other) > greatest(other, self)
    }

    /// What was seen of one origin; of a sealed one all numbers that there are.
    pub fn get(&self, origin: ReplicaId) -> Option<&Seqs> {
        if self.seals.covers(origin) {
            return Some(Seqs::all());
        }
        self.origins.get(&origin)
    }

    /// Origins that are not sealed, with what was seen of each, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Seqs)> {
        self.origins.iter().map(|(origin, seqs)| (*origin, seqs))
    }

    /// The greatest sequence number seen of an origin, 0 if none.
    pub fn max(&self, origin: ReplicaId) -> u64 {
        self.get(origin).map_or(0, Seqs::max)
    }

    /// Adds one event.
    pub fn insert(&mut self, dot: Dot) {
        self.insert_range(dot.replica, dot.seq, dot.seq);
    }

    /// Adds events in the order of [`Dot`], each once or more. Of others it adds what is not meant.
    pub fn extend_sorted(&mut self, events: &[Dot]) {
        debug_assert!(events.is_sorted());
        let follows = |a: &Dot, b: &Dot| a.replica == b.replica && b.seq <= a.seq + 1;
        for run in events.chunk_by(follows) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                self.insert_range(first.replica, first.seq, last.seq);
            }
        }
    }

    /// Adds the events `first..=last` of an origin.
    pub fn insert_range(&mut self, origin: ReplicaId, first: u64, last: u64) {
        if self.seals.covers(origin) {
            return;
        }
        if let Some(seqs) = self.origins.get_mut(&origin) {
            seqs.insert_range(first, last);
        } else {
            let mut seqs = Seqs::default();
            seqs.insert_range(first, last);
            self.origins.insert(origin, seqs);
        }
    }

    /// Replaces what was seen of one origin; not of a sealed one.
    pub fn set(&mut self, origin: ReplicaId, seqs: Seqs) {
        if self.seals.covers(origin) {
            return;
        }
        if seqs.is_empty() {
            self.origins.remove(&origin);
        } else {
            self.origins.insert(origin, seqs);
        }
    }

    /// Adds all events of `other`.
    pub fn union(&mut self, other: &Self) {
        for (last, digest) in other.seals.iter() {
            self.seal(last, digest);
        }
        if self.origins.same(&other.origins) {
            return;
        }
        if !self.seals.is_empty() {
            for (origin, seqs) in other
                .iter()
                .filter(|(origin, _)| !self.seals.covers(*origin))
            {
                match self.origins.get_mut(&origin) {
                    Some(mine) => drop(mine.union(seqs)),
                    None => drop(self.origins.insert(origin, seqs.clone())),
                }
            }
            return;
        }
        if self.origins.len() == other.origins.len()
            && self
                .origins
                .join_in_step(&other.origins, |mine, theirs| mine.union(theirs))
        {
            return;
        }
        if other.origins.len() > FEW && other.origins.len() * FEW > self.origins.len() {
            *self = self.merged(other);
            return;
        }
        for (origin, seqs) in other.iter() {
            match self.origins.get_mut(&origin) {
                Some(mine) => drop(mine.union(seqs)),
                None => drop(self.origins.insert(origin, seqs.clone())),
            }
        }
    }

    /// The union of two that have many origins each, walked in step.
    fn merged(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.origins.len().max(other.origins.len()));
        let (mut ours, mut theirs) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.0.cmp(&b.0),
            };
            let one = if order == Ordering::Greater {
                theirs.next()
            } else {
                ours.next()
            };
            let more = theirs.next_if(|_| order == Ordering::Equal);
            if let Some((origin, seqs)) = one {
                let mut seqs = seqs.clone();
                if let Some((_, more)) = more {
                    seqs.union(more);
                }
                all.push((origin, seqs));
            }
        }
        Self {
            origins: CowMap::from_sorted(all),
            seals: self.seals.clone(),
        }
    }

    /// Whether all events of `self` are in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.seals.is_subset(&other.seals)
            && (self.origins.same(&other.origins) || self.without(other).next().is_none())
    }

    /// The ranges of `self` that are not in `other`, by origin, ascending. Seals are not among them.
    pub fn without<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (ReplicaId, u64, u64)> + 'a {
        self.iter().flat_map(move |(origin, seqs)| {
            let theirs = other.get(origin).unwrap_or(Seqs::none());
            seqs.without(theirs)
                .map(move |(first, last)| (origin, first, last))
        })
    }

    /// The events of `self` that are not in `other`, as a set.
    pub fn difference(&self, other: &Self) -> Self {
        let mut out = Self::new();
        for (origin, first, last) in self.without(other) {
            out.insert_range(origin, first, last);
        }
        for (last, digest) in self
            .seals
            .iter()
            .filter(|(last, _)| !other.is_sealed(*last))
        {
            out.seal(last, digest);
        }
        out
    }

    /// A part of this context that takes at most about `bytes` encoded: what does not fit is left
    /// out, never rounded up.
    pub fn truncated(&self, bytes: usize) -> Self {
        let size = |seqs: &Seqs| 28 + 20 * seqs.gaps();
        let mut left = bytes.saturating_sub(Seals::SIZE * self.seals.len());
        if self.iter().map(|(_, seqs)| size(seqs)).sum::<usize>() <= left {
            return self.clone();
        }
        // Without a seal nobody could tell that the rest is a part.
        let mut out = Self {
            origins: CowMap::default(),
            seals: self.seals.clone(),
        };
        for (origin, seqs) in self.iter() {
            let prefix = Seqs::up_to(seqs.prefix());
            if size(&prefix) > left {
                break;
            }
            left -= size(&prefix);
            out.set(origin, prefix);
        }
        out
    }

    /// The part of these origins.
    pub fn restrict(&self, origins: impl IntoIterator<Item = ReplicaId>) -> Self {
        let mut out = Self::new();
        for origin in origins {
            if let Some(digest) = self.seals.digest_of(origin) {
                let (last, digest) = digest;
                out.seal(last, digest);
            } else if let Some(seqs) = self.origins.get(&origin) {
                out.origins.insert(origin, seqs.clone());
            }
        }
        out
    }

    /// The entries of which `told` has another or none; with any seal that it has not, all seals. Whoever has been
    /// told that knows this context with it.
    pub fn untold(&self, told: &Self) -> Self {
        let mut out = Self::new();
        for (origin, seqs) in self.origins.iter() {
            if told.origins.get(origin) != Some(seqs) {
                out.origins.insert(*origin, seqs.clone());
            }
        }
        if self.seals != told.seals {
            out.seals = self.seals.clone();
        }
        out
    }

    /// Writes the canonical bytes: a seal as the last incarnation that it covers, of which no number was seen,
    /// and its digest.
    pub fn encode(&self, w: &mut Writer) {
        w.count(self.entries());
        self.for_each_entry(|origin, entry| {
            w.raw(&origin.to_bytes());
            entry.encode(w);
        });
    }

    /// Origins and seals.
    pub(crate) fn entries(&self) -> usize {
        self.origins.len() + self.seals.len()
    }

    /// Origins and seals in the order of their ids.
    pub(crate) fn for_each_entry(&self, mut each: impl FnMut(ReplicaId, ContextEntry)) {
        let mut seals = self.seals.iter().peekable();
        for (origin, seqs) in self.iter() {
            while let Some((last, digest)) = seals.next_if(|(last, _)| *last < origin) {
                each(last, ContextEntry::Sealed(digest));
            }
            each(origin, ContextEntry::Seen(seqs.clone()));
        }
        for (last, digest) in seals {
            each(last, ContextEntry::Sealed(digest));
        }
    }

    /// Adds an entry behind those that are there. Returns whether it is in order.
    pub(crate) fn push_entry(&mut self, origin: ReplicaId, entry: ContextEntry) -> bool {
        let before = self.origins.last().map(|(last, _)| *last);
        let sealed = self.seals.last();
        if before >= Some(origin) || sealed.is_some_and(|last| last >= origin) {
            return false;
        }
        match entry {
            ContextEntry::Seen(seqs) => {
                self.origins.insert(origin, seqs);
                true
            }
            ContextEntry::Sealed(digest) => {
                // What it covers does not stand beside it.
                let of_it = |id: Option<ReplicaId>| id.is_some_and(|id| id.node() == origin.node());
                let alone = !of_it(before) && !of_it(sealed);
                self.seal(origin, digest);
                alone
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no canonical encoding.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = Self::new();
        for _ in 0..r.count()? {
            let origin = ReplicaId::from_bytes(r.array()?);
            if !out.push_entry(origin, ContextEntry::decode(r)?) {
                return Err(DecodeError::NotCanonical);
            }
        }
        Ok(out)
    }
}

/// What a context has of one origin, as it is written.
pub(crate) enum ContextEntry {
    Seen(Seqs),
    /// And all before it of its node.
    Sealed(u64),
}

impl ContextEntry {
    pub(crate) fn encode(&self, w: &mut Writer) {
        match self {
            Self::Seen(seqs) => seqs.encode(w),
            Self::Sealed(digest) => {
                Seqs::default().encode(w);
                w.raw(&digest.to_be_bytes());
            }
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let seqs = Seqs::decode(r)?;
        if seqs.is_empty() {
            return Ok(Self::Sealed(u64::from_be_bytes(r.array()?)));
        }
        Ok(Self::Seen(seqs))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origins.fmt(f)?;
        if !self.seals.is_empty() {
            write!(f, " sealed {:?}", self.seals)?;
        }
        Ok(())
    }
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut out = Self::new();
        for dot in dots {
            out.insert(dot);
        }
        out
    }
}
