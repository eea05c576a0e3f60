//! Clauses about the end: a clean close, what comes after it, and a drop.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use dd_gossip::{SendError, Transport, TransportEvent};

use super::pair::{End, Pair, Side, accept, number_of, numbered, unexpected, within};
use super::{Clause, TransportFactory, Violation};

const LENGTH: usize = 1000;
/// Frames sent before a close at most; fewer if the queue is full earlier.
const FRAMES: u32 = 2000;

/// A clean close delivers what was accepted, then the peer gets `Disconnected`, and the closing
/// ends.
///
/// # Errors
///
/// A [`Violation`].
pub async fn clean_close<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let clause = Clause::CleanClose;
    let mut pair = Pair::connected(factory).await?;
    let mut sent = 0;
    while sent < FRAMES {
        match pair.left.send(numbered(sent, LENGTH)) {
            Ok(()) => sent += 1,
            Err(SendError::Full) => break,
            Err(error) => accept(clause, Err(error))?,
        }
    }
    let Pair {
        mut left,
        mut right,
    } = pair;
    left.transport.close();
    let (mut closed, mut ended, mut received) = (false, false, 0);
    while !(closed && ended) {
        let step = poll_fn(|cx| {
            if !closed && left.transport.poll_closed(cx).is_ready() {
                return Poll::Ready(None);
            }
            right.poll(cx).map(Some)
        });
        match within(factory, step).await {
            Some(None) => closed = true,
            Some(Some(event)) => match event? {
                TransportEvent::Frame { frame, .. } => {
                    if number_of(&frame, LENGTH) != Some(received) {
                        let what = format!("another frame came in the place of frame {received}");
                        return Err(Violation::new(clause, what));
                    }
                    received += 1;
                }
                TransportEvent::Disconnected { .. } => ended = true,
                other => return Err(unexpected(clause, &other, "frames, then Disconnected")),
            },
            None => {
                let what = format!(
                    "{received} of {sent} frames arrived; closing ended: {closed}; \
                     the peer was told: {ended}"
                );
                return Err(Violation::new(clause, what));
            }
        }
    }
    if received != sent {
        let what = format!("{sent} frames were accepted and {received} arrived before the end");
        return Err(Violation::new(clause, what));
    }
    Ok(())
}

/// After `close` nothing is accepted, there are no events although a peer sends and though some
/// waited, `connect` does nothing, and closing again changes nothing.
///
/// # Errors
///
/// A [`Violation`].
pub async fn after_close<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let clause = Clause::AfterClose;
    let mut pair = Pair::connected(factory).await?;
    // So that something may wait at the left side.
    for number in 0..10 {
        match pair.right.send(numbered(number, LENGTH)) {
            Err(SendError::Full) => break,
            other => accept(clause, other)?,
        }
    }
    let address = pair.right.address.clone();
    pair.left.transport.close();
    let answer = pair.left.send(&b"late"[..]);
    if answer != Err(SendError::NotConnected) {
        let what = format!("a frame after close was answered with {answer:?}");
        return Err(Violation::new(clause, what));
    }
    let peer = pair.right.node.clone();
    let _ = pair.left.transport.connect(&peer, &address);
    let _ = pair.right.send(numbered(10, LENGTH));
    let mut quiet = pin!(factory.sleep(factory.quiet()));
    let mut closed = false;
    let event = poll_fn(|cx| {
        while pair.right.poll(cx).is_ready() {}
        closed = closed || pair.left.transport.poll_closed(cx).is_ready();
        match pair.left.transport.poll_event(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => quiet.as_mut().poll(cx).map(|()| None),
        }
    });
    if let Some(event) = event.await {
        return Err(unexpected(clause, &event, "no more events"));
    }
    pair.left.transport.close();
    let step = poll_fn(|cx| {
        while pair.right.poll(cx).is_ready() {}
        pair.left.transport.poll_closed(cx)
    });
    match within(factory, step).await {
        Some(()) => Ok(()),
        None => Err(Violation::new(clause, "closing did not end")),
    }
}

/// When a transport is dropped, its peer gets `Disconnected`; when the node is there again and
/// dials, `Connected`.
///
/// # Errors
///
/// A [`Violation`].
pub async fn drop_ends<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let clause = Clause::DropEnds;
    let Pair { left, mut right } = Pair::connected(factory).await?;
    drop(left);
    let event = within(factory, poll_fn(|cx| right.poll(cx))).await;
    match event.transpose()? {
        Some(TransportEvent::Disconnected { .. }) => {}
        Some(other) => return Err(unexpected(clause, &other, "Disconnected")),
        None => return Err(Violation::new(clause, "the peer was not told")),
    }
    let answer = right.send(&b"x"[..]);
    if answer != Err(SendError::NotConnected) {
        let what = format!("a frame after Disconnected was answered with {answer:?}");
        return Err(Violation::new(Clause::NotConnected, what));
    }
    let left = End::make(factory, "a", "b")?;
    let mut pair = Pair { left, right };
    let address = pair.right.address.clone();
    pair.left.dial(&address)?;
    pair.await_connected(factory, Clause::Reconnects).await?;
    pair.round_trip(factory, Clause::Reconnects).await?;
    accept(clause, pair.end(Side::Left).send(&b"x"[..]))
}
