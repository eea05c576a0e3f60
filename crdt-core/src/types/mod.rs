//! The data types: what each makes of the dots at its paths. The kernel under them knows none.

mod counter;
mod extreme;
mod flag;
mod joined;
mod map;
mod places;
mod record;
mod register;
mod remove_wins_set;
mod set;
mod sign;

use alloc::string::String;

use crate::element::EncodesAs;
use crate::kernel::{Cursor, NodeRef};
use crate::name::Name;

pub use counter::{GCounter, GCounterEdit, GCounterView, PnCounter, PnCounterEdit, PnCounterView};
pub use extreme::{
    MaxRegister, MaxRegisterEdit, MaxRegisterView, MinRegister, MinRegisterEdit, MinRegisterView,
};
pub use flag::{DwFlag, DwFlagEdit, DwFlagView, EwFlag, EwFlagEdit, EwFlagView};
pub use joined::{Joined, JoinedEdit, JoinedView, Lattice};
pub use map::{
    GCounterMap, LwwMap, LwwMapEdit, LwwMapIter, LwwMapView, OrMap, OrMapEdit, OrMapIter,
    OrMapView, OrMultiMap, PnCounterMap,
};
pub use record::{RecordEdit, RecordView};
pub use register::{
    LwwRegister, LwwRegisterEdit, LwwRegisterView, MvRegister, MvRegisterEdit, MvRegisterView,
};
pub use remove_wins_set::{RemoveWinsSet, RemoveWinsSetEdit, RemoveWinsSetIter, RemoveWinsSetView};
pub use set::{GSet, GSetEdit, OrSet, OrSetEdit, SetIter, SetView};

/// A replicated data type: how to read and how to change the tree under a path.
///
/// The type itself is only a name; values live in a [`Causal`](crate::Causal) or in a store. Views
/// borrow the tree and decode only what is asked for; edits make events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no CRDT",
    label = "not a `Crdt`",
    note = "a plain value stands in a register, as in `LwwRegister<{Self}>`; for numbers that are added up there is `PnCounter`, for sets `OrSet`, for maps `OrMap`, for structs `record!`"
)]
pub trait Crdt: Sized + 'static {
    /// Reads a value.
    type View<'a>;
    /// Changes a value.
    type Edit<'a>;

    /// Appends the shape's text.
    fn shape(out: &mut String);

    /// A view of what is live at a place; of the empty value where nothing is.
    fn view(node: Option<NodeRef<'_>>) -> Self::View<'_>;

    /// An edit of a place.
    fn edit(cursor: Cursor<'_>) -> Self::Edit<'_>;
}

/// The path component of an element.
fn name_of<E, Q: EncodesAs<E> + ?Sized>(element: &Q) -> Name {
    element.with_encoded_as(Name::new)
}
