//! The canonical bytes of units.
//!
//! ```text
//! unit    = count origin*  count record*  count leaf*
//! origin  = 16 bytes, ascending; below, an origin is its place in this list
//! path    = count of components shared with the path before it, count of more, name*
//! name    = 0 if the path before it has the same at this depth, else length+1 and bytes
//! record  = path dot set cut*       set = count (origin seqs)*
//! cut     = path, relative to the record's; origin start newest total
//! leaf    = path count entry*, or path 0 group for siblings that hold one dot with nothing each
//! entry   = dot kind [payload]      kind 0 nothing, 1 bytes, 2 run: start total cut_seq cut_total
//! dot     = origin, seq as signed difference to the seq before it of this origin
//! ```
//!
//! A group takes in every sibling that follows; see [`Group`]. The count of leaves counts a group as
//! one.

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::group_codec::{Group, MIN_GROUP};
use super::leaf::{Entry, EntryRef, MAX_TOTAL, Run, Value, ValueRef};
use super::node::NodeRef;
use super::record::{Cut, CutKey, Record};
use super::store::DotStore;
use super::unit::Unit;
use crate::codec::{DecodeError, Reader, Writer};
use crate::context::{MAX_SEQ, Seqs};
use crate::limits::Limits;
use crate::name::{Name, Path};
use crate::{Context, Dot, ReplicaId};

/// Most paths in a unit, those of cuts included: bounds what decoding one can take in memory.
pub const MAX_ITEMS: usize = 1 << 20;

const KIND_UNIT: u8 = 0;
const KIND_BYTES: u8 = 1;
const KIND_RUN: u8 = 2;

impl Unit {
    /// Writes the canonical bytes. Records and adds must be sorted by path, as a
    /// [`UnitBuilder`](super::UnitBuilder) leaves them.
    pub fn encode(&self, w: &mut Writer) {
        let mut encoder = Encoder::new(self);
        w.count(encoder.origins.len());
        for origin in encoder.origins.keys() {
            w.raw(&origin.to_bytes());
        }
        w.count(self.records.len());
        for (path, record) in &self.records {
            encoder.record(w, path, record);
        }
        encoder.former = [].into();
        let mut leaves = Leaves::new(encoder);
        for (path, entries) in &self.adds {
            let mut entries = entries.iter().map(EntryRef::from);
            leaves.push(path, &mut entries);
        }
        leaves.finish(w);
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no canonical encoding or go beyond the limits. Memory
    /// stays proportional to the input.
    pub fn decode(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let mut origins = Vec::new();
        for _ in 0..r.count()? {
            let origin = ReplicaId::from_bytes(r.array()?);
            if origins.last() >= Some(&origin) {
                return Err(DecodeError::NotCanonical);
            }
            origins.push(origin);
        }
        let last = alloc::vec![0; origins.len()];
        let used = alloc::vec![false; origins.len()];
        let mut decoder = Decoder {
            r,
            limits,
            origins,
            last,
            used,
            former: Vec::new(),
            items: 0,
            members: Group::default(),
        };
        let unit = decoder.unit()?;
        if decoder.used.contains(&false) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(unit)
    }
}

/// Writes a whole store, as a unit of all of it would be written.
pub(super) fn encode_whole(w: &mut Writer, store: &DotStore) {
    let root = store.root().as_ref();
    let mut origins = BTreeSet::new();
    collect_origins(root, &mut None, &mut origins);
    for (_, record) in store.records() {
        collect_record_origins(record, &mut origins);
    }
    let mut encoder = Encoder::of(origins);
    w.count(encoder.origins.len());
    for origin in encoder.origins.keys() {
        w.raw(&origin.to_bytes());
    }
    w.count(store.record_count());
    for (path, record) in store.records() {
        encoder.record(w, path, record);
    }
    encoder.former = [].into();
    let mut leaves = Leaves::new(encoder);
    leaves.walk(&mut Vec::new(), root);
    leaves.finish(w);
}

fn collect_origins(
    node: NodeRef<'_>,
    last: &mut Option<ReplicaId>,
    origins: &mut BTreeSet<ReplicaId>,
) {
    for entry in node.entries() {
        if *last != Some(entry.dot.replica) {
            *last = Some(entry.dot.replica);
            origins.insert(entry.dot.replica);
        }
    }
    for (_, child) in node.children() {
        collect_origins(child, last, origins);
    }
}

fn collect_record_origins(record: &Record, origins: &mut BTreeSet<ReplicaId>) {
    origins.insert(record.dot.replica);
    origins.extend(record.seen.iter().map(|(origin, _)| origin));
    origins.extend(record.cuts.keys().map(|key| key.replica));
}

/// Writes leaves in order, gathering siblings into groups. How many there are is known at the end.
struct Leaves {
    encoder: Encoder,
    out: Writer,
    count: usize,
    /// The path above the siblings that are held back.
    above: Vec<Name>,
    held: Group,
}

impl Leaves {
    fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            out: Writer::new(),
            count: 0,
            above: Vec::new(),
            held: Group::default(),
        }
    }

    fn walk(&mut self, path: &mut Vec<Name>, node: NodeRef<'_>) {
        if node.has_entries() {
            self.push(path, &mut node.entries());
        }
        for (name, child) in node.children() {
            if let Some(EntryRef {
                dot,
                value: ValueRef::Unit,
            }) = child.single()
            {
                self.hold(path, name, dot);
                continue;
            }
            path.push(Name::new(name));
            self.walk(path, child);
            path.pop();
        }
    }

    fn push<'e>(&mut self, path: &[Name], entries: &mut dyn Iterator<Item = EntryRef<'e>>) {
        let (first, second) = (entries.next(), entries.next());
        if let (Some((name, above)), Some(entry), None) = (path.split_last(), first, second)
            && entry.value == ValueRef::Unit
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

    fn finish(mut self, w: &mut Writer) {
        self.release();
        w.count(self.count);
        w.raw(&self.out.finish());
    }
}

struct Encoder {
    origins: BTreeMap<ReplicaId, (usize, u64)>,
    former: Path,
}

impl Encoder {
    fn new(unit: &Unit) -> Self {
        let mut origins: BTreeSet<ReplicaId> = unit.dots().map(|dot| dot.replica).collect();
        for (_, record) in &unit.records {
            collect_record_origins(record, &mut origins);
        }
        Self::of(origins)
    }

    fn of(origins: BTreeSet<ReplicaId>) -> Self {
        let origins = origins
            .into_iter()
            .enumerate()
            .map(|(at, o)| (o, (at, 0)))
            .collect();
        Self {
            origins,
            former: [].into(),
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
        w.count(record.seen.origins());
        for (origin, seqs) in record.seen.iter() {
            self.origin(w, origin);
            seqs.encode(w);
        }
        w.count(record.cuts.len());
        for (key, cut) in &record.cuts {
            relative_path(w, key.path.get(path.len()..).unwrap_or_default());
            self.origin(w, key.replica);
            w.varint(key.start);
            w.varint(cut.newest);
            w.signed(cut.total);
        }
    }

    fn entry(&mut self, w: &mut Writer, entry: EntryRef<'_>) {
        self.dot(w, entry.dot);
        match entry.value {
            ValueRef::Unit => w.byte(KIND_UNIT),
            ValueRef::Bytes(bytes) => {
                w.byte(KIND_BYTES);
                w.bytes(bytes);
            }
            ValueRef::Run(run) => {
                w.byte(KIND_RUN);
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

struct Decoder<'r, 'a> {
    r: &'r mut Reader<'a>,
    limits: &'r Limits,
    origins: Vec<ReplicaId>,
    last: Vec<u64>,
    used: Vec<bool>,
    former: Vec<Name>,
    items: usize,
    members: Group,
}

/// Sees to it that siblings are written as a group wherever they can be.
#[derive(Default)]
struct Siblings {
    above: Vec<Name>,
    /// How many in a row hold one dot with nothing; a group is as many as it takes.
    plain: usize,
}

impl Siblings {
    fn leaf(&mut self, path: &Path, plain: bool) -> Result<(), DecodeError> {
        let Some((_, above)) = path.split_last().filter(|_| plain) else {
            self.plain = 0;
            return Ok(());
        };
        if self.plain == 0 || self.above != above {
            self.above = above.to_vec();
            self.plain = 0;
        }
        self.plain += 1;
        if self.plain < MIN_GROUP {
            Ok(())
        } else {
            Err(DecodeError::NotCanonical)
        }
    }

    fn group(&mut self, path: &Path) -> Result<(), DecodeError> {
        let above = path.split_last().map_or(&[][..], |(_, above)| above);
        if self.plain > 0 && self.above == above {
            return Err(DecodeError::NotCanonical);
        }
        self.above = above.to_vec();
        self.plain = MIN_GROUP - 1;
        Ok(())
    }
}

impl Decoder<'_, '_> {
    fn unit(&mut self) -> Result<Unit, DecodeError> {
        let mut unit = Unit::default();
        let mut former: Option<(Path, Dot)> = None;
        for _ in 0..self.r.count()? {
            let path = self.path()?;
            let record = self.record(&path)?;
            let key = (path.clone(), record.dot);
            if former.as_ref() >= Some(&key) {
                return Err(DecodeError::NotCanonical);
            }
            former = Some(key);
            unit.records.push((path, record));
        }
        self.former.clear();
        let mut former: Option<Path> = None;
        let mut siblings = Siblings::default();
        for _ in 0..self.r.count()? {
            let path = self.path()?;
            if former.as_ref() >= Some(&path) {
                return Err(DecodeError::NotCanonical);
            }
            let count = self.r.count()?;
            if count == 0 {
                siblings.group(&path)?;
                self.group(&path, &mut unit)?;
                former = unit.adds.last().map(|(path, _)| path.clone());
                continue;
            }
            let mut entries: Vec<Entry> = Vec::new();
            for _ in 0..count {
                let entry = self.entry()?;
                if entries.last().is_some_and(|last| last.dot >= entry.dot) {
                    return Err(DecodeError::NotCanonical);
                }
                entries.push(entry);
            }
            let plain = entries.len() == 1 && entries[0].value == Value::Unit;
            siblings.leaf(&path, plain)?;
            former = Some(path.clone());
            unit.adds.push((path, entries));
        }
        Ok(unit)
    }

    fn origin(&mut self) -> Result<usize, DecodeError> {
        let at = usize::try_from(self.r.varint()?).unwrap_or(usize::MAX);
        *self
            .used
            .get_mut(at)
            .ok_or(DecodeError::Invalid("origin"))? = true;
        Ok(at)
    }

    fn dot(&mut self) -> Result<Dot, DecodeError> {
        let at = self.origin()?;
        let seq = self
            .r
            .signed()?
            .checked_add(i128::from(self.last[at]))
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| (1..=MAX_SEQ).contains(n))
            .ok_or(DecodeError::Limit("sequence number"))?;
        self.last[at] = seq;
        Ok(Dot::new(self.origins[at], seq))
    }

    /// A group whose first member is at `path`.
    fn group(&mut self, path: &Path, unit: &mut Unit) -> Result<(), DecodeError> {
        let (first, above) = path.split_last().ok_or(DecodeError::NotCanonical)?;
        let mut group = core::mem::take(&mut self.members);
        let most = (MAX_ITEMS - self.items + 1, self.limits.element);
        let (origins, used) = (&self.origins, &mut self.used);
        group.decode(self.r, first, most, |place| {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let origin = origins.get(place).ok_or(DecodeError::Invalid("origin"))?;
            used[place] = true;
            Ok(*origin)
        })?;
        self.items += group.len() - 1;
        for at in 0..group.len() {
            let (name, dot) = group.member(at);
            let path = above.iter().cloned().chain([Name::new(name)]).collect();
            let value = Value::Unit;
            unit.adds.push((path, alloc::vec![Entry { dot, value }]));
        }
        if let Some((last, _)) = unit.adds.last() {
            self.former = last.to_vec();
        }
        self.members = group;
        Ok(())
    }

    /// One more path in memory. Sharing lets a few bytes ask for a deep path, so they are counted.
    fn item(&mut self) -> Result<(), DecodeError> {
        self.items += 1;
        if self.items <= MAX_ITEMS {
            Ok(())
        } else {
            Err(DecodeError::Limit("paths in a unit"))
        }
    }

    /// A path that shares its first components with the one before it.
    fn path(&mut self) -> Result<Path, DecodeError> {
        self.item()?;
        let shared = usize::try_from(self.r.varint()?).unwrap_or(usize::MAX);
        if shared > self.former.len() {
            return Err(DecodeError::Invalid("shared path"));
        }
        let count = self.r.count()?;
        if shared + count > self.limits.depth {
            return Err(DecodeError::Limit("depth of a path"));
        }
        let more = (shared..shared + count)
            .map(|depth| self.component(depth))
            .collect::<Result<Vec<Name>, _>>()?;
        let next = self.former.get(shared);
        if next.is_some() && more.first().is_some_and(|name| Some(name) <= next) {
            return Err(DecodeError::NotCanonical);
        }
        self.former.truncate(shared);
        self.former.extend(more);
        Ok(self.former.as_slice().into())
    }

    /// A component, which may be that of the path before at this depth.
    fn component(&mut self, depth: usize) -> Result<Name, DecodeError> {
        let same = self.former.get(depth);
        let length = self.r.varint()?;
        let Some(length) = length.checked_sub(1) else {
            return same
                .cloned()
                .ok_or(DecodeError::Invalid("repeated component"));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limits.element {
            return Err(DecodeError::Limit("length of a path component"));
        }
        let name = Name::new(self.r.raw(length)?);
        if same == Some(&name) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(name)
    }

    fn relative_path(&mut self, above: usize) -> Result<Vec<Name>, DecodeError> {
        let count = self.r.count()?;
        if above + count > self.limits.depth {
            return Err(DecodeError::Limit("depth of a path"));
        }
        (0..count)
            .map(|_| {
                let bytes = self.r.bytes()?;
                if bytes.len() > self.limits.element {
                    return Err(DecodeError::Limit("length of a path component"));
                }
                Ok(Name::new(bytes))
            })
            .collect()
    }

    fn record(&mut self, path: &Path) -> Result<Record, DecodeError> {
        let dot = self.dot()?;
        let mut seen = Context::new();
        let mut last = None;
        for _ in 0..self.r.count()? {
            let origin = self.origin()?;
            if last >= Some(origin) {
                return Err(DecodeError::NotCanonical);
            }
            last = Some(origin);
            let seqs = Seqs::decode(self.r)?;
            if seqs.is_empty() {
                return Err(DecodeError::NotCanonical);
            }
            seen.set(self.origins[origin], seqs);
        }
        let mut cuts = BTreeMap::new();
        for _ in 0..self.r.count()? {
            let (key, cut) = self.cut(path)?;
            if cuts.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::NotCanonical);
            }
            cuts.insert(key, cut);
        }
        Ok(Record { dot, seen, cuts })
    }

    fn cut(&mut self, above: &Path) -> Result<(CutKey, Cut), DecodeError> {
        self.item()?;
        let below = self.relative_path(above.len())?;
        let path = above.iter().cloned().chain(below).collect();
        let replica = self.origin()?;
        let replica = self.origins[replica];
        let start = self.seq()?;
        let newest = self.seq()?;
        let total = self.total()?;
        if start == 0 || newest < start {
            return Err(DecodeError::Invalid("cut of a run"));
        }
        Ok((
            CutKey {
                path,
                replica,
                start,
            },
            Cut { newest, total },
        ))
    }

    fn entry(&mut self) -> Result<Entry, DecodeError> {
        let dot = self.dot()?;
        let value = match self.r.byte()? {
            KIND_UNIT => Value::Unit,
            KIND_BYTES => {
                let bytes = self.r.bytes()?;
                if bytes.len() > self.limits.payload {
                    return Err(DecodeError::Limit("length of a payload"));
                }
                Value::Bytes(bytes.into())
            }
            KIND_RUN => {
                let start = self.seq()?;
                let total = self.total()?;
                let cut_seq = self.seq()?;
                let cut_total = self.total()?;
                let uncut = cut_seq == 0 && cut_total == 0;
                if start == 0 || start > dot.seq || !(uncut || (start..dot.seq).contains(&cut_seq))
                {
                    return Err(DecodeError::Invalid("run of a counter"));
                }
                Value::Run(Run {
                    start,
                    total,
                    cut_seq,
                    cut_total,
                })
            }
            _ => return Err(DecodeError::Invalid("kind of an entry")),
        };
        Ok(Entry { dot, value })
    }

    fn seq(&mut self) -> Result<u64, DecodeError> {
        let seq = self.r.varint()?;
        if seq <= MAX_SEQ {
            Ok(seq)
        } else {
            Err(DecodeError::Limit("sequence number"))
        }
    }

    fn total(&mut self) -> Result<i128, DecodeError> {
        let total = self.r.signed()?;
        let ok = (-MAX_TOTAL..=MAX_TOTAL).contains(&total);
        if ok {
            Ok(total)
        } else {
            Err(DecodeError::Limit("total of a counter"))
        }
    }
}
