//! The roster: which nodes belong to the cluster, in which of their lives, and where they are.
//!
//! Unlike what SWIM finds out, it never forgets a member because it does not answer. An entry is made by
//! the node that it is about; that it is gone, by anybody. Of two entries the one of the later life counts,
//! and of the same life the one that says that it is gone: a join, so the order in which they come does not
//! matter.

use std::collections::BTreeMap;

use crdt_core::codec::{DecodeError, Reader, Writer};

use crate::{FrameError, MAX_NAME, NodeId, Time};

/// Longest address of a member, in bytes: a DNS name and a port.
pub const MAX_ADDRESS: usize = 260;
/// Members at most, those that are gone included.
pub const MAX_MEMBERS: usize = 8192;
/// Gone members that are remembered at most, the latest ones.
pub const MAX_GONE: usize = 4096;

/// Entries in one message at most: at their longest they fit a frame.
const MAX_ENTRIES: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gone {
    Left,
    Removed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) generation: u64,
    pub(super) gone: Option<Gone>,
    pub(super) address: String,
}

impl Entry {
    fn rank(&self) -> (u64, Option<Gone>, &str) {
        (self.generation, self.gone, &self.address)
    }
}

/// What one node tells another of a third one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) node: NodeId,
    pub(super) entry: Entry,
    /// Whether it answers whoever tells. Not part of what is joined.
    pub(super) answers: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    entries: BTreeMap<NodeId, Entry>,
    gone_since: BTreeMap<NodeId, Time>,
}

impl Roster {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Entry> {
        self.entries.get(node)
    }

    /// Takes an entry in; returns whether it says anything new.
    pub(super) fn join(&mut self, now: Time, node: &NodeId, entry: Entry) -> bool {
        let old = self.entries.get(node);
        if old.is_some_and(|old| old.rank() >= entry.rank()) {
            return false;
        }
        if entry.gone.is_some() {
            self.gone_since.entry(node.clone()).or_insert(now);
        } else {
            self.gone_since.remove(node);
        }
        self.entries.insert(node.clone(), entry);
        if self.gone_since.len() > MAX_GONE {
            let oldest = self.gone_since.iter().min_by_key(|(_, since)| **since);
            if let Some(oldest) = oldest.map(|(node, _)| node.clone()) {
                self.drop_entry(&oldest);
            }
        }
        true
    }

    /// Drops what is gone since then or longer.
    pub(super) fn forget_gone(&mut self, then: Time) -> bool {
        let old = self.gone_since.iter().filter(|(_, since)| **since <= then);
        let old: Vec<NodeId> = old.map(|(node, _)| node.clone()).collect();
        old.iter().for_each(|node| self.drop_entry(node));
        !old.is_empty()
    }

    pub(super) fn oldest_gone(&self) -> Option<Time> {
        self.gone_since.values().min().copied()
    }

    fn drop_entry(&mut self, node: &NodeId) {
        self.entries.remove(node);
        self.gone_since.remove(node);
    }

    /// Whether so many more could be taken in.
    pub(super) fn has_room(&self, told: &[Told]) -> bool {
        let new = told
            .iter()
            .filter(|told| !self.entries.contains_key(&told.node));
        self.entries.len() + new.count() <= MAX_MEMBERS
    }
}

/// Cuts what is to be told into what fits a message.
pub(super) fn messages(told: &[Told]) -> impl Iterator<Item = &[Told]> {
    told.chunks(MAX_ENTRIES)
}

pub(super) fn encode(told: &[Told], w: &mut Writer) {
    w.count(told.len());
    for Told {
        node,
        entry,
        answers,
    } in told
    {
        w.bytes(node.as_str().as_bytes());
        w.varint(entry.generation);
        w.byte(match entry.gone {
            None => 0,
            Some(Gone::Left) => 1,
            Some(Gone::Removed) => 2,
        });
        w.bytes(entry.address.as_bytes());
        w.byte(u8::from(*answers));
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Told>, FrameError> {
    let mut r = Reader::new(bytes);
    let count = r.varint()?;
    if count > MAX_ENTRIES as u64 {
        return Err(FrameError::Limit("members in a message"));
    }
    let mut told = Vec::new();
    for _ in 0..count {
        let node = text(&mut r, MAX_NAME)?
            .parse()
            .map_err(|_| DecodeError::Invalid("name of a node"))?;
        let generation = r.varint()?;
        let gone = match r.byte()? {
            0 => None,
            1 => Some(Gone::Left),
            2 => Some(Gone::Removed),
            _ => return Err(DecodeError::Invalid("state of a member").into()),
        };
        let address = text(&mut r, MAX_ADDRESS)?.to_owned();
        let answers = match r.byte()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Invalid("flag").into()),
        };
        let entry = Entry {
            generation,
            gone,
            address,
        };
        told.push(Told {
            node,
            entry,
            answers,
        });
    }
    r.finish()?;
    Ok(told)
}

fn text<'b>(r: &mut Reader<'b>, most: usize) -> Result<&'b str, FrameError> {
    let bytes = r.bytes()?;
    if bytes.len() > most {
        return Err(FrameError::Limit("a name or an address of a member"));
    }
    std::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid("text").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(generation: u64, gone: Option<Gone>) -> Entry {
        let address = "10.0.0.1:7400".to_owned();
        Entry {
            generation,
            gone,
            address,
        }
    }

    #[test]
    fn the_order_in_which_entries_come_does_not_matter() {
        let node: NodeId = "a".parse().unwrap();
        let entries = [
            entry(1, None),
            entry(1, Some(Gone::Left)),
            entry(2, None),
            entry(1, Some(Gone::Removed)),
        ];
        for skip in 0..4 {
            let mut roster = Roster::default();
            for at in 0..4 {
                roster.join(Time::ZERO, &node, entries[(at + skip) % 4].clone());
            }
            assert_eq!(roster.get(&node), Some(&entries[2]), "{skip}");
            assert!(!roster.join(Time::ZERO, &node, entries[1].clone()));
        }
    }

    #[test]
    fn gone_members_are_remembered_up_to_a_limit_and_for_a_time() {
        let mut roster = Roster::default();
        for n in 0..=MAX_GONE {
            let node = format!("n{n}").parse().unwrap();
            let now = Time::from_start(std::time::Duration::from_secs(n as u64));
            roster.join(now, &node, entry(1, Some(Gone::Left)));
        }
        assert_eq!(roster.iter().count(), MAX_GONE);
        assert!(roster.get(&"n0".parse().unwrap()).is_none(), "the oldest");
        let then = Time::from_start(std::time::Duration::from_secs(MAX_GONE as u64 - 1));
        assert!(roster.forget_gone(then));
        assert_eq!(roster.iter().count(), 1);
    }

    #[test]
    fn the_longest_message_fits_a_frame() {
        let told = Told {
            node: "n".repeat(MAX_NAME).parse().unwrap(),
            entry: Entry {
                generation: u64::MAX,
                gone: Some(Gone::Removed),
                address: "a".repeat(MAX_ADDRESS),
            },
            answers: true,
        };
        let all = vec![told; MAX_ENTRIES + 1];
        let parts: Vec<_> = messages(&all).collect();
        assert_eq!(parts.len(), 2);
        let mut w = Writer::new();
        encode(parts[0], &mut w);
        let bytes = w.finish();
        assert!(bytes.len() < crate::MAX_CHUNK, "{}", bytes.len());
        assert_eq!(decode(&bytes).unwrap(), parts[0]);
        let mut w = Writer::new();
        encode(&all, &mut w);
        assert!(matches!(decode(&w.finish()), Err(FrameError::Limit(_))));
    }
}
