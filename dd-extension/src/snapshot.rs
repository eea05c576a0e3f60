//! Owned values: a snapshot of one value, and the change from one to the next.

use std::fmt;
use std::marker::PhantomData;

use crdt_core::kernel::Node;
use crdt_core::{Crdt, Element, GSet, LwwMap, OrMap, OrSet, Payload};

/// A value as it was at one moment. Taking one is O(1), whatever its size; it does not hold up
/// anybody. Memory that the store has replaced since is kept as long as the snapshot is.
pub struct Snapshot<T> {
    node: Option<Node>,
    value: PhantomData<fn() -> T>,
}

impl<T: Crdt> Snapshot<T> {
    pub(crate) fn new(node: Option<Node>) -> Self {
        Self {
            node,
            value: PhantomData,
        }
    }

    /// The value.
    pub fn view(&self) -> T::View<'_> {
        T::view(self.node.as_ref().map(Node::as_ref))
    }

    /// Whether the key holds anything of this type.
    pub fn exists(&self) -> bool {
        self.node.is_some()
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            value: PhantomData,
        }
    }
}

impl<T: Crdt> fmt::Debug for Snapshot<T>
where
    for<'a> T::View<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

/// What a subscriber is told: the value before and after.
#[derive(Clone)]
pub struct Change<T> {
    pub(crate) before: Snapshot<T>,
    pub(crate) after: Snapshot<T>,
    pub(crate) missed: u64,
    pub(crate) initial: bool,
}

impl<T: Crdt> Change<T> {
    /// The value before; empty for the first one.
    pub fn before(&self) -> T::View<'_> {
        self.before.view()
    }

    /// The value now.
    pub fn after(&self) -> T::View<'_> {
        self.after.view()
    }

    /// The value now, to be kept.
    pub fn snapshot(&self) -> &Snapshot<T> {
        &self.after
    }

    /// Whether this is the value at the time of subscribing, not a change.
    pub fn is_initial(&self) -> bool {
        self.initial
    }

    /// Whether the key now holds nothing of this type.
    pub fn is_gone(&self) -> bool {
        !self.after.exists()
    }

    /// About how many changes went by untold because the subscriber was slower than they came: one
    /// may be counted too much or too little where a change comes while the value is read, and where
    /// too many keys changed to count them it is 1. What is told is always the newest value.
    ///
    /// What is counted is what this replica takes in: each of its own updates, and what comes from other nodes in one
    /// piece. Updates that another node made one after the other and sent together are one change here, and none of
    /// them is counted as missed: it is no count of what was written.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl<E: Element> Change<OrSet<E>> {
    /// The elements that were added, in order.
    pub fn added(&self) -> impl Iterator<Item = E> + '_ {
        self.after().difference(&self.before())
    }

    /// The elements that were removed, in order.
    pub fn removed(&self) -> impl Iterator<Item = E> + '_ {
        self.before().difference(&self.after())
    }
}

impl<E: Element> Change<GSet<E>> {
    /// The elements that were added, in order.
    pub fn added(&self) -> impl Iterator<Item = E> + '_ {
        self.after().difference(&self.before())
    }

    /// The elements that a delete of the key removed, in order.
    pub fn removed(&self) -> impl Iterator<Item = E> + '_ {
        self.before().difference(&self.after())
    }
}

impl<K: Element, V: Crdt> Change<OrMap<K, V>> {
    /// The keys that were added, in order.
    pub fn added(&self) -> impl Iterator<Item = K> + '_ {
        let before = self.before();
        self.after()
            .keys()
            .filter(move |key| !before.contains_key(key))
    }

    /// The keys that were removed, in order.
    pub fn removed(&self) -> impl Iterator<Item = K> + '_ {
        let after = self.after();
        self.before()
            .keys()
            .filter(move |key| !after.contains_key(key))
    }
}

impl<K: Element, V: Payload> Change<LwwMap<K, V>> {
    /// The keys that were added, in order.
    pub fn added(&self) -> impl Iterator<Item = K> + '_ {
        let before = self.before();
        self.after()
            .keys()
            .filter(move |key| !before.contains_key(key))
    }

    /// The keys that were removed, in order.
    pub fn removed(&self) -> impl Iterator<Item = K> + '_ {
        let after = self.after();
        self.before()
            .keys()
            .filter(move |key| !after.contains_key(key))
    }
}

impl<T: Crdt> fmt::Debug for Change<T>
where
    for<'a> T::View<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("before", &self.before)
            .field("after", &self.after)
            .field("missed", &self.missed)
            .finish()
    }
}
