//! Changes of who belongs to the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use dd_gossip::{Member, NodeId};
use tokio::sync::watch;

/// A member that is new or has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// As it was when this was told last; `None` if it was not known.
    pub before: Option<Member>,
    /// As it is; `None` if it is not known any more, which follows long after it has left.
    pub after: Option<Member>,
}

/// The members, and then each change: see [`Cluster::member_changes`](crate::Cluster::member_changes).
///
/// A change is never lost, because none waits in a queue: what is told is what has become of a member since
/// it was told of last. What came and went in between, a suspicion say, is not told; a process that was
/// started anew is, because its generation is another.
#[derive(Debug)]
pub struct MemberChanges {
    now: watch::Receiver<Arc<[Member]>>,
    told: BTreeMap<NodeId, Member>,
}

impl MemberChanges {
    pub(crate) fn new(mut now: watch::Receiver<Arc<[Member]>>) -> Self {
        now.mark_changed();
        Self {
            now,
            told: BTreeMap::new(),
        }
    }

    /// The next change; waits for one. `None` when the cluster's handle and its store are gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<MemberChange> {
        loop {
            if let Some(change) = self.difference() {
                return Some(change);
            }
            self.now.changed().await.ok()?;
        }
    }

    fn difference(&mut self) -> Option<MemberChange> {
        let now = self.now.borrow_and_update().clone();
        let changed = |member: &&Member| self.told.get(&member.node) != Some(member);
        if let Some(member) = now.iter().find(changed) {
            let before = self.told.insert(member.node.clone(), member.clone());
            let after = Some(member.clone());
            return Some(MemberChange { before, after });
        }
        let known = |node: &NodeId| now.iter().any(|member| member.node == *node);
        let gone = self.told.keys().find(|node| !known(node)).cloned()?;
        let before = self.told.remove(&gone);
        let after = None;
        Some(MemberChange { before, after })
    }
}
