//! Identities of SWIM.

use foca::Identity;
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// A life of a node. Of two the greater generation is the later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(String, u64)", into = "(String, u64)")]
pub(super) struct SwimId {
    pub(super) node: NodeId,
    pub(super) generation: u64,
}

impl Identity for SwimId {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        let node = self.node.clone();
        let generation = self.generation.checked_add(1)?;
        Some(Self { node, generation })
    }

    fn addr(&self) -> NodeId {
        self.node.clone()
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

impl From<SwimId> for (String, u64) {
    fn from(id: SwimId) -> Self {
        (id.node.as_str().to_owned(), id.generation)
    }
}

impl TryFrom<(String, u64)> for SwimId {
    type Error = crate::NameError;

    fn try_from((node, generation): (String, u64)) -> Result<Self, Self::Error> {
        let node = node.parse()?;
        Ok(Self { node, generation })
    }
}
