//! A place in the tree: the dots that are live at it, and the places under it.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Bound;

use super::block::{Block, RunChange};
use super::children::Children;
use super::children_ref::{self, ChildrenRef};
use super::leaf::{EntryRef, Leaf, LeafIter, Run, ValueRef};
use crate::name::{Name, Path};
use crate::{Dot, ReplicaId};

/// A place in the tree: the dots that are live at it, and the places under it that have any.
/// Cloning is O(1); no empty node is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub(super) leaf: Leaf,
    pub(super) children: Children,
}

/// A place in the tree, to read. One that holds one dot, or some that carry nothing, has no [`Node`].
#[derive(Clone, Copy, Debug)]
pub struct NodeRef<'a>(Ref<'a>);

#[derive(Clone, Copy, Debug)]
enum Ref<'a> {
    Node(&'a Node),
    Entry(EntryRef<'a>),
    /// Two dots with nothing, in order.
    Two(Dot, Dot),
    /// Several dots with nothing.
    Dots(&'a [Dot]),
    /// A place of a block that has nothing but one place under it, which stands in the columns instead.
    Upper(&'a Block, usize),
}

static NOTHING: Node = Node {
    leaf: Leaf::EMPTY,
    children: Children::new(),
};

impl Node {
    /// The place, to read.
    pub fn as_ref(&self) -> NodeRef<'_> {
        NodeRef::of(self)
    }

    /// The dots at this place.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The places under this one.
    pub fn children(&self) -> ChildrenRef<'_> {
        self.children.as_ref()
    }

    /// Whether nothing is live here or below.
    pub fn is_empty(&self) -> bool {
        self.leaf.is_empty() && self.children.is_empty()
    }

    /// Whether it holds at most one dot, or dots that carry nothing, and nothing below: a block has
    /// no need of a node for it.
    pub(super) fn is_simple(&self) -> bool {
        let plain = || self.leaf.iter().all(|entry| entry.value == ValueRef::Unit);
        self.children.is_empty() && (self.leaf.len() <= 1 || plain())
    }

    /// Whether it has nothing but one place under it.
    pub(super) fn is_upper(&self) -> bool {
        self.leaf.is_empty() && self.children.len == 1
    }

    /// The place at a path below this one.
    pub fn get(&self, path: &[Name]) -> Option<NodeRef<'_>> {
        self.as_ref().get(path)
    }

    /// Calls `visit` with every entry at and below this place, which is at `path`.
    pub fn visit(&self, path: &mut Vec<Name>, visit: &mut impl FnMut(&[Name], EntryRef<'_>)) {
        self.as_ref().visit(path, visit);
    }

    /// Puts a dot with nothing at a name under a path below this place where nothing is. Returns
    /// whether it did.
    pub(super) fn fill(&mut self, path: &[Name], name: &Name, dot: Dot) -> bool {
        self.change(path, |node| node.children.fill(name, dot))
    }

    /// Changes the run of a replica at a path, if it stands in a column; see [`Block::change_run`].
    pub(super) fn change_run(
        &mut self,
        path: &[Name],
        replica: ReplicaId,
        change: impl FnOnce(Dot, Run) -> (Dot, Run),
    ) -> RunChange {
        match path.split_first() {
            Some((name, path)) => self.children.change_run(name, path, replica, change),
            None => RunChange::Elsewhere,
        }
    }

    /// Changes the leaf at a path; makes the nodes on the way and takes empty ones away.
    pub(super) fn change_leaf<T>(
        &mut self,
        path: &[Name],
        change: impl FnOnce(&mut Leaf) -> T,
    ) -> T {
        self.change(path, |node| change(&mut node.leaf))
    }

    /// Changes the place at a path; makes the nodes on the way and takes empty ones away.
    pub(super) fn change<T>(&mut self, path: &[Name], change: impl FnOnce(&mut Self) -> T) -> T {
        match path.split_first() {
            None => change(self),
            Some((name, path)) => self.children.change(name, path, change),
        }
    }
}

impl<'a> NodeRef<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        Self(Ref::Node(node))
    }

    /// An empty place.
    pub(super) fn nothing() -> Self {
        Self::of(&NOTHING)
    }

    pub(super) fn of_two(first: Dot, second: Dot) -> Self {
        Self(Ref::Two(first, second))
    }

    pub(super) fn of_dots(dots: &'a [Dot]) -> Self {
        Self(Ref::Dots(dots))
    }

    pub(super) fn of_upper(block: &'a Block, at: usize) -> Self {
        Self(Ref::Upper(block, at))
    }

    pub(super) fn of_entry(entry: EntryRef<'a>) -> Self {
        Self(Ref::Entry(entry))
    }

    /// The dots at this place with what they carry, in order.
    pub fn entries(self) -> EntryIter<'a> {
        EntryIter(match self.0 {
            Ref::Node(node) => Rest::Leaf(node.leaf.iter()),
            Ref::Entry(entry) => Rest::Few([Some(entry), None]),
            Ref::Two(first, second) => {
                Rest::Few([Some(EntryRef::unit(first)), Some(EntryRef::unit(second))])
            }
            Ref::Dots(dots) => Rest::Dots(dots.iter()),
            Ref::Upper(..) => Rest::Few([None, None]),
        })
    }

    /// The entry of a place that holds one dot and nothing below, and has no node of its own.
    pub(super) fn single(self) -> Option<EntryRef<'a>> {
        match self.0 {
            Ref::Entry(entry) => Some(entry),
            Ref::Node(_) | Ref::Two(..) | Ref::Dots(_) | Ref::Upper(..) => None,
        }
    }

    /// The dots at this place as a leaf, which is that of the node if it has one.
    pub(super) fn leaf(self) -> Cow<'a, Leaf> {
        match self.0 {
            Ref::Node(node) => Cow::Borrowed(&node.leaf),
            _ => Cow::Owned(self.into()),
        }
    }

    /// Whether dots are live at this place itself.
    pub fn has_entries(self) -> bool {
        match self.0 {
            Ref::Node(node) => !node.leaf.is_empty(),
            Ref::Entry(_) | Ref::Two(..) | Ref::Dots(_) => true,
            Ref::Upper(..) => false,
        }
    }

    /// The entry of a dot at this place.
    pub fn entry(self, dot: Dot) -> Option<EntryRef<'a>> {
        match self.0 {
            Ref::Node(node) => node.leaf.get(dot),
            Ref::Entry(entry) => (entry.dot == dot).then_some(entry),
            Ref::Dots(dots) => dots.contains(&dot).then(|| EntryRef::unit(dot)),
            Ref::Two(first, second) => [first, second].contains(&dot).then(|| EntryRef::unit(dot)),
            Ref::Upper(..) => None,
        }
    }

    /// The run of a replica at this place.
    pub fn run(self, replica: ReplicaId) -> Option<(Dot, Run)> {
        match self.0 {
            Ref::Node(node) => node.leaf.run(replica),
            Ref::Entry(entry) => entry.run_of(replica),
            Ref::Dots(_) | Ref::Two(..) | Ref::Upper(..) => None,
        }
    }

    /// The places under this one.
    pub fn children(self) -> ChildrenRef<'a> {
        match self.0 {
            Ref::Node(node) => node.children.as_ref(),
            Ref::Entry(_) | Ref::Two(..) | Ref::Dots(_) => ChildrenRef::none(),
            Ref::Upper(block, at) => ChildrenRef::only(block, at),
        }
    }

    /// Whether nothing is live here or below.
    pub fn is_empty(self) -> bool {
        match self.0 {
            Ref::Node(node) => node.is_empty(),
            Ref::Entry(_) | Ref::Two(..) | Ref::Dots(_) | Ref::Upper(..) => false,
        }
    }

    /// The place at a path below this one.
    pub fn get(self, path: &[Name]) -> Option<Self> {
        path.iter()
            .try_fold(self, |node, name| node.children().get(name.as_bytes()))
    }

    /// A copy to keep; O(1).
    pub fn to_node(self) -> Node {
        match self.0 {
            Ref::Node(node) => node.clone(),
            Ref::Entry(_) | Ref::Two(..) | Ref::Dots(_) => Node {
                leaf: self.into(),
                children: Children::new(),
            },
            Ref::Upper(..) => Node {
                leaf: Leaf::EMPTY,
                children: self.children().to_children(),
            },
        }
    }

    /// Calls `visit` with every entry at and below this place, which is at `path`.
    pub fn visit(self, path: &mut Vec<Name>, visit: &mut impl FnMut(&[Name], EntryRef<'_>)) {
        for entry in self.entries() {
            visit(path, entry);
        }
        for (name, child) in self.children() {
            path.push(Name::new(name));
            child.visit(path, visit);
            path.pop();
        }
    }

    /// How many entries are at and below this place; `most` if there are more. O(`most`).
    pub fn count_up_to(self, most: usize) -> usize {
        let mut count = self.entries().take(most).count();
        // Each of the places has one at least.
        if count + self.children().len() >= most {
            return most;
        }
        for (_, child) in self.children() {
            count += child.count_up_to(most - count);
            if count >= most {
                break;
            }
        }
        count
    }

    /// As [`visit`](Self::visit), in parts: goes on behind the place at `after`, which need not be there any more, and
    /// when `many` entries were visited, ends with those of a place. Returns that, if it came so far: what to go on
    /// behind. `None` at the end of all.
    pub fn visit_some(
        self,
        after: Option<&[Name]>,
        many: usize,
        visit: &mut impl FnMut(&[Name], EntryRef<'_>),
    ) -> Option<Path> {
        let mut left = many.max(1);
        self.visit_behind(after, &mut Vec::new(), &mut left, visit)
    }

    fn visit_behind(
        self,
        after: Option<&[Name]>,
        path: &mut Vec<Name>,
        left: &mut usize,
        visit: &mut impl FnMut(&[Name], EntryRef<'_>),
    ) -> Option<Path> {
        let from = match after.map(<[Name]>::split_first) {
            None => {
                for entry in self.entries() {
                    visit(path, entry);
                    *left = left.saturating_sub(1);
                }
                if *left == 0 {
                    return Some(path.as_slice().into());
                }
                Bound::Unbounded
            }
            Some(None) => Bound::Unbounded,
            Some(Some((name, behind))) => {
                if let Some(child) = self.children().get(name) {
                    path.push(name.clone());
                    let stopped = child.visit_behind(Some(behind), path, left, visit);
                    if stopped.is_some() {
                        return stopped;
                    }
                    path.pop();
                }
                Bound::Excluded(name.as_bytes())
            }
        };
        for (name, child) in self.children().iter_from(from) {
            path.push(Name::new(name));
            let stopped = child.visit_behind(None, path, left, visit);
            if stopped.is_some() {
                return stopped;
            }
            path.pop();
        }
        None
    }

    /// The entries at and below this place, which is at `path`, with their paths, in order, one at a time.
    pub(super) fn walk(self, path: &[Name]) -> Entries<'a> {
        Entries {
            path: path.to_vec(),
            stack: alloc::vec![(self, None)],
        }
    }

    fn is(self, other: Self) -> bool {
        match (self.0, other.0) {
            (Ref::Node(a), Ref::Node(b)) => core::ptr::eq(a, b),
            (Ref::Dots(a), Ref::Dots(b)) => core::ptr::eq(a, b),
            (Ref::Upper(a, at), Ref::Upper(b, bt)) => core::ptr::eq(a, b) && at == bt,
            _ => false,
        }
    }
}

impl PartialEq for NodeRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is(*other)
            || (self.entries().eq(other.entries()) && self.children() == other.children())
    }
}

impl Eq for NodeRef<'_> {}

/// The dots at a place with what they carry, in order; see [`NodeRef::entries`].
#[derive(Clone, Debug)]
pub struct EntryIter<'a>(Rest<'a>);

#[derive(Clone, Debug)]
enum Rest<'a> {
    Leaf(LeafIter<'a>),
    Dots(core::slice::Iter<'a, Dot>),
    Few([Option<EntryRef<'a>>; 2]),
}

impl<'a> Iterator for EntryIter<'a> {
    type Item = EntryRef<'a>;

    fn next(&mut self) -> Option<EntryRef<'a>> {
        match &mut self.0 {
            Rest::Leaf(entries) => entries.next(),
            Rest::Dots(dots) => dots.next().map(|dot| EntryRef::unit(*dot)),
            Rest::Few([first, second]) => first.take().or_else(|| second.take()),
        }
    }
}

/// See [`NodeRef::walk`].
pub(super) struct Entries<'a> {
    path: Vec<Name>,
    /// Places on the way down, each with the next of its entries or, after these, of its children.
    stack: Vec<(NodeRef<'a>, Option<Step<'a>>)>,
}

enum Step<'a> {
    Entries(EntryIter<'a>),
    Children(children_ref::Iter<'a>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Path, EntryRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (node, step) = self.stack.last_mut()?;
            match step {
                None => *step = Some(Step::Entries(node.entries())),
                Some(Step::Entries(entries)) => {
                    if let Some(entry) = entries.next() {
                        return Some((self.path.as_slice().into(), entry));
                    }
                    *step = Some(Step::Children(node.children().iter()));
                }
                Some(Step::Children(children)) => match children.next() {
                    Some((name, child)) => {
                        self.path.push(Name::new(name));
                        self.stack.push((child, None));
                    }
                    None => {
                        self.stack.pop();
                        self.path.pop();
                    }
                },
            }
        }
    }
}
