//! Sealing: contexts do not grow with restarts, and nothing that a member holds is called void.

use crdt_core::{Dot, OrSet, PnCounter, ReplicaId};
use dd_gossip::{Config, Replica};

use crate::support::net::Net;
use crate::support::{incarnation, restarted, write};

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
            beside
                .handle_frame(now, &ours, frame)
                .expect("what is right");
        }
        let answered = beside.poll_transmit(now, &ours);
        if let Some(frame) = &answered {
            net[name]
                .handle_frame(now, &theirs, frame)
                .expect("what is right");
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

#[test]
fn a_node_that_was_removed_and_returns_goes_through_a_full_comparison() {
    let mut net = after_restarts(1..=1);
    // It writes something that nobody else gets, and is away.
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    let now = net.now;
    write::<OrSet<String>>(&mut net["c"], now, "set", |set| {
        set.insert("only at c");
    });
    let image = net.take("c").state();
    // To the others it is no member any more.
    for name in ["a", "b"] {
        let others = NAMES.map(|n| {
            let state = if n == "c" {
                dd_gossip::MemberState::Removed
            } else {
                dd_gossip::MemberState::Up
            };
            dd_gossip::Member::new(n.parse().unwrap(), String::new(), 1, state)
        });
        let now = net.now;
        net[name].set_members(now, &others);
    }
    net.run_millis(200_000);
    let gone = incarnation("c", 1);
    assert!(sealed(&net, "a", gone) && sealed(&net, "b", gone));
    let config: Config = restarted("c", 2, &NAMES);
    net.put(Replica::restore(config, image, net.now));
    net.connect_all();
    net.converge();
    assert!(net["a"].counts().comparisons_sent + net["b"].counts().comparisons_sent > 0);
    assert!(!net["c"].view::<OrSet<String>>(b"set").contains("only at c"));
    assert_eq!(net["c"].view::<OrSet<String>>(b"set").len(), 1);
}
