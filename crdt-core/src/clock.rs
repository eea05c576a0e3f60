//! Timestamps of last-writer-wins writes, and the hybrid logical clock that makes them.

use core::fmt;
use core::time::Duration;

/// Bits of a timestamp below the milliseconds.
const COUNTER_BITS: u32 = 16;

/// When a last-writer-wins write was made: milliseconds since 1970 in the upper 48 bits, a counter
/// in the lower 16. It only orders writes that are truly concurrent.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The beginning of time.
    pub const ZERO: Self = Self(0);

    /// A timestamp of these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The first timestamp of a millisecond since 1970. Milliseconds beyond 48 bits (the year
    /// 10889) count as the last one.
    pub const fn from_millis(millis: u64) -> Self {
        const MAX: u64 = u64::MAX >> COUNTER_BITS;
        Self(if millis < MAX { millis } else { MAX } << COUNTER_BITS)
    }

    /// Whole milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The next timestamp; the last one stays what it is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}ms+{}",
            self.millis(),
            self.0 & ((1 << COUNTER_BITS) - 1)
        )
    }
}

/// Where a clock takes the time from: milliseconds since 1970. It may jump in either direction.
///
/// Any closure that gives a number is one.
pub trait TimeSource {
    /// The time now, in milliseconds since 1970.
    fn now_millis(&mut self) -> u64;
}

impl<F: FnMut() -> u64> TimeSource for F {
    fn now_millis(&mut self) -> u64 {
        self()
    }
}

/// A hybrid logical clock (Kulkarni et al., *Logical Physical Clocks*, 2014): readings never go
/// back, whatever its time source does, and come after every timestamp that it was shown, within a
/// bound.
///
/// A timestamp that is ahead of the time source by more than the bound is somebody's fault. It moves
/// this clock to the bound and no further, so that one wrong clock can't drag those of a cluster
/// along for ever; [`observe`](Self::observe) reports it. Writes over what was seen win all the same:
/// a last-writer-wins write is put after what it replaces by comparing with that.
///
/// ```
/// use core::time::Duration;
/// use crdt_core::{HybridClock, Timestamp};
///
/// let mut clock = HybridClock::new(Duration::from_secs(10));
/// let first = clock.read(&mut || 1_000);
/// let second = clock.read(&mut || 900); // the wall clock was set back
/// assert!(second > first);
///
/// // A timestamp of another node, three seconds ahead: within the bound.
/// let theirs = Timestamp::from_millis(4_000);
/// assert_eq!(clock.observe(theirs, &mut || 1_000), Ok(()));
/// assert!(clock.read(&mut || 1_001) > theirs);
///
/// // A year ahead: reported, and the clock goes to 11 s, not to next year.
/// let wrong = Timestamp::from_millis(365 * 24 * 3_600_000);
/// assert!(clock.observe(wrong, &mut || 1_001).is_err());
/// assert!(clock.read(&mut || 1_002) < Timestamp::from_millis(11_002));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HybridClock {
    last: Timestamp,
    max_drift: Duration,
}

/// A timestamp that is further ahead of the time source than the clock's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a timestamp {ahead:?} ahead of this clock: look at the clock of the node that made it, and at this one"
)]
pub struct Ahead {
    /// How far it is ahead.
    pub ahead: Duration,
}

impl HybridClock {
    /// The bound of [`default`](Self::default): 10 s.
    pub const DEFAULT_MAX_DRIFT: Duration = Duration::from_secs(10);

    /// A clock that timestamps of others move by at most `max_drift` ahead of its time source.
    pub const fn new(max_drift: Duration) -> Self {
        Self {
            last: Timestamp::ZERO,
            max_drift,
        }
    }

    /// A reading, greater than every one before it and than every timestamp that was observed
    /// within the bound.
    pub fn read(&mut self, source: &mut impl TimeSource) -> Timestamp {
        self.last = Timestamp::from_millis(source.now_millis()).max(self.last.next());
        self.last
    }

    /// Takes note of a timestamp that another clock made.
    ///
    /// # Errors
    ///
    /// [`Ahead`] if it is ahead of the time source by more than the bound. The clock was moved to the
    /// bound then.
    pub fn observe(&mut self, seen: Timestamp, source: &mut impl TimeSource) -> Result<(), Ahead> {
        let now = source.now_millis();
        let bound = u64::try_from(self.max_drift.as_millis()).unwrap_or(u64::MAX);
        let latest = Timestamp::from_millis(now.saturating_add(bound));
        self.last = self.last.max(seen.min(latest));
        if seen <= latest {
            return Ok(());
        }
        let ahead = Duration::from_millis(seen.millis().saturating_sub(now));
        Err(Ahead { ahead })
    }
}

impl Default for HybridClock {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_DRIFT)
    }
}
