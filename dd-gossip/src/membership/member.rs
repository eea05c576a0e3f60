//! A member, as one node sees it.

use std::fmt;

use crate::NodeId;

/// A member, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Where it is reached, in the transport's notation.
    pub address: String,
    /// Which of its lives this is: it grows with every start of the node, and when a node comes back that
    /// was taken for dead.
    pub generation: u64,
    /// How it is.
    pub state: MemberState,
}

impl Member {
    /// A member.
    pub fn new(node: NodeId, address: String, generation: u64, state: MemberState) -> Self {
        Self {
            node,
            address,
            generation,
            state,
        }
    }
}

/// How a member is, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// It answers.
    Up,
    /// It did not answer, and has a few seconds to object.
    Suspect,
    /// It does not answer: it may have crashed, or a network may be cut. It is still a member.
    Down,
    /// It left.
    Left,
    /// It was removed, by somebody's word or because it was down for too long.
    Removed,
}

impl MemberState {
    /// Whether it counts in majorities, and removals are remembered for it.
    pub fn is_member(self) -> bool {
        !matches!(self, Self::Left | Self::Removed)
    }

    /// Whether it is taken to run.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Up | Self::Suspect)
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Left => "left",
            Self::Removed => "removed",
        })
    }
}
