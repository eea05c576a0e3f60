//! The canonical bytes of units.
//!
//! ```text
//! unit    = count origin*  count record*  count leaf*
//! origin  = 16 bytes, ascending; below, an origin is its place in this list
//! path    = count of components shared with the path before it, count of more, (length, bytes)*
//! record  = path dot set cut*       set = count (origin seqs)*
//! cut     = path, relative to the record's; origin start newest total
//! leaf    = path count entry*
//! entry   = dot kind [payload]      kind 0 nothing, 1 bytes, 2 run: start total cut_seq cut_total
//! dot     = origin, seq as signed difference to the seq before it of this origin
//! ```

use alloc::collections::BTreeMap;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::leaf::{Entry, MAX_TOTAL, Run, Value};
use super::record::{Cut, CutKey, Record};
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
        w.count(self.adds.len());
        for (path, entries) in &self.adds {
            encoder.path(w, path);
            w.count(entries.len());
            for entry in entries {
                encoder.entry(w, entry);
            }
        }
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
        };
        let unit = decoder.unit()?;
        if decoder.used.contains(&false) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(unit)
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
            origins.extend(record.seen.iter().map(|(origin, _)| origin));
            origins.extend(record.cuts.keys().map(|key| key.replica));
        }
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

    fn origin(&self, w: &mut Writer, origin: ReplicaId) {
        w.count(self.origins.get(&origin).map_or(0, |o| o.0));
    }

    fn dot(&mut self, w: &mut Writer, dot: Dot) {
        if let Some((at, last)) = self.origins.get_mut(&dot.replica) {
            w.count(*at);
            w.signed(i128::from(dot.seq) - i128::from(*last));
            *last = dot.seq;
        }
    }

    fn path(&mut self, w: &mut Writer, path: &Path) {
        let shared = path
            .iter()
            .zip(self.former.iter())
            .take_while(|(a, b)| a == b)
            .count();
        w.count(shared);
        relative_path(w, &path[shared..]);
        self.former = path.clone();
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

    fn entry(&mut self, w: &mut Writer, entry: &Entry) {
        self.dot(w, entry.dot);
        match &entry.value {
            Value::Unit => w.byte(KIND_UNIT),
            Value::Bytes(bytes) => {
                w.byte(KIND_BYTES);
                w.bytes(bytes);
            }
            Value::Run(run) => {
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
        for _ in 0..self.r.count()? {
            let path = self.path()?;
            if former.as_ref() >= Some(&path) {
                return Err(DecodeError::NotCanonical);
            }
            let mut entries: Vec<Entry> = Vec::new();
            for _ in 0..self.r.count()? {
                let entry = self.entry()?;
                if entries.last().is_some_and(|last| last.dot >= entry.dot) {
                    return Err(DecodeError::NotCanonical);
                }
                entries.push(entry);
            }
            if entries.is_empty() {
                return Err(DecodeError::NotCanonical);
            }
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
        let former = self.former.get(shared).cloned();
        self.former.truncate(shared);
        let more = self.relative_path(shared)?;
        if former.is_some()
            && more
                .first()
                .is_some_and(|name| Some(name) <= former.as_ref())
        {
            return Err(DecodeError::NotCanonical);
        }
        self.former.extend(more);
        Ok(self.former.as_slice().into())
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
