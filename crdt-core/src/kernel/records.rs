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
    len: usize,
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Those at a path.
    pub(super) fn at(&self, path: &[Name]) -> &[Record] {
        if self.len == 0 {
            return &[];
        }
        self.by_path.get(path).map_or(&[], |records| records)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Record)> {
        each(self.by_path.iter())
    }

    /// Those at a path and under it.
    pub(super) fn under(&self, path: &[Name]) -> impl Iterator<Item = (&Path, &Record)> {
        let from = (self.len > 0).then(|| self.by_path.iter_from(Bound::Included(path)));
        let under = from.into_iter().flatten();
        each(under.take_while(move |(p, _)| p.starts_with(path)))
    }

    /// Those at a path and above it.
    pub(super) fn above(&self, path: &[Name]) -> impl Iterator<Item = &Record> {
        let depths = if self.len == 0 { 0 } else { path.len() + 1 };
        (0..depths).flat_map(move |depth| self.at(&path[..depth]))
    }

    /// Adds one; those of a path stay in the order of their events.
    pub(super) fn insert(&mut self, path: &Path, record: Record) {
        self.len += 1;
        let here = self.at(path);
        let (before, behind) = here.split_at(here.partition_point(|r| r.dot < record.dot));
        let all: Arc<[Record]> = if here.is_empty() {
            Arc::new([record])
        } else {
            let (before, behind) = (before.iter().cloned(), behind.iter().cloned());
            before.chain([record]).chain(behind).collect()
        };
        self.by_path.insert(path.clone(), all);
    }

    /// Takes the record of an event at a path out.
    pub(super) fn remove(&mut self, path: &[Name], dot: Dot) -> Option<Record> {
        let here = self.at(path);
        let removed = here.iter().find(|r| r.dot == dot).cloned()?;
        let left: Vec<Record> = here.iter().filter(|r| r.dot != dot).cloned().collect();
        self.len -= 1;
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
