//! The places under a place, to read.

use core::ops::Bound;

use super::block::Block;
use super::children::{BlockIter, Children, Judge};
use super::node::NodeRef;
use super::zip::Differences;

static NONE: Children = Children::new();

/// The places under a place, by name, in order.
#[derive(Clone, Copy, Debug)]
pub struct ChildrenRef<'a>(Kind<'a>);

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Map(&'a Children),
    /// One, which stands in the columns of the place that it is under.
    Only(&'a Block, usize),
}

impl<'a> ChildrenRef<'a> {
    /// None.
    pub const fn none() -> Self {
        Self(Kind::Map(&NONE))
    }

    pub(super) fn of(children: &'a Children) -> Self {
        Self(Kind::Map(children))
    }

    pub(super) fn only(block: &'a Block, at: usize) -> Self {
        Self(Kind::Only(block, at))
    }

    /// Number of places. O(1).
    pub fn len(self) -> usize {
        match self.0 {
            Kind::Map(children) => children.len,
            Kind::Only(..) => 1,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The place of a name. O(log n).
    pub fn get(self, name: &[u8]) -> Option<NodeRef<'a>> {
        match self.0 {
            Kind::Map(children) => children.get(name),
            Kind::Only(block, at) => {
                let (only, place) = block.lower(at)?;
                (only.as_bytes() == name).then_some(place)
            }
        }
    }

    /// Whether there is a place of this name. O(log n).
    pub fn contains(self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Names in order, with their places.
    pub fn iter(self) -> Iter<'a> {
        match self.0 {
            Kind::Map(children) => Iter {
                here: None,
                blocks: children.blocks(),
                only: None,
            },
            Kind::Only(block, at) => Iter::only(Some((block, at))),
        }
    }

    /// Names in order, beginning at a bound. O(log n) to begin.
    pub fn iter_from(self, from: Bound<&[u8]>) -> Iter<'a> {
        match self.0 {
            Kind::Map(children) => {
                let (here, blocks) = children.blocks_from(from);
                let only = None;
                Iter { here, blocks, only }
            }
            Kind::Only(block, at) => {
                let within = block.lower(at).is_some_and(|(only, _)| match from {
                    Bound::Included(name) => only.as_bytes() >= name,
                    Bound::Excluded(name) => only.as_bytes() > name,
                    Bound::Unbounded => true,
                });
                Iter::only(within.then_some((block, at)))
            }
        }
    }

    /// The last place.
    pub fn last(self) -> Option<(&'a [u8], NodeRef<'a>)> {
        match self.0 {
            Kind::Map(children) => children.last(),
            Kind::Only(block, at) => {
                let (name, place) = block.lower(at)?;
                Some((name.as_bytes(), place))
            }
        }
    }

    /// What is in either and not the same in both, in order: name, place here, place there. What both
    /// share is passed over, so after few changes this costs little.
    pub fn differences(self, other: ChildrenRef<'a>) -> Differences<'a> {
        match (self.0, other.0) {
            (Kind::Map(here), Kind::Map(there)) => Differences::of_maps(here, there),
            _ => Differences::of_few(self.iter(), other.iter()),
        }
    }

    /// Both in one; see [`Children::join`].
    pub(super) fn join(self, other: ChildrenRef<'_>, judge: &mut impl Judge) -> Children {
        let (here, there) = (self.to_children(), other.to_children());
        here.join(&there, judge)
    }

    /// A copy to keep. O(1).
    pub(super) fn to_children(self) -> Children {
        match self.0 {
            Kind::Map(children) => children.clone(),
            Kind::Only(block, at) => {
                let only = block.lower(at);
                only.map_or(Children::new(), |(name, place)| Children::only(name, place))
            }
        }
    }
}

impl PartialEq for ChildrenRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.differences(*other).next().is_none()
    }
}

impl Eq for ChildrenRef<'_> {}

/// Names in order, with their places.
pub struct Iter<'a> {
    here: Option<(&'a Block, usize)>,
    blocks: BlockIter<'a>,
    only: Option<(&'a Block, usize)>,
}

impl<'a> Iter<'a> {
    fn only(only: Option<(&'a Block, usize)>) -> Self {
        let (here, blocks) = (None, BlockIter::One(None));
        Self { here, blocks, only }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], NodeRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((block, at)) = &mut self.here
                && *at < block.len()
            {
                let item = (block.name(*at), block.get(*at));
                *at += 1;
                return Some(item);
            }
            let Some(block) = self.blocks.next() else {
                let (block, at) = self.only.take()?;
                let (name, place) = block.lower(at)?;
                return Some((name.as_bytes(), place));
            };
            self.here = Some((block, 0));
        }
    }
}

impl<'a> IntoIterator for ChildrenRef<'a> {
    type Item = (&'a [u8], NodeRef<'a>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
