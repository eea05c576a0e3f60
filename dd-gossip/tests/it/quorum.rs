//! Barriers: whether other nodes have what was written here, and whether what they have is here.

use std::collections::BTreeSet;

use crdt_core::OrSet;
use dd_gossip::{Config, Consistency, MAX_BARRIERS, NodeId, Replica, Time, TooManyBarriers};

use crate::support::net::Net;
use crate::support::{config, craft, restarted};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn insert(net: &mut Net, name: &str, element: &str) {
    net.write::<OrSet<String>>(name, "set", |set| {
        set.insert(element);
    });
}

fn elements(net: &Net, name: &str) -> Vec<String> {
    net[name].view::<OrSet<String>>(b"set").iter().collect()
}

/// The names of the nodes that a barrier counts.
fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| node.as_str()).collect()
}

/// Who has what a node wrote, as far as it knows.
fn confirmed(net: &mut Net, name: &str) -> String {
    let barrier = net[name].begin_confirm(2).expect("few");
    let by = names(&net[name].confirmed_by(barrier));
    net[name].end_confirm(barrier);
    by
}

fn votes(net: &Net) -> String {
    let voting = NAMES.iter().filter(|name| net[**name].votes());
    voting.copied().collect()
}

#[test]
fn levels_are_numbers_of_nodes() {
    let least = |least| Consistency::Majority { plus: 0, least };
    let plus = |plus| Consistency::Majority { plus, least: 0 };
    let at = |level: Consistency| [1, 2, 3, 4, 5].map(|nodes| level.needed(nodes));
    assert_eq!(at(Consistency::Local), [1, 1, 1, 1, 1]);
    assert_eq!(at(Consistency::majority()), [1, 2, 2, 3, 3]);
    assert_eq!(at(plus(1)), [1, 2, 3, 4, 4]);
    assert_eq!(at(least(3)), [1, 2, 3, 3, 3]);
    assert_eq!(at(plus(usize::MAX)), [1, 2, 3, 4, 5]);
    assert_eq!(at(Consistency::All), [1, 2, 3, 4, 5]);
    let four = Consistency::Nodes(4.try_into().expect("not zero"));
    assert_eq!(
        at(four),
        [4, 4, 4, 4, 4],
        "more than there are is never reached"
    );
}

#[test]
fn a_write_is_confirmed_by_the_nodes_that_said_they_have_it() {
    let mut net = Net::mesh(&NAMES);
    net.hold_up("a", "c");
    net.hold_up("c", "b");
    insert(&mut net, "a", "x");
    assert_eq!(confirmed(&mut net, "a"), "a", "nobody was told yet");
    net.settle();
    assert_eq!(confirmed(&mut net, "a"), "ab");
    net.release("a", "c");
    net.settle();
    assert_eq!(confirmed(&mut net, "a"), "abc");

    // What a process confirmed does not count for the next one of its node.
    net.put(Replica::new(restarted("b", 2, &NAMES), net.now));
    assert_eq!(confirmed(&mut net, "a"), "ac");
    net.connect_all();
    net.release("c", "b");
    net.settle();
    assert_eq!(confirmed(&mut net, "a"), "abc");
}

#[test]
fn a_write_that_is_waited_for_goes_when_the_one_before_is_acknowledged() {
    let mut net = Net::mesh(&NAMES);
    insert(&mut net, "a", "x");
    net.settle();
    insert(&mut net, "a", "y");
    net.settle();
    assert_eq!(
        elements(&net, "b").concat(),
        "x",
        "it is collected with what else comes"
    );
    let barrier = net["a"].begin_confirm(2).expect("the first");
    net.settle();
    assert_eq!(elements(&net, "b").concat(), "xy");
    assert!(net["a"].confirmed_by(barrier).len() >= 2);
    // While a push is under way the next one waits for its acknowledgement, and for nothing else.
    net.hold_up("b", "a");
    insert(&mut net, "a", "z");
    let second = net["a"].begin_confirm(2).expect("the second");
    net.settle();
    insert(&mut net, "a", "zz");
    let third = net["a"].begin_confirm(2).expect("the third");
    net.settle();
    assert_eq!(elements(&net, "b").concat(), "xyz");
    net.release("b", "a");
    net.settle();
    assert_eq!(elements(&net, "b").concat(), "xyzzz");
    for barrier in [second, third] {
        assert!(net["a"].confirmed_by(barrier).len() >= 2);
    }
}

/// Of five nodes one acknowledges, is restarted and votes before another acknowledges: the two never had it
/// at one time.
#[test]
fn acknowledgements_of_processes_that_did_not_run_at_once_do_not_add_up() {
    const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];
    let mut net = Net::mesh(&FIVE);
    for other in ["c", "d", "e"] {
        net.hold_up("a", other);
    }
    insert(&mut net, "a", "x");
    let barrier = net["a"].begin_confirm(3).expect("the first");
    net.settle();
    assert_eq!(names(&net["a"].confirmed_by(barrier)), "ab");

    // It hears of the restart, and of nothing else, only later.
    net.hold_up("b", "a");
    net.hold_up("a", "b");
    net.release("a", "c");
    net.settle();
    assert_eq!(
        names(&net["a"].confirmed_by(barrier)),
        "ac",
        "b was asked once more"
    );
    net.put(Replica::new(restarted("b", 2, &FIVE), net.now));
    assert_eq!(names(&net["a"].confirmed_by(barrier)), "ac");

    net.release("a", "d");
    net.settle();
    assert_eq!(names(&net["a"].confirmed_by(barrier)), "acd");
    net["a"].end_confirm(barrier);
    assert!(net["a"].confirmed_by(barrier).is_empty(), "it has ended");
}

#[test]
fn nodes_that_begin_together_vote_when_they_have_heard_of_all() {
    let mut net = Net::of(&NAMES);
    net.connect("a", "b");
    net.run_millis(20_000);
    assert_eq!(
        votes(&net),
        "",
        "c may have something that both had confirmed"
    );
    net.connect("c", "a");
    net.run_millis(20_000);
    assert_eq!(votes(&net), "a", "b and c have not heard of each other");
    net.connect("c", "b");
    net.run_millis(20_000);
    assert_eq!(votes(&net), "abc");
}

#[test]
fn who_is_alone_or_begins_a_cluster_votes_at_once() {
    let now = Time::ZERO;
    assert!(Replica::new(config("a", &["a"]), now).votes());
    let founding = Config {
        bootstrap: true,
        ..config("a", &NAMES)
    };
    assert!(Replica::new(founding, now).votes());
    assert!(!Replica::new(config("a", &NAMES), now).votes());
}

/// The counterexample behind the rule: A and B have confirmed, B comes back with nothing, and B and C are
/// asked.
#[test]
fn s26_a_read_of_a_majority_has_what_a_majority_confirmed_before_one_restarted() {
    let mut net = Net::mesh(&NAMES);
    assert_eq!(votes(&net), "abc");
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    insert(&mut net, "a", "x");
    net.settle();
    assert_eq!(confirmed(&mut net, "a"), "ab");
    net.disconnect("a", "b");
    net.put(Replica::new(restarted("b", 2, &NAMES), net.now));

    net.connect("b", "c");
    let refresh = net["c"].begin_refresh().expect("the first");
    net.run_millis(60_000);
    assert_eq!(votes(&net), "ac");
    assert_eq!(names(&net["c"].refreshed_by(refresh)), "c", "b has no vote");
    assert_eq!(elements(&net, "c"), [""; 0]);

    net.connect("a", "b");
    net.run_millis(60_000);
    assert_eq!(votes(&net), "abc");
    let heard = net["c"].refreshed_by(refresh);
    assert_eq!(names(&heard), "cb", "b was asked again");
    assert_eq!(elements(&net, "c"), ["x"]);
}

/// What a node had when it was asked has to be here, not only on its way.
#[test]
fn a_read_waits_until_what_others_have_is_here() {
    let mut net = Net::mesh(&["a", "b"]);
    net.hold_up("a", "b");
    insert(&mut net, "a", "x");
    let refresh = net["b"].begin_refresh().expect("the first");
    net.settle();
    assert_eq!(
        names(&net["b"].refreshed_by(refresh)),
        "b",
        "nothing was heard of a"
    );
    net.release("a", "b");
    let mut counted_at = None;
    while net.carry_one().is_some() {
        let heard = names(&net["b"].refreshed_by(refresh));
        if heard == "ba" {
            counted_at.get_or_insert(elements(&net, "b"));
        }
    }
    assert_eq!(counted_at.as_deref(), Some(["x".to_owned()].as_slice()));

    // What came later is not waited for by this one, and is by the next.
    insert(&mut net, "a", "y");
    assert_eq!(names(&net["b"].refreshed_by(refresh)), "ba");
    let next = net["b"].begin_refresh().expect("few");
    net["b"].end_refresh(refresh);
    assert_eq!(names(&net["b"].refreshed_by(refresh)), "b", "it has ended");
    net.run_millis(1_000);
    assert_eq!(names(&net["b"].refreshed_by(next)), "ba");
    assert_eq!(elements(&net, "b"), ["x", "y"]);
}

#[test]
fn a_question_that_was_lost_is_asked_again() {
    let mut net = Net::mesh(&["a", "b"]);
    insert(&mut net, "b", "y");
    net.settle();
    let refresh = net["b"].begin_refresh().expect("the first");
    let lost = net.poll("b", "a").expect("a question");
    assert_eq!(craft::kind(&lost), craft::QUERY);
    net.settle();
    assert_eq!(names(&net["b"].refreshed_by(refresh)), "b");
    net.run_millis(1_000);
    assert_eq!(names(&net["b"].refreshed_by(refresh)), "ba");

    // The lost one arrives after all: its answer is passed over, and says nothing untrue.
    insert(&mut net, "b", "z");
    net.hold_up("b", "a");
    net.deliver("b", "a", &lost);
    net.settle();
    assert_eq!(confirmed(&mut net, "b"), "b", "a has not got z");
}

/// It says what the other had before the read began.
#[test]
fn an_answer_does_not_count_for_reads_that_began_after_the_question() {
    let mut net = Net::mesh(&["a", "b"]);
    let earlier = net["b"].begin_refresh().expect("the first");
    let question = net.poll("b", "a").expect("a question");
    assert_eq!(craft::kind(&question), craft::QUERY);
    net.deliver("b", "a", &question);
    let answer = net.poll("a", "b").expect("an answer");
    assert_eq!(craft::kind(&answer), craft::ANSWER);
    net.hold_up("a", "b");
    insert(&mut net, "a", "x");
    let later = net["b"].begin_refresh().expect("the second");
    net.deliver("a", "b", &answer);
    assert_eq!(names(&net["b"].refreshed_by(earlier)), "ba");
    assert_eq!(
        names(&net["b"].refreshed_by(later)),
        "b",
        "a may have written since"
    );
    net.release("a", "b");
    net.run_millis(1_000);
    assert_eq!(names(&net["b"].refreshed_by(later)), "ba");
    assert_eq!(elements(&net, "b"), ["x"]);
}

#[test]
fn reads_that_wait_are_limited() {
    let mut net = Net::mesh(&["a", "b"]);
    let begun: BTreeSet<_> = (0..MAX_BARRIERS)
        .map(|_| net["a"].begin_refresh().expect("within the limit"))
        .collect();
    assert_eq!(begun.len(), MAX_BARRIERS);
    assert_eq!(net["a"].begin_refresh(), Err(TooManyBarriers));
    let since = net.sent.len();
    net.settle();
    let all = begun
        .iter()
        .all(|refresh| names(&net["a"].refreshed_by(*refresh)) == "ab");
    assert!(
        all,
        "one answer counts for all that were begun before the question"
    );
    assert_eq!(net.sent.len() - since, 2);
    net["a"].end_refresh(*begun.first().expect("many"));
    assert!(net["a"].begin_refresh().is_ok());
}

/// A member that never comes back costs a question now and then, not a stream of them.
#[test]
fn a_process_without_a_vote_is_quiet() {
    let mut net = Net::of(&NAMES);
    net.connect("a", "b");
    net.run_millis(10_000);
    let since = net.sent.len();
    net.run_millis(600_000);
    let frames = net.sent[since..]
        .iter()
        .map(|sent| craft::kind(&sent.frame));
    let asked = frames.filter(|kind| *kind == craft::QUERY).count();
    assert!(
        (100..=150).contains(&asked),
        "{asked} questions in ten minutes, both ways"
    );
}
