//! Counters. State: at most one run per replica that counted.
//!
//! The rules for reset and removal under concurrent increments go beyond Weidner and Almeida, *An
//! Oblivious Observed-Reset Embeddable Replicated Counter* (PaPoC 2022): a removal names the runs that
//! it saw with their totals, so that what is counted on concurrently survives with exactly its own
//! amount.

use alloc::string::String;
use core::fmt;

use serde::{Serialize, Serializer};

use super::Crdt;
use super::places::shows_its_view;
use crate::kernel::{Cursor, NodeRef, ValueRef};

/// A counter that only grows, between removals of the key that it stands under.
///
/// # Concurrent cases
///
/// | begin | A | B | then |
/// | --- | --- | --- | --- |
/// | 5 | `add(3)` | `add(4)` | 12 |
/// | 5, under a key | the key is removed | `add(3)` | 3 |
///
/// # Costs
///
/// [`add`](GCounterEdit::add) and [`value`](GCounterView::value) are O(r) in the number r of replicas
/// that ever counted. A run of 48 bytes in memory, and some 40 in the whole value, for each of them,
/// which stays. On the wire an event is that replica's run, some 20 bytes beside siblings; one that
/// follows another in the same update takes its place.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, GCounter, ReplicaId};
///
/// let mut a = Causal::<GCounter>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<GCounter>::new(ReplicaId::new(2, 1));
/// a.update(|c| c.add(3))?;
/// b.update(|c| c.add(4))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().value(), 7);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "grow-only counter")]
#[doc(alias = "G-Counter")]
#[doc(alias = "increment")]
#[derive(Debug)]
pub struct GCounter(());

/// A counter that goes up and down and can be reset.
///
/// `reset` takes away every increment that it saw. A concurrent one survives with exactly its own
/// amount. There is no `set`: whoever wants the value to be n resets and adds n, and of two who do so at
/// once both add. No limit is kept: two who each take the last one leave it at -1.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | 5 | `add(3)` | `add(-4)` | 4 | |
/// | 5 | `reset` | `add(3)` | 3 | 8 or 0 |
/// | 5 | `reset` | `reset` | 0 | -5 |
/// | 5 | `reset`, `add(1)` | `reset`, `add(1)` | 2 | 1 |
/// | 5, under a key | the key is removed | `add(10)` | 10 | 15 |
///
/// # Costs
///
/// As [`GCounter`]. A [`reset`](PnCounterEdit::reset) is O(r); its record names the runs that it saw,
/// some 40 bytes for each replica that had counted, until all have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, PnCounter, ReplicaId};
///
/// let mut a = Causal::<PnCounter>::new(ReplicaId::new(1, 1));
/// a.update(|c| c.add(5))?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|c| c.reset())?;
/// b.update(|c| c.add(3))?;
/// a.merge(&b)?;
/// assert_eq!(a.view().value(), 3); // not 8, not 0
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "positive-negative counter")]
#[doc(alias = "PN-Counter")]
#[doc(alias = "resettable counter")]
#[doc(alias = "fat counter")]
#[doc(alias = "increment")]
#[doc(alias = "decrement")]
#[derive(Debug)]
pub struct PnCounter(());

/// Reads a [`GCounter`].
#[derive(Clone, Copy)]
pub struct GCounterView<'a>(Option<NodeRef<'a>>);

/// Reads a [`PnCounter`].
#[derive(Clone, Copy)]
pub struct PnCounterView<'a>(Option<NodeRef<'a>>);

/// Changes a [`GCounter`].
pub struct GCounterEdit<'a>(Cursor<'a>);

/// Changes a [`PnCounter`].
pub struct PnCounterEdit<'a>(Cursor<'a>);

impl Crdt for GCounter {
    type View<'a> = GCounterView<'a>;
    type Edit<'a> = GCounterEdit<'a>;

    fn shape(out: &mut String) {
        out.push_str("g_counter");
    }

    fn view(node: Option<NodeRef<'_>>) -> GCounterView<'_> {
        GCounterView(node)
    }

    fn edit(cursor: Cursor<'_>) -> GCounterEdit<'_> {
        GCounterEdit(cursor)
    }
}

impl Crdt for PnCounter {
    type View<'a> = PnCounterView<'a>;
    type Edit<'a> = PnCounterEdit<'a>;

    fn shape(out: &mut String) {
        out.push_str("pn_counter");
    }

    fn view(node: Option<NodeRef<'_>>) -> PnCounterView<'_> {
        PnCounterView(node)
    }

    fn edit(cursor: Cursor<'_>) -> PnCounterEdit<'_> {
        PnCounterEdit(cursor)
    }
}

/// The sum of all runs: at most 2^31 of at most 2^96 each, so it can't overflow.
fn sum(node: Option<NodeRef<'_>>) -> i128 {
    let entries = node.into_iter().flat_map(NodeRef::entries);
    entries.fold(0, |sum: i128, entry| match entry.value {
        ValueRef::Run(run) => sum.saturating_add(run.amount()),
        ValueRef::Unit | ValueRef::Bytes(_) => sum,
    })
}

impl GCounterView<'_> {
    /// The sum of all increments. O(replicas that counted).
    pub fn value(&self) -> u128 {
        u128::try_from(sum(self.0)).unwrap_or(0)
    }
}

impl PnCounterView<'_> {
    /// The sum of all increments, less the decrements. O(replicas that counted).
    pub fn value(&self) -> i128 {
        sum(self.0)
    }
}

impl GCounterEdit<'_> {
    /// Adds `n`. One event, also where `n` is 0. A replica's own share stays below 2^96.
    pub fn add(&mut self, n: u64) {
        self.0.count(i128::from(n));
    }

    /// The counter, with what this update did so far.
    pub fn view(&self) -> GCounterView<'_> {
        GCounterView(self.0.node())
    }

    /// The value, with what this update did so far: short for `view().value()`.
    pub fn value(&self) -> u128 {
        self.view().value()
    }
}

impl PnCounterEdit<'_> {
    /// Adds `n`, which may be negative. One event, also where `n` is 0. A replica's own share stays
    /// within plus and minus 2^96.
    pub fn add(&mut self, n: i64) {
        self.0.count(i128::from(n));
    }

    /// Takes away every increment and decrement seen so far. None is an event if there are none.
    /// Returns whether there were.
    pub fn reset(&mut self) -> bool {
        self.0.remove()
    }

    /// The counter, with what this update did so far.
    pub fn view(&self) -> PnCounterView<'_> {
        PnCounterView(self.0.node())
    }

    /// The value, with what this update did so far: short for `view().value()`.
    pub fn value(&self) -> i128 {
        self.view().value()
    }
}

impl fmt::Debug for GCounterView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl fmt::Debug for PnCounterView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

shows_its_view!(GCounterEdit<'_>);
shows_its_view!(PnCounterEdit<'_>);

/// The same value, whoever counted.
impl PartialEq for GCounterView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for GCounterView<'_> {}

/// The same value, whoever counted.
impl PartialEq for PnCounterView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for PnCounterView<'_> {}

/// A number of 128 bits.
impl Serialize for GCounterView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(self.value())
    }
}

/// A number of 128 bits.
impl Serialize for PnCounterView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i128(self.value())
    }
}
