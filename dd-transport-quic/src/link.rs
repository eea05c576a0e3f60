//! The tasks of a connection that stands: one writes queued frames, one reads, one reads datagrams.
//!
//! The reader alone says that the connection has ended, after it has queued all that came before
//! the end; so an end never overtakes frames.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use dd_gossip::NodeId;
use quinn::{Connection, ReadError, RecvStream, SendStream, WriteError};
use tokio::sync::mpsc;
use tracing::debug;

use crate::close_code::CloseCode;
use crate::frame_parser::{FrameParser, PREFIX};
use crate::link_state::{LinkId, LinkWakers};
use crate::registry::{Admitted, Delivery, WriteStep};
use crate::send_window::SendWindow;
use crate::shared::Shared;
use crate::transport_words::connection_error;

/// Most bytes taken from a stream at once.
const READ_SIZE: usize = 64 * 1024;

/// Starts the tasks. With `confirm` the writer first tells the peer that the connection stands.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    peer: NodeId,
    admitted: Admitted,
    connection: &Connection,
    send: SendStream,
    recv: RecvStream,
    confirm: Option<u64>,
) {
    let Admitted {
        link,
        wakers,
        writer,
        ..
    } = admitted;
    let task = Link {
        shared: Arc::clone(shared),
        link,
        peer,
        connection: connection.clone(),
        wakers,
    };
    let writing = task.clone();
    tokio::spawn(async move { writing.write(send, confirm, writer).await });
    let datagrams = task.clone();
    tokio::spawn(async move { datagrams.read_datagrams().await });
    tokio::spawn(async move { task.read(recv).await });
}

#[derive(Clone)]
struct Link {
    shared: Arc<Shared>,
    link: LinkId,
    peer: NodeId,
    connection: Connection,
    wakers: LinkWakers,
}

impl Link {
    async fn write(&self, mut send: SendStream, confirm: Option<u64>, writer: mpsc::Sender<()>) {
        match self.write_all(&mut send, confirm).await {
            Ok(()) | Err(WriteError::ConnectionLost(_)) => {}
            Err(error) => {
                let reason = format!("node {} stopped taking frames ({error})", self.peer);
                self.violation(&reason);
            }
        }
        // Tells a closing transport that this connection is done with.
        drop(writer);
    }

    async fn write_all(
        &self,
        send: &mut SendStream,
        confirm: Option<u64>,
    ) -> Result<(), WriteError> {
        if let Some(number) = confirm {
            send.write_all(&number.to_be_bytes()).await?;
        }
        let mut window = SendWindow::new(self.shared.config.send_window);
        let mut batch = Vec::new();
        loop {
            match self
                .shared
                .with(|registry| registry.write_step(self.link, &mut batch))
            {
                WriteStep::Write => {
                    let piece = coalesce(&mut batch);
                    if window.write(piece.len()) {
                        self.follow_path(&mut window);
                    }
                    send.write_chunk(piece).await?;
                }
                WriteStep::Wait => self.wakers.write.notified().await,
                WriteStep::Gone => return Ok(()),
                WriteStep::Finish => {
                    self.finish(send).await;
                    return Ok(());
                }
            }
        }
    }

    /// Gives QUIC as much as the path takes by now.
    fn follow_path(&self, window: &mut SendWindow) {
        if window.follow(self.connection.stats().path.cwnd) {
            self.connection.set_send_window(window.size());
            self.shared
                .with(|registry| registry.set_queue(self.link, window.queue()));
        }
    }

    /// Ends the stream, and waits until the peer has taken it all: it then closes the connection,
    /// or, when it is closing too, finishes its own stream. The transport puts a limit to this.
    async fn finish(&self, send: &mut SendStream) {
        if send.finish().is_err() || send.stopped().await.is_err() {
            return;
        }
        let peer_finished = async {
            while !self
                .shared
                .with(|registry| registry.is_peer_finished(self.link))
            {
                self.wakers.write.notified().await;
            }
        };
        tokio::select! {
            _ = self.connection.closed() => {}
            () = peer_finished => CloseCode::Bye.close(&self.connection, "shutting down"),
        }
        debug!(peer = %self.peer, "flushed");
    }

    async fn read(&self, mut recv: RecvStream) {
        let mut parser = FrameParser::default();
        let mut frames = VecDeque::new();
        loop {
            let chunk = match recv.read_chunk(READ_SIZE, true).await {
                Ok(Some(chunk)) => chunk.bytes,
                Ok(None) => return self.finished(&parser).await,
                Err(ReadError::ConnectionLost(error)) => {
                    let reason = connection_error(&error);
                    return self
                        .shared
                        .with(|registry| registry.end(self.link, &reason));
                }
                Err(error) => {
                    let reason = format!("node {} broke off its stream ({error})", self.peer);
                    return self.violation(&reason);
                }
            };
            let parsed = parser.feed(&chunk, &mut frames);
            drop(chunk);
            if !self.deliver(&mut frames).await {
                return;
            }
            if let Err(error) = parsed {
                return self.violation(&format!("node {} sent {error}", self.peer));
            }
        }
    }

    /// Passes datagrams on as long as the connection stands. For which there is no room are lost.
    async fn read_datagrams(&self) {
        let mut frames = VecDeque::new();
        while let Ok(datagram) = self.connection.read_datagram().await {
            if datagram.is_empty() {
                continue;
            }
            frames.push_back(datagram);
            let delivery = self
                .shared
                .with(|registry| registry.deliver(self.link, &mut frames));
            frames.clear();
            if delivery == Delivery::Gone {
                return;
            }
        }
    }

    /// Queues frames, waiting for room; false when the connection no longer stands.
    async fn deliver(&self, frames: &mut VecDeque<Bytes>) -> bool {
        loop {
            match self
                .shared
                .with(|registry| registry.deliver(self.link, frames))
            {
                Delivery::Taken => return true,
                Delivery::Gone => return false,
                Delivery::Full => self.wakers.read.notified().await,
            }
        }
    }

    /// The peer has finished its stream: it is closing and waits for us to have taken everything.
    async fn finished(&self, parser: &FrameParser) {
        if parser.is_inside_frame() {
            return self.violation(&format!("node {} ended inside a frame", self.peer));
        }
        if self
            .shared
            .with(|registry| registry.peer_finished(self.link))
        {
            // We are closing too; the writer ends the connection when the peer has our frames.
            let error = self.connection.closed().await;
            let reason = connection_error(&error);
            self.shared
                .with(|registry| registry.end(self.link, &reason));
        } else {
            self.shared.with(|registry| {
                registry.close_link(self.link, CloseCode::Bye, "the peer shut down");
            });
        }
    }

    fn violation(&self, reason: &str) {
        tracing::warn!(peer = %self.peer, reason, "violation");
        self.shared.with(|registry| {
            registry.close_link(self.link, CloseCode::Violation, reason);
        });
    }
}

/// Frames with their lengths in one piece, so that many small ones cost one call and few packets.
fn coalesce(batch: &mut Vec<Bytes>) -> Bytes {
    let size = batch.iter().map(|frame| PREFIX + frame.len()).sum();
    let mut piece = BytesMut::with_capacity(size);
    for frame in batch.drain(..) {
        // At most MAX_FRAME, checked when it was accepted.
        piece.put_u32(frame.len() as u32);
        piece.put_slice(&frame);
    }
    piece.freeze()
}
