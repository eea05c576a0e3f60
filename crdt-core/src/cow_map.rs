//! A copy-on-write ordered map: a B+tree whose nodes are shared by `Arc`.
//!
//! Cloning is O(1); a write afterwards copies only the nodes on its path. That is what makes
//! snapshots for readers and frozen views for exchanges free, at any size, and keeps the longest
//! step under a lock short (a hash table's growth is not).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Bound;

/// Most entries of a leaf, and most children of an inner node.
const CAPACITY: usize = 32;
/// Below this, a node is merged with a neighbour if both fit in one.
const SPARSE: usize = CAPACITY / 4;

/// An ordered map that is cloned in O(1). Look-up, insertion and removal are O(log n).
///
/// With a [`Measure`] `M` the sum over any range of keys is O(log n) as well; without, it costs nothing.
pub struct CowMap<K, V, M = ()> {
    root: Option<Arc<Tree<K, V, M>>>,
    len: usize,
}

/// What can be summed up, and taken from a sum again.
pub trait Group: Copy + Default {
    /// The sum of both.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// What is left of the sum without `other`, which is in it.
    #[must_use]
    fn minus(self, other: Self) -> Self;
}

/// What is summed up over entries, so that a sum follows insertions, changes and removals.
pub trait Measure<K, V>: Group {
    /// That of one entry.
    fn of(key: &K, value: &V) -> Self;
}

impl<K, V> Measure<K, V> for () {
    fn of(_: &K, _: &V) {}
}

impl Group for () {
    fn plus(self, (): Self) {}
    fn minus(self, (): Self) {}
}

#[derive(Clone)]
enum Tree<K, V, M> {
    Leaf(Vec<(K, V)>),
    /// Children, each with its smallest key.
    Inner(Vec<(K, Child<K, V, M>)>),
}

#[derive(Clone)]
struct Child<K, V, M> {
    tree: Arc<Tree<K, V, M>>,
    /// Over the entries in it.
    sum: M,
}

type Split<K, V, M> = Option<(K, Child<K, V, M>)>;

impl<K, V, M: Measure<K, V>> Child<K, V, M> {
    fn new(tree: Arc<Tree<K, V, M>>) -> Self {
        let sum = tree.sum();
        Self { tree, sum }
    }
}

impl<K, V, M: Measure<K, V>> Tree<K, V, M> {
    /// Over its entries, from the sums of its children.
    fn sum(&self) -> M {
        match self {
            Tree::Leaf(entries) => entries
                .iter()
                .map(|(key, value)| M::of(key, value))
                .fold(M::default(), M::plus),
            Tree::Inner(children) => children
                .iter()
                .map(|(_, child)| child.sum)
                .fold(M::default(), M::plus),
        }
    }
}

impl<K, V, M> CowMap<K, V, M> {
    /// An empty map; allocates nothing.
    pub const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are clones of one map and neither was written since. O(1); `false` does not
    /// say that they differ.
    pub fn same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// All entries in order.
    pub fn iter(&self) -> Iter<'_, K, V, M> {
        let mut iter = Iter { stack: Vec::new() };
        if let Some(root) = &self.root {
            iter.stack.push((root, 0));
        }
        iter
    }
}

impl<K: Ord, V, M> CowMap<K, V, M> {
    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut tree = self.root.as_deref()?;
        loop {
            match tree {
                Tree::Leaf(entries) => {
                    let at = entries
                        .binary_search_by(|(k, _)| k.borrow().cmp(key))
                        .ok()?;
                    return Some(&entries[at].1);
                }
                Tree::Inner(children) => tree = &children[child_of(children, key)].1.tree,
            }
        }
    }

    /// Whether there is an entry for `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The last entry whose key is one that `is_at_most` says yes to; it does for all before one of those.
    pub fn floor_by(&self, is_at_most: impl Fn(&K) -> bool) -> Option<(&K, &V)> {
        let mut tree = self.root.as_deref()?;
        loop {
            match tree {
                Tree::Leaf(entries) => {
                    let at = at_most(entries, &is_at_most).checked_sub(1)?;
                    let (key, value) = &entries[at];
                    return Some((key, value));
                }
                Tree::Inner(children) => {
                    let at = at_most(children, &is_at_most).checked_sub(1)?;
                    tree = &children[at].1.tree;
                }
            }
        }
    }

    /// The greatest entry.
    pub fn last(&self) -> Option<(&K, &V)> {
        let mut tree = self.root.as_deref()?;
        loop {
            match tree {
                Tree::Leaf(entries) => return entries.last().map(|(k, v)| (k, v)),
                Tree::Inner(children) => tree = &children.last()?.1.tree,
            }
        }
    }

    /// Entries in order, beginning at a bound.
    pub fn iter_from<Q: Ord + ?Sized>(&self, from: Bound<&Q>) -> Iter<'_, K, V, M>
    where
        K: Borrow<Q>,
    {
        let key = match from {
            Bound::Unbounded => return self.iter(),
            Bound::Included(key) | Bound::Excluded(key) => key,
        };
        let mut iter = Iter { stack: Vec::new() };
        let mut next = self.root.as_deref();
        while let Some(tree) = next {
            match tree {
                Tree::Leaf(entries) => {
                    let at = entries.partition_point(|(k, _)| match from {
                        Bound::Excluded(_) => k.borrow() <= key,
                        _ => k.borrow() < key,
                    });
                    iter.stack.push((tree, at));
                    next = None;
                }
                Tree::Inner(children) => {
                    let at = child_of(children, key);
                    iter.stack.push((tree, at + 1));
                    next = Some(&children[at].1.tree);
                }
            }
        }
        iter
    }
}

impl<K: Ord, V, M: Measure<K, V>> CowMap<K, V, M> {
    /// The sum over the entries whose keys are less than `key`. O(log n).
    pub fn sum_below<Q: Ord + ?Sized>(&self, key: &Q) -> M
    where
        K: Borrow<Q>,
    {
        let mut sum = M::default();
        let mut next = self.root.as_deref();
        while let Some(tree) = next {
            next = match tree {
                Tree::Leaf(entries) => {
                    let below = entries.iter().take_while(|(k, _)| k.borrow() < key);
                    sum = below.map(|(k, v)| M::of(k, v)).fold(sum, M::plus);
                    None
                }
                Tree::Inner(children) => {
                    let at = child_of(children, key);
                    let before = children[..at].iter();
                    sum = before.map(|(_, child)| child.sum).fold(sum, M::plus);
                    Some(&*children[at].1.tree)
                }
            };
        }
        sum
    }

    /// The first entry with which the sum over it and all before it is one that `reaches`, and the sum over
    /// those before it. O(log n).
    pub fn first_where(&self, reaches: impl Fn(M) -> bool) -> Option<(&K, &V, M)> {
        let mut sum = M::default();
        let mut tree = self.root.as_deref()?;
        loop {
            match tree {
                Tree::Leaf(entries) => {
                    return entries.iter().find_map(|(key, value)| {
                        let before = sum;
                        sum = sum.plus(M::of(key, value));
                        reaches(sum).then_some((key, value, before))
                    });
                }
                Tree::Inner(children) => {
                    let child = children.iter().map(|(_, child)| child).find(|child| {
                        let with = sum.plus(child.sum);
                        let found = reaches(with);
                        if !found {
                            sum = with;
                        }
                        found
                    });
                    tree = &child?.tree;
                }
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone, M: Measure<K, V>> CowMap<K, V, M> {
    /// A map of entries whose keys ascend. O(n).
    pub fn from_sorted(entries: Vec<(K, V)>) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
        let len = entries.len();
        let leaf = |entries: Vec<(K, V)>| {
            let first = entries.first().map(|(key, _)| key.clone());
            first.map(|first| (first, Child::new(Arc::new(Tree::Leaf(entries)))))
        };
        let mut level: Vec<_> = chunks(entries).filter_map(leaf).collect();
        while level.len() > 1 {
            let inner = |children: Vec<(K, Child<K, V, M>)>| {
                let first = children.first().map(|(key, _)| key.clone());
                first.map(|first| (first, Child::new(Arc::new(Tree::Inner(children)))))
            };
            level = chunks(level).filter_map(inner).collect();
        }
        let root = level.pop().map(|(_, root)| root.tree);
        Self { root, len }
    }

    /// Takes in the values of a map of the same keys, if the two trees have the same form, as those of
    /// two versions of one map mostly have. `join` changes a value here and says whether it did.
    /// Returns whether it was so; if not, nothing has changed. What neither has written since they
    /// parted is passed over.
    pub fn join_in_step(&mut self, other: &Self, join: impl Fn(&mut V, &V) -> bool) -> bool {
        let (Some(ours), Some(theirs)) = (&self.root, &other.root) else {
            return self.root.is_none() && other.root.is_none();
        };
        let mut joined = Arc::clone(ours);
        let in_step = join_trees(&mut joined, theirs, &join).is_some();
        if in_step {
            self.root = Some(joined);
        }
        in_step
    }

    /// Changes the value of the last key that `is_at_most` says yes to. Copies shared nodes on the way.
    pub fn change_floor<T>(
        &mut self,
        is_at_most: impl Fn(&K) -> bool,
        change: impl FnOnce(&K, &mut V) -> T,
    ) -> Option<T> {
        let root = Arc::make_mut(self.root.as_mut()?);
        change_floor(root, &is_at_most, change).map(|(out, ..)| out)
    }
}

impl<K: Ord + Clone, V: Clone> CowMap<K, V> {
    /// The value of `key`, to be changed. Copies shared nodes on the way.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let mut tree = Arc::make_mut(self.root.as_mut()?);
        loop {
            match tree {
                Tree::Leaf(entries) => {
                    let at = entries
                        .binary_search_by(|(k, _)| k.borrow().cmp(key))
                        .ok()?;
                    return Some(&mut entries[at].1);
                }
                Tree::Inner(children) => {
                    let at = child_of(children, key);
                    tree = Arc::make_mut(&mut children[at].1.tree);
                }
            }
        }
    }

    /// The value of the last key that `is_at_most` says yes to, to be changed. Copies shared nodes
    /// on the way.
    pub fn floor_mut_by(&mut self, is_at_most: impl Fn(&K) -> bool) -> Option<&mut V> {
        let mut tree = Arc::make_mut(self.root.as_mut()?);
        loop {
            match tree {
                Tree::Leaf(entries) => {
                    let at = at_most(entries, &is_at_most).checked_sub(1)?;
                    return Some(&mut entries[at].1);
                }
                Tree::Inner(children) => {
                    let at = at_most(children, &is_at_most).checked_sub(1)?;
                    tree = Arc::make_mut(&mut children[at].1.tree);
                }
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone, M: Measure<K, V>> CowMap<K, V, M> {
    /// Sets the value of `key` and returns the former one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(root) = &mut self.root else {
            self.root = Some(Arc::new(Tree::Leaf(alloc::vec![(key, value)])));
            self.len = 1;
            return None;
        };
        let (former, split) = insert(Arc::make_mut(root), key, value);
        if let Some(right) = split {
            let first = first_key(root).cloned();
            if let Some(first) = first {
                let left = Child::new(Arc::clone(root));
                *root = Arc::new(Tree::Inner(alloc::vec![(first, left), right]));
            }
        }
        self.len += usize::from(former.is_none());
        former.map(|(value, _)| value)
    }

    /// Takes the entry of `key` out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let root = self.root.as_mut()?;
        let former = remove(Arc::make_mut(root), key);
        self.len -= usize::from(former.is_some());
        while let Some(root) = &mut self.root {
            match &**root {
                Tree::Leaf(entries) if entries.is_empty() => self.root = None,
                Tree::Inner(children) if children.len() == 1 => {
                    *root = Arc::clone(&children[0].1.tree)
                }
                _ => break,
            }
        }
        former.map(|(_, value)| value)
    }
}

/// See [`CowMap::join_in_step`]. Returns whether anything changed, `None` if the two are not of one
/// form.
fn join_trees<K: Eq + Clone, V: Clone, M: Copy>(
    ours: &mut Arc<Tree<K, V, M>>,
    theirs: &Arc<Tree<K, V, M>>,
    join: &impl Fn(&mut V, &V) -> bool,
) -> Option<bool> {
    if Arc::ptr_eq(ours, theirs) {
        return Some(false);
    }
    let joined = match (&**ours, &**theirs) {
        (Tree::Leaf(ours), Tree::Leaf(theirs)) => {
            join_items(ours, theirs, |a, b| Some(join(a, b)))?.map(Tree::Leaf)
        }
        (Tree::Inner(ours), Tree::Inner(theirs)) => {
            join_items(ours, theirs, |a, b| join_trees(&mut a.tree, &b.tree, join))?
                .map(Tree::Inner)
        }
        _ => return None,
    };
    let changed = joined.is_some();
    if let Some(joined) = joined {
        *ours = Arc::new(joined);
    }
    Some(changed)
}

/// What becomes of the items of a node, `None` within if they stay.
#[allow(clippy::type_complexity)]
fn join_items<K: Eq + Clone, T: Clone>(
    ours: &[(K, T)],
    theirs: &[(K, T)],
    join: impl Fn(&mut T, &T) -> Option<bool>,
) -> Option<Option<Vec<(K, T)>>> {
    let same = ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.0 == b.0);
    if !same {
        return None;
    }
    let mut joined = ours.to_vec();
    let mut changed = false;
    for ((_, mine), (_, theirs)) in joined.iter_mut().zip(theirs) {
        changed |= join(mine, theirs)?;
    }
    Some(changed.then_some(joined))
}

/// Items in parts of a node's size.
fn chunks<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    core::iter::from_fn(move || {
        let part: Vec<T> = items.by_ref().take(CAPACITY).collect();
        (!part.is_empty()).then_some(part)
    })
}

/// How many of the first keys are at most what is looked for.
fn at_most<K, T>(items: &[(K, T)], is_at_most: &impl Fn(&K) -> bool) -> usize {
    items.partition_point(|(key, _)| is_at_most(key))
}

/// Returns what `change` did, and the sum over the entry before and after.
fn change_floor<K: Clone, V: Clone, M: Measure<K, V>, T>(
    tree: &mut Tree<K, V, M>,
    is_at_most: &impl Fn(&K) -> bool,
    change: impl FnOnce(&K, &mut V) -> T,
) -> Option<(T, M, M)> {
    match tree {
        Tree::Leaf(entries) => {
            let at = at_most(entries, is_at_most).checked_sub(1)?;
            let (key, value) = &mut entries[at];
            let before = M::of(key, value);
            let out = change(key, value);
            Some((out, before, M::of(key, value)))
        }
        Tree::Inner(children) => {
            let at = at_most(children, is_at_most).checked_sub(1)?;
            let child = &mut children[at].1;
            let (out, before, after) =
                change_floor(Arc::make_mut(&mut child.tree), is_at_most, change)?;
            child.sum = child.sum.minus(before).plus(after);
            Some((out, before, after))
        }
    }
}

/// The child that may hold `key`.
fn child_of<K: Ord + Borrow<Q>, Q: Ord + ?Sized, T>(children: &[(K, T)], key: &Q) -> usize {
    children
        .partition_point(|(first, _)| first.borrow() <= key)
        .saturating_sub(1)
}

fn first_key<K, V, M>(tree: &Tree<K, V, M>) -> Option<&K> {
    match tree {
        Tree::Leaf(entries) => entries.first().map(|(k, _)| k),
        Tree::Inner(children) => children.first().map(|(k, _)| k),
    }
}

/// Returns the former value, and the sum over the entry of it.
fn insert<K: Ord + Clone, V: Clone, M: Measure<K, V>>(
    tree: &mut Tree<K, V, M>,
    key: K,
    value: V,
) -> (Option<(V, M)>, Split<K, V, M>) {
    match tree {
        Tree::Leaf(entries) => match entries.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => {
                let former = core::mem::replace(&mut entries[at].1, value);
                let sum = M::of(&key, &former);
                (Some((former, sum)), None)
            }
            Err(at) => {
                entries.insert(at, (key, value));
                (
                    None,
                    split(entries, at)
                        .map(|(k, right)| (k, Child::new(Arc::new(Tree::Leaf(right))))),
                )
            }
        },
        Tree::Inner(children) => {
            let at = child_of(children, &key);
            if key < children[at].0 {
                children[at].0 = key.clone();
            }
            let added = M::of(&key, &value);
            let child = &mut children[at].1;
            let (former, right) = insert(Arc::make_mut(&mut child.tree), key, value);
            child.sum = child.sum.plus(added);
            if let Some((_, sum)) = &former {
                child.sum = child.sum.minus(*sum);
            }
            let Some(right) = right else {
                return (former, None);
            };
            child.sum = child.sum.minus(right.1.sum);
            children.insert(at + 1, right);
            (
                former,
                split(children, at + 1)
                    .map(|(k, right)| (k, Child::new(Arc::new(Tree::Inner(right))))),
            )
        }
    }
}

/// Takes the right part out of a node that is too full. Where the last insertion was at the end,
/// as it is for ascending keys, the left part stays full.
fn split<K: Clone, T>(items: &mut Vec<(K, T)>, inserted: usize) -> Option<(K, Vec<(K, T)>)> {
    if items.len() <= CAPACITY {
        return None;
    }
    let at = if inserted + 1 == items.len() {
        CAPACITY
    } else {
        CAPACITY / 2
    };
    let right = items.split_off(at);
    items.shrink_to_fit();
    Some((right[0].0.clone(), right))
}

fn remove<K: Ord + Clone + Borrow<Q>, V: Clone, M: Measure<K, V>, Q: Ord + ?Sized>(
    tree: &mut Tree<K, V, M>,
    key: &Q,
) -> Option<(K, V)> {
    match tree {
        Tree::Leaf(entries) => {
            let at = entries
                .binary_search_by(|(k, _)| k.borrow().cmp(key))
                .ok()?;
            Some(entries.remove(at))
        }
        Tree::Inner(children) => {
            let at = child_of(children, key);
            let child = &mut children[at].1;
            let former = remove(Arc::make_mut(&mut child.tree), key);
            if let Some((key, value)) = &former {
                child.sum = child.sum.minus(M::of(key, value));
            }
            match first_key(&child.tree).cloned() {
                None => drop(children.remove(at)),
                Some(first) => children[at].0 = first,
            }
            if children
                .get(at)
                .is_some_and(|child| size(&child.1.tree) < SPARSE)
            {
                merge_with_neighbour(children, at);
            }
            former
        }
    }
}

fn size<K, V, M>(tree: &Tree<K, V, M>) -> usize {
    match tree {
        Tree::Leaf(entries) => entries.len(),
        Tree::Inner(children) => children.len(),
    }
}

fn merge_with_neighbour<K: Clone, V: Clone, M: Measure<K, V>>(
    children: &mut Vec<(K, Child<K, V, M>)>,
    at: usize,
) {
    // The one behind, or for the last one the one before.
    let left = at.min(children.len().saturating_sub(2));
    if left + 1 >= children.len()
        || size(&children[left].1.tree) + size(&children[left + 1].1.tree) > CAPACITY - SPARSE
    {
        return;
    }
    let (_, right) = children.remove(left + 1);
    let left = &mut children[left].1;
    left.sum = left.sum.plus(right.sum);
    let right = Arc::try_unwrap(right.tree).unwrap_or_else(|shared| (*shared).clone());
    match (Arc::make_mut(&mut left.tree), right) {
        (Tree::Leaf(entries), Tree::Leaf(more)) => entries.extend(more),
        (Tree::Inner(entries), Tree::Inner(more)) => entries.extend(more),
        // All children of a node are of one height, so of one kind.
        _ => debug_assert!(false, "siblings of unequal height"),
    }
}

/// Entries of a [`CowMap`] in order.
pub struct Iter<'a, K, V, M = ()> {
    stack: Vec<(&'a Tree<K, V, M>, usize)>,
}

impl<'a, K, V, M> Iterator for Iter<'a, K, V, M> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (tree, at) = self.stack.last_mut()?;
            let index = *at;
            *at += 1;
            match tree {
                Tree::Leaf(entries) => match entries.get(index) {
                    Some((k, v)) => return Some((k, v)),
                    None => self.stack.pop(),
                },
                Tree::Inner(children) => match children.get(index) {
                    Some((_, child)) => {
                        self.stack.push((&child.tree, 0));
                        continue;
                    }
                    None => self.stack.pop(),
                },
            };
        }
    }
}

impl<K, V, M> Clone for CowMap<K, V, M> {
    fn clone(&self) -> Self {
        Self {
            root: self.root.clone(),
            len: self.len,
        }
    }
}

impl<K, V, M> Default for CowMap<K, V, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq, M> PartialEq for CowMap<K, V, M> {
    fn eq(&self, other: &Self) -> bool {
        self.same(other) || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl<K: Eq, V: Eq, M> Eq for CowMap<K, V, M> {}

impl<K: fmt::Debug, V: fmt::Debug, M> fmt::Debug for CowMap<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, K, V, M> IntoIterator for &'a CowMap<K, V, M> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V, M>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Clone, V: Clone, M: Measure<K, V>> FromIterator<(K, V)> for CowMap<K, V, M> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (k, v) in entries {
            map.insert(k, v);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of nodes, each of which has to be within its size.
    fn nodes(tree: &Tree<u32, (), ()>) -> usize {
        let (size, below) = match tree {
            Tree::Leaf(entries) => (entries.len(), 0),
            Tree::Inner(children) => {
                let below = children.iter().map(|(_, child)| nodes(&child.tree)).sum();
                (children.len(), below)
            }
        };
        assert!(size <= CAPACITY, "{size} in a node");
        1 + below
    }

    #[test]
    fn nodes_stay_within_their_size_and_a_map_that_shrinks_gives_them_back() {
        const N: u32 = 5_000;
        let ascending: Vec<u32> = (0..N).collect();
        let descending: Vec<u32> = (0..N).rev().collect();
        // 1 867 and 5 000 have no factor in common.
        let scattered: Vec<u32> = (0..N).map(|k| k * 1_867 % N).collect();
        for (arrival, departure) in [
            (&ascending, &ascending),
            (&ascending, &descending),
            (&ascending, &scattered),
            (&scattered, &scattered),
        ] {
            let mut map: CowMap<u32, ()> = arrival.iter().map(|k| (*k, ())).collect();
            for k in departure {
                let nodes = map.root.as_deref().map_or(0, nodes);
                assert!(nodes <= 4 + map.len() / 7, "{nodes} for {}", map.len());
                map.remove(k);
            }
            assert!(map.is_empty());
        }
    }
}
