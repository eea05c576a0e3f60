//! The handle: what a service calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crdt_core::kernel::{Node, NodeRef};
use crdt_core::{Crdt, Name, ReplicaId, Shape};
use dd_gossip::{MAX_FAMILY, Member, NodeId, Replica, Standby, Time, TransportStats, View};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::closure;
use crate::error::{StoreError, TryUpdateError};
use crate::key::{Key, Keys, OwnedKeys};
use crate::repair::Repair;
use crate::snapshot::Snapshot;
use crate::status::StoreStatus;
use crate::subscription::{Registry, Subscription, SubscriptionAll};
use crate::validity::Certificate;

/// Keys with values of more than one type that are listed at one time, at most; further ones are not logged either.
pub(crate) const MAX_CONFLICTS: usize = 1024;
/// Refusals by the transport that are kept for the status.
pub(crate) const MAX_REFUSALS: usize = 16;

/// How long a reader waits for the replica before it looks whether that is at work for long; then twice as long, and
/// so on.
const PATIENCE: Duration = Duration::from_micros(200);
const MAX_PATIENCE: Duration = Duration::from_millis(50);

/// A handle to the store of this process. Clones are the same store; all calls may be made from any
/// thread.
///
/// Reads and updates work on the local replica alone, whatever becomes of the network. They take turns with what comes
/// in, some tenths of a millisecond at a time. Of what takes longer, the delete of a large value, a payload of megabytes
/// that comes in, a catch-up that takes effect as one, a read shows what was there before, and does not wait; an update
/// waits, and so do both for the closure of an update. What a
/// closure is given must not call a store: that is [`StoreError::InsideClosure`]. A panic in a
/// closure changes nothing.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) node: NodeId,
    pub(crate) replica: RwLock<Replica>,
    /// Of the replica.
    pub(crate) standby: Standby,
    /// Also asked for inside of closures, which hold the replica's lock.
    pub(crate) replica_id: Mutex<ReplicaId>,
    pub(crate) subscribers: Registry,
    pub(crate) stopped: AtomicBool,
    /// Wakes the driver.
    pub(crate) work: Notify,
    /// Until when the driver sleeps, in nanoseconds since the start; while it does not, the end of all times. Written
    /// under the lock of the replica.
    sleeps_until: AtomicU64,
    /// Wakes those who wait for other nodes.
    pub(crate) progress: Notify,
    pub(crate) deadline: Duration,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) transport_stats: Mutex<TransportStats>,
    pub(crate) members: Mutex<Vec<Member>>,
    pub(crate) refusals: Mutex<VecDeque<(String, String)>>,
    /// Locked before the replica, if both are.
    pub(crate) conflicts: Mutex<BTreeSet<Name>>,
    pub(crate) round_trips: Mutex<BTreeMap<NodeId, Duration>>,
    pub(crate) diverged: Mutex<BTreeMap<NodeId, SystemTime>>,
    pub(crate) repairs: Mutex<VecDeque<Repair>>,
    pub(crate) certificate: Certificate,
    started: Instant,
}

impl Inner {
    pub(crate) fn new(
        replica: Replica,
        deadline: Duration,
        started: Instant,
        certificate: Certificate,
    ) -> Self {
        let ready = replica.is_caught_up();
        Self {
            node: replica.node().clone(),
            replica_id: Mutex::new(replica.replica_id()),
            standby: replica.standby().clone(),
            replica: RwLock::new(replica),
            subscribers: Registry::default(),
            stopped: AtomicBool::new(false),
            work: Notify::new(),
            sleeps_until: AtomicU64::new(u64::MAX),
            progress: Notify::new(),
            deadline,
            ready: watch::Sender::new(ready),
            transport_stats: Mutex::default(),
            members: Mutex::default(),
            refusals: Mutex::default(),
            conflicts: Mutex::default(),
            round_trips: Mutex::default(),
            diverged: Mutex::default(),
            repairs: Mutex::default(),
            certificate,
            started,
        }
    }

    pub(crate) fn replica_id(&self) -> ReplicaId {
        *self.replica_id.lock()
    }

    /// Wakes the driver if it has something to do after a local write, for whose lock this is called: a frame that
    /// is due before it would wake, or subscribers to be told. Waking it costs more than most writes.
    fn wake_after(&self, replica: &Replica) {
        let due = nanos(replica.poll_timeout());
        if due < self.sleeps_until.load(Ordering::Relaxed) || !self.subscribers.is_empty() {
            self.work.notify_one();
        }
    }

    /// The driver will sleep; says until when. What is written from now on wakes it if it is due before.
    pub(crate) fn sleep(&self) -> Time {
        // Nobody writes meanwhile.
        let replica = self.replica.read();
        let due = replica.poll_timeout();
        self.sleeps_until.store(nanos(due), Ordering::Relaxed);
        due
    }

    /// The driver is awake.
    pub(crate) fn awake(&self) {
        self.sleeps_until.store(u64::MAX, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_start(self.started.elapsed())
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(60 * 60);
        self.started + time.since_start().min(self.started.elapsed() + far)
    }

    /// The value of one shape under a key: an O(1) snapshot.
    pub(crate) fn value(&self, key: &[u8], shape: &Shape) -> Option<Node> {
        let of_replica = |replica: &Replica| {
            let over = replica.deadline(key).is_some() && replica.is_over(key, wall());
            let value = replica.value(key, shape).filter(|_| !over);
            value.map(NodeRef::to_node)
        };
        let of_view = |view: &View| view.value(key, shape, wall()).map(NodeRef::to_node);
        self.look(of_replica, of_view)
    }

    /// What the replica shows; while that is at work for long, what it showed before.
    fn look<R>(
        &self,
        of_replica: impl FnOnce(&Replica) -> R,
        of_view: impl FnOnce(&View) -> R,
    ) -> R {
        let mut patience = PATIENCE;
        loop {
            if let Some(replica) = self.replica.try_read() {
                return of_replica(&replica);
            }
            if let Some(view) = self.standby.view() {
                return of_view(&view);
            }
            if let Some(replica) = self.replica.try_read_for(patience) {
                return of_replica(&replica);
            }
            // It loses its place among those who wait, and is not to lose it for ever.
            patience = (patience * 2).min(MAX_PATIENCE);
        }
    }

    pub(crate) fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
        self.look(
            |replica| replica.keys(prefix, after, limit),
            |view| view.keys(prefix, after, limit),
        )
    }
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.since_start().as_nanos()).unwrap_or(u64::MAX)
}

/// The wall clock in milliseconds since 1970.
pub(crate) fn wall() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Store {
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        closure::check_outside()?;
        if self.0.is_stopped() {
            Err(StoreError::Stopped)
        } else {
            Ok(())
        }
    }

    /// As [`check`](Self::check), of a call that names a key.
    pub(crate) fn check_with(&self, key: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        Ok(dd_gossip::check_key(key)?)
    }

    /// Changes the value under a key: at once, locally, as one. Other nodes see it whole too, unless they
    /// are catching up: those may see its elements one after the other. For several keys, or where they are to see that whole
    /// too, see [`update_together`](Self::update_together).
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed then.
    pub fn update<T: Crdt, R>(
        &self,
        key: &Key<T>,
        update: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<R, StoreError> {
        let update = |edit: &mut T::Edit<'_>| Ok::<R, Infallible>(update(edit));
        self.try_update(key, update).map_err(|error| match error {
            TryUpdateError::Store(error) => error,
            TryUpdateError::Closure(never) => match never {},
        })
    }

    /// As [`update`](Self::update), with a closure that may give up: its error is passed on, and
    /// nothing was changed.
    ///
    /// # Errors
    ///
    /// [`TryUpdateError::Closure`] with the closure's error, or [`TryUpdateError::Store`].
    pub fn try_update<T: Crdt, R, E>(
        &self,
        key: &Key<T>,
        update: impl FnOnce(&mut T::Edit<'_>) -> Result<R, E>,
    ) -> Result<R, TryUpdateError<E>> {
        self.check()?;
        let (now, wall) = (self.0.now(), wall());
        closure::run(|| {
            let mut replica = self.0.replica.write();
            let result =
                replica.update::<T, R, TryUpdateError<E>>(now, wall, key.as_bytes(), |edit| {
                    update(edit).map_err(TryUpdateError::Closure)
                });
            self.0.wake_after(&replica);
            result
        })
    }

    /// Reads the value under a key; of a key that is not there the empty value. Nothing is decoded
    /// but what the closure asks for, and no lock is held while it runs.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn read<T: Crdt, R>(
        &self,
        key: &Key<T>,
        read: impl FnOnce(T::View<'_>) -> R,
    ) -> Result<R, StoreError> {
        let snapshot = self.get(key)?;
        Ok(closure::run(|| read(snapshot.view())))
    }

    /// The value under a key, to be kept. O(1).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn get<T: Crdt>(&self, key: &Key<T>) -> Result<Snapshot<T>, StoreError> {
        self.check_with(key.as_bytes())?;
        Ok(Snapshot::new(
            self.0.value(key.as_bytes(), &Shape::of::<T>()),
        ))
    }

    /// Deletes what this replica has seen under a key, of every type. Concurrent updates survive; the
    /// key can be used again at once. Returns whether there was anything.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn delete<T>(&self, key: &Key<T>) -> Result<bool, StoreError> {
        self.check()?;
        let mut replica = self.0.replica.write();
        let removed = replica.delete(self.0.now(), key.as_bytes())?;
        self.0.wake_after(&replica);
        Ok(removed)
    }

    /// A key of this node in a family of owned keys, to be written by this process alone: what others write
    /// under it is undone. The first call for a family makes it known to all nodes, which takes an event; further ones
    /// are cheap.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the prefix of the family does not have 1 to 255 bytes ([`MAX_FAMILY`](crate::MAX_FAMILY)) or begins
    /// with a zero byte, or there are 256 families already ([`MAX_FAMILIES`](crate::MAX_FAMILIES)). Families stay: there is
    /// no call that takes one back. Or the key is longer than 1024 bytes ([`MAX_KEY`](crate::MAX_KEY)), with prefix and
    /// name.
    pub fn own<T>(
        &self,
        keys: &OwnedKeys<T>,
        rest: impl std::fmt::Display,
    ) -> Result<Key<T>, StoreError> {
        self.check()?;
        let (now, prefix) = (self.0.now(), keys.prefix().as_bytes());
        let key = keys.of(&self.0.node, rest);
        // Of one whose prefix is wrong already that is said, below.
        if prefix.len() <= MAX_FAMILY {
            dd_gossip::check_key(key.as_bytes())?;
        }
        self.0.replica.write().own(now, prefix)?;
        self.0.work.notify_one();
        Ok(key)
    }

    /// Watches a key: the current value first, then what changed since it was told last. It is told the newest value and
    /// not each one between: changes that come while it does not ask, or that arrive together, as in one frame or one
    /// transaction, are one change.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn subscribe<T: Crdt>(&self, key: &Key<T>) -> Result<Subscription<T>, StoreError> {
        self.check_with(key.as_bytes())?;
        Ok(Subscription::new(&self.0, key.clone()))
    }

    /// Watches all keys of a family: their current values first, then what changed since, key by key, as
    /// [`subscribe`](Self::subscribe) does.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn subscribe_all<T: Crdt>(&self, keys: &Keys<T>) -> Result<SubscriptionAll<T>, StoreError> {
        self.check()?;
        Ok(SubscriptionAll::new(&self.0, keys.clone()))
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order: a page. A lock is
    /// held for one page only; keys that come and go between pages may be missed or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.check()?;
        let mut after = after.map(Name::from);
        let mut page = Vec::new();
        while page.len() < limit {
            let names = self
                .0
                .keys(prefix.as_bytes(), after.as_deref(), limit - page.len());
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            // What is no text was not written by a `Store`, and can't be asked for through one.
            let text = |name: Name| String::from_utf8(name.to_vec()).ok();
            page.extend(names.into_iter().filter_map(text));
        }
        Ok(page)
    }

    /// A page of the keys of a family, as [`keys`](Self::keys). Those that have values of other types only
    /// are among them, and read as empty.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn keys_of<T>(
        &self,
        family: &Keys<T>,
        after: Option<&Key<T>>,
        limit: usize,
    ) -> Result<Vec<Key<T>>, StoreError> {
        let page = self.keys(family.prefix(), after.map(Key::as_str), limit)?;
        Ok(page.into_iter().map(Key::of).collect())
    }

    /// The shapes of the values under a key. More than one: nodes disagreed on its type; each reads
    /// its own, and none is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn shapes(&self, key: &str) -> Result<Vec<Shape>, StoreError> {
        self.check_with(key.as_bytes())?;
        Ok(self.0.replica.read().shapes(key.as_bytes()))
    }

    /// The tree of a value of any shape, to be looked at without its type; see
    /// [`kernel`](crdt_core::kernel). O(1).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn tree(&self, key: &str, shape: &Shape) -> Result<Option<Node>, StoreError> {
        self.check_with(key.as_bytes())?;
        Ok(self.0.value(key.as_bytes(), shape))
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.0.node
    }

    /// The id under which this process writes. It is another one after a [repair](crate::Repair).
    pub fn replica_id(&self) -> ReplicaId {
        self.0.replica_id()
    }

    /// Waits until the first catch-up is done: what the first peer that answered had is here. The store can be read and
    /// written before. It has no deadline of its own: put a time-out around it. Cancel-safe.
    ///
    /// What that means depends on which other members the node knew when the store was started:
    ///
    /// * None, as after [`Cluster::bootstrap`](crate::Cluster::bootstrap) with no [peers](crate::ClusterConfig::peer): at
    ///   once, with an empty store.
    /// * Some, as after [`Cluster::join`](crate::Cluster::join): when one that is up has answered and what it has is here,
    ///   be it nothing. Of a cluster whose members are a list this is so at the very first start too: the first node
    ///   waits for the second.
    /// * Some, and all of them are down, as where a list of peers is given, or the store was stopped and is started
    ///   again with the same `Cluster`: it does not return before one of them is back, also if they are removed
    ///   meanwhile. (A process that is started anew with seeds does not come so far: `join` fails with
    ///   [`JoinError::NoAnswer`](crate::JoinError::NoAnswer), and `bootstrap` begins with nothing.)
    ///
    /// A replica that was [made anew](crate::Repair) waits once more. That a majority was heard is
    /// [`refreshed`](Self::refreshed).
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`].
    pub async fn ready(&self) -> Result<(), StoreError> {
        let mut ready = self.0.ready.subscribe();
        loop {
            if self.0.is_stopped() {
                return Err(StoreError::Stopped);
            }
            if *ready.borrow_and_update() {
                return Ok(());
            }
            if ready.changed().await.is_err() {
                return Err(StoreError::Stopped);
            }
        }
    }

    /// How the store is doing. O(peers × (records + replicas)).
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn status(&self) -> Result<StoreStatus, StoreError> {
        self.check()?;
        Ok(StoreStatus::of(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use crdt_core::{Limits, OrSet};
    use dd_gossip::{Config, MAX_CHUNK, Timing};

    use super::*;

    /// A set that takes some tenths of a second to delete.
    const LARGE: u64 = 100_000;
    const SET: Key<OrSet<u64>> = Key::new("set");

    fn store() -> Store {
        let config = Config {
            cluster: "shop".parse().unwrap(),
            node: "a".parse().unwrap(),
            replica: ReplicaId::new(1, 1),
            nonce: 1,
            seed: 1,
            peers: Vec::new(),
            bootstrap: true,
            timing: Timing::default(),
            limits: Limits::default(),
            chunk: MAX_CHUNK,
            shared: dd_gossip::MIN_SHARED,
            part: dd_gossip::MAX_PART,
        };
        let replica = Replica::new(config, Time::ZERO);
        let deadline = Duration::from_secs(3);
        let inner = Inner::new(replica, deadline, Instant::now(), Certificate::default());
        Store(Arc::new(inner))
    }

    #[test]
    fn readers_do_not_wait_for_the_delete_of_a_large_value() {
        let store = store();
        let fill = |set: &mut crdt_core::OrSetEdit<'_, u64>| {
            (0..LARGE).for_each(|n| assert!(set.insert(&n)));
        };
        store.update(&SET, fill).unwrap();
        let (answered, gone) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whatever is seen, it is all or nothing.
                let mut seen = LARGE as usize;
                while !gone.load(Ordering::Acquire) {
                    let locked = store.0.replica.try_read().is_none();
                    let now = store.read(&SET, |set| set.len()).unwrap();
                    assert!(now == seen || now == 0);
                    seen = now;
                    let keys = store.keys("", None, 9).unwrap().len();
                    assert!(keys == usize::from(now > 0) || keys == 0);
                    if locked && now > 0 && store.0.replica.try_read().is_none() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            assert!(store.delete(&SET).unwrap());
            gone.store(true, Ordering::Release);
        });
        assert!(answered.into_inner() > 0, "all readers waited");
        assert!(!store.get(&SET).unwrap().exists());
    }
}
