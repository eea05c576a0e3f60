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
        self.as_bytes() == other.as_bytes()
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
        self.as_bytes().cmp(other.as_bytes())
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

/// A name that others are compared with many times: most differ in the first eight bytes, which
/// are compared as one number.
#[derive(Clone, Copy)]
pub(crate) struct SearchKey<'a> {
    prefix: u64,
    bytes: &'a [u8],
}

impl<'a> SearchKey<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            prefix: prefix(bytes),
            bytes,
        }
    }

    /// How `name` compares with this one.
    pub(crate) fn compare(&self, name: &Name) -> Ordering {
        let first = match &name.0 {
            Repr::Inline(_, [a, b, c, d, e, f, g, h, ..]) => {
                u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])
            }
            Repr::Shared(bytes) => prefix(bytes),
        };
        first
            .cmp(&self.prefix)
            .then_with(|| name.as_bytes().cmp(self.bytes))
    }
}

/// The first eight bytes as a number, with zeros behind a shorter name: unequal numbers are ordered
/// as the names are.
fn prefix(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(padded)
        }
    }
}

/// Where something is: components from the root down. Cheap to clone.
pub type Path = Arc<[Name]>;
