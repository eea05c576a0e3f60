//! Sets: an element is in if a dot is live at its path.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::RangeBounds;

use serde::{Serialize, Serializer};

use super::places::{Places, children, copies, iterates, shows_its_view};
use super::{Crdt, name_of};
use crate::element::{Element, EncodesAs};
use crate::kernel::{Cursor, NodeRef, Value};

/// A set that only grows, between removals of the key that it stands under.
///
/// # Concurrent cases
///
/// | begin | A | B | then |
/// | --- | --- | --- | --- |
/// | {x} | `insert(y)` | `insert(z)` | {x, y, z} |
/// | {x}, under a key | the key is removed | `insert(y)` | {y} |
/// | {x}, under a key | the key is removed | `insert(x)` again | {x} |
/// | {x}, under a key | the key is removed | `ensure(x)`: no event | {} |
///
/// # Costs
///
/// As [`OrSet`], which can do all that this one can. Take this one where a removal would be a mistake:
/// it is then none that compiles.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, GSet, ReplicaId};
///
/// let mut seen = Causal::<GSet<u64>>::new(ReplicaId::new(1, 1));
/// assert!(seen.update(|s| s.insert(&7))?.value);
/// assert!(!seen.update(|s| s.insert(&7))?.value);
/// let mut other = Causal::<GSet<u64>>::new(ReplicaId::new(2, 1));
/// other.update(|s| s.insert(&3))?; // concurrently
/// seen.merge(&other)?;
/// assert!(seen.view().iter().eq([3, 7]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "grow-only set")]
#[doc(alias = "G-Set")]
#[derive(Debug)]
pub struct GSet<E>(PhantomData<E>);

/// A set with removal in which additions win: an insertion survives a removal that did not see it.
///
/// After Bieniusa et al., *An Optimized Conflict-free Replicated Set* (2012): nothing is left of a
/// removed element but a record until every replica has it.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | {x} | `remove(x)` | `insert(x)` again | {x} | {} |
/// | {x} | `remove(x)` | `ensure(x)`: it is there, so no event | {} | {x} |
/// | {x} | `clear` | `insert(y)` | {y} | {x, y} or {} |
/// | {x} | `remove(x)`, `insert(x)` | `remove(x)` | {x} | {} |
/// | {} | `insert(x)`, `remove(x)` | `insert(x)` | {x} | {} |
///
/// # Costs
///
/// Look-ups, insertions and removals are O(log n), [`len`](SetView::len) is O(1),
/// [`clear`](OrSetEdit::clear) is O(n) and one event. In memory an element is its bytes and some 11
/// more; on the wire its bytes and 2 to 3 in columns of siblings, some 8 by itself. A removal, and an
/// insertion of what is there, leaves a record of some 20 bytes and the path until all replicas have
/// it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, OrSet, ReplicaId};
///
/// let mut a = Causal::<OrSet<String>>::new(ReplicaId::new(1, 1));
/// a.update(|s| s.insert("x"))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|s| s.remove("x"))?;
/// b.update(|s| s.insert("x"))?; // again: an event of its own
/// a.merge(&b)?;
/// assert!(a.view().contains("x"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "observed-remove set")]
#[doc(alias = "add-wins set")]
#[doc(alias = "OR-Set")]
#[doc(alias = "AWSet")]
#[doc(alias = "ORSWOT")]
#[derive(Debug)]
pub struct OrSet<E>(PhantomData<E>);

/// Reads a [`GSet`] or an [`OrSet`].
pub struct SetView<'a, E> {
    node: Option<NodeRef<'a>>,
    element: PhantomData<E>,
}

/// The elements of a set in order.
pub struct SetIter<'a, E> {
    places: Places<'a>,
    element: PhantomData<E>,
}

/// Changes a [`GSet`].
pub struct GSetEdit<'a, E> {
    cursor: Cursor<'a>,
    element: PhantomData<E>,
}

/// Changes an [`OrSet`].
pub struct OrSetEdit<'a, E> {
    cursor: Cursor<'a>,
    element: PhantomData<E>,
}

impl<E: Element> Crdt for GSet<E> {
    type View<'a> = SetView<'a, E>;
    type Edit<'a> = GSetEdit<'a, E>;

    fn shape(out: &mut String) {
        out.push_str("g_set<");
        E::shape(out);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> SetView<'_, E> {
        SetView::new(node)
    }

    fn edit(cursor: Cursor<'_>) -> GSetEdit<'_, E> {
        GSetEdit {
            cursor,
            element: PhantomData,
        }
    }
}

impl<E: Element> Crdt for OrSet<E> {
    type View<'a> = SetView<'a, E>;
    type Edit<'a> = OrSetEdit<'a, E>;

    fn shape(out: &mut String) {
        out.push_str("or_set<");
        E::shape(out);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> SetView<'_, E> {
        SetView::new(node)
    }

    fn edit(cursor: Cursor<'_>) -> OrSetEdit<'_, E> {
        OrSetEdit {
            cursor,
            element: PhantomData,
        }
    }
}

impl<'a, E: Element> SetView<'a, E> {
    fn new(node: Option<NodeRef<'a>>) -> Self {
        Self {
            node,
            element: PhantomData,
        }
    }

    /// Whether `element` is in. O(log n); nothing is decoded.
    pub fn contains<Q: EncodesAs<E> + ?Sized>(&self, element: &Q) -> bool {
        element.with_encoded_as(|name| children(self.node).contains(name))
    }

    /// Number of elements. O(1).
    pub fn len(&self) -> usize {
        children(self.node).len()
    }

    /// Whether there are no elements. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order. Bytes that a faulty peer wrote and that are no element are passed
    /// over; [`malformed`](Self::malformed) counts them.
    pub fn iter(&self) -> SetIter<'a, E> {
        SetIter::over(Places::all(self.node))
    }

    /// The elements in a range, in order. O(log n) to begin. Empty if the range ends before it
    /// begins.
    ///
    /// ```
    /// # use crdt_core::{Causal, OrSet, ReplicaId};
    /// # let mut words = Causal::<OrSet<String>>::new(ReplicaId::new(1, 1));
    /// words.update(|s| for word in ["ash", "beech", "birch", "cedar"] { s.insert(word); })?;
    /// assert!(words.view().range("b".."c").eq(["beech", "birch"]));
    /// # Ok::<(), crdt_core::EditError>(())
    /// ```
    pub fn range<Q: EncodesAs<E> + ?Sized>(&self, range: impl RangeBounds<Q>) -> SetIter<'a, E> {
        SetIter::over(Places::range::<E, Q>(self.node, &range))
    }

    /// The least element. O(log n).
    pub fn first(&self) -> Option<E> {
        self.iter().next()
    }

    /// The greatest element. O(log n).
    pub fn last(&self) -> Option<E> {
        let (name, _) = children(self.node).last()?;
        E::decode(name).or_else(|| self.iter().last())
    }

    /// The elements that are in this set and not in `other`, in order: what was added since
    /// `other` was the set, or removed until. Of two snapshots of one set it costs what changed
    /// between them, not their size.
    pub fn difference(&self, other: &SetView<'a, E>) -> impl Iterator<Item = E> + use<'a, E> {
        let (here, there) = (children(self.node), children(other.node));
        let gone = |(name, here, there): (_, Option<_>, Option<_>)| {
            (here.is_some() && there.is_none()).then(|| E::decode(name))?
        };
        here.differences(there).filter_map(gone)
    }

    /// How many members are no encoding of an element. 0 unless a faulty peer wrote here. O(n).
    pub fn malformed(&self) -> usize {
        self.len() - self.iter().count()
    }
}

impl<'a, E> SetIter<'a, E> {
    fn over(places: Places<'a>) -> Self {
        Self {
            places,
            element: PhantomData,
        }
    }
}

impl<E: Element> Iterator for SetIter<'_, E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.places.find_map(|(name, _)| E::decode(name))
    }
}

/// Inserts, as an event also if the element is there: a concurrent removal did not see this one.
fn insert<E: Element, Q: EncodesAs<E> + ?Sized>(cursor: &mut Cursor<'_>, element: &Q) -> bool {
    let name = name_of::<E, Q>(element);
    let fresh = cursor.fill(&name);
    if !fresh {
        cursor.child(name).write(Value::Unit);
    }
    fresh
}

fn ensure<E: Element, Q: EncodesAs<E> + ?Sized>(cursor: &mut Cursor<'_>, element: &Q) -> bool {
    cursor.fill(&name_of::<E, Q>(element))
}

impl<E: Element> GSetEdit<'_, E> {
    /// Inserts an element; returns whether it was new. An event also if it was not, so that the
    /// element survives a concurrent removal of the whole key.
    pub fn insert<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        insert::<E, Q>(&mut self.cursor, element)
    }

    /// Inserts an element if it is not there; no event if it is. Returns whether it was new.
    pub fn ensure<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        ensure::<E, Q>(&mut self.cursor, element)
    }

    /// The set, with what this update did so far.
    pub fn view(&self) -> SetView<'_, E> {
        SetView::new(self.cursor.node())
    }
}

impl<E: Element> OrSetEdit<'_, E> {
    /// Inserts an element; returns whether it was new. An event also if it was not: this insertion
    /// survives a concurrent removal. Where that does not matter, [`ensure`](Self::ensure) costs
    /// nothing for what is there.
    pub fn insert<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        insert::<E, Q>(&mut self.cursor, element)
    }

    /// Inserts an element if it is not there; no event if it is. Returns whether it was new.
    pub fn ensure<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        ensure::<E, Q>(&mut self.cursor, element)
    }

    /// Removes an element; returns whether it was there. No event if it was not.
    pub fn remove<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        self.cursor.child(name_of::<E, Q>(element)).remove()
    }

    /// Removes every element seen so far, as one event. Returns whether there were any.
    pub fn clear(&mut self) -> bool {
        self.cursor.remove()
    }

    /// The set, with what this update did so far.
    pub fn view(&self) -> SetView<'_, E> {
        SetView::new(self.cursor.node())
    }

    /// Whether `element` is in, with what this update did so far: short for
    /// `view().contains(element)`.
    pub fn contains<Q: EncodesAs<E> + ?Sized>(&self, element: &Q) -> bool {
        self.view().contains(element)
    }
}

copies!(SetView<'_, E>);
iterates!(SetView<'a, E: Element> as SetIter);
shows_its_view!(GSetEdit<'_, E> where E: Element + fmt::Debug);
shows_its_view!(OrSetEdit<'_, E> where E: Element + fmt::Debug);

impl<E: Element + fmt::Debug> fmt::Debug for SetView<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The same elements, whoever inserted them.
impl<E: Element> PartialEq for SetView<'_, E> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<E: Element> Eq for SetView<'_, E> {}

impl<E: Element> PartialEq<BTreeSet<E>> for SetView<'_, E> {
    fn eq(&self, other: &BTreeSet<E>) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(a, b)| a == *b)
    }
}

/// A sequence.
impl<E: Element + Serialize> Serialize for SetView<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<E>>())
    }
}
