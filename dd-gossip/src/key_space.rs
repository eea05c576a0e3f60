//! The replicated key space: one dot store for all keys, with what is derived from it.
//!
//! A key is the first component of a path, the shape of a value the second; so two shapes under one
//! key are siblings, and a delete of the key acts on all. Everything derived (index, fingerprint,
//! changed keys) follows the store's effects, so the store's memory layout is its own affair.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crdt_core::codec::Writer;
use crdt_core::kernel::{
    Comparison, DotStore, EditError, Effect, EntryRef, Link, Node, NodeRef, Record, Transaction,
    Unit,
};
use crdt_core::{Context, Dot, Limits, Name, Path, ReplicaId, Shape, Timestamp, VersionVector};

use crate::changes::{Changed, Changes};
use crate::fingerprint::{Hashes, write_place};
use crate::index::{Births, Index};
use crate::replica::DEADLINE;
use crate::standby::{LONG, Shown, Standby, is_large};
use crate::walk::Walk;

/// Room that is kept from one change to the next, in entries.
const ROOM: usize = 64;

/// A frozen view of the key space. O(1) to take.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) store: DotStore,
    pub(crate) index: Index,
}

#[derive(Clone, Debug)]
pub(crate) struct KeySpace {
    frozen: Frozen,
    fingerprint: u128,
    hashes: Hashes,
    context_hash: Option<u128>,
    changes: Changes,
    /// Room for what is hashed, for effects, for births, and for keys that were touched.
    room: Writer,
    effects: Vec<Effect>,
    births: Births,
    touched: Vec<Name>,
    /// Changed keys that begin with one of these are noted besides.
    marks: Vec<Name>,
    marked: BTreeSet<Name>,
    standby: Standby,
}

impl KeySpace {
    /// A key space from a store that was kept, with everything derived made anew.
    pub(crate) fn restore(store: DotStore, hashes: Hashes) -> Self {
        let mut index = Index::default();
        let (mut fingerprint, mut room) = (0u128, Writer::new());
        store.root().visit(&mut Vec::new(), &mut |path, entry| {
            index.born(path, entry);
            fingerprint = fingerprint.wrapping_add(hashes.entry(path, entry, &mut room));
        });
        for (path, record) in store.records() {
            index.recorded(path, record.dot);
        }
        Self {
            frozen: Frozen { store, index },
            fingerprint,
            hashes,
            context_hash: None,
            changes: Changes::default(),
            room,
            effects: Vec::new(),
            births: Births::default(),
            touched: Vec::new(),
            marks: Vec::new(),
            marked: BTreeSet::new(),
            standby: Standby::default(),
        }
    }

    pub(crate) fn standby(&self) -> &Standby {
        &self.standby
    }

    /// Those who look there look here from now on.
    pub(crate) fn take_standby_over(&mut self, standby: &Standby) {
        self.standby = standby.clone();
    }

    /// What follows may take long: readers are shown what is here now, as long as what this returns lasts.
    pub(crate) fn show(&self) -> Shown {
        self.standby.show(self.store())
    }

    /// What follows is done to all at and under a path, which takes long if that is much.
    pub(crate) fn show_if_large(&self, path: &[Name]) -> Option<Shown> {
        let large = is_large(self.store().root().get(path));
        large.then(|| self.show())
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
        let (mut sum, mut room) = (0u128, Writer::new());
        self.store()
            .root()
            .visit(&mut Vec::new(), &mut |path, entry| {
                sum = sum.wrapping_add(self.hashes.entry(path, entry, &mut room));
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
        self.changes.take()
    }

    /// Those keys, while it was not asked; some more than once perhaps, and none if it was said of all.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Name> {
        self.changes.keys()
    }

    pub(crate) fn has_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// From now on changes of keys that begin with one of these are noted.
    pub(crate) fn mark(&mut self, prefixes: Vec<Name>) {
        self.marks = prefixes;
    }

    /// As if these keys had changed.
    pub(crate) fn note_marked(&mut self, keys: impl IntoIterator<Item = Name>) {
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
        update: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut effects = std::mem::take(&mut self.effects);
        let store = &mut self.frozen.store;
        let value = store.transact_in_place(replica, clock, limits, update, &mut effects)?;
        self.follow_and_keep(effects);
        Ok(value)
    }

    /// `events`: those of the unit.
    pub(crate) fn apply(&mut self, unit: &Unit, events: &[Dot]) {
        let root = self.store().root();
        let kills_many = |(path, _): &(Path, Record)| is_large(root.get(path));
        let long = events.len() > LONG || unit.records.iter().any(kills_many);
        let _shown = long.then(|| self.show());
        let mut effects = std::mem::take(&mut self.effects);
        self.frozen.store.apply_events(unit, events, &mut effects);
        self.follow_and_keep(effects);
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
        let _shown = self.show();
        let mut effects = Vec::new();
        let Frozen { store, index } = &mut self.frozen;
        let live = index.live().of_those(context, comparison.kept());
        let live = live.map(|(place, dot)| (place.path(), dot));
        store.commit(comparison, context, floor, live, &mut effects);
        self.follow(&mut effects);
    }

    /// What is live here, to be filled with what is live elsewhere; see [`DotStore::values`]. Nobody is shown it.
    pub(crate) fn values(&self) -> Self {
        let mut values = Self {
            changes: Changes::default(),
            marked: BTreeSet::new(),
            standby: Standby::default(),
            ..self.clone()
        };
        values.frozen.store = self.store().values();
        values.frozen.index.drop_records();
        values
    }

    /// Of values: leaves nothing beside them, nor runs that have a cut, and says in the context which they are. O(n).
    pub(crate) fn reduce_to_values(&mut self) {
        let index = &self.frozen.index;
        let place = |dot: Dot| Some((index.live().get(dot)?.path(), dot));
        let cut = index.cuts().iter().filter_map(|((dot, _), ())| place(*dot));
        let cut = cut.collect();
        self.discard(cut);
        let live = self.frozen.index.live().context();
        self.frozen.store.reduce_to_values(live);
        self.frozen.index.drop_records();
    }

    fn discard(&mut self, gone: Vec<(Path, Dot)>) {
        let mut effects = Vec::new();
        self.frozen.store.discard(gone, &mut effects);
        self.follow(&mut effects);
    }

    /// Makes values what the sender of a comparison with them had; see [`DotStore::complete`].
    pub(crate) fn complete(
        &mut self,
        comparison: &Comparison,
        context: &Context,
        floor: &VersionVector,
    ) {
        // What the sender has not seen may be dead where it was, or not have been visible.
        let beyond = self.context().difference(context);
        let seen = self.context().difference(&beyond);
        let none = Context::new();
        let gone = self.frozen.index.live().of_those(&beyond, &none);
        let gone = gone.map(|(place, dot)| (place.path(), dot)).collect();
        self.discard(gone);
        self.frozen.store.reduce_to_values(seen);
        let mut effects = Vec::new();
        let Frozen { store, index } = &mut self.frozen;
        let live = index.live().of_those(context, comparison.kept());
        let live = live.map(|(place, dot)| (place.path(), dot));
        store.complete(comparison, context, floor, live, &mut effects);
        self.follow(&mut effects);
    }

    /// Takes the place of a former key space, with what that has and is lacking here: unless it has forgotten what is
    /// lacking. Returns whether it did; if not, it is of no use any more.
    pub(crate) fn take_place_of(&mut self, former: &mut Self) -> bool {
        let here = &former.frozen;
        let against = self.context().clone();
        if here.store.is_behind_floor(&against) {
            return false;
        }
        let links = here.store.links_lacked_by(&against).cloned();
        let mut walk = Walk::as_one(links.collect());
        while let Some(unit) = walk.pieces(here, &against, usize::MAX) {
            self.apply(&unit, &unit.events());
        }
        self.take_over(here.store.context(), here.store.floor());
        self.standby = former.standby.clone();
        self.marked.append(&mut former.marked);
        self.marks.clone_from(&former.marks);
        self.changes = Changes::all();
        std::mem::swap(self, former);
        true
    }

    /// Forgets some records; see [`DotStore::forget_some`].
    pub(crate) fn forget(
        &mut self,
        from: &[Name],
        effort: usize,
        stable: impl FnMut(&Context, &Path, &Record) -> bool,
    ) -> (usize, Option<Path>) {
        let mut effects = Vec::new();
        let store = &mut self.frozen.store;
        let forgotten = store.forget_some(from, effort, stable, &mut effects);
        self.follow(&mut effects);
        forgotten
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

    /// See [`keys_of`].
    pub(crate) fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
        keys_of(self.store().root(), prefix, after, limit)
    }

    /// Follows what was done in the store, and keeps the room.
    fn follow_and_keep(&mut self, mut effects: Vec<Effect>) {
        self.follow(&mut effects);
        effects.shrink_to(ROOM);
        self.effects = effects;
    }

    /// Follows what was done in the store.
    fn follow(&mut self, effects: &mut Vec<Effect>) {
        self.context_hash = None;
        let mut touched = std::mem::take(&mut self.touched);
        // What replaces something at a path follows it.
        let mut last: Option<Path> = None;
        let mut births = std::mem::take(&mut self.births);
        let mut effects = effects.drain(..).peekable();
        while let Some(effect) = effects.next() {
            match effect {
                Effect::Born { at, entry } => {
                    let entry = (&entry).into();
                    self.add(&at, entry, &mut last);
                    self.touch(&at, &mut touched);
                    self.frozen.index.note_born(at, entry, &mut births);
                }
                Effect::Filled(filling) => {
                    last = None;
                    filling.visit(|at, entry| {
                        let hash = self.hashes.entry(at, entry, &mut self.room);
                        self.fingerprint = self.fingerprint.wrapping_add(hash);
                        self.touch(at, &mut touched);
                        self.frozen.index.born(at, entry);
                    });
                }
                Effect::Died { at, entry } => {
                    let entry = (&entry).into();
                    let hash = self.hash(&at, entry, &mut last);
                    self.fingerprint = self.fingerprint.wrapping_sub(hash);
                    self.touch(&at, &mut touched);
                    let replaced = |next: &Effect| matches!(next, Effect::Born { at: place, .. } if Arc::ptr_eq(place, &at));
                    match effects.next_if(replaced) {
                        Some(Effect::Born { entry: born, .. }) => {
                            let born = (&born).into();
                            self.add(&at, born, &mut last);
                            self.frozen.index.replaced(at, entry, born, &mut births);
                        }
                        _ => self.frozen.index.died(entry, &mut births),
                    }
                }
                Effect::Recorded { path, dot } => self.frozen.index.recorded(&path, dot),
                Effect::Dropped { record, .. } => self.frozen.index.dropped(record.dot),
            }
        }
        drop(effects);
        self.frozen.index.put_in(&mut births);
        self.births = births;
        self.note_changed(&mut touched);
        touched.shrink_to(ROOM);
        self.touched = touched;
    }

    fn add(&mut self, at: &Path, entry: EntryRef<'_>, last: &mut Option<Path>) {
        let hash = self.hash(at, entry, last);
        self.fingerprint = self.fingerprint.wrapping_add(hash);
    }

    /// `last`: the path that was written last.
    fn hash(&mut self, at: &Path, entry: EntryRef<'_>, last: &mut Option<Path>) -> u128 {
        if last.as_ref().is_none_or(|last| !Arc::ptr_eq(last, at)) {
            write_place(at, &mut self.room);
            *last = Some(at.clone());
        }
        self.hashes.entry_behind(entry, &mut self.room)
    }

    /// Notes the key; also if it is its deadline that changed.
    fn touch(&mut self, at: &[Name], touched: &mut Vec<Name>) {
        let Some(key) = at.first() else { return };
        // Mostly one key after the other.
        if touched.last() != Some(key) {
            touched.push(key.clone());
        }
        if at.get(1).is_some_and(|shape| shape.as_bytes() == DEADLINE) {
            self.marked.insert(key.clone());
        }
    }

    /// Counts one change for each key.
    fn note_changed(&mut self, touched: &mut Vec<Name>) {
        if touched.len() > 1 {
            touched.sort_unstable();
            touched.dedup();
        }
        if !self.marks.is_empty() {
            let is_marked = |key: &&Name| self.marks.iter().any(|mark| key.starts_with(mark));
            self.marked
                .extend(touched.iter().filter(is_marked).cloned());
        }
        for key in touched.drain(..) {
            self.changes.note(key);
        }
    }

    #[cfg(test)]
    pub(crate) fn plant_wrong_sum(&mut self) {
        self.fingerprint = self.fingerprint.wrapping_add(1);
    }

    #[cfg(test)]
    pub(crate) fn plant_lost_place(&mut self, dot: crdt_core::Dot) {
        self.frozen.index.lose(dot);
    }
}

/// Up to `limit` keys that begin with `prefix` and come after `after`, in order.
pub(crate) fn keys_of(root: &Node, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let keys = root.children().iter_from(from);
    keys.map(|(key, _)| Name::new(key))
        .take_while(|key| key.starts_with(prefix))
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use crdt_core::kernel::{UnitBuilder, Value};

    use super::*;

    fn write(keys: &mut KeySpace, change: impl FnOnce(&mut Transaction<'_>)) {
        let change = |tx: &mut Transaction<'_>| {
            change(tx);
            Ok::<_, EditError>(())
        };
        let (replica, limits) = (ReplicaId::new(1, 1), Limits::default());
        keys.transact(replica, Timestamp::ZERO, limits, change)
            .unwrap();
    }

    #[test]
    fn readers_are_shown_what_was_before_a_long_step_and_no_longer() {
        let hashes = Hashes::new(&"shop".parse().unwrap());
        let mut keys = KeySpace::restore(DotStore::new(), hashes);
        let [key, shape] = [Name::from("set"), Name::from("or_set<u64>")];
        let element = |n: usize| [key.clone(), shape.clone(), Name::new(&n.to_be_bytes())];
        write(&mut keys, |tx| {
            (1..LONG).for_each(|n| tx.at(&element(n)).add(Value::Unit));
        });
        assert!(keys.show_if_large(std::slice::from_ref(&key)).is_none());
        write(&mut keys, |tx| tx.at(&element(0)).add(Value::Unit));
        let shown = keys.show_if_large(std::slice::from_ref(&key));
        write(&mut keys, |tx| {
            assert!(tx.at(std::slice::from_ref(&key)).remove());
        });
        let shape = Shape::parse(&shape).unwrap();
        assert!(keys.value(&key, &shape).is_none());
        let view = keys.standby().view().unwrap();
        let set = view.value(&key, &shape, 0).unwrap();
        assert_eq!(set.children().len(), LONG);
        assert_eq!(view.keys(b"", None, 9), [key]);
        drop(shown);
        assert!(keys.standby().view().is_none());
        assert_eq!(keys.standby().shown(), 1);
    }

    #[test]
    fn of_long_steps_one_within_the_other_readers_see_nothing_but_what_was_before_all() {
        let hashes = Hashes::new(&"shop".parse().unwrap());
        let mut keys = KeySpace::restore(DotStore::new(), hashes);
        let flush = keys.show();
        write(&mut keys, |tx| {
            tx.at(&[Name::from("first"), Name::from("or_set<u64>")])
                .add(Value::Unit)
        });
        let unit = keys.show();
        let seen = |keys: &KeySpace| {
            keys.standby()
                .view()
                .map(|view| view.keys(b"", None, 9).len())
        };
        assert_eq!(seen(&keys), Some(0));
        drop(unit);
        assert_eq!(seen(&keys), Some(0));
        drop(flush);
        assert_eq!(seen(&keys), None);
    }

    #[test]
    fn a_removal_that_comes_in_is_long_if_what_it_removes_is_large() {
        let hashes = Hashes::new(&"shop".parse().unwrap());
        for (elements, shown) in [(LONG - 1, 0), (LONG, 1)] {
            let mut keys = KeySpace::restore(DotStore::new(), hashes);
            let set = [Name::from("set"), Name::from("or_set<u64>")];
            write(&mut keys, |tx| {
                for n in 0..elements {
                    let path = [set[0].clone(), set[1].clone(), Name::new(&n.to_be_bytes())];
                    tx.at(&path).add(Value::Unit);
                }
            });
            let mut other = keys.clone();
            other.standby = Standby::default();
            write(&mut keys, |tx| assert!(tx.at(&set[..1]).remove()));
            let mut unit = UnitBuilder::new(keys.store(), other.context());
            unit.piece(&set[..1].into());
            let unit = unit.finish();
            other.apply(&unit, &unit.events());
            assert_eq!(other.context(), keys.context());
            assert_eq!(other.standby().shown(), shown);
            assert!(other.standby().view().is_none());
        }
    }
}
