//! Values that end: at a time, or when nobody has written them for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::StoreError;
use crate::key::{Key, Keys};
use crate::store::{Store, wall};
use crate::transaction::Transaction;

/// Up to a millisecond late, and never early.
fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Transaction<'_> {
    /// As [`Store::expire_at`], together with what the transaction writes: no node ever has the value without its
    /// deadline. Returns whether there was anything, what this transaction wrote before counts.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    /// use dd_extension::{Keys, Store, types::LwwRegister};
    ///
    /// const TOKENS: Keys<LwwRegister<String>> = Keys::with_prefix("token/");
    ///
    /// # fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = TOKENS.key("ann");
    /// let end = SystemTime::now() + Duration::from_secs(3600);
    /// store.update_together(|tx| {
    ///     tx.edit(&token).set("secret");
    ///     tx.expire_at(&token, Some(end));
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn expire_at<T>(&mut self, key: &Key<T>, at: Option<SystemTime>) -> bool {
        self.0.expire_at(key.as_bytes(), at.map(millis))
    }
}

impl Store {
    /// What stands under a key ends at a time, whatever is written to it until then; `None`: it does not any
    /// more. A delete ends it too, and what is written afterwards has no deadline. Returns whether there was
    /// anything.
    ///
    /// A node shows the key as empty when its own clock has passed the deadline, and an
    /// [`update`](Self::update) then begins with the empty value. Some seconds later the key is deleted
    /// everywhere, when the clocks of a majority of the members have passed it: one clock that runs ahead can't
    /// take anything away from the others. Until then it is listed, and subscribers are told by the delete. An
    /// update that is concurrent with the delete survives it.
    ///
    /// It is a step of its own, for a value that is there. A process that ends between a write and this leaves the value
    /// without a deadline, on every node that it reached: [`Transaction::expire_at`] sets both as one. Sessions may be better in a
    /// family that [ends when it is idle](Self::expire_idle), which is set once and holds for whatever is written.
    ///
    /// Of two deadlines set concurrently the later one set counts, as in an
    /// [`LwwRegister`](crate::types::LwwRegister). Costs an event, and memory for each such key.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    /// use dd_extension::{Keys, Store, types::LwwRegister};
    ///
    /// const TOKENS: Keys<LwwRegister<String>> = Keys::with_prefix("token/");
    ///
    /// # fn example(store: Store) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = TOKENS.key("ann");
    /// store.update(&token, |token| token.set("secret"))?;
    /// store.expire_at(&token, Some(SystemTime::now() + Duration::from_secs(3600)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn expire_at<T>(&self, key: &Key<T>, at: Option<SystemTime>) -> Result<bool, StoreError> {
        self.check()?;
        let (now, deadline) = (self.0.now(), at.map(millis));
        let mut replica = self.0.replica.write();
        let there = replica.expire_at(now, wall(), key.as_bytes(), deadline)?;
        drop(replica);
        self.0.work.notify_one();
        Ok(there)
    }

    /// When what stands under a key ends.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn deadline<T>(&self, key: &Key<T>) -> Result<Option<SystemTime>, StoreError> {
        self.check_with(key.as_bytes())?;
        let deadline = self.0.replica.read().deadline(key.as_bytes());
        let time = |millis| UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        Ok(deadline.and_then(time))
    }

    /// Keys of a family end when nobody has written them for so long; `None`: they do not any more. It is kept in
    /// the store, so it is said once, for all nodes; a longer prefix goes before a shorter one.
    ///
    /// The time is a second at least ([`MIN_IDLE`](crate::MIN_IDLE)), and counts in milliseconds, rounded up; more than
    /// 100 years ([`MAX_IDLE`](crate::MAX_IDLE)) are 100 years. It is a limit on how early a key ends, and not on how
    /// late: it is looked once a second what is over, and each node that is up leaves the delete for a second to each
    /// one before it.
    ///
    /// Every node measures from when it saw the last change, so a key ends late, by the time that changes take
    /// and after restarts, and never early; and only by nodes that are in touch with a majority. It is deleted:
    /// what was written concurrently survives. A write that changes nothing, and so makes no event, counts for
    /// nothing: insert an element again, or set a register again, to keep a key.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the prefix does not have 1 to 255 bytes ([`MAX_FAMILY`](crate::MAX_FAMILY)) or begins with a zero
    /// byte, 256 other families end so already ([`MAX_IDLE_FAMILIES`](crate::MAX_IDLE_FAMILIES)), or the time is too short
    /// ([`UpdateError::Idle`](crate::UpdateError::Idle)).
    pub fn expire_idle<T>(
        &self,
        keys: &Keys<T>,
        lasts: Option<Duration>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let (now, prefix) = (self.0.now(), keys.prefix().as_bytes());
        self.0
            .replica
            .write()
            .expire_idle(now, wall(), prefix, lasts)?;
        self.0.work.notify_one();
        Ok(())
    }
}
