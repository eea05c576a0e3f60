//! Causal delta-CRDTs, and the dot-store kernel under them.
//!
//! Replicated values that merge: each replica changes its own copy without asking anyone, and
//! replicas that have seen the same events hold the same value. No I/O, no async, no clock and no
//! randomness of its own.
//!
//! # Which type?
//!
//! | you have | take | concurrent writes |
//! | --- | --- | --- |
//! | a number that only grows | [`GCounter`] | all count |
//! | a number that goes up and down | [`PnCounter`] | all count; a reset takes away what it saw |
//! | a set that only grows | [`GSet`] | union |
//! | a set with removal | [`OrSet`] | an insertion survives a concurrent removal |
//! | one value, newest wins | [`LwwRegister`] | the greatest timestamp |
//! | one value, keep conflicts | [`MvRegister`] | all, until one is written over them |
//! | values by key, newest wins | [`LwwMap`] | by key, as the register |
//! | CRDTs by key, nested as deep as you like | [`OrMap`] | by key, as the inner type |
//! | counters by key | [`GCounterMap`] | all count |
//!
//! # Example
//!
//! ```
//! use crdt_core::{Causal, OrSet, ReplicaId};
//!
//! let mut ann = Causal::<OrSet<String>>::new(ReplicaId::new(1, 1));
//! let mut bob = Causal::<OrSet<String>>::new(ReplicaId::new(2, 1));
//!
//! let done = ann.update(|cart| cart.insert("apple"))?;
//! bob.apply(&done.delta)?;
//!
//! // Concurrently: Ann removes the apple, Bob puts it in once more.
//! ann.update(|cart| cart.remove("apple"))?;
//! bob.update(|cart| cart.insert("apple"))?;
//!
//! ann.merge(&bob);
//! bob.merge(&ann);
//! assert!(ann.view().contains("apple")); // additions win
//! assert_eq!(ann.context(), bob.context());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What these types can't do
//!
//! There is no compare-and-set and no uniqueness: whoever must be the only one to act needs
//! consensus. A limit such as "never below zero" is not kept by a [`PnCounter`].

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod causal;
mod clock;
pub mod codec;
mod context;
mod cow_map;
mod element;
mod id;
pub mod kernel;
mod limits;
mod name;
mod payload;
#[cfg(doctest)]
mod refused;
mod shape;
mod types;

pub use causal::{Behind, Causal, Delta, LoadError, MAX_RECORDS, Updated};
pub use clock::{HybridClock, Timestamp};
pub use context::{Context, MAX_RANGES, MAX_SEQ, Seqs, VersionVector};
pub use cow_map::{CowMap, Iter as CowMapIter};
pub use element::{Element, EncodesAs};
pub use id::{Dot, ReplicaId};
pub use kernel::EditError;
pub use limits::Limits;
pub use name::{Name, Path};
pub use payload::{Payload, PayloadError, check_payload};
pub use shape::{MAX_SHAPE, MAX_SHAPE_DEPTH, Shape};
pub use types::{
    Crdt, DwFlag, DwFlagEdit, DwFlagView, EwFlag, EwFlagEdit, EwFlagView, GCounter, GCounterEdit,
    GCounterMap, GCounterView, GSet, GSetEdit, Joined, JoinedEdit, JoinedView, Lattice, LwwMap,
    LwwMapEdit, LwwMapIter, LwwMapView, LwwRegister, LwwRegisterEdit, LwwRegisterView, MaxRegister,
    MaxRegisterEdit, MaxRegisterView, MinRegister, MinRegisterEdit, MinRegisterView, MvRegister,
    MvRegisterEdit, MvRegisterView, OrMap, OrMapEdit, OrMapIter, OrMapView, OrMultiMap, OrSet,
    OrSetEdit, PnCounter, PnCounterEdit, PnCounterMap, PnCounterView, RecordEdit, RecordView,
    RemoveWinsSet, RemoveWinsSetEdit, RemoveWinsSetIter, RemoveWinsSetView, SetIter, SetView,
};

pub(crate) use kernel::Cut;

#[doc(hidden)]
pub use serde as __serde;

/// The text that [`Crdt::shape`] appends to.
pub type ShapeText = alloc::string::String;
