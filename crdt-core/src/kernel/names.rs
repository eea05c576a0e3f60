//! A list of names, end to end.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Bytes up to which room is made for further names.
pub(super) const USUAL: usize = 4096;
/// Columns grow by so many entries at once, small ones by as many as they have: most are of one or a few.
const STEP: usize = 16;

/// By how many entries a column of so many grows.
pub(super) fn step(len: usize) -> usize {
    len.clamp(1, STEP)
}

/// Room for so many names of this length, as far as it is usual.
fn room(name: &[u8], names: usize) -> usize {
    name.len().max((name.len() * names).min(USUAL))
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    let (words, _) = a.as_chunks::<8>();
    let (others, _) = b.as_chunks::<8>();
    let mut at = 0;
    for (word, other) in words.iter().zip(others) {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return at + (differs.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = a[at..].iter().zip(&b[at..]);
    at + rest.take_while(|(a, b)| a == b).count()
}

/// The first eight bytes from a place on, as a number that is ordered as they are; zeros where there are fewer.
#[inline]
fn word(bytes: &[u8], from: usize, to: usize) -> u64 {
    let len = to - from;
    match bytes[from..].first_chunk::<8>() {
        Some(word) if len >= 8 => u64::from_be_bytes(*word),
        Some(word) if len > 0 => u64::from_be_bytes(*word) & (u64::MAX << (64 - 8 * len)),
        _ => {
            let mut word = [0; 8];
            word[..len.min(8)].copy_from_slice(&bytes[from..from + len.min(8)]);
            u64::from_be_bytes(word)
        }
    }
}

/// A list of names, end to end: of one length each costs that, of several four bytes more.
#[derive(Clone, Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each ends; empty while all are `stride` long.
    ends: Vec<u32>,
    stride: u32,
    len: u32,
}

impl Names {
    /// Number of names.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all names.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The name at a place that there is.
    pub fn get(&self, at: usize) -> &[u8] {
        let (from, to) = self.bounds(at);
        &self.bytes[from..to]
    }

    fn bounds(&self, at: usize) -> (usize, usize) {
        if self.ends.is_empty() {
            let stride = self.stride as usize;
            (at * stride, (at + 1) * stride)
        } else {
            let from = if at == 0 {
                0
            } else {
                self.ends[at - 1] as usize
            };
            (from, self.ends[at] as usize)
        }
    }

    /// Where a name is, if they ascend, or where it would be.
    pub(super) fn search(&self, name: &[u8]) -> Result<usize, usize> {
        if let (true, Ok(wanted)) = (self.are_numbers(), name.try_into()) {
            return self.search_numbers(u64::from_be_bytes(wanted));
        }
        let last = match self.len() {
            0 => return Err(0),
            1 if self.get(0) == name => return Ok(0),
            len => len - 1,
        };
        // They ascend, so all begin with what the first and the last have in common. Behind that, eight bytes mostly say
        // which of two is the first.
        let first = self.get(0);
        let shared = common(first, self.get(last));
        let (head, rest) = name.split_at(name.len().min(shared));
        match head.cmp(&first[..head.len()]) {
            Ordering::Less => return Err(0),
            Ordering::Equal if head.len() < shared => return Err(0),
            Ordering::Greater => return Err(self.len()),
            Ordering::Equal => {}
        }
        let wanted = word(rest, 0, rest.len());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            let (from, to) = self.bounds(mid);
            let order = word(&self.bytes, from + shared, to).cmp(&wanted);
            match order.then_with(|| self.bytes[from + shared..to].cmp(rest)) {
                Ordering::Less => low = mid + 1,
                Ordering::Equal => return Ok(mid),
                Ordering::Greater => high = mid,
            }
        }
        Err(low)
    }

    /// Whether all are of eight bytes: a search among them is short.
    pub(super) fn are_numbers(&self) -> bool {
        self.ends.is_empty() && self.stride == 8
    }

    /// Names of eight bytes compare as numbers.
    fn search_numbers(&self, wanted: u64) -> Result<usize, usize> {
        let (names, _) = self.bytes.as_chunks::<8>();
        let at = names.partition_point(|name| u64::from_be_bytes(*name) < wanted);
        match names.get(at) {
            Some(name) if u64::from_be_bytes(*name) == wanted => Ok(at),
            _ => Err(at),
        }
    }

    /// Appends a name; where there is no room for it, makes some for so many.
    pub fn push(&mut self, name: &[u8], many: usize) {
        if self.len > 0 && (!self.ends.is_empty() || self.stride as usize != name.len()) {
            return self.insert(self.len(), name);
        }
        self.stride = name.len() as u32;
        if self.bytes.capacity() < self.bytes.len() + name.len() {
            self.bytes.reserve_exact(room(name, many));
        }
        match name.first_chunk::<8>() {
            Some(number) if name.len() == 8 => self.bytes.extend_from_slice(number),
            _ => self.bytes.extend_from_slice(name),
        }
        self.len += 1;
    }

    /// Puts a name in before the one at `at`.
    pub fn insert(&mut self, at: usize, name: &[u8]) {
        if self.len == 0 {
            self.stride = name.len() as u32;
        } else if self.ends.is_empty() && self.stride as usize != name.len() {
            self.ends = (1..=self.len).map(|n| n * self.stride).collect();
        }
        let from = if at == 0 { 0 } else { self.bounds(at - 1).1 };
        let old = self.bytes.len();
        if self.bytes.capacity() < old + name.len() {
            self.bytes.reserve_exact(room(name, step(self.len())));
        }
        if from == old {
            self.bytes.extend_from_slice(name);
        } else {
            self.bytes.resize(old + name.len(), 0);
            self.bytes.copy_within(from..old, from + name.len());
            self.bytes[from..from + name.len()].copy_from_slice(name);
        }
        if !self.ends.is_empty() {
            self.ends.insert(at, from as u32);
            for end in &mut self.ends[at..] {
                *end += name.len() as u32;
            }
        }
        self.len += 1;
    }

    /// Takes the names from `at` on out.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let from = if at == 0 { 0 } else { self.bounds(at - 1).1 };
        let mut right = Self {
            bytes: self.bytes.split_off(from),
            ends: self.ends.split_off(at.min(self.ends.len())),
            stride: self.stride,
            len: self.len - at as u32,
        };
        self.len = at as u32;
        for end in &mut right.ends {
            *end -= from as u32;
        }
        right
    }

    /// Takes the name at `at` out.
    pub fn remove(&mut self, at: usize) {
        let (from, to) = self.bounds(at);
        self.bytes.copy_within(to.., from);
        self.bytes.truncate(self.bytes.len() - (to - from));
        if !self.ends.is_empty() {
            self.ends.remove(at);
            for end in &mut self.ends[at..] {
                *end -= (to - from) as u32;
            }
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// Gives back what it has too much.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_what_there_is_and_where_anything_else_would_be() {
        // Names of one and of many lengths; with nothing, little or much in common; with zeros; and some of which others
        // begin with.
        let beginnings: [&[u8]; 5] = [b"", b"c", b"counter/", b"counter/of-a-long-name/", &[0; 9]];
        let mut all: Vec<Vec<u8>> = Vec::new();
        for beginning in beginnings {
            for end in [0u64, 1, 7, 255, 256, 1 << 32, u64::MAX, 0x6162_6364] {
                for len in [0, 1, 3, 7, 8] {
                    all.push([beginning, &end.to_be_bytes()[8 - len..]].concat());
                    all.push([beginning, &end.to_le_bytes()[8 - len..], b"behind"].concat());
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut tried = 0;
        for step in [1, 2, 3, 5, 11, 40] {
            for from in (0..all.len()).step_by(7) {
                let few: Vec<&Vec<u8>> = all[from..].iter().step_by(step).take(24).collect();
                let same = few.iter().filter(|name| name.len() == few[0].len());
                for few in [few.clone(), same.copied().collect()] {
                    let mut names = Names::default();
                    few.iter().for_each(|name| names.push(name, FEW));
                    for name in &all {
                        assert_eq!(
                            names.search(name),
                            few.binary_search(&name),
                            "{few:?} {name:?}"
                        );
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 10_000);
        assert_eq!(Names::default().search(b"any"), Err(0));
    }

    const FEW: usize = 24;
}
