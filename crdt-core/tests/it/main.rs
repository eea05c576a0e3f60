//! Tests of crdt-core through its public API.

mod context;
mod cow_map;
mod element;
mod laws;
mod situations;
mod support;
