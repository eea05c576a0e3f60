//! Elements: bytes are ordered as values are, one to one, and decoded strictly.

use std::fmt::Debug;

use crdt_core::{Element, EncodesAs};
use proptest::prelude::*;

use crate::support::property;

fn encoded<E: Element>(element: &E) -> Vec<u8> {
    let mut out = Vec::new();
    element.encode(&mut out);
    out
}

/// Order, equality and inverse, as a whole and as a part before others.
fn faithful<E: Element + Debug + Clone>(values: impl Strategy<Value = E> + 'static) {
    let values = values.boxed();
    property(256, (values.clone(), values), |(a, b)| {
        let (whole_a, whole_b) = (encoded(&a), encoded(&b));
        prop_assert_eq!(a.cmp(&b), whole_a.cmp(&whole_b));
        prop_assert_eq!(E::decode(&whole_a), Some(a.clone()));
        let part = |of: &E, then: u8| {
            let mut out = Vec::new();
            of.encode_part(&mut out);
            out.push(then);
            out
        };
        // Whatever follows a part decides between equal parts only.
        prop_assert_eq!(part(&a, 9).cmp(&part(&b, 9)), a.cmp(&b));
        prop_assert!(a >= b || part(&a, 255) < part(&b, 0));
        let bytes = part(&a, 7);
        let mut rest = &bytes[..];
        prop_assert_eq!(E::decode_part(&mut rest), Some(a));
        prop_assert_eq!(rest, &[7][..]);
        Ok(())
    });
}

/// Whatever decodes, encodes to the same bytes again.
fn strict<E: Element>() {
    let few = prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..12);
    property(512, few, |bytes| {
        if let Some(value) = E::decode(&bytes) {
            prop_assert_eq!(encoded(&value), bytes.clone());
        }
        let mut rest = &bytes[..];
        if let Some(value) = E::decode_part(&mut rest) {
            let mut again = Vec::new();
            value.encode_part(&mut again);
            again.extend_from_slice(rest);
            prop_assert_eq!(again, bytes);
        }
        Ok(())
    });
}

macro_rules! elements {
    ($($name:ident: $type:ty, $values:expr;)*) => {$(
        #[test]
        fn $name() {
            faithful::<$type>($values);
            strict::<$type>();
        }
    )*};
}

/// Strings with a zero now and then, which parts have to escape.
fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), any::<char>()];
    prop::collection::vec(letter, 0..4).prop_map(String::from_iter)
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()];
    prop::collection::vec(byte, 0..4)
}

elements! {
    element_u8: u8, any::<u8>();
    element_u16: u16, any::<u16>();
    element_u32: u32, any::<u32>();
    element_u64: u64, any::<u64>();
    element_u128: u128, any::<u128>();
    element_i8: i8, any::<i8>();
    element_i16: i16, any::<i16>();
    element_i32: i32, any::<i32>();
    element_i64: i64, any::<i64>();
    element_i128: i128, any::<i128>();
    element_bool: bool, any::<bool>();
    element_char: char, any::<char>();
    element_array: [u8; 3], any::<[u8; 3]>();
    element_string: String, text();
    element_bytes: Vec<u8>, blob();
    element_pair: (String, u16), (text(), any::<u16>());
    element_pair_of_bytes: (Vec<u8>, Vec<u8>), (blob(), blob());
    element_triple: (bool, Vec<u8>, i8), (any::<bool>(), blob(), any::<i8>());
    element_nested: ((String, String), char, String, u8),
        ((text(), text()), any::<char>(), text(), any::<u8>());
}

#[test]
fn borrowed_forms_encode_as_the_owned() {
    fn same<E: Element, Q: EncodesAs<E> + ?Sized>(owned: &E, borrowed: &Q) {
        let mut out = Vec::new();
        borrowed.encode_as(&mut out);
        assert_eq!(out, encoded(owned));
    }
    same(&"käse".to_owned(), "käse");
    same(&vec![1u8, 0, 2], &[1u8, 0, 2][..]);
    same(&vec![1u8, 0, 2], &[1u8, 0, 2]);
    same(&7u64, &7u64);
}

#[test]
fn what_is_no_value_is_refused() {
    assert_eq!(bool::decode(&[2]), None);
    assert_eq!(char::decode(&0xd800u32.to_be_bytes()), None);
    assert_eq!(char::decode(&0x0011_0000u32.to_be_bytes()), None);
    assert_eq!(String::decode(&[0xff]), None);
    assert_eq!(u32::decode(&[0, 0, 1]), None);
    assert_eq!(<[u8; 2]>::decode(&[1, 2, 3]), None);
    assert_eq!(<(String, u8)>::decode(b"a\0\0"), None);
    assert_eq!(<(String, u8)>::decode(b"a\0\x01\0\0\x07"), None);
    assert_eq!(<(String, u8)>::decode(b"a\0\0\x07\x08"), None);
    assert_eq!(
        <(String, u8)>::decode(b"a\0\xff\0\0\x07"),
        Some(("a\0".to_owned(), 7))
    );
}

#[test]
fn shapes_tell_types_of_different_bytes_apart() {
    fn shape<E: Element>() -> String {
        let mut out = String::new();
        E::shape(&mut out);
        out
    }
    assert_eq!(
        shape::<(String, (Vec<u8>, [u8; 4]))>(),
        "tuple<str,tuple<bytes,bytes4>>"
    );
    let shapes = [
        shape::<u8>(),
        shape::<i8>(),
        shape::<bool>(),
        shape::<char>(),
        shape::<u32>(),
    ];
    let different = std::collections::BTreeSet::from_iter(&shapes);
    assert_eq!(different.len(), shapes.len());
}
