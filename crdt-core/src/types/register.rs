//! Registers: a leaf of payloads. A write replaces every write that it saw; what is concurrent
//! stays live side by side, and the reader chooses.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::Crdt;
use super::places::{copies, shows_its_view};
use crate::kernel::{Cursor, NodeRef, Value, ValueRef};
use crate::payload::{self, Bytes, Payload, PayloadError, WrittenFrom};
use crate::{Dot, Timestamp};

const STAMP: usize = size_of::<u64>();

/// One value; of concurrent writes the one with the greatest timestamp is read, of equal
/// timestamps the greater replica's.
///
/// A write replaces what it has seen, whatever the clocks say: its timestamp is at least one more
/// than any that it replaces. The losers of a conflict stay until the next write and can be asked for:
/// [`conflicts`](LwwRegisterView::conflicts), [`losers`](LwwRegisterView::losers).
///
/// The value is one: of two who change different fields of a struct, one loses. See
/// [`record!`](crate::record) and [`LwwMap`](crate::LwwMap) for fields that change one by one.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | "a" | `set("b")` at 10:00 | `set("c")` at 10:01 | "c", and "b" is a loser | two values |
/// | "a" | `set("b")`, its clock an hour slow | | "b" | "a" |
/// | "a" | `set("b")` at 10:00 | `set("c")` at 10:00 | that of the greater replica | |
/// | "a", under a key | the key is removed at 10:01 | `set("b")` at 10:00 | "b" | nothing |
///
/// # Costs
///
/// Reading and writing are O(concurrent writes), which a write leaves one of, and the payload's
/// encoding. A write is the payload, 8 bytes of timestamp and a dot: some 50 bytes and the payload in
/// memory, 10 to 16 and the payload on the wire. A write over something leaves a record of some 20
/// bytes and the path until all replicas have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, LwwRegister, ReplicaId, Timestamp};
///
/// let mut a = Causal::<LwwRegister<String>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<LwwRegister<String>>::new(ReplicaId::new(2, 1));
/// a.update_at(Timestamp::from_millis(10), |r| r.set("a"))?;
/// b.update_at(Timestamp::from_millis(11), |r| r.set("b"))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().get()?.as_deref(), Some("b"));
/// assert_eq!(a.view().losers()?, ["a"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "last-writer-wins register")]
#[doc(alias = "LWW-Register")]
#[derive(Debug)]
pub struct LwwRegister<V>(PhantomData<V>);

/// One value; concurrent writes are all kept until one is written that saw them.
///
/// Values are told apart by their bytes: what two wrote alike is one value. See [`Payload`] for types
/// that have no bytes of their own, which are refused. For concurrent values by key take
/// `OrMap<K, MvRegister<V>>`.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | "a" | `set("b")` | `set("c")` | "b" and "c" | one of them |
/// | "a" | `set("b")` | `set("b")` | "b" | "b" twice |
/// | "a" | `set("b")`, `set("c")` | `set("d")` | "c" and "d" | "b" |
/// | "a", under a key | the key is removed | `set("b")` | "b" | |
///
/// # Costs
///
/// Reading is O(w log w) in the number w of concurrent writes, of which a write leaves one. A write is
/// the payload and a dot: some 50 bytes and the payload in memory, some 8 and the payload on the wire.
/// A write over something leaves a record of some 20 bytes and the path until all replicas have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, MvRegister, ReplicaId};
///
/// let mut a = Causal::<MvRegister<u8>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<MvRegister<u8>>::new(ReplicaId::new(2, 1));
/// a.update(|r| r.set(&1))?;
/// b.update(|r| r.set(&2))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().values()?, [1, 2]);
/// a.update(|r| r.set(&3))?;
/// assert_eq!(a.view().values()?, [3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "multi-value register")]
#[doc(alias = "MV-Register")]
#[doc(alias = "siblings")]
#[derive(Debug)]
pub struct MvRegister<V>(PhantomData<V>);

/// Reads an [`LwwRegister`].
pub struct LwwRegisterView<'a, V> {
    node: Option<NodeRef<'a>>,
    value: PhantomData<V>,
}

/// Reads an [`MvRegister`].
pub struct MvRegisterView<'a, V> {
    node: Option<NodeRef<'a>>,
    value: PhantomData<V>,
}

/// Changes an [`LwwRegister`].
pub struct LwwRegisterEdit<'a, V> {
    cursor: Cursor<'a>,
    value: PhantomData<V>,
}

/// Changes an [`MvRegister`].
pub struct MvRegisterEdit<'a, V> {
    cursor: Cursor<'a>,
    value: PhantomData<V>,
}

impl<V: Payload> Crdt for LwwRegister<V> {
    type View<'a> = LwwRegisterView<'a, V>;
    type Edit<'a> = LwwRegisterEdit<'a, V>;

    fn shape(out: &mut String) {
        out.push_str("lww_register");
    }

    fn view(node: Option<NodeRef<'_>>) -> LwwRegisterView<'_, V> {
        LwwRegisterView {
            node,
            value: PhantomData,
        }
    }

    fn edit(cursor: Cursor<'_>) -> LwwRegisterEdit<'_, V> {
        LwwRegisterEdit {
            cursor,
            value: PhantomData,
        }
    }
}

impl<V: Payload> Crdt for MvRegister<V> {
    type View<'a> = MvRegisterView<'a, V>;
    type Edit<'a> = MvRegisterEdit<'a, V>;

    fn shape(out: &mut String) {
        out.push_str("mv_register");
    }

    fn view(node: Option<NodeRef<'_>>) -> MvRegisterView<'_, V> {
        MvRegisterView {
            node,
            value: PhantomData,
        }
    }

    fn edit(cursor: Cursor<'_>) -> MvRegisterEdit<'_, V> {
        MvRegisterEdit {
            cursor,
            value: PhantomData,
        }
    }
}

/// The payloads at a leaf.
pub(super) fn payloads(node: Option<NodeRef<'_>>) -> impl Iterator<Item = (Dot, &[u8])> {
    let entries = node.into_iter().flat_map(NodeRef::entries);
    entries.filter_map(|entry| match entry.value {
        ValueRef::Bytes(bytes) => Some((entry.dot, &**bytes)),
        _ => None,
    })
}

/// Timestamp and payload of a last-writer-wins write.
fn stamped(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (stamp, rest) = bytes.split_first_chunk::<STAMP>()?;
    Some((Timestamp::from_bits(u64::from_be_bytes(*stamp)), rest))
}

/// The stamped writes at a leaf, the winner last.
pub(super) fn lww_writes(node: Option<NodeRef<'_>>) -> Vec<(Timestamp, Dot, &[u8])> {
    let writes = payloads(node).filter_map(|(dot, bytes)| {
        let (stamp, payload) = stamped(bytes)?;
        Some((stamp, dot, payload))
    });
    let mut writes: Vec<_> = writes.collect();
    writes.sort_unstable();
    writes
}

/// The value of the winning write.
pub(super) fn lww_get<V: Payload>(node: Option<NodeRef<'_>>) -> Result<Option<V>, PayloadError> {
    match lww_writes(node).last() {
        Some((_, _, payload)) => payload::decode(payload).map(Some),
        None if payloads(node).next().is_some() => Err(PayloadError::Header),
        None => Ok(None),
    }
}

/// Writes over everything seen at a leaf.
pub(super) fn lww_set<V: Payload + WrittenFrom<Q>, Q: ?Sized>(cursor: &mut Cursor<'_>, value: &Q) {
    let replaced = lww_writes(cursor.node())
        .last()
        .map(|(stamp, _, _)| stamp.next());
    let stamp = cursor.clock().max(replaced.unwrap_or_default());
    let stamp = stamp.to_bits().to_be_bytes().to_vec();
    match payload::encode::<V, Q>(value, stamp, Bytes::Readable) {
        Ok(bytes) => cursor.write(Value::Bytes(bytes.into())),
        Err(error) => cursor.fail(error.into()),
    }
}

impl<V: Payload> LwwRegisterView<'_, V> {
    /// The value, if there is one. O(concurrent writes).
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if what is stored is not a `V`.
    pub fn get(&self) -> Result<Option<V>, PayloadError> {
        lww_get(self.node)
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        payloads(self.node).next().is_none()
    }

    /// The timestamp of the winning write.
    pub fn timestamp(&self) -> Option<Timestamp> {
        lww_writes(self.node).last().map(|(stamp, _, _)| *stamp)
    }

    /// How many concurrent writes lost against the one that is read.
    pub fn conflicts(&self) -> usize {
        lww_writes(self.node).len().saturating_sub(1)
    }

    /// The values that lost, the last loser first.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if one of them is not a `V`.
    pub fn losers(&self) -> Result<Vec<V>, PayloadError> {
        lww_writes(self.node)
            .iter()
            .rev()
            .skip(1)
            .map(|w| payload::decode(w.2))
            .collect()
    }
}

impl<V: Payload> MvRegisterView<'_, V> {
    /// The values of all writes that no other write saw, each once, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if one of them is not a `V`.
    pub fn values(&self) -> Result<Vec<V>, PayloadError> {
        self.different().into_iter().map(payload::decode).collect()
    }

    /// How many values there are beside one: 0 unless there is a conflict. Concurrent writes of the
    /// same value are none.
    pub fn conflicts(&self) -> usize {
        self.different().len().saturating_sub(1)
    }

    fn different(&self) -> BTreeSet<&[u8]> {
        payloads(self.node).map(|(_, bytes)| bytes).collect()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        payloads(self.node).next().is_none()
    }
}

impl<V: Payload> LwwRegisterEdit<'_, V> {
    /// Writes a value over everything seen: of its own type, or a borrowed form ([`WrittenFrom`]), as `str` for
    /// `String`. So what is to be converted first has to say into what.
    pub fn set<Q: ?Sized>(&mut self, value: &Q)
    where
        V: WrittenFrom<Q>,
    {
        lww_set::<V, Q>(&mut self.cursor, value);
    }

    /// The register, with what this update did so far.
    pub fn view(&self) -> LwwRegisterView<'_, V> {
        LwwRegister::view(self.cursor.node())
    }
}

impl<V: Payload> MvRegisterEdit<'_, V> {
    /// Writes a value over everything seen: of its own type, or a borrowed form ([`WrittenFrom`]), as `str` for
    /// `String`. So what is to be converted first has to say into what.
    pub fn set<Q: ?Sized>(&mut self, value: &Q)
    where
        V: WrittenFrom<Q>,
    {
        match payload::encode::<V, Q>(value, Vec::new(), Bytes::Identity) {
            Ok(bytes) => self.cursor.write(Value::Bytes(bytes.into())),
            Err(error) => self.cursor.fail(error.into()),
        }
    }

    /// The register, with what this update did so far.
    pub fn view(&self) -> MvRegisterView<'_, V> {
        MvRegister::view(self.cursor.node())
    }
}

impl<V: Payload + fmt::Debug> fmt::Debug for LwwRegisterView<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl<V: Payload + fmt::Debug> fmt::Debug for MvRegisterView<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values().fmt(f)
    }
}

copies!(LwwRegisterView<'_, V>, MvRegisterView<'_, V>);
shows_its_view!(LwwRegisterEdit<'_, V> where V: Payload + fmt::Debug);
shows_its_view!(MvRegisterEdit<'_, V> where V: Payload + fmt::Debug);

/// The same value, whoever wrote it. Values that can't be decoded are equal to none.
impl<V: Payload + PartialEq> PartialEq for LwwRegisterView<'_, V> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.get(), other.get()), (Ok(a), Ok(b)) if a == b)
    }
}

/// The same values, whoever wrote them.
impl<V: Payload> PartialEq for MvRegisterView<'_, V> {
    fn eq(&self, other: &Self) -> bool {
        self.different() == other.different()
    }
}

/// An option. An error if what is stored is not a `V`.
impl<V: Payload> Serialize for LwwRegisterView<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.get().map_err(S::Error::custom)?;
        value.serialize(serializer)
    }
}

/// A sequence of the values. An error if one of them is not a `V`.
impl<V: Payload> Serialize for MvRegisterView<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.values().map_err(S::Error::custom)?;
        values.serialize(serializer)
    }
}
