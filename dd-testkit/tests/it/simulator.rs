//! The simulator itself: the same on every machine.

use dd_testkit::sim::{Options, Tally, run};

/// What differs from one machine to another, or from one run to the next, the order of a hash map say, would
/// change these. So does every change of what is sent: then they are to be replaced.
#[test]
fn the_trace_of_a_seed_is_always_the_same() {
    // Of the last three: members come and go in the first, two versions are together in the second, and both is so
    // in the third.
    let traces = [0, 1, 2, 8, 77, 4096, 6, 4, 14].map(|seed| match run(seed, Options::default()) {
        Ok(tally) => format!("{seed}: {:016x}", tally.trace),
        Err(failure) => panic!("{failure}"),
    });
    let expected = [
        "0: 43126fce379efdf4",
        "1: 290415c2ababc578",
        "2: 564ed1a267bcf80e",
        "8: 4432c30e0e606158",
        "77: 343dde88470d2f9e",
        "4096: 9586282d86f35ae0",
        "6: cd6698d59f4b612a",
        "4: 6516dac0f19bb610",
        "14: 2331a4f88b8da025",
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

#[test]
fn values_end_in_every_fourth_run_and_no_other() {
    let (mut runs, mut deadlines, mut ended) = (0, 0, 0);
    for seed in 0..40 {
        let tally = run(seed, Options::default()).expect("no failure");
        assert!(tally.deadlines == 0 || seed % 4 == 3, "seed {seed}");
        runs += u64::from(tally.deadlines > 0);
        deadlines += tally.deadlines;
        ended += tally.ended;
    }
    // Of the ten that may, some stop before they come to it.
    assert!(
        runs >= 8 && deadlines > 20 && ended > 5,
        "{runs} {deadlines} {ended}"
    );
}

#[test]
fn members_come_and_go_in_every_eighth_run_and_own_keys() {
    let mut all = Tally::default();
    for seed in 0..64 {
        let tally = run(seed, Options::default()).expect("no failure");
        assert_eq!(tally.joins > 0, seed % 8 == 6, "seed {seed}");
        all.add(&tally);
    }
    assert!(all.joins > 20 && all.leaves > 2, "{all:?}");
    assert!(all.members_down > 5 && all.removals > 0, "{all:?}");
    assert!(all.owned_writes > 20 && all.owned_deleted > 5, "{all:?}");
    assert!(all.owned_put_right > 5, "{all:?}");
}

/// In some of these a node is removed and sealed while another, which is cut off with it, has seen more of it.
#[test]
fn who_holds_more_than_was_sealed_does_not_keep_what_that_removed() {
    let with_members = (6..1_200).step_by(8);
    let made_anew = with_members.map(|seed| match run(seed, Options::default()) {
        Ok(tally) => tally.made_anew,
        Err(failure) => panic!("{failure}"),
    });
    assert!(made_anew.sum::<u64>() > 3);
}

#[test]
fn shares_are_given_in_many_runs() {
    let mut all = Tally::default();
    for seed in 0..40 {
        all.add(&run(seed, Options::default()).expect("no failure"));
    }
    assert!(all.shares_done > 200, "{all:?}");
}

#[test]
fn two_versions_are_together_in_every_fifth_run() {
    let mut all = Tally::default();
    for seed in 0..80 {
        let tally = run(seed, Options::default()).expect("no failure");
        assert!(tally.later_values == 0 || seed % 5 == 4, "seed {seed}");
        all.add(&tally);
    }
    assert!(all.later_values > 15, "{all:?}");
    assert!(all.later_frames_passed_over > 2, "{all:?}");
}
