//! Who belongs to the cluster.
//!
//! [`Membership`] is the boundary to whatever knows that. [`Swim`] finds out by itself, over the
//! transport; [`StaticMembers`] is a list; a service of the user's own (an orchestrator, say) implements
//! the trait.
//!
//! Being a member and being reachable are two things. A member that fails stays a member: it counts in
//! majorities, and removals are remembered for it, because it may only be on the other side of a
//! partition. It ends to be one when it leaves, or is removed.

mod member;
mod roster;
mod static_members;
mod swim;
mod swim_id;

use std::fmt::Debug;

use bytes::Bytes;

use crate::{FrameError, NodeId, Time};

pub use member::{Member, MemberState};
pub use roster::{MAX_ADDRESS, MAX_GONE, MAX_MEMBERS};
pub use static_members::StaticMembers;
pub use swim::{MAX_PACKET, Swim, SwimTiming};

/// Knows who belongs to the cluster. Sans-io, as [`Replica`](crate::Replica) is: told what happens, and
/// asked what to do.
///
/// A service that has its own ways to the other nodes leaves out all that has a default here.
pub trait Membership: Send + Debug {
    /// All that is known, this node included, in the order of their names. Those that left or were
    /// removed are told of for a while.
    fn members(&self) -> Vec<Member>;

    /// Changes whenever [`members`](Self::members) does.
    fn version(&self) -> u64;

    /// A node can be sent messages.
    fn handle_connected(&mut self, _now: Time, _node: &NodeId) {}

    /// A node can't be sent messages any more.
    fn handle_disconnected(&mut self, _now: Time, _node: &NodeId) {}

    /// A message of this kind of service from a connected node.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if it can't be accepted. It changed nothing; the connection has to go.
    fn handle_message(
        &mut self,
        _now: Time,
        _from: &NodeId,
        _message: &[u8],
    ) -> Result<(), FrameError> {
        Ok(())
    }

    /// Does what is due by now.
    fn handle_timeout(&mut self, _now: Time) {}

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The next message to send.
    fn poll_message(&mut self) -> Option<Message> {
        None
    }

    /// Whether a node that belongs to the cluster has told who else does.
    fn has_joined(&self) -> bool {
        true
    }

    /// This node has met no cluster, and begins one: from now on it [has joined](Self::has_joined), and tells so to whoever
    /// is connected.
    fn found(&mut self) {}

    /// This node leaves for good: the others are told when the messages that follow are sent.
    fn leave(&mut self, _now: Time) {}

    /// A node does not belong to the cluster any more. Should it run, it comes back as a new member.
    /// Returns whether it was one.
    fn remove(&mut self, _now: Time, _node: &NodeId) -> bool {
        false
    }
}

/// A message of a membership service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who is to get it.
    pub to: NodeId,
    /// At most [`MAX_PACKET`] bytes if it may be lost, and a chunk's, some 64 KiB, otherwise.
    pub bytes: Bytes,
    /// Whether it may be lost, and others overtake it.
    pub lossy: bool,
}
