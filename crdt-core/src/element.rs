//! Elements: values that are identity, encoded canonically and in order.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A value that can be an element of a set or a key of a map.
///
/// Its bytes *are* its identity, on every node and for as long as data is stored: the encoding is
/// one to one, and bytes are ordered as values are.
///
/// ```
/// use crdt_core::Element;
///
/// let (mut small, mut large) = (Vec::new(), Vec::new());
/// (-5i64).encode(&mut small);
/// 3i64.encode(&mut large);
/// assert!(small < large);
/// assert_eq!(i64::decode(&small), Some(-5));
/// ```
///
/// Elements are integers of fixed width, `bool`, `char`, `String`, `Vec<u8>`, `[u8; N]`, and tuples of
/// up to four of them, nested as deep as you like. Those of two widths are two types: `7u32` is not
/// `7u64`, and `[u8; 16]` is not `Vec<u8>`. Text is compared by its bytes: "é" as one character and as
/// "e" with an accent are two elements.
///
/// There is no implementation for what would not do as identity, and the compiler says so: floats (NaN
/// is not equal to itself, and -0.0 is equal to 0.0), hash maps (equal ones have different bytes),
/// `usize` (another width elsewhere), and whatever is merely serde (a field added later would make all
/// elements others).
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<f64>>::new(ReplicaId::new(1, 1));
/// ```
///
/// # A type of your own
///
/// Write it as a tuple, or as text, and take the methods of that. Its order must be the tuple's: derive
/// [`Ord`] with the fields in the same order. An enum is best a number that each variant keeps for
/// ever.
///
/// ```
/// use crdt_core::{Causal, Element, OrSet, ReplicaId};
///
/// #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// struct User {
///     tenant: u32,
///     name: String,
/// }
///
/// type Parts = (u32, String);
///
/// impl User {
///     fn parts(&self) -> Parts {
///         (self.tenant, self.name.clone())
///     }
///
///     fn of((tenant, name): Parts) -> Self {
///         Self { tenant, name }
///     }
/// }
///
/// impl Element for User {
///     // Another encoding needs another name here: then it is another type, and nothing is misread.
///     fn shape(out: &mut String) {
///         out.push_str("user");
///     }
///
///     fn encode(&self, out: &mut Vec<u8>) {
///         self.parts().encode(out);
///     }
///
///     fn decode(bytes: &[u8]) -> Option<Self> {
///         Parts::decode(bytes).map(Self::of)
///     }
///
///     fn encode_part(&self, out: &mut Vec<u8>) {
///         self.parts().encode_part(out);
///     }
///
///     fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
///         Parts::decode_part(bytes).map(Self::of)
///     }
/// }
///
/// let user = |tenant, name: &str| User { tenant, name: name.to_owned() };
/// let mut online = Causal::<OrSet<User>>::new(ReplicaId::new(1, 1));
/// online.update(|s| (s.insert(&user(2, "bob")), s.insert(&user(1, "zoe"))))?;
/// assert!(online.view().iter().eq([user(1, "zoe"), user(2, "bob")]));
/// assert!(online.view().range(user(2, "")..).eq([user(2, "bob")]));
/// # Ok::<(), crdt_core::EditError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no element of a set and no key of a map",
    label = "not an `Element`",
    note = "elements are integers of fixed width, `bool`, `char`, `String`, `Vec<u8>`, `[u8; N]` and tuples of up to four of them",
    note = "a type of your own implements `Element` by the methods of such a tuple: its documentation has an example"
)]
pub trait Element: Sized + Ord + 'static {
    /// The name of the type in shapes. Types with different encodings must differ in it.
    fn shape(out: &mut String);

    /// Appends the bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// The value whose encoding is exactly `bytes`, if there is one.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// Lends the bytes to `use_them`. Types whose bytes need not be put together first do without
    /// an allocation.
    fn with_encoded<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        use_them(&bytes)
    }

    /// Appends the bytes such that they end by themselves, for use before another part.
    fn encode_part(&self, out: &mut Vec<u8>);

    /// Takes a part from the front of `bytes`.
    fn decode_part(bytes: &mut &[u8]) -> Option<Self>;
}

/// A borrowed form of an element that encodes to the same bytes: `str` for `String`.
///
/// Look-ups take any `Q: EncodesAs<E>`. It is not `Borrow`, because types that borrow as each other
/// may encode differently.
pub trait EncodesAs<E> {
    /// Appends the bytes that the element would.
    fn encode_as(&self, out: &mut Vec<u8>);

    /// Lends the bytes to `use_them`.
    fn with_encoded_as<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        let mut bytes = Vec::new();
        self.encode_as(&mut bytes);
        use_them(&bytes)
    }
}

impl<E: Element> EncodesAs<E> for E {
    fn encode_as(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn with_encoded_as<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        self.with_encoded(use_them)
    }
}

impl EncodesAs<String> for str {
    fn encode_as(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn with_encoded_as<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self.as_bytes())
    }
}

impl EncodesAs<Vec<u8>> for [u8] {
    fn encode_as(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn with_encoded_as<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self)
    }
}

impl<const N: usize> EncodesAs<Vec<u8>> for [u8; N] {
    fn encode_as(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn with_encoded_as<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self)
    }
}

// References to unsized forms, so that `"a".."f"` is a range of strings.
impl EncodesAs<String> for &str {
    fn encode_as(&self, out: &mut Vec<u8>) {
        (**self).encode_as(out);
    }
}

impl EncodesAs<Vec<u8>> for &[u8] {
    fn encode_as(&self, out: &mut Vec<u8>) {
        (**self).encode_as(out);
    }
}

/// Bytes of fixed length end by themselves.
macro_rules! fixed_parts {
    ($len:expr) => {
        fn encode_part(&self, out: &mut Vec<u8>) {
            self.encode(out);
        }

        fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
            let (head, tail) = bytes.split_at_checked($len)?;
            *bytes = tail;
            Self::decode(head)
        }
    };
}

macro_rules! integers {
    ($($type:ident $flip:expr;)*) => {$(
        impl Element for $type {
            fn shape(out: &mut String) {
                out.push_str(stringify!($type));
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(self ^ $flip).to_be_bytes());
            }

            fn with_encoded<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
                use_them(&(self ^ $flip).to_be_bytes())
            }

            fn decode(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_be_bytes(bytes.try_into().ok()?) ^ $flip)
            }

            fixed_parts!(size_of::<$type>());
        }
    )*};
}

// The sign bit of signed numbers is turned over, so that bytes are ordered as numbers are.
integers! {
    u8 0; u16 0; u32 0; u64 0; u128 0;
    i8 i8::MIN; i16 i16::MIN; i32 i32::MIN; i64 i64::MIN; i128 i128::MIN;
}

impl Element for bool {
    fn shape(out: &mut String) {
        out.push_str("bool");
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fixed_parts!(1);
}

impl Element for char {
    fn shape(out: &mut String) {
        out.push_str("char");
    }

    fn encode(&self, out: &mut Vec<u8>) {
        u32::from(*self).encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        char::from_u32(u32::decode(bytes)?)
    }

    fixed_parts!(4);
}

impl<const N: usize> Element for [u8; N] {
    fn shape(out: &mut String) {
        out.push_str(&alloc::format!("bytes{N}"));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn with_encoded<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }

    fixed_parts!(N);
}

impl Element for String {
    fn shape(out: &mut String) {
        out.push_str("str");
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn with_encoded<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        core::str::from_utf8(bytes).ok().map(ToOwned::to_owned)
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        escape(self.as_bytes(), out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(unescape(bytes)?).ok()
    }
}

impl Element for Vec<u8> {
    fn shape(out: &mut String) {
        out.push_str("bytes");
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn with_encoded<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }

    fn encode_part(&self, out: &mut Vec<u8>) {
        escape(self, out);
    }

    fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
        unescape(bytes)
    }
}

/// Bytes that end by themselves and keep their order: 0 becomes 0 255, the end is 0 0.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn unescape(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        match **bytes {
            [0, 0, ref rest @ ..] => {
                *bytes = rest;
                return Some(out);
            }
            [0, 255, ref rest @ ..] => {
                out.push(0);
                *bytes = rest;
            }
            [0, ..] | [] => return None,
            [byte, ref rest @ ..] => {
                out.push(byte);
                *bytes = rest;
            }
        }
    }
}

macro_rules! tuples {
    ($($first:ident $(, $more:ident)*;)*) => {$(
        #[allow(non_snake_case, reason = "parts are named after their types")]
        impl<$first: Element, $($more: Element),*> Element for ($first, $($more,)*) {
            fn shape(out: &mut String) {
                out.push_str("tuple<");
                $first::shape(out);
                $(out.push(','); $more::shape(out);)*
                out.push('>');
            }

            fn encode(&self, out: &mut Vec<u8>) {
                self.encode_part(out);
            }

            fn decode(mut bytes: &[u8]) -> Option<Self> {
                let value = Self::decode_part(&mut bytes)?;
                bytes.is_empty().then_some(value)
            }

            fn encode_part(&self, out: &mut Vec<u8>) {
                let ($first, $($more,)*) = self;
                $first.encode_part(out);
                $($more.encode_part(out);)*
            }

            fn decode_part(bytes: &mut &[u8]) -> Option<Self> {
                Some(($first::decode_part(bytes)?, $($more::decode_part(bytes)?,)*))
            }
        }
    )*};
}

tuples! {
    A, B;
    A, B, C;
    A, B, C, D;
}
