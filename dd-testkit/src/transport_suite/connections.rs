//! Clauses about connections: how they come, that there is one, that they come again.

use dd_gossip::{SendError, Transport, TransportEvent};

use super::pair::{End, Pair, Side, accept, node, unexpected};
use super::{Clause, TransportFactory, Violation};

/// Both dial so often; a race shows in one of them.
const DIALS: usize = 10;
/// Round trips enough for a second connection of the pair to come up.
const ROUND_TRIPS: usize = 20;

/// Without a connection frames are refused, and `disconnect` does nothing.
///
/// # Errors
///
/// A [`Violation`].
pub async fn not_connected<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let mut pair = Pair::strangers(factory)?;
    let stranger = node("c")?;
    refused(&mut pair.left, "before any connect")?;
    pair.left.transport.disconnect(&stranger, "no reason");
    let address = pair.right.address.clone();
    pair.left.dial(&address)?;
    pair.await_connected(factory, Clause::Connects).await?;
    let answer = pair.left.transport.send(&stranger, vec![1].into());
    if answer != Err(SendError::NotConnected) {
        let what = format!("a frame for an unknown node was answered with {answer:?}");
        return Err(Violation::new(Clause::NotConnected, what));
    }
    pair.left.transport.disconnect(&stranger, "no reason");
    pair.round_trip(factory, Clause::NotConnected).await
}

fn refused<T: Transport>(end: &mut End<T>, when: &str) -> Result<(), Violation> {
    match end.send(&b"x"[..]) {
        Err(SendError::NotConnected) => Ok(()),
        answer => {
            let what = format!("a frame {when} was answered with {answer:?}");
            Err(Violation::new(Clause::NotConnected, what))
        }
    }
}

/// An address that can't be understood is refused at once; a later address replaces the former.
///
/// # Errors
///
/// A [`Violation`].
pub async fn addresses<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let mut pair = Pair::strangers(factory)?;
    let bad = factory.bad_address();
    let other = pair.right.node.clone();
    if pair.left.transport.connect(&other, &bad).is_ok() {
        let what = format!("the address {bad:?} was accepted");
        return Err(Violation::new(Clause::Addresses, what));
    }
    // The right one's address while another process had it, and its present one.
    let former = std::mem::take(&mut pair.right.address);
    let End { transport, .. } = pair.right;
    drop(transport);
    pair.right = End::make(factory, "b", "a")?;
    pair.left.dial(&former)?;
    let address = pair.right.address.clone();
    pair.left.dial(&address)?;
    pair.await_connected(factory, Clause::Addresses).await?;
    pair.left.dial(&address)?;
    pair.round_trip(factory, Clause::Addresses).await
}

/// When both dial at once, each gets one `Connected`, and that connection stays.
///
/// # Errors
///
/// A [`Violation`].
pub async fn both_dial<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    for _ in 0..DIALS {
        let mut pair = Pair::strangers(factory)?;
        let (left, right) = (pair.left.address.clone(), pair.right.address.clone());
        pair.left.dial(&right)?;
        pair.right.dial(&left)?;
        once(factory, &mut pair)
            .await
            .map_err(|violation| match violation.clause {
                Clause::EventOrder => Violation::new(Clause::OneConnection, violation.what),
                _ => violation,
            })?;
    }
    Ok(())
}

async fn once<F: TransportFactory>(
    factory: &F,
    pair: &mut Pair<F::Transport>,
) -> Result<(), Violation> {
    pair.await_connected(factory, Clause::OneConnection).await?;
    for _ in 0..ROUND_TRIPS {
        pair.round_trip(factory, Clause::OneConnection).await?;
    }
    Ok(())
}

/// A connection that either side ends comes again; frames of the former one don't come after its
/// `Disconnected`, and the peer is told why.
///
/// # Errors
///
/// A [`Violation`].
pub async fn reconnects<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    const REASON: &str = "a frame that can't be accepted";

    let mut pair = Pair::connected(factory).await?;
    for side in [Side::Left, Side::Right] {
        let former = &b"of the former connection"[..];
        accept(Clause::Reconnects, pair.left.send(former))?;
        accept(Clause::Reconnects, pair.right.send(former))?;
        let end = pair.end(side);
        let peer = match side {
            Side::Left => node("b")?,
            Side::Right => node("a")?,
        };
        end.transport.disconnect(&peer, REASON);
        for (at, told) in [
            (Side::Left, side != Side::Left),
            (Side::Right, side != Side::Right),
        ] {
            let reason = await_end(factory, &mut pair, at).await?;
            if told && !reason.contains(REASON) {
                let what = format!("the peer was told {reason:?}, not the reason {REASON:?}");
                return Err(Violation::new(Clause::Reconnects, what));
            }
        }
        pair.await_connected(factory, Clause::Reconnects).await?;
        // Would find a frame of the former connection.
        pair.round_trip(factory, Clause::EventOrder).await?;
    }
    Ok(())
}

/// The reason of the next `Disconnected`; frames may come before it.
async fn await_end<F: TransportFactory>(
    factory: &F,
    pair: &mut Pair<F::Transport>,
    side: Side,
) -> Result<String, Violation> {
    let clause = Clause::Reconnects;
    loop {
        match pair.event(factory, side, clause, "Disconnected").await? {
            TransportEvent::Disconnected { reason, .. } => return Ok(reason),
            TransportEvent::Frame { .. } => {}
            other => return Err(unexpected(clause, &other, "Disconnected")),
        }
    }
}
