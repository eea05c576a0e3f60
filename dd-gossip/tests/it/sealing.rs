//! Sealing: contexts do not grow with restarts, and nothing that a member holds is called void.

use std::collections::BTreeSet;

use crdt_core::{Dot, OrSet, PnCounter, ReplicaId};
use dd_gossip::{Damage, Event, Member, MemberState, Replica};

use crate::support::craft;
use crate::support::net::Net;
use crate::support::{Rng, incarnation, node, restarted, write};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// One in which the `n`-th process of c writes, for each of these.
fn after_restarts(processes: impl Iterator<Item = u64>) -> Net {
    let mut net = Net::mesh(&NAMES);
    for n in processes {
        net.put(Replica::new(restarted("c", n, &NAMES), net.now));
        net.connect_all();
        net.run_millis(3_000);
        let now = net.now;
        let fruit = format!("fruit {n}");
        write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
            set.insert(fruit.as_str());
        });
        write::<PnCounter>(&mut net["c"], now, "hits", |hits| hits.add(1));
        net.run_millis(500);
    }
    net
}

fn sealed(net: &Net, name: &str, of: ReplicaId) -> bool {
    net[name].context().is_sealed(of)
}

#[test]
fn restarts_leave_one_seal_for_a_node() {
    let mut net = after_restarts(1..=20);
    net.run_millis(200_000);
    net.assert_equal();
    let (present, former) = (incarnation("c", 20), incarnation("c", 19));
    for name in NAMES {
        assert!(
            sealed(&net, name, former) && !sealed(&net, name, present),
            "{name}"
        );
        assert_eq!(
            net[name].status().origins,
            (1, 1),
            "{name}: the present process, and one seal"
        );
        assert_eq!(net[name].view::<OrSet<String>>(b"set").len(), 20);
        assert_eq!(net[name].view::<PnCounter>(b"hits").value(), 20);
    }
    // What is live of sealed incarnations can be removed, and a new member gets it.
    let now = net.now;
    write::<OrSet<String>>(&mut net["a"], now, "set", |set| {
        set.remove("fruit 3");
    });
    write::<PnCounter>(&mut net["b"], now, "hits", |hits| {
        hits.reset();
    });
    net.put(Replica::new(restarted("c", 21, &NAMES), net.now));
    net.connect_all();
    net.converge();
    assert_eq!(net["c"].view::<OrSet<String>>(b"set").len(), 19);
    assert_eq!(net["c"].view::<PnCounter>(b"hits").value(), 0);
    let records = NAMES.map(|name| net[name].status().records);
    assert_eq!(
        records,
        [0, 0, 0],
        "of counters of processes that are gone too"
    );
}

#[test]
fn a_process_that_runs_or_a_member_that_is_away_keeps_all_from_being_sealed() {
    let mut net = after_restarts(1..=2);
    net.take("b");
    net.run_millis(600_000);
    assert!(!sealed(&net, "a", incarnation("c", 1)), "b may know more");
    net.put(Replica::new(restarted("b", 2, &NAMES), net.now));
    net.connect_all();
    net.run_millis(200_000);
    assert!(sealed(&net, "a", incarnation("c", 1)));
    assert!(!sealed(&net, "a", incarnation("c", 2)), "it runs");
}

/// Carries frames between a replica of the net and one beside it until neither has any.
fn pump(net: &mut Net, name: &str, beside: &mut Replica) {
    let (now, theirs) = (net.now, beside.node().clone());
    let ours = net[name].node().clone();
    for _ in 0..1_000 {
        let sent = net[name].poll_transmit(now, &theirs);
        if let Some(frame) = &sent {
            let handled = beside.handle_frame(now, &ours, frame);
            assert_eq!(handled, Ok(()));
        }
        let answered = beside.poll_transmit(now, &ours);
        if let Some(frame) = &answered {
            let handled = net[name].handle_frame(now, &theirs, frame);
            assert_eq!(handled, Ok(()));
        }
        if sent.is_none() && answered.is_none() {
            return;
        }
    }
    panic!("they never come to rest");
}

#[test]
fn whoever_is_connected_to_a_process_says_nothing_of_it() {
    let mut net = Net::with(["a", "b"].map(|name| restarted(name, 1, &NAMES)).into());
    net.connect_all();
    let now = net.now;
    let mut first = Replica::new(restarted("c", 1, &NAMES), now);
    let mut second = Replica::new(restarted("c", 2, &NAMES), now);
    let c = first.node().clone();
    write::<PnCounter>(&mut first, now, "hits", |hits| hits.add(1));
    // b still has the connection to the first process of c when a has one to the second.
    for (name, process) in [("b", &mut first), ("a", &mut second)] {
        net[name].handle_connected(now, &c);
        process.handle_connected(now, &name.parse().unwrap());
        pump(&mut net, name, process);
    }
    let run = |net: &mut Net, second: &mut Replica, seconds: usize| {
        for _ in 0..seconds {
            net.run_millis(1_000);
            second.handle_timeout(net.now);
            pump(net, "a", second);
        }
    };
    run(&mut net, &mut second, 300);
    let gone = incarnation("c", 1);
    assert!(net["a"].context().contains(Dot::new(gone, 1)));
    assert_eq!(second.context(), net["a"].context());
    assert!(
        !sealed(&net, "a", gone),
        "what b may still get of it is not known"
    );
    let now = net.now;
    net["b"].handle_disconnected(now, &c);
    run(&mut net, &mut second, 300);
    assert!(sealed(&net, "a", gone) && sealed(&net, "b", gone));
    assert!(second.context().is_sealed(gone));
    assert_eq!(net["b"].view::<PnCounter>(b"hits").value(), 1);
}

/// The second processes of all, which have seen one event of the first of c; and that one.
fn after_one_event() -> (Net, Replica) {
    let mut net = Net::default();
    let mut former = Replica::new(restarted("c", 1, &NAMES), net.now);
    write::<PnCounter>(&mut former, net.now, "hits", |hits| hits.add(1));
    for name in NAMES {
        let config = restarted(name, 2, &NAMES);
        net.put(Replica::restore(config, former.state(), net.now));
    }
    (net, former)
}

/// How often a has got an answer from a node to what it asked before it seals.
fn answers(net: &Net, from: &str) -> usize {
    let frames = net.frames(0, from, "a");
    let kinds = frames.iter().map(|frame| craft::kind(frame));
    kinds.filter(|kind| *kind == craft::SEAL_ANSWER).count()
}

/// Lets time pass until a has asked and got an answer from a node.
fn run_until_answered(net: &mut Net, from: &str) {
    for _ in 0..2_000 {
        if answers(net, from) > 0 {
            return;
        }
        net.run_millis(100);
    }
    panic!("{from} is not asked, or does not answer");
}

/// Connects a replica beside the net with one in it.
fn connect_beside(net: &mut Net, name: &str, beside: &mut Replica) {
    let (now, theirs) = (net.now, beside.node().clone());
    net[name].handle_connected(now, &theirs);
    beside.handle_connected(now, &node(name));
    pump(net, name, beside);
}

fn run_beside(net: &mut Net, name: &str, beside: &mut Replica, seconds: usize) {
    for _ in 0..seconds {
        net.run_millis(1_000);
        beside.handle_timeout(net.now);
        pump(net, name, beside);
    }
}

fn hits(net: &Net) -> [i128; 3] {
    NAMES.map(|name| net[name].view::<PnCounter>(b"hits").value())
}

/// While a asks, c still gets something from a former process of b, which knows more than the present one.
#[test]
fn what_comes_between_the_two_questions_keeps_it_from_being_sealed() {
    let (mut net, mut former) = after_one_event();
    let now = net.now;
    write::<PnCounter>(&mut former, now, "hits", |hits| hits.add(1));
    let mut old = Replica::restore(restarted("b", 1, &NAMES), former.state(), now);
    net.connect("a", "b");
    net.connect("a", "c");
    net.settle();
    net.hold_up("b", "a");
    run_until_answered(&mut net, "c");
    net.hold_up("c", "a");
    connect_beside(&mut net, "c", &mut old);
    run_beside(&mut net, "c", &mut old, 5);
    assert_eq!(hits(&net), [1, 1, 2]);
    net.release("b", "a");
    net.settle();
    assert_eq!(answers(&net, "b"), 2, "all are asked once more");
    let gone = incarnation("c", 1);
    assert!(!sealed(&net, "a", gone), "c has seen more by now");
    net.release("c", "a");
    net.settle();
    assert!(!sealed(&net, "a", gone));
    let now = net.now;
    net["c"].handle_disconnected(now, &node("b"));
    net.connect("b", "c");
    net.run_millis(300_000);
    net.assert_equal();
    assert!(sealed(&net, "a", gone));
    assert_eq!(hits(&net), [2, 2, 2]);
}

/// The process that was taken to be gone is not, and writes on when b has answered.
#[test]
fn what_the_asker_gets_after_the_question_is_not_sealed() {
    let (mut net, mut former) = after_one_event();
    net.connect_all();
    net.hold_up("c", "a");
    run_until_answered(&mut net, "b");
    net.release("c", "a");
    while answers(&net, "c") == 0 {
        assert!(net.carry_one().is_some(), "c does not answer");
    }
    net.hold_up("c", "a");
    net.settle();
    assert_eq!(answers(&net, "b"), 2);
    let now = net.now;
    net.disconnect("b", "c");
    write::<PnCounter>(&mut former, now, "hits", |hits| hits.add(1));
    connect_beside(&mut net, "b", &mut former);
    run_beside(&mut net, "b", &mut former, 5);
    assert_eq!(hits(&net), [2, 2, 1]);
    net.release("c", "a");
    net.settle();
    assert_eq!(answers(&net, "c"), 2);
    let gone = incarnation("c", 1);
    assert!(
        !sealed(&net, "a", gone),
        "it has seen more than it asked about"
    );
    let now = net.now;
    net["b"].handle_disconnected(now, &node("c"));
    net.connect("b", "c");
    net.run_millis(300_000);
    net.assert_equal();
    assert!(sealed(&net, "a", gone));
    assert_eq!(hits(&net), [2, 2, 2]);
}

/// To one some are members no more.
fn removed(net: &mut Net, by: &str, gone: &[&str]) {
    members_of(net, by, &NAMES, gone);
}

fn members_of(net: &mut Net, by: &str, all: &[&str], gone: &[&str]) {
    let member = |n: &&str| {
        let state = match gone.contains(n) {
            true => MemberState::Removed,
            false => MemberState::Up,
        };
        Member::new(node(n), String::new(), 1, state)
    };
    let members: Vec<Member> = all.iter().map(member).collect();
    let now = net.now;
    net[by].set_members(now, &members);
}

/// To the others c is no member any more, and they seal what it was.
fn without_c(net: &mut Net) {
    removed(net, "a", &["c"]);
    removed(net, "b", &["c"]);
    net.run_millis(200_000);
}

#[test]
fn who_has_seen_nothing_of_what_was_sealed_goes_through_a_full_comparison() {
    let mut net = Net::mesh(&NAMES);
    net.connect_all();
    let now = net.now;
    write::<OrSet<String>>(&mut net["a"], now, "set", |set| {
        set.insert("old");
        set.insert("older");
    });
    net.converge();
    // b does not hear of what c removes.
    net.take("b");
    let now = net.now;
    let image = net["a"].state();
    write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
        set.remove("old");
    });
    net.run_millis(1_000);
    net.take("c");
    removed(&mut net, "a", &["b", "c"]);
    net.run_millis(200_000);
    assert!(sealed(&net, "a", incarnation("c", 1)));
    net.put(Replica::restore(restarted("b", 2, &NAMES), image, net.now));
    net.connect_all();
    net.converge();
    assert!(net["a"].counts().comparisons_sent > 0);
    let set = net["b"].view::<OrSet<String>>(b"set");
    assert!(set.contains("older") && !set.contains("old"));
}

/// Two of three are cut off from a with what c did last: it removed a word, and set another. To a neither is a
/// member, and c is sealed.
fn after_a_split() -> Net {
    let mut net = Net::mesh(&NAMES);
    net.connect_all();
    let now = net.now;
    write::<OrSet<String>>(&mut net["a"], now, "set", |set| {
        set.insert("kept");
    });
    write::<PnCounter>(&mut net["c"], now, "hits", |hits| hits.add(1));
    net.converge();
    net.disconnect("a", "b");
    net.disconnect("a", "c");
    let now = net.now;
    write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
        set.remove("kept");
    });
    net.run_millis(1_000);
    assert!(!net["b"].view::<OrSet<String>>(b"set").contains("kept"));
    net.take("c");
    removed(&mut net, "a", &["b", "c"]);
    net.run_millis(200_000);
    assert!(sealed(&net, "a", incarnation("c", 1)));
    net
}

/// Whether a replica has found that its time is over.
fn is_over(net: &mut Net, name: &str) -> bool {
    let mut events = std::iter::from_fn(|| net[name].poll_event());
    events.any(|event| event == Event::Damaged(Damage::Sealed))
}

#[test]
fn who_holds_more_than_was_sealed_is_made_anew() {
    let mut net = after_a_split();
    let now = net.now;
    write::<OrSet<String>>(&mut net["b"], now, "set", |set| {
        set.insert("only at b");
    });
    net.connect("a", "b");
    net.run_millis(10_000);
    assert!(is_over(&mut net, "b") && !is_over(&mut net, "a"));
    // Nothing was taken from it.
    assert!(!net["a"].view::<OrSet<String>>(b"set").contains("only at b"));
    assert_eq!(net["b"].unshared(), 1);
    let reborn = net["b"].reborn(incarnation("b", 2), 7, net.now);
    net.put(reborn);
    net.connect("a", "b");
    net.converge();
    let set = net["b"].view::<OrSet<String>>(b"set");
    assert!(set.contains("kept") && !set.contains("only at b"));
    assert_eq!(net["b"].view::<PnCounter>(b"hits").value(), 1);
}

#[test]
fn a_process_that_was_sealed_while_it_was_away_hears_of_it_and_begins_anew() {
    let mut net = after_restarts(1..=1);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    without_c(&mut net);
    assert!(sealed(&net, "a", incarnation("c", 1)));
    let now = net.now;
    write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
        set.insert("only at c");
    });
    net["c"].own(now, b"session/").unwrap();
    write::<PnCounter>(&mut net["c"], now, "session/c/ann", |hits| hits.add(1));
    net.connect_all();
    net.run_millis(10_000);
    let mut events = std::iter::from_fn(|| net["c"].poll_event());
    assert!(events.any(|event| event == Event::Damaged(Damage::Sealed)));
    assert!(net["c"].unshared() > 0, "what may be lost is told");
    assert_eq!(net["a"].counts().frames_refused, 0);
    // Its clock has been set back since, which does no harm.
    let again = incarnation("c", 1);
    let reborn = net["c"].reborn(again, 7, net.now);
    assert_eq!(reborn.replica_id(), incarnation("c", 2));
    net.put(reborn);
    let now = net.now;
    net["a"].own(now, b"session/").unwrap();
    net.connect_all();
    net.run_millis(10_000);
    write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
        set.insert("later");
    });
    net.converge();
    let set = net["a"].view::<OrSet<String>>(b"set");
    assert!(set.contains("later") && !set.contains("only at c"));
    // The process goes on, and what it owns is there.
    assert_eq!(net["b"].view::<PnCounter>(b"session/c/ann").value(), 1);
}

#[test]
fn a_hello_from_before_a_replica_was_made_anew_may_come_late() {
    let mut net = Net::of(&["a", "b"]);
    net.connect("a", "b");
    let late = net.poll("b", "a").expect("a hello");
    net.deliver("b", "a", &late);
    net.settle();
    let reborn = net["b"].reborn(incarnation("b", 2), 7, net.now);
    net.make_anew(reborn);
    net.settle();
    // Over the same connection, on which frames overtake each other.
    net.deliver("b", "a", &late);
    net.write::<PnCounter>("a", "hits", |hits| hits.add(1));
    net.write::<PnCounter>("b", "hits", |hits| hits.add(1));
    net.converge();
    assert_eq!(net["a"].view::<PnCounter>(b"hits").value(), 2);
}

/// Two sides of a partition remove each other, by somebody's word on each, seal each other's processes, and meet again.
struct Sides {
    net: Net,
    incarnations: u64,
    made_anew: BTreeSet<String>,
}

const SIDES: [&str; 4] = ["a", "b", "c", "d"];

impl Sides {
    fn apart(rng: &mut Rng) -> Self {
        let mut net = Net::mesh(&SIDES);
        for name in SIDES.iter().filter(|_| rng.below(4) > 0) {
            net.write::<OrSet<String>>(name, "set", |set| {
                set.insert(format!("before {name}").as_str());
            });
        }
        net.write::<OrSet<String>>("a", "set", |set| {
            set.insert("before");
        });
        net.converge();
        for (one, other) in [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")] {
            net.disconnect(one, other);
        }
        for name in SIDES.iter().filter(|_| rng.below(2) == 0) {
            net.write::<OrSet<String>>(name, "set", |set| {
                set.insert(format!("apart {name}").as_str());
                set.remove("before a");
            });
        }
        net.run_millis(5_000);
        for (name, gone) in [("a", ["c", "d"]), ("b", ["c", "d"])] {
            members_of(&mut net, name, &SIDES, &gone);
        }
        for (name, gone) in [("c", ["a", "b"]), ("d", ["a", "b"])] {
            members_of(&mut net, name, &SIDES, &gone);
        }
        net.run_millis(rng.below(200_000) as u64);
        let (incarnations, made_anew) = (1, BTreeSet::new());
        Self {
            net,
            incarnations,
            made_anew,
        }
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.net.run_millis(100);
            for name in SIDES {
                if is_over(&mut self.net, name) {
                    self.incarnations += 1;
                    self.made_anew.insert(name.to_owned());
                    let id = incarnation(name, self.incarnations);
                    let nonce = 10 + self.incarnations;
                    let reborn = self.net[name].reborn(id, nonce, self.net.now);
                    self.net.make_anew(reborn);
                    members_of(&mut self.net, name, &SIDES, &[]);
                }
            }
        }
    }
}

#[test]
fn of_two_sides_that_sealed_each_other_one_stays() {
    let mut of_both = 0;
    for seed in 500..800 {
        let mut rng = Rng(seed);
        let mut sides = Sides::apart(&mut rng);
        let before = SIDES.map(|name| words(&sides.net, name));
        let sealed = |of: &str| !sides.net[of].context().seals().is_empty();
        of_both += u64::from(sealed("a") && sealed("c"));
        for name in SIDES {
            members_of(&mut sides.net, name, &SIDES, &[]);
        }
        let mut pairs = vec![("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")];
        while !pairs.is_empty() {
            let (one, other) = pairs.swap_remove(rng.below(pairs.len()));
            sides.net.connect(one, other);
            sides.run([0, 0, 100, 1_000, 20_000][rng.below(5)]);
        }
        sides.run(300_000);
        sides.net.assert_equal();
        let after = words(&sides.net, "a");
        assert!(after.contains("before"), "seed {seed}: {after:?}");
        let anew = &sides.made_anew;
        assert!(
            before[0].is_subset(&after) || before[2].is_subset(&after),
            "seed {seed}: {after:?} of {before:?}, made anew {anew:?}"
        );
    }
    assert!(of_both > 80, "{of_both} of 300");
}

fn words(net: &Net, name: &str) -> BTreeSet<String> {
    let set = net[name].view::<OrSet<String>>(b"set");
    set.iter().map(|word| word.to_string()).collect()
}
