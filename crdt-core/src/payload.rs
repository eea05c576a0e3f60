//! Payloads: values of registers, any serde type, in postcard.

use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

/// A value that a register can hold: any type that serde can write and read. Its bytes are
/// [postcard](https://postcard.jamesmunns.com)'s, and nothing looks into them: floats may be in it,
/// and NaN too.
///
/// # What can't be written
///
/// Postcard keeps neither the names of fields nor which of them are there, so types that need them to
/// be read can't be payloads. An update that writes one is refused with a [`PayloadError`], and
/// nothing of it was written: each value is read back from its bytes and written again before it
/// counts, up to 1 KiB always and beyond that in debug builds. [`check_payload`](crate::check_payload)
/// is the same check, for tests.
///
/// | serde's | is refused as |
/// | --- | --- |
/// | `untagged`, `tag`, types that ask what is there, such as `serde_json::Value` | unreadable |
/// | `flatten` | unwritable |
/// | `skip_serializing_if`, `skip_serializing` | unreadable or different, when a field is skipped |
/// | `serialize_with` without its counterpart | different |
///
/// It is not proof: where a skipped field happens to be filled from the bytes of the next one, both
/// give the same bytes. Take `skip_serializing_if` away.
///
/// `HashMap` and `HashSet` write equal values differently each time. [`LwwRegister`](crate::LwwRegister),
/// [`LwwMap`](crate::LwwMap) and [`Joined`](crate::Joined) don't mind. [`MvRegister`](crate::MvRegister)
/// tells values apart by their bytes, and would show one value twice: it refuses a value whose bytes
/// come out in another order when it is written again, which of few entries they need not. `BTreeMap`
/// and `BTreeSet` write one value in one way.
///
/// # Types that evolve
///
/// A payload is read as the type that is asked for; its type is not stored. With a field more or less,
/// or with a variant that this version does not know, reading mostly gives a [`PayloadError`], because
/// bytes are missing or left over. It can't where the bytes fit both: fields of one type in another
/// order, variants in another order, `u8` for `bool`, a field added to a struct within a list.
///
/// So give a payload versions from the start, and add a variant at the end for each change:
///
/// ```
/// use crdt_core::{Causal, LwwRegister, ReplicaId};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Address {
///     V1 { street: String, town: String },
///     V2 { street: String, town: String, country: String },
/// }
///
/// impl Address {
///     fn country(&self) -> &str {
///         match self {
///             Self::V1 { .. } => "unknown",
///             Self::V2 { country, .. } => country,
///         }
///     }
/// }
///
/// let mut home = Causal::<LwwRegister<Address>>::new(ReplicaId::new(1, 1));
/// home.update(|r| r.set(&Address::V1 { street: "High St".into(), town: "Leeds".into() }))?;
/// assert_eq!(home.view().get()?.unwrap().country(), "unknown");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A node of the old version can't read what a node of the new one wrote, and says so; it keeps it and
/// passes it on all the same. Where fields come and go, [`record!`](crate::record) is better: each is
/// merged by itself, and unknown ones are kept.
pub trait Payload: Serialize + DeserializeOwned + 'static {}

impl<V: Serialize + DeserializeOwned + 'static> Payload for V {}

/// A payload that is written from a borrowed form of itself too, as the same bytes: `String` from `str`, and `Vec<u8>`
/// from `[u8]` and `[u8; N]`.
///
/// Writes take any `Q` of which `V: WrittenFrom<Q>`, as those of sets take what [`EncodesAs`](crate::EncodesAs) their
/// elements. It is not `Borrow`, because types that borrow as each other may be written differently.
///
/// ```
/// use crdt_core::{Causal, LwwRegister, ReplicaId};
///
/// let mut title = Causal::<LwwRegister<String>>::new(ReplicaId::new(1, 1));
/// title.update(|r| r.set("Draft"))?;
/// title.update(|r| r.set(&format!("Draft {}", 2)))?;
/// assert_eq!(title.view().get()?.as_deref(), Some("Draft 2"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// The payload is `Self`, and not the form: of a payload with no other form the compiler infers then what a caller
// leaves open, as in `set(&text.parse()?)`.
#[diagnostic::on_unimplemented(
    message = "the payload `{Self}` is not written from `{Q}`",
    label = "neither the payload nor a borrowed form of it",
    note = "pass a reference to the payload; to one that is behind an `Arc`, a `Box` or a second reference `&*value`"
)]
pub trait WrittenFrom<Q: ?Sized> {
    /// Writes what the payload would.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn write_from<S: Serializer>(form: &Q, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<V: Payload> WrittenFrom<V> for V {
    fn write_from<S: Serializer>(form: &V, serializer: S) -> Result<S::Ok, S::Error> {
        form.serialize(serializer)
    }
}

impl WrittenFrom<str> for String {
    fn write_from<S: Serializer>(form: &str, serializer: S) -> Result<S::Ok, S::Error> {
        form.serialize(serializer)
    }
}

impl WrittenFrom<[u8]> for Vec<u8> {
    fn write_from<S: Serializer>(form: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        form.serialize(serializer)
    }
}

impl<const N: usize> WrittenFrom<[u8; N]> for Vec<u8> {
    // By itself an array is written without its length.
    fn write_from<S: Serializer>(form: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        form.as_slice().serialize(serializer)
    }
}

/// A form of a payload `V`, for serde.
struct Form<'a, Q: ?Sized, V>(&'a Q, PhantomData<V>);

impl<Q: ?Sized, V: WrittenFrom<Q>> Serialize for Form<'_, Q, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        V::write_from(self.0, serializer)
    }
}

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
    /// What was to be written can't be read: the type needs names of fields, or to know which of them
    /// are there, and postcard keeps neither.
    #[error(
        "nobody could read the payload ({0}): serde's untagged, tag, flatten and \
         skip_serializing_if don't go with postcard"
    )]
    Unreadable(postcard::Error),
    /// What was to be written reads as another value.
    #[error(
        "the payload would be read as another value: serde's skip_serializing_if and one-sided \
         serialize_with don't go with postcard"
    )]
    ReadsDifferently,
    /// A register that tells values apart by their bytes was given one whose bytes come in no fixed
    /// order.
    #[error("equal values of this payload have different bytes: take BTreeMap for HashMap")]
    NoFixedOrder,
}

/// Payloads up to this size are read back before they are written; larger ones in debug builds only.
/// Up to it reading costs no more than the update does otherwise; a payload of 60 KiB of small strings
/// takes ten times as long with it as without.
const CHECKED: usize = 1024;

/// What is asked of the bytes of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// To be read as what was written.
    Readable,
    /// To be the same for equal values, too.
    Identity,
}

/// Checks that a value is read as what it was written as, and that its bytes are the same each time,
/// as [`MvRegister`](crate::MvRegister) asks. For tests of types that are to be payloads; updates do it
/// by themselves (see [`Payload`]).
///
/// ```
/// use std::collections::HashMap;
///
/// use crdt_core::{PayloadError, check_payload};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(untagged)]
/// enum Either {
///     Number(u64),
///     Text(String),
/// }
///
/// assert_eq!(check_payload(&f64::NAN), Ok(()));
/// assert!(matches!(check_payload(&Either::Number(1)), Err(PayloadError::Unreadable(_))));
/// let squares: HashMap<u64, u64> = (0..100).map(|n| (n, n * n)).collect();
/// assert_eq!(check_payload(&squares), Err(PayloadError::NoFixedOrder));
/// ```
///
/// # Errors
///
/// [`PayloadError`] says what is wrong with the type.
pub fn check_payload<V: Payload>(value: &V) -> Result<(), PayloadError> {
    check::<V>(&postcard::to_allocvec(value)?, Bytes::Identity)
}

/// The bytes of a payload, behind `header`.
pub(crate) fn encode<V: Payload + WrittenFrom<Q>, Q: ?Sized>(
    value: &Q,
    header: Vec<u8>,
    bytes: Bytes,
) -> Result<Vec<u8>, PayloadError> {
    let start = header.len();
    let out = postcard::to_extend(&Form(value, PhantomData::<V>), header)?;
    if out.len() - start <= CHECKED || cfg!(debug_assertions) {
        check::<V>(&out[start..], bytes)?;
    }
    Ok(out)
}

pub(crate) fn decode<V: Payload>(bytes: &[u8]) -> Result<V, PayloadError> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(PayloadError::LeftOver(rest.len())),
    }
}

fn check<V: Payload>(written: &[u8], asked: Bytes) -> Result<(), PayloadError> {
    let read = match postcard::take_from_bytes::<V>(written) {
        Ok((value, [])) => value,
        Ok(_) => return Err(PayloadError::ReadsDifferently),
        Err(error) => return Err(PayloadError::Unreadable(error)),
    };
    let again = postcard::to_extend(&read, Vec::with_capacity(written.len()))?;
    if again == written {
        return Ok(());
    }
    // The same bytes in another order: the entries of a hash map.
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    if sorted(&again) != sorted(written) {
        return Err(PayloadError::ReadsDifferently);
    }
    match asked {
        Bytes::Readable => Ok(()),
        Bytes::Identity => Err(PayloadError::NoFixedOrder),
    }
}
