//! Golden bytes: the encodings of values and deltas, as they were first given out. Whoever changes
//! one makes a new format.

use crdt_core::{
    Causal, Crdt, Delta, GCounter, GSet, LwwMap, LwwRegister, MvRegister, OrMap, OrSet, PnCounter,
    Timestamp,
};

use crate::support::{empty, kernel_state, replica, update};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The value that two replicas come to, and the delta of the last update: each has these bytes,
/// and loads from them again.
fn golden<T: Crdt>(
    first: impl FnOnce(&mut T::Edit<'_>),
    second: impl FnOnce(&mut T::Edit<'_>),
    third: impl FnOnce(&mut T::Edit<'_>),
    value: &str,
    delta: &str,
) {
    let at = Timestamp::from_millis;
    let (mut a, mut b): (Causal<T>, Causal<T>) = (empty(1), empty(2));
    a.update_at(at(1), first).expect("within the limits");
    b.update_at(at(2), second).expect("within the limits");
    a.merge(&b);
    let last = a.update_at(at(3), third).expect("within the limits").delta;
    assert_eq!(
        (hex(&a.encode()), hex(&last.encode())),
        (value.to_owned(), delta.to_owned())
    );
    let loaded = Causal::<T>::load(&a.encode(), replica(3)).expect("its own bytes");
    assert_eq!(loaded.encode(), a.encode());
    assert_eq!(kernel_state(&loaded), kernel_state(&a));
    let loaded = Delta::<T>::load(&last.encode()).expect("its own bytes");
    assert_eq!(loaded.encode(), last.encode());
    b.apply(&loaded).expect("nothing was forgotten");
}

#[test]
fn bytes_of_a_g_counter() {
    golden::<GCounter>(
        |c| c.add(1),
        |c| c.add(300),
        |c| c.add(2),
        "0109675f636f756e746572020000000000000001000000000000000102000000000000000002000000000000000101000002000000000000000100000000000000010000000000000002000000000000000100010000020004020106000001020201d8040000",
        "0109675f636f756e746572000100000000000000010000000000000001000100000100000000000000010000000000000001000100000100040201060000",
    );
}

#[test]
fn bytes_of_a_pn_counter() {
    golden::<PnCounter>(
        |c| c.add(-1),
        |c| c.add(300),
        |c| {
            c.reset();
            c.add(i64::MIN);
        },
        "010a706e5f636f756e746572020000000000000001000000000000000103000000000000000002000000000000000101000002000000000000000100000000000000010000000000000002000000000000000101000000040200010001010002000001010100010101d8040100000100020203ffffffffffffffffff010000",
        "010a706e5f636f756e7465720001000000000000000100000000000000010001000102000000000000000100000000000000010000000000000002000000000000000101000000040200010001010002000001010100010101d8040100000100020203ffffffffffffffffff010000",
    );
}

#[test]
fn bytes_of_a_g_set() {
    golden::<GSet<String>>(
        |s| {
            s.insert("a");
        },
        |s| {
            s.insert("b");
        },
        |s| {
            s.insert("a");
        },
        "010a675f7365743c7374723e02000000000000000100000000000000010200000000000000000200000000000000010100000200000000000000010000000000000001000000000000000200000000000000010100010161000401000100000200010161010000000001016201010200",
        "010a675f7365743c7374723e000100000000000000010000000000000001000100000100000000000000010000000000000001010001016100040100010000010001016101000000",
    );
}

#[test]
fn bytes_of_an_or_set() {
    golden::<OrSet<String>>(
        |s| {
            s.insert("a");
        },
        |s| {
            s.insert("ab");
        },
        |s| {
            s.remove("a");
            s.insert("abc");
        },
        "010b6f725f7365743c7374723e02000000000000000100000000000000010300000000000000000200000000000000010100000200000000000000010000000000000001000000000000000200000000000000010100010161000401000100000200010261620101020000010361626301000200",
        "010b6f725f7365743c7374723e0001000000000000000100000000000000010001000101000000000000000100000000000000010100010161000401000100000100010361626301000200",
    );
}

#[test]
fn bytes_of_an_lww_register() {
    golden::<LwwRegister<String>>(
        |r| r.set(&"a".to_owned()),
        |r| r.set(&"b".to_owned()),
        |r| r.set(&"c".to_owned()),
        "010c6c77775f7265676973746572020000000000000001000000000000000102000000000000000002000000000000000101000002000000000000000100000000000000010000000000000002000000000000000101000000040200010001010000010000010000010a00000000000300000163",
        "010c6c77775f72656769737465720001000000000000000100000000000000010001000002000000000000000100000000000000010000000000000002000000000000000101000000040200010001010000010000010000010a00000000000300000163",
    );
}

#[test]
fn bytes_of_an_mv_register() {
    golden::<MvRegister<u32>>(
        |r| r.set(&1),
        |r| r.set(&300),
        |r| r.set(&70_000),
        "010b6d765f72656769737465720200000000000000010000000000000001020000000000000000020000000000000001010000020000000000000001000000000000000100000000000000020000000000000001010000000402000100010100000100000100000103f0a204",
        "010b6d765f726567697374657200010000000000000001000000000000000100010000020000000000000001000000000000000100000000000000020000000000000001010000000402000100010100000100000100000103f0a204",
    );
}

#[test]
fn bytes_of_an_lww_map() {
    golden::<LwwMap<u16, bool>>(
        |m| m.insert(&1, &true),
        |m| m.insert(&1, &false),
        |m| m.insert(&2, &true),
        "010c6c77775f6d61703c7531363e02000000000000000100000000000000010200000000000000000200000000000000010100000200000000000000010000000000000001000000000000000200000000000000010002000102000102000201090000000000010000010102010900000000000200000000010200020100020109000000000003000001",
        "010c6c77775f6d61703c7531363e000100000000000000010000000000000001000100000100000000000000010000000000000001000100010200020100040109000000000003000001",
    );
}

#[test]
fn bytes_of_an_or_map_of_counters() {
    golden::<OrMap<String, PnCounter>>(
        |m| m.entry("a").add(1),
        |m| m.entry("a").add(2),
        |m| {
            m.remove("a");
            m.entry("b").add(3);
        },
        "01166f725f6d61703c7374722c706e5f636f756e7465723e02000000000000000100000000000000010300000000000000000200000000000000010100000200000000000000010000000000000001000000000000000200000000000000010100010161000402000100010100020000010102000101010401000101620100020203060000",
        "01166f725f6d61703c7374722c706e5f636f756e7465723e000100000000000000010000000000000001000100010200000000000000010000000000000001000000000000000200000000000000010100010161000402000100010100020000010102000101010401000101620100020203060000",
    );
}

#[test]
fn bytes_of_an_or_map_of_sets() {
    golden::<OrMap<String, OrSet<i8>>>(
        |m| {
            m.entry("a").insert(&-1);
        },
        |m| {
            m.entry("a").insert(&1);
        },
        |m| {
            m.remove("a");
        },
        "01166f725f6d61703c7374722c6f725f7365743c69383e3e020000000000000001000000000000000102000000000000000002000000000000000101000002000000000000000100000000000000010000000000000002000000000000000101000101610004020001000101000000",
        "01166f725f6d61703c7374722c6f725f7365743c69383e3e0001000000000000000100000000000000010001000002000000000000000100000000000000010000000000000002000000000000000101000101610004020001000101000000",
    );
}

#[test]
fn bytes_of_nested_or_maps() {
    golden::<OrMap<String, OrMap<(u8, bool), MvRegister<()>>>>(
        |m| m.entry("a").entry(&(1, true)).set(&()),
        |m| m.entry("a").entry(&(2, false)).set(&()),
        |m| {
            m.entry("a").remove(&(1, true));
        },
        "012e6f725f6d61703c7374722c6f725f6d61703c7475706c653c75382c626f6f6c3e2c6d765f72656769737465723e3e020000000000000001000000000000000102000000000000000002000000000000000101000002000000000000000100000000000000010000000000000002000000000000000101000201610201010004010001000001000201610202000101020100",
        "012e6f725f6d61703c7374722c6f725f6d61703c7475706c653c75382c626f6f6c3e2c6d765f72656769737465723e3e00010000000000000001000000000000000100010000010000000000000001000000000000000101000201610201010004010001000000",
    );
}

/// Equal contexts by different routes: what is live is equal, and so are the bytes as long as both
/// keep the same records. Which ones a replica keeps is its own affair: one that never met a removal
/// by itself, but in a whole value that had forgotten it, has no record of it.
#[test]
fn equal_values_have_equal_bytes_by_whatever_route() {
    let mut a: Causal<OrSet<String>> = empty(1);
    let mut deltas = Vec::new();
    for element in ["x", "y", "z"] {
        deltas.push(update(&mut a, |s| s.insert(element)).delta);
    }
    deltas.push(update(&mut a, |s| s.remove("y")).delta);
    deltas.push(update(&mut a, |s| s.insert("x")).delta);
    let mut by_merge: Causal<OrSet<String>> = empty(2);
    by_merge.merge(&a);
    let mut by_deltas: Causal<OrSet<String>> = empty(3);
    for delta in deltas.iter().rev() {
        by_deltas.apply(delta).expect("nothing was forgotten");
    }
    assert_eq!(hex(&by_merge.encode()), hex(&a.encode()));
    assert_eq!(hex(&by_deltas.encode()), hex(&a.encode()));
    assert_eq!(a.forget([by_merge.context(), by_deltas.context()]), 2);
    let mut after: Causal<OrSet<String>> = empty(4);
    after.merge(&a);
    assert_eq!(hex(&after.encode()), hex(&a.encode()));
    assert_ne!(hex(&after.encode()), hex(&by_deltas.encode()));
    assert_eq!(kernel_state(&after), kernel_state(&by_deltas));
}
