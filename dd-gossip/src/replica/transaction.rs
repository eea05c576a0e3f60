//! Transactions: local updates of several keys as one.

use std::cell::OnceCell;

use crdt_core::kernel::{self, NodeRef};
use crdt_core::{Crdt, LwwRegister, Name, Shape, Timestamp};

use super::Replica;
use super::expiry::{DEADLINE, set_deadline};
use super::local::{Refused, UpdateError, check_key};
use crate::time::Time;

/// What a transaction did so far, from which it goes on; see [`Replica::transaction`].
#[derive(Debug)]
pub struct Transaction<'a> {
    inner: kernel::Transaction<'a>,
    /// The wall clock, if any key has a deadline.
    wall: Option<u64>,
    /// The first key that was refused.
    refused: &'a OnceCell<UpdateError>,
}

impl Transaction<'_> {
    /// An edit of the value of type `T` under a key: of one whose deadline has passed, from empty. If the key is
    /// refused, so is the whole transaction when its closure returns.
    pub fn edit<T: Crdt>(&mut self, key: &[u8]) -> T::Edit<'_> {
        if self.check(key) && self.is_over(key) {
            self.inner.at(&[Name::new(key)]).remove();
        }
        T::edit(self.inner.at(&path::<T>(key)))
    }

    /// The value of type `T` under a key, with what this transaction did so far; empty if its deadline has passed. A key
    /// that is refused is so here too, as of [`edit`](Self::edit).
    pub fn view<T: Crdt>(&self, key: &[u8]) -> T::View<'_> {
        T::view(self.value(key, &Shape::of::<T>()))
    }

    /// The tree under a key for one shape, with what this transaction did so far; none if its deadline has passed. A key
    /// that is refused is so here too, as of [`edit`](Self::edit).
    pub fn value(&self, key: &[u8], shape: &Shape) -> Option<NodeRef<'_>> {
        if !self.check(key) {
            return None;
        }
        let value = self.inner.node(&[Name::new(key), shape.name().clone()])?;
        (!self.is_over(key)).then_some(value)
    }

    /// Deletes everything seen under a key, of every type. Returns whether there was anything to be seen.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let was_over = self.is_over(key);
        self.check(key) && self.inner.at(&[Name::new(key)]).remove() && !was_over
    }

    /// The value under a key ends at a time, in milliseconds since 1970; or does not any more. Returns whether there is a
    /// value, also one that this transaction wrote: without one there is nothing to end, and no event.
    pub fn expire_at(&mut self, key: &[u8], deadline: Option<u64>) -> bool {
        let stands = self.check(key) && !self.is_over(key) && self.has_value(key);
        if stands {
            set_deadline(&mut self.inner, key, deadline);
        }
        stands
    }

    fn has_value(&self, key: &[u8]) -> bool {
        let place = self.inner.node(&[Name::new(key)]);
        let mut shapes = place.into_iter().flat_map(|place| place.children().iter());
        shapes.any(|(shape, _)| shape != DEADLINE)
    }

    /// Whether the deadline of a key has passed, if this transaction has not written there.
    fn is_over(&self, key: &[u8]) -> bool {
        let Some(wall) = self.wall else { return false };
        let node = self.inner.node(&[Name::new(key), Name::new(DEADLINE)]);
        let deadline = <LwwRegister<u64> as Crdt>::view(node).get().ok().flatten();
        deadline.is_some_and(|at| at <= wall)
    }

    /// How many events it made so far.
    pub fn events(&self) -> u64 {
        self.inner.events()
    }

    /// The same transaction, for a shorter time.
    pub fn reborrow(&mut self) -> Transaction<'_> {
        Transaction {
            inner: self.inner.reborrow(),
            wall: self.wall,
            refused: self.refused,
        }
    }

    fn check(&self, key: &[u8]) -> bool {
        match check_key(key) {
            Ok(()) => true,
            Err(error) => {
                self.refused.get_or_init(|| error);
                false
            }
        }
    }
}

fn path<T: Crdt>(key: &[u8]) -> [Name; 2] {
    [Name::new(key), Shape::of::<T>().name().clone()]
}

impl Replica {
    /// Changes the values under several keys as one. `wall` is as of [`update`](Self::update); all
    /// writes have the same timestamp.
    ///
    /// Every node shows all of it, or at each of its keys something newer, from one moment to the next:
    /// also one that is sent the events by others than this replica, piece by piece, after a cut, or in a
    /// full comparison. That is all that is promised. Nothing is locked or compared: concurrent
    /// transactions merge write by write. Of two transactions a node may see the later one first, as of any
    /// two updates.
    ///
    /// Until all nodes have its events, a transaction costs its paths on each of them; beyond
    /// [`MAX_TRANSACTIONS`](crate::MAX_TRANSACTIONS) nodes that are behind get a full comparison.
    ///
    /// # Errors
    ///
    /// What the closure returned, or an [`UpdateError`]: of the first key that was refused, or if a limit
    /// was passed, that of [`MAX_LINK_PATHS`](crdt_core::kernel::MAX_LINK_PATHS) keys too. Nothing was
    /// written then, nor if the closure panics.
    pub fn transaction<R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        wall: u64,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let clock = self.clock.read(&mut || wall);
        let wall = self.has_deadlines().then_some(wall);
        self.run_transaction(now, clock, wall, run)
    }

    /// As [`transaction`](Self::transaction), at a reading of the caller's own clock. Deadlines are not looked at.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction).
    pub fn transaction_at<R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        clock: Timestamp,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.run_transaction(now, clock, None, run)
    }

    fn run_transaction<R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        clock: Timestamp,
        wall: Option<u64>,
        run: impl FnOnce(&mut Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut refused = OnceCell::new();
        let value = self.write(now, clock, |inner| {
            inner.link_keys();
            let mut transaction = Transaction {
                inner: inner.reborrow(),
                wall,
                refused: &refused,
            };
            let value = run(&mut transaction).map_err(Refused::Caller)?;
            match refused.take() {
                None => Ok(value),
                Some(error) => Err(Refused::Caller(error.into())),
            }
        })?;
        if self.has_many_transactions() {
            self.forget_transactions(now);
        }
        Ok(value)
    }
}
