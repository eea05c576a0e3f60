//! Clauses about frames on a connection that stands.

use dd_gossip::{MAX_FRAME, SendError, TransportEvent};

use super::pair::{Pair, Side, accept, number_of, numbered};
use super::{Clause, TransportFactory, Violation};

/// Frames sent in one go; together less than any queue that is worth having.
const FRAMES: u32 = 100;
const LENGTH: usize = 200;

/// Frames arrive whole, all, in order and once, both ways.
///
/// # Errors
///
/// A [`Violation`].
pub async fn in_order<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let mut pair = Pair::connected(factory).await?;
    for (from, to) in [(Side::Left, Side::Right), (Side::Right, Side::Left)] {
        let mut sent = 0;
        let mut received = Vec::new();
        while received.len() < FRAMES as usize {
            while sent < FRAMES && !pair.end(from).waits {
                match pair.end(from).send(numbered(sent, LENGTH)) {
                    Ok(()) => sent += 1,
                    Err(SendError::Full) => {}
                    Err(error) => accept(Clause::FramesArrive, Err(error))?,
                }
            }
            match pair.either(factory).await? {
                Some((side, TransportEvent::Frame { frame, .. })) if side == to => {
                    received.push(number_of(&frame, LENGTH).ok_or_else(|| {
                        Violation::new(Clause::FramesWhole, "a frame has other bytes than any sent")
                    })?);
                }
                Some((_, TransportEvent::Writable { .. })) => {}
                Some((_, other)) => {
                    let what = super::pair::unexpected(Clause::FramesArrive, &other, "a frame");
                    return Err(what);
                }
                None => break,
            }
        }
        judge(received)?;
    }
    pair.round_trip(factory, Clause::FramesInOrder).await
}

/// Tells a loss from a wrong order.
fn judge(received: Vec<u32>) -> Result<(), Violation> {
    if received.iter().copied().eq(0..FRAMES) {
        return Ok(());
    }
    let mut sorted = received.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < received.len() {
        return Err(Violation::new(
            Clause::FramesInOrder,
            "a frame arrived twice",
        ));
    }
    if let Some(lost) = (0..FRAMES).find(|number| sorted.binary_search(number).is_err()) {
        let what = format!("frame {lost} of {FRAMES} did not arrive");
        return Err(Violation::new(Clause::FramesArrive, what));
    }
    let at = received.iter().zip(0..).find(|(got, at)| **got != *at);
    let what = at.map(|(got, at)| format!("frame {got} arrived in the place of frame {at}"));
    Err(Violation::new(
        Clause::FramesInOrder,
        what.unwrap_or_default(),
    ))
}

/// Frames of 1 and of `MAX_FRAME` bytes arrive; of 0 and of `MAX_FRAME + 1` they are refused with
/// their size, and the connection goes on.
///
/// # Errors
///
/// A [`Violation`].
pub async fn sizes<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let mut pair = Pair::connected(factory).await?;
    for length in [0, MAX_FRAME + 1] {
        let answer = pair.left.send(vec![7; length]);
        if answer != Err(SendError::Size(length)) {
            let what = format!("a frame of {length} bytes was answered with {answer:?}");
            return Err(Violation::new(Clause::FrameSizes, what));
        }
    }
    for length in [1, MAX_FRAME] {
        let frame = vec![length as u8 | 1; length];
        accept(Clause::FrameSizes, pair.left.send(frame.clone()))?;
        let arrived = pair.frame(factory, Side::Right, Clause::FrameSizes).await?;
        if arrived != frame {
            let what = format!("a frame of {length} bytes arrived with other bytes");
            return Err(Violation::new(Clause::FramesWhole, what));
        }
    }
    pair.round_trip(factory, Clause::FrameSizes).await
}

/// Accepted and delivered frames and their bytes are counted, refused ones are not.
///
/// # Errors
///
/// A [`Violation`].
pub async fn stats<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    use dd_gossip::Transport;

    let mut pair = Pair::connected(factory).await?;
    let stranger = super::pair::node("c")?;
    for number in 0..10 {
        accept(Clause::Stats, pair.left.send(numbered(number, LENGTH)))?;
        let _ = pair.left.send(Vec::new());
        let _ = pair.left.transport.send(&stranger, vec![1].into());
        pair.frame(factory, Side::Right, Clause::Stats).await?;
    }
    let (left, right) = (pair.left.transport.stats(), pair.right.transport.stats());
    let counts = [
        ("frames_sent", left.frames_sent, 10),
        ("bytes_sent", left.bytes_sent, 10 * LENGTH as u64),
        ("frames_received", right.frames_received, 10),
        ("bytes_received", right.bytes_received, 10 * LENGTH as u64),
        ("frames_sent of the receiver", right.frames_sent, 0),
        ("frames_received of the sender", left.frames_received, 0),
    ];
    for (name, counted, actual) in counts {
        if counted != actual {
            let what = format!("{name} is {counted} after {actual}");
            return Err(Violation::new(Clause::Stats, what));
        }
    }
    Ok(())
}
