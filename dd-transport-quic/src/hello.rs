//! The first message on each stream: who the sender claims to be, and what it knows of earlier
//! connections of the pair.
//!
//! `"ddqt"`, version (1 byte), length of the rest (2 bytes, big-endian), then node and cluster (1
//! byte of length and the name each) and three numbers of 8 bytes. What follows those is ignored,
//! so that a later version can add to it.

use bytes::{Buf, BufMut};
use dd_gossip::{ClusterId, NodeId};

/// Bytes before the body.
pub(crate) const HEADER: usize = 7;
const MAGIC: [u8; 4] = *b"ddqt";
const VERSION: u8 = 1;
/// Longest body: both names, the numbers, and room for a later version.
const MAX_BODY: usize = 512;

/// Which connection of a pair the deciding node confirmed last, as the other one knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// The process of the deciding node.
    pub(crate) process: u64,
    /// Its number for the connection; grows.
    pub(crate) number: u64,
}

/// What a side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    /// A random number of the process, never 0.
    pub(crate) process: u64,
    /// The last connection that the receiver confirmed to the sender, before this one was dialled.
    pub(crate) known: Confirmation,
}

/// What is wrong with a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("it did not begin with a greeting of this protocol; is it another service?")]
    Magic,
    #[error(
        "it greets in version {0}, and this node speaks version {VERSION}; upgrade the older one"
    )]
    Version(u8),
    #[error("its greeting of {0} bytes is too long; at most {MAX_BODY} are allowed")]
    Length(usize),
    #[error("its greeting is malformed")]
    Body,
}

impl Hello {
    /// The message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (node, cluster) = (self.node.as_str(), self.cluster.as_str());
        // Names have at most 63 bytes, so lengths fit.
        let body = 2 + node.len() + cluster.len() + 3 * 8;
        let mut out = Vec::with_capacity(HEADER + body);
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u16(body as u16);
        for name in [node, cluster] {
            out.put_u8(name.len() as u8);
            out.put_slice(name.as_bytes());
        }
        for number in [self.process, self.known.process, self.known.number] {
            out.put_u64(number);
        }
        out
    }

    /// Checks the header and gives the length of the body.
    pub(crate) fn body_length(header: [u8; HEADER]) -> Result<usize, HelloError> {
        let [m0, m1, m2, m3, version, high, low] = header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(HelloError::Magic);
        }
        if version != VERSION {
            return Err(HelloError::Version(version));
        }
        match usize::from(u16::from_be_bytes([high, low])) {
            length if length > MAX_BODY => Err(HelloError::Length(length)),
            length => Ok(length),
        }
    }

    /// Reads a body.
    pub(crate) fn decode(mut body: &[u8]) -> Result<Self, HelloError> {
        let node = name(&mut body)?;
        let cluster = name(&mut body)?;
        let mut number = || body.try_get_u64().map_err(|_| HelloError::Body);
        let hello = Self {
            node: node.parse().map_err(|_| HelloError::Body)?,
            cluster: cluster.parse().map_err(|_| HelloError::Body)?,
            process: number()?,
            known: Confirmation {
                process: number()?,
                number: number()?,
            },
        };
        Ok(hello)
    }
}

fn name<'a>(body: &mut &'a [u8]) -> Result<&'a str, HelloError> {
    let length = usize::from(body.try_get_u8().map_err(|_| HelloError::Body)?);
    let (name, rest) = body.split_at_checked(length).ok_or(HelloError::Body)?;
    *body = rest;
    std::str::from_utf8(name).map_err(|_| HelloError::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            node: "a".parse().unwrap(),
            cluster: "shop".parse().unwrap(),
            process: 7,
            known: Confirmation {
                process: 8,
                number: 9,
            },
        }
    }

    #[test]
    fn golden_bytes() {
        let expected = b"ddqt\x01\x00\x1f\x01a\x04shop\
            \0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09";
        assert_eq!(hello().encode(), expected);
    }

    #[test]
    fn reads_what_it_writes_and_nothing_shorter() {
        let bytes = hello().encode();
        let (header, body) = bytes.split_first_chunk::<HEADER>().unwrap();
        assert_eq!(Hello::body_length(*header), Ok(body.len()));
        assert_eq!(Hello::decode(body), Ok(hello()));
        for short in 0..body.len() {
            assert_eq!(Hello::decode(&body[..short]), Err(HelloError::Body));
        }
        let longer = [body, b"later"].concat();
        assert_eq!(Hello::decode(&longer), Ok(hello()));
    }

    #[test]
    fn headers_are_checked() {
        assert_eq!(Hello::body_length(*b"GET / H"), Err(HelloError::Magic));
        assert_eq!(
            Hello::body_length(*b"ddqt\x02\0\0"),
            Err(HelloError::Version(2))
        );
        assert_eq!(Hello::body_length(*b"ddqt\x01\x02\0"), Ok(MAX_BODY));
        assert_eq!(
            Hello::body_length(*b"ddqt\x01\x02\x01"),
            Err(HelloError::Length(MAX_BODY + 1))
        );
    }
}
