//! Paths of the models: a key, or something under it.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A key, or a place under a key, as the names on the way to it. Cheap to clone.
///
/// Paths are ordered name by name, so that in a sorted map whatever lies under a path follows it
/// directly.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::ModelPath;
///
/// let key = ModelPath::new(["cart"]);
/// let item = ModelPath::new(["cart", "apples"]);
/// assert!(key.covers(&item) && key.covers(&key));
/// assert!(!item.covers(&key));
/// assert_eq!(item.to_string(), "cart/apples");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelPath(Arc<[Vec<u8>]>);

impl ModelPath {
    /// A path from the names on the way to it, the key first.
    pub fn new<N: AsRef<[u8]>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(
            names
                .into_iter()
                .map(|name| name.as_ref().to_vec())
                .collect(),
        )
    }

    /// The names on the way to it, the key first.
    pub fn names(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Whether the other path is this one or lies under it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// Whether one of the two covers the other.
    pub(super) fn is_related(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The path's first names.
    pub(super) fn truncated(&self, len: usize) -> Self {
        Self(self.0[..len].into())
    }

    /// The path and those above it up to its key, from the longest to the shortest.
    pub(super) fn upwards(&self) -> impl Iterator<Item = &[Vec<u8>]> {
        (1..=self.0.len()).rev().map(|len| &self.0[..len])
    }
}

impl Borrow<[Vec<u8>]> for ModelPath {
    fn borrow(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl fmt::Display for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "/" };
            write!(f, "{separator}{}", name.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ModelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a map holds at a path and under it.
pub(super) fn under<'a, V>(
    map: &'a BTreeMap<ModelPath, V>,
    path: &'a ModelPath,
) -> impl Iterator<Item = (&'a ModelPath, &'a V)> {
    map.range(path.clone()..)
        .take_while(|(p, _)| path.covers(p))
}

/// What a map holds at a path and under it, to be changed.
pub(super) fn under_mut<'a, V>(
    map: &'a mut BTreeMap<ModelPath, V>,
    path: &'a ModelPath,
) -> impl Iterator<Item = (&'a ModelPath, &'a mut V)> {
    map.range_mut(path.clone()..)
        .take_while(|(p, _)| path.covers(p))
}
