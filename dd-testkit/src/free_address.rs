//! Addresses that are known before anybody listens at them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the system hands out to those that ask for any port: such an address would be given to the next
/// one that asks.
const PORTS: Range<u16> = 10_000..30_000;

/// An address of this machine that no UDP socket has, and that this process is told once. It stays free until
/// somebody takes it by name.
///
/// # Errors
/// Where a socket can't be made, or none of the ports is free.
pub fn free_address() -> io::Result<SocketAddr> {
    static TOLD: AtomicU16 = AtomicU16::new(0);
    let all = u32::from(PORTS.end - PORTS.start);
    // Programs that run beside each other begin at different places.
    let begin = std::process::id().wrapping_mul(64);
    let mut last = None;
    for _ in PORTS {
        let told = TOLD.fetch_add(1, Ordering::Relaxed);
        let at = begin.wrapping_add(u32::from(told)) % all;
        let at = u16::try_from(at).expect("less than there are ports");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + at));
        match UdpSocket::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_told_twice_nor_handed_out_by_the_system() {
        let taken = free_address().unwrap();
        let _socket = UdpSocket::bind(taken).unwrap();
        let told: Vec<_> = (0..100).map(|_| free_address().unwrap()).collect();
        assert!(!told.contains(&taken));
        let different: std::collections::BTreeSet<_> = told.iter().collect();
        assert_eq!(different.len(), told.len());
        assert!(told.iter().all(|address| PORTS.contains(&address.port())));
    }
}
