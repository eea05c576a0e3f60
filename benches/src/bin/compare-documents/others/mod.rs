//! The documents of other libraries.

pub(crate) mod automerge;
pub(crate) mod dson;
pub(crate) mod loro;
