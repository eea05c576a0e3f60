//! A list of names, end to end.

use alloc::vec::Vec;

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
        if let (true, Ok(wanted)) = (self.ends.is_empty() && self.stride == 8, name.try_into()) {
            return self.search_numbers(u64::from_be_bytes(wanted));
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low + (high - low) / 2;
            match self.get(mid).cmp(name) {
                core::cmp::Ordering::Less => low = mid + 1,
                core::cmp::Ordering::Equal => return Ok(mid),
                core::cmp::Ordering::Greater => high = mid,
            }
        }
        Err(low)
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
    pub(super) fn push(&mut self, name: &[u8], many: usize) {
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
        self.bytes.resize(old + name.len(), 0);
        self.bytes.copy_within(from..old, from + name.len());
        self.bytes[from..from + name.len()].copy_from_slice(name);
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
