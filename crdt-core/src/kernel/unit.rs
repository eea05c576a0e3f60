//! Units: pieces of what a peer lacks, applied as one.

use alloc::collections::BTreeSet;
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
        events.sort_unstable();
        events.dedup();
        events
    }

    /// Adds all of `other`; [`normalize`](Self::normalize) afterwards.
    pub fn extend(&mut self, other: Unit) {
        self.records.extend(other.records);
        self.links.extend(other.links);
        self.adds.extend(other.adds);
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
        let own_dots: BTreeSet<Dot> = own.iter().map(|r| r.dot).collect();
        let adds: Vec<Entry> = self
            .store
            .root()
            .get(path)
            .into_iter()
            .flat_map(|place| place.entries())
            .filter(|e| !self.peer.contains(e.dot) || own_dots.contains(&e.dot))
            .map(|e| e.to_entry())
            .collect();
        let mut dots = adds.iter().map(|e| e.dot).chain(own_dots);
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
        let paths = link.paths.iter().map(|path| 8 + path_weight(path));
        self.weight += 8 + paths.sum::<usize>();
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
            self.weight += path_weight(path) + 24 * (1 + record.seen.origins());
            self.weight += record
                .cuts
                .keys()
                .map(|k| path_weight(&k.path) + 40)
                .sum::<usize>();
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

fn entry_weight(entry: &Entry) -> usize {
    match &entry.value {
        super::Value::Unit => 8,
        super::Value::Bytes(bytes) => 12 + bytes.len(),
        super::Value::Run(_) => 40,
    }
}
