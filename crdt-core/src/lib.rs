//! Causal delta-CRDTs, and the dot-store kernel under them.
//!
//! Replicated values that merge: each replica changes its own copy without asking anyone, and
//! replicas that have seen the same events hold the same value. No I/O, no async, no clock and no
//! randomness of its own.
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
//! ann.merge(&bob)?;
//! bob.merge(&ann)?;
//! assert!(ann.view().contains("apple")); // additions win
//! assert_eq!(ann.context(), bob.context());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type?
//!
//! | you have | take | of concurrent operations |
//! | --- | --- | --- |
//! | a number that only grows | [`GCounter`] | all count |
//! | a number that goes up and down | [`PnCounter`] | all count; a reset takes away what it saw |
//! | the greatest or the least of values | [`MaxRegister`], [`MinRegister`] | the greatest, the least |
//! | a set that only grows | [`GSet`] | union |
//! | a set; rather one element too many than one lost | [`OrSet`] | insertion wins over removal |
//! | a set; what was removed must stay away | [`RemoveWinsSet`] | removal wins over insertion |
//! | on or off; rather on | [`EwFlag`] | enabling wins |
//! | on or off; rather off | [`DwFlag`] | disabling wins |
//! | one value, and the newest will do | [`LwwRegister`] | the greatest timestamp; who asks is told what lost |
//! | one value, and a conflict is for somebody to solve | [`MvRegister`] | all, until one is written over them |
//! | values by key, and the newest will do | [`LwwMap`] | by key, as `LwwRegister` |
//! | counters by key | [`GCounterMap`], [`PnCounterMap`] | all count; removing a key takes away what was seen |
//! | several elements by key | [`OrMultiMap`] | by key, as `OrSet` |
//! | any of these by key, nested as deep as you like | [`OrMap`] | by key, as the inner type |
//! | a struct whose fields change one by one | [`record!`] | by field, as its type |
//! | a join of your own | [`Joined`] | their join |
//!
//! Three questions decide most cases:
//!
//! 1. *Do several add to one number?* Take a counter. Read, add and write back in a register loses
//!    all but one of concurrent additions.
//! 2. *Do parts of it change by themselves?* Take a map or a [`record!`]. A register holds its value as
//!    one: of two who change different fields of a struct in it, one loses.
//! 3. *If adding and removing meet, which mistake is worse?* A shopping cart would rather show
//!    an item that was taken out ([`OrSet`]); a list of those who may enter would rather lock somebody
//!    out ([`RemoveWinsSet`]).
//!
//! # What concurrent operations do
//!
//! *Concurrent* means that neither saw the other: what counts is which events a replica had when it
//! made one, and never the order of arrival or, but for the last-writer-wins types, a clock. A and B
//! begin with the same, act, and then sync:
//!
//! | begin | A | B | both then read | and not |
//! | --- | --- | --- | --- | --- |
//! | counter at 5 | `reset` | `add(3)` | 3 | 8 or 0 |
//! | map of counters, k at 3 | `remove(k)` | `entry(k).add(10)` | k at 10 | 13 |
//! | set {x} | `remove(x)` | `insert(x)` again | {x} | {} |
//! | set {x} | `remove(x)` | `ensure(x)`: no event | {} | {x} |
//! | remove-wins set {x} | `remove(x)` | `insert(x)` again | {} | {x} |
//! | map of sets, k has {x} | `remove(k)` | `entry(k).insert(y)` | k has {y} | {x, y} |
//! | register "a" | `set("b")`, its clock an hour slow | | "b" | "a" |
//! | register "a" | `set("b")` at 10:00 | `set("c")` at 10:01 | "c"; that "b" lost can be asked for | two values |
//! | last-writer-wins map, k is 1 | `remove(k)` at 10:01 | `insert(k, 2)` at 10:00 | k is 2 | nothing |
//! | multi-value register "a" | `set("b")` | `set("c")` | "b" and "c" | one of them |
//! | multi-value register "a" | `set("b")` | `set("b")` | "b" | "b" twice |
//! | flag on | `disable` | `enable` again | on; a [`DwFlag`] off | |
//! | greatest is 5, under a key | the key is removed | `raise(4)` | 4 | 5 |
//!
//! # What it costs
//!
//! Times: a look-up and a change take O(log n) in a value of n places, and O(depth) more where maps are
//! nested; iteration is in order, begins anywhere in O(log n), and decodes what it yields.
//! [`Causal::merge`] passes over what both sides share, [`Causal::fork`] and freezing a value are O(1).
//!
//! Bytes, measured with `u64` for elements, keys and values:
//!
//! | one of 10 000 | in memory | in a delta of 100, or in the whole value |
//! | --- | --- | --- |
//! | element of a [`GSet`], [`OrSet`] or [`RemoveWinsSet`]; [`EwFlag`] by key | 19 | 10 |
//! | mark of a [`RemoveWinsSet`]; [`DwFlag`] by key | 67 | 17 |
//! | entry of an [`LwwMap`] | 75 | 26 |
//! | [`MvRegister`] by key; [`MaxRegister`] by key | 67 | 18; 24 |
//! | counter by key, counted by one replica | 107 | 20 |
//! | set of one element by key ([`OrMultiMap`]) | 475 | 24 |
//!
//! On the wire an event is the path, which is not repeated for siblings, what it carries, and a dot: 2
//! to 3 bytes in columns of four siblings and more, some 8 otherwise. A delta of one operation takes 50
//! to 80 bytes, because it names what it builds on and what it brings. A removal, and a write over
//! something, leaves a record until all replicas have it: some 20 bytes and the path. A value also has
//! its [`Context`]: some 20 bytes for each replica that ever wrote to it.
//!
//! # Elements and payloads
//!
//! Elements of sets and keys of maps are [`Element`]s: their bytes are their identity, so floats, hash
//! maps and types that merely implement serde are refused by the compiler. Values of registers are
//! [`Payload`]s: any serde type; what could not be read again is refused when it is written.
//!
//! What a value is made of is its [`Shape`]: `or_set<u32>` and `or_set<u64>` are two types. Bytes of one
//! are never read as the other: [`Causal::load`] refuses them, and under one key of a store, or one
//! field of a record, both stand side by side.
//!
//! # Reading and changing
//!
//! [`Causal::view`] reads, [`Causal::update`] changes through an edit, all or nothing; the edit's `view()`
//! reads what the update did so far. Views are copied freely, compared by value, shown by `Debug` and
//! written by serde: sets as sequences, maps as maps, registers as options (an [`MvRegister`] as a
//! sequence), counters as numbers, flags as booleans. They are named as those of `std` are: `contains`,
//! `contains_key`, `get`, `len`, `is_empty`, `iter`, `keys`, `values`, `range`, `first`, `last`. A view of
//! bytes that are no payload of the type asked for gives a [`PayloadError`], and no wrong value.
//!
//! # Replica ids
//!
//! A replica's events are numbered, and an event is known by replica and number alone. **Two who write
//! under one id lose data**: each takes the other's events for its own. Therefore a [`Causal`] can be
//! neither cloned nor deserialised; [`Causal::fork`] and [`Causal::load`] ask for an id that nobody else
//! uses or used, and refuse one that wrote to the value before. [`Causal::merge`] and [`Causal::apply`]
//! refuse what shows that somebody else writes under the own id; a third replica can't see that. An id is a node and an incarnation of it ([`ReplicaId`]): give each node a number,
//! and count the incarnation up, durably, or take the time of the start, each time that a process starts
//! or a value is loaded. What a restored backup goes on under must be a new id as well.
//!
//! # What these types can't do
//!
//! * *Decide who is first.* No compare-and-set, no lock, no unique name, no sequence without gaps: two
//!   replicas that can't hear each other both succeed. That takes consensus.
//! * *Keep a limit.* A [`PnCounter`] does not stay above zero, nor a set below ten elements, nor a
//!   reference valid whose target somebody removes: each replica checks what it has seen.
//! * *Keep a sum over several places.* Two who move x at once leave it in both places.
//! * *Order elements as a user does.* Sets and maps are in the order of their elements; there is no list
//!   and no text for people to edit together.
//! * *Undo, or tell who did what.* Events that were replaced are gone; there is no history.
//! * *Prove who wrote.* Replicas trust each other's events.
//! * *Forget by themselves.* A removal's record stays until all replicas have it
//!   ([`Causal::forget`]); a counter has a run for each replica that ever counted; marks of a
//!   [`RemoveWinsSet`] stay.
//!
//! # The types elsewhere
//!
//! | here | Apache Pekko, Akka | Riak | AntidoteDB | Redis Active-Active |
//! | --- | --- | --- | --- | --- |
//! | [`GCounter`] | `GCounter` | | | |
//! | [`PnCounter`] | `PNCounter`, without reset | counter | `counter_pn`; with reset `counter_fat` | string under `INCR` |
//! | [`GSet`] | `GSet` | | `set_go` | |
//! | [`OrSet`] | `ORSet` | set | `set_aw` | set |
//! | [`RemoveWinsSet`] | | | `set_rw` | |
//! | [`LwwRegister`] | `LWWRegister` | register, in maps | `register_lww` | string |
//! | [`MvRegister`] | | siblings | `register_mv` | |
//! | [`EwFlag`] | `Flag`, which can't be turned off | flag, in maps | `flag_ew` | |
//! | [`DwFlag`] | | | `flag_dw` | |
//! | [`LwwMap`] | `LWWMap` | map of registers | | hash |
//! | [`OrMap`] | `ORMap` | map | `map_rr` | |
//! | [`PnCounterMap`] | `PNCounterMap` | map of counters | | hash under `HINCRBY` |
//! | [`OrMultiMap`] | `ORMultiMap` | map of sets | | |
//!
//! They are matches, not equals. A removed entry of `PNCounterMap` comes back with its old total when
//! somebody counts on concurrently; here with the new amount alone. `ORMap` forgets a removed value and
//! so can show it again; a re-used key here begins empty. Akka's `LWWRegister` takes the lowest address
//! of equal timestamps, this one the greatest replica.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod causal;
mod clock;
pub mod codec;
mod context;
mod cow_map;
mod delta;
mod element;
mod id;
pub mod kernel;
mod limits;
mod name;
mod payload;
#[cfg(doctest)]
mod refused;
mod seals;
mod seqs;
mod shape;
mod types;
mod version_vector;

pub use causal::{ApplyError, Behind, Causal, LoadError, MAX_RECORDS, Updated, UsedId};
pub use clock::{Ahead, HybridClock, TimeSource, Timestamp};
pub use context::Context;
pub use cow_map::{CowMap, Group, Iter as CowMapIter, Measure};
pub use delta::Delta;
pub use element::{Element, EncodesAs};
pub use id::{Dot, ReplicaId};
pub use kernel::EditError;
pub use limits::Limits;
pub use name::{Name, Path};
pub use payload::{Payload, PayloadError, WrittenFrom, check_payload};
pub use seals::Seals;
pub use seqs::{MAX_RANGES, MAX_SEQ, Seqs};
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
pub use version_vector::VersionVector;

pub(crate) use kernel::Cut;

#[doc(hidden)]
pub use serde as __serde;

/// The text that [`Crdt::shape`] appends to.
pub type ShapeText = alloc::string::String;
