//! Owned keys, in the runs where members come and go: nodes claim families, write what is theirs, and now and then
//! what is another's.
//!
//! What a replica deletes or puts right by itself are events like any other, so the oracle says what has to be
//! seen. At the end what each living process wrote last stands on every node, and nothing else in those families.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{Replica, Time, UpdateError};

use super::world::World;
use crate::oracle::Kind;
use crate::rng::Rng;

const FAMILIES: [&str; 2] = ["own/", "p/"];
const RESTS: [&str; 2] = ["a", "b"];

pub(super) struct Owned {
    rng: Rng,
    /// What each node's process has written, by key.
    wrote: Vec<BTreeMap<String, Value>>,
}

/// What stands under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Value {
    register: Option<u32>,
    tags: BTreeSet<String>,
    counter: Option<i128>,
}

impl Value {
    fn of(replica: &Replica, key: &str) -> Self {
        let key = key.as_bytes();
        let tags = replica.view::<OrSet<String>>(key);
        let shape = crdt_core::Shape::of::<PnCounter>();
        let counts = replica.value(key, &shape).is_some();
        Self {
            register: replica
                .view::<LwwRegister<u32>>(key)
                .get()
                .unwrap_or_default(),
            tags: tags.iter().collect(),
            counter: counts.then(|| replica.view::<PnCounter>(key).value()),
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Set(u32),
    Insert(String),
    Remove(String),
    Count(i64),
    Delete,
}

impl Change {
    fn random(rng: &mut Rng) -> Self {
        let tag = ["x", "y"][rng.below(2)].to_owned();
        match rng.below(10) {
            0..=3 => Self::Set(rng.below(1000) as u32),
            4..=5 => Self::Insert(tag),
            6 => Self::Remove(tag),
            7..=8 => Self::Count([1, 5, -2][rng.below(3)]),
            _ => Self::Delete,
        }
    }

    fn make(
        &self,
        replica: &mut Replica,
        now: Time,
        wall: u64,
        key: &str,
    ) -> Result<(), UpdateError> {
        let key = key.as_bytes();
        match self {
            Self::Set(value) => {
                replica.update::<LwwRegister<u32>, _, UpdateError>(now, wall, key, |register| {
                    register.set(value);
                    Ok(())
                })
            }
            Self::Insert(tag) => {
                replica.update::<OrSet<String>, _, UpdateError>(now, wall, key, |set| {
                    set.insert(tag);
                    Ok(())
                })
            }
            Self::Remove(tag) => {
                replica.update::<OrSet<String>, _, UpdateError>(now, wall, key, |set| {
                    set.remove(tag);
                    Ok(())
                })
            }
            Self::Count(n) => {
                replica.update::<PnCounter, _, UpdateError>(now, wall, key, |counter| {
                    counter.add(*n);
                    Ok(())
                })
            }
            Self::Delete => replica.delete(now, key).map(drop),
        }
    }

    fn note(&self, value: &mut Value) {
        match self {
            Self::Set(to) => value.register = Some(*to),
            Self::Insert(tag) => drop(value.tags.insert(tag.clone())),
            Self::Remove(tag) => drop(value.tags.remove(tag)),
            Self::Count(n) => *value.counter.get_or_insert(0) += i128::from(*n),
            Self::Delete => *value = Value::default(),
        }
    }
}

impl Owned {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            rng: Rng::new(seed.rotate_left(24) ^ 0x0371),
            wrote: vec![BTreeMap::new(); nodes],
        }
    }

    /// For how long a node has to be dead before what it owned goes.
    pub(super) fn orphaned(&mut self) -> Duration {
        Duration::from_millis([0, 200, 2_000][self.rng.below(3)])
    }

    /// A process ends; the next one of its node has written nothing.
    pub(super) fn end(&mut self, at: usize) {
        self.wrote[at].clear();
    }
}

impl World {
    /// Now and then an owned key is written.
    pub(super) fn write_owned(&mut self) -> Result<(), String> {
        let Some(Owned { rng, wrote }) = &mut self.owned else {
            return Ok(());
        };
        if !rng.chance(20) {
            return Ok(());
        }
        let at = rng.below(self.nodes.len());
        // What others write there is undone by the owner, or goes with it.
        let other = rng.below(self.nodes.len());
        let members = self.members.as_ref();
        let lives = members.is_some_and(|members| members.takes_for_alive(at, other));
        let owner = if lives && rng.chance(10) { other } else { at };
        let family = FAMILIES[rng.below(FAMILIES.len())];
        let rest = RESTS[rng.below(RESTS.len())];
        let key = format!("{family}{}/{rest}", self.nodes[owner].id);
        let change = Change::random(rng);
        let (now, wall) = (
            self.now,
            1_700_000_000_000 + self.now.since_start().as_millis() as u64,
        );
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let before = replica.state();
        replica
            .own(now, family.as_bytes())
            .and_then(|()| change.make(replica, now, wall, &key))
            .map_err(|error| format!("{change:?} at {key} was refused: {error}"))?;
        if owner == at {
            let value = wrote[at].entry(key.clone()).or_default();
            change.note(value);
            let stands = Value::of(replica, &key);
            if stands != *value {
                return Err(format!(
                    "after {change:?} its owner has {stands:?} at {key}, and wrote {value:?}"
                ));
            }
        }
        self.tally.owned_writes += self.record_made(at, &before)?.len() as u64;
        self.pump(at, "a write of an owned key")
    }

    /// Tells the oracle, and counts, what a replica has done about owned keys by itself since it was in a state.
    pub(super) fn record_own_doing(
        &mut self,
        at: usize,
        before: &crdt_core::kernel::DotStore,
    ) -> Result<(), String> {
        let own = format!("{}/", self.nodes[at].id);
        for (path, kind) in self.record_made(at, before)? {
            let key = path.first().map(|key| key.as_bytes()).unwrap_or_default();
            let family = FAMILIES.iter().find_map(|f| key.strip_prefix(f.as_bytes()));
            let rest = family.ok_or("a node made an event by itself at a key that is nobody's")?;
            if rest.starts_with(own.as_bytes()) {
                self.tally.owned_put_right += 1;
            } else if kind == Kind::Remove {
                self.tally.owned_deleted += 1;
            } else {
                return Err(format!("node {at} wrote at {path:?} by itself"));
            }
        }
        Ok(())
    }

    /// Where something else stands in the families than what those who live have written.
    pub(super) fn misplaced_owned(&self) -> Option<String> {
        let owned = self.owned.as_ref()?;
        let wrote = owned.wrote.iter().flatten();
        let wrote = wrote.filter(|(_, value)| **value != Value::default());
        let wanted: BTreeMap<&String, &Value> = wrote.collect();
        self.nodes.iter().find_map(|node| {
            let replica = node.replica.as_ref()?;
            let keys = FAMILIES.map(|family| replica.keys(family.as_bytes(), None, usize::MAX));
            let keys = keys.iter().flatten();
            let keys: Vec<_> = keys.map(|key| String::from_utf8_lossy(key)).collect();
            let stands: Vec<(String, Value)> = keys
                .iter()
                .map(|key| (key.to_string(), Value::of(replica, key)))
                .collect();
            let equal = stands
                .iter()
                .map(|(key, value)| (key, value))
                .eq(wanted.clone());
            (!equal).then(|| format!("{} has {stands:?}, wanted {wanted:?}", node.id))
        })
    }
}
