//! Full comparison: how a replica catches up that is behind what was forgotten.
//!
//! The sender states which dots of the receiver's context are still live, and brings those that
//! the receiver lacks; what is in the sender's context and neither is dead. Everything is staged,
//! and becomes visible in one commit.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::effect::Effect;
use super::leaf::{Value, ValueRef};
use super::record::{CutKey, Record};
use super::store::DotStore;
use super::unit::Unit;
use crate::name::Path;
use crate::version_vector::VersionVector;
use crate::{Context, Cut, Dot, ReplicaId};

/// What a sender says about a part of what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparisonPart {
    /// Live dots that the receiver's context has.
    pub kept: Context,
    /// Live dots, records and links that the receiver's context lacks, and runs that have a cut.
    pub unit: Unit,
}

/// All parts of one comparison, staged until the last has come.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    kept: Context,
    units: Vec<Unit>,
}

impl Comparison {
    /// Stages one part.
    pub fn stage(&mut self, part: ComparisonPart) {
        self.kept.union(&part.kept);
        if !part.unit.is_empty() {
            self.units.push(part.unit);
        }
    }

    /// Stages that these dots live, as far as they are not dead here.
    pub fn keep(&mut self, dots: &Context) {
        self.kept.union(dots);
    }

    /// The dots of which was said that they live.
    pub fn kept(&self) -> &Context {
        &self.kept
    }

    /// What was staged.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }
}

impl DotStore {
    /// What this store says to a peer with this context: entries one by one in the order of the
    /// tree, then the records and the links.
    pub fn compare<'a>(&'a self, peer: &'a Context) -> impl Iterator<Item = ComparisonPart> + 'a {
        let entries = self.root.as_ref().walk(&[]).map(move |(path, entry)| {
            let known = peer.contains(entry.dot);
            let cut = matches!(entry.value, ValueRef::Run(run) if run.cut_seq > 0);
            let mut part = ComparisonPart::default();
            if known {
                part.kept.insert(entry.dot);
            }
            if !known || cut {
                part.unit.adds.push((path, alloc::vec![entry.to_entry()]));
            }
            part
        });
        let records = self
            .records()
            .filter(|(_, r)| !peer.contains(r.dot))
            .map(|(path, r)| {
                let records = alloc::vec![(path.clone(), r.clone())];
                ComparisonPart {
                    kept: Context::new(),
                    unit: Unit {
                        records,
                        ..Unit::default()
                    },
                }
            });
        let links = self.links_lacked_by(peer).map(|link| {
            let links = alloc::vec![link.clone()];
            ComparisonPart {
                kept: Context::new(),
                unit: Unit {
                    links,
                    ..Unit::default()
                },
            }
        });
        entries.chain(records).chain(links)
    }

    /// Commits a comparison as one: kills what the sender knew and no longer has, takes in what it
    /// brought, its records and links, its context and its floor.
    ///
    /// `unnamed`: the live dots here that the sender has seen and that are not among those
    /// [kept](Comparison::kept), with their paths; of an index, so that it does not cost what is there.
    pub fn commit(
        &mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
        unnamed: impl IntoIterator<Item = (Path, Dot)>,
        effects: &mut Vec<Effect>,
    ) {
        let links = comparison.units.iter().flat_map(|unit| &unit.links);
        links.for_each(|link| self.keep_link(link));
        for (path, dot) in self.dead_by(comparison, unnamed) {
            self.die(&path, dot, effects);
        }
        let adds = || comparison.units.iter().flat_map(|unit| &unit.adds);
        for (path, entry) in adds().flat_map(|(p, entries)| entries.iter().map(move |e| (p, e))) {
            if !self.context.contains(entry.dot) {
                self.arrive(path, entry, effects);
            } else if let Value::Run(run) = entry.value {
                let key = CutKey {
                    path: path.clone(),
                    replica: entry.dot.replica,
                    start: run.start,
                };
                self.cut(
                    &key,
                    Cut {
                        newest: run.cut_seq,
                        total: run.cut_total,
                    },
                    effects,
                );
            }
        }
        for (path, record) in comparison.units.iter().flat_map(|unit| &unit.records) {
            if !self.context.contains(record.dot) {
                self.kill(path, record, effects);
                self.keep_record(path, record.clone(), effects);
            }
        }
        self.take_over(context, floor);
    }

    /// A store of what is live here and no more, to be filled with what is live elsewhere and [completed](Self::complete)
    /// to a copy of another store. O(1).
    pub fn values(&self) -> Self {
        Self {
            context: self.context.clone(),
            root: self.root.clone(),
            ..Self::default()
        }
    }

    /// Of a store of values: takes some away, without that being an event.
    pub fn discard(
        &mut self,
        gone: impl IntoIterator<Item = (Path, Dot)>,
        effects: &mut Vec<Effect>,
    ) {
        for (path, dot) in gone {
            self.die(&path, dot, effects);
        }
    }

    /// Of a store of values: says by `context` which they are, and leaves nothing beside them.
    pub fn reduce_to_values(&mut self, context: Context) {
        *self = Self {
            root: core::mem::take(&mut self.root),
            context,
            ..Self::default()
        };
    }

    /// Of a store of values all of which the sender has seen: commits a comparison with it that brings all records and
    /// links, after which it is what the sender had.
    pub fn complete(
        &mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
        unnamed: impl IntoIterator<Item = (Path, Dot)>,
        effects: &mut Vec<Effect>,
    ) {
        self.commit(comparison, context, floor, unnamed, effects);
        // Those too of whose events the values were here.
        for unit in &comparison.units {
            let links = unit.links.iter();
            links.for_each(|link| self.links.insert(link.clone()));
            for (path, record) in &unit.records {
                let is_here = |known: &Record| known.dot == record.dot;
                if !self.records.at(path).iter().any(is_here) {
                    self.keep_record(path, record.clone(), effects);
                }
            }
        }
    }

    /// Those of the live dots that the sender did not bring either.
    fn dead_by(
        &self,
        comparison: &Comparison,
        unnamed: impl IntoIterator<Item = (Path, Dot)>,
    ) -> Vec<(Path, Dot)> {
        let mut brought = Context::new();
        let mut runs: BTreeMap<(&Path, ReplicaId), u64> = BTreeMap::new();
        for (path, entries) in comparison.units.iter().flat_map(|unit| &unit.adds) {
            for entry in entries {
                brought.insert(entry.dot);
                if matches!(entry.value, Value::Run(_)) {
                    let newest = runs.entry((path, entry.dot.replica)).or_default();
                    *newest = entry.dot.seq.max(*newest);
                }
            }
        }
        let is_run = |path: &Path, dot: Dot| {
            let entry = self.root.get(path).and_then(|place| place.entry(dot));
            matches!(entry.map(|entry| entry.value), Some(ValueRef::Run(_)))
        };
        let goes = |(path, dot): &(Path, Dot)| {
            // A run of which a later event was brought is joined with it. An earlier one is brought where a seal counts as
            // seen what was not.
            let newest = runs.get(&(path, dot.replica));
            let joined = newest.is_some_and(|newest| *newest > dot.seq) && is_run(path, *dot);
            !brought.contains(*dot) && !joined
        };
        unnamed.into_iter().filter(goes).collect()
    }
}
