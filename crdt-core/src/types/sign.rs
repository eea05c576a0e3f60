//! A leaf of plus and minus: for types in which the minus wins.
//!
//! Each write kills everything that it saw at the leaf, so a minus is a live dot like a plus and
//! needs no machinery of its own. A plus carries nothing, as an element of a set does, so that it
//! costs no more than one.

use crate::kernel::{Cursor, NodeRef, Value, ValueRef};

const MINUS: &[u8] = b"-";

/// Whether a plus is live and no minus is.
pub(super) fn is_on(place: NodeRef<'_>) -> bool {
    let mut signs = place.entries().map(|entry| entry.value == ValueRef::Unit);
    place.has_entries() && signs.all(|plus| plus)
}

pub(super) fn write_plus(cursor: &mut Cursor<'_>) {
    cursor.write(Value::Unit);
}

pub(super) fn write_minus(cursor: &mut Cursor<'_>) {
    cursor.write(Value::Bytes(MINUS.into()));
}
