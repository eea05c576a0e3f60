//! The removal records of a store, by path.
//!
//! They stand in a tree of names, as what is live does: one way down passes all above a path, and comes to those at and
//! under it. A list by whole paths would have to follow each path to its names to compare it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::record::Record;
use crate::Dot;
use crate::cow_map::{self, CowMap};
use crate::name::{Name, Path, SearchKey};

/// Records by path. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    root: Many,
    len: usize,
}

/// What is kept at and under a path. No empty place is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The records of one path alone, wherever under this one that is: most have no others beside them.
    Only(Kept),
    Many(Many),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Many {
    here: Option<Kept>,
    below: CowMap<Name, Place>,
}

/// The records of a path, in the order of their events.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    path: Path,
    records: Arc<[Record]>,
}

impl Kept {
    fn one(path: &Path, record: Record) -> Self {
        Self {
            path: path.clone(),
            records: Arc::new([record]),
        }
    }

    fn insert(&mut self, record: Record) {
        let at = self.records.partition_point(|r| r.dot < record.dot);
        let (before, behind) = self.records.split_at(at);
        self.records = [before, &[record], behind].concat().into();
    }

    /// Takes a record out, and says whether there are others.
    fn remove(&mut self, dot: Dot) -> bool {
        let left = self.records.iter().filter(|r| r.dot != dot);
        self.records = left.cloned().collect();
        !self.records.is_empty()
    }
}

impl Place {
    fn insert(&mut self, depth: usize, path: &Path, record: Record) {
        match self {
            Self::Only(kept) if kept.path == *path => kept.insert(record),
            Self::Only(kept) => {
                let mut many = Many::default();
                many.put(depth, kept.clone());
                many.insert(depth, path, record);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.insert(depth, path, record),
        }
    }

    /// Takes the record of an event at a path out, where it is, and says whether there is anything left.
    fn remove(&mut self, depth: usize, path: &[Name], dot: Dot) -> bool {
        match self {
            Self::Only(kept) => kept.remove(dot),
            Self::Many(many) => {
                many.remove(depth, path, dot);
                if let Some(only) = many.only() {
                    *self = Self::Only(only);
                }
                true
            }
        }
    }
}

impl Many {
    fn below(&self, name: &Name) -> Option<&Place> {
        if self.below.is_empty() {
            return None;
        }
        let key = SearchKey::new(name);
        let (found, place) = self.below.floor_by(|own| key.is_at_least(own))?;
        (found == name).then_some(place)
    }

    /// What is kept at a path which has nothing in here.
    fn put(&mut self, depth: usize, kept: Kept) {
        match kept.path.get(depth).cloned() {
            Some(name) => drop(self.below.insert(name, Place::Only(kept))),
            None => self.here = Some(kept),
        }
    }

    fn insert(&mut self, depth: usize, path: &Path, record: Record) {
        let place = path.get(depth).and_then(|name| self.below.get_mut(name));
        if let Some(place) = place {
            place.insert(depth + 1, path, record);
        } else if let (true, Some(here)) = (path.len() == depth, &mut self.here) {
            here.insert(record);
        } else {
            self.put(depth, Kept::one(path, record));
        }
    }

    fn remove(&mut self, depth: usize, path: &[Name], dot: Dot) {
        let Some(name) = path.get(depth) else {
            if !self.here.as_mut().is_some_and(|here| here.remove(dot)) {
                self.here = None;
            }
            return;
        };
        let place = self.below.get_mut(name);
        if !place.is_some_and(|place| place.remove(depth + 1, path, dot)) {
            self.below.remove(name);
        }
    }

    /// The records that are here, if they are those of one path.
    fn only(&self) -> Option<Kept> {
        match (&self.here, self.below.len()) {
            (Some(here), 0) => Some(here.clone()),
            (None, 1) => match self.below.last()?.1 {
                Place::Only(kept) => Some(kept.clone()),
                Place::Many(_) => None,
            },
            _ => None,
        }
    }
}

/// The records around a path.
struct Around<'a> {
    at: &'a [Record],
    under: Kepts<'a>,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Those at a path, and those under it. On the way `above` is told those above it.
    pub(super) fn around<'a>(
        &'a self,
        path: &[Name],
        above: &mut dyn FnMut(&'a Record),
    ) -> (
        &'a [Record],
        impl Iterator<Item = (&'a Path, &'a Record)> + use<'a>,
    ) {
        let around = self.look(path, above);
        (around.at, each(around.under))
    }

    fn look<'a>(&'a self, path: &[Name], above: &mut dyn FnMut(&'a Record)) -> Around<'a> {
        let mut many = &self.root;
        let (mut at, mut under) = (&[][..], Kepts::default());
        for depth in 0.. {
            let here = many.here.as_ref().map_or(&[][..], |kept| &kept.records);
            let Some(name) = path.get(depth) else {
                at = here;
                under = Kepts::below(many);
                break;
            };
            here.iter().for_each(&mut *above);
            many = match many.below(name) {
                Some(Place::Many(many)) => many,
                Some(Place::Only(kept)) => {
                    if *kept.path == *path {
                        at = &kept.records;
                    } else if kept.path.starts_with(path) {
                        under.next = Some(kept);
                    } else if path.starts_with(&kept.path) {
                        kept.records.iter().for_each(&mut *above);
                    }
                    break;
                }
                None => break,
            };
        }
        Around { at, under }
    }

    /// Those at a path.
    pub(super) fn at(&self, path: &[Name]) -> &[Record] {
        self.look(path, &mut |_| {}).at
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Record)> {
        self.under(&[])
    }

    /// Those of paths from one on, in order.
    pub(super) fn paths_from(&self, path: &[Name]) -> impl Iterator<Item = (&Path, &[Record])> {
        let kept = Kepts::from(&self.root, path);
        kept.map(|kept| (&kept.path, &*kept.records))
    }

    /// Those at a path and under it.
    pub(super) fn under<'a>(
        &'a self,
        path: &'a [Name],
    ) -> impl Iterator<Item = (&'a Path, &'a Record)> {
        let paths = Kepts::from(&self.root, path);
        each(paths.take_while(|kept| kept.path.starts_with(path)))
    }

    /// Those above a path and at it.
    pub(super) fn each_above<'a>(&'a self, path: &[Name], mut each: impl FnMut(&'a Record)) {
        self.look(path, &mut each).at.iter().for_each(each);
    }

    /// Whether one above a path or at it is one of those.
    pub(super) fn any_above(&self, path: &[Name], is: impl Fn(&Record) -> bool) -> bool {
        let mut any = false;
        self.each_above(path, |record| any |= is(record));
        any
    }

    /// Adds one; those of a path stay in the order of their events.
    pub(super) fn insert(&mut self, path: &Path, record: Record) {
        self.len += 1;
        self.root.insert(0, path, record);
    }

    /// Takes the record of an event at a path out.
    pub(super) fn remove(&mut self, path: &[Name], dot: Dot) -> Option<Record> {
        let here = self.at(path);
        let removed = here.iter().find(|record| record.dot == dot).cloned()?;
        self.len -= 1;
        self.root.remove(0, path, dot);
        Some(removed)
    }
}

fn each<'a>(kept: impl Iterator<Item = &'a Kept>) -> impl Iterator<Item = (&'a Path, &'a Record)> {
    kept.flat_map(|kept| kept.records.iter().map(|record| (&kept.path, record)))
}

/// What is kept in some places, by paths in order.
#[derive(Default)]
struct Kepts<'a> {
    next: Option<&'a Kept>,
    /// What comes behind, the nearest last.
    behind: Vec<cow_map::Iter<'a, Name, Place>>,
}

impl<'a> Kepts<'a> {
    fn below(many: &'a Many) -> Self {
        let mut below = Self::default();
        below.go_below(many);
        below
    }

    /// From a path on.
    fn from(root: &'a Many, path: &[Name]) -> Self {
        let mut kepts = Self::default();
        let mut many = root;
        for name in path {
            kepts
                .behind
                .push(many.below.iter_from(Bound::Excluded(name)));
            many = match many.below(name) {
                Some(Place::Many(many)) => many,
                Some(Place::Only(kept)) => {
                    kepts.next = (*kept.path >= *path).then_some(kept);
                    return kepts;
                }
                None => return kepts,
            };
        }
        kepts.next = many.here.as_ref();
        kepts.go_below(many);
        kepts
    }

    fn go_below(&mut self, many: &'a Many) {
        if !many.below.is_empty() {
            self.behind.push(many.below.iter());
        }
    }
}

impl<'a> Iterator for Kepts<'a> {
    type Item = &'a Kept;

    fn next(&mut self) -> Option<&'a Kept> {
        while self.next.is_none() {
            match self.behind.last_mut()?.next() {
                Some((_, Place::Only(kept))) => self.next = Some(kept),
                Some((_, Place::Many(many))) => {
                    self.next = many.here.as_ref();
                    self.go_below(many);
                }
                None => drop(self.behind.pop()),
            }
        }
        self.next.take()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::ReplicaId;

    fn record(seq: u64) -> Record {
        Record::of_all_before(Dot::new(ReplicaId::new(1, 1), seq))
    }

    fn listed<'a>(records: impl Iterator<Item = (&'a Path, &'a Record)>) -> Vec<(Path, u64)> {
        records.map(|(path, r)| (path.clone(), r.dot.seq)).collect()
    }

    /// Records come and go at paths that are above, under and beside each other.
    #[test]
    fn they_are_found_as_in_a_list_by_paths() {
        let mut state = 7u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) % below) as usize
        };
        let names = ["", "a", "b", "of more than twenty-two bytes"].map(Name::from);
        let mut path = || -> Path {
            let depth = random(4);
            (0..depth).map(|_| names[random(4)].clone()).collect()
        };
        let (mut records, mut model) = (Records::default(), BTreeMap::new());
        let mut most = 0;
        for step in 1..3_000u64 {
            let at = path();
            // Mostly more come than go, until it is the other way round.
            let goes = step % 3 == if step < 1_500 { 0 } else { step % 5 % 3 };
            let here: Vec<u64> = model
                .keys()
                .filter(|(p, _)| *p == at)
                .map(|(_, s)| *s)
                .collect();
            match here.first() {
                Some(seq) if goes => {
                    let removed = records.remove(&at, record(*seq).dot).unwrap();
                    assert_eq!(removed.dot.seq, *seq);
                    model.remove(&(at, *seq));
                }
                _ if !goes => {
                    // Not in the order of their events.
                    let seq = 2 + step * 7 % 3_001;
                    records.insert(&at, record(seq));
                    model.insert((at, seq), ());
                }
                _ => assert_eq!(records.remove(&at, record(2).dot), None),
            }
            most = most.max(model.len());
            assert_eq!(records.len(), model.len());
            let all: Vec<(Path, u64)> = model.keys().cloned().collect();
            assert_eq!(listed(records.iter()), all);
            let from = path();
            let is_under = |(p, _): &&(Path, u64)| p.starts_with(&from);
            let expected = |keep: &dyn Fn(&Path) -> bool| -> Vec<(Path, u64)> {
                all.iter().filter(|(p, _)| keep(p)).cloned().collect()
            };
            let paths = records.paths_from(&from);
            let paths = paths.flat_map(|(path, records)| records.iter().map(move |r| (path, r)));
            assert_eq!(listed(paths), expected(&|p| *p >= from));
            let under: Vec<_> = all.iter().filter(is_under).cloned().collect();
            assert_eq!(listed(records.under(&from)), under);
            let mut above = Vec::new();
            let (at, below) = records.around(&from, &mut |record| above.push(record.dot.seq));
            let at: Vec<u64> = at.iter().map(|record| record.dot.seq).collect();
            let seqs = |keep: &dyn Fn(&Path) -> bool| -> Vec<u64> {
                expected(keep).into_iter().map(|(_, seq)| seq).collect()
            };
            assert_eq!(at, seqs(&|p| *p == from));
            assert_eq!(
                listed(below),
                expected(&|p| *p != from && p.starts_with(&from))
            );
            assert_eq!(above, seqs(&|p| *p != from && from.starts_with(p)));
            let at_and_above = [above, at].concat();
            for seq in 0..9 {
                let any = records.any_above(&from, |r| r.dot.seq % 9 == seq);
                assert_eq!(any, at_and_above.iter().any(|s| s % 9 == seq));
            }
        }
        assert!(most > 100, "{most}");
        let left: Vec<_> = model.into_keys().collect();
        for (path, seq) in left {
            records.remove(&path, record(seq).dot).unwrap();
        }
        assert_eq!(records, Records::default(), "no empty place is kept");
    }
}
