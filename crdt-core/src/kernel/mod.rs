//! The dot-store kernel: one tree, one join, one encoding for every type.
//!
//! A [`DotStore`] is a tree of live dots under one causal context. Paths name places in it; a leaf
//! holds dots, each with nothing (a `DotSet`), a payload (a `DotFun`) or the run of a counter; inner
//! nodes are the `DotMap`s of Almeida, Shoker and Baquero, *Delta State Replicated Data Types*
//! (2018). Removals leave [`Record`]s. Nothing here knows a data type: those are in
//! `types`.

mod block;
mod children;
mod children_builder;
mod children_ref;
mod comparison;
mod effect;
mod group_codec;
mod join;
mod leaf;
mod link;
mod links;
mod lower;
mod names;
mod node;
mod record;
mod records;
mod runs;
mod store;
mod tags;
mod transaction;
mod tree_builder;
mod unit;
mod unit_codec;
mod unit_reader;
mod unit_writer;
mod zip;

pub use children_ref::{ChildrenRef, Iter as ChildrenIter};
pub use comparison::{Comparison, ComparisonPart};
pub use effect::{Effect, Filling};
pub use leaf::{Entry, EntryRef, Leaf, LeafIter, MAX_TOTAL, Run, Value, ValueRef};
pub use link::{Link, MAX_LINK_PATHS};
pub use names::Names;
pub use node::{EntryIter, Node, NodeRef};
pub use record::{Cut, CutKey, Cuts, Record};
pub use store::DotStore;
pub use transaction::{Committed, Cursor, EditError, MAX_CUT_NAMES, MAX_CUTS, Transaction};
pub use unit::{Unit, UnitBuilder};
pub use unit_codec::MAX_ITEMS;
pub use zip::Differences;
