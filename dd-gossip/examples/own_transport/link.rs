//! The task of one connection: writes what is queued, reads frames, and ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dd_gossip::{MAX_FRAME, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::state::{LinkId, Slot};
use crate::tcp::{GOODBYE, Shared};

/// Longest reason, in bytes.
const MAX_REASON: usize = 1024;
/// How long a peer may take to hear why it is disconnected.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that stands. Dropping it ends it.
pub(crate) struct Admitted {
    guard: Guard,
    outbox: mpsc::Receiver<bytes::Bytes>,
    goodbye: watch::Receiver<Option<String>>,
    inbox: Arc<Semaphore>,
}

/// Ends the connection when its task is over, however that comes.
struct Guard {
    shared: Arc<Shared>,
    peer: NodeId,
    id: LinkId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.with(|state| state.finish(&self.peer, self.id));
    }
}

impl Admitted {
    pub(crate) fn new(shared: Arc<Shared>, peer: NodeId, slot: Slot) -> Self {
        let id = slot.id;
        Self {
            guard: Guard { shared, peer, id },
            outbox: slot.outbox,
            goodbye: slot.goodbye,
            inbox: slot.inbox,
        }
    }

    /// Carries frames until the connection ends.
    pub(crate) async fn run(self, mut stream: TcpStream) {
        let Self {
            guard,
            outbox,
            goodbye,
            inbox,
        } = self;
        let (reading, writing) = stream.split();
        let reason = tokio::select! {
            result = read(&guard, BufReader::new(reading), inbox) => match result {
                Ok(reason) => reason,
                Err(error) => format!("the connection is lost: {error}"),
            },
            error = write(&guard, BufWriter::new(writing), outbox, goodbye.clone()) => {
                format!("the connection is lost: {error}")
            }
            () = farewell(goodbye) => return,
        };
        let Guard { shared, peer, id } = &guard;
        shared.with(|state| state.end(peer, *id, &reason));
    }
}

/// Reads frames until the peer ends the connection, and returns why it did.
async fn read(
    guard: &Guard,
    mut stream: BufReader<ReadHalf<'_>>,
    inbox: Arc<Semaphore>,
) -> io::Result<String> {
    loop {
        // The application has room for a frame, or the peer must wait.
        let place = Arc::clone(&inbox).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let length = match stream.read_u32().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok("the peer closed the connection".to_owned());
            }
            length => length?,
        };
        if length == GOODBYE {
            let length = usize::from(stream.read_u16().await?).min(MAX_REASON);
            let mut reason = vec![0; length];
            stream.read_exact(&mut reason).await?;
            return Ok(String::from_utf8_lossy(&reason).into_owned());
        }
        let length = length as usize;
        if length == 0 || length > MAX_FRAME {
            return Ok(format!("the peer sent a frame of {length} bytes"));
        }
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        let Guard { shared, peer, id } = guard;
        shared.with(|state| state.receive(peer, *id, frame.into(), place));
    }
}

/// Writes frames until there will be no more, then says so and leaves the end to the peer: closing
/// while it still sends could destroy what is on its way.
async fn write(
    guard: &Guard,
    mut stream: BufWriter<WriteHalf<'_>>,
    mut outbox: mpsc::Receiver<bytes::Bytes>,
    mut goodbye: watch::Receiver<Option<String>>,
) -> io::Error {
    let written = async {
        loop {
            let frame = tokio::select! {
                biased;
                Some(reason) = said(&mut goodbye) => {
                    let reason = &reason.as_bytes()[..reason.len().min(MAX_REASON)];
                    stream.write_u32(GOODBYE).await?;
                    stream.write_u16(reason.len() as u16).await?;
                    stream.write_all(reason).await?;
                    break;
                }
                frame = outbox.recv() => frame,
            };
            let Some(frame) = frame else { break };
            let Guard { shared, peer, id } = guard;
            shared.with(|state| state.taken(peer, *id));
            stream.write_u32(frame.len() as u32).await?;
            stream.write_all(&frame).await?;
            if outbox.is_empty() {
                stream.flush().await?;
            }
        }
        stream.shutdown().await
    };
    match written.await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// The reason for which the connection is ended here, or `None` if there will be none.
async fn said(goodbye: &mut watch::Receiver<Option<String>>) -> Option<String> {
    let reason = goodbye.wait_for(Option::is_some).await;
    reason.ok().and_then(|reason| reason.clone())
}

/// Ready when a connection that was ended with a reason has had its time.
async fn farewell(mut goodbye: watch::Receiver<Option<String>>) {
    match said(&mut goodbye).await {
        Some(_) => tokio::time::sleep(FAREWELL).await,
        None => std::future::pending().await,
    }
}
