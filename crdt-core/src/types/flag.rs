//! Flags: on or off, with a rule for what happens when both are said at once.

use alloc::string::String;
use core::fmt;

use serde::{Serialize, Serializer};

use super::Crdt;
use super::places::shows_its_view;
use super::sign::{is_on, write_minus, write_plus};
use crate::kernel::{Cursor, NodeRef, Value};

/// A flag in which enabling wins: on if some `enable` was seen by no `disable`. Off at first.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | on | `disable` | `enable` again | on | off |
/// | off | `disable`: no event | `enable` | on | off |
/// | on | `disable` | `disable` | off | |
/// | on, under a key | the key is removed | `enable` again | on | off |
///
/// # Costs
///
/// All is O(1). One dot while it is on, and nothing while it is off, so a flag in a map that is turned
/// off takes its key away. On the wire 2 to 3 bytes beside siblings, some 8 by itself. Turning it off,
/// or on again, leaves a record of some 20 bytes and the path until all replicas have it.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, EwFlag, ReplicaId};
///
/// let mut a = Causal::<EwFlag>::new(ReplicaId::new(1, 1));
/// a.update(|flag| flag.enable())?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|flag| flag.disable())?;
/// b.update(|flag| flag.enable())?; // concurrently, once more
/// a.merge(&b)?;
/// assert!(a.view().is_on());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "enable-wins flag")]
#[doc(alias = "EWFlag")]
#[doc(alias = "switch")]
#[derive(Debug)]
pub struct EwFlag(());

/// A flag in which disabling wins: on if there is an `enable` and every `disable` was seen by some
/// `enable`. Off at first.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | on | `disable` | `enable` again | off | on |
/// | off | `disable` again | `enable` | off | on |
/// | on | `disable`, `enable` | `enable` | on | off |
/// | on, under a key | the key is removed | `enable` again | on | off |
///
/// # Costs
///
/// O(concurrent calls). One dot with a sign from the first call on, also while it is off: some 60 bytes
/// in memory and 10 on the wire. A flag in a map keeps its key.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, DwFlag, ReplicaId};
///
/// let mut a = Causal::<DwFlag>::new(ReplicaId::new(1, 1));
/// a.update(|flag| flag.enable())?;
/// let mut b = a.fork(ReplicaId::new(2, 1))?;
/// a.update(|flag| flag.disable())?;
/// b.update(|flag| flag.enable())?; // concurrently
/// a.merge(&b)?;
/// assert!(!a.view().is_on());
/// a.update(|flag| flag.enable())?; // has seen the disable
/// assert!(a.view().is_on());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[doc(alias = "disable-wins flag")]
#[doc(alias = "DWFlag")]
#[derive(Debug)]
pub struct DwFlag(());

/// Reads an [`EwFlag`].
#[derive(Clone, Copy)]
pub struct EwFlagView<'a>(Option<NodeRef<'a>>);

/// Reads a [`DwFlag`].
#[derive(Clone, Copy)]
pub struct DwFlagView<'a>(Option<NodeRef<'a>>);

/// Changes an [`EwFlag`].
pub struct EwFlagEdit<'a>(Cursor<'a>);

/// Changes a [`DwFlag`].
pub struct DwFlagEdit<'a>(Cursor<'a>);

impl Crdt for EwFlag {
    type View<'a> = EwFlagView<'a>;
    type Edit<'a> = EwFlagEdit<'a>;

    fn shape(out: &mut String) {
        out.push_str("ew_flag");
    }

    fn view(node: Option<NodeRef<'_>>) -> EwFlagView<'_> {
        EwFlagView(node)
    }

    fn edit(cursor: Cursor<'_>) -> EwFlagEdit<'_> {
        EwFlagEdit(cursor)
    }
}

impl Crdt for DwFlag {
    type View<'a> = DwFlagView<'a>;
    type Edit<'a> = DwFlagEdit<'a>;

    fn shape(out: &mut String) {
        out.push_str("dw_flag");
    }

    fn view(node: Option<NodeRef<'_>>) -> DwFlagView<'_> {
        DwFlagView(node)
    }

    fn edit(cursor: Cursor<'_>) -> DwFlagEdit<'_> {
        DwFlagEdit(cursor)
    }
}

impl EwFlagView<'_> {
    /// Whether the flag is on. O(1).
    pub fn is_on(&self) -> bool {
        self.0.is_some_and(|node| node.has_entries())
    }
}

impl DwFlagView<'_> {
    /// Whether the flag is on. O(concurrent calls).
    pub fn is_on(&self) -> bool {
        self.0.is_some_and(is_on)
    }
}

impl EwFlagEdit<'_> {
    /// Turns it on. An event also if it is on: it survives a concurrent `disable`.
    pub fn enable(&mut self) {
        self.0.write(Value::Unit);
    }

    /// Turns it off. No event if it is off. Returns whether it was on.
    pub fn disable(&mut self) -> bool {
        self.0.remove()
    }

    /// The flag, with what this update did so far.
    pub fn view(&self) -> EwFlagView<'_> {
        EwFlagView(self.0.node())
    }
}

impl DwFlagEdit<'_> {
    /// Turns it on: over every `disable` that was seen, not over concurrent ones.
    pub fn enable(&mut self) {
        write_plus(&mut self.0);
    }

    /// Turns it off. An event also if it is off: it wins over a concurrent `enable`.
    pub fn disable(&mut self) {
        write_minus(&mut self.0);
    }

    /// The flag, with what this update did so far.
    pub fn view(&self) -> DwFlagView<'_> {
        DwFlagView(self.0.node())
    }
}

impl fmt::Debug for EwFlagView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.is_on().fmt(f)
    }
}

impl fmt::Debug for DwFlagView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.is_on().fmt(f)
    }
}

shows_its_view!(EwFlagEdit<'_>);
shows_its_view!(DwFlagEdit<'_>);

/// On or off, whoever said so.
impl PartialEq for EwFlagView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_on() == other.is_on()
    }
}

impl Eq for EwFlagView<'_> {}

/// On or off, whoever said so.
impl PartialEq for DwFlagView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_on() == other.is_on()
    }
}

impl Eq for DwFlagView<'_> {}

/// A boolean.
impl Serialize for EwFlagView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.is_on())
    }
}

/// A boolean.
impl Serialize for DwFlagView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.is_on())
    }
}
