//! What a replica is told when it is made.

use std::time::Duration;

use crdt_core::{Limits, ReplicaId};

use crate::{ClusterId, NodeId};

/// Longest key, in bytes; the shortest has one.
pub const MAX_KEY: usize = 1024;

/// From so many events on it is worth while to ask several members for a share each: some ten round trips with each.
pub const MIN_SHARED: usize = 4096;

/// Bytes of a piece, about, that go in one message.
pub const MAX_PART: usize = 8 * 1024 * 1024;

/// Least bytes of data in a frame.
pub const MIN_CHUNK: usize = 64;

/// Longest time of any setting: a year. Longer ones would pass what times are counted in; what is to be never is rare
/// enough once a year.
pub const MAX_INTERVAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Shortest time after which something is done again: less would keep a processor busy with it.
pub const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// A setting that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting {setting} {rule}")]
pub struct ConfigError {
    /// Its field.
    pub setting: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl ConfigError {
    /// That a setting breaks a rule, unless it keeps it.
    ///
    /// # Errors
    ///
    /// The error, if it does not.
    pub fn unless(keeps: bool, setting: &'static str, rule: &'static str) -> Result<(), Self> {
        if keeps {
            Ok(())
        } else {
            Err(Self { setting, rule })
        }
    }
}

/// Checks times after which something is done again.
pub(crate) fn check_intervals(
    settings: impl IntoIterator<Item = (&'static str, Duration)>,
) -> Result<(), ConfigError> {
    let rule = "must be between 1 ms and 365 days";
    settings.into_iter().try_for_each(|(setting, time)| {
        let keeps = (MIN_INTERVAL..=MAX_INTERVAL).contains(&time);
        ConfigError::unless(keeps, setting, rule)
    })
}

/// Who the replica is, who its peers are, and how it goes about its work.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster. Part of what fingerprints are keyed with.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// This incarnation: an id that nobody has used before. It shows up elsewhere with the first
    /// write under it, and not before.
    pub replica: ReplicaId,
    /// A random number of this process. What others know of it is forgotten when it changes.
    pub nonce: u64,
    /// Seed of the machine's own random numbers: same inputs and seed, same frames.
    pub seed: u64,
    /// The other members of the cluster, as far as they are known; later
    /// [`Replica::set_members`](crate::Replica::set_members) says who they are. A removal is remembered until all of
    /// them have it.
    pub peers: Vec<NodeId>,
    /// Whether this process begins a new cluster: it has a vote in reads from the start, because
    /// there is nothing yet that its node could have acknowledged. Otherwise it gets one when it has what the
    /// other nodes have. At any later start this must be `false`, or a read can miss what a
    /// majority had confirmed.
    pub bootstrap: bool,
    /// When things are done.
    pub timing: Timing,
    /// How large values may be.
    pub limits: Limits,
    /// Bytes of data in a frame, [`MIN_CHUNK`] to [`MAX_CHUNK`](crate::MAX_CHUNK); default the
    /// greatest. Smaller frames let small updates overtake sooner and cost more overhead.
    pub chunk: usize,
    /// A peer that catches up for the first time and lacks so many events, or more, is given them in shares, as other
    /// members give theirs; of fewer it is sent all at once. Default [`MIN_SHARED`].
    pub shared: usize,
    /// A piece of so many bytes, about, or more goes in several messages, of which both sides hold one at a time in bytes.
    /// It takes effect as one all the same. Default [`MAX_PART`].
    pub part: usize,
}

/// When things are done. [`Timing::default`] suits a local network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long own writes are collected before they are pushed; the first after a pause goes at
    /// once. Default 1 ms. Longer saves bytes, shorter saves time.
    pub flush: Duration,
    /// How long after events of others arrived a peer that is not known to have them is asked.
    /// Default 500 ms. In a full mesh the origin itself is faster; elsewhere this is the delay of a
    /// hop.
    pub relay: Duration,
    /// How often contexts are compared with a random peer, give or take a quarter. Default 1 s.
    pub exchange: Duration,
    /// The longest interval between comparisons while they find nothing. Default 8 s.
    pub exchange_idle: Duration,
    /// After how long without progress an exchange or a lost answer is given up and tried again.
    /// Default 5 s; at least a few round trips.
    pub retry: Duration,
    /// How long a push may wait for events of others that it builds on before they are asked for.
    /// Default 250 ms.
    pub hold: Duration,
    /// How long a peer may be away before removals are forgotten without it. It then catches up by
    /// a full comparison. Default 24 h.
    pub away: Duration,
    /// How often it is looked whether contexts can be made smaller, because processes that are gone left
    /// nothing that is not everywhere. Default 60 s.
    pub seal: Duration,
    /// How often everything that is live is summed up and compared with the sum that is kept. Default 10 min;
    /// it is done in steps, and costs what is live.
    pub scrub: Duration,
    /// How long a node may be dead before what it owned is deleted. Default 2 s.
    pub orphaned: Duration,
}

impl Timing {
    /// Checks that the times make sense together: what is done again and again lasts
    /// [`MIN_INTERVAL`] to [`MAX_INTERVAL`], and nothing is waited for longer than that.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_intervals([
            ("timing.exchange", self.exchange),
            ("timing.exchange_idle", self.exchange_idle),
            ("timing.retry", self.retry),
            ("timing.seal", self.seal),
            ("timing.scrub", self.scrub),
        ])?;
        let keeps = self.exchange_idle >= self.exchange;
        let rule = "must not be shorter than timing.exchange";
        ConfigError::unless(keeps, "timing.exchange_idle", rule)?;
        let waits = [
            ("timing.flush", self.flush),
            ("timing.relay", self.relay),
            ("timing.hold", self.hold),
            ("timing.away", self.away),
            ("timing.orphaned", self.orphaned),
        ];
        waits.into_iter().try_for_each(|(setting, wait)| {
            ConfigError::unless(wait <= MAX_INTERVAL, setting, "must be at most 365 days")
        })
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(1),
            relay: Duration::from_millis(500),
            exchange: Duration::from_secs(1),
            exchange_idle: Duration::from_secs(8),
            retry: Duration::from_secs(5),
            hold: Duration::from_millis(250),
            away: Duration::from_secs(24 * 60 * 60),
            seal: Duration::from_secs(60),
            scrub: Duration::from_secs(600),
            orphaned: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_never_come_or_come_all_the_time_are_refused() {
        let usual = Timing::default();
        assert_eq!(usual.validate(), Ok(()));
        let fields: [fn(&mut Timing) -> &mut Duration; 10] = [
            |timing| &mut timing.exchange_idle,
            |timing| &mut timing.exchange,
            |timing| &mut timing.retry,
            |timing| &mut timing.seal,
            |timing| &mut timing.scrub,
            |timing| &mut timing.flush,
            |timing| &mut timing.relay,
            |timing| &mut timing.hold,
            |timing| &mut timing.away,
            |timing| &mut timing.orphaned,
        ];
        for (n, field) in fields.into_iter().enumerate() {
            let with = |time| {
                let mut timing = usual;
                *field(&mut timing) = time;
                timing.validate()
            };
            assert!(with(MAX_INTERVAL + Duration::from_nanos(1)).is_err(), "{n}");
            assert!(with(Duration::MAX).is_err(), "{n}");
            let is_repeated = n < 5;
            assert_eq!(with(Duration::ZERO).is_err(), is_repeated, "{n}");
        }
        let mut timing = usual;
        timing.exchange_idle = timing.exchange - Duration::from_millis(1);
        let error = timing.validate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting timing.exchange_idle must not be shorter than timing.exchange"
        );
    }
}
