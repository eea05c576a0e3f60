//! Tests of crdt-core through its public API.

mod api;
mod cases;
mod clock;
mod comparison;
mod context;
mod cow_map;
mod edit;
mod element;
mod exhaustive;
mod golden;
mod hostile;
mod large;
mod laws;
mod leaf;
mod links;
mod seals;
mod situations;
mod support;
mod traps;
