//! Shapes: what kind of value stands under a key, as text.

use alloc::string::String;
use core::fmt;

use crate::name::Name;

/// Longest shape, in bytes.
pub const MAX_SHAPE: usize = 1024;
/// Deepest nesting of a shape.
pub const MAX_SHAPE_DEPTH: usize = 32;

/// The kind of a value, such as `or_map<str,or_set<u64>>`. It travels with each key, so that a node
/// can keep and pass on types that it does not know, and so that two kinds under one key are told
/// apart.
///
/// A shape is a name of `a-z`, `0-9` and `_`, optionally with shapes as arguments in `<…>`,
/// separated by commas, without spaces.
///
/// ```
/// use crdt_core::{OrMap, OrSet, Shape};
///
/// let shape = Shape::of::<OrMap<String, OrSet<u64>>>();
/// assert_eq!(shape.as_str(), "or_map<str,or_set<u64>>");
/// assert!(Shape::parse(b"a shape from a later version<u64>").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(Name);

impl Shape {
    /// The shape of a type.
    pub fn of<T: crate::Crdt>() -> Self {
        // For most of them, at once.
        let mut text = String::with_capacity(48);
        T::shape(&mut text);
        Self(Name::new(text.as_bytes()))
    }

    /// A shape that was received, if it is one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let whole = bytes.len() <= MAX_SHAPE && parse(&mut rest, 1) && rest.is_empty();
        whole.then(|| Self(Name::new(bytes)))
    }

    /// The shape as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The shape as a component of a path.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

fn parse(rest: &mut &[u8], depth: usize) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
    let len = rest.iter().take_while(|b| word(b)).count();
    *rest = &rest[len..];
    if len == 0 || depth > MAX_SHAPE_DEPTH {
        return false;
    }
    if rest.first() != Some(&b'<') {
        return true;
    }
    loop {
        *rest = &rest[1..];
        if !parse(rest, depth + 1) {
            return false;
        }
        match rest.first() {
            Some(b',') => {}
            Some(b'>') => {
                *rest = &rest[1..];
                return true;
            }
            _ => return false,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({})", self.as_str())
    }
}
