//! Situations of several nodes: those of which a cluster in production had one, by their numbers in the list.

use crdt_core::{LwwRegister, OrSet};
use dd_gossip::{Member, MemberState, Replica};

use crate::support::net::Net;
use crate::support::restarted;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn insert(net: &mut Net, name: &str, key: &str, element: &str) {
    net.write::<OrSet<String>>(name, key, |set| {
        set.insert(element);
    });
}

fn has(net: &Net, name: &str, key: &str, element: &str) -> bool {
    net[name]
        .view::<OrSet<String>>(key.as_bytes())
        .contains(element)
}

/// Carries so many frames.
fn carry(net: &mut Net, frames: usize) {
    for _ in 0..frames {
        assert!(net.carry_one().is_some(), "it takes more frames than that");
    }
}

/// One of 20 000 elements, and one of 10 MB.
fn with_large_values(net: &mut Net, name: &str) {
    net.write::<OrSet<String>>(name, "many", |set| {
        for n in 0..20_000 {
            set.insert(format!("element {n}").as_str());
        }
    });
    let large = "x".repeat(10 << 20);
    net.write::<LwwRegister<String>>(name, "large", |register| {
        register.set(&large);
    });
}

/// The length of the large value.
fn large(net: &Net, name: &str) -> Option<usize> {
    let large = net[name].view::<LwwRegister<String>>(b"large").get();
    large.expect("a text").map(|text| text.len())
}

fn assert_large_values(net: &Net, name: &str) {
    assert_eq!(net[name].view::<OrSet<String>>(b"many").len(), 20_000);
    assert_eq!(large(net, name), Some(10 << 20), "{name}");
}

#[test]
fn s22_large_values_reach_a_new_node_and_hold_no_small_ones_up() {
    let mut net = Net::of(&NAMES);
    net.connect("a", "b");
    net.settle();
    with_large_values(&mut net, "a");
    net.run_millis(5_000);
    assert_large_values(&net, "b");
    net.connect("a", "c");
    carry(&mut net, 40);
    assert_eq!(large(&net, "c"), None);
    insert(&mut net, "a", "small", "x");
    carry(&mut net, 8);
    assert!(
        has(&net, "b", "small", "x"),
        "while c is brought up to date"
    );
    net.connect("b", "c");
    net.converge();
    assert_large_values(&net, "c");
    assert!(has(&net, "c", "small", "x"));
}

#[test]
fn s23_whoever_brings_a_new_node_up_to_date_is_killed() {
    let mut net = Net::of(&NAMES);
    net.connect("a", "b");
    net.settle();
    with_large_values(&mut net, "a");
    net.run_millis(5_000);
    net.connect("a", "c");
    carry(&mut net, 40);
    drop(net.take("a"));
    net.connect("b", "c");
    net.converge();
    assert_large_values(&net, "c");
}

#[test]
fn s25_what_the_dead_left_is_cleaned_up_while_a_member_is_away() {
    let names = ["a", "b", "c", "d"];
    let mut net = Net::mesh(&names);
    let now = net.now;
    for name in names {
        net[name].own(now, b"session/").expect("a family");
        net.settle();
        insert(&mut net, name, &format!("session/{name}/web"), name);
        insert(&mut net, name, "shared", name);
        net.run_millis(2_000);
    }
    for other in ["a", "b", "c"] {
        net.disconnect("d", other);
    }
    insert(&mut net, "d", "only at d", "x");
    drop(net.take("c"));
    let tell = |net: &mut Net, d: MemberState| {
        for name in ["a", "b"] {
            let state = |n: &str| match n {
                "c" => MemberState::Down,
                "d" => d,
                _ => MemberState::Up,
            };
            let member = |n: &str| Member::new(n.parse().unwrap(), String::new(), 1, state(n));
            let now = net.now;
            net[name].set_members(now, &names.map(member));
        }
    };
    tell(&mut net, MemberState::Suspect);
    net.run_millis(30_000);
    for name in ["a", "b"] {
        assert!(!has(&net, name, "session/c/web", "c"), "{name}");
        assert!(has(&net, name, "session/d/web", "d"), "it is only away");
        assert!(has(&net, name, "shared", "c"), "it is nobody's");
        assert!(net[name].status().records > 0, "d has not got the removal");
    }
    net.put(Replica::new(restarted("c", 2, &names), net.now));
    tell(&mut net, MemberState::Up);
    net.connect_all();
    net.converge();
    for name in names {
        assert!(has(&net, name, "only at d", "x") && has(&net, name, "session/d/web", "d"));
        assert!(!has(&net, name, "session/c/web", "c"));
    }
}

#[test]
fn s27_five_nodes_split_and_heal() {
    let names = ["a", "b", "c", "d", "e"];
    let mut net = Net::mesh(&names);
    net.run_millis(20_000);
    for one in ["a", "b", "c"] {
        for other in ["d", "e"] {
            net.disconnect(one, other);
        }
    }
    let mut confirmed = Vec::new();
    for n in 0..20 {
        for name in ["a", "c", "d"] {
            let element = format!("{name}{n}");
            insert(&mut net, name, "set", &element);
            let barrier = net[name].begin_confirm(3).expect("few");
            net.run_millis(50);
            let reached = net[name].confirmed_by(barrier).len() >= 3;
            net[name].end_confirm(barrier);
            assert_eq!(reached, name != "d", "a minority confirms nothing");
            confirmed.extend(reached.then_some(element));
        }
        net.write::<OrSet<String>>("e", "set", |set| {
            set.remove("d3");
        });
    }
    net.connect_all();
    net.converge();
    for element in &confirmed {
        assert!(has(&net, "e", "set", element), "{element}");
    }
    assert_eq!(confirmed.len(), 40);
    assert_eq!(net["a"].view::<OrSet<String>>(b"set").len(), 59);
}
