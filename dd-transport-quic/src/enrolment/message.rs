//! The one question and the one answer of a connection.
//!
//! Question: version (1 byte), token (2 bytes of length and the text), name (1 byte of length and the text), key
//! (65 bytes), signature (1 byte of length and itself). Answer: version, a code (1 byte); after code 0 the node's
//! certificate and the authority's (2 bytes of length and the DER each).

use bytes::{Buf, BufMut};

use super::proof::{JoinerKey, MAX_SIGNATURE, POINT};
use super::token::MAX_TOKEN;

const VERSION: u8 = 1;
/// Longest question.
pub(super) const MAX_QUESTION: usize = 5 + MAX_TOKEN + dd_gossip::MAX_NAME + POINT + MAX_SIGNATURE;
/// Longest answer.
pub(super) const MAX_ANSWER: usize = 8 * 1024;

/// What a joiner asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) token: String,
    pub(super) node: String,
    pub(super) key: JoinerKey,
    pub(super) signature: Vec<u8>,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Issued {
        certificate: Vec<u8>,
        authority: Vec<u8>,
    },
    Refused(Refusal),
}

/// Why a joiner gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The question can't be read.
    Malformed = 1,
    /// The authority did not make the token, or something in it was changed.
    Tampered = 2,
    Expired = 3,
    NameNotAllowed = 4,
    Used = 5,
    NameTaken = 6,
    /// A limit is reached.
    Busy = 7,
    /// The signature is not by the key.
    Proof = 8,
    /// The certificate could not be made.
    Failed = 9,
}

impl Refusal {
    const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Tampered,
        Self::Expired,
        Self::NameNotAllowed,
        Self::Used,
        Self::NameTaken,
        Self::Busy,
        Self::Proof,
        Self::Failed,
    ];
}

impl Question {
    pub(super) fn encode(&self) -> Vec<u8> {
        // All lengths are within their limits: token and name were parsed, the signature is one of P-256.
        let mut out = vec![VERSION];
        out.put_u16(self.token.len() as u16);
        out.put_slice(self.token.as_bytes());
        out.put_u8(self.node.len() as u8);
        out.put_slice(self.node.as_bytes());
        out.put_slice(&self.key.0);
        out.put_u8(self.signature.len() as u8);
        out.put_slice(&self.signature);
        out
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let token = text(&mut bytes, 2)?;
        let node = text(&mut bytes, 1)?;
        let mut key = [0; POINT];
        bytes.try_copy_to_slice(&mut key).ok()?;
        let signature = part(&mut bytes, 1)?.to_vec();
        (bytes.is_empty() && token.len() <= MAX_TOKEN && signature.len() <= MAX_SIGNATURE)
            .then_some(Self {
                token,
                node,
                key: JoinerKey(key),
                signature,
            })
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Refused(refusal) => out.put_u8(*refusal as u8),
            Self::Issued {
                certificate,
                authority,
            } => {
                out.put_u8(0);
                for der in [certificate, authority] {
                    out.put_u16(der.len() as u16);
                    out.put_slice(der);
                }
            }
        }
        out
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let code = bytes.try_get_u8().ok()?;
        if code != 0 {
            let refusal = Refusal::ALL.into_iter().find(|r| *r as u8 == code);
            return Some(Self::Refused(refusal.unwrap_or(Refusal::Failed)));
        }
        let certificate = part(&mut bytes, 2)?.to_vec();
        let authority = part(&mut bytes, 2)?.to_vec();
        bytes.is_empty().then_some(Self::Issued {
            certificate,
            authority,
        })
    }
}

/// A part with its length before it, in so many bytes.
fn part<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let length = bytes.try_get_uint(length).ok()?;
    let (part, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(part)
}

fn text(bytes: &mut &[u8], length: usize) -> Option<String> {
    let text = std::str::from_utf8(part(bytes, length)?).ok()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            token: "t".repeat(MAX_TOKEN),
            node: "n".repeat(dd_gossip::MAX_NAME),
            key: JoinerKey([4; POINT]),
            signature: vec![7; MAX_SIGNATURE],
        }
    }

    #[test]
    fn the_longest_question_is_read_back_and_no_part_of_it_is_one() {
        let bytes = question().encode();
        assert_eq!(bytes.len(), MAX_QUESTION);
        assert_eq!(Question::decode(&bytes), Some(question()));
        for end in 0..bytes.len() {
            assert_eq!(Question::decode(&bytes[..end]), None, "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Question::decode(&longer), None);
    }

    #[test]
    fn answers_are_read_back() {
        let issued = Answer::Issued {
            certificate: vec![1; 700],
            authority: vec![2; 600],
        };
        let refused = Refusal::ALL.map(Answer::Refused);
        for answer in refused.into_iter().chain([issued]) {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Answer::decode(&[]), None);
        assert_eq!(Answer::decode(&[1, 0, 0, 9]), None);
        let later = Answer::decode(&[1, 200]);
        assert_eq!(later, Some(Answer::Refused(Refusal::Failed)));
    }
}
