//! The places under a place, in the order of their names: what sets and maps iterate over.

use alloc::vec::Vec;
use core::ops::{Bound, RangeBounds};

use crate::element::EncodesAs;
use crate::kernel::{ChildrenIter, ChildrenRef, NodeRef};

/// The places under a place; none of a place that is not there.
pub(super) fn children(node: Option<NodeRef<'_>>) -> ChildrenRef<'_> {
    node.map_or(ChildrenRef::none(), NodeRef::children)
}

/// Places in the order of their names, up to a bound.
pub(super) struct Places<'a> {
    places: ChildrenIter<'a>,
    end: Bound<Vec<u8>>,
}

impl<'a> Places<'a> {
    /// All of them.
    pub(super) fn all(node: Option<NodeRef<'a>>) -> Self {
        Self {
            places: children(node).iter(),
            end: Bound::Unbounded,
        }
    }

    /// Those in a range of elements. None if it ends before it begins.
    pub(super) fn range<E, Q: EncodesAs<E> + ?Sized>(
        node: Option<NodeRef<'a>>,
        range: &impl RangeBounds<Q>,
    ) -> Self {
        let start = encoded::<E, Q>(range.start_bound());
        let start = match &start {
            Bound::Included(name) => Bound::Included(&name[..]),
            Bound::Excluded(name) => Bound::Excluded(&name[..]),
            Bound::Unbounded => Bound::Unbounded,
        };
        Self {
            places: children(node).iter_from(start),
            end: encoded::<E, Q>(range.end_bound()),
        }
    }
}

fn encoded<E, Q: EncodesAs<E> + ?Sized>(bound: Bound<&Q>) -> Bound<Vec<u8>> {
    bound.map(|element| {
        let mut name = Vec::new();
        element.encode_as(&mut name);
        name
    })
}

impl<'a> Iterator for Places<'a> {
    type Item = (&'a [u8], NodeRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, place) = self.places.next()?;
        let within = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => name <= &end[..],
            Bound::Excluded(end) => name < &end[..],
        };
        within.then_some((name, place))
    }
}

/// `IntoIterator` of a collection's view, which is copied.
macro_rules! iterates {
    ($view:ident<'a, $($param:ident: $bound:ident),+> as $iter:ident) => {
        impl<'a, $($param: $bound),+> IntoIterator for $view<'a, $($param),+> {
            type Item = <$iter<'a, $($param),+> as Iterator>::Item;
            type IntoIter = $iter<'a, $($param),+>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        impl<'a, $($param: $bound),+> IntoIterator for &$view<'a, $($param),+> {
            type Item = <$iter<'a, $($param),+> as Iterator>::Item;
            type IntoIter = $iter<'a, $($param),+>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}

/// Views are copied without asking anything of the types that they name.
macro_rules! copies {
    ($($view:ident<'_, $($param:ident),+>),+) => {$(
        impl<$($param),+> Clone for $view<'_, $($param),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($param),+> Copy for $view<'_, $($param),+> {}
    )+};
}

/// An edit is shown as what can be read from it.
macro_rules! shows_its_view {
    ($edit:ident<'_ $(, $param:ident)*> $(where $($bounds:tt)+)?) => {
        impl<$($param),*> fmt::Debug for $edit<'_ $(, $param)*> $(where $($bounds)+)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.view().fmt(f)
            }
        }
    };
}

pub(super) use {copies, iterates, shows_its_view};
