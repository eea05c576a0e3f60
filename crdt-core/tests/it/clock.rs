//! The hybrid logical clock, over time sources that jump.

use std::time::Duration;

use crdt_core::{Ahead, HybridClock, Timestamp};
use proptest::prelude::*;

use crate::support::property;

#[test]
fn readings_ascend_whatever_the_time_source_does() {
    property(200, prop::collection::vec(0..5_000u64, 1..100), |times| {
        let mut clock = HybridClock::default();
        let mut last = Timestamp::ZERO;
        for now in times {
            let reading = clock.read(&mut || now);
            prop_assert!(reading > last);
            prop_assert!(reading.millis() >= now);
            last = reading;
        }
        Ok(())
    });
}

#[test]
fn readings_come_after_what_was_observed_within_the_bound() {
    let steps = prop::collection::vec((0..50_000u64, 0..50_000u64), 1..60);
    property(200, (0..20_000u64, steps), |(bound, steps)| {
        let mut clock = HybridClock::new(Duration::from_millis(bound));
        let mut furthest = 0;
        for (now, seen) in steps {
            let seen = Timestamp::from_millis(seen);
            furthest = furthest.max(now + bound);
            let observed = clock.observe(seen, &mut || now);
            let reading = clock.read(&mut || now);
            if seen.millis() <= now + bound {
                prop_assert_eq!(observed, Ok(()));
                prop_assert!(reading > seen);
            } else {
                let ahead = Duration::from_millis(seen.millis() - now);
                prop_assert_eq!(observed, Err(Ahead { ahead }));
            }
            // No timestamp moves it beyond the bound; the counter below the millisecond may run on.
            prop_assert!(reading.millis() <= furthest);
        }
        Ok(())
    });
}

#[test]
fn the_end_of_time_is_not_passed() {
    let mut clock = HybridClock::new(Duration::MAX);
    let end = Timestamp::from_bits(u64::MAX);
    assert!(
        clock.observe(end, &mut || u64::MAX).is_err(),
        "later than any wall clock can be"
    );
    let reading = clock.read(&mut || u64::MAX);
    assert!(clock.read(&mut || u64::MAX) >= reading);
}

#[test]
fn what_is_ahead_is_told_in_words() {
    let mut clock = HybridClock::new(Duration::from_secs(1));
    let error = clock
        .observe(Timestamp::from_millis(90_000), &mut || 0)
        .unwrap_err();
    assert!(error.to_string().contains("90s ahead"), "{error}");
}

#[test]
fn timestamps_show_their_milliseconds_and_counter() {
    let stamp = Timestamp::from_millis(5).next().next();
    assert_eq!(format!("{stamp:?}"), "5ms+2");
}
