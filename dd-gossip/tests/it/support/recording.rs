//! Frames of a run with everything fixed, as one replica received them, to be played again to a
//! replica of the same beginnings.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{Config, NodeId, Replica, Time};

use super::net::{Net, Sent};
use super::{config, node, restarted, write};

pub(crate) struct Recording {
    config: Config,
    state: DotStore,
    peer: NodeId,
    pub(crate) frames: Vec<(Time, Bytes)>,
}

impl Recording {
    /// The receiver as it was before the first frame.
    pub(crate) fn receiver(&self) -> Replica {
        let mut replica = Replica::restore(self.config.clone(), self.state.clone(), Time::ZERO);
        let start = self.frames.first().map_or(Time::ZERO, |(at, _)| *at);
        if self.state.context().is_empty() {
            write::<OrSet<String>>(&mut replica, Time::ZERO, "b", |set| {
                set.insert("of-b");
            });
        }
        replica.handle_connected(start, &self.peer);
        replica
    }

    /// The receiver after the first `n` frames.
    pub(crate) fn played(&self, n: usize) -> Replica {
        let mut replica = self.receiver();
        for (at, frame) in &self.frames[..n] {
            let result = replica.handle_frame(*at, &self.peer, frame);
            assert_eq!(result, Ok(()));
        }
        replica
    }

    /// Hands a frame to a receiver, in the place of the `n`-th.
    pub(crate) fn hand(
        &self,
        to: &mut Replica,
        n: usize,
        frame: &Bytes,
    ) -> Result<(), dd_gossip::FrameError> {
        to.handle_frame(self.frames[n].0, &self.peer, frame)
    }
}

fn received(sent: &[Sent], from: &str, to: &str) -> Vec<(Time, Bytes)> {
    let (from, to) = (node(from), node(to));
    let frames = sent.iter().filter(|s| s.from == from && s.to == to);
    frames.map(|s| (s.at, s.frame.clone())).collect()
}

fn changes(replica: &mut Replica, now: Time) {
    write::<OrSet<String>>(replica, now, "fruit", |set| {
        set.insert("apple");
        set.insert("pear");
    });
    write::<OrSet<String>>(replica, now, "fruit", |set| {
        set.remove("pear");
    });
    write::<PnCounter>(replica, now, "hits", |hits| hits.add(3));
    write::<PnCounter>(replica, now, "hits", |hits| {
        hits.reset();
        hits.add(-4);
    });
    write::<LwwRegister<u64>>(replica, now, "port", |port| port.set(&80));
    write::<LwwRegister<u64>>(replica, now, "port", |port| port.set(&443));
}

/// Asks nothing by itself: an answer can't be played to a replica that has not asked.
fn receiving(config: Config) -> Config {
    Config {
        bootstrap: true,
        ..config
    }
}

/// What b received from a: both wrote before they met, exchange, then a writes more, and both
/// rest.
pub(crate) fn exchange_and_flush() -> Recording {
    let config = receiving(config("b", &["a", "b"]));
    let mut net = Net::with(vec![super::config("a", &["a", "b"]), config.clone()]);
    changes(&mut net["a"], Time::ZERO);
    net.write::<OrSet<String>>("b", "b", |set| {
        set.insert("of-b");
    });
    net.connect_all();
    net.write::<OrSet<String>>("a", "fruit", |set| {
        set.insert("plum");
        set.remove("apple");
    });
    net.run(Duration::from_secs(6));
    net.assert_equal();
    Recording {
        config,
        state: DotStore::new(),
        peer: node("a"),
        frames: received(&net.sent, "a", "b"),
    }
}

/// What c received from a in a full comparison: it had been away, and what was removed meanwhile is
/// forgotten.
pub(crate) fn comparison() -> Recording {
    let mut net = Net::mesh(&["a", "c"]);
    net.write::<OrSet<String>>("a", "all-along", |set| {
        set.insert("here");
    });
    changes(&mut net["a"], Time::ZERO);
    net.run(Duration::from_secs(1));
    let state = net["c"].state();
    net.take("c");
    let away = net["a"].state();
    let now = net.now;
    net.put(Replica::restore(restarted("a", 2, &["b"]), away, now));
    net.put(Replica::new(config("b", &["a"]), now));
    net.connect("a", "b");
    net.settle();
    changes(&mut net["a"], now);
    net.delete("a", "fruit");
    net.write::<OrSet<String>>("a", "fruit", |set| {
        set.insert("fig");
    });
    net.run(Duration::from_secs(20));
    let floor = net["a"].state().floor().clone();
    assert!(!floor.is_empty(), "a forgot what c does not have");
    net.take("b");
    let again = receiving(restarted("c", 2, &["a"]));
    let now = net.now;
    net.put(Replica::restore(again.clone(), state.clone(), now));
    let since = net.sent.len();
    net.connect("a", "c");
    net.settle();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    net.assert_equal();
    Recording {
        config: again,
        state,
        peer: node("a"),
        frames: received(&net.sent[since..], "a", "c"),
    }
}
