//! Maps: each key is a path of its own; it is there if anything under it is live.

use alloc::string::String;
use core::fmt;
use core::marker::PhantomData;

use super::counter::{GCounter, PnCounter};
use super::register::{lww_get, lww_set, lww_writes};
use super::set::OrSet;
use super::{Crdt, name_of};
use crate::element::{Element, EncodesAs};
use crate::kernel::{Cursor, NodeRef};
use crate::payload::{Payload, PayloadError};

/// A map of CRDTs, nested to any depth. Removing a key takes away what was seen under it; a
/// concurrent update survives with exactly its own part, and what was removed never shines through.
///
/// ```
/// use crdt_core::{Causal, OrMap, PnCounter, ReplicaId};
///
/// let mut a = Causal::<OrMap<String, PnCounter>>::new(ReplicaId::new(1, 1));
/// a.update(|m| m.entry("k").add(3))?;
/// let mut b = a.fork(ReplicaId::new(2, 1));
/// a.update(|m| m.remove("k"))?;
/// b.update(|m| m.entry("k").add(10))?;
/// a.merge(&b);
/// assert_eq!(a.view().get("k").map(|c| c.value()), Some(10)); // not 13
/// # Ok::<(), crdt_core::EditError>(())
/// ```
#[doc(alias = "observed-remove map")]
#[derive(Debug)]
pub struct OrMap<K, V>(PhantomData<(K, V)>);

/// Counters by key, that only grow.
pub type GCounterMap<K> = OrMap<K, GCounter>;

/// Counters by key. A counter at 0 that was counted in is there; [`remove`](OrMapEdit::remove) takes
/// it away.
pub type PnCounterMap<K> = OrMap<K, PnCounter>;

/// Several elements by key. A key is there as long as its set has an element.
pub type OrMultiMap<K, E> = OrMap<K, OrSet<E>>;

/// Values by key; of concurrent writes to one key the one with the greatest timestamp is read. A
/// write survives a removal that did not see it, whatever the clocks say.
///
/// ```
/// use crdt_core::{Causal, LwwMap, ReplicaId};
///
/// let mut flags = Causal::<LwwMap<String, bool>>::new(ReplicaId::new(1, 1));
/// flags.update(|m| m.insert("dark-mode", &true))?;
/// assert_eq!(flags.view().get("dark-mode")?, Some(true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "last-writer-wins map")]
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

/// Changes an [`OrMap`].
#[derive(Debug)]
pub struct OrMapEdit<'a, K, V> {
    cursor: Cursor<'a>,
    types: PhantomData<(K, V)>,
}

/// Changes an [`LwwMap`].
#[derive(Debug)]
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
    node?.children().get(name_of::<K, Q>(key).as_bytes())
}

fn children<K: Element>(node: Option<NodeRef<'_>>) -> impl Iterator<Item = (K, NodeRef<'_>)> {
    let children = node.into_iter().flat_map(|node| node.children());
    children.filter_map(|(name, node)| Some((K::decode(name)?, node)))
}

impl<'a, K: Element, V: Crdt> OrMapView<'a, K, V> {
    /// What stands under a key. O(log n).
    pub fn get<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> Option<V::View<'a>> {
        child::<K, Q>(self.node, key).map(|node| V::view(Some(node)))
    }

    /// Whether anything stands under a key. O(log n).
    pub fn contains_key<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> bool {
        child::<K, Q>(self.node, key).is_some()
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        self.node.map_or(0, |node| node.children().len())
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys in order, with what stands under each. Bytes that are no key are passed over.
    pub fn iter(&self) -> impl Iterator<Item = (K, V::View<'a>)> + use<'a, K, V> {
        children(self.node).map(|(key, node)| (key, V::view(Some(node))))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'a, K, V> {
        children(self.node).map(|(key, _)| key)
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

    /// How many concurrent writes to a key lost against the one that is read.
    pub fn conflicts<Q: EncodesAs<K> + ?Sized>(&self, key: &Q) -> usize {
        lww_writes(child::<K, Q>(self.node, key))
            .len()
            .saturating_sub(1)
    }

    /// Number of keys. O(1).
    pub fn len(&self) -> usize {
        self.node.map_or(0, |node| node.children().len())
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys in order with their values; each value may fail to decode by itself. Bytes that are no
    /// key are passed over.
    pub fn iter(&self) -> impl Iterator<Item = (K, Result<V, PayloadError>)> + use<'a, K, V> {
        children(self.node).filter_map(|(key, node)| {
            let value = lww_get(Some(node)).transpose()?;
            Some((key, value))
        })
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'a, K, V> {
        children(self.node).map(|(key, _)| key)
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
    pub fn insert<Q: EncodesAs<K> + ?Sized>(&mut self, key: &Q, value: &V) {
        lww_set(&mut self.cursor.child(name_of::<K, Q>(key)), value);
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
