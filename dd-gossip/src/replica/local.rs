//! Local calls: updates, reads, deletes, lists of keys.

use std::time::Duration;

use crdt_core::kernel::{self, EditError, Node, NodeRef};
use crdt_core::{Crdt, Name, Shape, Timestamp};

use super::Replica;
use super::expiry::{MAX_IDLE_FAMILIES, MIN_IDLE};
use super::owned::{MAX_FAMILIES, MAX_FAMILY, is_reserved};
use crate::config::MAX_KEY;
use crate::key_space::keys_of;
use crate::standby::Standby;
use crate::time::Time;

/// Why an update was refused, or a key. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The key is empty or too long: it has so many bytes, and keys have 1 to 1024 ([`MAX_KEY`]).
    #[error("a key of {0} bytes; keys have 1 to {MAX_KEY}")]
    Key(usize),
    /// The key begins with a zero byte: such keys are the store's own.
    #[error("a key that begins with a zero byte: those are the store's own")]
    Reserved,
    /// A family of keys that are owned, or that end when they are idle: its prefix, of so many bytes, does not have 1 to
    /// 255 ([`MAX_FAMILY`]) or begins with a zero byte, or there are 256 families of this kind already
    /// ([`MAX_FAMILIES`], [`MAX_IDLE_FAMILIES`]).
    #[error(
        "a family of keys with a prefix of {0} bytes; prefixes of families that are owned or that end have 1 to {MAX_FAMILY} and don't begin with a zero byte, and there are at most {MAX_FAMILIES} owned families and {MAX_IDLE_FAMILIES} that end"
    )]
    Family(usize),
    /// A family was to end after a shorter time than a second ([`MIN_IDLE`]): what is written would be gone at once.
    #[error(
        "a family of keys that ends {0:?} after nobody wrote it; take {MIN_IDLE:?} or more, or `None` for no end"
    )]
    Idle(Duration),
    /// A limit on values was passed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Before all keys that a user names, behind all that are the store's own.
const FIRST: &[u8] = &[0, 0xff];

/// Checks a key that a user names, as whatever writes under it does. [`Replica::view`] and the like take any, and find
/// nothing under one that is refused here, but what is the store's own.
///
/// # Errors
///
/// [`UpdateError::Key`] or [`UpdateError::Reserved`].
#[inline]
pub fn check_key(key: &[u8]) -> Result<(), UpdateError> {
    if !(1..=MAX_KEY).contains(&key.len()) {
        Err(UpdateError::Key(key.len()))
    } else if is_reserved(key) {
        Err(UpdateError::Reserved)
    } else {
        Ok(())
    }
}

impl Replica {
    /// Changes the value of type `T` under a key, as one unit. `wall` is the wall clock in
    /// milliseconds since 1970; it only orders concurrent last-writer-wins writes.
    ///
    /// # Errors
    ///
    /// What the closure returned, or an [`UpdateError`]. Nothing was written then, nor if the
    /// closure panics.
    pub fn update<T: Crdt, R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        wall: u64,
        key: &[u8],
        update: impl FnOnce(&mut T::Edit<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let clock = self.clock.read(&mut || wall);
        self.clear_if_over(now, wall, key)?;
        self.update_at::<T, R, E>(now, clock, key, update)
    }

    /// As [`update`](Self::update), at a reading of the caller's own clock.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn update_at<T: Crdt, R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        clock: Timestamp,
        key: &[u8],
        update: impl FnOnce(&mut T::Edit<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        check_key(key)?;
        self.write_at::<T, R, E>(now, clock, key, update)
    }

    /// As [`update_at`](Self::update_at), for any key.
    pub(super) fn write_at<T: Crdt, R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        clock: Timestamp,
        key: &[u8],
        update: impl FnOnce(&mut T::Edit<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let path = [Name::new(key), Shape::of::<T>().name().clone()];
        self.write(now, clock, |tx| {
            update(&mut T::edit(tx.at(&path))).map_err(Refused::Caller)
        })
    }

    /// Runs a local update, and sees to it that its events are pushed.
    pub(super) fn write<R, E: From<UpdateError>>(
        &mut self,
        now: Time,
        clock: Timestamp,
        update: impl FnOnce(&mut kernel::Transaction<'_>) -> Result<R, Refused<E>>,
    ) -> Result<R, E> {
        let (replica, limits) = (self.config.replica, self.config.limits);
        let before = self.keys.context().max(replica);
        let value = self
            .keys
            .transact(replica, clock, limits, update)
            .map_err(|refused| match refused {
                Refused::Caller(error) => error,
                Refused::Edit(error) => UpdateError::Edit(error).into(),
            })?;
        if self.keys.context().max(replica) > before {
            self.note_own_writes(now);
            self.schedule_flushes(now);
        }
        Ok(value)
    }

    /// Deletes everything seen under a key, of every type. Returns whether there was anything; no
    /// event if not. The key can be used again at once.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Key`].
    pub fn delete(&mut self, now: Time, key: &[u8]) -> Result<bool, UpdateError> {
        check_key(key)?;
        self.remove_key(now, key)
    }

    /// As [`delete`](Self::delete), for any key.
    pub(super) fn remove_key(&mut self, now: Time, key: &[u8]) -> Result<bool, UpdateError> {
        let _shown = self.keys.show_if_large(&[Name::new(key)]);
        self.write(now, Timestamp::ZERO, |tx| {
            Ok(tx.at(&[Name::new(key)]).remove())
        })
    }

    /// The value of type `T` under a key.
    pub fn view<T: Crdt>(&self, key: &[u8]) -> T::View<'_> {
        T::view(self.keys.value(key, &Shape::of::<T>()))
    }

    /// The tree under a key for one shape; [`NodeRef::to_node`] takes an O(1) snapshot.
    pub fn value(&self, key: &[u8], shape: &Shape) -> Option<NodeRef<'_>> {
        self.keys.value(key, shape)
    }

    /// The shapes that have a value under a key: more than one if nodes disagreed on its type.
    pub fn shapes(&self, key: &[u8]) -> Vec<Shape> {
        self.keys.shapes(key)
    }

    /// Keys with values of more than one shape among those whose change no [`Event::Changed`](super::Event::Changed) has told
    /// yet; one more than once perhaps. None while that is going to tell that all have changed.
    pub fn untold_with_several_shapes(&self) -> impl Iterator<Item = &Name> {
        let untold = self.keys.changed();
        untold.filter(|key| self.keys.has_several_shapes(key))
    }

    /// Whether there are values of more than one shape under a key, without making a list of them.
    pub fn has_several_shapes(&self, key: &[u8]) -> bool {
        self.keys.has_several_shapes(key)
    }

    /// Up to `limit` keys that begin with `prefix` and come after `after`, in order.
    pub fn keys(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Name> {
        user_keys(self.keys.store().root(), prefix, after, limit)
    }

    /// Where readers find what was there before, while a step of this replica takes long.
    pub fn standby(&self) -> &Standby {
        self.keys.standby()
    }
}

/// Up to `limit` keys of users that begin with `prefix` and come after `after`, in order.
pub(crate) fn user_keys(
    root: &Node,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Vec<Name> {
    // The store's own keys are the first.
    let after = after.map_or(FIRST, |after| after.max(FIRST));
    keys_of(root, prefix, Some(after), limit)
}

/// Tells the closure's own error from ours.
pub(super) enum Refused<E> {
    Caller(E),
    Edit(EditError),
}

impl<E> From<EditError> for Refused<E> {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}
