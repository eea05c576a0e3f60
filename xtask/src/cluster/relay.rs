//! A wire that can be cut: carries datagrams between one node and another.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a wire looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Larger than any datagram of QUIC.
const DATAGRAM: usize = 65_536;

/// One node dials another at [`address`](Self::address).
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    near: UdpSocket,
    far: UdpSocket,
    dialler: Mutex<Option<SocketAddr>>,
    target: Mutex<Option<SocketAddr>>,
    cut: AtomicBool,
    ended: AtomicBool,
}

impl Relay {
    pub(crate) fn new() -> io::Result<Self> {
        let (near, far) = (
            UdpSocket::bind("127.0.0.1:0")?,
            UdpSocket::bind("127.0.0.1:0")?,
        );
        near.set_read_timeout(Some(LOOK))?;
        far.set_read_timeout(Some(LOOK))?;
        let address = near.local_addr()?;
        let shared = Arc::new(Shared {
            near,
            far,
            dialler: Mutex::new(None),
            target: Mutex::new(None),
            cut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        for outbound in [true, false] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.carry(outbound));
        }
        Ok(Self { address, shared })
    }

    /// Where the dialled node listens.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    pub(crate) fn set_cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn carry(&self, outbound: bool) {
        let mut datagram = vec![0; DATAGRAM];
        let (from, to) = if outbound {
            (&self.near, &self.far)
        } else {
            (&self.far, &self.near)
        };
        while !self.ended.load(Ordering::Relaxed) {
            // A time-out, or word that nobody listens at the other end: go on.
            let Ok((len, sender)) = from.recv_from(&mut datagram) else {
                continue;
            };
            if outbound {
                *lock(&self.dialler) = Some(sender);
            }
            let receiver = *lock(if outbound {
                &self.target
            } else {
                &self.dialler
            });
            if let Some(receiver) = receiver.filter(|_| !self.cut.load(Ordering::Relaxed)) {
                // Datagrams may be lost; QUIC sends again.
                let _ = to.send_to(&datagram[..len], receiver);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
