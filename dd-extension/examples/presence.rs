//! Who is where, and where a service is: data that goes with the node that wrote it. Three nodes in one
//! process, over real QUIC on this machine; one of them ends without a word.
//!
//! ```text
//! cargo run -p dd-extension --example presence
//! ```

use std::error::Error;
use std::time::Duration;

use dd_extension::types::{LwwRegister, OrSet};
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Keys, OwnedKeys};
use dd_extension::{Store, StoreConfig, SwimTiming};

/// The users that are connected to a node, by room.
const PRESENT: OwnedKeys<OrSet<String>> = Keys::owned("present/");
/// Where a node serves something, by the name of the service.
const SERVICES: OwnedKeys<LwwRegister<String>> = Keys::owned("service/");

static A: DistributedData = DistributedData::new();
static B: DistributedData = DistributedData::new();

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
    let first = join("a", None).await?;
    let a = A.start(&first, StoreConfig::local()).await?;
    let second = join("b", Some(&first)).await?;
    let b = B.start(&second, StoreConfig::local()).await?;
    // This one is not in a static, to end with its variable, as with its process.
    let (third, short_lived) = (join("c", Some(&first)).await?, DistributedData::new());
    let c = short_lived.start(&third, StoreConfig::local()).await?;

    for (store, users) in [
        (&a, ["ann", "abe"]),
        (&b, ["bob", "bea"]),
        (&c, ["cid", "cleo"]),
    ] {
        let room = store.own(&PRESENT, "lobby")?;
        for user in users {
            store.update(&room, |present| present.insert(user))?;
        }
        let mail = store.own(&SERVICES, "mail")?;
        let address = format!("{}.example.org:25", store.node());
        store.update(&mail, |service| service.set(&address))?;
    }
    wait_for(&a, "lobby", 6).await?;
    println!("in the lobby, as a sees it: {:?}", in_room(&a, "lobby")?);
    println!("mail is served at: {:?}", served(&a, "mail")?);

    println!("c ends without a word");
    drop((c, short_lived, third));
    wait_for(&a, "lobby", 4).await?;
    println!("in the lobby, as a sees it: {:?}", in_room(&a, "lobby")?);
    wait_for(&b, "lobby", 4).await?;
    println!("mail is served at: {:?}", served(&b, "mail")?);
    assert_eq!(
        served(&b, "mail")?,
        ["a.example.org:25", "b.example.org:25"]
    );
    B.stop().await?;
    A.stop().await?;
    Ok(())
}

/// Everybody in a room, on all nodes.
fn in_room(store: &Store, room: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut all = Vec::new();
    for key in store.keys_of(PRESENT.all(), None, 1000)? {
        if PRESENT.owner_of(&key).is_some_and(|(_, of)| of == room) {
            all.extend(store.get(&key)?.view().iter());
        }
    }
    Ok(all)
}

/// Where a service is, on all nodes.
fn served(store: &Store, name: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut all = Vec::new();
    for key in store.keys_of(SERVICES.all(), None, 1000)? {
        if SERVICES.owner_of(&key).is_some_and(|(_, of)| of == name) {
            all.extend(store.get(&key)?.view().get()?);
        }
    }
    Ok(all)
}

async fn wait_for(store: &Store, room: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let mut changes = store.subscribe_all(PRESENT.all())?;
    while in_room(store, room)?.len() != count {
        changes.next().await.ok_or("the store was stopped")?;
    }
    Ok(())
}

/// Begins the cluster or joins it, as a node of this machine that notices failures soon.
async fn join(name: &str, seed: Option<&Cluster>) -> Result<Cluster, Box<dyn Error>> {
    let identity = Identity::dev(&"example".parse()?, &name.parse()?, "a secret")?;
    let timing = SwimTiming {
        probe: Duration::from_millis(200),
        answer: Duration::from_millis(60),
        suspect: Duration::from_secs(1),
        ..SwimTiming::default()
    };
    let config = ClusterConfig::new("127.0.0.1:0".parse()?)
        .identity(identity)
        .membership(timing);
    Ok(match seed.and_then(Cluster::local_addr) {
        None => Cluster::bootstrap(config).await?,
        Some(seed) => Cluster::join(config.seed(seed.to_string())).await?,
    })
}
