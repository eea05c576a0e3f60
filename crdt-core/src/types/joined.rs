//! A lattice of the user's own.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::Crdt;
use super::places::{copies, shows_its_view};
use super::register::payloads;
use crate::kernel::{Cursor, NodeRef, Value};
use crate::payload::{self, Bytes, Payload, PayloadError};

/// A join-semilattice: values with a join that is commutative, associative and idempotent, and of
/// which [`Default`] is the least.
///
/// The laws are the implementation's to keep; [`Joined`] can't check them. A join that breaks them
/// makes replicas read different values.
pub trait Lattice: Payload + Default {
    /// What shapes call it: `a-z`, `0-9` and `_`. Lattices that encode or join differently must
    /// differ in it, also across versions.
    const NAME: &'static str;

    /// Raises `self` to the least value above both.
    fn join(&mut self, other: Self);
}

/// A value of a lattice: the join of all contributions.
///
/// A contribution is everything that an [`update`](JoinedEdit::update) leaves: what it found, and
/// what it added. So a removal of the key takes away contributions that it saw, and an update that
/// was concurrent with it brings back what it had found. The other types are better where they do: they
/// send what changed, and this one sends the whole value each time.
///
/// # Concurrent cases
///
/// | begin | A | B | then |
/// | --- | --- | --- | --- |
/// | x | `update` to x ∨ y | `update` to x ∨ z | x ∨ y ∨ z |
/// | x, under a key | the key is removed | `update` to x ∨ y | x ∨ y |
///
/// # Costs
///
/// Reading and updating are O(concurrent updates) joins, and the encoding of the value. In memory and on
/// the wire each contribution is the whole value.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, Joined, Lattice, ReplicaId};
/// use serde::{Deserialize, Serialize};
///
/// /// The longest name.
/// #[derive(Default, Serialize, Deserialize)]
/// struct Longest(String);
///
/// impl Lattice for Longest {
///     const NAME: &'static str = "longest";
///     fn join(&mut self, other: Self) {
///         let key = |s: &String| (s.len(), s.clone());
///         if key(&other.0) > key(&self.0) {
///             *self = other;
///         }
///     }
/// }
///
/// let mut a = Causal::<Joined<Longest>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<Joined<Longest>>::new(ReplicaId::new(2, 1));
/// a.update(|name| name.update(|l| l.0 = "Ann".to_owned()))?;
/// b.update(|name| name.update(|l| l.0 = "Barbara".to_owned()))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().get()?.0, "Barbara");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "semilattice")]
#[derive(Debug)]
pub struct Joined<L>(PhantomData<L>);

/// Reads a [`Joined`].
pub struct JoinedView<'a, L>(Option<NodeRef<'a>>, PhantomData<L>);

/// Changes a [`Joined`].
pub struct JoinedEdit<'a, L>(Cursor<'a>, PhantomData<L>);

impl<L: Lattice> Joined<L> {
    /// Fails to compile if the name can't stand in a shape.
    const NAME_IS_A_WORD: () = assert!(
        is_word(L::NAME.as_bytes()),
        "Lattice::NAME must be 1 to 64 of a-z, 0-9 and _"
    );
}

pub(super) const fn is_word(bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= 64
}

impl<L: Lattice> Crdt for Joined<L> {
    type View<'a> = JoinedView<'a, L>;
    type Edit<'a> = JoinedEdit<'a, L>;

    fn shape(out: &mut String) {
        let () = Self::NAME_IS_A_WORD;
        out.push_str("joined<");
        out.push_str(L::NAME);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> JoinedView<'_, L> {
        JoinedView(node, PhantomData)
    }

    fn edit(cursor: Cursor<'_>) -> JoinedEdit<'_, L> {
        JoinedEdit(cursor, PhantomData)
    }
}

fn join_all<L: Lattice>(node: Option<NodeRef<'_>>) -> Result<L, PayloadError> {
    let mut joined = L::default();
    for (_, bytes) in payloads(node) {
        joined.join(payload::decode(bytes)?);
    }
    Ok(joined)
}

impl<L: Lattice> JoinedView<'_, L> {
    /// The join of all contributions; the least value if there are none. O(concurrent updates).
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if what is stored is not an `L`.
    pub fn get(&self) -> Result<L, PayloadError> {
        join_all(self.0)
    }

    /// Whether nothing was contributed.
    pub fn is_empty(&self) -> bool {
        payloads(self.0).next().is_none()
    }
}

impl<L: Lattice> JoinedEdit<'_, L> {
    /// Raises the value: what the closure leaves is joined with what it found, and replaces it. The
    /// update fails as a whole if what is stored is not an `L`.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut L) -> R) -> Option<R> {
        let node = self.0.node();
        let found = join_all::<L>(node).and_then(|value| Ok((value, join_all::<L>(node)?)));
        let (mut value, before) = match found {
            Ok(both) => both,
            Err(error) => {
                self.0.fail(error.into());
                return None;
            }
        };
        let result = change(&mut value);
        value.join(before);
        match payload::encode::<L, L>(&value, Vec::new(), Bytes::Readable) {
            Ok(bytes) => self.0.write(Value::Bytes(bytes.into())),
            Err(error) => self.0.fail(error.into()),
        }
        Some(result)
    }

    /// The value, with what this update did so far.
    pub fn view(&self) -> JoinedView<'_, L> {
        JoinedView(self.0.node(), PhantomData)
    }
}

impl<L: Lattice + fmt::Debug> fmt::Debug for JoinedView<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

copies!(JoinedView<'_, L>);
shows_its_view!(JoinedEdit<'_, L> where L: Lattice + fmt::Debug);

/// The same value, whoever contributed. Values that can't be decoded are equal to none.
impl<L: Lattice + PartialEq> PartialEq for JoinedView<'_, L> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.get(), other.get()), (Ok(a), Ok(b)) if a == b)
    }
}

/// The value. An error if what is stored is not an `L`.
impl<L: Lattice> Serialize for JoinedView<'_, L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.get().map_err(S::Error::custom)?;
        value.serialize(serializer)
    }
}
