//! Tokens that are good for once and were used.

use std::collections::BTreeMap;

/// Used tokens that are remembered at most, each until it expires. Beyond, no more of the kind are taken.
pub const MAX_USED: usize = 4096;

/// By the id of a token: when it expires, and for which key it was used.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<[u8; 16], (u64, Vec<u8>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// By the first one, or by the same one again, whose answer may have been lost.
    Granted,
    Used,
    /// Nothing more can be remembered.
    Full,
}

impl Used {
    /// A token that expires then is used for a key.
    pub(super) fn take(&mut self, now: u64, id: [u8; 16], expires: u64, key: &[u8]) -> Use {
        self.0.retain(|_, (expires, _)| *expires > now);
        match self.0.get(&id) {
            Some((_, by)) if by == key => Use::Granted,
            Some(_) => Use::Used,
            None if self.0.len() >= MAX_USED => Use::Full,
            None => {
                self.0.insert(id, (expires, key.to_vec()));
                Use::Granted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> [u8; 16] {
        (n as u128).to_be_bytes()
    }

    #[test]
    fn a_token_is_used_once_by_one_key() {
        let mut used = Used::default();
        assert_eq!(used.take(1, id(1), 10, b"a"), Use::Granted);
        assert_eq!(used.take(2, id(1), 10, b"a"), Use::Granted);
        assert_eq!(used.take(2, id(1), 10, b"b"), Use::Used);
        assert_eq!(used.take(2, id(2), 10, b"b"), Use::Granted);
    }

    #[test]
    fn memory_is_bounded_and_what_has_expired_makes_room() {
        let mut used = Used::default();
        for n in 0..MAX_USED {
            assert_eq!(used.take(1, id(n), 10, b"a"), Use::Granted);
        }
        assert_eq!(used.take(1, id(MAX_USED), 10, b"a"), Use::Full);
        assert_eq!(used.take(10, id(MAX_USED), 20, b"a"), Use::Granted);
        assert_eq!(used.0.len(), 1);
    }
}
