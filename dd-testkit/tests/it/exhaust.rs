//! Everything that few replicas can come to with few events. `cargo xtask exhaust` goes further.

use dd_testkit::exhaust::{Bounds, exhaust};

fn assert_sound(bounds: Bounds) {
    match exhaust(bounds, |_| {}) {
        Ok(covered) => assert!(covered.complete && covered.at_rest > 0, "{covered:?}"),
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn two_replicas_one_event_and_a_crash() {
    assert_sound(Bounds {
        events: 1,
        cuts: 0,
        ..Bounds::default()
    });
}

#[test]
fn two_replicas_one_event_and_a_cut() {
    assert_sound(Bounds {
        events: 1,
        crashes: 0,
        ..Bounds::default()
    });
}

#[test]
fn two_replicas_two_events_without_faults() {
    assert_sound(Bounds {
        events: 2,
        cuts: 0,
        crashes: 0,
        waits: 0,
        ..Bounds::default()
    });
}

#[test]
fn three_replicas_one_event() {
    assert_sound(Bounds {
        replicas: 3,
        events: 1,
        cuts: 0,
        crashes: 0,
        waits: 0,
        ..Bounds::default()
    });
}
