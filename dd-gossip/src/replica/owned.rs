//! Keys that belong to a node and go with it: presence, sessions, a registry of services.
//!
//! A family of owned keys has a prefix; the keys of a node in it are named `<prefix><node>/<rest>`. Which
//! families there are stands in the store itself, so every node knows, also one whose program does not use
//! them.
//!
//! Two rules. *When a node is dead*, the first of those that live, by their names, deletes what it owned; the
//! next ones do if that one did not. *An owned key holds what the owner's present process wrote and nothing
//! else*: what a former process left goes when the owner is back, and what the other side of a partition
//! deleted, because it took the owner for dead, is written again. So ordinary events do it all, and the state
//! is a function of the context as ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_core::kernel::{Entry, Node, NodeRef, Value};
use crdt_core::{GSet, GSetEdit, Name, Path, Timestamp};

use super::Replica;
use super::local::UpdateError;
use crate::membership::Member;
use crate::time::Time;
use crate::{MAX_NAME, NodeId};

/// Longest prefix of a family of keys that are owned, or that end when they are idle, in bytes; the shortest has one.
pub const MAX_FAMILY: usize = 255;
/// Families of owned keys in a store, at most. They stay for ever.
pub const MAX_FAMILIES: usize = 256;

/// Where the families are kept. Keys that begin so are the store's own.
pub(super) const FAMILIES: &[u8] = b"\0owned";
/// How long each of those that live waits for the one before it to delete what a dead node owned; also how
/// often it is looked whether something came in late.
pub(super) const TURN: Duration = Duration::from_secs(1);
/// Keys of dead nodes that are deleted at one time.
const BATCH: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Owned {
    /// The prefixes of all families.
    families: BTreeSet<Name>,
    /// What this process wrote under its own keys.
    mine: BTreeMap<Name, Node>,
    /// Members that are dead, and since when.
    dead: BTreeMap<NodeId, Time>,
    look_at: Option<Time>,
}

impl Owned {
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.look_at
    }
}

/// Whether a key is the store's own.
pub(super) fn is_reserved(key: &[u8]) -> bool {
    key.first() == Some(&0)
}

/// The keys of a node in a family begin so.
fn keys_of(family: &[u8], node: &NodeId) -> Vec<u8> {
    [family, node.as_str().as_bytes(), b"/"].concat()
}

impl Replica {
    /// Makes a family of owned keys known to all nodes. The keys of a node in it begin with the prefix,
    /// the node's name and `/`; only that node writes them, and they are gone everywhere when it has left
    /// or is down. Cheap if the family is known.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Family`] if the prefix is empty or too long, or there are too many families.
    pub fn own(&mut self, now: Time, prefix: &[u8]) -> Result<(), UpdateError> {
        if self.owned.families.contains(prefix) {
            return Ok(());
        }
        let length = 1..=MAX_FAMILY;
        let full = self.owned.families.len() >= MAX_FAMILIES;
        if full || !length.contains(&prefix.len()) || is_reserved(prefix) {
            return Err(UpdateError::Family(prefix.len()));
        }
        let insert = |families: &mut GSetEdit<'_, Vec<u8>>| {
            families.insert(&prefix.to_vec());
            Ok::<_, UpdateError>(())
        };
        self.write_at::<GSet<Vec<u8>>, _, _>(now, Timestamp::ZERO, FAMILIES, insert)
    }

    /// Members came, went or changed.
    pub(super) fn note_members(&mut self, now: Time, members: &[Member]) {
        let own = &self.config.node;
        let dead = members.iter().filter(|member| !member.state.is_alive());
        let dead: BTreeSet<&NodeId> = dead.map(|member| &member.node).collect();
        self.owned.dead.retain(|node, _| dead.contains(node));
        for node in dead.into_iter().filter(|node| *node != own) {
            self.owned.dead.entry(node.clone()).or_insert(now);
        }
        self.look_for_orphans_later(now);
    }

    /// How long this node leaves a delete that any could make to those before it, by their names.
    pub(super) fn turn(&self) -> Duration {
        let before = self.others().filter(|node| **node < self.config.node);
        TURN * before.filter(|node| self.is_up(node)).count() as u32
    }

    pub(super) fn is_up(&self, node: &NodeId) -> bool {
        let peer = self.peers.get(node);
        peer.is_some_and(|peer| peer.process.is_some())
    }

    fn look_for_orphans_later(&mut self, now: Time) {
        let turn = self.turn();
        let (owned, grace) = (&mut self.owned, self.config.timing.orphaned);
        let first = owned.dead.values().map(|since| *since + grace).min();
        let first = first.filter(|_| !owned.families.is_empty());
        let own_turn = first.map(|first| first.max(now) + turn);
        owned.look_at = own_turn.map(|at| owned.look_at.unwrap_or(at).max(now).min(at));
    }

    /// Deletes what dead nodes owned, if that is due.
    pub(super) fn delete_orphans(&mut self, now: Time) {
        if self.owned.look_at.is_none_or(|at| now < at) {
            return;
        }
        let grace = self.config.timing.orphaned;
        let dead = self.owned.dead.iter();
        let dead = dead.filter(|(_, since)| now.since(**since) >= grace);
        let mut keys = Vec::new();
        for (node, _) in dead {
            for family in &self.owned.families {
                let begin = keys_of(family, node);
                keys.extend(self.keys.keys(&begin, None, BATCH - keys.len()));
            }
        }
        let more = keys.len() >= BATCH;
        for key in &keys {
            // The key was there just now, and a removal has no limits that it could break but one: the
            // shares of a counter, which one key does not reach in practice; it is tried again then.
            if let Err(error) = self.remove_key(now, key) {
                tracing::warn!(%error, "a key of a node that is gone stays");
            }
        }
        // What a dead node wrote may still come in by way of others.
        self.owned.look_at = None;
        self.look_for_orphans_later(now);
        let again = if more {
            now
        } else {
            now + (self.turn() + TURN) * 5
        };
        self.owned.look_at = self.owned.look_at.map(|_| again);
    }

    /// After a write of this process: what stands under its own keys is what it wants there.
    pub(super) fn note_own_writes(&mut self, now: Time) {
        for key in self.keys.take_marked() {
            if key.as_bytes() == FAMILIES {
                self.read_families();
                continue;
            }
            if self.note_for_expiry(now, &key) || !self.is_own(&key) {
                continue;
            }
            match self.keys.store().root().get(std::slice::from_ref(&key)) {
                Some(node) => self.owned.mine.insert(key, node.to_node()),
                None => self.owned.mine.remove(&key),
            };
        }
    }

    /// After others' events: own keys are put right again.
    pub(super) fn settle_owned(&mut self, now: Time) {
        let mut marked = self.keys.take_marked();
        if marked.iter().any(|key| key.as_bytes() == FAMILIES) {
            self.read_families();
            self.look_for_orphans_later(now);
            for family in self.owned.families.clone() {
                let begin = keys_of(&family, &self.config.node);
                marked.extend(self.keys.keys(&begin, None, usize::MAX));
            }
            // Of one that this replica did not know yet, what was gone before is as well.
            marked.extend(self.owned.mine.keys().cloned());
        }
        for key in marked {
            if !self.note_for_expiry(now, &key) && self.is_own(&key) {
                self.put_right(now, &key);
            }
        }
    }

    /// At the start: what a former process left under own keys goes.
    pub(super) fn drop_what_a_former_process_owned(&mut self, now: Time) {
        for family in self.owned.families.clone() {
            let begin = keys_of(&family, &self.config.node);
            for key in self.keys.keys(&begin, None, usize::MAX) {
                self.put_right(now, &key);
            }
        }
    }

    /// After a replica was made anew: what the process owns stands in the new one before anything is written
    /// there, or that would be taken for all that it wrote.
    pub(super) fn take_own_keys_over(&mut self, now: Time, former: &Owned) {
        if former.mine.is_empty() {
            return;
        }
        for family in &former.families {
            if let Err(error) = self.own(now, family) {
                tracing::warn!(%error, "a family of owned keys can't be taken over");
            }
        }
        self.owned.mine.clone_from(&former.mine);
        for key in former.mine.keys() {
            self.put_right(now, key);
        }
    }

    fn put_right(&mut self, now: Time, key: &Name) {
        let stands = self.keys.store().root().get(std::slice::from_ref(key));
        let stands = stands.map(NodeRef::to_node);
        let wanted = self.owned.mine.get(key);
        if stands.as_ref() != wanted {
            self.write_anew(now, key);
        }
    }

    /// Removes what stands under an own key and writes what this process had written there.
    fn write_anew(&mut self, now: Time, key: &Name) {
        let mut wanted: Vec<(Path, Value)> = Vec::new();
        if let Some(node) = self.owned.mine.get(key) {
            node.visit(&mut vec![key.clone()], &mut |path, entry| {
                let Entry { value, .. } = entry.to_entry();
                wanted.push((path.into(), value));
            });
        }
        let (replica, limits) = (self.config.replica, self.config.limits);
        let written = self.keys.transact(replica, Timestamp::ZERO, limits, |tx| {
            tx.at(std::slice::from_ref(key)).remove();
            for (path, value) in wanted {
                match value {
                    Value::Run(run) => tx.at(&path).count(run.total - run.cut_total),
                    value => tx.at(&path).add(value),
                }
            }
            Ok::<_, UpdateError>(())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "an own key can't be written anew");
        }
        self.note_own_writes(now);
        self.schedule_flushes(now);
    }

    /// Whether a key belongs to this node.
    fn is_own(&self, key: &Name) -> bool {
        let mut own = self.owned.families.iter();
        own.any(|family| key.starts_with(&keys_of(family, &self.config.node)))
    }

    /// Whether a key belongs to another member, which alone deletes it then.
    pub(super) fn is_of_another(&self, key: &Name) -> bool {
        let owner = |family: &Name| {
            let rest = key.strip_prefix(family.as_bytes())?;
            let name = rest.split(|byte| *byte == b'/').next()?;
            std::str::from_utf8(name).ok()?.parse::<NodeId>().ok()
        };
        let mut owners = self.owned.families.iter().filter_map(owner);
        owners.any(|owner| self.peers.get(&owner).is_some_and(|peer| peer.member))
    }

    fn read_families(&mut self) {
        let all = self.view::<GSet<Vec<u8>>>(FAMILIES);
        let usable = |family: &Vec<u8>| (1..=MAX_FAMILY).contains(&family.len());
        let families = all.iter().filter(usable).take(MAX_FAMILIES);
        self.owned.families = families
            .map(|family| Name::new(family.as_slice()))
            .collect();
        self.mark_keys();
    }

    /// Says which keys have to be noted when they change.
    pub(super) fn mark_keys(&mut self) {
        let own = self.owned.families.iter();
        let own = own.map(|family| Name::new(keys_of(family, &self.config.node).as_slice()));
        let all = own
            .chain([Name::new(FAMILIES)])
            .chain(self.expiry.prefixes());
        self.keys.mark(all.collect());
    }

    /// What is kept of owned keys is made anew from the state.
    pub(super) fn begin_owned(&mut self) {
        self.read_families();
    }
}

const _: () = assert!(
    MAX_FAMILY + MAX_NAME + 1 < crate::MAX_KEY,
    "a rest fits a key"
);
