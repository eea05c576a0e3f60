//! A node that is started again and again, each time without what it had: what becomes of the contexts of all.

use std::time::Duration;

use crdt_core::codec::Writer;
use crdt_core::{Limits, OrSet, ReplicaId};
use dd_gossip::{ClusterId, Config, NodeId, Replica, Timing, UpdateError};

use crate::mesh::Mesh;

/// How long each process runs: longer than it takes until what is gone is sealed.
pub const LIFE: Duration = Duration::from_secs(100);
const NODES: u64 = 3;

/// What there is at one of the other nodes. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Starts so far.
    pub restarts: u64,
    /// Its context, encoded.
    pub context: usize,
    /// Processes that have an entry of their own in it.
    pub origins: usize,
    /// The frames in which contexts are compared first, on average.
    pub digest: u64,
    /// The frames in which a context is stated, on average since the row before.
    pub want: u64,
    /// Processes with an entry in its floor.
    pub floors: usize,
}

/// Starts one of three nodes so often, and looks after 0, 1, 10, 100, … starts and the last one.
///
/// # Errors
///
/// What went wrong; nothing should.
pub fn restart(times: u64, seals: bool) -> Result<Vec<Sizes>, String> {
    let mut mesh = Mesh::default();
    for node in 0..NODES {
        mesh.put(Replica::new(config(node, 0, seals)?, mesh.now));
    }
    mesh.run(LIFE)?;
    let mut before = mesh.replicas[0].counts();
    let mut rows = vec![look(&mut mesh, 0, &mut before)];
    let mut next = 1;
    for start in 1..=times {
        mesh.put(Replica::new(config(NODES - 1, start, seals)?, mesh.now));
        mesh.run(Duration::from_secs(5))?;
        let now = mesh.now;
        let Some(replica) = mesh.replicas.last_mut() else {
            break;
        };
        let element = format!("{start}");
        replica
            .update::<OrSet<String>, (), UpdateError>(now, 0, b"set", |set| {
                set.insert(element.as_str());
                Ok(())
            })
            .and_then(|()| {
                replica.update::<OrSet<String>, (), UpdateError>(now, 0, b"set", |set| {
                    set.remove(element.as_str());
                    Ok(())
                })
            })
            .map_err(|error| error.to_string())?;
        mesh.run(LIFE)?;
        if start == next || start == times {
            rows.push(look(&mut mesh, start, &mut before));
            next = start * 10;
        }
    }
    Ok(rows)
}

fn config(node: u64, incarnation: u64, seals: bool) -> Result<Config, String> {
    let name = |node: u64| -> Result<NodeId, String> {
        let name = format!("n{node}").parse();
        name.map_err(|error: dd_gossip::NameError| error.to_string())
    };
    let number = node * 1_000_000 + incarnation + 1;
    let mut timing = Timing::default();
    if !seals {
        timing.seal = Duration::from_secs(1 << 40);
    }
    Ok(Config {
        cluster: "restarts"
            .parse::<ClusterId>()
            .map_err(|error| error.to_string())?,
        replica: ReplicaId::new(node + 1, incarnation + 1),
        node: name(node)?,
        nonce: number,
        seed: number,
        peers: (0..NODES).map(name).collect::<Result<_, _>>()?,
        bootstrap: false,
        timing,
        limits: Limits::default(),
        chunk: dd_gossip::MAX_CHUNK,
        shared: dd_gossip::MIN_SHARED,
        part: dd_gossip::MAX_PART,
    })
}

fn look(mesh: &mut Mesh, restarts: u64, before: &mut dd_gossip::Counts) -> Sizes {
    let replica = &mut mesh.replicas[0];
    let (state, counts) = (replica.state(), replica.counts());
    let mut context = Writer::new();
    state.context().encode(&mut context);
    let average = |bytes: u64, frames: u64| bytes.checked_div(frames).unwrap_or(0);
    let (digest, want) = (counts.sent.digest, counts.sent.want);
    let wants = want.frames - before.sent.want.frames;
    let want_bytes = want.bytes - before.sent.want.bytes;
    *before = counts;
    Sizes {
        restarts,
        context: context.finish().len(),
        origins: state.context().origins(),
        digest: average(digest.bytes, digest.frames),
        want: average(want_bytes, wants),
        floors: state.floor().iter().count(),
    }
}
