//! Two replicas that hold the same, are parted while one changes some of it, and meet again.

use std::time::{Duration, Instant};

use crdt_core::LwwRegister;
use dd_gossip::{Counts, Replica, Time, UpdateError};

use crate::mesh::{Mesh, config};
use crate::rng::Rng;

/// Bytes of a value.
pub const VALUE: usize = 100;

/// What it took to be equal again.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Bytes of all frames of both.
    pub bytes: u64,
    /// Of the changed keys and values themselves.
    pub payload: u64,
    /// Time of both replicas' own work, one after the other.
    pub time: Duration,
    /// Full comparisons among what they did.
    pub comparisons: u64,
}

/// Two equal replicas with so many keys, each with a text of [`VALUE`] bytes.
#[derive(Debug)]
pub struct Parted {
    mesh: Mesh,
    keys: usize,
    rng: Rng,
    /// What it took the second one to get everything, when it had nothing.
    pub whole: Outcome,
}

impl Parted {
    /// Fills one, and lets the other catch up. With `history` each key is written that often again, in no order,
    /// before.
    ///
    /// # Errors
    ///
    /// What went wrong; nothing should.
    pub fn new(keys: usize, history: usize) -> Result<Self, String> {
        let (mut mesh, mut rng) = (Mesh::default(), Rng::new(1));
        for at in 0..2 {
            let mut config = config(at, 2)?;
            // Who is away is not waited for.
            config.timing.away = Duration::ZERO;
            mesh.add(Replica::new(config, mesh.now));
        }
        (0..keys).try_for_each(|key| put(&mut mesh, key, 0))?;
        for round in 1..=history {
            (0..keys).try_for_each(|_| put(&mut mesh, rng.below(keys), round))?;
        }
        let whole = Outcome {
            bytes: 0,
            payload: 0,
            time: Duration::ZERO,
            comparisons: 0,
        };
        let mut parted = Self {
            mesh,
            keys,
            rng,
            whole,
        };
        parted.whole = parted.meet(keys)?;
        Ok(parted)
    }

    /// Changes so many keys while they are apart; with `forgotten` also forgets a removal there, so that it takes
    /// a full comparison.
    ///
    /// # Errors
    ///
    /// What went wrong; nothing should.
    pub fn change(&mut self, keys: usize, forgotten: bool) -> Result<Outcome, String> {
        let mut changed = std::collections::BTreeSet::new();
        while changed.len() < keys {
            changed.insert(self.rng.below(self.keys));
        }
        for key in changed {
            put(&mut self.mesh, key, usize::MAX)?;
        }
        if forgotten {
            let now = self.mesh.now;
            let first = &mut self.mesh.replicas[0];
            put_in(first, now, b"gone", "x")?;
            first
                .delete(now, b"gone")
                .map_err(|error| error.to_string())?;
            self.mesh.run(Duration::from_secs(1))?;
            if self.mesh.replicas[0].status().records > 0 {
                return Err("the removal was not forgotten".to_owned());
            }
        }
        self.meet(keys)
    }

    fn meet(&mut self, changed: usize) -> Result<Outcome, String> {
        let counts = |mesh: &Mesh| {
            mesh.replicas
                .iter()
                .map(Replica::counts)
                .collect::<Vec<_>>()
        };
        let before = counts(&self.mesh);
        let began = Instant::now();
        self.mesh.connect(0, 1);
        self.mesh.converge(Duration::from_secs(60))?;
        let time = began.elapsed();
        let after = counts(&self.mesh);
        self.mesh.disconnect(0, 1);
        let risen = |of: fn(&Counts) -> u64| {
            let pairs = before.iter().zip(&after);
            pairs.map(|(before, after)| of(after) - of(before)).sum()
        };
        Ok(Outcome {
            bytes: risen(|counts| counts.bytes_sent),
            payload: (changed * (name(0).len() + VALUE)) as u64,
            time,
            comparisons: risen(|counts| counts.comparisons_received),
        })
    }
}

fn name(key: usize) -> String {
    format!("key/{key:08}")
}

fn put(mesh: &mut Mesh, key: usize, round: usize) -> Result<(), String> {
    let value = format!("{:0width$}", key ^ round, width = VALUE);
    let now = mesh.now;
    put_in(&mut mesh.replicas[0], now, name(key).as_bytes(), &value)
}

fn put_in(replica: &mut Replica, now: Time, key: &[u8], value: &str) -> Result<(), String> {
    let wall = now.since(Time::ZERO).as_millis() as u64;
    let put = replica.update::<LwwRegister<String>, (), UpdateError>(now, wall, key, |register| {
        register.set(value);
        Ok(())
    });
    put.map_err(|error| error.to_string())
}
