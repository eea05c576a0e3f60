//! The codes with which connections are closed, so that the other side knows why.

use quinn::{Connection, VarInt};

/// Longest reason sent or shown, in bytes: it fits into one packet.
pub(crate) const MAX_REASON: usize = 400;

/// Why a connection was closed. 0 is what quinn sends when nobody held the connection any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseCode {
    /// The side shuts down and has sent everything, or answers to that.
    Bye = 1,
    /// The peer is not who it should be.
    Refused = 2,
    /// Another connection of the pair stands.
    Duplicate = 3,
    /// A newer connection of the pair has taken over.
    Replaced = 4,
    /// The peer sent what the protocol doesn't allow.
    Violation = 5,
    /// A limit is reached.
    Busy = 6,
    /// The transport was dropped.
    Dropped = 7,
    /// The greeting took too long.
    Slow = 8,
}

impl CloseCode {
    /// Closes a connection with this code.
    pub(crate) fn close(self, connection: &Connection, reason: &str) {
        connection.close(self.into(), clip(reason).as_bytes());
    }

    /// Whether a peer closed with this code.
    pub(crate) fn is(self, code: VarInt) -> bool {
        code == self.into()
    }
}

impl From<CloseCode> for VarInt {
    fn from(code: CloseCode) -> Self {
        Self::from_u32(code as u32)
    }
}

/// The beginning of a text, cut at a character.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_at_a_character() {
        assert_eq!(clip("short"), "short");
        let long = "x".repeat(MAX_REASON - 1) + "é";
        assert_eq!(clip(&long).len(), MAX_REASON - 1);
    }
}
