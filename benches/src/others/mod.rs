//! The types of other libraries.

pub mod crdts;
