//! Names of nodes and clusters.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::Arc;

use crdt_core::ReplicaId;
use siphasher::sip::SipHasher24;

/// Longest name of a node or a cluster, in bytes: a DNS label, because both stand in certificates
/// as `<node>.<cluster>.dd`.
pub const MAX_NAME: usize = 63;

/// Who a node is. It survives restarts, and a certificate binds it; what a restart changes is the
/// incarnation in the node's [`ReplicaId`](crdt_core::ReplicaId).
///
/// A name is 1 to 63 characters of `a-z`, `0-9` and `-`, not beginning or ending with `-`.
///
/// ```
/// use dd_gossip::NodeId;
///
/// let node: NodeId = "eu-west-1".parse().unwrap();
/// assert_eq!(node.as_str(), "eu-west-1");
/// assert!("Not a name".parse::<NodeId>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

/// Which cluster a node belongs to. Same alphabet and length as [`NodeId`]. Nodes of different
/// clusters refuse each other, even under one certificate authority.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(Arc<str>);

/// A name that can't be that of a node or a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} can't name a node or cluster: use 1 to 63 characters of a-z, 0-9 and '-', \
     not beginning or ending with '-'"
)]
pub struct NameError {
    name: String,
}

impl NodeId {
    /// The id under which a process of this node writes. Incarnations of a node are ordered by the
    /// time of their start, in milliseconds since 1970; `random` tells apart those of one
    /// millisecond.
    pub fn incarnation(&self, started: u64, random: u16) -> ReplicaId {
        ReplicaId::new(self.hashed(), (started << 16) | u64::from(random))
    }

    /// The half of a [`ReplicaId`] that names this node.
    pub(crate) fn hashed(&self) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.as_str().as_bytes());
        hasher.finish()
    }
}

macro_rules! name_type {
    ($type:ident) => {
        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let bytes = name.as_bytes();
                let ok = (1..=MAX_NAME).contains(&bytes.len())
                    && bytes.iter().copied().all(label)
                    && bytes.first() != Some(&b'-')
                    && bytes.last() != Some(&b'-');
                if ok {
                    Ok(Self(name.into()))
                } else {
                    let name = name.chars().take(MAX_NAME + 1).collect();
                    Err(NameError { name })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.0)
            }
        }
    };
}

name_type!(NodeId);
name_type!(ClusterId);
