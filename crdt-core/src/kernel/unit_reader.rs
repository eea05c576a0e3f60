//! Reads units; see [`unit_codec`](super::unit_codec) for the format. Strict: there is one encoding
//! of each unit, and memory stays in proportion to the input.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::group_codec::{Group, MIN_GROUP};
use super::leaf::{Entry, MAX_TOTAL, Run, Value};
use super::link::{Link, MAX_LINK_PATHS};
use super::record::{Cut, CutKey, Record};
use super::unit_codec::{KIND_BYTES, KIND_RUN, KIND_UNIT, WITH_OWN, WITH_REMOVAL};
use crate::codec::{DecodeError, Reader};
use crate::context::ContextEntry;
use crate::limits::Limits;
use crate::name::{Name, Path};
use crate::seqs::MAX_SEQ;
use crate::{Context, Dot, ReplicaId};

/// Most paths in a unit that is decoded, those of cuts included: with each path in memory by itself, a
/// few bytes may ask for many. A whole value, which is decoded into a tree, has no such limit.
pub const MAX_ITEMS: usize = 1 << 20;

/// Entries of a path for which there is room at once, whatever is said of how many there are.
const USUAL: usize = 8;

pub(super) struct UnitReader<'r, 'a> {
    r: &'r mut Reader<'a>,
    limits: &'r Limits,
    origins: Vec<ReplicaId>,
    last: Vec<u64>,
    used: Vec<bool>,
    former: Vec<Name>,
    /// What is read of the next path.
    more: Vec<Name>,
    items: usize,
    most: usize,
    members: Group,
    records: Vec<(Path, Record)>,
    /// The events of the records that came by themselves.
    alone: BTreeSet<Dot>,
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

/// Takes the leaves of a unit, in the order of their paths.
pub(super) trait Leaves {
    fn leaf(&mut self, path: Path, entries: Vec<Entry>) -> Result<(), DecodeError>;
    /// Siblings under a path that hold one dot with nothing each.
    fn group(&mut self, above: &[Name], group: &Group) -> Result<(), DecodeError>;
}

impl Leaves for Vec<(Path, Vec<Entry>)> {
    fn leaf(&mut self, path: Path, entries: Vec<Entry>) -> Result<(), DecodeError> {
        self.push((path, entries));
        Ok(())
    }

    fn group(&mut self, above: &[Name], group: &Group) -> Result<(), DecodeError> {
        self.extend((0..group.len()).map(|at| {
            let (name, dot) = group.member(at);
            let path = above.iter().cloned().chain([Name::new(name)]).collect();
            let value = Value::Unit;
            (path, alloc::vec![Entry { dot, value }])
        }));
        Ok(())
    }
}

impl<'r, 'a> UnitReader<'r, 'a> {
    /// Reads the origins of a unit of at most so many paths.
    pub(super) fn new(
        r: &'r mut Reader<'a>,
        limits: &'r Limits,
        most: usize,
    ) -> Result<Self, DecodeError> {
        let mut origins = Vec::new();
        for _ in 0..r.count()? {
            let origin = ReplicaId::from_bytes(r.array()?);
            if origins.last() >= Some(&origin) {
                return Err(DecodeError::NotCanonical);
            }
            origins.push(origin);
        }
        Ok(Self {
            r,
            limits,
            last: alloc::vec![0; origins.len()],
            used: alloc::vec![false; origins.len()],
            origins,
            former: Vec::new(),
            more: Vec::new(),
            items: 0,
            most,
            members: Group::default(),
            records: Vec::new(),
            alone: BTreeSet::new(),
        })
    }

    /// Reads what comes before the leaves: records, and the links, which it returns.
    pub(super) fn heads(&mut self) -> Result<Vec<Link>, DecodeError> {
        let heads = self.r.varint()?;
        self.read_records(heads / 2)?;
        let links = if heads % 2 == 1 {
            self.links()?
        } else {
            Vec::new()
        };
        self.former.clear();
        Ok(links)
    }

    /// All records, after the leaves: those that came by themselves, and with leaves.
    pub(super) fn records(self) -> Result<Vec<(Path, Record)>, DecodeError> {
        let mut records = self.records;
        records.sort_by(|a, b| (&a.0, a.1.dot).cmp(&(&b.0, b.1.dot)));
        Ok(records)
    }

    fn read_records(&mut self, count: u64) -> Result<(), DecodeError> {
        let mut former: Option<(Path, Dot)> = None;
        for _ in 0..count {
            let path = self.path()?;
            let record = self.record(&path)?;
            let key = (path.clone(), record.dot);
            if former.as_ref() >= Some(&key) {
                return Err(DecodeError::NotCanonical);
            }
            former = Some(key);
            self.alone.insert(record.dot);
            self.records.push((path, record));
        }
        Ok(())
    }

    fn links(&mut self) -> Result<Vec<Link>, DecodeError> {
        let mut links: Vec<Link> = Vec::new();
        for _ in 0..self.r.count()? {
            let link = self.link()?;
            if links.last().is_some_and(|last| last.end() >= link.end()) {
                return Err(DecodeError::NotCanonical);
            }
            links.push(link);
        }
        if links.is_empty() {
            return Err(DecodeError::NotCanonical);
        }
        Ok(links)
    }

    fn link(&mut self) -> Result<Link, DecodeError> {
        let Dot { replica, seq: last } = self.dot()?;
        let first = last.checked_sub(self.r.varint()?);
        let first = first.filter(|first| (1..last).contains(first));
        let first = first.ok_or(DecodeError::Invalid("events of a transaction"))?;
        let count = self.r.count()?;
        if !(1..=MAX_LINK_PATHS).contains(&count) {
            return Err(DecodeError::Limit("paths of a transaction"));
        }
        self.former.clear();
        let mut paths: Vec<Path> = Vec::new();
        for _ in 0..count {
            let path = self.path()?;
            // Each comes after the one before; it must not be under that one either.
            if paths.last().is_some_and(|last| path.starts_with(last)) {
                return Err(DecodeError::NotCanonical);
            }
            paths.push(path);
        }
        let paths = paths.into();
        Ok(Link {
            replica,
            first,
            last,
            paths,
        })
    }

    /// Reads the leaves, to the end.
    pub(super) fn leaves(&mut self, out: &mut impl Leaves) -> Result<(), DecodeError> {
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
                self.group(&path, out)?;
                former = Some(self.former.as_slice().into());
                continue;
            }
            let before = self.records.len();
            let entries = self.entries(&path, count)?;
            let removes = self.records.len() > before;
            let plain = entries.len() == 1 && entries[0].value == Value::Unit && !removes;
            siblings.leaf(&path, plain)?;
            former = Some(path.clone());
            out.leaf(path, entries)?;
        }
        if self.used.contains(&false) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(())
    }

    fn entries(&mut self, path: &Path, count: usize) -> Result<Vec<Entry>, DecodeError> {
        // Mostly there is one.
        let mut entries: Vec<Entry> = Vec::with_capacity(count.min(USUAL));
        for _ in 0..count {
            let entry = self.entry(path)?;
            if entries.last().is_some_and(|last| last.dot >= entry.dot) {
                return Err(DecodeError::NotCanonical);
            }
            entries.push(entry);
        }
        Ok(entries)
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
    fn group(&mut self, path: &Path, out: &mut impl Leaves) -> Result<(), DecodeError> {
        let (first, above) = path.split_last().ok_or(DecodeError::NotCanonical)?;
        let mut group = core::mem::take(&mut self.members);
        let most = (self.most - self.items + 1, self.limits.element);
        let (origins, used) = (&self.origins, &mut self.used);
        group.decode(self.r, first, most, |place| {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let origin = origins.get(place).ok_or(DecodeError::Invalid("origin"))?;
            used[place] = true;
            Ok(*origin)
        })?;
        self.items += group.len() - 1;
        out.group(above, &group)?;
        let (last, _) = group.member(group.len() - 1);
        self.former.truncate(above.len());
        self.former.push(Name::new(last));
        self.members = group;
        Ok(())
    }

    /// One more path in memory. Sharing lets a few bytes ask for a deep path, so they are counted.
    fn item(&mut self) -> Result<(), DecodeError> {
        self.items += 1;
        if self.items <= self.most {
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
        self.more.clear();
        for depth in shared..shared + count {
            let name = self.component(depth)?;
            self.more.push(name);
        }
        let next = self.former.get(shared);
        if next.is_some() && self.more.first().is_some_and(|name| Some(name) <= next) {
            return Err(DecodeError::NotCanonical);
        }
        self.former.truncate(shared);
        self.former.append(&mut self.more);
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
        self.removal(path, dot)
    }

    fn removal(&mut self, path: &Path, dot: Dot) -> Result<Record, DecodeError> {
        let mut seen = Context::new();
        for _ in 0..self.r.count()? {
            let origin = self.origin()?;
            if !seen.push_entry(self.origins[origin], ContextEntry::decode(self.r)?) {
                return Err(DecodeError::NotCanonical);
            }
        }
        let mut cuts: Vec<(CutKey, Cut)> = Vec::new();
        for _ in 0..self.r.count()? {
            let (key, cut) = self.cut(path)?;
            if cuts.last().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::NotCanonical);
            }
            cuts.push((key, cut));
        }
        let cuts = cuts.into_iter().collect();
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

    /// An entry of a leaf, and its record if there is one.
    fn entry(&mut self, path: &Path) -> Result<Entry, DecodeError> {
        let dot = self.dot()?;
        // Its record would have come along.
        if self.alone.contains(&dot) {
            return Err(DecodeError::NotCanonical);
        }
        let kind = self.r.byte()?;
        let record = match kind & (WITH_REMOVAL | WITH_OWN) {
            0 => None,
            WITH_REMOVAL => {
                let record = self.removal(path, dot)?;
                if record.saw_all_before() {
                    return Err(DecodeError::NotCanonical);
                }
                Some(record)
            }
            WITH_OWN if dot.seq > 1 => Some(Record::of_all_before(dot)),
            _ => return Err(DecodeError::Invalid("kind of an entry")),
        };
        if let Some(record) = record {
            self.item()?;
            self.records.push((path.clone(), record));
        }
        let value = match kind & !(WITH_REMOVAL | WITH_OWN) {
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
