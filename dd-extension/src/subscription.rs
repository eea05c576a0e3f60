//! Subscriptions: level-triggered, so that nothing is lost and nothing piles up.
//!
//! A subscriber is marked as due when a key of its changes; what it is told is the difference
//! between what it was told last and the value when it asks. A slow one thus skips values, is told
//! how many, and costs a mark.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crdt_core::{Crdt, Name, Shape};
use dd_gossip::Changed;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::key::{Key, Keys};
use crate::snapshot::{Change, Snapshot};
use crate::store::Inner;

/// Keys of one prefix subscription that wait to be told, at most; beyond it all keys of the prefix
/// are looked through anew.
pub const MAX_DUE: usize = 65_536;

/// Keys that one step of looking through a prefix reads at most, so that no lock is held for long.
const PAGE: usize = 256;

/// What counts for the changes of a key when there were so many that they were not counted: the one
/// that is told, and at least one that was missed.
const UNCOUNTED: u64 = 2;

/// All subscribers of a store. Each is in it until its subscription is dropped.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    by_key: Mutex<BTreeMap<Name, Vec<Arc<Mark>>>>,
    by_prefix: Mutex<Vec<(Name, Arc<Mark>)>>,
    count: AtomicUsize,
}

/// What waits to be told to one subscriber.
#[derive(Debug, Default)]
struct Mark {
    due: Mutex<Due>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Due {
    keys: BTreeMap<Name, u64>,
    all: bool,
}

impl Mark {
    fn set(&self, key: &Name, changes: u64) {
        let mut due = self.due.lock();
        if due.keys.len() >= MAX_DUE && !due.keys.contains_key(key) {
            due.all = true;
            due.keys.clear();
        }
        if !due.all {
            *due.keys.entry(key.clone()).or_default() += changes;
        }
        drop(due);
        self.notify.notify_one();
    }

    fn set_all(&self) {
        let mut due = self.due.lock();
        due.all = true;
        due.keys.clear();
        drop(due);
        self.notify.notify_one();
    }
}

impl Registry {
    /// Marks everyone whom a change concerns.
    pub(crate) fn changed(&self, changed: &Changed) {
        let Changed::Keys(keys) = changed else {
            self.each(Mark::set_all);
            return;
        };
        let by_key = self.by_key.lock();
        if !by_key.is_empty() {
            for (key, changes) in keys {
                let marks = by_key.get(key).into_iter().flatten();
                marks.for_each(|mark| mark.set(key, *changes));
            }
        }
        drop(by_key);
        for (prefix, mark) in self.by_prefix.lock().iter() {
            let keys = keys.range(prefix.clone()..);
            for (key, changes) in keys.take_while(|(key, _)| key.starts_with(prefix)) {
                mark.set(key, *changes);
            }
        }
    }

    fn add_to_key(&self, key: Name) -> Arc<Mark> {
        let mark = Arc::new(Mark::default());
        let mut by_key = self.by_key.lock();
        by_key.entry(key).or_default().push(Arc::clone(&mark));
        self.count.fetch_add(1, Ordering::Relaxed);
        mark
    }

    fn remove_from_key(&self, key: &[u8], mark: &Arc<Mark>) {
        let mut by_key = self.by_key.lock();
        if let Some(marks) = by_key.get_mut(key) {
            marks.retain(|other| !Arc::ptr_eq(other, mark));
            if marks.is_empty() {
                by_key.remove(key);
            }
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn add_to_prefix(&self, prefix: Name) -> Arc<Mark> {
        let mark = Arc::new(Mark::default());
        self.by_prefix.lock().push((prefix, Arc::clone(&mark)));
        self.count.fetch_add(1, Ordering::Relaxed);
        mark
    }

    fn remove_from_prefix(&self, mark: &Arc<Mark>) {
        let mut by_prefix = self.by_prefix.lock();
        by_prefix.retain(|(_, other)| !Arc::ptr_eq(other, mark));
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells everyone that the store was stopped.
    pub(crate) fn close(&self) {
        self.each(|mark| mark.notify.notify_one());
    }

    /// Whether there is nobody to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of subscriptions.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn each(&self, tell: impl Fn(&Mark)) {
        self.by_key.lock().values().flatten().for_each(|m| tell(m));
        self.by_prefix.lock().iter().for_each(|(_, m)| tell(m));
    }
}

/// The store, until it is stopped.
fn running(store: &Weak<Inner>) -> Option<Arc<Inner>> {
    store.upgrade().filter(|store| !store.is_stopped())
}

/// The changes of one key; see [`Store::subscribe`](crate::Store::subscribe). Dropping it ends it.
pub struct Subscription<T> {
    store: Weak<Inner>,
    key: Key<T>,
    shape: Shape,
    mark: Arc<Mark>,
    told: Option<Snapshot<T>>,
}

impl<T: Crdt> Subscription<T> {
    pub(crate) fn new(store: &Arc<Inner>, key: Key<T>) -> Self {
        let mark = store.subscribers.add_to_key(Name::new(key.as_bytes()));
        let store = Arc::downgrade(store);
        Self {
            store,
            key,
            shape: Shape::of::<T>(),
            mark,
            told: None,
        }
    }

    /// The current value first, then what changed since it was told last, as soon as something did. What arrived
    /// meanwhile, or together, is one change: see [`Change::missed`]. `None` when the store was stopped.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Change<T>> {
        loop {
            if self.told.is_some() {
                // Of a store that was stopped already nobody would wake it.
                running(&self.store)?;
                self.mark.notify.notified().await;
            }
            let due = std::mem::take(&mut *self.mark.due.lock());
            let store = running(&self.store)?;
            let after = Snapshot::new(store.value(self.key.as_bytes(), &self.shape));
            let initial = self.told.is_none();
            let before = self.told.clone().unwrap_or_else(|| Snapshot::new(None));
            if initial || !before.same(&after) {
                self.told = Some(after.clone());
                let changes = due.keys.values().sum::<u64>();
                let missed = match (initial, due.all) {
                    (true, _) => 0,
                    (false, true) => UNCOUNTED - 1,
                    (false, false) => changes.saturating_sub(1),
                };
                return Some(Change {
                    before,
                    after,
                    missed,
                    initial,
                });
            }
        }
    }

    /// The key.
    pub fn key(&self) -> &Key<T> {
        &self.key
    }
}

/// The changes of all keys of a family; see [`Store::subscribe_all`](crate::Store::subscribe_all).
/// Keeps an O(1) snapshot of every value that it told. Dropping it ends it.
pub struct SubscriptionAll<T> {
    store: Weak<Inner>,
    keys: Keys<T>,
    shape: Shape,
    mark: Arc<Mark>,
    told: BTreeMap<Name, Snapshot<T>>,
    waiting: VecDeque<(Name, u64)>,
    /// Where looking through the prefix goes on; `None` when it is done.
    scan: Option<Option<Name>>,
    initial: bool,
}

impl<T: Crdt> SubscriptionAll<T> {
    pub(crate) fn new(store: &Arc<Inner>, keys: Keys<T>) -> Self {
        let mark = store.subscribers.add_to_prefix(keys.prefix().into());
        Self {
            store: Arc::downgrade(store),
            keys,
            shape: Shape::of::<T>(),
            mark,
            told: BTreeMap::new(),
            waiting: VecDeque::new(),
            scan: Some(None),
            initial: true,
        }
    }

    /// The current value of each key first, in order, then what changed of a key since it was told last, as soon as
    /// something did. What arrived meanwhile, or together, is one change: see [`Change::missed`]. `None` when the store
    /// was stopped. Cancel-safe.
    pub async fn next(&mut self) -> Option<(Key<T>, Change<T>)> {
        loop {
            {
                let store = running(&self.store)?;
                while let Some((name, changes)) = self.waiting.pop_front() {
                    if let Some(told) = self.tell(&store, name, changes) {
                        return Some(told);
                    }
                }
                if self.next_page(&store) || self.take_due() {
                    continue;
                }
            }
            self.mark.notify.notified().await;
        }
    }

    fn tell(&mut self, store: &Inner, name: Name, changes: u64) -> Option<(Key<T>, Change<T>)> {
        // What is marked by now is in the value that is read below.
        let more = self.mark.due.lock().keys.remove(&name).unwrap_or_default();
        let after = Snapshot::new(store.value(&name, &self.shape));
        let before = self
            .told
            .get(&name)
            .cloned()
            .unwrap_or_else(|| Snapshot::new(None));
        if before.same(&after) {
            return None;
        }
        let key = Key::of(String::from_utf8(name.to_vec()).ok()?);
        if after.exists() {
            self.told.insert(name, after.clone());
        } else {
            self.told.remove(&name);
        }
        let initial = self.initial && self.scan.is_some();
        let missed = if initial {
            0
        } else {
            (changes + more).saturating_sub(1)
        };
        Some((
            key,
            Change {
                before,
                after,
                missed,
                initial,
            },
        ))
    }

    /// Goes on looking through the prefix. Returns whether it did.
    fn next_page(&mut self, store: &Inner) -> bool {
        let Some(after) = self.scan.take() else {
            return false;
        };
        let page = store.keys(self.keys.prefix().as_bytes(), after.as_deref(), PAGE);
        if let Some(last) = page.last() {
            self.scan = Some(Some(last.clone()));
            let changes = if self.initial { 1 } else { UNCOUNTED };
            self.waiting
                .extend(page.into_iter().map(|name| (name, changes)));
        } else {
            if !self.initial {
                // Keys that went away while all were due.
                let gone = self
                    .told
                    .keys()
                    .filter(|name| store.value(name, &self.shape).is_none());
                self.waiting.extend(
                    gone.map(|name| (name.clone(), UNCOUNTED))
                        .collect::<Vec<_>>(),
                );
            }
            self.initial = false;
        }
        true
    }

    fn take_due(&mut self) -> bool {
        let mut due = self.mark.due.lock();
        if std::mem::take(&mut due.all) {
            self.scan = Some(None);
            return true;
        }
        self.waiting.extend(std::mem::take(&mut due.keys));
        !self.waiting.is_empty()
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            let subscribers = &store.subscribers;
            subscribers.remove_from_key(self.key.as_bytes(), &self.mark);
        }
    }
}

impl<T> Drop for SubscriptionAll<T> {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.subscribers.remove_from_prefix(&self.mark);
        }
    }
}

impl<T> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.key)
    }
}

impl<T> std::fmt::Debug for SubscriptionAll<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubscriptionAll({}*)", self.keys.prefix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_subscriptions_that_ended() {
        let registry = Registry::default();
        let name = || Name::new(b"key");
        let [one, other] = [registry.add_to_key(name()), registry.add_to_key(name())];
        let all = registry.add_to_prefix(name());
        assert_eq!(registry.len(), 3);
        registry.remove_from_key(b"key", &one);
        registry.remove_from_prefix(&all);
        assert!(!registry.is_empty());
        let changed = Changed::Keys([(name(), 1)].into());
        registry.changed(&changed);
        let due = |mark: &Mark| mark.due.lock().keys.len();
        assert_eq!([&*one, &*other, &*all].map(due), [0, 1, 0]);
        registry.remove_from_key(b"key", &other);
        assert!(registry.is_empty());
        assert!(registry.by_key.lock().is_empty() && registry.by_prefix.lock().is_empty());
    }
}
