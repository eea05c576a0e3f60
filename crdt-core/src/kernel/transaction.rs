//! Local updates: a transaction is applied whole or not at all.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::RunChange;
use super::effect::Effect;
use super::leaf::{Entry, Run, Value, ValueRef};
use super::link::{Link, MAX_LINK_PATHS, TooManyKeys};
use super::node::NodeRef;
use super::record::Record;
use super::store::DotStore;
use super::unit::{Unit, UnitBuilder};
use crate::limits::Limits;
use crate::name::{Name, Path};
use crate::seqs::MAX_SEQ;
use crate::{Context, Dot, ReplicaId, Timestamp};

/// Why an update was refused. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// An element or map key is too long.
    #[error("an element or map key of {len} bytes; at most {max} are allowed")]
    ElementTooLong {
        /// Its encoded length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A payload is too long.
    #[error(
        "a payload of {len} bytes; at most {max} are allowed: split the value over several keys"
    )]
    PayloadTooLong {
        /// Its encoded length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A removal would take away more counters' shares than one record can name.
    #[error("a removal of {count} shares of counters; at most {max}: remove them in parts")]
    TooManyCounters {
        /// How many there are at and under the path: one per counter and replica that counted.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A removal would take away counters whose names are more than one record can hold.
    #[error(
        "a removal of counters whose names have {bytes} bytes; at most {max}: remove them in parts"
    )]
    CounterNamesTooLong {
        /// What the names below the path have together, once for each replica that counted.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A transaction writes at too many keys.
    #[error(
        "a transaction over {count} keys; at most {max}: what has to be seen together must be fewer"
    )]
    TooManyKeys {
        /// How many keys it writes at.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// This replica has no sequence numbers left, or was told that it has none.
    #[error("no sequence numbers are left for this replica id: load the value under a new one")]
    Exhausted,
    /// Maps are nested too deeply.
    #[error("nested {depth} deep; at most {max} levels are allowed")]
    TooDeep {
        /// The depth asked for.
        depth: usize,
        /// The limit.
        max: usize,
    },
    /// A payload can't be encoded.
    #[error("the payload can't be encoded: {0}")]
    Payload(#[from] crate::payload::PayloadError),
}

/// Sequence numbers that must be left for an update to begin: more than one can take.
const SPARE: u64 = 1 << 32;

/// Most shares of counters that one removal takes away: its record has to fit a unit.
pub const MAX_CUTS: usize = super::unit_codec::MAX_ITEMS / 2;

/// Most bytes of the names of these counters: the record has to fit a message.
pub const MAX_CUT_NAMES: usize = 32 * 1024 * 1024;

/// A local update under way.
#[derive(Debug)]
pub struct Transaction<'a> {
    store: &'a mut DotStore,
    state: &'a mut State,
}

/// What an update did so far, which is also how to undo it.
#[derive(Debug)]
struct State {
    replica: ReplicaId,
    clock: Timestamp,
    limits: Limits,
    base: Context,
    /// The first sequence number of this transaction, and the next.
    first: u64,
    next: u64,
    effects: Vec<Effect>,
    error: Option<EditError>,
    links_keys: bool,
}

/// What a finished transaction did.
#[derive(Clone, Debug)]
pub struct Committed<R> {
    /// What the closure returned.
    pub value: R,
    /// Its effects, in order.
    pub effects: Vec<Effect>,
    /// The context before it.
    pub base: Context,
}

impl<R> Committed<R> {
    /// What the closure returned, and the rest.
    pub fn split(self) -> (R, Committed<()>) {
        let rest = Committed {
            value: (),
            effects: self.effects,
            base: self.base,
        };
        (self.value, rest)
    }
}

/// Undoes what was done unless the transaction was finished, also when the closure panics.
struct Guard<'s> {
    store: &'s mut DotStore,
    state: State,
    finished: bool,
}

impl Guard<'_> {
    fn tx(&mut self) -> Transaction<'_> {
        Transaction {
            store: self.store,
            state: &mut self.state,
        }
    }

    /// What was done is done. Returns the effects.
    fn finish(&mut self) -> Result<Vec<Effect>, EditError> {
        if let Some(error) = self.state.error.take() {
            return Err(error);
        }
        let link = self.state.link()?;
        self.finished = true;
        // What nobody else holds is changed where it is.
        self.state.base = Context::new();
        self.tx().note_minted();
        link.into_iter()
            .for_each(|link| self.store.links.insert(link));
        Ok(core::mem::take(&mut self.state.effects))
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let (store, state) = (&mut *self.store, &mut self.state);
        let root = &mut store.root;
        for effect in state.effects.drain(..).rev() {
            match effect {
                Effect::Born { at, entry } => {
                    root.change_leaf(&at, |leaf| leaf.remove(entry.dot));
                }
                Effect::Filled(filling) => {
                    for (path, entry) in filling.births().rev() {
                        root.change_leaf(&path, |leaf| leaf.remove(entry.dot));
                    }
                }
                Effect::Died { at, entry } => {
                    root.change_leaf(&at, |leaf| leaf.insert(entry));
                }
                Effect::Recorded { path, dot } => {
                    store.records.remove(&path, dot);
                }
                Effect::Dropped { path, record } => store.records.insert(&path, record),
            }
        }
        store.context = core::mem::take(&mut state.base);
    }
}

impl DotStore {
    /// Runs a local update by `replica`. If the closure fails or panics, or goes beyond a limit,
    /// nothing of it was written.
    ///
    /// # Errors
    ///
    /// What the closure returned, or an [`EditError`].
    pub fn transact<R, E: From<EditError>>(
        &mut self,
        replica: ReplicaId,
        clock: Timestamp,
        limits: Limits,
        update: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<Committed<R>, E> {
        let mut guard = self.begin(replica, clock, limits, Vec::new())?;
        let value = update(&mut guard.tx())?;
        let base = guard.state.base.clone();
        let effects = guard.finish()?;
        Ok(Committed {
            value,
            effects,
            base,
        })
    }

    /// As [`transact`](Self::transact), for whoever has no use for the context before it: without it, that need not
    /// be copied. Puts the effects, in order, into `effects`, which has to be empty.
    ///
    /// # Errors
    ///
    /// What the closure returned, or an [`EditError`].
    pub fn transact_in_place<R, E: From<EditError>>(
        &mut self,
        replica: ReplicaId,
        clock: Timestamp,
        limits: Limits,
        update: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
        effects: &mut Vec<Effect>,
    ) -> Result<R, E> {
        debug_assert!(effects.is_empty());
        let mut guard = self.begin(replica, clock, limits, core::mem::take(effects))?;
        let value = update(&mut guard.tx())?;
        *effects = guard.finish()?;
        Ok(value)
    }

    #[inline]
    fn begin(
        &mut self,
        replica: ReplicaId,
        clock: Timestamp,
        limits: Limits,
        effects: Vec<Effect>,
    ) -> Result<Guard<'_>, EditError> {
        if self.context.max(replica) > MAX_SEQ - SPARE {
            return Err(EditError::Exhausted);
        }
        let next = self.context.max(replica) + 1;
        let state = State {
            first: next,
            next,
            base: self.context.clone(),
            replica,
            clock,
            limits,
            effects,
            error: None,
            links_keys: false,
        };
        Ok(Guard {
            store: self,
            state,
            finished: false,
        })
    }

    /// The delta of a transaction: what it wrote, with the records at and above its paths.
    pub fn delta_of<R>(&self, done: &Committed<R>) -> Unit {
        let mut unit = UnitBuilder::new(self, &done.base).with_known_records();
        let mut paths: Vec<Path> = Vec::new();
        for effect in &done.effects {
            effect.news_at(&mut paths);
        }
        paths.sort_unstable();
        paths.dedup();
        for path in &paths {
            unit.piece(path);
        }
        unit.finish()
    }
}

impl State {
    fn link(&self) -> Result<Option<Link>, EditError> {
        if !self.links_keys {
            return Ok(None);
        }
        let mut paths = Vec::new();
        self.effects
            .iter()
            .for_each(|effect| effect.news_at(&mut paths));
        let first = self.base.max(self.replica) + 1;
        Link::of(self.replica, (first, self.next - 1), paths).map_err(|TooManyKeys(count)| {
            let max = MAX_LINK_PATHS;
            EditError::TooManyKeys { count, max }
        })
    }
}

impl Transaction<'_> {
    /// A cursor at a path.
    pub fn at(&mut self, path: &[Name]) -> Cursor<'_> {
        Cursor {
            path: path.into(),
            tx: self.reborrow(),
        }
    }

    /// The same, for a shorter time.
    pub fn reborrow(&mut self) -> Transaction<'_> {
        Transaction {
            store: self.store,
            state: self.state,
        }
    }

    /// What is live at a path, with what this transaction did so far.
    pub fn node(&self, path: &[Name]) -> Option<NodeRef<'_>> {
        self.store.root.get(path)
    }

    /// How many events it made so far.
    pub fn events(&self) -> u64 {
        self.state.next - 1 - self.state.base.max(self.state.replica)
    }

    /// What this transaction does at several places becomes visible
    /// together everywhere: it leaves a [`Link`].
    pub fn link_keys(&mut self) {
        self.state.links_keys = true;
    }

    fn there(&self, path: &[Name]) -> bool {
        let place = self.store.root.get(path);
        place.is_some_and(|place| !place.is_empty())
    }

    /// Begins an event.
    fn mint(&mut self) -> Dot {
        let dot = self.peek();
        self.state.next += 1;
        dot
    }

    /// The dot that the next event will have.
    fn peek(&self) -> Dot {
        Dot::new(self.state.replica, self.state.next)
    }

    /// Puts the dots of the events so far into the context.
    fn note_minted(&mut self) {
        if self.state.first < self.state.next {
            let (first, last) = (self.state.first, self.state.next - 1);
            self.store
                .context
                .insert_range(self.state.replica, first, last);
            self.state.first = self.state.next;
        }
    }

    /// An event that removes what is at a path and leaves a record; with a value it stands there itself then.
    fn supersede(&mut self, path: &Path, value: Option<Value>) {
        self.note_minted();
        // Most places hold one dot: that needs no look for others, and is replaced where it is.
        let place = self.store.root.get(path);
        let single = place.and_then(NodeRef::single);
        let single = single.filter(|entry| !matches!(entry.value, ValueRef::Run(_)));
        let single = single.map(|entry| entry.dot);
        let (seen, cuts) = match single {
            Some(dot) => {
                let origins = BTreeSet::from([dot.replica]);
                self.store.seen_of(origins, Vec::new(), path)
            }
            None => self.store.seen_at(path),
        };
        let below = cuts.keys().flat_map(|cut| cut.path.iter().skip(path.len()));
        let bytes: usize = below.map(|name| name.len()).sum();
        if cuts.len() > MAX_CUTS {
            let (count, max) = (cuts.len(), MAX_CUTS);
            let error = EditError::TooManyCounters { count, max };
            self.state.error.get_or_insert(error);
        } else if bytes > MAX_CUT_NAMES {
            let max = MAX_CUT_NAMES;
            let error = EditError::CounterNamesTooLong { bytes, max };
            self.state.error.get_or_insert(error);
        }
        let dot = self.mint();
        let record = Record { dot, seen, cuts };
        let entry = value.map(|value| Entry { dot, value });
        let (store, effects) = (&mut *self.store, &mut self.state.effects);
        let Some(former) = single else {
            store.kill(path, &record, effects);
            store.keep_record(path, record, effects);
            if let Some(entry) = entry {
                store.be_born(path, entry, effects);
            }
            return;
        };
        let died = store.root.change_leaf(path, |leaf| {
            let died = leaf.remove(former);
            entry.iter().for_each(|entry| leaf.insert(entry.clone()));
            died
        });
        let effect = |entry| (path.clone(), entry);
        effects.extend(
            died.map(effect)
                .map(|(at, entry)| Effect::Died { at, entry }),
        );
        store.keep_record(path, record, effects);
        effects.extend(
            entry
                .map(effect)
                .map(|(at, entry)| Effect::Born { at, entry }),
        );
    }

    fn check(&mut self, path: &[Name], below: Option<&Name>, payload: usize) -> bool {
        let limits = &self.state.limits;
        let depth = path.len() + usize::from(below.is_some());
        let names = path.iter().chain(below).map(|name| name.len());
        let longest = names.max().unwrap_or(0);
        let error = if depth > limits.depth {
            EditError::TooDeep {
                depth,
                max: limits.depth,
            }
        } else if longest > limits.element {
            EditError::ElementTooLong {
                len: longest,
                max: limits.element,
            }
        } else if payload > limits.payload {
            EditError::PayloadTooLong {
                len: payload,
                max: limits.payload,
            }
        } else {
            return self.state.error.is_none();
        };
        self.state.error.get_or_insert(error);
        false
    }
}

/// A place in a transaction, from which a type makes its events.
///
/// An event that goes beyond a limit is not made; the transaction then fails as a whole.
#[derive(Debug)]
pub struct Cursor<'a> {
    tx: Transaction<'a>,
    path: Path,
}

impl Cursor<'_> {
    /// What is live here, with what this transaction did so far.
    pub fn node(&self) -> Option<NodeRef<'_>> {
        self.tx.store.root.get(&self.path)
    }

    /// The reading of the clock for this transaction.
    pub fn clock(&self) -> Timestamp {
        self.tx.state.clock
    }

    /// The replica that writes.
    pub fn replica(&self) -> ReplicaId {
        self.tx.state.replica
    }

    /// The same place, for a shorter time.
    pub fn reborrow(&mut self) -> Cursor<'_> {
        Cursor {
            tx: self.tx.reborrow(),
            path: self.path.clone(),
        }
    }

    /// The place one level below.
    pub fn child(&mut self, name: Name) -> Cursor<'_> {
        let path = self.path.iter().cloned().chain([name]).collect();
        Cursor {
            tx: self.tx.reborrow(),
            path,
        }
    }

    /// Makes the transaction fail.
    pub fn fail(&mut self, error: EditError) {
        self.tx.state.error.get_or_insert(error);
    }

    /// An event that adds a dot and leaves what is here.
    pub fn add(&mut self, value: Value) {
        if self.tx.check(&self.path, None, payload_len(&value)) {
            let dot = self.tx.mint();
            self.be_born(Entry { dot, value });
        }
    }

    /// An event that replaces everything that was seen here.
    pub fn write(&mut self, value: Value) {
        if !self.tx.there(&self.path) {
            return self.add(value);
        }
        if self.tx.check(&self.path, None, payload_len(&value)) {
            self.tx.supersede(&self.path, Some(value));
        }
    }

    /// An event that adds a dot with nothing at a name below, where nothing is. Returns whether it
    /// did; no event if something is there.
    pub fn fill(&mut self, name: &Name) -> bool {
        let dot = self.tx.peek();
        let filled = self.tx.check(&self.path, Some(name), 0)
            && self.tx.store.root.fill(&self.path, name, dot);
        if filled {
            self.tx.mint();
            Effect::push_filled(&mut self.tx.state.effects, &self.path, name.clone(), dot);
        }
        filled
    }

    /// An event that removes everything that was seen here and below. None if there is nothing.
    /// Returns whether there was.
    pub fn remove(&mut self) -> bool {
        let removes = self.tx.there(&self.path) && self.tx.check(&self.path, None, 0);
        if removes {
            self.tx.supersede(&self.path, None);
        }
        removes
    }

    /// An event that adds `n` to this replica's run here. The total stays within [`MAX_TOTAL`](super::MAX_TOTAL).
    pub fn count(&mut self, n: i128) {
        if !self.tx.check(&self.path, None, 0) || self.count_on(n) {
            return;
        }
        let dot = self.tx.mint();
        let root = &mut self.tx.store.root;
        let count = |_, run: Run| (dot, run.plus(n));
        let (former, entry) = match root.change_run(&self.path, dot.replica, count) {
            RunChange::Changed { from, to } => (Some(from.into()), to.into()),
            _ => root.change_leaf(&self.path, |leaf| leaf.count(dot, n)),
        };
        if let Some(entry) = former {
            let at = self.path.clone();
            self.tx.state.effects.push(Effect::Died { at, entry });
        }
        let at = self.path.clone();
        self.tx.state.effects.push(Effect::Born { at, entry });
    }

    /// Where the event before was one of the same run, its outcome is replaced by this one's: nobody
    /// will see it. Returns whether it was.
    fn count_on(&mut self, n: i128) -> bool {
        let next = self.tx.peek();
        let Some(Effect::Born { at, entry }) = self.tx.state.effects.last_mut() else {
            return false;
        };
        let Value::Run(run) = entry.value else {
            return false;
        };
        let former = entry.dot;
        if !Arc::ptr_eq(at, &self.path)
            || former.replica != next.replica
            || former.seq + 1 != next.seq
        {
            return false;
        }
        let run = run.plus(n);
        self.tx.state.next += 1;
        let value = Value::Run(run);
        *entry = Entry { dot: next, value };
        let root = &mut self.tx.store.root;
        root.change_leaf(&self.path, |leaf| leaf.advance(former, next, run));
        true
    }

    fn be_born(&mut self, entry: Entry) {
        let effects = &mut self.tx.state.effects;
        self.tx.store.be_born(&self.path, entry, effects);
    }
}

fn payload_len(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Unit | Value::Run(_) => 0,
    }
}
