//! A cluster whose members are a list.

use super::{Member, MemberState, Membership};
use crate::{NodeId, Time};

/// Members from a list that is the same on all nodes. A node is up while it is connected.
#[derive(Clone, Debug)]
pub struct StaticMembers {
    members: Vec<Member>,
    version: u64,
}

impl StaticMembers {
    /// This node, and the others with their addresses.
    pub fn new(own: NodeId, others: impl IntoIterator<Item = (NodeId, String)>) -> Self {
        let up = Member::new(own.clone(), String::new(), 0, MemberState::Up);
        let others = others.into_iter().filter(|(node, _)| *node != own);
        let down = |(node, address)| Member::new(node, address, 0, MemberState::Down);
        let mut members: Vec<Member> = others.map(down).chain([up]).collect();
        members.sort_by(|a, b| a.node.cmp(&b.node));
        members.dedup_by(|a, b| a.node == b.node);
        Self {
            members,
            version: 0,
        }
    }

    fn set(&mut self, node: &NodeId, state: MemberState) {
        if let Some(member) = self.members.iter_mut().find(|m| m.node == *node) {
            member.state = state;
            self.version += 1;
        }
    }
}

impl Membership for StaticMembers {
    fn members(&self) -> Vec<Member> {
        self.members.clone()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn handle_connected(&mut self, _now: Time, node: &NodeId) {
        self.set(node, MemberState::Up);
    }

    fn handle_disconnected(&mut self, _now: Time, node: &NodeId) {
        self.set(node, MemberState::Down);
    }
}
