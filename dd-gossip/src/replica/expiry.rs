//! Values that end: at a time, or when nobody has written them for a while.
//!
//! An end is an ordinary delete, made by one of the nodes: it takes away what that node has seen, a concurrent
//! update survives, and the state is a function of the context as ever. What remains is when, and whose
//! clock says so.
//!
//! *At a time.* The deadline of a key stands under the key, as a value of a shape of its own, so it goes with a
//! delete and is replaced by a later one. A node hides the key when its own clock has passed the deadline, and
//! deletes it when the clocks of a majority of the members have, as they state them in digests: one that runs
//! ahead can't take anything away from the others.
//!
//! *After inactivity.* For how long stands in the store, by prefix. Each node measures from when it saw the last
//! change, on its own monotonic clock; after a restart, from when it caught up: that is late, never early. A
//! node that is not in touch with a majority deletes nothing, because the others may be writing.
//!
//! The first of the members that live deletes, by their names; each of the next ones waits a second longer,
//! and mostly finds nothing to do. An owned key is its owner's to delete while that is a member: deleted by
//! others, it would be written again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_core::kernel::Transaction;
use crdt_core::{Crdt, LwwMap, LwwMapEdit, LwwRegister, LwwRegisterEdit, Name};

use super::Replica;
use super::local::{Refused, UpdateError, check_key};
use super::owned::{TURN, is_reserved};
use crate::NodeId;
use crate::time::Time;

/// Families with an end after inactivity, at most.
pub const MAX_IDLE_FAMILIES: usize = 256;
/// The shortest time after which a family that nobody writes can end: a second, as often as it is looked what is over.
pub const MIN_IDLE: Duration = Duration::from_secs(1);
/// The longest time after which something ends: some 100 years.
pub const MAX_IDLE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The shape under which the deadline of a key stands, in milliseconds since 1970.
pub(crate) const DEADLINE: &[u8] = b"deadline";
/// For how long the keys that begin with a prefix last, in milliseconds.
pub(super) const IDLE: &[u8] = b"\0idle";
/// Keys that are deleted at one time.
const BATCH: usize = 1024;

type Families = LwwMap<Vec<u8>, u64>;

#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    /// The wall clock less the time, in milliseconds.
    wall: Option<i128>,
    deadlines: BTreeMap<Name, u64>,
    by_deadline: BTreeSet<(u64, Name)>,
    idle: BTreeMap<Name, Duration>,
    /// When keys of those families changed last, and when they end.
    changed: BTreeMap<Name, (Time, Time)>,
    by_end: BTreeSet<(Time, Name)>,
    /// Not before this it is looked again.
    wait: Time,
}

impl Expiry {
    fn set_deadline(&mut self, key: &Name, deadline: Option<u64>) {
        if let Some(old) = self.deadlines.remove(key) {
            self.by_deadline.remove(&(old, key.clone()));
        }
        if let Some(at) = deadline {
            self.deadlines.insert(key.clone(), at);
            self.by_deadline.insert((at, key.clone()));
        }
    }

    fn set_changed(&mut self, key: &Name, changed: Option<Time>) {
        if let Some((_, end)) = self.changed.remove(key) {
            self.by_end.remove(&(end, key.clone()));
        }
        if let Some((at, lasts)) = changed.zip(self.lasts(key)) {
            let end = at + lasts;
            self.changed.insert(key.clone(), (at, end));
            self.by_end.insert((end, key.clone()));
        }
    }

    /// For how long a key lasts, by the longest prefix.
    fn lasts(&self, key: &[u8]) -> Option<Duration> {
        let families = self.idle.iter().rev();
        let mut families = families.filter(|(prefix, _)| key.starts_with(prefix));
        families.next().map(|(_, lasts)| *lasts)
    }

    /// The keys that end.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Name> {
        self.deadlines.keys().chain(self.changed.keys())
    }

    /// The prefixes whose changes have to be noted.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Name> + '_ {
        self.idle.keys().cloned().chain([Name::new(IDLE)])
    }

    fn wall(&self, now: Time) -> Option<u64> {
        let millis = self.wall? + now.since_start().as_millis() as i128;
        u64::try_from(millis).ok()
    }
}

impl Replica {
    /// The wall clock, in milliseconds since 1970: to be told when it may have been set, best with every
    /// input. Without it nothing ends at a time.
    pub fn set_wall(&mut self, now: Time, wall: u64) {
        let since = now.since_start().as_millis() as i128;
        let set = i128::from(wall) - since;
        let former = self.expiry.wall.replace(set);
        // Those of the others stay where they are: a clock that is set ahead does not take them along.
        let Some(by) = former.map(|former| set - former).filter(|by| *by != 0) else {
            return;
        };
        let processes = self.peers.values_mut();
        for process in processes.filter_map(|peer| peer.process.as_mut()) {
            process.skew = process.skew.map(|skew| clamped(i128::from(skew) - by));
        }
    }

    /// The value under a key ends at a time, in milliseconds since 1970; or does not any more. Returns
    /// whether there is a value: without one there is nothing to end, and no event.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing was written then.
    pub fn expire_at(
        &mut self,
        now: Time,
        wall: u64,
        key: &[u8],
        deadline: Option<u64>,
    ) -> Result<bool, UpdateError> {
        check_key(key)?;
        let stands = !self.shapes(key).is_empty() && !self.is_over(key, wall);
        let known = self.expiry.deadlines.get(key).copied();
        if !stands || known == deadline {
            return Ok(stands);
        }
        let clock = self.clock.read(&mut || wall);
        self.write(now, clock, |tx| {
            set_deadline(tx, key, deadline);
            Ok::<_, Refused<UpdateError>>(())
        })?;
        Ok(true)
    }

    /// When the value under a key ends, in milliseconds since 1970.
    pub fn deadline(&self, key: &[u8]) -> Option<u64> {
        self.expiry.deadlines.get(key).copied()
    }

    /// Whether any key has a deadline.
    pub(super) fn has_deadlines(&self) -> bool {
        !self.expiry.deadlines.is_empty()
    }

    /// Whether the deadline of a key has passed by this wall clock: it is not to be shown any more.
    pub fn is_over(&self, key: &[u8], wall: u64) -> bool {
        self.has_deadlines() && self.deadline(key).is_some_and(|at| at <= wall)
    }

    /// Keys that begin with a prefix end when nobody has written them for so long, [`MIN_IDLE`] at least; or do not any
    /// more. Counts in milliseconds, rounded up, and more than [`MAX_IDLE`] as that.
    ///
    /// # Errors
    ///
    /// [`UpdateError::Idle`] if the time is too short; [`UpdateError::Family`] if the prefix is too long or the store's
    /// own, or there are too many.
    pub fn expire_idle(
        &mut self,
        now: Time,
        wall: u64,
        prefix: &[u8],
        lasts: Option<Duration>,
    ) -> Result<(), UpdateError> {
        if let Some(lasts) = lasts.filter(|lasts| *lasts < MIN_IDLE) {
            return Err(UpdateError::Idle(lasts));
        }
        // As it is kept.
        let lasts = lasts.map(|lasts| lasts.min(MAX_IDLE).as_nanos().div_ceil(1_000_000));
        let lasts = lasts.map(|millis| Duration::from_millis(millis as u64));
        let known = self.expiry.idle.get(prefix).copied();
        if known == lasts {
            return Ok(());
        }
        let full = known.is_none() && self.expiry.idle.len() >= MAX_IDLE_FAMILIES;
        if full || !(1..=super::MAX_FAMILY).contains(&prefix.len()) || is_reserved(prefix) {
            return Err(UpdateError::Family(prefix.len()));
        }
        let clock = self.clock.read(&mut || wall);
        let change = |families: &mut LwwMapEdit<'_, Vec<u8>, u64>| {
            match lasts {
                Some(lasts) => families.insert(&prefix.to_vec(), &(lasts.as_millis() as u64)),
                None => drop(families.remove(&prefix.to_vec())),
            }
            Ok::<_, UpdateError>(())
        };
        self.write_at::<Families, _, _>(now, clock, IDLE, change)
    }

    /// What is kept of keys that end is made anew from the state.
    pub(super) fn begin_expiry(&mut self, now: Time) {
        self.read_idle(now);
        for key in self.keys.keys_with(DEADLINE) {
            self.note_deadline(&key);
        }
    }

    /// A noted key changed. Returns whether that was no affair of owned keys.
    pub(super) fn note_for_expiry(&mut self, now: Time, key: &Name) -> bool {
        if key.as_bytes() == IDLE {
            self.read_idle(now);
            self.mark_keys();
            return true;
        }
        self.note_deadline(key);
        if self.expiry.lasts(key).is_some() {
            let stands = self.keys.store().root().children().contains(key);
            self.expiry.set_changed(key, stands.then_some(now));
        }
        false
    }

    fn note_deadline(&mut self, key: &Name) {
        let node = self
            .keys
            .store()
            .root()
            .get(&[key.clone(), Name::new(DEADLINE)]);
        let register: <LwwRegister<u64> as Crdt>::View<'_> = LwwRegister::view(node);
        let deadline = register.get().ok().flatten();
        self.expiry.set_deadline(key, deadline);
    }

    fn read_idle(&mut self, now: Time) {
        let all = self.view::<Families>(IDLE);
        let usable = |(prefix, lasts): (Vec<u8>, Result<u64, _>)| {
            let prefix = Some(prefix).filter(|p| (1..=super::MAX_FAMILY).contains(&p.len()))?;
            // Others may have written anything.
            let lasts = Duration::from_millis(lasts.ok()?).clamp(MIN_IDLE, MAX_IDLE);
            Some((Name::new(prefix.as_slice()), lasts))
        };
        let idle = all.iter().filter_map(usable).take(MAX_IDLE_FAMILIES);
        self.expiry.idle = idle.collect();
        for (key, (changed, _)) in self.expiry.changed.clone() {
            self.expiry.set_changed(&key, Some(changed));
        }
        for prefix in self.expiry.idle.clone().into_keys() {
            for key in self.keys.keys(&prefix, None, usize::MAX) {
                if !self.expiry.changed.contains_key(&key) {
                    self.expiry.set_changed(&key, Some(now));
                }
            }
        }
    }

    /// When [`end_what_is_over`](Self::end_what_is_over) has something to look at.
    pub(super) fn poll_expiry(&self) -> Option<Time> {
        let expiry = &self.expiry;
        let idle = expiry.by_end.first().map(|(end, _)| *end);
        let deadline = expiry.by_deadline.first().and_then(|(at, _)| {
            let since = i128::from(*at) - expiry.wall?;
            Some(Time::from_start(Duration::from_millis(
                u64::try_from(since).unwrap_or(0),
            )))
        });
        let due = idle.into_iter().chain(deadline).min()?;
        Some((due + self.turn()).max(expiry.wait))
    }

    /// Deletes what is over.
    pub(super) fn end_what_is_over(&mut self, now: Time) {
        if self.poll_expiry().is_none_or(|due| now < due) {
            return;
        }
        let mut over = self.idle_for_too_long(now);
        over.extend(self.past_deadline(now));
        let more = over.len() >= BATCH;
        for key in over {
            if let Err(error) = self.remove_key(now, &key) {
                tracing::warn!(%error, "a key that is over stays");
            }
        }
        self.expiry.wait = if more { now } else { now + TURN };
    }

    fn idle_for_too_long(&self, now: Time) -> Vec<Name> {
        let up = self.others().filter(|node| self.is_up(node)).count() + 1;
        if up * 2 <= self.nodes() {
            return Vec::new();
        }
        let turn = self.turn();
        let by_end = self.expiry.by_end.iter();
        by_end
            .take_while(|(end, _)| now >= *end + turn)
            .map(|(_, key)| key.clone())
            .filter(|key| !self.is_of_another(key))
            .take(BATCH)
            .collect()
    }

    fn past_deadline(&self, now: Time) -> Vec<Name> {
        let Some(own) = self.expiry.wall(now) else {
            return Vec::new();
        };
        let skew = |node: &NodeId| self.peers.get(node)?.process.as_ref()?.skew;
        let skews: Vec<i64> = self.others().filter_map(skew).collect();
        let turn = self.turn().as_millis() as u64;
        let agreed = |at: u64| {
            let passed = |clock: i128| clock >= i128::from(at) + i128::from(turn);
            let others = skews
                .iter()
                .filter(|skew| passed(i128::from(own) + i128::from(**skew)));
            let count = others.count() + usize::from(passed(own.into()));
            count * 2 > self.nodes()
        };
        let passed = self.expiry.by_deadline.iter();
        let passed = passed.take_while(|(at, _)| agreed(*at));
        passed
            .map(|(_, key)| key.clone())
            .filter(|key| !self.is_of_another(key))
            .take(BATCH)
            .collect()
    }

    /// The wall clock as others are told of it; 0 if it is not known.
    pub(super) fn stated_wall(&self, now: Time) -> u64 {
        self.expiry.wall(now).unwrap_or(0)
    }

    /// A peer states its clock.
    pub(super) fn note_wall(&mut self, now: Time, node: &NodeId, theirs: u64) {
        let own = self.expiry.wall(now);
        let Some(own) = own.filter(|_| theirs > 0) else {
            return;
        };
        let skew = clamped(i128::from(theirs) - i128::from(own));
        if let Ok(process) = self.process(node) {
            process.skew = Some(skew);
        }
    }

    /// Removes what is over under a key before something is written there.
    pub(super) fn clear_if_over(
        &mut self,
        now: Time,
        wall: u64,
        key: &[u8],
    ) -> Result<(), UpdateError> {
        if self.is_over(key, wall) {
            self.remove_key(now, key)?;
        }
        Ok(())
    }
}

/// Writes the deadline of a key, or takes it away.
pub(super) fn set_deadline(tx: &mut Transaction<'_>, key: &[u8], deadline: Option<u64>) {
    let mut place = tx.at(&[Name::new(key), Name::new(DEADLINE)]);
    match deadline {
        None => drop(place.remove()),
        Some(at) => {
            let mut register: LwwRegisterEdit<'_, u64> = LwwRegister::edit(place);
            register.set(&at);
        }
    }
}

/// Skews are clamped to this: whoever states more has no clock.
const MAX_SKEW: i128 = 1 << 62;

fn clamped(skew: i128) -> i64 {
    skew.clamp(-MAX_SKEW, MAX_SKEW) as i64
}
