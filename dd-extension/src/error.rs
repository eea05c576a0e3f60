//! What can go wrong, by operation.

use dd_gossip::{AddressError, ConfigError, MemberState, NodeId, UpdateError};

/// Why a call to the store failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was stopped.
    #[error("the store was stopped: start it again and use the new handle")]
    Stopped,
    /// The call was made inside of a closure that was passed to a store.
    #[error(
        "a store was called inside of an update or read closure: take what the closure needs \
         beforehand, or return what to do next from it"
    )]
    InsideClosure,
    /// The key can't be used, or the value goes beyond a limit.
    #[error(transparent)]
    Update(#[from] UpdateError),
}

/// Why a [`try_update`](crate::Store::try_update) or a
/// [`transaction`](crate::Store::transaction) wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryUpdateError<E> {
    /// The closure returned this error.
    #[error("the update gave up: {0}")]
    Closure(E),
    /// The store refused the update.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E> From<UpdateError> for TryUpdateError<E> {
    fn from(error: UpdateError) -> Self {
        Self::Store(error.into())
    }
}

/// Names, for a sentence.
pub(crate) fn listed(nodes: &[NodeId]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeId::as_str).collect();
    names.join(", ")
}

fn said(reasons: &[(String, String)]) -> String {
    let one = |(whom, reason): &(String, String)| format!("; {whom}: {reason}");
    reasons.iter().map(one).collect()
}

fn waiting(newcomers: &[NodeId]) -> String {
    match newcomers {
        [] => String::new(),
        some => format!(
            "; {} answered, but only looked for a cluster too",
            listed(some)
        ),
    }
}

/// Why a node goes on with the identity that it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The cluster was joined over a transport of the user's own.
    #[error("the cluster was joined over a transport of your own: renew what that one has")]
    OwnTransport,
    /// The identity is another node's, or can't be used.
    #[error(transparent)]
    Identity(#[from] dd_transport_quic::RenewError),
}

/// Why a member was not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// No member has the name.
    #[error("{node} is no member; `members` lists them")]
    Unknown {
        /// The name.
        node: NodeId,
    },
    /// It is no member any more.
    #[error("{node} is {state} already")]
    Gone {
        /// The node.
        node: NodeId,
        /// Whether it left or was removed.
        state: MemberState,
    },
    /// It is this node.
    #[error("a node does not remove itself; `leave` leaves")]
    Own,
    /// The members are a list, which stays as it is.
    #[error(
        "the members are a fixed list, of which nobody is removed: start the nodes with another one"
    )]
    Listed,
}

/// Why a node can't join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The configuration has no identity.
    #[error(
        "the node has no identity: give one with `identity(...)`, from certificates or, for \
         development on one machine, `Identity::dev(...)`"
    )]
    NoIdentity,
    /// Neither seeds nor peers are given.
    #[error(
        "the node was told of no other: give the address of one with `seed(...)`, or, if there is no cluster \
         yet, begin it with `Cluster::bootstrap`"
    )]
    NoSeeds,
    /// Seeds and a list of peers exclude each other.
    #[error(
        "seeds and peers are given: seeds are for members that find each other, peers for a fixed list"
    )]
    SeedsAndPeers,
    /// A seed's address can't be used.
    #[error("seed: {0}")]
    Seed(AddressError),
    /// No member answered.
    #[error("no member answered within {waited:?} at {}{}{}; if there is no cluster yet, or all of it was stopped, begin it with `Cluster::bootstrap`",
        .seeds.join(", "), waiting(.newcomers), said(.reasons))]
    NoAnswer {
        /// The seeds.
        seeds: Vec<String>,
        /// How long they were waited for.
        waited: std::time::Duration,
        /// Nodes that answered and look for a cluster themselves.
        newcomers: Vec<NodeId>,
        /// What became of the attempts: whom, and why. A seed that is this node's own address is told there too.
        reasons: Vec<(String, String)>,
    },
    /// A new cluster was to be begun, and one answers at the seeds.
    #[error("a cluster runs already ({}): join it", listed(.nodes))]
    Exists {
        /// Nodes that answered.
        nodes: Vec<NodeId>,
    },
    /// It is not known where others reach this node.
    #[error(
        "the node listens at {listen}, which is no address that others can dial, and no seed tells which \
         is: give one with `advertise(...)`"
    )]
    Advertise {
        /// Where it listens.
        listen: std::net::SocketAddr,
    },
    /// The system has no random numbers to give.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// A name is no name.
    #[error(transparent)]
    Name(#[from] dd_gossip::NameError),
    /// The identity can't be used.
    #[error(transparent)]
    Identity(#[from] dd_transport_quic::IdentityError),
    /// A setting of the membership is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The transport can't be bound.
    #[error(transparent)]
    Bind(#[from] dd_transport_quic::BindError),
    /// The address of a peer can't be used.
    #[error("peer {node}: {source}")]
    Peer {
        /// The peer.
        node: NodeId,
        /// What is wrong with its address.
        source: AddressError,
    },
}

/// Why a store was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It runs with another cluster.
    #[error("the store runs already, as {node} with another `Cluster`: stop it first")]
    OtherCluster {
        /// The node that it runs as.
        node: NodeId,
    },
    /// Another store of this process runs with the cluster.
    #[error(
        "another store of this process runs with this `Cluster`: use that one, or stop it first"
    )]
    InUse,
    /// It is just being stopped.
    #[error("the store is being stopped: wait until `stop` is done")]
    Stopping,
    /// The cluster's own transport was used up by a former start.
    #[error("the transport of this `Cluster` was closed by a former stop: make a new `Cluster`")]
    TransportUsed,
    /// There is no runtime.
    #[error("there is no tokio runtime here: call `start` inside of one")]
    NoRuntime,
    /// The system has no random numbers to give.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Joining anew failed.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// The store was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store was not started: call `start` first")]
pub struct NotStarted;

/// A stop that was not clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Peers did not take everything within the limit.
    #[error(
        "peers did not take everything within the stop timeout; what they lack is lost unless another node has it"
    )]
    TimedOut,
    /// The task that ran the store ended by itself.
    #[error("the task of the store ended before: it was aborted with its runtime")]
    Aborted,
    /// The task that ran the store panicked. That is a defect of this crate or of what runs in it; the panic's message
    /// is in the log.
    #[error("the task of the store panicked; what peers lack is lost unless another node has it")]
    Panicked,
}
