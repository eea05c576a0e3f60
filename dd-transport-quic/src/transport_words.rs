//! What quinn and TLS say about a lost or refused connection, in words and with what to do.

use quinn::{ConnectionError, TransportErrorCode};

use crate::close_code::{CloseCode, MAX_REASON};

/// Where TLS alerts begin among QUIC's error codes (RFC 9001, 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;

/// Why a connection ended, for a person.
pub(crate) fn connection_error(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let said = peer_text(&close.reason);
            let code = close.error_code;
            if CloseCode::Bye.is(code) {
                "the peer shut down".to_owned()
            } else if CloseCode::Dropped.is(code) {
                "the peer stopped without a clean close".to_owned()
            } else if CloseCode::Refused.is(code) {
                format!("the peer refused this node: {said}")
            } else if said.is_empty() {
                format!("the peer gave up on the connection (code {code})")
            } else {
                format!("the peer closed the connection: {said}")
            }
        }
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(alert) => format!("the peer refused this node: {}", refused_by_peer(alert)),
            None if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                "the peer takes no connections now: it is shutting down or has too many handshakes \
                 in flight"
                    .to_owned()
            }
            None => format!(
                "the peer closed the connection: {}",
                peer_text(close.to_string().as_bytes())
            ),
        },
        ConnectionError::TransportError(local) => match alert(local.code) {
            Some(alert) => {
                format!(
                    "{} ({})",
                    refused_here(alert),
                    peer_text(local.reason.as_bytes())
                )
            }
            None => format!("the connection broke the rules of QUIC: {local}"),
        },
        ConnectionError::TimedOut => {
            "nothing came from the peer for the idle timeout; is its process running, and does UDP \
             pass between the machines in both directions?"
                .to_owned()
        }
        ConnectionError::Reset => "the peer doesn't know the connection; it restarted".to_owned(),
        ConnectionError::LocallyClosed => "this node closed the connection".to_owned(),
        ConnectionError::VersionMismatch => {
            "the peer speaks no common version of QUIC; is it another service?".to_owned()
        }
        ConnectionError::CidsExhausted => "too many connections on this socket".to_owned(),
    }
}

fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    TLS_ALERTS.contains(&code).then_some((code & 0xff) as u8)
}

/// What the peer's TLS alert means for us.
fn refused_by_peer(alert: u8) -> String {
    match alert {
        48 => "our certificate is not signed by an authority that the peer trusts; give both the \
               same authority (or the same development secret and cluster)"
            .to_owned(),
        45 => {
            "our certificate has expired or isn't valid yet, by the peer's clock; issue a new one, \
               or set the clocks"
                .to_owned()
        }
        44 => "our certificate was revoked; issue a new one".to_owned(),
        42 => {
            "our certificate is not that of the node that the peer wanted to reach, or not of its \
               cluster; correct the address, or the name of the node or cluster, in the peer's \
               configuration"
                .to_owned()
        }
        43 => "our certificate doesn't allow both server and client use; issue one with \
               Authority::issue"
            .to_owned(),
        51 => {
            "our certificate's signature is wrong: the peer trusts another authority of the same \
               name; give both the same authority (or the same development secret)"
                .to_owned()
        }
        116 => "we showed no certificate".to_owned(),
        120 => "the peer speaks another protocol or version of it".to_owned(),
        other => format!("TLS alert {other}"),
    }
}

/// Why our own TLS refused a peer.
fn refused_here(alert: u8) -> String {
    match alert {
        48 => {
            "the peer's certificate is not signed by an authority that this node trusts; give both \
               the same authority (or the same development secret and cluster)"
                .to_owned()
        }
        45 => "the peer's certificate has expired or isn't valid yet; issue a new one, or set the \
               clocks"
            .to_owned(),
        44 => "the peer's certificate was revoked".to_owned(),
        42 => {
            "the peer's certificate is not that of the expected node or cluster; correct the address, \
               or the name of the node or cluster, in the configuration"
                .to_owned()
        }
        43 => "the peer's certificate doesn't allow both server and client use; issue one with \
               Authority::issue"
            .to_owned(),
        51 => {
            "the peer's certificate is signed by another authority of the same name; give both the \
               same authority (or the same development secret)"
                .to_owned()
        }
        116 => "the peer showed no certificate; is it a node of this cluster?".to_owned(),
        120 => "the peer speaks another protocol or version of it".to_owned(),
        other => format!("TLS refused the peer, alert {other}"),
    }
}

/// A text that a peer sent: short and without control characters, fit for a log.
fn peer_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_REASON)]);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_peer_is_harmless() {
        assert_eq!(peer_text(b"a\n\x1b[31mb"), "a  [31mb");
        assert!(peer_text(&[0xff; 5000]).chars().count() <= MAX_REASON);
    }

    #[test]
    fn closes_are_told_apart() {
        let close = |code, reason: &'static str| {
            connection_error(&ConnectionError::ApplicationClosed(
                quinn::ApplicationClose {
                    error_code: code,
                    reason: reason.into(),
                },
            ))
        };
        assert_eq!(close(CloseCode::Bye.into(), ""), "the peer shut down");
        assert!(close(CloseCode::Refused.into(), "who").contains("refused this node: who"));
        assert!(connection_error(&ConnectionError::TimedOut).contains("UDP"));
    }
}
