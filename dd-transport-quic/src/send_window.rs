//! How much QUIC is given for a peer before the peer has it.
//!
//! What is newer can't overtake what QUIC has taken. So it gets no more than keeps the path busy: its congestion window
//! once for what is in flight, and once more to go on with when that is acknowledged, as Linux does for the send buffers
//! of TCP. With a window of a fixed size a write would wait seconds behind bulk on a slow path, or a fast one would idle.

use dd_gossip::MAX_FRAME;

/// What a new path is given at least, and between two looks at the path at most.
const LEAST: u64 = MAX_FRAME as u64;

/// The window of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendWindow {
    most: u64,
    size: u64,
    /// Bytes since the path was looked at.
    written: u64,
}

impl SendWindow {
    /// Of a path that nothing is known of; `most` bytes at the most.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            size: LEAST.min(most),
            written: 0,
        }
    }

    /// Bytes that QUIC may hold.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that may wait to be given to QUIC, a frame of any size at least.
    pub(crate) fn queue(&self) -> usize {
        usize::try_from(self.size / 2)
            .unwrap_or(usize::MAX)
            .max(MAX_FRAME)
    }

    /// So many bytes are written. Returns whether it is time to look at the path: not for small frames now and then.
    pub(crate) fn write(&mut self, bytes: usize) -> bool {
        self.written += bytes as u64;
        self.written >= LEAST / 2
    }

    /// Follows the path, which takes so many bytes in flight. Returns whether the size has changed.
    pub(crate) fn follow(&mut self, congestion_window: u64) -> bool {
        let size = congestion_window
            .saturating_mul(2)
            .max(LEAST)
            .min(self.most);
        self.written = 0;
        let changed = size != self.size;
        self.size = size;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_path_between_its_least_and_the_setting() {
        let most = 16 * 1024 * 1024;
        let mut window = SendWindow::new(most);
        assert_eq!(window.size(), LEAST);
        assert!(
            !window.follow(1_000),
            "a slow path gets what a new one gets"
        );
        assert!(window.follow(100_000));
        assert_eq!((window.size(), window.queue()), (200_000, 100_000));
        assert!(!window.follow(100_000));
        assert!(window.follow(u64::MAX));
        assert_eq!(window.size(), most);
        let narrow = SendWindow::new(32 * 1024);
        assert_eq!((narrow.size(), narrow.queue()), (32 * 1024, MAX_FRAME));
    }

    #[test]
    fn small_frames_cost_a_look_now_and_then() {
        let mut window = SendWindow::new(u64::MAX);
        let looks = (0..10_000).filter(|_| {
            let look = window.write(100);
            if look {
                window.follow(20_000);
            }
            look
        });
        assert_eq!(looks.count(), 1_000_000 * 2 / MAX_FRAME);
    }
}
