//! Times of many calls.

use std::time::Duration;

/// Times of many calls, and what they took together.
pub(super) struct Times {
    sorted: Vec<Duration>,
    all: Duration,
}

impl Times {
    pub(super) fn of(mut times: Vec<Duration>, all: Duration) -> Self {
        times.sort_unstable();
        Self { sorted: times, all }
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Of a hundred times so many are at most this long, in microseconds.
    pub(super) fn micros(&self, percent: f64) -> f64 {
        let at = (self.sorted.len() as f64 * percent / 100.0) as usize;
        let at = at.min(self.sorted.len().saturating_sub(1));
        self.sorted.get(at).map_or(0.0, |t| t.as_secs_f64() * 1e6)
    }

    /// What they took together.
    pub(super) fn span(&self) -> Duration {
        self.all
    }

    pub(super) fn per_second(&self) -> f64 {
        self.sorted.len() as f64 / self.all.as_secs_f64()
    }
}
