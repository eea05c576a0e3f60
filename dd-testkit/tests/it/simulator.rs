//! The simulator itself: the same on every machine.

use dd_testkit::sim::{Options, run};

/// What differs from one machine to another, or from one run to the next, the order of a hash map say, would
/// change these. So does every change of what is sent: then they are to be replaced.
#[test]
fn the_trace_of_a_seed_is_always_the_same() {
    let traces = [0, 1, 2, 8, 77, 4096].map(|seed| match run(seed, Options::default()) {
        Ok(tally) => format!("{seed}: {:016x}", tally.trace),
        Err(failure) => panic!("{failure}"),
    });
    let expected = [
        "0: 55502de53e59d6f4",
        "1: 029d6da2e33bfef9",
        "2: f51e00f6625fdce3",
        "8: e588b7e4d2e68045",
        "77: 391e1a0f095b9dad",
        "4096: 1a3f501160f7c34c",
    ];
    assert_eq!(traces, expected);
}

#[test]
fn a_hostile_peer_is_refused_and_changes_nothing() {
    let hostile = (0..400)
        .step_by(8)
        .map(|seed| run(seed, Options::default()));
    let (mut frames, mut refused) = (0, 0);
    for outcome in hostile {
        match outcome {
            Ok(tally) => {
                frames += tally.hostile_frames;
                refused += tally.hostile_frames_refused;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(refused > 1000 && frames > refused, "{refused} of {frames}");
}
