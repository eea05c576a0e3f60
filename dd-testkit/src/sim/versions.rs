//! Two versions together, in some of the runs: some processes are of a later version than this one, as while a
//! cluster is upgraded node by node.
//!
//! What a later version may send to whoever speaks frame version 1 is what that passes over: frames of kinds that
//! it does not know, and messages of the membership service that it does not know; what it may write are values of
//! shapes that others do not know. Those are kept and passed on unharmed: the oracle says what has to be seen, of
//! whatever shape. New kinds of messages inside a session, new flags, more bytes in a known frame, and new kinds
//! of leaves are refused, so no such process sends them.

use std::sync::Arc;

use bytes::Bytes;
use crdt_core::codec::Writer;
use crdt_core::kernel::{Cursor, NodeRef, Value};
use crdt_core::{Crdt, Name};
use dd_gossip::{FRAME_VERSION, UpdateError, membership_frame};

use super::world::World;
use crate::rng::Rng;

/// Frames of this kind and later ones are unknown to frame version 1.
const FIRST_UNKNOWN: u8 = 13;
const KEYS: [&str; 3] = ["k", "l", "later"];
const NAMES: [&str; 3] = ["x", "y", "a name that is not stored inline"];

pub(super) struct Versions {
    rng: Rng,
    /// Whether each node's process is of the later version.
    later: Vec<bool>,
}

impl Versions {
    pub(super) fn new(seed: u64, nodes: usize) -> Self {
        Self {
            rng: Rng::new(seed.rotate_left(16) ^ !0),
            later: vec![false; nodes],
        }
    }
}

/// A type of the later version: leaves of every kind, at any depth.
struct Later;

impl Crdt for Later {
    type View<'a> = Option<NodeRef<'a>>;
    type Edit<'a> = Cursor<'a>;

    fn shape(out: &mut String) {
        out.push_str("later_tree<str,later_leaf<u128>>");
    }

    fn view(node: Option<NodeRef<'_>>) -> Self::View<'_> {
        node
    }

    fn edit(cursor: Cursor<'_>) -> Self::Edit<'_> {
        cursor
    }
}

/// Something at a place up to some levels below.
fn change(mut cursor: Cursor<'_>, levels: usize, rng: &mut Rng) {
    if levels > 0 {
        let name = Name::from(NAMES[rng.below(NAMES.len())]);
        return change(cursor.child(name), levels - 1, rng);
    }
    match rng.below(6) {
        0 => cursor.write(Value::Unit),
        1..=2 => {
            let bytes: Vec<u8> = (0..rng.below(100)).map(|_| rng.next_u64() as u8).collect();
            cursor.write(Value::Bytes(Arc::from(bytes)));
        }
        3..=4 => cursor.count([1, 7, -2][rng.below(3)]),
        _ => drop(cursor.remove()),
    }
}

impl World {
    /// A process starts: of one version or the other.
    pub(super) fn choose_version(&mut self, at: usize) {
        if let Some(Versions { rng, later }) = &mut self.versions {
            later[at] = rng.chance(50);
        }
    }

    /// Now and then a process of the later version does something that the others do not know.
    pub(super) fn do_something_later(&mut self) -> Result<(), String> {
        let Some(Versions { rng, later }) = &mut self.versions else {
            return Ok(());
        };
        let at = rng.below(self.nodes.len());
        if !later[at] || !rng.chance(25) {
            return Ok(());
        }
        if rng.chance(50) {
            self.write_later_value(at)
        } else {
            self.send_later_frame(at);
            Ok(())
        }
    }

    fn write_later_value(&mut self, at: usize) -> Result<(), String> {
        let (now, wall) = (self.now, self.wall(at));
        let (Some(Versions { rng, .. }), Some(replica)) =
            (&mut self.versions, &mut self.nodes[at].replica)
        else {
            return Ok(());
        };
        let before = replica.state();
        let key = KEYS[rng.below(KEYS.len())].as_bytes();
        let levels = rng.below(4);
        replica
            .update::<Later, _, UpdateError>(now, wall, key, |cursor| {
                change(cursor.reborrow(), levels, rng);
                Ok(())
            })
            .map_err(|error| format!("a later value was refused: {error}"))?;
        let made = self.record_made(at, &before)?;
        self.tally.later_values += made.len() as u64;
        self.pump(at, "a later value")
    }

    fn send_later_frame(&mut self, at: usize) {
        let Some(Versions { rng, .. }) = &mut self.versions else {
            return;
        };
        let to = rng.below(self.nodes.len());
        if to == at || !self.network.has_room(at, to) || self.nodes[at].replica.is_none() {
            return;
        }
        let body: Vec<u8> = (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect();
        let frame = if self.members.is_some() && rng.chance(30) {
            // Of a kind that this version's membership does not know.
            membership_frame(&[&[3 + rng.below(253) as u8], body.as_slice()].concat())
        } else {
            let mut w = Writer::new();
            w.byte(FRAME_VERSION);
            w.byte(FIRST_UNKNOWN + rng.below(usize::from(u8::MAX - FIRST_UNKNOWN) + 1) as u8);
            w.bytes(&body);
            Bytes::from(w.finish())
        };
        self.network.send(self.now, at, to, frame, rng);
        self.tally.later_frames += 1;
    }
}
