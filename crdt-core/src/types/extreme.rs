//! Registers that keep the greatest or the least value.
//!
//! A value at least as great as all that were seen replaces them, at the leaf. A lesser one must be
//! kept beside the greatest, because it survives a concurrent delete that saw only that: it stands
//! at a path of its own, and replaces the values on its far side. What is kept is thus a staircase:
//! each value beside the greatest is less than every one written after it.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;

use serde::{Serialize, Serializer};

use super::places::{copies, shows_its_view};
use super::{Crdt, name_of};
use crate::element::{Element, EncodesAs};
use crate::kernel::{Cursor, NodeRef, Value, ValueRef};
use crate::name::Name;

/// The greatest of all values that were raised, by the order of [`Element`]; nothing at first.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | 5 | `raise(7)` | `raise(6)` | 7 | |
/// | 5 | `raise(3)` | | 5 | 3 |
/// | 5, under a key | the key is removed | `raise(4)` | 4 | 5 |
/// | 5, under a key | the key is removed | `ensure(4)`: no event | nothing | 4 |
///
/// # Costs
///
/// O(values kept): one as long as values only rise, and beside the greatest each lesser one that is
/// greater than all that were raised after it ([`kept`](MaxRegisterView::kept)), because a removal of
/// the greatest brings it up. Where many lesser values come, [`ensure`](MaxRegisterEdit::ensure) keeps
/// none. A value is its bytes and some 50 in memory, some 8 on the wire.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, MaxRegister, ReplicaId};
///
/// let mut a = Causal::<MaxRegister<u64>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<MaxRegister<u64>>::new(ReplicaId::new(2, 1));
/// a.update(|r| r.raise(&5))?;
/// b.update(|r| r.raise(&7))?;
/// a.merge(&b)?;
/// a.update(|r| r.raise(&6))?;
/// assert_eq!(a.view().get(), Some(7));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "maximum")]
#[derive(Debug)]
pub struct MaxRegister<V>(PhantomData<V>);

/// The least of all values that it was lowered to, by the order of [`Element`]; nothing at first.
///
/// Concurrent cases and costs are those of [`MaxRegister`], the other way round.
///
/// ```
/// use crdt_core::{Causal, MinRegister, ReplicaId};
///
/// let mut first_seen = Causal::<MinRegister<u64>>::new(ReplicaId::new(1, 1));
/// let mut other = first_seen.fork(ReplicaId::new(2, 1))?;
/// first_seen.update(|r| { r.lower(&1_700); r.lower(&1_800) })?;
/// other.update(|r| r.lower(&1_600))?; // concurrently
/// first_seen.merge(&other)?;
/// assert_eq!(first_seen.view().get(), Some(1_600));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "minimum")]
#[derive(Debug)]
pub struct MinRegister<V>(PhantomData<V>);

/// Reads a [`MaxRegister`].
pub struct MaxRegisterView<'a, V>(Option<NodeRef<'a>>, PhantomData<V>);

/// Reads a [`MinRegister`].
pub struct MinRegisterView<'a, V>(Option<NodeRef<'a>>, PhantomData<V>);

/// Changes a [`MaxRegister`].
pub struct MaxRegisterEdit<'a, V>(Cursor<'a>, PhantomData<V>);

/// Changes a [`MinRegister`].
pub struct MinRegisterEdit<'a, V>(Cursor<'a>, PhantomData<V>);

macro_rules! extreme {
    ($type:ident $view:ident $edit:ident $shape:literal $better:expr) => {
        impl<V: Element> Crdt for $type<V> {
            type View<'a> = $view<'a, V>;
            type Edit<'a> = $edit<'a, V>;

            fn shape(out: &mut String) {
                out.push_str(concat!($shape, "<"));
                V::shape(out);
                out.push('>');
            }

            fn view(node: Option<NodeRef<'_>>) -> $view<'_, V> {
                $view(node, PhantomData)
            }

            fn edit(cursor: Cursor<'_>) -> $edit<'_, V> {
                $edit(cursor, PhantomData)
            }
        }

        impl<V: Element> $view<'_, V> {
            /// The value, if there is one. O(values kept).
            pub fn get(&self) -> Option<V> {
                values(self.0)
                    .filter_map(|bytes| Some((bytes, V::decode(bytes)?)))
                    .reduce(|a, b| if b.0.cmp(a.0) == $better { b } else { a })
                    .map(|(_, value)| value)
            }

            /// Whether it holds no value.
            pub fn is_empty(&self) -> bool {
                self.get().is_none()
            }

            /// Values that are kept: the one that is read, and those that would show up if it were
            /// removed by somebody who had not seen them.
            pub fn kept(&self) -> usize {
                values(self.0).count()
            }
        }

        impl<V: Element> $edit<'_, V> {
            /// The register, with what this update did so far.
            pub fn view(&self) -> $view<'_, V> {
                $view(self.0.node(), PhantomData)
            }
        }

        copies!($view<'_, V>);
        shows_its_view!($edit<'_, V> where V: Element + fmt::Debug);

        /// The same value, whatever else is kept.
        impl<V: Element> PartialEq for $view<'_, V> {
            fn eq(&self, other: &Self) -> bool {
                self.get() == other.get()
            }
        }

        impl<V: Element> Eq for $view<'_, V> {}

        /// An option.
        impl<V: Element + Serialize> Serialize for $view<'_, V> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.get().serialize(serializer)
            }
        }

        impl<V: Element + fmt::Debug> fmt::Debug for $view<'_, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.get().fmt(f)
            }
        }
    };
}

extreme!(MaxRegister MaxRegisterView MaxRegisterEdit "max_register" Ordering::Greater);
extreme!(MinRegister MinRegisterView MinRegisterEdit "min_register" Ordering::Less);

impl<V: Element> MaxRegisterEdit<'_, V> {
    /// Raises it to at least `value`. An event also if it is at more: a delete that did not see this
    /// one leaves it.
    pub fn raise<Q: EncodesAs<V> + ?Sized>(&mut self, value: &Q) {
        push(&mut self.0, name_of::<V, Q>(value), Ordering::Greater);
    }

    /// As [`raise`](Self::raise), but no event if it is at `value` or more. Returns whether it was
    /// raised.
    pub fn ensure<Q: EncodesAs<V> + ?Sized>(&mut self, value: &Q) -> bool {
        ensure(&mut self.0, name_of::<V, Q>(value), Ordering::Greater)
    }
}

impl<V: Element> MinRegisterEdit<'_, V> {
    /// Lowers it to at most `value`. An event also if it is at less: a delete that did not see this
    /// one leaves it.
    pub fn lower<Q: EncodesAs<V> + ?Sized>(&mut self, value: &Q) {
        push(&mut self.0, name_of::<V, Q>(value), Ordering::Less);
    }

    /// As [`lower`](Self::lower), but no event if it is at `value` or less. Returns whether it was
    /// lowered.
    pub fn ensure<Q: EncodesAs<V> + ?Sized>(&mut self, value: &Q) -> bool {
        ensure(&mut self.0, name_of::<V, Q>(value), Ordering::Less)
    }
}

/// All values that are kept, as bytes.
fn values(node: Option<NodeRef<'_>>) -> impl Iterator<Item = &[u8]> {
    let leaf = node.into_iter().flat_map(NodeRef::entries);
    let leaf = leaf.filter_map(|entry| match entry.value {
        ValueRef::Bytes(bytes) => Some(&**bytes),
        _ => None,
    });
    let beside = node.into_iter().flat_map(|node| node.children());
    leaf.chain(beside.map(|(name, _)| name))
}

/// Writes a value that is `better` than others if it compares so with them.
fn push(cursor: &mut Cursor<'_>, value: Name, better: Ordering) {
    let beaten = values(cursor.node()).any(|other| other.cmp(value.as_bytes()) == better);
    if !beaten {
        cursor.write(Value::Bytes(value.as_bytes().into()));
        return;
    }
    let beside = cursor.node().into_iter().flat_map(|node| node.children());
    let worse = beside.filter(|(other, _)| value.as_bytes().cmp(other) == better);
    let worse: Vec<Name> = worse.map(|(other, _)| Name::new(other)).collect();
    for other in worse {
        cursor.child(other).remove();
    }
    cursor.child(value).write(Value::Unit);
}

fn ensure(cursor: &mut Cursor<'_>, value: Name, better: Ordering) -> bool {
    let beats_all = values(cursor.node()).all(|other| value.as_bytes().cmp(other) == better);
    if beats_all {
        push(cursor, value, better);
    }
    beats_all
}
