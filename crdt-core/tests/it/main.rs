//! Tests of crdt-core through its public API.

mod context;
mod cow_map;
mod edit;
mod element;
mod exhaustive;
mod golden;
mod hostile;
mod laws;
mod situations;
mod support;
