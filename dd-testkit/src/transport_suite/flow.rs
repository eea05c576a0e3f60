//! Back-pressure from the application that doesn't read to the one that sends.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use dd_gossip::{SendError, TransportEvent};

use super::pair::{Pair, Side, number_of, numbered};
use super::{Clause, TransportFactory, Violation};

const CLAUSE: Clause = Clause::BackPressure;
const LENGTH: usize = 4096;
/// Frames sent after the other side began to read: some times what a queue of 1 MiB holds.
const MORE: u32 = 1000;
/// `send` is tried so often after `Full`; one `Writable` answers them all.
const TRIES: usize = 3;

/// Against a peer that doesn't read, `send` answers `Full` at some point; once it reads, `Writable`
/// comes once for each wait, and everything that was accepted arrives in order.
///
/// # Errors
///
/// A [`Violation`].
pub async fn back_pressure<F: TransportFactory>(factory: &mut F) -> Result<(), Violation> {
    let mut pair = Pair::connected(factory).await?;
    let held = fill(factory, &mut pair).await?;
    read(factory, &mut pair, held).await?;
    pair.round_trip(factory, CLAUSE).await
}

/// Sends until nothing more goes, and returns how many frames went.
async fn fill<F: TransportFactory>(
    factory: &F,
    pair: &mut Pair<F::Transport>,
) -> Result<u32, Violation> {
    let mut sent = 0;
    loop {
        while !pair.left.waits {
            if sent as usize * LENGTH > factory.in_flight() {
                let what = format!("{sent} frames of {LENGTH} bytes were accepted, none was read");
                return Err(Violation::new(CLAUSE, what));
            }
            sent += send_or_wait(pair, sent)?;
        }
        for _ in 1..TRIES {
            sent += send_or_wait(pair, sent)?;
        }
        if !becomes_writable(factory, pair).await? {
            return Ok(sent);
        }
    }
}

/// Sends the frame of this number, and returns 1, or 0 if it must wait.
fn send_or_wait<T: dd_gossip::Transport>(
    pair: &mut Pair<T>,
    number: u32,
) -> Result<u32, Violation> {
    match pair.left.send(numbered(number, LENGTH)) {
        Ok(()) => Ok(1),
        Err(SendError::Full) => Ok(0),
        Err(error) => {
            let what = format!("frame {number} was refused: {error}");
            Err(Violation::new(CLAUSE, what))
        }
    }
}

/// Whether the left side becomes writable although nobody reads: buffers below were filling. Only
/// the left side is polled.
async fn becomes_writable<F: TransportFactory>(
    factory: &F,
    pair: &mut Pair<F::Transport>,
) -> Result<bool, Violation> {
    let mut quiet = pin!(factory.sleep(factory.quiet()));
    let event = poll_fn(|cx| match pair.left.poll(cx) {
        Poll::Ready(event) => Poll::Ready(event.map(Some)),
        Poll::Pending => quiet.as_mut().poll(cx).map(|()| Ok(None)),
    });
    match event.await? {
        None => Ok(false),
        Some(TransportEvent::Writable { .. }) => Ok(true),
        Some(other) => Err(super::pair::unexpected(CLAUSE, &other, "Writable")),
    }
}

/// Reads everything that was accepted, and more that is sent meanwhile.
async fn read<F: TransportFactory>(
    factory: &F,
    pair: &mut Pair<F::Transport>,
    held: u32,
) -> Result<(), Violation> {
    let (mut sent, mut received) = (held, 0);
    while received < held + MORE || pair.left.waits {
        while sent < held + MORE && !pair.left.waits {
            sent += send_or_wait(pair, sent)?;
        }
        match pair.either(factory).await? {
            Some((Side::Right, TransportEvent::Frame { frame, .. })) => {
                if number_of(&frame, LENGTH) != Some(received) {
                    let what = format!("another frame came in the place of frame {received}");
                    return Err(Violation::new(CLAUSE, what));
                }
                received += 1;
            }
            Some((Side::Left, TransportEvent::Writable { .. })) => {}
            Some((_, other)) => return Err(super::pair::unexpected(CLAUSE, &other, "a frame")),
            None if pair.left.waits => {
                let what = format!("no Writable after Full, although {received} frames were read");
                return Err(Violation::new(CLAUSE, what));
            }
            None => {
                let what = format!("{sent} frames were accepted and {received} arrived");
                return Err(Violation::new(CLAUSE, what));
            }
        }
    }
    Ok(())
}
