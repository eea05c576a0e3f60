//! Timestamps of last-writer-wins writes, and the hybrid logical clock that makes them.

use core::fmt;

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

/// A hybrid logical clock (Kulkarni et al., *Logical Physical Clocks*, 2014): readings never go
/// back, whatever the wall clock does. It has no time source of its own.
///
/// It is not moved by timestamps of others: a write is put after what it replaces by comparing
/// with that, so a far future timestamp can't drag the clocks of a cluster along.
///
/// ```
/// use crdt_core::HybridClock;
///
/// let mut clock = HybridClock::default();
/// let first = clock.read(1_000);
/// let second = clock.read(900); // the wall clock was set back
/// assert!(second > first);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    last: Timestamp,
}

impl HybridClock {
    /// A reading, greater than every one before it, at wall time `millis`.
    pub fn read(&mut self, millis: u64) -> Timestamp {
        self.last = Timestamp::from_millis(millis).max(self.last.next());
        self.last
    }
}
