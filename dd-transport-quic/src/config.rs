//! The settings of a transport, with their defaults and limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dd_gossip::{ConfigError, MAX_FRAME};
use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::send_window::SendWindow;

/// Streams that a peer may open: one in one direction carries everything.
const UNI_STREAMS: u32 = 1;
/// Two-way streams that a peer may open: none is ever used.
const BIDI_STREAMS: u32 = 0;
/// Bytes of datagrams of one peer that wait to be read, or to be sent; older ones are dropped.
const DATAGRAMS: usize = 64 * 1024;
/// Bytes buffered for a connection attempt that was not looked at yet: a few packets.
const INCOMING_BUFFER: u64 = 16 * 1024;
/// Longest accepted duration of any setting; keeps sums of durations far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of a [`QuicTransport`](crate::QuicTransport).
///
/// Memory for one peer is bounded by `send_queue_bytes + send_window + receive_window +
/// inbox_bytes`; a peer uses that much only if one side doesn't read.
///
/// ```
/// use std::time::Duration;
/// use dd_transport_quic::QuicConfig;
///
/// let mut config = QuicConfig::new("127.0.0.1:7400".parse().unwrap());
/// config.idle_timeout = Duration::from_secs(20);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuicConfig {
    /// The UDP address to bind. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connected peers at most; 256 by default. Further ones are refused with a reason.
    pub max_connections: usize,
    /// Handshakes that peers have begun and not finished, at most; 64 by default. Beyond half of
    /// that a peer must first prove that it receives at its address.
    pub max_handshakes: usize,
    /// Time for a handshake from the first packet until both sides know each other; 5 s by default.
    pub handshake_timeout: Duration,
    /// A peer from which nothing came for this long is gone; 10 s by default. It is the slowest
    /// that a dead peer is noticed.
    pub idle_timeout: Duration,
    /// How often an idle connection is kept alive; 3 s by default. Keep it under a third of
    /// `idle_timeout`, so that two lost packets do no harm.
    pub keep_alive: Duration,
    /// Guess of the round trip before it is measured; 30 ms by default (quinn's own is 333 ms). It
    /// sets how soon a lost handshake packet is sent again.
    pub initial_rtt: Duration,
    /// Bytes that a peer may have in flight to us; 16 MiB by default, for a long fat path.
    pub receive_window: u32,
    /// Bytes that QUIC may hold for a peer, in flight or not yet, at the most; 16 MiB by default. It is given
    /// twice what the path takes by then (its congestion window), so that on a slow path nothing waits for long behind
    /// what is large.
    pub send_window: u64,
    /// Bytes of frames that wait to be written to a peer at the most; 1 MiB by default, at least one frame. It follows
    /// the path as well, to half of what QUIC is given.
    pub send_queue_bytes: usize,
    /// Frames that wait to be written to a peer; 4096 by default.
    pub send_queue_frames: usize,
    /// Bytes of received frames of one peer that wait for
    /// [`poll_event`](dd_gossip::Transport::poll_event); 1 MiB by default, at least one frame. When
    /// full, the stream isn't read and the peer's sending stops.
    pub inbox_bytes: usize,
    /// Frames of one peer that wait for [`poll_event`](dd_gossip::Transport::poll_event); 4096 by
    /// default.
    pub inbox_frames: usize,
    /// [`Refused`](dd_gossip::TransportEvent::Refused) events that wait to be taken; 64 by default.
    /// Further ones go to the log only, so that strangers can't fill memory.
    pub max_refusals: usize,
    /// First pause before dialling again; 100 ms by default. It doubles with each failure, and the
    /// actual pause is a random 50 to 100 % of it.
    pub backoff_min: Duration,
    /// Longest pause before dialling again; 10 s by default.
    pub backoff_max: Duration,
    /// A connection that stood for this long resets the pause; 5 s by default.
    pub stable_after: Duration,
    /// How long [`close`](dd_gossip::Transport::close) waits for peers to take what was accepted for
    /// sending; 5 s by default.
    pub close_timeout: Duration,
    /// Whether the system may split large writes into packets (GSO); true by default. Some VPNs and
    /// network cards lose packets with it.
    pub segmentation_offload: bool,
}

impl QuicConfig {
    /// The defaults, listening at this address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            max_connections: 256,
            max_handshakes: 64,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(3),
            initial_rtt: Duration::from_millis(30),
            receive_window: 16 * 1024 * 1024,
            send_window: 16 * 1024 * 1024,
            send_queue_bytes: 1024 * 1024,
            send_queue_frames: 4096,
            inbox_bytes: 1024 * 1024,
            inbox_frames: 4096,
            max_refusals: 64,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            stable_after: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            segmentation_offload: true,
        }
    }

    /// Checks that the settings make sense together; [`bind`](crate::QuicTransport::bind) does so
    /// too.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting and what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let holds_frame = "must hold a frame of 64 KiB";
        ConfigError::unless(
            self.max_connections > 0,
            "max_connections",
            "must be at least 1",
        )?;
        ConfigError::unless(
            self.send_queue_bytes >= MAX_FRAME && self.send_queue_frames > 0,
            "send_queue_bytes and send_queue_frames",
            holds_frame,
        )?;
        ConfigError::unless(
            self.inbox_bytes >= MAX_FRAME && self.inbox_frames > 0,
            "inbox_bytes and inbox_frames",
            holds_frame,
        )?;
        ConfigError::unless(
            self.receive_window >= 1024 && self.send_window >= 1024,
            "receive_window and send_window",
            "must be at least 1024 bytes",
        )?;
        let durations = [
            ("handshake_timeout", self.handshake_timeout),
            ("idle_timeout", self.idle_timeout),
            ("keep_alive", self.keep_alive),
            ("initial_rtt", self.initial_rtt),
            ("backoff_min", self.backoff_min),
            ("backoff_max", self.backoff_max),
            ("stable_after", self.stable_after),
            ("close_timeout", self.close_timeout),
        ];
        for (setting, duration) in durations {
            let keeps = (Duration::from_millis(1)..=MAX_DURATION).contains(&duration);
            ConfigError::unless(keeps, setting, "must be between 1 ms and 24 h")?;
        }
        ConfigError::unless(
            self.keep_alive < self.idle_timeout,
            "keep_alive",
            "must be shorter than idle_timeout, best under a third",
        )?;
        ConfigError::unless(
            self.backoff_min <= self.backoff_max,
            "backoff_min",
            "must not be longer than backoff_max",
        )
    }

    /// What quinn calls a transport configuration.
    pub(crate) fn quinn(&self) -> Result<Arc<TransportConfig>, ConfigError> {
        let idle = IdleTimeout::try_from(self.idle_timeout).map_err(|_| ConfigError {
            setting: "idle_timeout",
            rule: "is too long",
        })?;
        let window = VarInt::from_u32(self.receive_window);
        let mut config = TransportConfig::default();
        config
            .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
            .max_concurrent_bidi_streams(VarInt::from_u32(BIDI_STREAMS))
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(self.keep_alive))
            .initial_rtt(self.initial_rtt)
            // There is one stream, so it may use the whole window.
            .stream_receive_window(window)
            .receive_window(window)
            .send_window(SendWindow::new(self.send_window).size())
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .datagram_send_buffer_size(DATAGRAMS)
            .enable_segmentation_offload(self.segmentation_offload);
        Ok(Arc::new(config))
    }

    /// Puts the limits of the accepting side on a server configuration.
    pub(crate) fn limit_server(&self, server: &mut quinn::ServerConfig) {
        let total = INCOMING_BUFFER.saturating_mul(self.max_handshakes as u64);
        server
            .max_incoming(self.max_handshakes)
            .incoming_buffer_size(INCOMING_BUFFER)
            .incoming_buffer_size_total(total)
            .migration(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_one_past_a_limit_is_not() {
        let good = QuicConfig::new(([127, 0, 0, 1], 0).into());
        assert_eq!(good.validate(), Ok(()));
        let bad = QuicConfig {
            inbox_bytes: MAX_FRAME - 1,
            ..good.clone()
        };
        assert!(bad.validate().is_err());
        let bad = QuicConfig {
            keep_alive: good.idle_timeout,
            ..good.clone()
        };
        assert!(
            bad.validate()
                .unwrap_err()
                .to_string()
                .contains("keep_alive")
        );
        let bad = QuicConfig {
            backoff_min: good.backoff_max * 2,
            ..good
        };
        assert!(bad.validate().is_err());
    }
}
