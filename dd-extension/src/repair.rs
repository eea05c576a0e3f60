//! A replica that has found itself damaged is made anew.

use std::time::{Duration, SystemTime};

use dd_gossip::{Changed, Damage};
use tokio::time::Instant;

use crate::driver::Driver;
use crate::store::wall;

/// A store repairs itself at most so often; what breaks again sooner has a cause that this does not mend.
const REPAIR_EVERY: Duration = Duration::from_secs(60 * 60);
/// Repairs that are kept for the status, at most; the latest ones.
pub(crate) const MAX_REPAIRS: usize = 16;

/// That a store threw its replica away and caught up with its peers, because it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// When.
    pub at: SystemTime,
    /// What was found.
    pub damage: Damage,
    /// Events of this process that no peer was known to have. They may be lost. So may events of others that had come
    /// here and nowhere else, if their maker is gone.
    pub unshared: u64,
}

/// Where a driver is with repairs.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    last: Option<Instant>,
    /// What could not be repaired yet: it is tried again whenever a peer connects.
    pub(crate) waits: Option<Damage>,
    /// The new replica has not caught up yet: what it lacks is no news for subscribers.
    pub(crate) under_way: bool,
}

impl Driver {
    /// Makes the replica anew, as after a restart of the process, and lets it catch up.
    pub(crate) fn repair(&mut self, damage: Damage) {
        let node = self.store.node.clone();
        // After a partition it may hear of one seal after the other. That comes to an end, and no fault is behind it.
        let counts = damage != Damage::Sealed;
        let last = self.repairs.last.filter(|_| counts);
        let soon = last.is_some_and(|last| last.elapsed() < REPAIR_EVERY);
        if soon || self.peers.is_empty() {
            let why = if soon {
                "it was repaired within the hour: look for the cause, and start the process anew"
            } else {
                "there is no peer to catch up with"
            };
            tracing::error!(%node, ?damage, "this replica is damaged and goes on: {why}");
            self.repairs.waits = Some(damage);
            return;
        }
        let nonce = match getrandom::u64() {
            Ok(nonce) => nonce,
            Err(error) => {
                tracing::error!(%node, %error, "this replica is damaged and goes on: no random numbers");
                return;
            }
        };
        let (now, members) = (self.store.now(), self.wire.members());
        let mut replica = self.store.replica.write();
        let unshared = replica.unshared();
        tracing::error!(%node, ?damage, unshared, "this replica is damaged and made anew from its peers");
        *replica = replica.reborn(node.incarnation(wall(), nonce as u16), nonce, now);
        *self.store.replica_id.lock() = replica.replica_id();
        replica.set_wall(now, wall());
        replica.set_members(now, &members);
        for (peer, waiting) in &mut self.peers {
            *waiting = None;
            replica.handle_connected(now, peer);
        }
        drop(replica);
        self.store.ready.send_replace(false);
        if counts {
            self.repairs.last = Some(Instant::now());
        }
        self.repairs.under_way = true;
        self.repairs.waits = None;
        let mut repairs = self.store.repairs.lock();
        if repairs.len() == MAX_REPAIRS {
            repairs.pop_front();
        }
        repairs.push_back(Repair {
            at: SystemTime::now(),
            damage,
            unshared,
        });
    }

    /// The first catch-up is done, of a new store or of one that was repaired.
    pub(crate) fn caught_up(&mut self) {
        tracing::info!(node = %self.store.node, "caught up");
        self.store.ready.send_replace(true);
        if std::mem::take(&mut self.repairs.under_way) {
            self.store.diverged.lock().clear();
            self.store.subscribers.changed(&Changed::All);
        }
    }
}
