//! How long to wait before dialling again: exponential, with jitter, so that nodes that lost each
//! other at the same moment don't all come back at the same moment.

use std::time::Duration;

/// The pauses of one dialler.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Pauses from `min` to `max`. The seed should differ between diallers and processes.
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self {
            min,
            max,
            next: min,
            random: seed,
        }
    }

    /// The pause after a failure: 50 to 100 % of a time that doubles with each.
    pub(crate) fn after_failure(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(self.max);
        self.jitter(full)
    }

    /// A pause at which nothing failed; the next failure's pause stays what it was.
    pub(crate) fn shortest(&mut self) -> Duration {
        self.jitter(self.min)
    }

    /// Starts over, after a connection that stood.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    fn jitter(&mut self, full: Duration) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixer.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let half = full / 2;
        half + half.mul_f64((mixed >> 32) as f64 / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_bound_and_start_over() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max, 1);
        for full in [100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            let pause = backoff.after_failure();
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        assert!(backoff.shortest() <= min);
        assert!(backoff.after_failure() > max / 3);
        backoff.reset();
        assert!(backoff.after_failure() <= min);
    }

    #[test]
    fn seeds_give_different_pauses() {
        let pause = |seed| {
            Backoff::new(Duration::from_secs(1), Duration::from_secs(1), seed).after_failure()
        };
        assert_ne!(pause(1), pause(2));
    }
}
