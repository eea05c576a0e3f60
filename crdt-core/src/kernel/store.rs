//! The dot store: a tree of live dots, its records, and one context.
//!
//! Keeps the invariants: the state is a function of the context; a dot goes unknown, live, dead and
//! never back; one dot stands at one leaf.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::block::RunChange;
use super::effect::Effect;
use super::leaf::{Entry, EntryRef, Run, Value, ValueRef};
use super::link::Link;
use super::links::Links;
use super::node::{Node, NodeRef};
use super::record::{Cut, CutKey, Cuts, Record, join_cuts};
use super::records::Records;
use super::unit::Unit;
use crate::codec::DecodeError;
use crate::name::{Name, Path};
use crate::seqs::Seqs;
use crate::version_vector::VersionVector;
use crate::{Context, Dot, ReplicaId};

/// Cuts that are collected without a look for those of one run.
const FEW_CUTS: usize = 1024;

/// Live dots in a tree, the removal records and links that are still kept, and the context that says
/// which events they are the outcome of. Cloning is O(1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotStore {
    pub(super) context: Context,
    pub(super) root: Node,
    pub(super) records: Records,
    pub(super) links: Links,
    pub(super) floor: VersionVector,
}

impl DotStore {
    /// An empty store that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The events that were seen.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What is live.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Per origin the greatest event whose removal record or link was forgotten.
    pub fn floor(&self) -> &VersionVector {
        &self.floor
    }

    /// The records at a path.
    pub fn records_at(&self, path: &[Name]) -> &[Record] {
        self.records.at(path)
    }

    /// All paths that have records, with these.
    pub fn records(&self) -> impl Iterator<Item = (&Path, &Record)> {
        self.records.iter()
    }

    /// Number of records. O(1).
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// The links that are kept, by their last events.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Number of links. O(1).
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// The links with an event that a peer with this context lacks.
    pub fn links_lacked_by<'a>(&'a self, peer: &'a Context) -> impl Iterator<Item = &'a Link> {
        self.links.lacked_by(peer)
    }

    /// The paths at and under a path where a peer with this context lacks a live dot or a record, each
    /// once or more often, in no order.
    pub fn lacking_under<'a>(
        &'a self,
        path: &'a [Name],
        peer: &'a Context,
    ) -> impl Iterator<Item = Path> + 'a {
        let place = self.root.get(path).into_iter();
        let entries = place.flat_map(|place| place.walk(path));
        let live = entries.filter(|(_, entry)| !peer.contains(entry.dot));
        let records = self.records.under(path);
        let records = records.filter(|(_, record)| !peer.contains(record.dot));
        live.map(|(at, _)| at)
            .chain(records.map(|(at, _)| at.clone()))
    }

    /// Whether a peer with this context lacks something that was forgotten here. It can then only
    /// be brought up to date by a full comparison.
    ///
    /// Sets are compared below the floor, not prefixes: an event that died with its only holder
    /// would otherwise hold every prefix back for ever.
    ///
    /// Nor is it one who lacks a seal, unless what it has seen is what was sealed: removals of sealed
    /// incarnations are below no floor any more.
    pub fn is_behind_floor(&self, peer: &Context) -> bool {
        let lacks = |(last, digest)| !peer.is_sealed(last) && peer.digest_up_to(last) != digest;
        self.context.seals().iter().any(lacks) || self.is_below_floor(peer)
    }

    fn is_below_floor(&self, peer: &Context) -> bool {
        self.floor.iter().any(|(origin, floor)| {
            let Some(mine) = self.context.get(origin) else {
                return false;
            };
            let theirs = peer.get(origin).cloned().unwrap_or_default();
            mine.without(&theirs)
                .next()
                .is_some_and(|(first, _)| first <= floor)
        })
    }

    /// The events at or below the floor: what a peer has to have, not to be behind it.
    pub fn below_floor(&self) -> Context {
        let mut out = Context::new();
        for (origin, floor) in self.floor.iter() {
            for (first, last) in self.context.get(origin).into_iter().flat_map(Seqs::ranges) {
                if first <= floor {
                    out.insert_range(origin, first, last.min(floor));
                }
            }
        }
        out
    }

    /// What a removal at `path` has seen there: its bare context restricted to the origins that
    /// have anything at, under or (as a record) above the path; and the cuts of the runs there.
    pub(super) fn seen_at(&self, path: &[Name]) -> (Context, Cuts) {
        let mut origins = BTreeSet::new();
        let mut cuts = Vec::new();
        if let Some(node) = self.root.get(path) {
            node.visit(&mut path.to_vec(), &mut |at, entry| {
                origins.insert(entry.dot.replica);
                if let ValueRef::Run(run) = entry.value {
                    let replica = entry.dot.replica;
                    let key = CutKey {
                        path: at.into(),
                        replica,
                        start: run.start,
                    };
                    let cut = Cut {
                        newest: entry.dot.seq,
                        total: run.total,
                    };
                    cuts.push((key, cut));
                }
            });
        }
        self.seen_of(origins, cuts, path)
    }

    /// As [`seen_at`](Self::seen_at), of these origins and cuts and those of records.
    pub(super) fn seen_of(
        &self,
        mut origins: BTreeSet<ReplicaId>,
        mut cuts: Vec<(CutKey, Cut)>,
        path: &[Name],
    ) -> (Context, Cuts) {
        let mut most = cuts.len().max(FEW_CUTS);
        let mut add = |record: &Record| {
            origins.extend(record.seen.iter().map(|(origin, _)| origin));
            let here = record.cuts.iter().filter(|(k, _)| k.path.starts_with(path));
            cuts.extend(here.map(|(key, cut)| (key.clone(), *cut)));
            // Many records may cut the same runs.
            if cuts.len() > 2 * most {
                join_cuts(&mut cuts);
                most = cuts.len().max(FEW_CUTS);
            }
        };
        let (at, below) = self.records.around(path, &mut add);
        let below = below.map(|(_, record)| record);
        at.iter().chain(below).for_each(add);
        (self.context.restrict(origins), cuts.into_iter().collect())
    }

    /// Makes a removal take effect: dots at or under the path that it saw die, runs are cut.
    pub(super) fn kill(&mut self, path: &[Name], record: &Record, effects: &mut Vec<Effect>) {
        let Some(node) = self.root.get(path) else {
            return;
        };
        let mut dead: Vec<(Path, Dot)> = Vec::new();
        let mut look = |at: &[Name], entry: EntryRef<'_>| {
            let is_run = matches!(entry.value, ValueRef::Run(_));
            if !is_run && record.seen.contains(entry.dot) {
                dead.push((at.into(), entry.dot));
            }
        };
        match node.single() {
            Some(entry) => look(path, entry),
            None => node.visit(&mut path.to_vec(), &mut look),
        }
        let cut = record.cuts.iter().filter_map(|(key, cut)| {
            let place = node.get(key.path.get(path.len()..)?)?;
            Some((&key.path, left_of(place, key, *cut)?))
        });
        let cut: Vec<_> = cut.collect();
        for (at, dot) in dead {
            self.die(&at, dot, effects);
        }
        for (at, left) in cut {
            self.leave(at, left, effects);
        }
    }

    /// Takes a live dot away.
    pub(super) fn die(&mut self, path: &Path, dot: Dot, effects: &mut Vec<Effect>) {
        if let Some(entry) = self.root.change_leaf(path, |leaf| leaf.remove(dot)) {
            effects.push(Effect::Died {
                at: path.clone(),
                entry,
            });
        }
    }

    /// Makes a dot live.
    pub(super) fn be_born(&mut self, path: &Path, entry: Entry, effects: &mut Vec<Effect>) {
        self.root
            .change_leaf(path, |leaf| leaf.insert(entry.clone()));
        effects.push(Effect::Born {
            at: path.clone(),
            entry,
        });
    }

    /// Cuts a run, if it is here.
    pub(super) fn cut(&mut self, key: &CutKey, cut: Cut, effects: &mut Vec<Effect>) {
        let place = self.root.get(&key.path);
        if let Some(left) = place.and_then(|place| left_of(place, key, cut)) {
            self.leave(&key.path, left, effects);
        }
    }

    /// Leaves of a run what is left of it.
    fn leave(&mut self, path: &Path, (dot, left): (Dot, Option<Run>), effects: &mut Vec<Effect>) {
        self.die(path, dot, effects);
        if let Some(run) = left {
            self.be_born(path, (dot, run).into(), effects);
        }
    }

    /// Keeps a record, unless one at or above its path says as much; those under its path that say
    /// no more than it go.
    pub(super) fn keep_record(&mut self, path: &Path, record: Record, effects: &mut Vec<Effect>) {
        let goes = |r: &Record| r.is_covered_by(&record.seen, &record.cuts);
        let says_as_much = |r: &Record| record.is_covered_by(&r.seen, &r.cuts);
        let (mut covered, mut known) = (Vec::new(), false);
        let (at, below) = self
            .records
            .around(path, &mut |above| known |= says_as_much(above));
        for r in at {
            if goes(r) {
                covered.push((path.clone(), r.dot));
            } else {
                known |= says_as_much(r);
            }
        }
        let below = below.filter(|(_, r)| goes(r));
        covered.extend(below.map(|(p, r)| (p.clone(), r.dot)));
        for (at, dot) in covered {
            self.drop_record(&at, dot, effects);
        }
        if known {
            return;
        }
        let dot = record.dot;
        self.records.insert(path, record);
        effects.push(Effect::Recorded {
            path: path.clone(),
            dot,
        });
    }

    /// Puts a record of a store that was kept back. Such a record kills nothing that is live, and no
    /// other says as much.
    pub(super) fn restore_record(
        &mut self,
        path: &Path,
        record: Record,
    ) -> Result<(), DecodeError> {
        let mut effects = Vec::new();
        self.kill(path, &record, &mut effects);
        if effects.is_empty() && self.context.contains(record.dot) {
            self.keep_record(path, record, &mut effects);
        }
        match effects.as_slice() {
            [Effect::Recorded { .. }] => Ok(()),
            _ => Err(DecodeError::NotCanonical),
        }
    }

    fn drop_record(&mut self, path: &Path, dot: Dot, effects: &mut Vec<Effect>) {
        if let Some(record) = self.records.remove(path, dot) {
            effects.push(Effect::Dropped {
                path: path.clone(),
                record,
            });
        }
    }

    /// Forgets the records that `stable` says every other replica has, and that may go: all that
    /// they saw is in this context. Raises the floor. Returns how many went.
    pub fn forget(
        &mut self,
        stable: impl FnMut(&Context, &Path, &Record) -> bool,
        effects: &mut Vec<Effect>,
    ) -> usize {
        self.forget_some(&[], usize::MAX, stable, effects).0
    }

    /// As [`forget`](Self::forget), a part at a time: looks at the records of paths from `from` on, in order, until
    /// `effort` is spent, of which one that stays takes 1 and one that goes 8. Those of one path are done together, so
    /// that more may be spent. Returns how many went, and the path to go on from, if there are more; it need not have
    /// any by then.
    pub fn forget_some(
        &mut self,
        from: &[Name],
        effort: usize,
        mut stable: impl FnMut(&Context, &Path, &Record) -> bool,
        effects: &mut Vec<Effect>,
    ) -> (usize, Option<Path>) {
        let (mut gone, mut spent, mut next) = (Vec::new(), 0, None);
        for (path, records) in self.records.paths_from(from) {
            if spent >= effort {
                next = Some(path.clone());
                break;
            }
            for record in records {
                let goes =
                    record.seen.is_subset(&self.context) && stable(&self.context, path, record);
                spent += if goes { 8 } else { 1 };
                gone.extend(goes.then(|| (path.clone(), record.dot)));
            }
        }
        for (path, dot) in &gone {
            self.drop_record(path, *dot, effects);
            self.floor.raise(dot.replica, dot.seq);
        }
        self.floor.drop_sealed(&self.context);
        (gone.len(), next)
    }

    /// Keeps a link that arrives, before the events that come with it. If all of its events were seen
    /// it is here, or was and could be forgotten.
    pub(super) fn keep_link(&mut self, link: &Link) {
        if !link.is_in(&self.context) {
            self.links.insert(link.clone());
        }
    }

    /// Forgets the links that `stable` says every other replica has the events of, and that may go: all of
    /// the events were seen here. Raises the floor, so that whoever lacks one of the events all the same
    /// gets all there is as one. Returns how many went.
    pub fn forget_links(&mut self, mut stable: impl FnMut(&Link) -> bool) -> usize {
        let may_go = |link: &&Link| link.is_in(&self.context) && stable(link);
        let gone: Vec<Dot> = self.links().filter(may_go).map(Link::end).collect();
        for end in &gone {
            self.links.remove(*end);
            self.floor.raise(end.replica, end.seq);
        }
        self.floor.drop_sealed(&self.context);
        gone.len()
    }

    /// Applies a unit as one. What the context has already is passed over.
    pub fn apply(&mut self, unit: &Unit, effects: &mut Vec<Effect>) {
        self.apply_events(unit, &unit.events(), effects);
    }

    /// As [`apply`](Self::apply), for whoever has [the unit's events](Unit::events) already.
    pub fn apply_events(&mut self, unit: &Unit, events: &[Dot], effects: &mut Vec<Effect>) {
        unit.links.iter().for_each(|link| self.keep_link(link));
        for (path, record) in &unit.records {
            if !self.context.contains(record.dot) {
                self.kill(path, record, effects);
                self.keep_record(path, record.clone(), effects);
            }
        }
        for (path, entries) in &unit.adds {
            for entry in entries {
                if !self.context.contains(entry.dot) {
                    self.arrive(path, entry, effects);
                }
            }
        }
        self.context.extend_sorted(events);
    }

    /// Takes over a sender's whole context and floor, after the last of its units.
    pub fn take_over(&mut self, context: &Context, floor: &VersionVector) {
        self.context.union(context);
        self.floor.join(floor);
        self.floor.drop_sealed(&self.context);
    }

    /// Seals incarnations of a node; see [`Context::seal`].
    pub fn seal(&mut self, last: ReplicaId, digest: u64) {
        self.context.seal(last, digest);
        self.floor.drop_sealed(&self.context);
    }

    /// Takes over seals of what was seen here as it was sealed there; see [`Context::adopt_seals`]. Returns
    /// whether there was any.
    pub fn adopt_seals(&mut self, other: &Context) -> bool {
        let adopted = self.context.adopt_seals(other);
        self.floor.drop_sealed(&self.context);
        adopted
    }

    /// A live dot arrives that the context lacks: it is live here unless a record says it is dead.
    pub(super) fn arrive(&mut self, path: &Path, entry: &Entry, effects: &mut Vec<Effect>) {
        if let Value::Run(run) = entry.value {
            self.join_run(path, entry.dot, run, effects);
        } else if !self.records.any_above(path, |r| r.seen.contains(entry.dot)) {
            self.be_born(path, entry.clone(), effects);
        }
    }

    /// Joins an arriving run with the one of the same replica.
    pub(super) fn join_run(
        &mut self,
        path: &Path,
        mut dot: Dot,
        mut run: Run,
        effects: &mut Vec<Effect>,
    ) {
        // Mostly there is one of it alone, and nobody removes anything.
        if !self.records.any_above(path, |_| true) {
            let join = |my_dot, my_run: Run| my_run.join(my_dot, &run, dot);
            match self.root.change_run(path, dot.replica, join) {
                RunChange::Changed { from, to } if from == to => return,
                RunChange::Changed { from, to } => {
                    let (at, entry) = (path.clone(), from.into());
                    effects.push(Effect::Died { at, entry });
                    let (at, entry) = (path.clone(), to.into());
                    return effects.push(Effect::Born { at, entry });
                }
                RunChange::NoRun if run.cut_seq < dot.seq => {
                    return self.be_born(path, (dot, run).into(), effects);
                }
                RunChange::NoRun | RunChange::Elsewhere => {}
            }
        }
        let mine = self.root.get(path).and_then(|place| place.run(dot.replica));
        if let Some((my_dot, my_run)) = mine {
            (dot, run) = my_run.join(my_dot, &run, dot);
            if (my_dot, my_run) == (dot, run) {
                return;
            }
        }
        let key = CutKey {
            path: path.clone(),
            replica: dot.replica,
            start: run.start,
        };
        self.records.each_above(path, |record| {
            if let Some(cut) = record.cuts.get(&key)
                && cut.newest > run.cut_seq
            {
                (run.cut_seq, run.cut_total) = (cut.newest, cut.total);
            }
        });
        let value = Value::Run(run);
        let lives = (run.cut_seq < dot.seq).then_some(Entry { dot, value });
        match (mine, lives) {
            (Some((former, was)), Some(entry)) => {
                self.root
                    .change_leaf(path, |leaf| leaf.advance(former, dot, run));
                let (at, value) = (path.clone(), Value::Run(was));
                let died = Entry { dot: former, value };
                effects.push(Effect::Died { at, entry: died });
                let at = path.clone();
                effects.push(Effect::Born { at, entry });
            }
            (Some((former, _)), None) => self.die(path, former, effects),
            (None, Some(entry)) => self.be_born(path, entry, effects),
            (None, None) => {}
        }
    }
}

/// What a cut leaves of a run at a place: the run's newest dot, and the run as it is then, if any of it is left. `None` if
/// the cut changes nothing.
fn left_of(place: NodeRef<'_>, key: &CutKey, cut: Cut) -> Option<(Dot, Option<Run>)> {
    let (dot, run) = place.run(key.replica)?;
    if run.start != key.start || run.cut_seq >= cut.newest {
        return None;
    }
    let left = Run {
        cut_seq: cut.newest,
        cut_total: cut.total,
        ..run
    };
    Some((dot, (dot.seq > cut.newest).then_some(left)))
}
