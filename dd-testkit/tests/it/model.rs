//! The models hold, and fail as soon as any of their rules is left out.

use dd_testkit::model::{Features, Forget, Options, Rule, campaign, store_protocol};

/// Crashes and lost nodes, as in every setting here.
const FAULTS: Features = Features {
    crash: true,
    kill: true,
    ..Features::NONE
};
const COUNTERS: Features = Features {
    counters: true,
    ..FAULTS
};
const LAZY: Features = Features {
    lazy: true,
    ..FAULTS
};
const RENEWED: Features = Features {
    renewed: true,
    ..FAULTS
};
const DRAFTS: Features = Features {
    drafts: true,
    ..FAULTS
};
const TRANSACTIONS: Features = Features {
    transactions: true,
    ..FAULTS
};

/// Runs a setting, forgetting at any time and once everybody has the event.
fn assert_holds(features: Features, seeds: u64) {
    for forget in [Forget::Any, Forget::Stable] {
        let options = Options {
            features,
            forget,
            stop: Some(1),
            ..Options::default()
        };
        let report = campaign(0..seeds, &options);
        assert_eq!(report.failures, [], "forgetting: {forget:?}");
        let tally = report.tally;
        assert!(
            tally.takeovers > seeds && tally.full_committed > seeds / 10,
            "{tally:?}"
        );
        assert!(
            tally.cut > seeds / 2 && tally.crashes > seeds / 2,
            "{tally:?}"
        );
        assert!(tally.killed > seeds / 2, "{tally:?}");
        assert_eq!(tally.renewed > seeds / 2, features.renewed, "{tally:?}");
        assert_eq!(tally.drafts_shown > seeds / 2, features.drafts, "{tally:?}");
    }
}

#[test]
fn it_holds_with_crashes_and_lost_nodes() {
    assert_holds(FAULTS, 2000);
}

#[test]
fn it_holds_with_counters() {
    assert_holds(COUNTERS, 2000);
}

#[test]
fn it_holds_when_pieces_are_made_while_they_are_sent() {
    assert_holds(LAZY, 2000);
}

#[test]
fn it_holds_when_syncs_go_on_from_what_there_is_by_then() {
    assert_holds(RENEWED, 2000);
}

#[test]
fn it_holds_when_shares_of_several_are_put_together_in_drafts() {
    assert_holds(DRAFTS, 2000);
}

#[test]
fn it_holds_with_transactions() {
    assert_holds(TRANSACTIONS, 1500);
}

#[test]
fn it_holds_with_everything() {
    assert_holds(Features::ALL, 1500);
}

#[test]
fn it_holds_when_nothing_is_forgotten() {
    let options = Options {
        forget: Forget::None,
        features: Features::ALL,
        ..Options::default()
    };
    let report = campaign(0..1000, &options);
    assert_eq!(report.failures, []);
    assert_eq!(report.tally.full, 0);
}

/// With sealed incarnations every record goes in the end; without, some never can.
#[test]
fn forgetting_completes_once_the_incarnations_that_are_gone_are_sealed() {
    let sealed = Options {
        features: LAZY,
        live: true,
        seal: true,
        ..Options::default()
    };
    assert_eq!(campaign(0..2000, &sealed).failures, []);
    let unsealed = Options {
        seal: false,
        stop: Some(1),
        ..sealed
    };
    assert_eq!(campaign(0..200, &unsealed).failures.len(), 1);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let options = Options {
        features: Features::ALL,
        broken: Some(Rule::Lost),
        ..Options::default()
    };
    let [first, second] = [(); 2].map(|()| campaign(0..50, &options));
    assert!(!first.failures.is_empty());
    assert_eq!(
        (first.failures, first.tally),
        (second.failures, second.tally)
    );
}

#[test]
fn every_rule_is_needed() {
    for rule in Rule::ALL {
        let (options, seeds) = Options::that_need(rule);
        let report = campaign(seeds.clone(), &options);
        assert_eq!(
            report.failures.len(),
            1,
            "{rule:?} is not missed in {seeds:?}"
        );
        let whole = Options {
            broken: None,
            ..options
        };
        assert_eq!(campaign(seeds, &whole).failures, [], "with {rule:?}");
    }
}

#[test]
fn the_small_model_holds() {
    for forget_any in [true, false] {
        let options = store_protocol::Options {
            forget_any,
            ..Default::default()
        };
        assert_eq!(store_protocol::campaign(0..5000, &options).failures, []);
    }
}

#[test]
fn every_rule_of_the_small_model_is_needed() {
    for rule in store_protocol::Rule::ALL {
        let options = store_protocol::Options {
            forget_any: true,
            broken: Some(rule),
            stop: Some(1),
        };
        let report = store_protocol::campaign(0..2500, &options);
        assert_eq!(report.failures.len(), 1, "{rule:?} is not missed");
    }
}
