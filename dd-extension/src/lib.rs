//! A replicated key-value store of CRDTs, embedded in a service.
//!
//! Every node holds a full local replica and reads and writes it at memory speed; the nodes
//! exchange what changed and all arrive at the same state, through partitions, crashes and restarts,
//! with no leader. Values are CRDTs: concurrent writes merge instead of clobbering.
//!
//! ```
//! use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Key, Keys, StoreConfig};
//! use dd_extension::types::{OrSet, PnCounter};
//!
//! const HITS: Key<PnCounter> = Key::new("hits");
//! const CARTS: Keys<OrSet<String>> = Keys::with_prefix("cart/");
//! static DD: DistributedData = DistributedData::new();
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::dev(&"shop".parse()?, &"a".parse()?, "a secret")?;
//! let cluster = Cluster::bootstrap(ClusterConfig::new("127.0.0.1:0".parse()?).identity(identity)).await?;
//! let store = DD.start(&cluster, StoreConfig::default()).await?;
//! store.ready().await?;
//!
//! store.update(&HITS, |hits| hits.add(3))?;
//! let cart = CARTS.key("ann");
//! let fresh: bool = store.update(&cart, |cart| cart.insert("apple"))?;
//! assert!(fresh && store.read(&cart, |cart| cart.contains("apple"))?);
//!
//! let mut carts = store.subscribe_all(&CARTS)?;
//! let (key, change) = carts.next().await.expect("the store runs");
//! assert_eq!((key, change.added().collect::<Vec<_>>()), (cart.clone(), vec!["apple".to_owned()]));
//!
//! store.delete(&cart)?; // and use it again later
//! DD.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//!
//! No locks, no compare-and-set, no isolation of transactions, no uniqueness, no leader election, no
//! partial replication, no eviction. Replicas are in memory: what is on no other node is lost with the process.
//!
//! # Logs
//!
//! What happens is said through [`tracing`](https://docs.rs/tracing); without a subscriber nothing is written. Targets
//! begin with the crate: `dd_extension`, `dd_gossip`, `dd_transport_quic`. With
//! [`tracing-subscriber`](https://docs.rs/tracing-subscriber) and its feature `env-filter`,
//! `tracing_subscriber::fmt::init()` writes what the environment variable `RUST_LOG` says, as in `RUST_LOG=info` or
//! `RUST_LOG=warn,dd_transport_quic=debug`.
//!
//! | level | what is said |
//! | --- | --- |
//! | error | memory of this node, or of a peer, is damaged; the authority could not make a certificate |
//! | warn | to be looked at: somebody or a frame was refused, a key is used with two types, something was not done or not closed in time |
//! | info | a store starts, has caught up and stops; peers connect and disconnect; certificates are issued and renewed |
//! | debug | single attempts and steps: who is dialled and why that fails, who is up, what membership refuses |
//! | trace | packets that are lost |
//!
//! No values are in it; the name of a key is where the key is used with two types.
//!
//! # Features
//!
//! None is on by default.
//!
//! * `status-page`: the module `status_page`, which serves a page for people over HTTP. The documentation shows it when
//!   it is made with this feature: `cargo doc -p dd-extension --features status-page`.
//! * `node`: the program `dd-node`, with a status page.
//!
//! # Memory
//!
//! What keys took is freed when they are deleted and all nodes know of it. Whether the process then takes less is up
//! to its allocator: that of glibc keeps nearly all of it for later allocations of the process, unless it is told
//! otherwise by `malloc_trim(0)`. A service that has many keys at one time and few at another may want another
//! allocator. The node program `dd-node` has mimalloc, as its `#[global_allocator]`; the environment variable
//! `MIMALLOC_PURGE_DELAY=0` makes it give memory back at once, and not only after some milliseconds and with the
//! next allocations.

mod barrier;
mod closure;
mod cluster;
mod cluster_config;
mod config;
mod distributed_data;
mod driver;
mod error;
mod expiry;
mod generation;
mod key;
mod member_changes;
mod repair;
mod snapshot;
mod status;
#[cfg(feature = "status-page")]
pub mod status_page;
mod store;
mod subscription;
mod transaction;
mod update_at;
mod validity;
mod wire;

pub use barrier::{BarrierError, MAX_DEADLINE, Token};
pub use cluster::Cluster;
pub use cluster_config::ClusterConfig;
pub use config::StoreConfig;
pub use distributed_data::{CHUNK, DistributedData};
pub use error::{
    JoinError, NotStarted, RemoveError, RenewError, StartError, StopError, StoreError,
    TryUpdateError,
};
pub use key::{Key, Keys, OwnedKeys};
pub use member_changes::{MemberChange, MemberChanges};
pub use repair::Repair;
pub use snapshot::{Change, Snapshot};
pub use status::{Agreement, StoreStatus};
pub use store::Store;
pub use subscription::{MAX_DUE, Subscription, SubscriptionAll};
pub use transaction::Transaction;
pub use update_at::UpdateAt;
pub use validity::CertificateState;

pub use crdt_core as types;
pub use crdt_core::codec::DecodeError;
pub use dd_gossip::{
    AddressError, ClusterId, ConfigError, Consistency, Counts, Damage, FrameError, MAX_BARRIERS,
    MAX_FAMILIES, MAX_FAMILY, MAX_FRAME, MAX_IDLE, MAX_IDLE_FAMILIES, MAX_INTERVAL, MAX_KEY,
    MIN_IDLE, MIN_INTERVAL, Member, MemberState, Membership, NameError, NodeId, PeerStatus,
    RecordsAwaited, SendError, StaticMembers, Status, Swim, SwimTiming, Timing, TooManyBarriers,
    Traffic, TrafficByKind, Transport, TransportEvent, TransportStats, UpdateError,
};
pub use dd_transport_quic::{
    Authority, AuthorityError, BindError, DEFAULT_TOKEN_VALIDITY, ENROLLED_VALIDITY, EnrolError,
    Enrolment, EnrolmentOptions, Identity, IdentityError, IssuedCertificate, JoinToken,
    MAX_TOKEN_VALIDITY, QuicConfig, TokenError, TokenNames, TokenOptions,
};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
