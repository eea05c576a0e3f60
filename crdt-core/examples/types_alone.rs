//! The types without a store: your program keeps the values and carries the bytes.
//!
//! ```text
//! cargo run -p crdt-core --example types_alone
//! ```
//!
//! Prints what happens, and checks it.

use std::error::Error;

use crdt_core::{
    Causal, Delta, LwwRegister, MvRegister, OrMap, OrSet, PnCounter, ReplicaId, Timestamp,
};

/// Baskets by customer: for each product how many.
type Baskets = OrMap<String, OrMap<String, PnCounter>>;

fn main() -> Result<(), Box<dyn Error>> {
    deltas_as_bytes()?;
    a_conflict_and_its_outcome()?;
    maps_in_maps()?;
    a_replica_is_never_copied()?;
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}

/// Replicas exchange what changed, over whatever carries bytes.
fn deltas_as_bytes() -> Result<(), Box<dyn Error>> {
    // Every replica has an id that nobody else has or had: a node, and a number that grows with
    // each of its starts.
    let mut ann = Causal::<OrSet<String>>::new(ReplicaId::new(1, 1));
    let mut bob = Causal::<OrSet<String>>::new(ReplicaId::new(2, 1));

    // An update returns what the closure returned, and a delta: what it changed, and no more.
    let done = ann.update(|cart| cart.insert("apple"))?;
    assert!(done.value, "it was new");
    let apple: Vec<u8> = done.delta.encode();
    let pear = ann.update(|cart| cart.insert("pear"))?.delta.encode();
    println!(
        "Ann inserts an apple and a pear: {} and {} bytes",
        apple.len(),
        pear.len()
    );

    // Deltas may come in any order and more than once.
    for bytes in [&pear, &apple, &pear] {
        bob.apply(&Delta::load(bytes)?)?;
    }
    println!("Bob has {:?}", bob.view());
    // Equal contexts mean equal values: nothing else need be compared.
    assert_eq!(ann.context(), bob.context());

    // Who was away states its context, and is sent exactly what it lacks.
    ann.update(|cart| cart.insert("fig"))?;
    let lacks = ann.delta_since(bob.context())?;
    bob.apply(&lacks)?;
    assert!(bob.view().contains("fig"));
    Ok(())
}

/// Concurrent writes never fail; each type says what becomes of them.
fn a_conflict_and_its_outcome() -> Result<(), Box<dyn Error>> {
    // A set: an insertion survives a removal that did not see it.
    let mut ann = Causal::<OrSet<String>>::new(ReplicaId::new(1, 1));
    ann.update(|cart| cart.insert("apple"))?;
    let mut bob = ann.fork(ReplicaId::new(2, 1))?;
    ann.update(|cart| cart.remove("apple"))?;
    bob.update(|cart| cart.insert("apple"))?;
    ann.merge(&bob)?;
    println!("removed here, inserted there: {:?}", ann.view());
    assert!(ann.view().contains("apple"));

    // A register in which the newest write wins. Time only decides between writes that did not
    // see each other.
    let mut ann = Causal::<LwwRegister<String>>::new(ReplicaId::new(1, 1));
    let mut bob = Causal::<LwwRegister<String>>::new(ReplicaId::new(2, 1));
    ann.update_at(Timestamp::from_millis(1_000), |r| r.set("red"))?;
    bob.update_at(Timestamp::from_millis(2_000), |r| r.set("blue"))?;
    ann.merge(&bob)?;
    println!(
        "the newest wins: {:?}, {} lost",
        ann.view(),
        ann.view().conflicts()
    );
    assert_eq!(ann.view().get()?.as_deref(), Some("blue"));

    // A register that keeps both, until one is written that saw them.
    let mut ann = Causal::<MvRegister<String>>::new(ReplicaId::new(1, 1));
    let mut bob = Causal::<MvRegister<String>>::new(ReplicaId::new(2, 1));
    ann.update(|r| r.set("red"))?;
    bob.update(|r| r.set("blue"))?;
    ann.merge(&bob)?;
    println!("both are kept: {:?}", ann.view().values()?);
    assert_eq!(ann.view().values()?.len(), 2);
    ann.update(|r| r.set("purple"))?;
    assert_eq!(ann.view().values()?, ["purple"]);
    Ok(())
}

/// Types nest, and each level merges by its own rule.
fn maps_in_maps() -> Result<(), Box<dyn Error>> {
    let mut shop = Causal::<Baskets>::new(ReplicaId::new(1, 1));
    shop.update(|baskets| baskets.entry("ann").entry("apple").add(3))?;
    let mut kiosk = shop.fork(ReplicaId::new(2, 1))?;

    // The shop empties Ann's basket while the kiosk adds two apples to it.
    shop.update(|baskets| baskets.remove("ann"))?;
    kiosk.update(|baskets| baskets.entry("ann").entry("apple").add(2))?;
    shop.merge(&kiosk)?;
    kiosk.merge(&shop)?;

    // The removal took away the three that it saw; the two that it did not see stay.
    let apples = |at: &Causal<Baskets>| Some(at.view().get("ann")?.get("apple")?.value());
    println!("three removed here, two added there: {:?}", shop.view());
    assert_eq!((apples(&shop), apples(&kiosk)), (Some(2), Some(2)));
    Ok(())
}

/// A replica can't be cloned, for two that write under one id would contradict each other. `fork`
/// and `load` ask for a new id.
fn a_replica_is_never_copied() -> Result<(), Box<dyn Error>> {
    let mut counter = Causal::<PnCounter>::new(ReplicaId::new(1, 1));
    counter.update(|c| c.add(5))?;
    let bytes = counter.encode(); // to a file, or to another node

    match Causal::<PnCounter>::load(&bytes, ReplicaId::new(1, 1)) {
        Err(error) => println!("loaded under the old id: {error}"),
        Ok(_) => return Err("two would write under one id".into()),
    }
    // After a restart: the same node, its next number.
    let mut restarted = Causal::<PnCounter>::load(&bytes, ReplicaId::new(1, 2))?;
    restarted.update(|c| c.add(1))?;
    counter.merge(&restarted)?;
    println!(
        "loaded under a new one, counted on, merged: {:?}",
        counter.view()
    );
    assert_eq!(counter.view().value(), 6);
    // Bytes that are something else are an error, never a panic.
    assert!(Causal::<OrSet<String>>::load(&bytes, ReplicaId::new(1, 3)).is_err());
    Ok(())
}
