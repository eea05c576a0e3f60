//! Forgetting: removal records and transactions that everybody has.
//!
//! Transactions are few. Records are looked through a part at a time, so that however many there are, readers do not
//! wait for long: a pass goes over all of them in the order of their paths, with pauses.

use std::collections::BTreeMap;
use std::time::Duration;

use crdt_core::kernel::{Link, Record};
use crdt_core::{Context, Path, ReplicaId};

use super::Replica;
use crate::NodeId;
use crate::config::Config;
use crate::peer::Peer;
use crate::time::Time;

/// How long records are collected before they are looked through for what may be forgotten.
const COLLECT: Duration = Duration::from_millis(250);
/// How much of that is done at one time: readers wait for it, some tenths of a millisecond. See
/// [`DotStore::forget_some`](crdt_core::kernel::DotStore::forget_some).
const STEP: usize = 768;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(1);
/// With so many records there is hardly a pause, lest they come faster than they go: just so long that whatever else
/// there is to do has its turn.
const MANY: usize = 32 * 1024;
const SHORT_PAUSE: Duration = Duration::from_micros(50);

/// Removal records for which peers are waited for, at most. With more, those that were here when a pass begins go without
/// waiting, and a peer that lacks them catches up by a full comparison; those that came since stay, and those of
/// counters whose owners have not answered. At some 100 bytes each, 64 MiB.
pub const MAX_RECORDS: usize = 640 * 1024;

/// Transactions that are kept at most, as of records: beyond it those go of which this replica has all
/// events. At some hundred bytes each, 2 MiB; at the most paths that each may have, some 300 MiB.
pub const MAX_TRANSACTIONS: usize = 16 * 1024;

/// When records are looked through, and how far that has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Forgetting {
    at: Option<Time>,
    pass: Option<Pass>,
    /// There was news since the pass began, so that there is to be another.
    again: bool,
}

/// What is left of a pass.
#[derive(Clone, Debug)]
struct Pass {
    from: Path,
    /// If there were too many records when it began, what was seen here then: of that nobody is waited for.
    crowded: Option<Context>,
}

impl Forgetting {
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.at
    }
}

impl Replica {
    /// There are records, or peers have more: some may be forgotten after a while.
    pub(super) fn schedule_forgetting(&mut self, now: Time) {
        let store = self.keys.store();
        if store.record_count() + store.link_count() > 0 {
            self.forgetting.at.get_or_insert(now + COLLECT);
            self.forgetting.again |= self.forgetting.pass.is_some();
        }
    }

    pub(super) fn forget_if_due(&mut self, now: Time) {
        if self.forgetting.at.take_if(|at| *at <= now).is_some() {
            if self.forgetting.pass.is_none() {
                self.forget_transactions(now);
            }
            self.forget_records(now);
        }
    }

    /// Forgets the transactions that every peer has. A peer that has been away for too long is not waited for, and with
    /// too many none is.
    pub(super) fn forget_transactions(&mut self, now: Time) {
        let crowded = self.has_many_transactions();
        let awaited = Awaited::of(&self.config, &self.peers, now, crowded);
        let everywhere = |link: &Link| awaited.all_have(|known| link.is_in(known));
        let links = self.keys.forget_links(everywhere);
        self.counts.transactions_forgotten += links as u64;
    }

    /// Goes on with a pass over the removal records, or begins one: those go that every peer has.
    fn forget_records(&mut self, now: Time) {
        let count = self.keys.store().record_count();
        let too_many = count > MAX_RECORDS;
        let pass = self.forgetting.pass.take();
        // One that waits for others is given up.
        let pass = pass.filter(|pass| pass.crowded.is_some() || !too_many);
        let Pass { from, crowded } = pass.unwrap_or_else(|| Pass {
            from: Path::default(),
            crowded: too_many.then(|| self.keys.context().clone()),
        });
        let nobody = Awaited::of(&self.config, &self.peers, now, true);
        let all = Awaited::of(&self.config, &self.peers, now, false);
        let stable = |mine: &Context, _: &Path, record: &Record| {
            // What came since is not on its way to the others yet.
            let is_old = crowded.as_ref().is_some_and(|old| old.contains(record.dot));
            let awaited = if is_old { &nobody } else { &all };
            awaited.lacking(record).next().is_none() && awaited.is_settled(mine, record)
        };
        let (gone, next) = self.keys.forget(&from, STEP, stable);
        self.counts.records_forgotten += gone as u64;
        self.forgetting.pass = next.map(|from| Pass { from, crowded });
        if self.forgetting.pass.is_some() {
            let pause = if count < MANY { PAUSE } else { SHORT_PAUSE };
            self.forgetting.at = Some(now + pause);
        } else if std::mem::take(&mut self.forgetting.again) {
            self.schedule_forgetting(now);
        }
    }

    /// Why removal records are still kept, as far as there are not too many ([`MAX_RECORDS`]). O(records × peers).
    pub fn records_awaited(&self, now: Time) -> RecordsAwaited {
        let awaited = Awaited::of(&self.config, &self.peers, now, false);
        let mut why = RecordsAwaited::default();
        for (_, record) in self.keys.store().records() {
            for node in awaited.lacking(record) {
                *why.by_peer.entry(node.clone()).or_default() += 1;
            }
            why.of_counters += u64::from(!awaited.is_settled(self.keys.context(), record));
        }
        why
    }

    pub(super) fn has_many_transactions(&self) -> bool {
        self.keys.store().link_count() > MAX_TRANSACTIONS
    }
}

/// Why removal records are still kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordsAwaited {
    /// Peers that are not known to have some of them, with how many. A peer that has been away for
    /// longer than [`Timing::away`](crate::Timing::away) is not waited for.
    pub by_peer: BTreeMap<NodeId, u64>,
    /// Records of removed counters that wait for word from a process that counted in them.
    pub of_counters: u64,
}

/// What the peers are known to have, for the question what may be forgotten.
struct Awaited<'a> {
    own: ReplicaId,
    known: Vec<(&'a NodeId, Option<&'a Context>)>,
    /// Processes with what they stated themselves.
    owners: Vec<(ReplicaId, &'a Context)>,
}

impl<'a> Awaited<'a> {
    /// `crowded`: nobody is waited for.
    fn of(config: &Config, peers: &'a BTreeMap<NodeId, Peer>, now: Time, crowded: bool) -> Self {
        let is_awaited =
            |peer: &Peer| peer.process.is_some() || now.since(peer.seen) < config.timing.away;
        let awaited = peers.values().filter(|peer| !crowded && is_awaited(peer));
        let known = awaited.map(|peer| {
            let process = peer.process.as_ref();
            (&peer.node, process.map(|process| &process.known))
        });
        let processes = peers.values().filter_map(|peer| peer.process.as_ref());
        Self {
            own: config.replica,
            known: known.collect(),
            owners: processes.map(|p| (p.replica, &p.stated)).collect(),
        }
    }

    fn all_have(&self, has: impl Fn(&Context) -> bool) -> bool {
        self.known.iter().all(|(_, known)| known.is_some_and(&has))
    }

    /// The peers that are not known to have a record.
    fn lacking(&self, record: &Record) -> impl Iterator<Item = &'a NodeId> {
        let has = |known: &Context| known.contains(record.dot);
        let lacking = self.known.iter().filter(move |(_, k)| !k.is_some_and(has));
        lacking.map(|(node, _)| *node)
    }

    /// Whether the owner of each run that was cut knows of the cut, and what it had counted by then
    /// is here; what it counts later carries the cut.
    fn is_settled(&self, mine: &Context, record: &Record) -> bool {
        let is_done = |replica| {
            replica == self.own
                || mine.is_sealed(replica)
                || self.owners.iter().any(|(owner, stated)| {
                    *owner == replica
                        && stated.contains(record.dot)
                        && stated.restrict([replica]).is_subset(mine)
                })
        };
        record.cuts.keys().all(|key| is_done(key.replica))
    }
}
