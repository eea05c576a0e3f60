//! The removal records of a store, by path.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use super::record::Record;
use crate::Dot;
use crate::cow_map::CowMap;
use crate::name::{Name, Path};

/// Records by path. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    by_path: CowMap<Path, Arc<[Record]>>,
    /// How many there are at paths of each number of names: mostly all are at one, and others need no look.
    by_depth: Vec<usize>,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.by_depth.iter().sum()
    }

    fn any_at(&self, depth: usize) -> bool {
        self.by_depth.get(depth).is_some_and(|count| *count > 0)
    }

    fn any_below(&self, depth: usize) -> bool {
        let below = self.by_depth.iter().skip(depth + 1);
        below.sum::<usize>() > 0
    }

    /// Those at a path.
    pub(super) fn at(&self, path: &[Name]) -> &[Record] {
        if !self.any_at(path.len()) {
            return &[];
        }
        self.by_path.get(path).map_or(&[], |records| records)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Record)> {
        each(self.by_path.iter())
    }

    /// Those of paths from one on, in order.
    pub(super) fn paths_from(&self, path: &[Name]) -> impl Iterator<Item = (&Path, &[Record])> {
        let paths = self.by_path.iter_from(Bound::Included(path));
        paths.map(|(path, records)| (path, &**records))
    }

    /// Those at a path and under it.
    pub(super) fn under(&self, path: &[Name]) -> impl Iterator<Item = (&Path, &Record)> {
        let any = self.any_at(path.len()) || self.any_below(path.len());
        self.from(any.then_some(Bound::Included(path)), path)
    }

    /// Those under a path.
    pub(super) fn below(&self, path: &[Name]) -> impl Iterator<Item = (&Path, &Record)> {
        let any = self.any_below(path.len());
        self.from(any.then_some(Bound::Excluded(path)), path)
    }

    fn from<'a>(
        &'a self,
        from: Option<Bound<&[Name]>>,
        path: &[Name],
    ) -> impl Iterator<Item = (&'a Path, &'a Record)> {
        let from = from.map(|from| self.by_path.iter_from(from));
        let under = from.into_iter().flatten();
        each(under.take_while(move |(p, _)| p.starts_with(path)))
    }

    /// Those at a path and above it.
    pub(super) fn above(&self, path: &[Name]) -> impl Iterator<Item = &Record> {
        (0..=path.len()).flat_map(move |depth| self.at(&path[..depth]))
    }

    /// Adds one; those of a path stay in the order of their events.
    pub(super) fn insert(&mut self, path: &Path, record: Record) {
        if self.by_depth.len() <= path.len() {
            self.by_depth.resize(path.len() + 1, 0);
        }
        self.by_depth[path.len()] += 1;
        let dot = record.dot;
        let alone: Arc<[Record]> = Arc::new([record]);
        if let Some(former) = self.by_path.insert(path.clone(), Arc::clone(&alone)) {
            let (before, behind) = former.split_at(former.partition_point(|r| r.dot < dot));
            let all = [before, &alone, behind].concat();
            self.by_path.insert(path.clone(), all.into());
        }
    }

    /// Takes the record of an event at a path out.
    pub(super) fn remove(&mut self, path: &[Name], dot: Dot) -> Option<Record> {
        let here = self.at(path);
        let removed = here.iter().find(|r| r.dot == dot).cloned()?;
        let left: Vec<Record> = here.iter().filter(|r| r.dot != dot).cloned().collect();
        if let Some(count) = self.by_depth.get_mut(path.len()) {
            *count -= 1;
        }
        // Equal records, equal counts.
        while self.by_depth.last() == Some(&0) {
            self.by_depth.pop();
        }
        if left.is_empty() {
            self.by_path.remove(path);
        } else if let Some(all) = self.by_path.get_mut(path) {
            *all = left.into();
        }
        Some(removed)
    }
}

fn each<'a>(
    all: impl Iterator<Item = (&'a Path, &'a Arc<[Record]>)>,
) -> impl Iterator<Item = (&'a Path, &'a Record)> {
    all.flat_map(|(path, records)| records.iter().map(move |r| (path, r)))
}
