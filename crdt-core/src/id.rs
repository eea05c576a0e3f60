//! Who writes, and which of its writes: replica ids and dots.

use core::fmt;

/// One incarnation of a node: the identity under which dots are minted.
///
/// A node keeps its name across restarts; a process that may have lost state that it sent or
/// acknowledged takes a new `ReplicaId`, so that a dot is never minted twice. The two halves say
/// which node (a hash of its name, or any number of the caller's) and which incarnation of it
/// (a number that grows with every start). Ids are ordered by node, then incarnation.
///
/// ```
/// use crdt_core::ReplicaId;
///
/// let before = ReplicaId::new(7, 1);
/// let after_restart = ReplicaId::new(7, 2);
/// assert!(before < after_restart);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    node: u64,
    incarnation: u64,
}

impl ReplicaId {
    /// Bytes of an encoded id.
    pub const LEN: usize = 16;

    /// An id from its two halves.
    pub const fn new(node: u64, incarnation: u64) -> Self {
        Self { node, incarnation }
    }

    /// The half that names the node.
    pub const fn node(self) -> u64 {
        self.node
    }

    /// The half that names the incarnation.
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// Big-endian bytes, in the same order as the ids.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let both = (u128::from(self.node) << 64) | u128::from(self.incarnation);
        both.to_be_bytes()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self::new((both >> 64) as u64, both as u64)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.node, self.incarnation)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The identity of one event: the `seq`-th update of `replica`, counted from 1.
///
/// The term is from Preguiça et al., *Dotted Version Vectors* (2010).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who made the event.
    pub replica: ReplicaId,
    /// Its number among the maker's events, from 1.
    pub seq: u64,
}

impl Dot {
    /// The `seq`-th event of `replica`.
    pub const fn new(replica: ReplicaId, seq: u64) -> Self {
        Self { replica, seq }
    }

    /// Puts dots in order. Where all are of one replica, as they mostly are, the numbers alone are compared.
    pub fn sort(dots: &mut [Self]) {
        let first = dots.first().map(|dot| dot.replica);
        if dots.iter().all(|dot| Some(dot.replica) == first) {
            dots.sort_unstable_by_key(|dot| dot.seq);
        } else {
            dots.sort_unstable();
        }
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.seq)
    }
}
