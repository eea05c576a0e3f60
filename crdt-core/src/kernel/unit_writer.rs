//! Writes units; see [`unit_codec`](super::unit_codec) for the format.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::group_codec::{Group, MIN_GROUP};
use super::leaf::{EntryRef, ValueRef};
use super::link::Link;
use super::node::NodeRef;
use super::record::Record;
use super::unit_codec::{KIND_BYTES, KIND_RUN, KIND_UNIT, WITH_OWN, WITH_REMOVAL};
use crate::codec::Writer;
use crate::name::{Name, Path};
use crate::{Dot, ReplicaId};

/// The origins that a unit names.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeSet<ReplicaId>);

impl Origins {
    /// Neighbours mostly have the same origin.
    pub(super) fn extend(&mut self, origins: impl Iterator<Item = ReplicaId>) {
        let mut last = None;
        for origin in origins.filter(|origin| last.replace(*origin) != Some(*origin)) {
            self.0.insert(origin);
        }
    }

    pub(super) fn add_record(&mut self, record: &Record) {
        self.0.insert(record.dot.replica);
        self.extend(record.seen.iter().map(|(origin, _)| origin));
        self.extend(record.seen.seals().iter().map(|(last, _)| last));
        self.extend(record.cuts.keys().map(|key| key.replica));
    }

    /// Those of everything at and under a place.
    pub(super) fn add_all(&mut self, place: NodeRef<'_>) {
        self.extend(place.entries().map(|entry| entry.dot.replica));
        let mut last = None;
        for (_, child) in place.children() {
            match child.single() {
                Some(entry) if last == Some(entry.dot.replica) => {}
                Some(entry) => {
                    last = Some(entry.dot.replica);
                    self.0.insert(entry.dot.replica);
                }
                None => self.add_all(child),
            }
        }
    }
}

/// Records, those apart whose events also stand in leaves of their paths.
pub(super) struct Removals<'a> {
    alone: Vec<(&'a Path, &'a Record)>,
    with_leaves: BTreeMap<Dot, &'a Record>,
}

impl<'a> Removals<'a> {
    pub(super) fn split(
        records: impl Iterator<Item = (&'a Path, &'a Record)>,
        mut stands: impl FnMut(&Path, Dot) -> bool,
    ) -> Self {
        let (mut alone, mut with_leaves) = (Vec::new(), BTreeMap::new());
        for (path, record) in records {
            if stands(path, record.dot) {
                with_leaves.insert(record.dot, record);
            } else {
                alone.push((path, record));
            }
        }
        Self { alone, with_leaves }
    }
}

/// Writes leaves in order, gathering siblings into groups. How many there are is known at the end.
pub(super) struct Leaves<'a> {
    encoder: Encoder<'a>,
    out: Writer,
    count: usize,
    /// The path above the siblings that are held back.
    above: Vec<Name>,
    held: Group,
}

impl<'a> Leaves<'a> {
    /// Writes the origins, the records and the links.
    pub(super) fn begin(
        w: &mut Writer,
        origins: Origins,
        records: Removals<'a>,
        links: &[&Link],
    ) -> Self {
        let mut encoder = Encoder::new(origins, records.with_leaves);
        w.count(encoder.origins.len());
        for origin in encoder.origins.keys() {
            w.raw(&origin.to_bytes());
        }
        w.count(2 * records.alone.len() + usize::from(!links.is_empty()));
        for (path, record) in records.alone {
            encoder.record(w, path, record);
        }
        if !links.is_empty() {
            w.count(links.len());
        }
        for link in links {
            encoder.link(w, link);
        }
        encoder.former = [].into();
        Self {
            encoder,
            out: Writer::new(),
            count: 0,
            above: Vec::new(),
            held: Group::default(),
        }
    }

    /// Everything at and under a place.
    pub(super) fn walk(&mut self, path: &mut Vec<Name>, node: NodeRef<'_>) {
        if node.has_entries() {
            self.push(path, &mut node.entries());
        }
        for (name, child) in node.children() {
            if let Some(EntryRef {
                dot,
                value: ValueRef::Unit,
            }) = child.single()
                && !self.encoder.removals.contains_key(&dot)
            {
                self.hold(path, name, dot);
                continue;
            }
            path.push(Name::new(name));
            self.walk(path, child);
            path.pop();
        }
    }

    /// A leaf, in the order of paths.
    pub(super) fn push<'e>(
        &mut self,
        path: &[Name],
        entries: &mut dyn Iterator<Item = EntryRef<'e>>,
    ) {
        let (first, second) = (entries.next(), entries.next());
        if let (Some((name, above)), Some(entry), None) = (path.split_last(), first, second)
            && entry.value == ValueRef::Unit
            && !self.encoder.removals.contains_key(&entry.dot)
        {
            return self.hold(above, name, entry.dot);
        }
        self.release();
        let all: Vec<EntryRef<'_>> = first.into_iter().chain(second).chain(entries).collect();
        self.encoder.path(&mut self.out, path);
        self.out.count(all.len());
        for entry in all {
            self.encoder.entry(&mut self.out, entry);
        }
        self.count += 1;
    }

    fn hold(&mut self, above: &[Name], name: &[u8], dot: Dot) {
        if self.held.len() > 0 && self.above != above {
            self.release();
        }
        if self.held.len() == 0 {
            self.above = above.to_vec();
        }
        self.held.push(name, dot);
    }

    fn release(&mut self) {
        let held = core::mem::take(&mut self.held);
        let grouped = held.len() >= MIN_GROUP;
        let at = self.above.len();
        let path = &mut self.above;
        for member in 0..if grouped { 1 } else { held.len() } {
            let (name, dot) = held.member(member);
            path.truncate(at);
            path.push(Name::new(name));
            self.encoder.path(&mut self.out, path);
            self.count += 1;
            if !grouped {
                self.out.count(1);
                self.encoder.entry(&mut self.out, EntryRef::unit(dot));
            }
        }
        if grouped {
            self.out.count(0);
            let encoder = &self.encoder;
            held.encode(&mut self.out, |dot| encoder.place(dot.replica));
            // The path before the next one is the last of the group.
            let (last, _) = held.member(held.len() - 1);
            path.truncate(at);
            path.push(Name::new(last));
            self.encoder.former = path.as_slice().into();
        }
        self.above.clear();
        self.held = held;
        self.held.clear();
    }

    pub(super) fn finish(mut self, w: &mut Writer) {
        self.release();
        w.count(self.count);
        w.raw(&self.out.finish());
    }
}

struct Encoder<'a> {
    origins: BTreeMap<ReplicaId, (usize, u64)>,
    former: Path,
    /// Of events that also stand in a leaf.
    removals: BTreeMap<Dot, &'a Record>,
}

impl<'a> Encoder<'a> {
    fn new(Origins(origins): Origins, removals: BTreeMap<Dot, &'a Record>) -> Self {
        let places = origins.into_iter().enumerate();
        Self {
            origins: places.map(|(at, origin)| (origin, (at, 0))).collect(),
            former: [].into(),
            removals,
        }
    }

    fn place(&self, origin: ReplicaId) -> usize {
        self.origins.get(&origin).map_or(0, |o| o.0)
    }

    fn origin(&self, w: &mut Writer, origin: ReplicaId) {
        w.count(self.place(origin));
    }

    fn dot(&mut self, w: &mut Writer, dot: Dot) {
        if let Some((at, last)) = self.origins.get_mut(&dot.replica) {
            w.count(*at);
            w.signed(i128::from(dot.seq) - i128::from(*last));
            *last = dot.seq;
        }
    }

    fn path(&mut self, w: &mut Writer, path: &[Name]) {
        let both = path.iter().zip(self.former.iter());
        let shared = both.take_while(|(a, b)| a == b).count();
        w.count(shared);
        w.count(path.len() - shared);
        for (depth, name) in path.iter().enumerate().skip(shared) {
            if self.former.get(depth) == Some(name) {
                w.count(0);
            } else {
                w.count(name.len() + 1);
                w.raw(name);
            }
        }
        self.former = path.into();
    }

    fn record(&mut self, w: &mut Writer, path: &Path, record: &Record) {
        self.path(w, path);
        self.dot(w, record.dot);
        self.removal(w, path.len(), record);
    }

    fn removal(&self, w: &mut Writer, depth: usize, record: &Record) {
        w.count(record.seen.entries());
        record.seen.for_each_entry(|origin, entry| {
            self.origin(w, origin);
            entry.encode(w);
        });
        w.count(record.cuts.len());
        for (key, cut) in record.cuts.iter() {
            relative_path(w, key.path.get(depth..).unwrap_or_default());
            self.origin(w, key.replica);
            w.varint(key.start);
            w.varint(cut.newest);
            w.signed(cut.total);
        }
    }

    fn link(&mut self, w: &mut Writer, link: &Link) {
        self.dot(w, link.end());
        w.varint(link.last - link.first);
        w.count(link.paths.len());
        self.former = [].into();
        for path in link.paths.iter() {
            self.path(w, path);
        }
    }

    fn entry(&mut self, w: &mut Writer, entry: EntryRef<'_>) {
        self.dot(w, entry.dot);
        let kind = match entry.value {
            ValueRef::Unit => KIND_UNIT,
            ValueRef::Bytes(_) => KIND_BYTES,
            ValueRef::Run(_) => KIND_RUN,
        };
        match self.removals.get(&entry.dot) {
            None => w.byte(kind),
            Some(record) if record.saw_all_before() => w.byte(kind | WITH_OWN),
            Some(record) => {
                w.byte(kind | WITH_REMOVAL);
                self.removal(w, self.former.len(), record);
            }
        }
        match entry.value {
            ValueRef::Unit => {}
            ValueRef::Bytes(bytes) => w.bytes(bytes),
            ValueRef::Run(run) => {
                w.varint(run.start);
                w.signed(run.total);
                w.varint(run.cut_seq);
                w.signed(run.cut_total);
            }
        }
    }
}

fn relative_path(w: &mut Writer, path: &[Name]) {
    w.count(path.len());
    for name in path {
        w.bytes(name);
    }
}
