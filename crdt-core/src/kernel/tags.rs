//! A byte of a hash of each name of a block, by which a name is found without looking at others.
//!
//! A binary search among names that are in no cache waits for one after the other. These bytes are in one line of a
//! cache, as those of a table of Google's `SwissTable` (Kulukundis, 2017).

use alloc::vec::Vec;

use super::names::{Names, step};

/// Of fewer names, and of numbers, there are none: a search is as good.
const LEAST: usize = 16;

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = EACH << 7;

/// A tag for each of some names, or none.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags(Vec<u8>);

/// The last byte of a product has to do with all that came in before.
fn tag(name: &[u8]) -> u8 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = name.as_chunks::<8>();
    let mut hash = name.len() as u64;
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        hash ^= hash >> 32;
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    (hash.wrapping_mul(FACTOR) >> 56) as u8
}

impl Tags {
    /// Where a name is. `None` also if that is not known without a search: see [`is_complete`](Self::is_complete).
    #[inline]
    pub(super) fn find(&self, names: &Names, name: &[u8]) -> Option<usize> {
        if self.is_complete() {
            self.find_tag(names, name)
        } else {
            None
        }
    }

    fn find_tag(&self, names: &Names, name: &[u8]) -> Option<usize> {
        let wanted = u64::from(tag(name)) * EACH;
        let (words, rest) = self.0.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for (word, first) in words.iter().chain([&last]).zip((0..).step_by(8)) {
            let differs = u64::from_le_bytes(*word) ^ wanted;
            // The high bit of each byte that is 0, and now and then of one behind such a byte.
            let mut same = differs.wrapping_sub(EACH) & !differs & HIGH;
            while same != 0 {
                let at = first + (same.trailing_zeros() / 8) as usize;
                if at < self.0.len() && names.get(at) == name {
                    return Some(at);
                }
                same &= same - 1;
            }
        }
        None
    }

    /// Whether there is one for each name, so that a name that is not found is not there.
    pub(super) fn is_complete(&self) -> bool {
        !self.0.is_empty()
    }

    /// A name was put in at a place.
    #[inline]
    pub(super) fn insert(&mut self, names: &Names, at: usize) {
        // Most blocks that are joined or read have none.
        if self.is_complete() || (names.len() >= LEAST && !names.are_numbers()) {
            self.insert_tag(names, at);
        }
    }

    #[inline(never)]
    fn insert_tag(&mut self, names: &Names, at: usize) {
        if !self.is_complete() {
            self.0 = (0..names.len()).map(|at| tag(names.get(at))).collect();
            return;
        }
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(step(self.0.len()));
        }
        self.0.insert(at, tag(names.get(at)));
    }

    pub(super) fn remove(&mut self, at: usize) {
        if self.is_complete() {
            self.0.remove(at);
        }
    }

    pub(super) fn split_off(&mut self, at: usize) -> Self {
        Self(self.0.split_off(at.min(self.0.len())))
    }

    pub(super) fn shrink(&mut self) {
        if self.0.len() < LEAST {
            self.0 = Vec::new();
        }
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    /// Names come and go, some with equal tags, and the list is split.
    #[test]
    fn each_name_is_found_where_it_is_and_no_other() {
        let name = |n: u32| -> Vec<u8> {
            let len = [0, 3, 8, 11, 16, 30][n as usize % 6];
            n.to_be_bytes().iter().copied().cycle().take(len).collect()
        };
        let mut state = 7u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        let (mut names, mut tags, mut model) = (Names::default(), Tags::default(), Vec::new());
        let mut complete = 0;
        for _ in 0..4_000 {
            let chosen = name(random(600));
            match model.binary_search(&chosen) {
                Ok(at) if random(3) == 0 => {
                    names.remove(at);
                    tags.remove(at);
                    model.remove(at);
                }
                Err(at) => {
                    names.insert(at, &chosen);
                    tags.insert(&names, at);
                    model.insert(at, chosen);
                }
                Ok(_) => tags.shrink(),
            }
            if model.len() > 64 {
                let at = random(64) as usize;
                let right = (names.split_off(at), tags.split_off(at), model.split_off(at));
                if random(2) == 0 {
                    (names, tags, model) = right;
                }
                tags.shrink();
            }
            for n in 0..600 {
                let found = tags.find(&names, &name(n));
                let expected = model.binary_search(&name(n)).ok();
                assert_eq!(found, expected.filter(|_| tags.is_complete()));
            }
            complete += usize::from(tags.is_complete());
        }
        assert!((1_000..4_000).contains(&complete), "{complete}");
    }

    /// Names that differ in a byte anywhere have mostly different tags.
    #[test]
    fn tags_tell_most_names_apart() {
        for len in [1, 5, 8, 9, 16, 24, 40] {
            for at in 0..len {
                let tags: BTreeSet<u8> = (0..64)
                    .map(|byte| {
                        let mut name = alloc::vec![b'0'; len];
                        name[at] = byte;
                        tag(&name)
                    })
                    .collect();
                assert!(tags.len() > 40, "{len} {at}: {}", tags.len());
            }
        }
    }
}
