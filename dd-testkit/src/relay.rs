//! A relay in front of a node: carries datagrams between it and those who dial it, and can be cut or slowed down
//! for each of them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a relay looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Larger than any datagram of QUIC.
const DATAGRAM: usize = 65_536;

/// The other nodes dial one node at [`address`](Self::address).
#[derive(Debug)]
pub struct Relay {
    /// Where they send to.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where all diallers send to.
    near: UdpSocket,
    target: Mutex<Option<SocketAddr>>,
    wires: Vec<Wire>,
    ended: AtomicBool,
}

/// To one dialler.
#[derive(Debug)]
struct Wire {
    /// Where its datagrams go on from, so that answers tell whom they are for.
    far: UdpSocket,
    dialler: Mutex<Option<SocketAddr>>,
    cut: AtomicBool,
    /// Bytes a second; 0 is as fast as can be.
    rate: AtomicU32,
}

impl Relay {
    /// For so many diallers.
    ///
    /// # Errors
    ///
    /// What binding a socket on loopback gives.
    pub fn new(diallers: usize) -> io::Result<Self> {
        let near = socket()?;
        let address = near.local_addr()?;
        let wires = (0..diallers).map(|_| Wire::new());
        let shared = Arc::new(Shared {
            near,
            target: Mutex::new(None),
            wires: wires.collect::<io::Result<_>>()?,
            ended: AtomicBool::new(false),
        });
        let inbound = Arc::clone(&shared);
        std::thread::spawn(move || inbound.carry_in());
        for from in 0..diallers {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.carry_out(&shared.wires[from]));
        }
        Ok(Self { address, shared })
    }

    /// Where the dialled node listens.
    pub fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    /// Where the packets of a dialler come from; those of strangers are dropped.
    pub fn carry_from(&self, dialler: usize, address: SocketAddr) {
        *lock(&self.shared.wires[dialler].dialler) = Some(address);
    }

    /// Drops what a dialler sends and what it is answered, or not any more.
    pub fn set_cut(&self, dialler: usize, cut: bool) {
        self.shared.wires[dialler].cut.store(cut, Ordering::Relaxed);
    }

    /// Carries so many bytes a second between the node and a dialler, or as many as can be. What waits to be
    /// carried to the node holds up what others send to it, by a tenth of a second or so.
    pub fn set_rate(&self, dialler: usize, rate: Option<u32>) {
        let rate = rate.unwrap_or(0);
        self.shared.wires[dialler]
            .rate
            .store(rate, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Wire {
    fn new() -> io::Result<Self> {
        Ok(Self {
            far: socket()?,
            dialler: Mutex::new(None),
            cut: AtomicBool::new(false),
            rate: AtomicU32::new(0),
        })
    }

    /// Takes the time that so many bytes take.
    fn pace(&self, bytes: usize) {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate > 0 {
            std::thread::sleep(Duration::from_secs_f64(bytes as f64 / f64::from(rate)));
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// From diallers to the node.
    fn carry_in(&self) {
        let mut datagram = vec![0; DATAGRAM];
        while !self.has_ended() {
            // A time-out, or word that nobody listens at the other end: go on.
            let Ok((len, sender)) = self.near.recv_from(&mut datagram) else {
                continue;
            };
            let mut wires = self.wires.iter();
            let wire = wires.find(|wire| *lock(&wire.dialler) == Some(sender));
            let target = *lock(&self.target);
            if let (Some(wire), Some(target)) = (wire.filter(|wire| !wire.is_cut()), target) {
                // Datagrams may be lost; QUIC sends again.
                let _ = wire.far.send_to(&datagram[..len], target);
                wire.pace(len);
            }
        }
    }

    /// From the node to one dialler.
    fn carry_out(&self, wire: &Wire) {
        let mut datagram = vec![0; DATAGRAM];
        while !self.has_ended() {
            let Ok((len, _)) = wire.far.recv_from(&mut datagram) else {
                continue;
            };
            let dialler = *lock(&wire.dialler);
            if let Some(dialler) = dialler.filter(|_| !wire.is_cut()) {
                let _ = self.near.send_to(&datagram[..len], dialler);
                wire.pace(len);
            }
        }
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
