//! Barriers: waiting for other nodes, after writes and before reads.

use std::time::Duration;

use crdt_core::Context;
use crdt_core::codec::{DecodeError, Reader, Writer};
use dd_gossip::{Confirm, Consistency, NodeId, Refresh, Replica, TooManyBarriers};
use tokio::time::{Instant, timeout_at};

use crate::error::{StoreError, listed};
use crate::store::{Inner, Store};

/// Why a barrier was not reached. What was written here before stands, and goes on spreading; what was
/// read is what this node has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The deadline passed.
    #[error(
        "{needed} of {nodes} nodes are needed, and by the deadline there were {}{}; what was written here stands and goes on spreading, and reads see what this node has",
        .answered.len(),
        in_brackets(.answered)
    )]
    TimedOut {
        /// How many nodes it takes.
        needed: usize,
        /// How many there are.
        nodes: usize,
        /// Those that were reached.
        answered: Vec<NodeId>,
    },
    /// It takes more nodes than there are.
    #[error("{needed} nodes are asked for, and the cluster has {nodes}: ask for fewer")]
    TooFewNodes {
        /// How many nodes it takes.
        needed: usize,
        /// How many there are.
        nodes: usize,
    },
    /// Too many wait at once.
    #[error(transparent)]
    TooMany(#[from] TooManyBarriers),
    /// The store was stopped, or called from inside of a closure.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn in_brackets(nodes: &[NodeId]) -> String {
    if nodes.is_empty() {
        return String::new();
    }
    format!(" ({})", listed(nodes))
}

/// What a node has seen, to be shown to another one: see [`Store::caught_up_to`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token(Context);

impl Token {
    /// As bytes, some 20 for each process that ever wrote.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.0.encode(&mut w);
        w.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are no token.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let context = Context::decode(&mut r)?;
        r.finish()?;
        Ok(Self(context))
    }
}

/// A barrier that ends when nobody waits for it any more.
struct Waiting<'s, B: Copy> {
    store: &'s Inner,
    barrier: B,
    end: fn(&mut Replica, B),
}

impl<'s, B: Copy> Waiting<'s, B> {
    fn begin(
        store: &'s Inner,
        begin: impl FnOnce(&mut Replica) -> Result<B, TooManyBarriers>,
        end: fn(&mut Replica, B),
    ) -> Result<Self, TooManyBarriers> {
        let barrier = begin(&mut store.replica.write())?;
        store.work.notify_one();
        Ok(Self {
            store,
            barrier,
            end,
        })
    }
}

fn refreshing(store: &Inner) -> Result<Waiting<'_, Refresh>, TooManyBarriers> {
    Waiting::begin(store, Replica::begin_refresh, Replica::end_refresh)
}

fn confirming(store: &Inner, needed: usize) -> Result<Waiting<'_, Confirm>, TooManyBarriers> {
    let begin = |replica: &mut Replica| replica.begin_confirm(needed);
    Waiting::begin(store, begin, Replica::end_confirm)
}

impl<B: Copy> Drop for Waiting<'_, B> {
    fn drop(&mut self) {
        (self.end)(&mut self.store.replica.write(), self.barrier);
    }
}

impl Store {
    /// Waits until everything that was written here before the call is on as many nodes as
    /// `consistency` says, this one included: one barrier for any number of writes.
    ///
    /// With one other node its acknowledgement is enough, which may have come already. Where it takes
    /// more, those that acknowledged are asked a second time, because there has to be one moment at
    /// which all of them have it.
    ///
    /// A node counts while the process runs that said so. In memory, a write that a majority has is
    /// lost if all of that majority's processes end before others have it.
    ///
    /// Waits for [`StoreConfig::deadline`](crate::StoreConfig::deadline) at most; put a time-out of your
    /// own around it for less. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`BarrierError`]. The writes stand all the same.
    pub async fn confirmed(&self, consistency: Consistency) -> Result<(), BarrierError> {
        self.check()?;
        let needed = self.needed(consistency)?;
        let waiting = confirming(&self.0, needed)?;
        let confirmed = || self.0.replica.read().confirmed_by(waiting.barrier);
        self.reached(needed, confirmed).await
    }

    /// Waits until this node has what as many nodes as `consistency` says had when they were asked,
    /// this one included: reads afterwards see at least that. A majority [`confirmed`](Self::confirmed)
    /// anywhere and then a majority refreshed anywhere: the reads see the writes.
    ///
    /// Nodes whose process was started anew count only when it has caught up with a majority of the
    /// others that do count, or with all others. The first processes of a new cluster count when each
    /// has met all others, and that of a node that [began it](crate::Cluster::bootstrap) at once.
    ///
    /// Costs a question and an answer of some 30 bytes for each other node that is up, shared by all
    /// who ask at the same time. Deadline as of [`confirmed`](Self::confirmed). Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub async fn refreshed(&self, consistency: Consistency) -> Result<(), BarrierError> {
        self.check()?;
        if consistency == Consistency::Local {
            return Ok(());
        }
        let needed = self.needed(consistency)?;
        let waiting = refreshing(&self.0)?;
        let refreshed = || self.0.replica.read().refreshed_by(waiting.barrier);
        self.reached(needed, refreshed).await
    }

    /// What this node has seen, for [`caught_up_to`](Self::caught_up_to) on another.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn token(&self) -> Result<Token, StoreError> {
        self.check()?;
        Ok(Token(self.0.replica.read().context().clone()))
    }

    /// Waits until this node has everything that another had when it made the token: a client that
    /// goes from one node to the other, with the token, reads its own writes. Deadline as of
    /// [`confirmed`](Self::confirmed). Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub async fn caught_up_to(&self, token: &Token) -> Result<(), BarrierError> {
        self.check()?;
        let here = || {
            let replica = self.0.replica.read();
            let seen = replica.has_seen(&token.0);
            seen.then(|| replica.node().clone()).into_iter().collect()
        };
        if !self.0.replica.read().has_seen(&token.0) {
            // Others are asked what they have, and then for what is lacking.
            let _waiting = refreshing(&self.0)?;
            return self.reached(1, here).await;
        }
        Ok(())
    }

    fn needed(&self, consistency: Consistency) -> Result<usize, BarrierError> {
        let nodes = self.0.replica.read().nodes();
        let needed = consistency.needed(nodes);
        if needed > nodes {
            return Err(BarrierError::TooFewNodes { needed, nodes });
        }
        Ok(needed)
    }

    /// Waits until so many nodes are among those that `counted` finds.
    async fn reached(
        &self,
        needed: usize,
        counted: impl Fn() -> Vec<NodeId>,
    ) -> Result<(), BarrierError> {
        let deadline = Instant::now() + self.0.deadline.min(MAX_DEADLINE);
        loop {
            let mut progress = std::pin::pin!(self.0.progress.notified());
            progress.as_mut().enable();
            let answered = counted();
            if answered.len() >= needed {
                return Ok(());
            }
            self.check()?;
            if timeout_at(deadline, progress).await.is_err() {
                let nodes = self.0.replica.read().nodes();
                return Err(BarrierError::TimedOut {
                    needed,
                    nodes,
                    answered,
                });
            }
        }
    }
}

/// The longest that a barrier waits: 30 s.
pub const MAX_DEADLINE: Duration = Duration::from_secs(30);
