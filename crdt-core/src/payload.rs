//! Payloads: values of registers, any serde type, in postcard.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that a register can hold: any type that serde can write and read. Its bytes are
/// [postcard](https://postcard.jamesmunns.com)'s; two payloads are the same if their bytes are.
///
/// Postcard is positional: fields must not be reordered, removed or inserted once data is stored.
pub trait Payload: Serialize + DeserializeOwned + 'static {}

impl<V: Serialize + DeserializeOwned + 'static> Payload for V {}

/// A payload that can't be encoded, or bytes that are not a payload of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Postcard refused it.
    #[error("postcard: {0}")]
    Postcard(#[from] postcard::Error),
    /// Bytes are left over: what was stored has another type.
    #[error("the stored payload is of another type: {0} bytes are left over")]
    LeftOver(usize),
    /// The stored bytes lack the header that this kind of register writes.
    #[error("the stored payload was not written by this kind of register")]
    Header,
}

pub(crate) fn encode<V: Payload>(value: &V, out: Vec<u8>) -> Result<Vec<u8>, PayloadError> {
    Ok(postcard::to_extend(value, out)?)
}

pub(crate) fn decode<V: Payload>(bytes: &[u8]) -> Result<V, PayloadError> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(PayloadError::LeftOver(rest.len())),
    }
}
