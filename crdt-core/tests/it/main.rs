//! Tests of crdt-core through its public API.

mod laws;
mod support;
