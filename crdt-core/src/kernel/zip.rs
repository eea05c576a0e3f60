//! Two of the maps of children in step: what both share is met as whole blocks.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::iter::Peekable;

use super::block::Block;
use super::children::{BlockIter, Children};
use super::children_ref::Iter;
use super::node::NodeRef;

/// Two in step, in the order of names.
pub(super) struct Zip<'a> {
    left: Side<'a>,
    right: Side<'a>,
}

struct Side<'a> {
    here: Option<(&'a Arc<Block>, usize)>,
    blocks: BlockIter<'a>,
}

pub(super) enum Pair<'a> {
    /// A block that both share.
    Shared(&'a Arc<Block>),
    /// A block before everything that is left on the other side.
    Left(&'a Arc<Block>),
    Right(&'a Arc<Block>),
    /// A place that the other side has not.
    LeftPlace(&'a Block, usize),
    RightPlace(&'a Block, usize),
    Both((&'a Block, usize), (&'a Block, usize)),
}

impl<'a> Side<'a> {
    fn new(children: &'a Children) -> Self {
        let mut side = Self {
            here: None,
            blocks: children.blocks(),
        };
        side.next_block();
        side
    }

    fn next_block(&mut self) {
        self.here = self.blocks.next().map(|block| (block, 0));
    }

    fn step(&mut self) {
        if let Some((_, at)) = self.here {
            self.go_on(at + 1);
        }
    }

    fn go_on(&mut self, to: usize) {
        if let Some((block, at)) = &mut self.here {
            *at = to;
            if *at == block.len() {
                self.next_block();
            }
        }
    }
}

impl<'a> Zip<'a> {
    pub(super) fn new(left: &'a Children, right: &'a Children) -> Self {
        Self {
            left: Side::new(left),
            right: Side::new(right),
        }
    }

    pub(super) fn next(&mut self) -> Option<Pair<'a>> {
        let pair = match (self.left.here, self.right.here) {
            (None, None) => return None,
            (Some((a, 0)), None) => {
                self.left.next_block();
                Pair::Left(a)
            }
            (None, Some((b, 0))) => {
                self.right.next_block();
                Pair::Right(b)
            }
            (Some((a, at)), None) => {
                self.left.step();
                Pair::LeftPlace(a, at)
            }
            (None, Some((b, bt))) => {
                self.right.step();
                Pair::RightPlace(b, bt)
            }
            (Some((a, at)), Some((b, bt))) => self.pair((a, at), (b, bt)),
        };
        Some(pair)
    }

    /// Where both sides stand, if it is in two blocks that overlap and are plain.
    #[allow(clippy::type_complexity)]
    pub(super) fn plain(&self) -> Option<((&'a Block, usize), (&'a Block, usize))> {
        let ((a, at), (b, bt)) = (self.left.here?, self.right.here?);
        let apart = |one: &Block, at, other: &Block, bt| {
            at == 0 && one.name(one.len() - 1) < other.name(bt)
        };
        let plain = a.is_plain() && b.is_plain() && !Arc::ptr_eq(a, b);
        let overlap = plain && !apart(a, at, b, bt) && !apart(b, bt, a, at);
        overlap.then_some(((a, at), (b, bt)))
    }

    /// Goes on to places in the two blocks where it stands, or to what comes after their ends.
    pub(super) fn go_on(&mut self, at: usize, bt: usize) {
        self.left.go_on(at);
        self.right.go_on(bt);
    }

    fn pair(
        &mut self,
        (a, at): (&'a Arc<Block>, usize),
        (b, bt): (&'a Arc<Block>, usize),
    ) -> Pair<'a> {
        // Names ascend on both sides, so both are at the beginning of a block that they share.
        if Arc::ptr_eq(a, b) {
            debug_assert_eq!((at, bt), (0, 0));
            self.left.next_block();
            self.right.next_block();
            return Pair::Shared(a);
        }
        let (left, right) = (a.name(at), b.name(bt));
        match compare(left, right) {
            Ordering::Equal => {
                self.left.step();
                self.right.step();
                Pair::Both((a, at), (b, bt))
            }
            Ordering::Less if at == 0 && a.name(a.len() - 1) < right => {
                self.left.next_block();
                Pair::Left(a)
            }
            Ordering::Less => {
                self.left.step();
                Pair::LeftPlace(a, at)
            }
            Ordering::Greater if bt == 0 && b.name(b.len() - 1) < left => {
                self.right.next_block();
                Pair::Right(b)
            }
            Ordering::Greater => {
                self.right.step();
                Pair::RightPlace(b, bt)
            }
        }
    }
}

/// See [`ChildrenRef::differences`](super::ChildrenRef::differences).
pub struct Differences<'a>(Kind<'a>);

#[allow(
    clippy::large_enum_variant,
    reason = "on the stack of whoever compares; a box would cost an allocation each time"
)]
enum Kind<'a> {
    Maps {
        zip: Zip<'a>,
        /// The rest of a block that one side has alone, and whether that is the left one.
        rest: Option<(&'a Block, usize, bool)>,
    },
    /// At least one side has one place at most.
    Few(Peekable<Iter<'a>>, Peekable<Iter<'a>>),
}

type Difference<'a> = (&'a [u8], Option<NodeRef<'a>>, Option<NodeRef<'a>>);

impl<'a> Differences<'a> {
    pub(super) fn of_maps(left: &'a Children, right: &'a Children) -> Self {
        let zip = Zip::new(left, right);
        Self(Kind::Maps { zip, rest: None })
    }

    pub(super) fn of_few(left: Iter<'a>, right: Iter<'a>) -> Self {
        Self(Kind::Few(left.peekable(), right.peekable()))
    }
}

impl<'a> Iterator for Differences<'a> {
    type Item = Difference<'a>;

    fn next(&mut self) -> Option<Difference<'a>> {
        match &mut self.0 {
            Kind::Maps { zip, rest } => next_of_maps(zip, rest),
            Kind::Few(left, right) => next_of_few(left, right),
        }
    }
}

fn next_of_maps<'a>(
    zip: &mut Zip<'a>,
    rest: &mut Option<(&'a Block, usize, bool)>,
) -> Option<Difference<'a>> {
    let alone = |block: &'a Block, at, left: bool| {
        let place = Some(block.get(at));
        let (here, there) = if left { (place, None) } else { (None, place) };
        (block.name(at), here, there)
    };
    loop {
        if let Some((block, at, left)) = rest.take()
            && at < block.len()
        {
            *rest = Some((block, at + 1, left));
            return Some(alone(block, at, left));
        }
        match zip.next()? {
            Pair::Shared(_) => {}
            Pair::Left(block) => *rest = Some((block, 0, true)),
            Pair::Right(block) => *rest = Some((block, 0, false)),
            Pair::LeftPlace(block, at) => return Some(alone(block, at, true)),
            Pair::RightPlace(block, at) => return Some(alone(block, at, false)),
            Pair::Both((a, at), (b, bt)) => {
                let (here, there) = (a.get(at), b.get(bt));
                if here != there {
                    return Some((a.name(at), Some(here), Some(there)));
                }
            }
        }
    }
}

fn next_of_few<'a>(
    left: &mut Peekable<Iter<'a>>,
    right: &mut Peekable<Iter<'a>>,
) -> Option<Difference<'a>> {
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let here = if order.is_le() { left.next() } else { None };
        let there = if order.is_ge() { right.next() } else { None };
        match (here, there) {
            (Some((_, here)), Some((_, there))) if here == there => {}
            (Some((name, here)), there) => {
                return Some((name, Some(here), there.map(|(_, there)| there)));
            }
            (None, Some((name, there))) => return Some((name, None, Some(there))),
            (None, None) => return None,
        }
    }
}

/// Most names differ in the first eight bytes, which are compared as one number.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(x), Some(y)) if x != y => u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y)),
        _ => a.cmp(b),
    }
}
