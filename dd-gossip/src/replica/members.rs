//! Who the other members are.

use std::collections::BTreeSet;

use super::Replica;
use crate::NodeId;
use crate::membership::Member;
use crate::peer::Peer;
use crate::time::Time;

impl Replica {
    /// From now on these are the members of the cluster; this node always is one. Majorities are counted
    /// over them, and removals are remembered until all of them have them.
    ///
    /// While nodes that don't agree yet on who belongs to the cluster count majorities, two of them need
    /// not have a node in common: a member that joins or goes is one more or one less, and of two such
    /// numbers the majorities still meet; more at once may not. Confirmed writes are then not lost, but a
    /// read at that moment may miss one.
    pub fn set_members(&mut self, now: Time, members: &[Member]) {
        self.note_members(now, members);
        let own = &self.config.node;
        let others = members.iter().filter(|member| member.state.is_member());
        let others = others
            .map(|member| &member.node)
            .filter(|node| *node != own);
        let members: BTreeSet<NodeId> = others.cloned().collect();
        for peer in self.peers.values_mut() {
            peer.member = members.contains(&peer.node);
        }
        self.peers.retain(|_, peer| peer.member || peer.connected);
        for node in members {
            let new = || Peer::new(node.clone(), true, now);
            self.peers.entry(node.clone()).or_insert_with(new);
        }
        self.recover();
        self.ask_holders_again();
        self.schedule_forgetting(now);
    }

    /// The members of the cluster, this one included.
    pub fn nodes(&self) -> usize {
        self.others().count() + 1
    }

    pub(super) fn others(&self) -> impl Iterator<Item = &NodeId> {
        let members = self.peers.values().filter(|peer| peer.member);
        members.map(|peer| &peer.node)
    }
}
