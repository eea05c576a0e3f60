//! Three stores in one process, over real QUIC on this machine: update, read, subscribe, delete,
//! stop. Prints what happens, and checks it.
//!
//! ```text
//! cargo run -p dd-extension --example full_store
//! ```
//!
//! A service has one store, in a `static`; three in one process are for show. For three processes
//! see the node program: `cargo run -p dd-extension --features node --bin dd-node -- --help`.

use std::error::Error;
use std::time::Duration;

use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Key, Keys};
use dd_extension::{Store, StoreConfig, StoreError, TryUpdateError};

// Keys say what stands under them: a counter under "hits", a set of text under each "cart/...".
const HITS: Key<PnCounter> = Key::new("hits");
const CARTS: Keys<OrSet<String>> = Keys::with_prefix("cart/");

// In a service: `static DD: DistributedData = DistributedData::new();`, and `DD.get()` wherever the
// store is needed.
static A: DistributedData = DistributedData::new();
static B: DistributedData = DistributedData::new();
static C: DistributedData = DistributedData::new();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // So that a machine without loopback is an error, and no wait for ever.
    tokio::time::timeout(Duration::from_secs(60), run()).await?
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}

async fn run() -> Result<(), Box<dyn Error>> {
    // The first node begins the cluster; the others know one address and learn of everybody.
    let first = join("a", None).await?;
    let second = join("b", Some(&first)).await?;
    let third = join("c", Some(&second)).await?;
    let a = A.start(&first, StoreConfig::local()).await?;
    let b = B.start(&second, StoreConfig::local()).await?;
    let c = C.start(&third, StoreConfig::local()).await?;
    // Starting again gives the same store, and so does `get`.
    assert_eq!(A.get()?.replica_id(), a.replica_id());
    // Not needed for reads and writes; it only says that this node has caught up with another.
    b.ready().await?;
    c.ready().await?;
    println!("a, b and c are started and have met");

    // An update is local and immediate, whatever becomes of the network. What the closure returns
    // is returned.
    let hits = a.update(&HITS, |hits| {
        hits.add(3);
        hits.value()
    })?;
    println!("a counts to {hits}");
    let cart = CARTS.key("ann");
    let fresh = a.update(&cart, |cart| cart.insert("apple"))?;
    println!("a puts an apple into {cart}, it was new: {fresh}");
    // So is a read. Nothing is decoded but what is asked for.
    assert!(a.read(&cart, |cart| cart.contains("apple"))?);

    // A subscriber is told what is there first, then each change, wherever it was made. It may be
    // there at once or come later.
    let mut carts = b.subscribe_all(&CARTS)?;
    let (key, change) = carts.next().await.ok_or("b runs")?;
    let added: Vec<String> = change.added().collect();
    println!("b is told of {key}: added {added:?}");
    assert_eq!((key, added), (cart.clone(), vec!["apple".to_owned()]));

    // Two nodes write at once; nobody waits, nothing is lost.
    b.update(&HITS, |hits| hits.add(10))?;
    c.update(&HITS, |hits| hits.add(100))?;
    for (name, store) in [("a", &a), ("b", &b), ("c", &c)] {
        let hits = wait_for_hits(store, 113).await?;
        println!("{name} counts {hits}");
    }

    // An update that gives up changes nothing, even if it wrote before.
    let spent = c.try_update(&HITS, |hits| {
        hits.add(-1000);
        if hits.value() < 0 {
            Err("not so many")
        } else {
            Ok(())
        }
    });
    assert_eq!(spent, Err(TryUpdateError::Closure("not so many")));
    println!("c tries to take 1000 and gives up");
    assert_eq!(c.read(&HITS, |hits| hits.value())?, 113);

    // A delete is a change as well, and the key can be used again.
    c.delete(&cart)?;
    let (key, change) = carts.next().await.ok_or("b runs")?;
    let removed: Vec<String> = change.removed().collect();
    println!("b is told of {key}: removed {removed:?}");
    assert!(change.is_gone());
    assert_eq!(b.keys("", None, 10)?, ["hits"]);

    // A stop hands over what was written just before it.
    c.update(&cart, |cart| cart.insert("pear"))?;
    C.stop().await?;
    println!("c puts in a pear and stops");
    let (_, change) = carts.next().await.ok_or("b runs")?;
    assert!(change.after().contains("pear"));
    println!("b is told of the pear");
    // A call to a stopped store is an error that says what to do.
    if let Err(error) = c.update(&HITS, |hits| hits.add(1)) {
        println!("c says: {error}");
        assert_eq!(error, StoreError::Stopped);
    }

    B.stop().await?;
    A.stop().await?;
    assert!(carts.next().await.is_none()); // a subscription ends with its store
    println!("all stopped");
    Ok(())
}

/// Joins the cluster `example` as a node of this machine, or begins it.
async fn join(name: &str, seed: Option<&Cluster>) -> Result<Cluster, Box<dyn Error>> {
    // For development on one machine: who has the secret may be any node. In production nodes have
    // certificates: see `Authority` and `Identity::from_files`.
    let identity = Identity::dev(&"example".parse()?, &name.parse()?, "a secret")?;
    let config = ClusterConfig::new("127.0.0.1:0".parse()?).identity(identity);
    Ok(match seed.and_then(Cluster::local_addr) {
        None => Cluster::bootstrap(config).await?,
        Some(seed) => Cluster::join(config.seed(seed.to_string())).await?,
    })
}

/// Waits until a store counts so many hits: what others write comes in soon, not at once.
async fn wait_for_hits(store: &Store, expected: i128) -> Result<i128, Box<dyn Error>> {
    let mut changes = store.subscribe(&HITS)?;
    while let Some(change) = changes.next().await {
        if change.after().value() == expected {
            return Ok(expected);
        }
    }
    Err("the store was stopped".into())
}
