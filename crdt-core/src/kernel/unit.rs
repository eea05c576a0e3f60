//! Units: pieces of what a peer lacks, applied as one.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::leaf::Entry;
use super::link::Link;
use super::record::Record;
use super::store::DotStore;
use crate::name::{Name, Path};
use crate::{Context, Dot};

/// One or more complete pieces, applied as one: at each path all live dots and removal records
/// that the receiver's context lacks, together with the records of the paths above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Removal records, with their paths.
    pub records: Vec<(Path, Record)>,
    /// The links of what it brings.
    pub links: Vec<Link>,
    /// Live dots, with their paths.
    pub adds: Vec<(Path, Vec<Entry>)>,
}

impl Unit {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.links.is_empty() && self.adds.is_empty()
    }

    /// The dots that the receiver may claim once it has applied the unit.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        let adds = self
            .adds
            .iter()
            .flat_map(|(_, entries)| entries.iter().map(|e| e.dot));
        adds.chain(self.records.iter().map(|(_, record)| record.dot))
    }

    /// The events of [`dots`](Self::dots), in order and each once: what a write removed and what it left are one.
    pub fn events(&self) -> Vec<Dot> {
        let mut events: Vec<Dot> = self.dots().collect();
        Dot::sort(&mut events);
        events.dedup();
        events
    }

    /// What is live in it, without records and links.
    #[must_use]
    pub fn into_values(self) -> Self {
        Self {
            adds: self.adds,
            ..Self::default()
        }
    }

    /// Adds all of `other`; [`normalize`](Self::normalize) afterwards.
    pub fn extend(&mut self, other: Unit) {
        self.records.extend(other.records);
        self.links.extend(other.links);
        self.adds.extend(other.adds);
    }

    /// About how many bytes it would take.
    pub fn weight(&self) -> usize {
        let records = self.records.iter();
        let records = records.map(|(path, record)| record_weight(path, record));
        let adds = self.adds.iter();
        let adds = adds.map(|(path, entries)| {
            path_weight(path) + entries.iter().map(entry_weight).sum::<usize>()
        });
        let links = self.links.iter().map(link_weight);
        records.sum::<usize>() + links.sum::<usize>() + adds.sum::<usize>()
    }

    /// Parts of about `weight` bytes, or of one record, link or entry that has more by itself. Only together are
    /// they complete: a receiver puts them together again by [`extend`](Self::extend) before it applies any.
    pub fn cut(self, weight: usize) -> VecDeque<Unit> {
        if self.weight() <= weight {
            return VecDeque::from([self]);
        }
        let mut parts = Parts {
            done: VecDeque::new(),
            last: Unit::default(),
            left: weight,
            weight,
        };
        for (path, record) in self.records {
            let part = parts.with_room(record_weight(&path, &record));
            part.records.push((path, record));
        }
        for link in self.links {
            parts.with_room(link_weight(&link)).links.push(link);
        }
        for (path, entries) in self.adds {
            for entry in entries {
                let part = parts.with_room(path_weight(&path) + entry_weight(&entry));
                match part.adds.last_mut() {
                    Some((last, entries)) if *last == path => entries.push(entry),
                    _ => part.adds.push((path.clone(), alloc::vec![entry])),
                }
            }
        }
        parts.done.push_back(parts.last);
        parts.done
    }

    /// Puts it in canonical order, each path, dot and link once.
    pub fn normalize(&mut self) {
        self.records
            .sort_by(|a, b| (&a.0, a.1.dot).cmp(&(&b.0, b.1.dot)));
        self.links.sort_by_key(Link::end);
        self.links.dedup_by_key(|link| link.end());
        self.adds.sort_by(|a, b| a.0.cmp(&b.0));
        self.adds.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1.append(&mut later.1);
            }
            same
        });
        for (_, entries) in &mut self.adds {
            entries.sort_by_key(|entry| entry.dot);
            entries.dedup_by_key(|entry| entry.dot);
        }
    }
}

/// What a unit is cut into.
struct Parts {
    done: VecDeque<Unit>,
    last: Unit,
    /// Bytes that the last one may still take.
    left: usize,
    weight: usize,
}

impl Parts {
    /// The part that takes something of so many bytes.
    fn with_room(&mut self, bytes: usize) -> &mut Unit {
        if bytes > self.left && !self.last.is_empty() {
            self.done.push_back(core::mem::take(&mut self.last));
            self.left = self.weight;
        }
        self.left = self.left.saturating_sub(bytes);
        &mut self.last
    }
}

/// Collects complete pieces against one context into units.
#[derive(Debug)]
pub struct UnitBuilder<'a> {
    store: &'a DotStore,
    peer: &'a Context,
    known_records_too: bool,
    unit: Unit,
    records: BTreeSet<Dot>,
    weight: usize,
}

impl<'a> UnitBuilder<'a> {
    /// Pieces of `store` for a peer with this context.
    pub fn new(store: &'a DotStore, peer: &'a Context) -> Self {
        Self {
            store,
            peer,
            known_records_too: false,
            unit: Unit::default(),
            records: BTreeSet::new(),
            weight: 0,
        }
    }

    /// Takes in records at and above the paths even where the context has them: for deltas whose
    /// receiver is not known.
    pub fn with_known_records(mut self) -> Self {
        self.known_records_too = true;
        self
    }

    /// Where the pieces are from.
    pub fn store(&self) -> &'a DotStore {
        self.store
    }

    /// What the receiver has.
    pub fn peer(&self) -> &'a Context {
        self.peer
    }

    /// About how many bytes the unit would take.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Adds the piece of one path. Returns whether there was anything that the peer lacks.
    pub fn piece(&mut self, path: &Path) -> bool {
        let own: Vec<Record> = self.lacking(path).collect();
        // They are in the order of their events.
        let is_own = |dot: Dot| own.binary_search_by_key(&dot, |r| r.dot).is_ok();
        let place = self.store.root().get(path);
        let adds: Vec<Entry> = place
            .into_iter()
            .flat_map(|place| place.entries())
            .filter(|e| !self.peer.contains(e.dot) || is_own(e.dot))
            .map(|e| e.to_entry())
            .collect();
        let dots = adds.iter().map(|e| e.dot);
        let mut dots = dots.chain(own.iter().map(|r| r.dot));
        if dots.all(|dot| self.peer.contains(dot)) {
            return false;
        }
        for depth in 0..path.len() {
            let above: Vec<Record> = self.lacking(&path[..depth]).collect();
            for record in above {
                // An event that wrote at a path above brought a dot there: it goes along.
                let at: Path = path[..depth].into();
                let dot = record.dot;
                let entry = self
                    .store
                    .root()
                    .get(&at)
                    .and_then(|place| place.entry(dot))
                    .map(|entry| entry.to_entry());
                if self.record(&at, record)
                    && let Some(entry) = entry
                {
                    self.add(at, alloc::vec![entry]);
                }
            }
        }
        for record in own {
            self.record(path, record);
        }
        if !adds.is_empty() {
            self.add(path.clone(), adds);
        }
        true
    }

    /// Adds a link. The pieces at its paths are the caller's affair.
    pub fn link(&mut self, link: &Link) {
        self.weight += link_weight(link);
        self.unit.links.push(link.clone());
    }

    /// The unit, in canonical order.
    pub fn finish(mut self) -> Unit {
        self.unit.normalize();
        self.unit
    }

    fn lacking(&self, path: &[Name]) -> impl Iterator<Item = Record> + use<'a> {
        let (peer, all) = (self.peer, self.known_records_too);
        let records = self.store.records_at(path).iter();
        records
            .filter(move |r| all || !peer.contains(r.dot))
            .cloned()
    }

    fn record(&mut self, path: &Path, record: Record) -> bool {
        let new = self.records.insert(record.dot);
        if new {
            self.weight += record_weight(path, &record);
            self.unit.records.push((path.clone(), record));
        }
        new
    }

    fn add(&mut self, path: Path, entries: Vec<Entry>) {
        self.weight += path_weight(&path);
        self.weight += entries.iter().map(entry_weight).sum::<usize>();
        self.unit.adds.push((path, entries));
    }
}

fn path_weight(path: &[Name]) -> usize {
    path.iter().map(|name| name.len() + 2).sum()
}

fn record_weight(path: &[Name], record: &Record) -> usize {
    let cuts = record.cuts.keys().map(|cut| path_weight(&cut.path) + 40);
    path_weight(path) + 24 * (1 + record.seen.origins()) + cuts.sum::<usize>()
}

fn link_weight(link: &Link) -> usize {
    let paths = link.paths.iter().map(|path| 8 + path_weight(path));
    8 + paths.sum::<usize>()
}

fn entry_weight(entry: &Entry) -> usize {
    match &entry.value {
        super::Value::Unit => 8,
        super::Value::Bytes(bytes) => 12 + bytes.len(),
        super::Value::Run(_) => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::ReplicaId;

    fn entry(seq: u64, bytes: usize) -> Entry {
        let value = if bytes == 0 {
            Value::Unit
        } else {
            Value::Bytes(alloc::vec![0; bytes].into())
        };
        let dot = Dot::new(ReplicaId::new(1, 1), seq);
        Entry { dot, value }
    }

    fn unit() -> Unit {
        let path = |name: &str| Path::from([Name::from("key"), Name::from(name)]);
        let record = |seq| {
            let dot = Dot::new(ReplicaId::new(2, 1), seq);
            let seen = Context::new();
            let cuts = Default::default();
            Record { dot, seen, cuts }
        };
        let link = |last| Link {
            replica: ReplicaId::new(1, 1),
            first: last - 1,
            last,
            paths: [path("a"), path("b")].into(),
        };
        let sizes = [0, 5, 300, 0, 40, 1000, 10];
        let entries = sizes.iter().zip(1..).map(|(size, seq)| entry(seq, *size));
        let mut unit = Unit {
            records: [("a", 1), ("a", 2), ("b", 3)]
                .map(|(name, seq)| (path(name), record(seq)))
                .into(),
            links: [link(2), link(5)].into(),
            adds: [
                (path("a"), entries.collect()),
                (path("b"), [entry(9, 0)].into()),
            ]
            .into(),
        };
        unit.normalize();
        unit
    }

    #[test]
    fn parts_are_small_and_together_the_whole() {
        let whole = unit();
        for weight in 1..=whole.weight() + 1 {
            let parts = whole.clone().cut(weight);
            assert_eq!(parts.len() == 1, weight >= whole.weight(), "{weight}");
            let mut again = Unit::default();
            for part in parts {
                let entries = part.adds.iter().map(|(_, entries)| entries.len());
                let things = part.records.len() + part.links.len() + entries.sum::<usize>();
                assert!(part.weight() <= weight || things == 1, "{weight}: {part:?}");
                assert!(!part.is_empty(), "{weight}");
                again.extend(part);
            }
            again.normalize();
            assert_eq!(again, whole, "{weight}");
        }
    }
}
