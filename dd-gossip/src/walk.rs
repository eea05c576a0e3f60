//! Walks the events of a frozen key space that a peer lacks, and those of which it is told that they live.

use std::collections::VecDeque;
use std::ops::Bound;

use crdt_core::kernel::{ComparisonPart, DotStore, Link, NodeRef, Unit, UnitBuilder, ValueRef};
use crdt_core::{Context, Dot, Path};

use crate::index::Index;
use crate::key_space::Frozen;
use crate::linked::Linked;
use crate::range::Range;

/// Events that are looked at for one message, at most: where a peer has all but a few, between many gaps, nothing may be
/// found among millions, and nobody is to wait for that.
const LOOKED: usize = 2048;

/// Walks the events of a frozen key space that a context lacks.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    next: Dot,
    /// Before which it ends; none where it goes through all.
    end: Option<Dot>,
    /// Links that go before everything else.
    first: VecDeque<Link>,
    linked: Linked,
    /// What the first view had seen, if this is a later one: what is not in that was or is news.
    old: Option<Context>,
    /// What changed since the view before this one, until it was sent.
    news: Option<News>,
    /// From where on records go of events that the peer has; none if they do not.
    records: Option<Dot>,
    /// It looked for what comes next long enough, and goes on from there.
    is_looking: bool,
}

/// The events that a later view has over the one before.
#[derive(Clone, Debug)]
struct News {
    before: Context,
    next: Dot,
}

impl Walk {
    /// A walk whose pieces take effect as they come, but for those that are linked.
    pub(crate) fn linked(linked: Linked) -> Self {
        Self {
            next: Range::ALL.first(),
            end: None,
            first: VecDeque::new(),
            linked,
            old: None,
            news: None,
            records: None,
            is_looking: false,
        }
    }

    /// As [`linked`](Self::linked), of the pieces, and of what is linked, whose first event is in a range. Walks of ranges
    /// that cover all bring all pieces together, each once, but no links whose events are all void.
    pub(crate) fn within(range: Range, linked: Linked) -> Self {
        Self {
            next: range.first(),
            end: Some(range.end()),
            ..Self::linked(linked.within(range))
        }
    }

    /// A walk all of which takes effect as one.
    pub(crate) fn as_one(links: VecDeque<Link>) -> Self {
        Self {
            first: links,
            ..Self::linked(Linked::default())
        }
    }

    /// As [`as_one`](Self::as_one), with all records: the peer has nothing but values.
    pub(crate) fn with_all_records(links: VecDeque<Link>) -> Self {
        Self {
            records: Some(Range::ALL.first()),
            ..Self::as_one(links)
        }
    }

    /// Goes on in a later view of the same key space; `before` is what the former had seen, `linked` what the peer lacks
    /// by now.
    pub(crate) fn renew(&mut self, before: Context, linked: Linked) {
        let next = Range::ALL.first();
        self.old.get_or_insert_with(|| before.clone());
        self.news = Some(News { before, next });
        self.linked = linked;
    }

    /// Whether something that changed was not sent yet.
    pub(crate) fn has_news(&self) -> bool {
        self.news.is_some()
    }

    /// Complete pieces of what changed since the view before, of about `weight` bytes. `None` when all was sent.
    pub(crate) fn news(&mut self, frozen: &Frozen, peer: &Context, weight: usize) -> Option<Unit> {
        let mut builder = UnitBuilder::new(&frozen.store, peer);
        while builder.weight() < weight
            && let Some(News { before, next }) = &mut self.news
        {
            let mut all = usize::MAX;
            let Some((dot, path)) = next_lacking(&frozen.index, next, None, before, &mut all)
            else {
                self.news = None;
                break;
            };
            add(&mut self.linked, (&path, dot), before, &mut builder);
        }
        let unit = builder.finish();
        (!unit.is_empty()).then_some(unit)
    }

    /// Whether it goes on, though there was little or nothing now.
    pub(crate) fn is_looking(&self) -> bool {
        self.is_looking
    }

    /// Complete pieces of what `peer` lacks, of about `weight` bytes and more where transactions tie
    /// more together; less, or nothing, if there is little among many events. `None` at the end.
    pub(crate) fn pieces(
        &mut self,
        frozen: &Frozen,
        peer: &Context,
        weight: usize,
    ) -> Option<Unit> {
        let mut builder = UnitBuilder::new(&frozen.store, peer);
        self.first.drain(..).for_each(|link| builder.link(&link));
        let mut looks = LOOKED;
        while builder.weight() < weight {
            let next = next_lacking(&frozen.index, &mut self.next, self.end, peer, &mut looks);
            self.is_looking = looks == 0;
            let Some((dot, path)) = next else {
                if self.is_looking {
                    break;
                }
                // What is tied together may be news alone.
                if self.end.is_some() || self.news.is_some() {
                    break;
                }
                let mine = frozen.store.context();
                let rest = self.linked.rest();
                let rest = rest.filter(|link| link.is_news(mine, peer));
                rest.for_each(|link| builder.link(&link));
                break;
            };
            if self.old.as_ref().is_none_or(|old| old.contains(dot)) {
                add(&mut self.linked, (&path, dot), peer, &mut builder);
            }
        }
        let unit = builder.finish();
        (self.is_looking || !unit.is_empty()).then_some(unit)
    }

    /// Adds what a full comparison brings of the next events to a part of about `weight` bytes. Returns how
    /// many that were.
    pub(crate) fn add_lacking(
        &mut self,
        frozen: &Frozen,
        peer: &Context,
        weight: usize,
        part: &mut ComparisonPart,
    ) -> usize {
        let mut done = 0;
        while done < weight
            && let Some(link) = self.first.pop_front()
        {
            let names = link.paths.iter().flat_map(|path| path.iter());
            done += 8 + names.map(|name| name.len() + 2).sum::<usize>();
            part.unit.links.push(link);
        }
        let mut looks = LOOKED;
        while done < weight {
            let next = next_lacking(&frozen.index, &mut self.next, self.end, peer, &mut looks);
            self.is_looking = looks == 0;
            let Some((dot, path)) = next else {
                break;
            };
            done += add_live(&frozen.store, &path, dot, &mut part.unit);
            done += add_record(&frozen.store, path, dot, &mut part.unit);
        }
        while done < weight
            && !self.is_looking
            && let Some(next) = &mut self.records
        {
            let Some((dot, place)) = frozen.index.records().next(*next) else {
                self.records = None;
                break;
            };
            *next = Dot::new(dot.replica, dot.seq + 1);
            if peer.contains(dot) {
                done += add_record(&frozen.store, place.path(), dot, &mut part.unit);
            }
        }
        done
    }
}

/// Adds what goes with an event at a path: what is tied to that, or the piece of the path with the first event there, in
/// this order, that was not seen.
fn add(
    linked: &mut Linked,
    (path, dot): (&Path, Dot),
    seen: &Context,
    builder: &mut UnitBuilder<'_>,
) {
    if let Some(part) = linked.part_of(path) {
        linked.send(part, builder);
    } else if first_lacking(builder.store(), path, seen) == Some(dot) {
        builder.piece(path);
    }
}

/// The next event from `next` on, and before `end`, that is not in a context, and where it stands. None as well once
/// no more `looks` are left.
fn next_lacking(
    index: &Index,
    next: &mut Dot,
    end: Option<Dot>,
    seen: &Context,
    looks: &mut usize,
) -> Option<(Dot, Path)> {
    loop {
        *looks = looks.checked_sub(1)?;
        let (dot, place) = index.next(*next)?;
        if end.is_some_and(|end| dot >= end) {
            return None;
        }
        let missing = seen
            .get(dot.replica)
            .map_or(dot.seq, |seqs| seqs.next_missing(dot.seq));
        if missing == dot.seq {
            *next = Dot::new(dot.replica, dot.seq + 1);
            return Some((dot, place.path()));
        }
        *next = Dot::new(dot.replica, missing);
    }
}

/// Says which dots of some ranges are live, of those that a peer has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement {
    ranges: VecDeque<Range>,
    /// Behind the last dot of the first range that was named.
    next: Option<Dot>,
}

impl Statement {
    pub(crate) fn push(&mut self, range: Range) {
        self.ranges.push_back(range);
    }

    /// Adds what is said of the next ones to a part of about `weight` bytes.
    pub(crate) fn add_kept(
        &mut self,
        frozen: &Frozen,
        peer: &Context,
        weight: usize,
        part: &mut ComparisonPart,
    ) {
        let mut done = 0;
        while done < weight
            && let Some(range) = self.ranges.front()
        {
            let from = self.next.unwrap_or(range.first());
            let Some(dot) = range.next_live(&frozen.index, peer, from) else {
                self.ranges.pop_front();
                self.next = None;
                continue;
            };
            self.next = Some(Dot::new(dot.replica, dot.seq + 1));
            done += 8;
            part.kept.insert(dot);
            // The peer may not know of the cut.
            let cuts = frozen.index.cuts().iter_from(Bound::Included(&(dot, 0)));
            let is_cut = cuts.map(|((cut, _), ())| *cut).next() == Some(dot);
            if let Some(place) = frozen.index.live().get(dot).filter(|_| is_cut) {
                done += add_live(&frozen.store, &place.path(), dot, &mut part.unit);
            }
        }
    }
}

/// Adds a dot to a unit, if it is live there. Returns how many bytes that are, about.
fn add_live(store: &DotStore, path: &Path, dot: Dot, unit: &mut Unit) -> usize {
    let place = store.root().get(path);
    let Some(entry) = place.and_then(|place| place.entry(dot)) else {
        return 0;
    };
    unit.adds.push((path.clone(), vec![entry.to_entry()]));
    let names: usize = path.iter().map(|name| name.len()).sum();
    let value = match entry.value {
        ValueRef::Bytes(bytes) => bytes.len(),
        ValueRef::Unit | ValueRef::Run(_) => 0,
    };
    32 + names + value
}

/// Adds the record of an event to a unit, if there is one. Returns how many bytes that are, about.
fn add_record(store: &DotStore, path: Path, dot: Dot, unit: &mut Unit) -> usize {
    let mut records = store.records_at(&path).iter();
    let Some(record) = records.find(|record| record.dot == dot) else {
        return 0;
    };
    let bytes = 64 + 24 * record.seen.origins() + 64 * record.cuts.len();
    let record = record.clone();
    unit.records.push((path, record));
    bytes
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
    use crdt_core::kernel::{EditError, Transaction, Value};
    use crdt_core::{Limits, Name, ReplicaId, Timestamp};

    use super::*;
    use crate::fingerprint::Hashes;
    use crate::key_space::KeySpace;

    /// Every second of many events is dead, and a peer has all that are live but the last.
    fn all_but_the_last(events: u64) -> (Frozen, Context) {
        let cluster = "shop".parse().unwrap();
        let mut keys = KeySpace::restore(DotStore::new(), Hashes::new(&cluster));
        let own = ReplicaId::new(1, 1);
        let mut peer = Context::new();
        for n in 1..=events {
            let key = if n % 2 == 0 { n } else { 1 };
            let path = [Name::from(format!("{key}").as_str()), Name::from("counter")];
            let count = |tx: &mut Transaction<'_>| {
                tx.at(&path).count(1);
                Ok::<_, EditError>(())
            };
            keys.transact(own, Timestamp::ZERO, Limits::default(), count)
                .unwrap();
            if n % 2 == 0 && n < events {
                peer.insert(Dot::new(own, n));
            }
        }
        peer.insert(Dot::new(own, events - 1));
        (keys.freeze(), peer)
    }

    #[test]
    fn a_walk_looks_at_so_many_events_at_one_time_and_finds_what_is_behind_them() {
        let events = 6 * LOOKED as u64;
        let (frozen, peer) = all_but_the_last(events);
        let last = Dot::new(ReplicaId::new(1, 1), events);
        let mut walk = Walk::linked(Linked::default());
        let mut calls = Vec::new();
        while let Some(unit) = walk.pieces(&frozen, &peer, 4096) {
            calls.push(unit.events());
        }
        // Half of them are live.
        assert_eq!(calls.concat(), [last]);
        assert!((3..=5).contains(&calls.len()), "{calls:?}");
        let mut walk = Walk::as_one(VecDeque::new());
        let (mut part, mut calls) = (ComparisonPart::default(), 0);
        while walk.add_lacking(&frozen, &peer, 4096, &mut part) > 0 || walk.is_looking() {
            calls += 1;
        }
        assert_eq!(part.unit.events(), [last]);
        assert!((3..=5).contains(&calls), "{calls}");
    }

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
        let mut part = ComparisonPart::default();
        while walk.add_lacking(&frozen, &peer, 48, &mut part) > 0 {}
        assert_eq!(part.unit.adds.len(), 1);
    }
}
