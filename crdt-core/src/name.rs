//! Path components: short byte strings, inline up to 22 bytes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

const INLINE: usize = 22;

/// One component of a path: a key, a shape, an element or a field, as its canonical bytes.
/// Cloning never copies more than 22 bytes.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Inline(u8, [u8; INLINE]),
    Shared(Arc<[u8]>),
}

impl Name {
    /// A component of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        if bytes.len() <= INLINE {
            let mut inline = [0; INLINE];
            inline[..bytes.len()].copy_from_slice(bytes);
            Self(Repr::Inline(bytes.len() as u8, inline))
        } else {
            Self(Repr::Shared(bytes.into()))
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Name {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(&bytes)
    }
}

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline(len, bytes), Repr::Inline(others, other)) => {
                len == others && bytes == other
            }
            (Repr::Shared(bytes), Repr::Shared(other)) => bytes == other,
            _ => false,
        }
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Inline(len, bytes), Repr::Inline(others, other)) => Words::of(bytes)
                .cmp(&Words::of(other))
                .then(len.cmp(others)),
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The first 22 bytes of a name as numbers, with zeros behind a shorter one: unequal ones are ordered as the names
/// are, and of equal ones the shorter name is the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Words(u64, u64, u64);

impl Words {
    #[inline]
    fn of(bytes: &[u8; INLINE]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        let first = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, e, f, g, h, rest @ ..] = rest;
        let second = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let [a, b, c, d, e, f] = rest;
        Self(first, second, u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// A name that others are compared with many times. Most are short, or differ in what short ones have: that is
/// compared as numbers.
#[derive(Clone, Copy)]
pub(crate) struct SearchKey<'a> {
    words: Words,
    bytes: &'a [u8],
}

impl<'a> SearchKey<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut first = [0; INLINE];
        let len = bytes.len().min(INLINE);
        first[..len].copy_from_slice(&bytes[..len]);
        Self {
            words: Words::of(&first),
            bytes,
        }
    }

    /// Whether `name` is this one or comes before it.
    #[inline]
    pub(crate) fn is_at_least(&self, name: &Name) -> bool {
        match &name.0 {
            Repr::Inline(len, bytes) => {
                let words = Words::of(bytes);
                // Mostly the first that differs says it all.
                if words.0 != self.words.0 {
                    words.0 < self.words.0
                } else if words.1 != self.words.1 {
                    words.1 < self.words.1
                } else {
                    (words.2, usize::from(*len)) <= (self.words.2, self.bytes.len())
                }
            }
            Repr::Shared(bytes) => **bytes <= *self.bytes,
        }
    }
}

/// Where something is: components from the root down. Cheap to clone.
pub type Path = Arc<[Name]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_their_bytes_are() {
        let mut names: Vec<Vec<u8>> = alloc::vec![Vec::new()];
        // At every length around those where what is compared changes, with zeros, and with a difference anywhere.
        for len in [1, 7, 8, 9, 15, 16, 17, 21, 22, 23, 24, 30] {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                names.push(alloc::vec![byte; len]);
                for at in 0..len {
                    let mut name = alloc::vec![0x41; len];
                    name[at] = byte;
                    names.push(name);
                }
            }
        }
        for a in &names {
            let (name, key) = (Name::new(a), SearchKey::new(a));
            for b in &names {
                let other = Name::new(b);
                assert_eq!(name.cmp(&other), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(name == other, a == b, "{a:?} {b:?}");
                assert_eq!(key.is_at_least(&other), b <= a, "{a:?} {b:?}");
            }
        }
    }
}
