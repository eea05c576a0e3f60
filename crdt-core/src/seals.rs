//! Seals: incarnations that are gone and of which everything is settled.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;

use crate::ReplicaId;

/// Per node the last incarnation that is sealed, with all before it, and a digest of what was seen of them.
/// Cloning is O(1).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seals(Option<Arc<BTreeMap<u64, Seal>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) incarnation: u64,
    pub(crate) digest: u64,
}

impl Seals {
    /// Bytes of one, encoded.
    pub(crate) const SIZE: usize = 28;

    /// Whether nothing is sealed.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Of how many nodes incarnations are sealed.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |seals| seals.len())
    }

    /// Whether this incarnation is sealed.
    pub fn covers(&self, replica: ReplicaId) -> bool {
        self.digest_of(replica).is_some()
    }

    /// The last sealed incarnation of each node, with the digest, in the order of the nodes.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        let seals = self.0.iter().flat_map(|seals| seals.iter());
        seals.map(|(node, seal)| (ReplicaId::new(*node, seal.incarnation), seal.digest))
    }

    /// The seal that covers an incarnation.
    pub(crate) fn digest_of(&self, replica: ReplicaId) -> Option<(ReplicaId, u64)> {
        let seal = self.0.as_ref()?.get(&replica.node())?;
        let last = ReplicaId::new(replica.node(), seal.incarnation);
        (replica <= last).then_some((last, seal.digest))
    }

    /// Whether this seal is not here with its digest, nor a later one of its node.
    pub(crate) fn lacks(&self, (last, digest): (ReplicaId, u64)) -> bool {
        let own = self.digest_of(last);
        own.is_none_or(|(sealed, own)| sealed == last && own != digest)
    }

    /// The last node's last sealed incarnation.
    pub(crate) fn last(&self) -> Option<ReplicaId> {
        let (node, seal) = self.0.as_ref()?.last_key_value()?;
        Some(ReplicaId::new(*node, seal.incarnation))
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|(last, _)| other.covers(last))
    }

    /// Adds one; returns whether it says more. Of two with different digests, a fault, all keep the greater.
    pub(crate) fn insert(&mut self, node: u64, seal: Seal) -> bool {
        let rank = |seal: &Seal| (seal.incarnation, seal.digest);
        let old = self.0.as_ref().and_then(|seals| seals.get(&node));
        if old.is_some_and(|old| rank(old) >= rank(&seal)) {
            return false;
        }
        Arc::make_mut(self.0.get_or_insert_default()).insert(node, seal);
        true
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(last, _)| last))
            .finish()
    }
}
