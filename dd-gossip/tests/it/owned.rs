//! Owned keys of processes that begin with a state, or are made anew.

use crdt_core::{LwwRegister, PnCounter};
use dd_gossip::Replica;

use crate::support::net::Net;
use crate::support::{incarnation, restarted, write};

const NAMES: [&str; 2] = ["a", "b"];
const KEY: &str = "session/a/ann";

/// `a` owns a key, and both have it.
fn owning() -> Net {
    let mut net = Net::mesh(&NAMES);
    let now = net.now;
    net["a"].own(now, b"session/").expect("a proper family");
    write::<PnCounter>(&mut net["a"], now, KEY, |hits| hits.add(1));
    net.settle();
    net
}

#[test]
fn a_process_that_begins_with_a_former_ones_state_owns_nothing_of_it() {
    let mut net = owning();
    let image = net.take("a").state();
    let now = net.now;
    net.put(Replica::restore(restarted("a", 2, &NAMES), image, now));
    assert!(net["a"].keys(KEY.as_bytes(), None, 1).is_empty());
    write::<LwwRegister<u32>>(&mut net["a"], now, KEY, |register| register.set(&7));
    net.connect_all();
    net.converge();
    for name in NAMES {
        assert_eq!(
            net[name].shapes(KEY.as_bytes()).len(),
            1,
            "what the former process counted is gone at {name}"
        );
    }
}

#[test]
fn what_is_written_to_an_own_key_before_a_replica_made_anew_has_caught_up_is_not_all_of_it() {
    let mut net = owning();
    let now = net.now;
    let reborn = net["a"].reborn(incarnation("a", 2), 7, now);
    net.put(reborn);
    write::<LwwRegister<u32>>(&mut net["a"], now, KEY, |register| register.set(&7));
    net.connect_all();
    net.converge();
    for name in NAMES {
        let hits = net[name].view::<PnCounter>(KEY.as_bytes()).value();
        let register = net[name].view::<LwwRegister<u32>>(KEY.as_bytes());
        assert_eq!((hits, register.get()), (1, Ok(Some(7))), "at {name}");
    }
}
