//! The lifecycle: started once per process, the same handle for everyone.

use std::sync::Arc;

use dd_gossip::{Config, NodeId, Replica, Time};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::config::StoreConfig;
use crate::driver::Driver;
use crate::error::{NotStarted, StartError, StopError};
use crate::store::{Inner, Store, wall};
use crate::wire::Wire;

/// Bytes of data in a frame between stores. Small ones let others have their turn, and readers the lock; much below this,
/// what is said once in each frame counts for more.
pub const CHUNK: usize = 4 * 1024;

/// The store of this process. Put it in a `static`; whoever needs the store asks it. Dropping it stops
/// the store, and nobody waits for that as [`stop`](Self::stop) does.
///
/// ```no_run
/// use dd_extension::{Cluster, DistributedData, Key, StoreConfig, types::PnCounter};
///
/// static DD: DistributedData = DistributedData::new();
/// const HITS: Key<PnCounter> = Key::new("hits");
///
/// # async fn example(cluster: Cluster) -> Result<(), Box<dyn std::error::Error>> {
/// let store = DD.start(&cluster, StoreConfig::default()).await?;
/// store.update(&HITS, |hits| hits.add(1))?;
/// let again = DD.get()?; // anywhere else in the process
/// assert_eq!(again.read(&HITS, |hits| hits.value())?, 1);
/// DD.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DistributedData {
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Idle,
    Running(Running),
    Stopping,
}

#[derive(Debug)]
struct Running {
    cluster: Cluster,
    store: Store,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StopError>>,
}

impl DistributedData {
    /// A store that was not started.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State::Idle),
        }
    }

    /// Starts the store, inside of the tokio runtime that is to run it. Started already with this
    /// cluster, it answers the same handle, and the settings of the first start stand.
    ///
    /// Every start is a new incarnation with an empty replica, which catches up with its peers: see
    /// [`Store::ready`].
    ///
    /// # Errors
    ///
    /// [`StartError`] says why it was not started.
    #[allow(clippy::unused_async, reason = "starting will read what is on disk")]
    pub async fn start(&self, cluster: &Cluster, config: StoreConfig) -> Result<Store, StartError> {
        let mut state = self.state.lock();
        match &*state {
            State::Running(running) if running.is_over() => {}
            State::Running(running) if running.cluster.is(cluster) => {
                return Ok(running.store.clone());
            }
            State::Running(running) => {
                let node = running.cluster.node().clone();
                return Err(StartError::OtherCluster { node });
            }
            State::Stopping => return Err(StartError::Stopping),
            State::Idle => {}
        }
        let running = Running::start(cluster, config)?;
        let store = running.store.clone();
        *state = State::Running(running);
        Ok(store)
    }

    /// The handle.
    ///
    /// # Errors
    ///
    /// [`NotStarted`] before `start` and after `stop`.
    pub fn get(&self) -> Result<Store, NotStarted> {
        match &*self.state.lock() {
            State::Running(running) if !running.is_over() => Ok(running.store.clone()),
            _ => Err(NotStarted),
        }
    }

    /// Whether the store runs.
    pub fn is_started(&self) -> bool {
        self.get().is_ok()
    }

    /// Stops the store: pushes what was written last to the peers that are connected, closes the
    /// connections, ends subscriptions. Handles answer [`StoreError::Stopped`] from then on. Does
    /// nothing if the store does not run. It can be started again afterwards.
    ///
    /// [`StoreError::Stopped`]: crate::StoreError::Stopped
    ///
    /// # Errors
    ///
    /// [`StopError`] if peers were not handed everything; the store is stopped all the same.
    pub async fn stop(&self) -> Result<(), StopError> {
        let running = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Stopping) {
                State::Running(running) => running,
                other => {
                    *state = other;
                    return Ok(());
                }
            }
        };
        // Also when this future is dropped halfway, the store can be started again.
        let _idle = Idle(&self.state);
        running
            .store
            .0
            .stopped
            .store(true, std::sync::atomic::Ordering::Release);
        running.stop.send_replace(true);
        running.task.await.unwrap_or_else(|ended| {
            Err(if ended.is_panic() {
                StopError::Panicked
            } else {
                StopError::Aborted
            })
        })
    }
}

struct Idle<'a>(&'a Mutex<State>);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        *self.0.lock() = State::Idle;
    }
}

impl Default for DistributedData {
    fn default() -> Self {
        Self::new()
    }
}

/// The other members by now.
fn others(wire: &Wire) -> Vec<NodeId> {
    let members = wire.members().into_iter();
    let members = members.filter(|member| member.state.is_member());
    members.map(|member| member.node).collect()
}

impl Running {
    fn start(cluster: &Cluster, config: StoreConfig) -> Result<Self, StartError> {
        config.validate()?;
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let random = || getrandom::u64().map_err(|error| StartError::Random(error.to_string()));
        let (nonce, tail) = (random()?, random()? as u16);
        let wire = cluster.take_wire()?;
        let replica = Replica::new(
            Config {
                cluster: cluster.id().clone(),
                node: cluster.node().clone(),
                replica: cluster.node().incarnation(wall(), tail),
                nonce,
                seed: nonce,
                peers: others(&wire),
                bootstrap: cluster.takes_founding(),
                timing: config.timing,
                limits: config.limits,
                chunk: CHUNK,
                shared: dd_gossip::MIN_SHARED,
                part: dd_gossip::MAX_PART,
            },
            Time::ZERO,
        );
        let store = Store(Arc::new(Inner::new(
            replica,
            config.deadline,
            Instant::now(),
            cluster.certificate(),
        )));
        let (stop, stopped) = watch::channel(false);
        let driver = Driver::new(store.0.clone(), wire, stopped, config.stop_timeout);
        let task = runtime.spawn(driver.run());
        Ok(Self {
            cluster: cluster.clone(),
            store,
            stop,
            task,
        })
    }

    /// Whether the task ended by itself, because its runtime did.
    fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}
