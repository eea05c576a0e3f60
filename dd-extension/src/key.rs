//! Typed keys and key families.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use dd_gossip::NodeId;

/// A key with the type of the value under it.
///
/// A key has 1 to 1024 bytes ([`MAX_KEY`](crate::MAX_KEY)), and the first is not zero. Every call of a
/// store that takes one checks that, a read as well as a write: [`UpdateError::Key`](crate::UpdateError::Key) and
/// [`UpdateError::Reserved`](crate::UpdateError::Reserved).
///
/// ```
/// use dd_extension::{Key, types::PnCounter};
///
/// const HITS: Key<PnCounter> = Key::new("hits");
/// assert_eq!(HITS.as_str(), "hits");
/// ```
///
/// # What the type says
///
/// The type is the caller's claim. The store keeps the [shape](crate::types::Shape) with the value: the CRDT types that it
/// is made of, and the types of their elements. Claims of two shapes about one key never mix, and each reads its own:
/// see [`Store::shapes`](crate::Store::shapes).
///
/// The shape does not hold the types of payloads, which are what registers and [`LwwMap`](crate::types::LwwMap)s hold.
/// Two that differ in them alone read the same bytes: mostly that is a
/// [`PayloadError`](crate::types::PayloadError), and where the bytes fit both it is another value. What of a payload may
/// change is said at [`Payload`](crate::types::Payload#types-that-evolve); one of another type takes a new key, or a
/// new prefix.
///
/// ```
/// use dd_extension::types::{LwwRegister, OrSet, Shape};
///
/// assert_ne!(Shape::of::<OrSet<u64>>(), Shape::of::<OrSet<i64>>());
/// assert_eq!(Shape::of::<LwwRegister<u64>>(), Shape::of::<LwwRegister<i64>>());
/// ```
pub struct Key<T> {
    name: Cow<'static, str>,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key that is known when the program is written.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value: PhantomData,
        }
    }

    /// A key that is known when the program runs.
    pub fn of(name: impl Into<String>) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            value: PhantomData,
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            value: PhantomData,
        }
    }
}

impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<T> Eq for Key<T> {}

impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By name, as the store lists keys.
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

impl<T> fmt::Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// All keys that begin with a prefix, with the type of the values under them: a claim, as that of a [`Key`] is. Another
/// type of payload takes another prefix.
///
/// The keys have 1 to 1024 bytes, prefix and all. The prefix of a family that is [owned](OwnedKeys), or that
/// [ends when it is idle](crate::Store::expire_idle), has 1 to 255 ([`MAX_FAMILY`](crate::MAX_FAMILY)), and there are at
/// most 256 families of each kind in a store.
///
/// ```
/// use dd_extension::{Keys, types::OrSet};
///
/// const CARTS: Keys<OrSet<String>> = Keys::with_prefix("cart/");
/// let cart = CARTS.key(42);
/// assert_eq!(cart.as_str(), "cart/42");
/// assert_eq!(CARTS.rest_of(&cart), Some("42"));
/// ```
pub struct Keys<T> {
    prefix: Cow<'static, str>,
    value: PhantomData<fn() -> T>,
}

impl<T> Keys<T> {
    /// The keys that begin with `prefix`. End it with a separator such as `/`, or families whose
    /// names begin alike overlap.
    pub const fn with_prefix(prefix: &'static str) -> Self {
        Self {
            prefix: Cow::Borrowed(prefix),
            value: PhantomData,
        }
    }

    /// As [`with_prefix`](Self::with_prefix), for a prefix that is known when the program runs.
    pub fn of(prefix: impl Into<String>) -> Self {
        Self {
            prefix: Cow::Owned(prefix.into()),
            value: PhantomData,
        }
    }

    /// A family of keys that belong to nodes and go with them.
    pub const fn owned(prefix: &'static str) -> OwnedKeys<T> {
        OwnedKeys(Self::with_prefix(prefix))
    }

    /// As [`owned`](Self::owned), for a prefix that is known when the program runs.
    pub fn owned_of(prefix: impl Into<String>) -> OwnedKeys<T> {
        OwnedKeys(Self::of(prefix))
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// One key of the family.
    pub fn key(&self, rest: impl fmt::Display) -> Key<T> {
        Key::of(format!("{}{rest}", self.prefix))
    }

    /// What a key has behind the prefix, if it is of the family.
    pub fn rest_of<'k>(&self, key: &'k Key<T>) -> Option<&'k str> {
        key.as_str().strip_prefix(&*self.prefix)
    }
}

impl<T> Clone for Keys<T> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Keys<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}*)", self.prefix)
    }
}

/// Keys that belong to nodes and go with them: presence, sessions, a registry of services.
///
/// A key belongs to the node in its name, `<prefix><node>/<rest>`. Only that node writes it, through the key
/// that [`Store::own`](crate::Store::own) gives it; everybody reads.
///
/// * When its node has left, was removed or is down, the key is deleted everywhere, some seconds later
///   ([`Timing::orphaned`](crate::Timing::orphaned)).
/// * A node that was only cut off writes its keys again by itself when it is back: they hold what its process
///   wrote, also if the others deleted them meanwhile.
/// * A process begins without owned keys: what a former one of its node left is deleted when it is back.
///
/// ```
/// use dd_extension::{Keys, OwnedKeys, types::OrSet};
///
/// const SESSIONS: OwnedKeys<OrSet<String>> = Keys::owned("session/");
/// let key = SESSIONS.of(&"a".parse().unwrap(), "web");
/// assert_eq!(key.as_str(), "session/a/web");
/// assert_eq!(SESSIONS.owner_of(&key), Some(("a".parse().unwrap(), "web")));
/// ```
pub struct OwnedKeys<T>(Keys<T>);

impl<T> OwnedKeys<T> {
    /// The key of a node, to read it. [`Store::own`](crate::Store::own) gives this node's, to write it.
    pub fn of(&self, node: &NodeId, rest: impl fmt::Display) -> Key<T> {
        self.0.key(format_args!("{node}/{rest}"))
    }

    /// All of them, to subscribe to and to list.
    pub fn all(&self) -> &Keys<T> {
        &self.0
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        self.0.prefix()
    }

    /// Whose a key is, and what it has behind the name, if it is of the family.
    pub fn owner_of<'k>(&self, key: &'k Key<T>) -> Option<(NodeId, &'k str)> {
        let (node, rest) = self.0.rest_of(key)?.split_once('/')?;
        Some((node.parse().ok()?, rest))
    }
}

impl<T> Clone for OwnedKeys<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for OwnedKeys<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedKeys({}<node>/*)", self.prefix())
    }
}
