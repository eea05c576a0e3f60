//! The canonical bytes of units.
//!
//! ```text
//! unit    = count origin*  heads record* [count link*]  count leaf*
//! heads   = twice the count of records, and 1 more if there are links
//! origin  = 16 bytes, ascending; below, an origin is its place in this list
//! path    = count of components shared with the path before it, count of more, name*
//! name    = 0 if the path before it has the same at this depth, else length+1 and bytes
//! record  = path dot removal
//! removal = set count cut*          set = count (origin seqs)*
//! cut     = path, relative to the record's; origin start newest total
//! link    = dot of the last event, count of those before it, count path*, the first of them whole
//! leaf    = path count entry*, or path 0 group for siblings that hold one dot with nothing each
//! entry   = dot kind [removal] [payload]
//! kind    = 0 nothing, 1 bytes, 2 run: start total cut_seq cut_total; and 4 if the event also removed there,
//!           with a removal; or 8 if it had seen all before it of its origin, and nothing else
//! dot     = origin, seq as signed difference to the seq before it of this origin
//! ```
//!
//! The record of an event that also stands in a leaf of the same path goes along there, as what a register
//! writes does: path and dot are not said twice.
//! A group takes in every sibling that follows; see [`Group`]. The count of leaves counts a group as
//! one.

use alloc::vec::Vec;

use super::leaf::EntryRef;
use super::link::Link;
use super::store::DotStore;
use super::tree_builder::TreeBuilder;
use super::unit::Unit;
use super::unit_reader::UnitReader;
use super::unit_writer::{Leaves, Origins, Removals};
use crate::Context;
use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::Limits;
use crate::name::Path;
use crate::version_vector::VersionVector;

pub use super::unit_reader::MAX_ITEMS;

pub(super) const KIND_UNIT: u8 = 0;
pub(super) const KIND_BYTES: u8 = 1;
pub(super) const KIND_RUN: u8 = 2;
/// A removal goes along.
pub(super) const WITH_REMOVAL: u8 = 4;
/// A removal that saw all earlier events of its origin and nothing else.
pub(super) const WITH_OWN: u8 = 8;

impl Unit {
    /// Writes the canonical bytes. All must be in order, as a
    /// [`UnitBuilder`](super::UnitBuilder) leaves them.
    pub fn encode(&self, w: &mut Writer) {
        let mut origins = Origins::default();
        origins.extend(self.dots().map(|dot| dot.replica));
        self.records
            .iter()
            .for_each(|(_, record)| origins.add_record(record));
        let links: Vec<&Link> = self.links.iter().collect();
        origins.extend(links.iter().map(|link| link.replica));
        // Both are in the order of their paths.
        let mut adds = self.adds.iter().peekable();
        let stands = |path: &Path, dot| {
            while adds.next_if(|(other, _)| other < path).is_some() {}
            let here = adds.peek().filter(|(other, _)| other == path);
            here.is_some_and(|(_, entries)| entries.iter().any(|entry| entry.dot == dot))
        };
        let records = self.records.iter().map(|(path, record)| (path, record));
        let records = Removals::split(records, stands);
        let mut leaves = Leaves::begin(w, origins, records, &links);
        for (path, entries) in &self.adds {
            leaves.push(path, &mut entries.iter().map(EntryRef::from));
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
        let mut reader = UnitReader::new(r, limits, MAX_ITEMS)?;
        let links = reader.heads()?;
        let mut adds = Vec::new();
        reader.leaves(&mut adds)?;
        Ok(Self {
            records: reader.records()?,
            links,
            adds,
        })
    }
}

impl DotStore {
    /// Writes what is live, the records and the links, as the unit of all of it would be written.
    pub fn encode_whole(&self, w: &mut Writer) {
        let mut origins = Origins::default();
        origins.add_all(self.root.as_ref());
        self.records()
            .for_each(|(_, record)| origins.add_record(record));
        let links: Vec<&Link> = self.links().collect();
        origins.extend(links.iter().map(|link| link.replica));
        let stands = |path: &Path, dot| {
            let place = self.root.get(path);
            place.is_some_and(|place| place.entry(dot).is_some())
        };
        let records = Removals::split(self.records(), stands);
        let mut leaves = Leaves::begin(w, origins, records, &links);
        leaves.walk(&mut Vec::new(), self.root.as_ref());
        leaves.finish(w);
    }

    /// Reads what [`encode_whole`](Self::encode_whole) wrote, of a store with this context and floor.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] as of a unit; also if there is no such store: if a dot that is live is not in
    /// the context, if a record kills one, or says no more than another record.
    pub fn decode_whole(
        r: &mut Reader<'_>,
        limits: &Limits,
        context: Context,
        floor: VersionVector,
    ) -> Result<Self, DecodeError> {
        let mut reader = UnitReader::new(r, limits, usize::MAX - 1)?;
        let links = reader.heads()?;
        let mut tree = TreeBuilder::under(&context);
        reader.leaves(&mut tree)?;
        let records = reader.records()?;
        let root = tree.finish();
        let mut store = Self {
            context,
            floor,
            root,
            ..Self::default()
        };
        links.into_iter().for_each(|link| store.links.insert(link));
        for (path, record) in records {
            store.restore_record(&path, record)?;
        }
        Ok(store)
    }
}
