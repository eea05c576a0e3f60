//! Sets of sequence numbers of one origin.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::codec::{DecodeError, Reader, Writer};

/// Most ranges beyond the prefix that a decoded context may have for one origin. A replica that
/// holds more holes than that is not catching up, it is being attacked.
pub const MAX_RANGES: usize = 65_536;

/// The greatest sequence number. Far beyond what a replica can mint, so that arithmetic on
/// numbers received from a peer can't overflow.
pub const MAX_SEQ: u64 = (1 << 56) - 1;

/// A set of sequence numbers of one origin: disjoint inclusive ranges, ascending, with a gap
/// between each two.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seqs {
    prefix: u64,
    ranges: Ranges,
}

/// The ranges beyond a prefix. There mostly are none, which takes one word.
#[derive(Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection)]
struct Ranges(Option<Box<Vec<(u64, u64)>>>);

impl Ranges {
    const NONE: Self = Self(None);

    fn change(&mut self, change: impl FnOnce(&mut Vec<(u64, u64)>)) {
        let mut ranges = self.0.take().unwrap_or_default();
        change(&mut ranges);
        *self = Self::from(*ranges);
    }
}

impl From<Vec<(u64, u64)>> for Ranges {
    fn from(ranges: Vec<(u64, u64)>) -> Self {
        Self((!ranges.is_empty()).then(|| Box::new(ranges)))
    }
}

impl Deref for Ranges {
    type Target = [(u64, u64)];

    fn deref(&self) -> &[(u64, u64)] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

static NONE: Seqs = Seqs {
    prefix: 0,
    ranges: Ranges::NONE,
};

/// All numbers that there are.
static ALL: Seqs = Seqs {
    prefix: MAX_SEQ,
    ranges: Ranges::NONE,
};

impl Seqs {
    /// The numbers `1..=prefix`.
    pub fn up_to(prefix: u64) -> Self {
        Self {
            prefix,
            ranges: Ranges::NONE,
        }
    }

    /// No numbers.
    pub fn none() -> &'static Self {
        &NONE
    }

    /// All numbers that there are.
    pub(crate) fn all() -> &'static Self {
        &ALL
    }

    /// How many ranges are beyond the prefix.
    pub fn gaps(&self) -> usize {
        self.ranges.len()
    }

    /// The end of the contiguous run from 1; 0 if 1 is missing.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// The greatest number, 0 if there is none.
    pub fn max(&self) -> u64 {
        self.ranges.last().map_or(self.prefix, |r| r.1)
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.prefix == 0 && self.ranges.is_empty()
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.ranges().map(|(a, b)| b - a + 1).sum()
    }

    /// Whether `seq` is in the set.
    pub fn contains(&self, seq: u64) -> bool {
        if seq <= self.prefix {
            return seq > 0;
        }
        let at = self.ranges.partition_point(|r| r.1 < seq);
        self.ranges.get(at).is_some_and(|r| r.0 <= seq)
    }

    /// The smallest number at or above `seq` that is not in the set.
    pub fn next_missing(&self, seq: u64) -> u64 {
        if seq <= self.prefix {
            return self.prefix + 1;
        }
        let at = self.ranges.partition_point(|r| r.1 < seq);
        match self.ranges.get(at) {
            Some(&(first, last)) if first <= seq => last + 1,
            _ => seq,
        }
    }

    /// All ranges, ascending; the prefix is the first if it begins at 1.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let prefix = (self.prefix > 0).then_some((1, self.prefix));
        prefix.into_iter().chain(self.ranges.iter().copied())
    }

    /// The ranges that end at `from` or behind it, ascending. Found in O(log n).
    pub fn ranges_from(&self, from: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let prefix = (self.prefix > 0 && self.prefix >= from).then_some((1, self.prefix));
        let at = self.ranges.partition_point(|r| r.1 < from);
        prefix.into_iter().chain(self.ranges[at..].iter().copied())
    }

    /// Adds one number.
    pub fn insert(&mut self, seq: u64) {
        self.insert_range(seq, seq);
    }

    /// Adds `first..=last`.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        debug_assert!(first > 0 && first <= last);
        if first <= self.prefix + 1 {
            self.prefix = self.prefix.max(last);
        } else {
            let from = self.ranges.partition_point(|r| r.1 + 1 < first);
            let to = self.ranges.partition_point(|r| r.0 <= last + 1);
            self.ranges.change(|ranges| {
                if from == to {
                    ranges.insert(from, (first, last));
                } else {
                    ranges[from] = (first.min(ranges[from].0), last.max(ranges[to - 1].1));
                    ranges.drain(from + 1..to);
                }
            });
        }
        let absorbed = self.ranges.partition_point(|r| r.0 <= self.prefix + 1);
        if absorbed > 0 {
            self.prefix = self.prefix.max(self.ranges[absorbed - 1].1);
            self.ranges.change(|ranges| drop(ranges.drain(..absorbed)));
        }
    }

    /// Adds all of `other`. Returns whether there was anything new.
    #[inline]
    pub fn union(&mut self, other: &Self) -> bool {
        if self.ranges.0.is_none() && other.ranges.0.is_none() {
            let grows = self.prefix < other.prefix;
            self.prefix = self.prefix.max(other.prefix);
            return grows;
        }
        self.union_ranges(other)
    }

    fn union_ranges(&mut self, other: &Self) -> bool {
        let grows = !other.is_subset(self);
        for (first, last) in other.ranges() {
            self.insert_range(first, last);
        }
        grows
    }

    /// Whether all of `self` is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.without(other).next().is_none()
    }

    /// The ranges of `self` that are not in `other`, ascending.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let mut mine = self.ranges();
        let mut current = mine.next();
        let mut at = 0;
        core::iter::from_fn(move || {
            loop {
                let (first, last) = current?;
                if first <= other.prefix {
                    current = if last <= other.prefix {
                        mine.next()
                    } else {
                        Some((other.prefix + 1, last))
                    };
                    continue;
                }
                while other.ranges.get(at).is_some_and(|r| r.1 < first) {
                    at += 1;
                }
                match other.ranges.get(at).copied() {
                    Some((from, to)) if from <= first => {
                        current = if to >= last {
                            mine.next()
                        } else {
                            Some((to + 1, last))
                        };
                    }
                    Some((from, _)) if from <= last => {
                        current = Some((from, last));
                        return Some((first, from - 1));
                    }
                    _ => {
                        current = mine.next();
                        return Some((first, last));
                    }
                }
            }
        })
    }

    /// Writes the canonical bytes.
    pub fn encode(&self, w: &mut Writer) {
        w.varint(self.prefix);
        w.count(self.ranges.len());
        let mut end = self.prefix;
        for &(first, last) in &*self.ranges {
            w.varint(first - end - 2);
            w.varint(last - first);
            end = last;
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no canonical encoding or pass [`MAX_SEQ`] or
    /// [`MAX_RANGES`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let seq = |n: u64| {
            if n <= MAX_SEQ {
                Ok(n)
            } else {
                Err(DecodeError::Limit("sequence number"))
            }
        };
        let prefix = seq(r.varint()?)?;
        let count = r.count()?;
        if count > MAX_RANGES {
            return Err(DecodeError::Limit("ranges of an origin"));
        }
        let mut ranges = Vec::with_capacity(count);
        let mut end = prefix;
        for _ in 0..count {
            let first = seq(seq(r.varint()?)? + end + 2)?;
            let last = seq(seq(r.varint()?)? + first)?;
            ranges.push((first, last));
            end = last;
        }
        let ranges = ranges.into();
        Ok(Self { prefix, ranges })
    }
}

impl fmt::Debug for Seqs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges()).finish()
    }
}
