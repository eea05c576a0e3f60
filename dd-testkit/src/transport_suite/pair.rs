//! Two transports, and the events that come from both, checked for their order.
//!
//! Both are polled whenever one is waited for: a transport may do its work only while it is polled.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use dd_gossip::{NodeId, SendError, Transport, TransportEvent};

use super::{Clause, TransportFactory, Violation};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A transport, and what is known of its connection with the other one.
pub(super) struct End<T> {
    pub(super) transport: T,
    pub(super) node: NodeId,
    pub(super) address: String,
    other: NodeId,
    connected: bool,
    /// `send` answered `Full`, and `Writable` did not come yet.
    pub(super) waits: bool,
    events: VecDeque<TransportEvent>,
}

pub(super) struct Pair<T> {
    pub(super) left: End<T>,
    pub(super) right: End<T>,
}

pub(super) fn node(name: &str) -> Result<NodeId, Violation> {
    name.parse()
        .map_err(|error| Violation::new(Clause::Connects, format!("{name}: {error}")))
}

/// The result of a future, or `None` when the factory's patience is over.
pub(super) async fn within<F: TransportFactory, R>(
    factory: &F,
    future: impl Future<Output = R>,
) -> Option<R> {
    let mut future = pin!(future);
    let mut limit = pin!(factory.sleep(factory.patience()));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => limit.as_mut().poll(cx).map(|()| None),
    })
    .await
}

impl<T: Transport> End<T> {
    pub(super) fn make<F>(factory: &mut F, name: &str, other: &str) -> Result<Self, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        let (own, other) = (node(name)?, node(other)?);
        let (transport, address) = factory.make(&own);
        Ok(Self {
            transport,
            node: own,
            address,
            other,
            connected: false,
            waits: false,
            events: VecDeque::new(),
        })
    }

    /// Dials the other one.
    pub(super) fn dial(&mut self, address: &str) -> Result<(), Violation> {
        self.transport
            .connect(&self.other, address)
            .map_err(|error| Violation::new(Clause::Addresses, error.to_string()))
    }

    /// Sends to the other one.
    pub(super) fn send(&mut self, frame: impl Into<Bytes>) -> Result<(), SendError> {
        let result = self.transport.send(&self.other, frame.into());
        self.waits |= result == Err(SendError::Full);
        result
    }

    /// The next event of its own, from the transport, its order checked.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<TransportEvent, Violation>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(Ok(event));
        }
        self.poll_transport(cx)
    }

    fn poll_transport(&mut self, cx: &mut Context<'_>) -> Poll<Result<TransportEvent, Violation>> {
        loop {
            let event = std::task::ready!(self.transport.poll_event(cx));
            if matches!(event, TransportEvent::Refused { .. }) {
                continue;
            }
            return Poll::Ready(self.check(&event).map(|()| event));
        }
    }

    fn check(&mut self, event: &TransportEvent) -> Result<(), Violation> {
        let wrong = |clause, what: &str| {
            let event = in_words(event);
            Err(Violation::new(
                clause,
                format!("{}: {event} {what}", self.node),
            ))
        };
        let (peer, opens) = match event {
            TransportEvent::Connected { peer } => (peer, true),
            TransportEvent::Frame { peer, .. }
            | TransportEvent::Writable { peer }
            | TransportEvent::Disconnected { peer, .. } => (peer, false),
            _ => return Ok(()),
        };
        if *peer != self.other {
            return wrong(Clause::EventOrder, "of a node that nobody made");
        }
        match (opens, self.connected) {
            (true, true) => return wrong(Clause::EventOrder, "while connected"),
            (false, false) => return wrong(Clause::EventOrder, "while not connected"),
            _ => {}
        }
        match event {
            TransportEvent::Frame { frame, .. } => {
                if frame.is_empty() || frame.len() > dd_gossip::MAX_FRAME {
                    return wrong(Clause::FrameSizes, "of a forbidden size");
                }
            }
            TransportEvent::Writable { .. } => {
                if !self.waits {
                    return wrong(Clause::BackPressure, "without Full since the last one");
                }
                self.waits = false;
            }
            _ => {
                self.connected = opens;
                self.waits = false;
            }
        }
        Ok(())
    }
}

impl<T: Transport> Pair<T> {
    /// Two transports that know nothing of each other.
    pub(super) fn strangers<F>(factory: &mut F) -> Result<Self, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        Ok(Self {
            left: End::make(factory, "a", "b")?,
            right: End::make(factory, "b", "a")?,
        })
    }

    /// Two that are connected, the left one having dialled.
    pub(super) async fn connected<F>(factory: &mut F) -> Result<Self, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        let mut pair = Self::strangers(factory)?;
        let address = pair.right.address.clone();
        pair.left.dial(&address)?;
        pair.await_connected(factory, Clause::Connects).await?;
        Ok(pair)
    }

    /// Waits until each side has said that it is connected, as its next event.
    pub(super) async fn await_connected<F>(
        &mut self,
        factory: &F,
        clause: Clause,
    ) -> Result<(), Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        for side in [Side::Left, Side::Right] {
            let event = self.event(factory, side, clause, "Connected").await?;
            if !matches!(event, TransportEvent::Connected { .. }) {
                return Err(unexpected(clause, &event, "Connected"));
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End<T> {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// The next event of one side; the other's are kept.
    pub(super) async fn event<F>(
        &mut self,
        factory: &F,
        side: Side,
        clause: Clause,
        awaited: &str,
    ) -> Result<TransportEvent, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        let event = within(factory, poll_fn(|cx| self.poll_side(side, cx))).await;
        event.unwrap_or_else(|| {
            let node = &self.end(side).node;
            Err(Violation::new(clause, format!("{node}: no {awaited} came")))
        })
    }

    fn poll_side(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<TransportEvent, Violation>> {
        let (own, other) = match side {
            Side::Left => (&mut self.left, &mut self.right),
            Side::Right => (&mut self.right, &mut self.left),
        };
        while let Poll::Ready(event) = other.poll_transport(cx) {
            match event {
                Ok(event) => other.events.push_back(event),
                Err(violation) => return Poll::Ready(Err(violation)),
            }
        }
        own.poll(cx)
    }

    /// The next event of either side, or `None` if none comes.
    pub(super) async fn either<F>(
        &mut self,
        factory: &F,
    ) -> Result<Option<(Side, TransportEvent)>, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        let event = poll_fn(|cx| {
            if let Poll::Ready(event) = self.left.poll(cx) {
                return Poll::Ready(event.map(|event| (Side::Left, event)));
            }
            let event = self.right.poll(cx);
            event.map(|event| event.map(|event| (Side::Right, event)))
        });
        within(factory, event).await.transpose()
    }

    /// The next frame of one side; anything else is against the clause.
    pub(super) async fn frame<F>(
        &mut self,
        factory: &F,
        side: Side,
        clause: Clause,
    ) -> Result<Bytes, Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        match self.event(factory, side, clause, "frame").await? {
            TransportEvent::Frame { frame, .. } => Ok(frame),
            other => Err(unexpected(clause, &other, "a frame")),
        }
    }

    /// Sends a frame each way and awaits both as the next events, so that whatever should not have
    /// come would have come by now.
    pub(super) async fn round_trip<F>(
        &mut self,
        factory: &F,
        clause: Clause,
    ) -> Result<(), Violation>
    where
        F: TransportFactory<Transport = T>,
    {
        for (from, to) in [(Side::Left, Side::Right), (Side::Right, Side::Left)] {
            accept(clause, self.end(from).send(&b"marker"[..]))?;
            let frame = self.frame(factory, to, clause).await?;
            if frame != b"marker"[..] {
                let what = format!("a frame of {} bytes that was not sent now", frame.len());
                return Err(Violation::new(clause, what));
            }
        }
        Ok(())
    }
}

/// A frame must have been taken.
pub(super) fn accept(clause: Clause, sent: Result<(), SendError>) -> Result<(), Violation> {
    sent.map_err(|error| Violation::new(clause, format!("a frame was refused: {error}")))
}

pub(super) fn unexpected(clause: Clause, event: &TransportEvent, awaited: &str) -> Violation {
    let event = in_words(event);
    Violation::new(clause, format!("{event} came instead of {awaited}"))
}

fn in_words(event: &TransportEvent) -> String {
    match event {
        TransportEvent::Frame { peer, frame } => {
            format!("a frame of {} bytes from {peer}", frame.len())
        }
        other => format!("{other:?}"),
    }
}

/// A frame of a length, at least 4, that begins with a number and is filled by it.
pub(super) fn numbered(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![number as u8; length];
    frame[..4].copy_from_slice(&number.to_be_bytes());
    frame
}

/// The number of a frame made by [`numbered`], if it is whole.
pub(super) fn number_of(frame: &[u8], length: usize) -> Option<u32> {
    let (number, _) = frame.split_first_chunk()?;
    let number = u32::from_be_bytes(*number);
    (frame == numbered(number, length)).then_some(number)
}
