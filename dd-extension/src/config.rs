//! Settings of the store.

use std::time::Duration;

use crdt_core::Limits;
use dd_gossip::{ConfigError, MAX_INTERVAL, Timing};

use crate::barrier::MAX_DEADLINE;

/// Settings of the store. [`StoreConfig::default`] is [`lan`](Self::lan).
///
/// Fields may be added, so it is made by one of its functions and then changed, and not written as a literal:
///
/// ```
/// use std::time::Duration;
/// use dd_extension::StoreConfig;
///
/// let mut config = StoreConfig::default();
/// config.deadline = Duration::from_secs(1);
/// config.timing.away = Duration::from_secs(60 * 60);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreConfig {
    /// When things are pushed, compared and tried again.
    pub timing: Timing,
    /// How large values may be.
    pub limits: Limits,
    /// How long [`stop`](crate::DistributedData::stop) may take to hand over what peers lack, 365 days at most.
    /// Default 10 s.
    pub stop_timeout: Duration,
    /// How long barriers wait for other nodes, 30 s at most ([`MAX_DEADLINE`](crate::MAX_DEADLINE)).
    /// Default 3 s.
    pub deadline: Duration,
}

impl StoreConfig {
    /// Nodes in one network: pushed within a millisecond, compared every second.
    pub fn lan() -> Self {
        let stop_timeout = Duration::from_secs(10);
        Self {
            timing: Timing::default(),
            limits: Limits::default(),
            stop_timeout,
            deadline: Duration::from_secs(3),
        }
    }

    /// Processes of one machine, and tests: as `lan`, with shorter waits for what was lost.
    pub fn local() -> Self {
        let mut config = Self::lan();
        config.timing.relay = Duration::from_millis(50);
        config.timing.exchange = Duration::from_millis(200);
        config.timing.exchange_idle = Duration::from_secs(2);
        config.timing.hold = Duration::from_millis(50);
        config
    }

    /// Nodes far apart: pushed every 20 ms, with patience.
    pub fn wan() -> Self {
        let mut config = Self::lan();
        config.timing.flush = Duration::from_millis(20);
        config.timing.relay = Duration::from_secs(2);
        config.timing.exchange = Duration::from_secs(3);
        config.timing.exchange_idle = Duration::from_secs(15);
        config.timing.retry = Duration::from_secs(15);
        config.timing.hold = Duration::from_secs(1);
        config
    }

    /// Checks that the settings make sense; [`start`](crate::DistributedData::start) does so too.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.timing.validate()?;
        let keeps = self.stop_timeout <= MAX_INTERVAL;
        ConfigError::unless(keeps, "stop_timeout", "must be at most 365 days")?;
        let keeps = self.deadline <= MAX_DEADLINE;
        ConfigError::unless(keeps, "deadline", "must be at most 30 s")
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::lan()
    }
}
