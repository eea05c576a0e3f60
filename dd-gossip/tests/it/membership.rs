//! Who belongs to the cluster, by SWIM and the roster, in virtual time.

use std::time::Duration;

use dd_gossip::{
    FrameError, Member, MemberState, Membership, NodeId, StaticMembers, Swim, SwimTiming, Time,
};
use dd_testkit::members::Members;

const SECOND: Duration = Duration::from_secs(1);

fn states(members: &Members, at: usize) -> Vec<MemberState> {
    members.members(at).iter().map(|m| m.state).collect()
}

/// A cluster in which each node has joined through the first.
fn cluster(count: usize, loss: usize, seed: u64) -> Members {
    let mut members = Members::new(count, SwimTiming::default(), seed);
    members.loss = loss;
    members.start(0, true);
    for at in 1..count {
        members.start(at, false);
        members.connect(at, 0);
    }
    for _ in 0..3 {
        members.pass(SECOND / 10);
        members.connect_known();
    }
    members.pass(3 * SECOND);
    members
}

#[test]
fn whoever_meets_one_member_learns_of_all() {
    let mut members = Members::new(4, SwimTiming::default(), 1);
    members.start(0, true);
    members.start(1, false);
    assert!(!members.with(1, |swim, _| swim.has_joined()).unwrap());
    members.pass(60 * SECOND);
    assert!(
        !members.with(1, |swim, _| swim.has_joined()).unwrap(),
        "nobody answered"
    );
    assert_eq!(states(&members, 1), [MemberState::Up], "itself alone");

    let members = cluster(4, 0, 1);
    for at in 0..4 {
        assert_eq!(states(&members, at), [MemberState::Up; 4], "at {at}");
    }
    let addresses: Vec<String> = members.members(3).into_iter().map(|m| m.address).collect();
    assert_eq!(
        addresses,
        ["host0:7400", "host1:7400", "host2:7400", "host3:7400"]
    );
}

#[test]
fn newcomers_that_meet_have_joined_nothing() {
    let mut members = Members::new(3, SwimTiming::default(), 1);
    let joined = |members: &mut Members| {
        [0, 1, 2].map(|at| members.with(at, |swim, _| swim.has_joined()) == Some(true))
    };
    members.start(1, false);
    members.start(2, false);
    members.connect(1, 2);
    members.pass(60 * SECOND);
    assert_eq!(
        states(&members, 1),
        [MemberState::Up; 2],
        "they see each other"
    );
    assert_eq!(joined(&mut members), [false; 3]);
    // One meets the cluster, and the other has joined it with that.
    members.start(0, true);
    members.connect(0, 2);
    members.pass(SECOND);
    assert_eq!(joined(&mut members), [true; 3]);
    assert_eq!(members.members(1).len(), 3);
    // So has one that begins it.
    let mut members = Members::new(3, SwimTiming::default(), 1);
    members.start(1, false);
    members.start(2, false);
    members.connect(1, 2);
    members.with(1, |swim, _| swim.found());
    members.pass(SECOND);
    assert_eq!(joined(&mut members), [false, true, true]);
}

#[test]
fn a_process_that_goes_on_knows_its_members() {
    let members = cluster(3, 0, 8);
    let known = members.members(0);
    let (timing, address) = (SwimTiming::default(), "host0:7400".to_owned());
    let again = Swim::new(Members::name(0), address, 77, false, timing, 1).resume(&known);
    assert!(again.has_joined());
    let states: Vec<MemberState> = again.members().iter().map(|member| member.state).collect();
    use MemberState::{Down, Up};
    assert_eq!(
        states,
        [Up, Down, Down],
        "they count, and have not answered"
    );
    let others = |of: &[Member]| -> Vec<(NodeId, String)> {
        let others = of.iter().skip(1);
        others
            .map(|of| (of.node.clone(), of.address.clone()))
            .collect()
    };
    assert_eq!(others(&again.members()), others(&known));
    // Who left before is not among them again.
    let gone = [Member::new(
        Members::name(1),
        String::new(),
        1,
        MemberState::Left,
    )];
    let address = "host0:7400".to_owned();
    let again = Swim::new(Members::name(0), address, 77, false, timing, 1).resume(&gone);
    assert_eq!(again.members()[1].state, MemberState::Left);
}

#[test]
fn a_node_that_fails_is_down_and_stays_a_member_until_it_returns() {
    let mut members = cluster(5, 0, 2);
    let before = members.members(0)[4].generation;
    members.kill(4);
    members.pass(15 * SECOND);
    for at in 0..4 {
        assert_eq!(members.state(at, 4), Some(MemberState::Down), "at {at}");
        assert!(members.state(at, 4).unwrap().is_member());
        assert!((0..4).all(|of| members.state(at, of) == Some(MemberState::Up)));
    }
    members.start(4, false);
    members.connect(4, 2);
    for _ in 0..3 {
        members.pass(SECOND);
        members.connect_known();
    }
    for at in 0..5 {
        assert_eq!(states(&members, at), [MemberState::Up; 5], "at {at}");
    }
    assert!(members.members(0)[4].generation > before);
}

#[test]
fn a_node_that_leaves_is_gone_at_once_everywhere() {
    let mut members = cluster(4, 30, 3);
    members.with(3, |swim, now| swim.leave(now));
    members.pass(SECOND / 10);
    members.kill(3);
    members.pass(20 * SECOND);
    for at in 0..3 {
        assert_eq!(members.state(at, 3), Some(MemberState::Left), "at {at}");
        let ever_down = members.changes.iter().any(|(_, by, of, state)| {
            *by == at && *of == Members::name(3) && *state == MemberState::Down
        });
        assert!(!ever_down, "at {at}");
    }
    // It may come back.
    members.start(3, false);
    members.connect(3, 1);
    for _ in 0..3 {
        members.pass(SECOND);
        members.connect_known();
    }
    assert!((0..4).all(|at| states(&members, at) == [MemberState::Up; 4]));
}

#[test]
fn sides_of_a_partition_take_each_other_for_down_and_find_each_other_again() {
    let mut members = cluster(5, 0, 4);
    let cut = |members: &mut Members, cut: bool| {
        for a in 0..2 {
            for b in 2..5 {
                if cut {
                    members.disconnect(a, b);
                } else {
                    members.connect(a, b);
                }
            }
        }
    };
    cut(&mut members, true);
    members.pass(30 * SECOND);
    use MemberState::{Down, Up};
    assert_eq!(states(&members, 0), [Up, Up, Down, Down, Down]);
    assert_eq!(states(&members, 4), [Down, Down, Up, Up, Up]);
    cut(&mut members, false);
    members.pass(15 * SECOND);
    for at in 0..5 {
        assert_eq!(states(&members, at), [Up; 5], "at {at}");
    }
}

#[test]
fn two_nodes_find_each_other_again() {
    let mut members = cluster(2, 0, 5);
    members.disconnect(0, 1);
    members.pass(30 * SECOND);
    assert_eq!(states(&members, 0), [MemberState::Up, MemberState::Down]);
    members.connect(0, 1);
    members.pass(5 * SECOND);
    assert_eq!(states(&members, 0), [MemberState::Up; 2]);
    assert_eq!(states(&members, 1), [MemberState::Up; 2]);
}

#[test]
fn whoever_is_removed_and_runs_comes_back_in_a_new_life() {
    let mut members = cluster(3, 0, 6);
    members.kill(2);
    members.pass(15 * SECOND);
    assert!(
        members
            .with(0, |swim, now| swim.remove(now, &Members::name(2)))
            .unwrap()
    );
    assert!(
        !members
            .with(0, |swim, now| swim.remove(now, &Members::name(2)))
            .unwrap()
    );
    members.pass(SECOND);
    assert_eq!(members.state(1, 2), Some(MemberState::Removed));

    let generation = members.members(0)[1].generation;
    assert!(
        members
            .with(0, |swim, now| swim.remove(now, &Members::name(1)))
            .unwrap()
    );
    assert_eq!(members.state(0, 1), Some(MemberState::Removed));
    members.pass(5 * SECOND);
    assert_eq!(
        members.state(0, 1),
        Some(MemberState::Up),
        "it was told, and objects"
    );
    assert!(members.members(0)[1].generation > generation);
    assert!(
        !members
            .with(0, |swim, now| swim.remove(now, &Members::name(0)))
            .unwrap()
    );
}

/// By the roster, which goes over the connection, and not only by SWIM.
#[test]
fn whoever_is_removed_hears_of_it_though_every_packet_is_lost() {
    let mut members = cluster(3, 0, 6);
    let generation = members.members(0)[1].generation;
    members.loss = 100;
    members.with(0, |swim, now| swim.remove(now, &Members::name(1)));
    assert_eq!(members.state(0, 1), Some(MemberState::Removed));
    members.pass(SECOND);
    for at in 0..3 {
        let one = &members.members(at)[1];
        assert!(one.state.is_member(), "at {at}: {:?}", one.state);
        assert!(one.generation > generation);
    }
}

#[test]
fn a_node_that_is_down_for_too_long_is_removed_and_at_last_forgotten() {
    let mut members = cluster(3, 0, 7);
    members.kill(2);
    let day = SwimTiming::default().remove_after;
    members.pass(day - SECOND);
    assert_eq!(members.state(0, 2), Some(MemberState::Down));
    members.pass(60 * SECOND);
    assert_eq!(members.state(0, 2), Some(MemberState::Removed));
    assert_eq!(members.state(1, 2), Some(MemberState::Removed));
    members.pass(day + 60 * SECOND);
    assert_eq!(members.state(0, 2), None);
    assert_eq!(states(&members, 1), [MemberState::Up; 2]);
}

/// Two sides of a partition do not remove each other, however long it lasts.
#[test]
fn only_the_side_with_most_members_removes_who_is_down_for_too_long() {
    let day = SwimTiming::default().remove_after;
    for (count, cut) in [(2, 1), (5, 3), (4, 2)] {
        let mut members = cluster(count, 0, 7);
        for a in 0..cut {
            (cut..count).for_each(|b| members.disconnect(a, b));
        }
        members.pass(day + 60 * SECOND);
        for at in 0..count {
            for other in 0..count {
                let expected = match (at < cut, other < cut) {
                    (true, false) => MemberState::Removed,
                    (false, true) => MemberState::Down,
                    _ => MemberState::Up,
                };
                let state = members.state(at, other);
                assert_eq!(
                    state,
                    Some(expected),
                    "{at} of {other}, {count} cut at {cut}"
                );
            }
        }
        // They come back as others do who were removed.
        for a in 0..cut {
            (cut..count).for_each(|b| members.connect(a, b));
        }
        members.pass(60 * SECOND);
        for at in 0..count {
            assert_eq!(
                states(&members, at),
                vec![MemberState::Up; count],
                "at {at}"
            );
        }
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_a_node_out() {
    let mut members = Members::new(3, SwimTiming::default(), 8);
    members.start_as(0, true, 1_000);
    members.start_as(1, false, 1_000);
    members.start_as(2, false, 1_000);
    for _ in 0..3 {
        members.connect(1, 0);
        members.connect(2, 0);
        members.pass(SECOND);
        members.connect_known();
    }
    members.kill(2);
    members.pass(15 * SECOND);
    members.start_as(2, false, 10);
    members.connect(2, 1);
    members.pass(SECOND);
    members.connect_known();
    members.pass(5 * SECOND);
    for at in 0..3 {
        assert_eq!(states(&members, at), [MemberState::Up; 3], "at {at}");
        assert!(members.members(at)[2].generation > 1_000);
    }
}

#[test]
fn lost_packets_alone_make_nobody_down() {
    let mut members = cluster(8, 20, 9);
    members.pass(300 * SECOND);
    let down = members.changes.iter().filter(|c| c.3 == MemberState::Down);
    assert_eq!(down.count(), 0);
}

#[test]
fn what_a_stranger_to_the_truth_sends_is_refused() {
    let (own, peer): (NodeId, NodeId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let timing = SwimTiming::default();
    let swim = |node: &NodeId| Swim::new(node.clone(), String::new(), 1, true, timing, 1);
    let (mut a, mut c) = (swim(&own), swim(&"c".parse().unwrap()));
    let now = Time::ZERO;
    a.handle_connected(now, &peer);
    a.handle_connected(now, &"c".parse().unwrap());
    c.handle_connected(now, &own);
    // What c sends in the name of b.
    let mut all = Vec::new();
    for second in 0..10 {
        let now = Time::from_start(second * SECOND);
        c.handle_timeout(now);
        a.handle_timeout(now);
        while let Some(message) = c.poll_message() {
            if message.to == own {
                let handled = a.handle_message(now, &"c".parse().unwrap(), &message.bytes);
                handled.unwrap();
                all.push(message);
            }
        }
        while let Some(message) = a.poll_message() {
            if message.to.as_str() == "c" {
                c.handle_message(now, &own, &message.bytes).unwrap();
            }
        }
    }
    let packet = all.iter().find(|message| message.lossy).unwrap();
    let refused = a.handle_message(now, &peer, &packet.bytes);
    assert!(matches!(refused, Err(FrameError::Untrue(_))), "{refused:?}");
    let before = a.members();
    for bad in [
        &[][..],
        &[0],
        &[0, 1, 2, 3],
        &[1],
        &[1, 1],
        &[1, 255, 255, 255, 255, 15],
    ] {
        assert!(a.handle_message(now, &peer, bad).is_err(), "{bad:?}");
    }
    for message in &all {
        for cut in 1..message.bytes.len() {
            // Some beginnings are whole messages; none may panic.
            let _ = a.handle_message(now, &peer, &message.bytes[..cut]);
        }
    }
    assert!(
        a.handle_message(now, &peer, &[9, 9]).is_ok(),
        "of a later version"
    );
    assert_eq!(a.members(), before);
}

#[test]
fn a_list_says_who_is_connected() {
    let (a, b): (NodeId, NodeId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let others = [(b.clone(), "host:1".to_owned()), (a.clone(), String::new())];
    let mut list = StaticMembers::new(a.clone(), others);
    let states = |list: &StaticMembers| -> Vec<MemberState> {
        list.members()
            .iter()
            .map(|member: &Member| member.state)
            .collect()
    };
    assert_eq!(states(&list), [MemberState::Up, MemberState::Down]);
    let version = list.version();
    list.handle_connected(Time::ZERO, &b);
    assert_eq!(states(&list), [MemberState::Up; 2]);
    assert_ne!(list.version(), version);
    list.handle_disconnected(Time::ZERO, &b);
    assert_eq!(states(&list), [MemberState::Up, MemberState::Down]);
}

#[test]
fn two_processes_of_one_name_do_not_outbid_each_other_without_end() {
    // Two of n0, each connected to another node; those two are connected to each other.
    let name = |at: usize| Members::name([0, 1, 2, 0][at]);
    let mut swims: Vec<Swim> = (0..4)
        .map(|at| {
            let timing = SwimTiming::default();
            Swim::new(
                name(at),
                format!("host{at}:7400"),
                at as u64,
                at == 1,
                timing,
                at as u64,
            )
        })
        .collect();
    let pairs = [(0, 1), (1, 2), (2, 3)];
    for (a, b) in pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
        swims[a].handle_connected(Time::ZERO, &name(b));
    }
    let mut sent = 0;
    for tick in 0..1_000 {
        let now = Time::from_start(tick * Duration::from_millis(10));
        let mut arriving = Vec::new();
        for (at, swim) in swims.iter_mut().enumerate() {
            swim.handle_timeout(now);
            while let Some(message) = swim.poll_message() {
                let to = pairs.iter().find_map(|(a, b)| match at {
                    _ if at == *a && message.to == name(*b) => Some(*b),
                    _ if at == *b && message.to == name(*a) => Some(*a),
                    _ => None,
                });
                sent += usize::from(!message.lossy);
                arriving.push((name(at), to.unwrap(), message.bytes));
            }
        }
        for (from, to, bytes) in arriving {
            let _ = swims[to].handle_message(now, &from, &bytes);
        }
    }
    let generation = swims[1].members()[0].generation;
    assert!(generation < 50, "{generation}");
    assert!(sent < 1_000, "{sent}");
}

/// As when a network fails for longer than it takes to be taken for down, and for less than it takes a transport
/// to give its connections up.
#[test]
fn nodes_that_took_each_other_for_down_find_each_other_over_the_connections_that_they_have() {
    for count in 2..=3 {
        let mut members = cluster(count, 0, 9);
        members.loss = 100;
        members.pass(12 * SECOND);
        for at in 0..count {
            let down = states(&members, at).into_iter();
            let down = down.filter(|state| *state == MemberState::Down);
            assert_eq!(down.count(), count - 1, "at {at}");
        }
        members.loss = 0;
        members.pass(12 * SECOND);
        for at in 0..count {
            assert_eq!(states(&members, at), vec![MemberState::Up; count]);
        }
    }
}
