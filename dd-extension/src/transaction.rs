//! Transactions: updates of several keys as one.

use std::convert::Infallible;

use crdt_core::Crdt;

use crate::closure;
use crate::error::{StoreError, TryUpdateError};
use crate::key::Key;
use crate::store::{Store, wall};

/// What a transaction did so far, from which it goes on; see [`Store::update_together`] and [`Store::transaction`].
#[derive(Debug)]
pub struct Transaction<'a>(pub(crate) dd_gossip::Transaction<'a>);

impl Transaction<'_> {
    /// An edit of the value under a key, as [`Store::update`] gives to its closure. A key that is refused
    /// makes the whole transaction fail when its closure returns.
    pub fn edit<T: Crdt>(&mut self, key: &Key<T>) -> T::Edit<'_> {
        self.0.edit::<T>(key.as_bytes())
    }

    /// The value under a key, with what this transaction did so far; of a key that is not there the empty
    /// value. So it is of one that is refused, which makes the whole transaction fail as of [`edit`](Self::edit).
    pub fn view<T: Crdt>(&self, key: &Key<T>) -> T::View<'_> {
        self.0.view::<T>(key.as_bytes())
    }

    /// As [`view`](Self::view), in the manner of [`Store::read`].
    pub fn read<T: Crdt, R>(&self, key: &Key<T>, read: impl FnOnce(T::View<'_>) -> R) -> R {
        read(self.view(key))
    }

    /// Deletes what was seen under a key, of every type. Returns whether there was anything.
    pub fn delete<T>(&mut self, key: &Key<T>) -> bool {
        self.0.delete(key.as_bytes())
    }
}

impl Store {
    /// Changes the values under several keys, or several elements under one, as one, at once and locally: a
    /// [`transaction`](Self::transaction) that never gives up, as [`update`](Self::update) is for one key. What is promised
    /// and what it costs is said there.
    ///
    /// ```
    /// # use dd_extension::{Key, Store, StoreError, types::{OrSet, PnCounter}};
    /// # fn example(store: &Store) -> Result<(), StoreError> {
    /// const USERS: Key<OrSet<String>> = Key::new("users");
    /// const SEATS: Key<PnCounter> = Key::new("seats");
    ///
    /// let left = store.update_together(|tx| {
    ///     tx.edit(&USERS).insert("ann");
    ///     tx.edit(&SEATS).add(-1);
    ///     tx.read(&SEATS, |seats| seats.value())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing was changed then, nor if the closure panics.
    pub fn update_together<R>(
        &self,
        run: impl FnOnce(&mut Transaction<'_>) -> R,
    ) -> Result<R, StoreError> {
        let result = self.transaction(|tx| Ok::<R, Infallible>(run(tx)));
        result.map_err(|error| match error {
            TryUpdateError::Store(error) => error,
            TryUpdateError::Closure(never) => match never {},
        })
    }

    /// Changes the values under several keys, or several elements under one, as one, at once and locally. All writes have
    /// one timestamp. The closure may give up, with an error of any type; for one that never does
    /// [`update_together`](Self::update_together) needs no such type.
    ///
    /// ```
    /// # use dd_extension::{Key, Store, TryUpdateError, types::OrSet};
    /// const READY: Key<OrSet<u64>> = Key::new("jobs/ready");
    /// const TAKEN: Key<OrSet<u64>> = Key::new("jobs/taken");
    ///
    /// #[derive(Debug)]
    /// struct NothingToDo;
    ///
    /// fn take(store: &Store) -> Result<u64, TryUpdateError<NothingToDo>> {
    ///     store.transaction(|tx| {
    ///         let first = tx.read(&READY, |ready| ready.iter().next());
    ///         let job = first.ok_or(NothingToDo)?;
    ///         tx.edit(&READY).remove(&job);
    ///         tx.edit(&TAKEN).insert(&job);
    ///         Ok(job)
    ///     })
    /// }
    /// ```
    ///
    /// # What is promised
    ///
    /// *All, or something newer at each key.* No node ever shows a part of a transaction: its writes
    /// become visible together, on this node, on every other, and to their subscribers, also where they
    /// arrive through third nodes, after a connection that broke, or in a full comparison. At a key
    /// where somebody has written since, what that one wrote may come in the place of the transaction's.
    /// Who reads several keys one after the other may find the transaction between two of the reads; the
    /// reads of one transaction, which need not write anything, are all of one moment.
    ///
    /// # What is not
    ///
    /// * No isolation, no lock, no compare-and-set: two nodes that take the same job both succeed, and the
    ///   transactions merge write by write.
    /// * No order among transactions beyond that of updates: of two, a node that is catching up
    ///   may show the later one first, whole.
    /// * Not that it was stored elsewhere: [`confirmed`](Self::confirmed) waits for that.
    ///
    /// # What it costs
    ///
    /// Until all members have its events, its paths, on each of them. A member that lacks some of it is sent what there is
    /// at all of its places as one, which both hold as one: to load much, take updates. Of more than 8 MiB that are tied
    /// together so that member gets a full comparison.
    ///
    /// # Errors
    ///
    /// [`TryUpdateError::Closure`] with the closure's error, or [`TryUpdateError::Store`]. Nothing was
    /// changed then, nor if the closure panics.
    pub fn transaction<R, E>(
        &self,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, TryUpdateError<E>> {
        self.check()?;
        let (now, wall) = (self.0.now(), wall());
        let result = closure::run(|| {
            let mut replica = self.0.replica.write();
            replica.transaction::<R, TryUpdateError<E>>(now, wall, |tx| {
                run(&mut Transaction(tx.reborrow())).map_err(TryUpdateError::Closure)
            })
        });
        self.0.work.notify_one();
        result
    }
}
