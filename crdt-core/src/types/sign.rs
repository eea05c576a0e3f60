//! A leaf of plus and minus: for types in which the minus wins.
//!
//! Each write kills everything that it saw at the leaf, so a minus is a live dot like a plus and
//! needs no machinery of its own.

use crate::kernel::{Cursor, NodeRef, Value, ValueRef};

const PLUS: &[u8] = b"+";
const MINUS: &[u8] = b"-";

/// Whether a plus is live and no minus is.
pub(super) fn is_on(place: NodeRef<'_>) -> bool {
    let has = |sign: &[u8]| {
        let mut entries = place.entries();
        entries.any(|e| matches!(e.value, ValueRef::Bytes(b) if **b == *sign))
    };
    has(PLUS) && !has(MINUS)
}

pub(super) fn write_plus(cursor: &mut Cursor<'_>) {
    cursor.write(Value::Bytes(PLUS.into()));
}

pub(super) fn write_minus(cursor: &mut Cursor<'_>) {
    cursor.write(Value::Bytes(MINUS.into()));
}
