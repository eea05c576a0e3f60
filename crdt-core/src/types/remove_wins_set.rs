//! A set in which removals win.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::RangeBounds;

use serde::{Serialize, Serializer};

use super::places::{Places, children, copies, iterates, shows_its_view};
use super::sign::{is_on, write_minus, write_plus};
use super::{Crdt, name_of};
use crate::element::{Element, EncodesAs};
use crate::kernel::{Cursor, NodeRef};

/// A set in which removals win: an element is in if it was inserted and every removal of it was seen
/// by some insertion.
///
/// Both are events, also where they change nothing: a removal of an element that is not there wins
/// over a concurrent insertion. There is no `clear`: it would have to mark elements that it can't know.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | {x} | `remove(x)` | `insert(x)` again | {} | {x} |
/// | {} | `remove(x)` | `insert(x)` | {} | {x} |
/// | {x} | `remove(x)`, `insert(x)` | `insert(x)` | {x} | {} |
/// | {x} | `remove(x)`, `insert(x)` | `remove(x)` | {} | {x} |
/// | {x}, under a key | the key is removed | `insert(x)` again | {x} | {} |
///
/// The last one because the removal of a key takes away what it saw, marks too, and leaves none.
///
/// # Costs
///
/// Look-ups, insertions and removals are O(log n). **A removed element leaves a mark that stays**, of
/// the same size as an element: its bytes and some 60 in memory, some 10 on the wire. Marks stand among
/// the elements, so [`len`](RemoveWinsSetView::len) and iteration are O(n and marks). Where elements come
/// and go without end, take [`OrSet`](crate::OrSet), which leaves nothing.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, RemoveWinsSet, ReplicaId};
///
/// let mut a = Causal::<RemoveWinsSet<String>>::new(ReplicaId::new(1, 1));
/// a.update(|s| s.insert("x"))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|s| s.remove("x"))?;
/// b.update(|s| s.insert("x"))?; // concurrently, once more
/// a.merge(&b)?;
/// assert!(!a.view().contains("x"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "remove-wins set")]
#[doc(alias = "RWSet")]
#[doc(alias = "RW-Set")]
#[derive(Debug)]
pub struct RemoveWinsSet<E>(PhantomData<E>);

/// Reads a [`RemoveWinsSet`].
pub struct RemoveWinsSetView<'a, E> {
    node: Option<NodeRef<'a>>,
    element: PhantomData<E>,
}

/// The elements of a [`RemoveWinsSet`] in order.
pub struct RemoveWinsSetIter<'a, E> {
    places: Places<'a>,
    element: PhantomData<E>,
}

/// Changes a [`RemoveWinsSet`].
pub struct RemoveWinsSetEdit<'a, E> {
    cursor: Cursor<'a>,
    element: PhantomData<E>,
}

impl<E: Element> Crdt for RemoveWinsSet<E> {
    type View<'a> = RemoveWinsSetView<'a, E>;
    type Edit<'a> = RemoveWinsSetEdit<'a, E>;

    fn shape(out: &mut String) {
        out.push_str("remove_wins_set<");
        E::shape(out);
        out.push('>');
    }

    fn view(node: Option<NodeRef<'_>>) -> RemoveWinsSetView<'_, E> {
        RemoveWinsSetView {
            node,
            element: PhantomData,
        }
    }

    fn edit(cursor: Cursor<'_>) -> RemoveWinsSetEdit<'_, E> {
        RemoveWinsSetEdit {
            cursor,
            element: PhantomData,
        }
    }
}

impl<'a, E: Element> RemoveWinsSetView<'a, E> {
    /// Whether `element` is in. O(log n); nothing is decoded.
    pub fn contains<Q: EncodesAs<E> + ?Sized>(&self, element: &Q) -> bool {
        element.with_encoded_as(|name| children(self.node).get(name).is_some_and(is_on))
    }

    /// Number of elements. O(n and marks): marks stand among the elements.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no elements. O(marks).
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The elements in order. Bytes that are no element are passed over.
    pub fn iter(&self) -> RemoveWinsSetIter<'a, E> {
        RemoveWinsSetIter::over(Places::all(self.node))
    }

    /// The elements in a range, in order. O(log n) to begin. Empty if the range ends before it
    /// begins.
    pub fn range<Q: EncodesAs<E> + ?Sized>(
        &self,
        range: impl RangeBounds<Q>,
    ) -> RemoveWinsSetIter<'a, E> {
        RemoveWinsSetIter::over(Places::range::<E, Q>(self.node, &range))
    }

    /// The least element. O(marks before it).
    pub fn first(&self) -> Option<E> {
        self.iter().next()
    }

    /// The greatest element. O(n and marks).
    pub fn last(&self) -> Option<E> {
        self.iter().last()
    }

    /// Removed elements that a mark is kept of. O(n and marks).
    pub fn marks(&self) -> usize {
        let places = Places::all(self.node);
        places.filter(|(_, place)| !is_on(*place)).count()
    }
}

impl<'a, E> RemoveWinsSetIter<'a, E> {
    fn over(places: Places<'a>) -> Self {
        Self {
            places,
            element: PhantomData,
        }
    }
}

impl<E: Element> Iterator for RemoveWinsSetIter<'_, E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.places.find_map(|(name, place)| {
            let element = is_on(place).then(|| E::decode(name));
            element.flatten()
        })
    }
}

impl<E: Element> RemoveWinsSetEdit<'_, E> {
    /// Inserts an element: over every removal that was seen, not over concurrent ones. Returns
    /// whether it was new.
    pub fn insert<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        let mut at = self.cursor.child(name_of::<E, Q>(element));
        let fresh = !at.node().is_some_and(is_on);
        write_plus(&mut at);
        fresh
    }

    /// Removes an element. An event also if it is not there: it wins over a concurrent insertion.
    /// Returns whether it was there.
    pub fn remove<Q: EncodesAs<E> + ?Sized>(&mut self, element: &Q) -> bool {
        let mut at = self.cursor.child(name_of::<E, Q>(element));
        let there = at.node().is_some_and(is_on);
        write_minus(&mut at);
        there
    }

    /// The set, with what this update did so far.
    pub fn view(&self) -> RemoveWinsSetView<'_, E> {
        RemoveWinsSet::view(self.cursor.node())
    }
}

copies!(RemoveWinsSetView<'_, E>);
iterates!(RemoveWinsSetView<'a, E: Element> as RemoveWinsSetIter);
shows_its_view!(RemoveWinsSetEdit<'_, E> where E: Element + fmt::Debug);

impl<E: Element + fmt::Debug> fmt::Debug for RemoveWinsSetView<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The same elements, whatever marks are kept.
impl<E: Element> PartialEq for RemoveWinsSetView<'_, E> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<E: Element> Eq for RemoveWinsSetView<'_, E> {}

impl<E: Element> PartialEq<BTreeSet<E>> for RemoveWinsSetView<'_, E> {
    fn eq(&self, other: &BTreeSet<E>) -> bool {
        let mut others = other.iter();
        self.iter().all(|element| others.next() == Some(&element)) && others.next().is_none()
    }
}

/// A sequence.
impl<E: Element + Serialize> Serialize for RemoveWinsSetView<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<E>>())
    }
}
