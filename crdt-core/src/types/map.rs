//! Maps: each key is a path of its own; it is there if anything under it is live.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::RangeBounds;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};

use super::counter::{GCounter, PnCounter};
use super::places::{Places, children, copies, iterates, shows_its_view};
use super::register::{LwwRegister, LwwRegisterView, lww_get, lww_set};
use super::set::OrSet;
use super::{Crdt, name_of};
use crate::element::{Element, EncodesAs};
use crate::kernel::{Cursor, NodeRef};
use crate::payload::{Payload, PayloadError, WrittenFrom};

/// A map of CRDTs, nested to any depth. Removing a key takes away what was seen under it; a
/// concurrent update survives with exactly its own part, and what was removed never shines through.
///
/// A key is there while anything under it is live: a set that becomes empty, or an
/// [`EwFlag`](crate::EwFlag) that is turned off, takes its key away; a counter at +5 -5 does not.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | k: counter 3 | `remove(k)` | `entry(k).add(10)` | k: 10 | 13 |
/// | k: set {x} | `remove(k)` | `entry(k).insert(y)` | k: {y} | {x, y} |
/// | k: set {x} | `entry(k).remove(x)` | `entry(k).insert(y)` | k: {y} | |
/// | k: register "a" | `remove(k)` | `entry(k).set("b")` | k: "b" | nothing |
/// | k: counter 3 | `clear` | `entry(l).add(1)` | l: 1 | |
/// | | `entry(k).add(1)` | `entry(k).add(2)` | k: 3 | |
///
/// # Costs
///
/// Look-ups and changes are O(log n) for each level, [`len`](OrMapView::len) is O(1),
/// [`remove`](OrMapEdit::remove) is O(what stands under the key), and like [`clear`](OrMapEdit::clear) one
/// event. In memory a key with one dot under it is its bytes and some 11, and what the dot carries; one
/// with children of its own some 400 more. A removal leaves a record of some 20 bytes and the path, and
/// 40 for each run of a counter that it took away, until all replicas have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, OrMap, PnCounter, ReplicaId};
///
/// let mut a = Causal::<OrMap<String, PnCounter>>::new(ReplicaId::new(1, 1));
/// a.update(|m| m.entry("k").add(3))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|m| m.remove("k"))?;
/// b.update(|m| m.entry("k").add(10))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().get("k").map(|c| c.value()), Some(10)); // not 13
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "observed-remove map")]
#[doc(alias = "OR-Map")]
#[doc(alias = "remove-resets map")]
#[derive(Debug)]
pub struct OrMap<K, V>(PhantomData<(K, V)>);

/// Counters by key, that only grow. See [`OrMap`] for its concurrent cases and costs.
pub type GCounterMap<K> = OrMap<K, GCounter>;

/// Counters by key. A counter at 0 that was counted in is there; [`remove`](OrMapEdit::remove) takes
/// it away. See [`OrMap`] for its concurrent cases and costs.
#[doc(alias = "PNCounterMap")]
pub type PnCounterMap<K> = OrMap<K, PnCounter>;

/// Several elements by key. A key is there as long as its set has an element.
///
/// See [`OrMap`] for its concurrent cases and costs. Where most keys have one element, an
/// [`OrSet<(K, E)>`](OrSet) takes a fraction of the memory, and [`range`](crate::SetView::range) gives
/// those of one key.
///
/// ```
/// use crdt_core::{Causal, OrMultiMap, ReplicaId};
///
/// let mut a = Causal::<OrMultiMap<String, u64>>::new(ReplicaId::new(1, 1));
/// a.update(|m| m.entry("ann").insert(&1))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|m| m.remove("ann"))?;
/// b.update(|m| m.entry("ann").insert(&2))?; // concurrently
/// a.merge(&b)?;
/// assert!(a.view().get("ann").is_some_and(|phones| phones.iter().eq([2])));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "ORMultiMap")]
pub type OrMultiMap<K, E> = OrMap<K, OrSet<E>>;

/// Values by key; of concurrent writes to one key the one with the greatest timestamp is read. A
/// write survives a removal that did not see it, whatever the clocks say.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | k: 1 | `insert(k, 2)` at 10:00 | `insert(k, 3)` at 10:01 | k: 3; 2 is a loser | |
/// | k: 1 | `remove(k)` at 10:01 | `insert(k, 2)` at 10:00 | k: 2 | nothing |
/// | k: 1 | `insert(k, 2)` | `insert(l, 3)` | k: 2, l: 3 | |
/// | k: 1 | `clear` | `insert(l, 3)` | l: 3 | |
///
/// # Costs
///
/// Look-ups and changes are O(log n), [`len`](LwwMapView::len) is O(1), [`clear`](LwwMapEdit::clear) is
/// O(n) and one event. An entry is the key and some 60 bytes and the payload in memory, and the key, the
/// payload and some 10 on the wire, beside siblings. A removal, and a write over something, leaves a
/// record of some 20 bytes and the path until all replicas have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, LwwMap, ReplicaId, Timestamp};
///
/// let mut a = Causal::<LwwMap<String, bool>>::new(ReplicaId::new(1, 1));
/// a.update_at(Timestamp::from_millis(10), |m| m.insert("dark-mode", &true))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update_at(Timestamp::from_millis(30), |m| m.remove("dark-mode"))?;
/// b.update_at(Timestamp::from_millis(20), |m| m.insert("dark-mode", &false))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().get("dark-mode")?, Some(false)); // was not seen by the removal
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "last-writer-wins map")]
#[doc(alias = "LWW-Map")]
#[doc(alias = "hash")]
#[derive(Debug)]
pub struct LwwMap<K, V>(PhantomData<(K, V)>);

/// Reads an [`OrMap`].
pub struct OrMapView<'a, K, V> {
    node: Option<NodeRef<'a>>,
    types: PhantomData<(K, V)>,
}

/// Reads an [`LwwMap`].
pub struct LwwMapView<'a, K, V> {
    node: Option<NodeRef<'a>>,
    types: PhantomData<(K, V)>,
}

/// The keys of an [`OrMap`] in order, with what stands under each.
pub struct OrMapIter<'a, K, V> {
    places: Places<'a>,
    types: PhantomData<(K, V)>,
}

/// The keys of an [`LwwMap`] in order, with their values.
pub struct LwwMapIter<'a, K, V> {
    places: Places<'a>,
    types: PhantomData<(K, V)>,
}

/// Changes an [`OrMap`].
pub struct OrMapEdit<'a, K, V> {
    cursor: Cursor<'a>,
    types: PhantomData<(K, V)>,
}

/// Changes an [`LwwMap`].
pub struct LwwMapEdit<'a, K, V> {
    cursor: Cursor<'a>,
    types: PhantomData<(K, V)>,
}

impl<K: Element, V: Crdt> Crdt for OrMap<K, V> {
    type View<'a> = OrMapView<'a, K, V>;
    type Edit<'a> = OrMapEdit<'a, K, V>;

    fn shape(out: &mut String) {
        out.push_str("or_map<");
        K::shape(out);
        out.push(',');
        V::shape(out);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> OrMapView<'_, K, V> {
        OrMapView {
            node,
            types: PhantomData,
        }
    }

    fn edit(cursor: Cursor<'_>) -> OrMapEdit<'_, K, V> {
        OrMapEdit {
            cursor,
            types: PhantomData,
        }
    }
}

impl<K: Element, V: Payload> Crdt for LwwMap<K, V> {
    type View<'a> = LwwMapView<'a, K, V>;
    type Edit<'a> = LwwMapEdit<'a, K, V>;

    fn shape(out: &mut String) {
        out.push_str("lww_map<");
        K::shape(out);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> LwwMapView<'_, K, V> {
        LwwMapView {
            node,
            types: PhantomData,
        }
    }

    fn edit(cursor: Cursor<'_>) -> LwwMapEdit<'_, K, V> {
        LwwMapEdit {
            cursor,
            types: PhantomData,
        }
    }
}

fn child<'a, K: Element, Q: EncodesAs<K> + ?Sized>(
    node: Option<NodeRef<'a>>,
    key: &Q,
) -> Option<NodeRef<'a>> {
    key.with_encoded_as(|name| children(node).get(name))
}

/// The keys among names. Bytes that are no key are passed over.
fn keys<K: Element>(places: Places<'_>) -> impl Iterator<Item = K> {
    places.filter_map(|(name, _)| K::decode(name))
}

impl<'a, K: Element, V: Crdt> OrMapView<'a, K, V> {
    /// What stands under a key. O(log n).
    pub fn get<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> Option<V::View<'a>> {
        child::<K, Q>(self.node, key).map(|place| V::view(Some(place)))
    }

    /// Whether anything stands under a key. O(log n).
    pub fn contains_key<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> bool {
        child::<K, Q>(self.node, key).is_some()
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        children(self.node).len()
    }

    /// Whether there are no keys. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys in order, with what stands under each. Bytes that are no key are passed over.
    pub fn iter(&self) -> OrMapIter<'a, K, V> {
        OrMapIter::over(Places::all(self.node))
    }

    /// The keys in a range, in order, with what stands under each. O(log n) to begin. Empty if the
    /// range ends before it begins.
    ///
    /// ```
    /// # use crdt_core::{Causal, GCounterMap, ReplicaId};
    /// # let mut views = Causal::<GCounterMap<(u32, String)>>::new(ReplicaId::new(1, 1));
    /// views.update(|m| {
    ///     m.entry(&(1, "home".to_owned())).add(3);
    ///     m.entry(&(2, "home".to_owned())).add(4);
    ///     m.entry(&(2, "shop".to_owned())).add(5);
    /// })?;
    /// let of_2 = (2, String::new())..(3, String::new());
    /// let total: u128 = views.view().range(of_2).map(|(_, count)| count.value()).sum();
    /// assert_eq!(total, 9);
    /// # Ok::<(), crdt_core::EditError>(())
    /// ```
    pub fn range<Q: EncodesAs<K> + ?Sized>(
        &self,
        range: impl RangeBounds<Q>,
    ) -> OrMapIter<'a, K, V> {
        OrMapIter::over(Places::range::<K, Q>(self.node, &range))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'a, K, V> {
        keys(Places::all(self.node))
    }

    /// What stands under each key, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = V::View<'a>> + use<'a, K, V> {
        self.iter().map(|(_, value)| value)
    }

    /// The least key, with what stands under it. O(log n).
    pub fn first_key_value(&self) -> Option<(K, V::View<'a>)> {
        self.iter().next()
    }

    /// The greatest key, with what stands under it. O(log n).
    pub fn last_key_value(&self) -> Option<(K, V::View<'a>)> {
        let (name, place) = children(self.node).last()?;
        match K::decode(name) {
            Some(key) => Some((key, V::view(Some(place)))),
            None => self.iter().last(),
        }
    }
}

impl<'a, K: Element, V: Payload> LwwMapView<'a, K, V> {
    /// The value of a key. O(log n).
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if what is stored is not a `V`.
    pub fn get<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> Result<Option<V>, PayloadError> {
        lww_get(child::<K, Q>(self.node, key))
    }

    /// Whether a key is there. O(log n).
    pub fn contains_key<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> bool {
        child::<K, Q>(self.node, key).is_some()
    }

    /// A key as a register, which knows the timestamp of its value and the values that lost.
    /// O(log n).
    pub fn register<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> LwwRegisterView<'a, V> {
        LwwRegister::view(child::<K, Q>(self.node, key))
    }

    /// How many concurrent writes to a key lost against the one that is read.
    pub fn conflicts<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> usize {
        self.register(key).conflicts()
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        children(self.node).len()
    }

    /// Whether there are no keys. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys in order with their values; each value may fail to decode by itself. Bytes that are
    /// no key are passed over.
    pub fn iter(&self) -> LwwMapIter<'a, K, V> {
        LwwMapIter::over(Places::all(self.node))
    }

    /// The keys in a range, in order, with their values. O(log n) to begin. Empty if the range ends
    /// before it begins.
    pub fn range<Q: EncodesAs<K> + ?Sized>(
        &self,
        range: impl RangeBounds<Q>,
    ) -> LwwMapIter<'a, K, V> {
        LwwMapIter::over(Places::range::<K, Q>(self.node, &range))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'a, K, V> {
        keys(Places::all(self.node))
    }

    /// The values in the order of the keys; each may fail to decode by itself.
    pub fn values(&self) -> impl Iterator<Item = Result<V, PayloadError>> + use<'a, K, V> {
        self.iter().map(|(_, value)| value)
    }

    /// The least key with its value. O(log n).
    pub fn first_key_value(&self) -> Option<(K, Result<V, PayloadError>)> {
        self.iter().next()
    }

    /// The greatest key with its value. O(log n).
    pub fn last_key_value(&self) -> Option<(K, Result<V, PayloadError>)> {
        let (name, place) = children(self.node).last()?;
        lww_entry(name, place).or_else(|| self.iter().last())
    }
}

fn lww_entry<K: Element, V: Payload>(
    name: &[u8],
    place: NodeRef<'_>,
) -> Option<(K, Result<V, PayloadError>)> {
    let value = lww_get(Some(place)).transpose()?;
    Some((K::decode(name)?, value))
}

impl<'a, K, V> OrMapIter<'a, K, V> {
    fn over(places: Places<'a>) -> Self {
        Self {
            places,
            types: PhantomData,
        }
    }
}

impl<'a, K, V> LwwMapIter<'a, K, V> {
    fn over(places: Places<'a>) -> Self {
        Self {
            places,
            types: PhantomData,
        }
    }
}

impl<'a, K: Element, V: Crdt> Iterator for OrMapIter<'a, K, V> {
    type Item = (K, V::View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.places
            .find_map(|(name, place)| Some((K::decode(name)?, V::view(Some(place)))))
    }
}

impl<K: Element, V: Payload> Iterator for LwwMapIter<'_, K, V> {
    type Item = (K, Result<V, PayloadError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.places.find_map(|(name, place)| lww_entry(name, place))
    }
}

impl<K: Element, V: Crdt> OrMapEdit<'_, K, V> {
    /// Changes what stands under a key, from empty if there is nothing. The key is there as soon as
    /// anything is written under it.
    pub fn entry<Q: EncodesAs<K> + ?Sized>(&mut self, key: &Q) -> V::Edit<'_> {
        V::edit(self.cursor.child(name_of::<K, Q>(key)))
    }

    /// Removes a key with everything seen under it, as one event. Returns whether it was there; no
    /// event if not.
    pub fn remove<Q: EncodesAs<K> + ?Sized>(&mut self, key: &Q) -> bool {
        self.cursor.child(name_of::<K, Q>(key)).remove()
    }

    /// Removes every key seen so far, as one event. Returns whether there were any.
    pub fn clear(&mut self) -> bool {
        self.cursor.remove()
    }

    /// The map, with what this update did so far.
    pub fn view(&self) -> OrMapView<'_, K, V> {
        OrMap::view(self.cursor.node())
    }
}

impl<K: Element, V: Payload> LwwMapEdit<'_, K, V> {
    /// Writes the value of a key over everything seen there.
    pub fn insert<Q, W: ?Sized>(&mut self, key: &Q, value: &W)
    where
        Q: EncodesAs<K> + ?Sized,
        V: WrittenFrom<W>,
    {
        lww_set::<V, W>(&mut self.cursor.child(name_of::<K, Q>(key)), value);
    }

    /// Removes a key. Returns whether it was there; no event if not.
    pub fn remove<Q: EncodesAs<K> + ?Sized>(&mut self, key: &Q) -> bool {
        self.cursor.child(name_of::<K, Q>(key)).remove()
    }

    /// Removes every key seen so far, as one event. Returns whether there were any.
    pub fn clear(&mut self) -> bool {
        self.cursor.remove()
    }

    /// The map, with what this update did so far.
    pub fn view(&self) -> LwwMapView<'_, K, V> {
        LwwMap::view(self.cursor.node())
    }
}

impl<'a, K: Element + fmt::Debug, V: Crdt> fmt::Debug for OrMapView<'a, K, V>
where
    V::View<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Element + fmt::Debug, V: Payload + fmt::Debug> fmt::Debug for LwwMapView<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

copies!(OrMapView<'_, K, V>, LwwMapView<'_, K, V>);
iterates!(OrMapView<'a, K: Element, V: Crdt> as OrMapIter);
iterates!(LwwMapView<'a, K: Element, V: Payload> as LwwMapIter);
shows_its_view!(OrMapEdit<'_, K, V> where K: Element + fmt::Debug, V: Crdt, for<'v> V::View<'v>: fmt::Debug);
shows_its_view!(LwwMapEdit<'_, K, V> where K: Element + fmt::Debug, V: Payload + fmt::Debug);

/// The same keys with the same values.
impl<'a, K: Element, V: Crdt> PartialEq for OrMapView<'a, K, V>
where
    V::View<'a>: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// The same keys with the same values. Values that can't be decoded are equal to none.
impl<K: Element, V: Payload + PartialEq> PartialEq for LwwMapView<'_, K, V> {
    fn eq(&self, other: &Self) -> bool {
        let mut both = self.iter().zip(other.iter());
        self.len() == other.len() && both.all(|((k, a), (l, b))| k == l && a.is_ok() && a == b)
    }
}

impl<K: Element, V: Payload + PartialEq> PartialEq<BTreeMap<K, V>> for LwwMapView<'_, K, V> {
    fn eq(&self, other: &BTreeMap<K, V>) -> bool {
        let mut both = self.iter().zip(other);
        self.len() == other.len() && both.all(|((k, a), (l, b))| k == *l && a.as_ref() == Ok(b))
    }
}

/// A map. Formats that allow only text as keys, such as JSON, refuse other keys than text and
/// numbers.
impl<'a, K: Element + Serialize, V: Crdt> Serialize for OrMapView<'a, K, V>
where
    V::View<'a>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().collect::<Vec<_>>())
    }
}

/// A map, as of [`OrMapView`]. An error if one of the values is not a `V`.
impl<K: Element + Serialize, V: Payload> Serialize for LwwMapView<'_, K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.iter().map(|(key, value)| Ok((key, value?)));
        let entries = entries.collect::<Result<Vec<(K, V)>, PayloadError>>();
        serializer.collect_map(entries.map_err(S::Error::custom)?)
    }
}
