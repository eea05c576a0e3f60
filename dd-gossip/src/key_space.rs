//! The replicated key space: one dot store for all keys, with what is derived from it.
//!
//! A key is the first component of a path, the shape of a value the second; so two shapes under one
//! key are siblings, and a delete of the key acts on all. Everything derived (index, fingerprint,
//! changed keys) follows the store's effects, so the store's memory layout is its own affair.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crdt_core::kernel::{
    Comparison, ComparisonPart, DotStore, EditError, Effect, Entry, Link, NodeRef, Record,
    Transaction, Unit, UnitBuilder, ValueRef,
};
use crdt_core::{Context, Dot, Limits, Name, Path, ReplicaId, Shape, Timestamp, VersionVector};

use crate::fingerprint::Hashes;
use crate::index::Index;
use crate::linked::Linked;
use crate::replica::DEADLINE;

/// Changed keys that are remembered until they are asked for; beyond it, "all" are.
const MAX_CHANGED: usize = 65_536;

/// A frozen view of the key space. O(1) to take.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) store: DotStore,
    pub(crate) index: Index,
}

/// Keys that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These, each with the number of changes (updates, or units that came in).
    Keys(BTreeMap<Name, u64>),
    /// So many that they were not kept apart.
    All,
}

#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    frozen: Frozen,
    fingerprint: u128,
    hashes: Hashes,
    context_hash: Option<u128>,
    changed: Changed,
    /// Changed keys that begin with one of these are noted besides.
    marks: Vec<Name>,
    marked: BTreeSet<Name>,
}

impl KeySpace {
    /// A key space from a store that was kept, with everything derived made anew.
    pub(crate) fn restore(store: DotStore, hashes: Hashes) -> Self {
        let mut index = Index::default();
        let mut fingerprint = 0u128;
        store.root().visit(&mut Vec::new(), &mut |path, entry| {
            index.insert(entry.dot, path.into());
            fingerprint = fingerprint.wrapping_add(hashes.entry(path, entry));
        });
        for (path, record) in store.records() {
            index.insert(record.dot, path.clone());
        }
        let changed = Changed::Keys(BTreeMap::new());
        Self {
            frozen: Frozen { store, index },
            fingerprint,
            hashes,
            context_hash: None,
            changed,
            marks: Vec::new(),
            marked: BTreeSet::new(),
        }
    }

    pub(crate) fn store(&self) -> &DotStore {
        &self.frozen.store
    }

    pub(crate) fn context(&self) -> &Context {
        self.frozen.store.context()
    }

    pub(crate) fn freeze(&self) -> Frozen {
        self.frozen.clone()
    }

    pub(crate) fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The fingerprint computed from everything that is live: the check of the one that is kept.
    pub(crate) fn recompute_fingerprint(&self) -> u128 {
        let mut sum = 0u128;
        self.store()
            .root()
            .visit(&mut Vec::new(), &mut |path, entry| {
                sum = sum.wrapping_add(self.hashes.entry(path, entry));
            });
        sum
    }

    pub(crate) fn events_indexed(&self) -> usize {
        self.frozen.index.len()
    }

    pub(crate) fn context_hash(&mut self) -> u128 {
        let (hashes, context) = (self.hashes, self.frozen.store.context());
        *self
            .context_hash
            .get_or_insert_with(|| hashes.context(context))
    }

    /// The keys that changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> Changed {
        std::mem::replace(&mut self.changed, Changed::Keys(BTreeMap::new()))
    }

    pub(crate) fn has_changed(&self) -> bool {
        !matches!(&self.changed, Changed::Keys(keys) if keys.is_empty())
    }

    /// From now on changes of keys that begin with one of these are noted.
    pub(crate) fn mark(&mut self, prefixes: Vec<Name>) {
        self.marks = prefixes;
    }

    /// Notes these keys as if they had changed.
    pub(crate) fn note(&mut self, keys: impl Iterator<Item = Name>) {
        self.marked.extend(keys);
    }

    /// The noted keys that changed since this was asked last.
    pub(crate) fn take_marked(&mut self) -> BTreeSet<Name> {
        std::mem::take(&mut self.marked)
    }

    /// Runs a local update.
    pub(crate) fn transact<R, E: From<EditError>>(
        &mut self,
        replica: ReplicaId,
        clock: Timestamp,
        limits: Limits,
        update: impl FnOnce(&mut Transaction) -> Result<R, E>,
    ) -> Result<R, E> {
        let done = self.frozen.store.transact(replica, clock, limits, update)?;
        self.follow(done.effects);
        Ok(done.value)
    }

    pub(crate) fn apply(&mut self, unit: &Unit) {
        let mut effects = Vec::new();
        self.frozen.store.apply(unit, &mut effects);
        self.follow(effects);
    }

    pub(crate) fn take_over(&mut self, context: &Context, floor: &VersionVector) {
        self.frozen.store.take_over(context, floor);
        self.context_hash = None;
    }

    /// Seals incarnations of a node; see [`Context::seal`].
    pub(crate) fn seal(&mut self, last: ReplicaId, digest: u64) {
        self.frozen.store.seal(last, digest);
        self.context_hash = None;
    }

    /// Whether what was seen here is what was sealed there, wherever something is sealed there alone.
    pub(crate) fn may_take_over_seals(&self, other: &Context) -> bool {
        let own = self.context();
        let same = |(last, digest)| own.is_sealed(last) || own.digest_up_to(last) == digest;
        other.seals().iter().all(same)
    }

    /// Seals what another has sealed, where the same was seen here.
    pub(crate) fn adopt_seals(&mut self, other: &Context) {
        if self.frozen.store.adopt_seals(other) {
            self.context_hash = None;
        }
    }

    pub(crate) fn commit(
        &mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
    ) {
        let mut effects = Vec::new();
        self.frozen
            .store
            .commit(comparison, context, floor, &mut effects);
        self.follow(effects);
    }

    pub(crate) fn forget(&mut self, stable: impl FnMut(&Context, &Path, &Record) -> bool) -> usize {
        let mut effects = Vec::new();
        let gone = self.frozen.store.forget(stable, &mut effects);
        self.follow(effects);
        gone
    }

    pub(crate) fn forget_links(&mut self, stable: impl FnMut(&Link) -> bool) -> usize {
        self.frozen.store.forget_links(stable)
    }

    /// The value of one shape under a key.
    pub(crate) fn value(&self, key: &[u8], shape: &Shape) -> Option<NodeRef<'_>> {
        let root = self.store().root();
        root.children()
            .get(key)?
            .children()
            .get(shape.name().as_bytes())
    }

    /// The shapes that have a value under a key, in order.
    pub(crate) fn shapes(&self, key: &[u8]) -> Vec<Shape> {
        let node = self.store().root().children().get(key);
        let names = node
            .into_iter()
            .flat_map(|place| place.children())
            .map(|(name, _)| name);
        let values = names.filter(|name| *name != DEADLINE);
        values.filter_map(Shape::parse).collect()
    }

    pub(crate) fn has_several_shapes(&self, key: &[u8]) -> bool {
        let node = self.store().root().children().get(key);
        node.is_some_and(|place| place.children().len() > 1) && self.shapes(key).len() > 1
    }

    /// The keys that have something of a shape. O(keys).
    pub(crate) fn keys_with(&self, shape: &[u8]) -> Vec<Name> {
        let all = self.store().root().children().iter();
        let with = all.filter(|(_, node)| node.children().contains(shape));
        with.map(|(key, _)| Name::new(key)).collect()
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order.
    pub(crate) fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = self
            .store()
            .root()
            .children()
            .iter_from(from)
            .map(|(key, _)| Name::new(key));
        keys.take_while(|key| key.starts_with(prefix))
            .take(limit)
            .collect()
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        self.context_hash = None;
        let mut touched = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Born { at, entry } => self.born(at, &entry, &mut touched),
                Effect::Filled(filling) => {
                    for (at, entry) in filling.births() {
                        self.born(at, &entry, &mut touched);
                    }
                }
                Effect::Died { at, entry } => {
                    let hash = self.hashes.entry(&at, (&entry).into());
                    self.fingerprint = self.fingerprint.wrapping_sub(hash);
                    touched.extend(at.first().cloned());
                    self.mark_deadline(&at);
                    self.place(at, entry.dot);
                }
                Effect::Recorded { path, dot } => self.place(path, dot),
                Effect::Dropped { path, record } => self.place(path, record.dot),
            }
        }
        self.note_changed(touched);
    }

    fn born(&mut self, at: Path, entry: &Entry, touched: &mut BTreeSet<Name>) {
        let hash = self.hashes.entry(&at, entry.into());
        self.fingerprint = self.fingerprint.wrapping_add(hash);
        touched.extend(at.first().cloned());
        self.mark_deadline(&at);
        self.place(at, entry.dot);
    }

    /// Notes the key if it is its deadline that changed.
    fn mark_deadline(&mut self, at: &Path) {
        if let [key, shape, ..] = at.as_ref()
            && shape.as_bytes() == DEADLINE
        {
            self.marked.insert(key.clone());
        }
    }

    /// Counts one change for each key.
    fn note_changed(&mut self, touched: BTreeSet<Name>) {
        let is_marked = |key: &&Name| self.marks.iter().any(|mark| key.starts_with(mark));
        self.marked
            .extend(touched.iter().filter(is_marked).cloned());
        let Changed::Keys(keys) = &mut self.changed else {
            return;
        };
        for key in touched {
            *keys.entry(key).or_default() += 1;
        }
        if keys.len() > MAX_CHANGED {
            self.changed = Changed::All;
        }
    }

    #[cfg(test)]
    pub(crate) fn plant_wrong_sum(&mut self) {
        self.fingerprint = self.fingerprint.wrapping_add(1);
    }

    #[cfg(test)]
    pub(crate) fn plant_lost_place(&mut self, dot: Dot) {
        self.frozen.index.remove(dot);
    }

    /// Whether an event is still at a path decides whether the index has it.
    fn place(&mut self, path: Path, dot: Dot) {
        let Frozen { store, index } = &mut self.frozen;
        let live = store
            .root()
            .get(&path)
            .is_some_and(|place| place.entry(dot).is_some());
        if live
            || store
                .records_at(&path)
                .iter()
                .any(|record| record.dot == dot)
        {
            index.insert(dot, path);
        } else {
            index.remove(dot);
        }
    }
}

/// Walks the events of a frozen key space that a context lacks.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    next: Dot,
    /// Links that go before everything else.
    first: VecDeque<Link>,
    linked: Linked,
}

impl Walk {
    /// A walk whose pieces take effect as they come, but for those that are linked.
    pub(crate) fn linked(linked: Linked) -> Self {
        Self {
            next: Dot::new(ReplicaId::from_bytes([0; 16]), 0),
            first: VecDeque::new(),
            linked,
        }
    }

    /// A walk all of which takes effect as one.
    pub(crate) fn as_one(links: VecDeque<Link>) -> Self {
        Self {
            first: links,
            ..Self::linked(Linked::default())
        }
    }

    /// Complete pieces of what `peer` lacks, of about `weight` bytes and more where transactions tie
    /// more together. `None` at the end.
    pub(crate) fn pieces(
        &mut self,
        frozen: &Frozen,
        peer: &Context,
        weight: usize,
    ) -> Option<Unit> {
        let mut builder = UnitBuilder::new(&frozen.store, peer);
        self.first.drain(..).for_each(|link| builder.link(&link));
        while builder.weight() < weight {
            let Some((dot, path)) = self.next_lacking(&frozen.index, peer) else {
                let mine = frozen.store.context();
                let rest = self.linked.rest();
                let rest = rest.filter(|link| link.is_news(mine, peer));
                rest.for_each(|link| builder.link(&link));
                break;
            };
            if let Some(part) = self.linked.part_of(path) {
                self.linked.send(part, &mut builder);
                continue;
            }
            // The piece of a path goes with its first event in this order.
            if first_lacking(&frozen.store, path, peer) == Some(dot) {
                builder.piece(path);
            }
        }
        let unit = builder.finish();
        (!unit.is_empty()).then_some(unit)
    }

    /// What a full comparison says of the next events, of about `weight` bytes. `None` at the end.
    pub(crate) fn parts(
        &mut self,
        frozen: &Frozen,
        peer: &Context,
        weight: usize,
    ) -> Option<ComparisonPart> {
        let mut part = ComparisonPart::default();
        let mut done = 0;
        while done < weight
            && let Some(link) = self.first.pop_front()
        {
            let names = link.paths.iter().flat_map(|path| path.iter());
            done += 8 + names.map(|name| name.len() + 2).sum::<usize>();
            part.unit.links.push(link);
        }
        while done < weight {
            let Some((dot, path)) = frozen.index.next(self.next) else {
                break;
            };
            self.next = Dot::new(dot.replica, dot.seq + 1);
            let known = peer.contains(dot);
            let place = frozen.store.root().get(path);
            if let Some(entry) = place.and_then(|place| place.entry(dot)) {
                let cut = matches!(entry.value, ValueRef::Run(run) if run.cut_seq > 0);
                // Only what goes into the part counts: one that is empty means the end.
                if known {
                    done += 8;
                    part.kept.insert(dot);
                }
                if !known || cut {
                    done += 32 + path.iter().map(|name| name.len()).sum::<usize>();
                    if let ValueRef::Bytes(bytes) = entry.value {
                        done += bytes.len();
                    }
                    part.unit.adds.push((path.clone(), vec![entry.to_entry()]));
                }
            }
            let records = frozen.store.records_at(path).iter();
            if let Some(record) = records.filter(|_| !known).find(|record| record.dot == dot) {
                done += 64 + 24 * record.seen.origins() + 64 * record.cuts.len();
                part.unit.records.push((path.clone(), record.clone()));
            }
        }
        part.unit.normalize();
        (!part.kept.is_empty() || !part.unit.is_empty()).then_some(part)
    }

    fn next_lacking<'f>(&mut self, index: &'f Index, peer: &Context) -> Option<(Dot, &'f Path)> {
        loop {
            let (dot, path) = index.next(self.next)?;
            let missing = peer
                .get(dot.replica)
                .map_or(dot.seq, |seqs| seqs.next_missing(dot.seq));
            if missing == dot.seq {
                self.next = Dot::new(dot.replica, dot.seq + 1);
                return Some((dot, path));
            }
            self.next = Dot::new(dot.replica, missing);
        }
    }
}

fn first_lacking(store: &DotStore, path: &Path, peer: &Context) -> Option<Dot> {
    let entries = store
        .root()
        .get(path)
        .into_iter()
        .flat_map(NodeRef::entries);
    let records = store.records_at(path).iter().map(|record| record.dot);
    entries
        .map(|entry| entry.dot)
        .chain(records)
        .filter(|dot| !peer.contains(*dot))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_core::kernel::Value;

    #[test]
    fn a_comparison_goes_on_behind_records_that_the_peer_has() {
        let cluster = "shop".parse().unwrap();
        let mut keys = KeySpace::restore(DotStore::new(), Hashes::new(&cluster));
        let own = ReplicaId::new(1, 1);
        let write = |keys: &mut KeySpace, key: &str, removed: bool| {
            let path = [Name::from(key), Name::from("or_set<u64>"), Name::from("x")];
            keys.transact(own, Timestamp::ZERO, Limits::default(), |tx| {
                if removed {
                    tx.at(&path).remove();
                } else {
                    tx.at(&path).add(Value::Unit);
                }
                Ok::<_, EditError>(())
            })
            .unwrap();
        };
        for n in 0..100 {
            write(&mut keys, &format!("gone {n}"), false);
            write(&mut keys, &format!("gone {n}"), true);
        }
        let peer = keys.context().clone();
        write(&mut keys, "here", false);
        let frozen = keys.freeze();
        assert_eq!(frozen.store.record_count(), 100);
        // A part of so little weight would be full of nothing but those records.
        let mut walk = Walk::as_one(VecDeque::new());
        let parts: Vec<_> = std::iter::from_fn(|| walk.parts(&frozen, &peer, 48)).collect();
        let adds = parts.iter().map(|part| part.unit.adds.len()).sum::<usize>();
        assert_eq!(adds, 1);
    }
}
