//! Reading and writing of canonical bytes: LEB128 varints, length-prefixed bytes, strict checks.
//!
//! Decoding never allocates more than the input is long, refuses varints that are longer than they
//! need be, and so has exactly one encoding for each value.

use alloc::vec::Vec;

/// Bytes that are not an encoding of what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends before the value does.
    #[error("the input ends too early")]
    Truncated,
    /// Bytes are left over behind the value.
    #[error("bytes are left over behind the value")]
    TrailingBytes,
    /// The input could be written in another way too, or out of order.
    #[error("the encoding is not canonical")]
    NotCanonical,
    /// A field has a value that it can't have.
    #[error("a field is out of range: {0}")]
    Invalid(&'static str),
    /// A count or length is beyond its limit.
    #[error("beyond the limit: {0}")]
    Limit(&'static str),
}

/// Bytes of room that are kept from one use to the next, at most.
const KEPT: usize = 1024;

/// Appends canonical bytes to a buffer.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written so far.
    pub fn written(&self) -> &[u8] {
        &self.out
    }

    /// Begins anew, and keeps 1 KiB of room at most.
    pub fn clear(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
    }

    /// Takes back what was written behind the first so many bytes.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// One byte.
    pub fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// A number in 1 to 10 bytes.
    pub fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    /// A count or a length.
    pub fn count(&mut self, n: usize) {
        self.varint(n as u64);
    }

    /// A signed number in 1 to 19 bytes, small magnitudes short (zigzag).
    pub fn signed(&mut self, n: i128) {
        let mut n = ((n << 1) ^ (n >> 127)) as u128;
        // Most are small.
        if let Ok(small) = u64::try_from(n) {
            return self.varint(small);
        }
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }
}

/// Most bytes of a number that fits 64 bits whatever they are.
const SHORT: usize = 9;

/// Takes canonical bytes from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Everything not read yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TrailingBytes`] if something is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] at the end.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw(1)?[0])
    }

    /// `len` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// `N` bytes as an array.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Bytes behind their length.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the length is not canonical or there are fewer bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        self.raw(len)
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is cut off, longer than need be or beyond 64 bits.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        u64::try_from(self.wide()?).map_err(|_| DecodeError::Invalid("number beyond 64 bits"))
    }

    /// A count of items, each of which takes at least one byte of what is left.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`] if the count can't be true, besides those of
    /// [`varint`](Self::varint).
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        let n = self.varint()?;
        match usize::try_from(n) {
            Ok(n) if n <= self.remaining() => Ok(n),
            _ => Err(DecodeError::Truncated),
        }
    }

    /// A signed number.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if it is cut off, longer than need be or beyond 128 bits.
    pub fn signed(&mut self) -> Result<i128, DecodeError> {
        let n = self.wide()?;
        Ok((n >> 1) as i128 ^ -((n & 1) as i128))
    }

    fn wide(&mut self) -> Result<u128, DecodeError> {
        // Most are short.
        let mut n = 0;
        for (at, byte) in self.rest.iter().enumerate().take(SHORT) {
            n |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if *byte == 0 && at > 0 {
                    return Err(DecodeError::NotCanonical);
                }
                self.rest = &self.rest[at + 1..];
                return Ok(n.into());
            }
        }
        self.long()
    }

    #[cold]
    fn long(&mut self) -> Result<u128, DecodeError> {
        let mut n: u128 = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let low = u128::from(byte & 0x7f);
            if shift > 121 && low >> (128 - shift) != 0 {
                return Err(DecodeError::Invalid("number beyond 128 bits"));
            }
            n |= low << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(DecodeError::NotCanonical);
                }
                return Ok(n);
            }
        }
        Err(DecodeError::Invalid("number beyond 128 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_have_one_encoding() {
        for n in [
            0,
            1,
            127,
            128,
            300,
            (1 << 56) - 1,
            (1 << 63) - 1,
            1 << 63,
            u64::MAX,
        ] {
            let mut w = Writer::new();
            w.varint(n);
            let bytes = w.finish();
            let mut r = Reader::new(&bytes);
            assert_eq!(r.varint(), Ok(n));
            assert_eq!(r.finish(), Ok(()));
        }
        for n in [
            0,
            1,
            -1,
            63,
            -64,
            64,
            i128::from(i64::MIN),
            i128::MAX,
            i128::MIN,
        ] {
            let mut w = Writer::new();
            w.signed(n);
            let bytes = w.finish();
            assert_eq!(Reader::new(&bytes).signed(), Ok(n));
        }
        assert_eq!(
            Reader::new(&[0x80, 0]).varint(),
            Err(DecodeError::NotCanonical)
        );
        for zeros in [&[0x80, 0x80, 0][..], &[0xff; 8], &[0xff; 9], &[0xff; 10]] {
            let bytes = [zeros, &[0]].concat();
            let longer = Reader::new(&bytes[..]).signed();
            assert_eq!(longer, Err(DecodeError::NotCanonical), "{bytes:?}");
            let cut_off = Reader::new(&bytes[..bytes.len() - 1]).varint();
            assert!(cut_off.is_err(), "{bytes:?}");
        }
        assert_eq!(Reader::new(&[0x80]).varint(), Err(DecodeError::Truncated));
        assert!(Reader::new(&[0xff; 40]).varint().is_err());
        assert_eq!(Reader::new(&[5, 1]).count(), Err(DecodeError::Truncated));
    }
}
