use crdt_core::kernel::{DotStore, EditError, Node};
use crdt_core::{
    GSet, Joined, Lattice, Limits, LwwMap, LwwRegister, MvRegister, OrMap, ReplicaId, Timestamp,
    record,
};
use serde::{Deserialize, Serialize};

use super::*;

const LIMIT: Limit = Limit {
    items: 100,
    text: 100,
};

record! {
    struct Profile: "profile", ProfileView, ProfileEdit {
        name: LwwRegister<String>,
        visits: PnCounter,
        tags: OrSet<String>,
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Longest(String);

impl Lattice for Longest {
    const NAME: &'static str = "longest";
    fn join(&mut self, other: Self) {
        if (other.0.len(), &other.0) > (self.0.len(), &self.0) {
            *self = other;
        }
    }
}

/// The tree of a value after one update.
fn tree<T: Crdt>(update: impl FnOnce(&mut T::Edit<'_>)) -> Node {
    let mut store = DotStore::new();
    let (replica, clock) = (ReplicaId::new(1, 1), Timestamp::from_millis(1));
    store
        .transact::<_, EditError>(replica, clock, Limits::default(), |tx| {
            update(&mut T::edit(tx.at(&[])));
            Ok(())
        })
        .unwrap();
    store.root().clone()
}

fn shown_within<T: Crdt>(limit: Limit, update: impl FnOnce(&mut T::Edit<'_>)) -> Shown {
    show(&Shape::of::<T>(), tree::<T>(update).as_ref(), limit)
}

fn shown<T: Crdt>(update: impl FnOnce(&mut T::Edit<'_>)) -> Value {
    let shown = shown_within::<T>(LIMIT, update);
    assert!(shown.is_whole);
    shown.value
}

#[test]
fn every_type_is_shown_as_what_it_holds() {
    assert_eq!(shown::<PnCounter>(|c| c.add(-3)), json!(-3));
    assert_eq!(
        shown::<GCounter>(|c| c.add(u64::MAX)),
        json!("18446744073709551615")
    );
    assert_eq!(shown::<EwFlag>(|f| f.enable()), json!(true));
    assert_eq!(shown::<DwFlag>(|f| f.disable()), json!(false));
    assert_eq!(
        shown::<OrSet<String>>(|s| {
            for e in ["b", "a"] {
                s.insert(e);
            }
        }),
        json!(["a", "b"])
    );
    assert_eq!(
        shown::<GSet<i16>>(|s| {
            s.insert(&-5);
        }),
        json!([-5])
    );
    assert_eq!(
        shown::<RemoveWinsSet<u64>>(|s| {
            s.insert(&1);
            s.insert(&2);
            s.remove(&1);
        }),
        json!([2])
    );
    assert_eq!(
        shown::<OrSet<(u32, String, [u8; 2])>>(|s| {
            s.insert(&(7, "x\0y".into(), [1, 255]));
        }),
        json!([[7, "x\0y", { "bytes": "01ff" }]])
    );
    assert_eq!(shown::<MaxRegister<u64>>(|r| r.raise(&7)), json!(7));
    assert_eq!(shown::<MinRegister<String>>(|r| r.lower("k")), json!("k"));
    assert_eq!(
        shown::<LwwRegister<String>>(|r| {
            r.set("one");
            r.set("two");
        }),
        json!("two")
    );
    assert_eq!(
        shown::<LwwRegister<u8>>(|r| r.set(&0)),
        json!({ "bytes": "00" })
    );
    assert_eq!(shown::<MvRegister<String>>(|r| r.set("x")), json!(["x"]));
    assert_eq!(
        shown::<LwwMap<u16, String>>(|m| {
            m.insert(&9, "on");
        }),
        json!({ "9": "on" })
    );
    assert_eq!(
        shown::<OrMap<String, OrMap<bool, OrSet<char>>>>(|m| {
            m.entry("k").entry(&true).insert(&'x');
        }),
        json!({ "k": { "true": ["x"] } })
    );
    assert_eq!(
        shown::<Profile>(|p| {
            p.name().set("Ann");
            p.visits().add(2);
            p.tags().insert("new");
        }),
        json!({ "name": "Ann", "visits": 2, "tags": ["new"] })
    );
    assert_eq!(
        shown::<Joined<Longest>>(|j| {
            j.update(|l| l.0 = "Ann".into());
        }),
        json!(["Ann"])
    );
}

#[test]
fn what_is_not_known_is_counted() {
    let value = tree::<OrSet<u64>>(|s| {
        for e in [1, 2] {
            s.insert(&e);
        }
    });
    let show_as = |shape: &str| {
        let shape = Shape::parse(shape.as_bytes()).unwrap();
        show(&shape, value.as_ref(), LIMIT)
    };
    let text = show_as("rich_text<u64>");
    assert_eq!(
        (text.value, text.is_whole),
        (json!({ "entries": 2 }), false)
    );
    // An element of somebody's own, and a shape that lies about its elements.
    let bytes = json!([{ "bytes": "0000000000000001" }, { "bytes": "0000000000000002" }]);
    for shape in [
        "or_set<user>",
        "or_set<u32>",
        "or_set<tuple<u64,u64>>",
        "or_set<bytes999>",
    ] {
        assert_eq!(show_as(shape).value, bytes, "{shape}");
    }
    for odd in [
        "or_set",
        "or_set<a,b>",
        "or_map<str>",
        "pn_counter<x>",
        "lww_map<>",
    ] {
        if let Some(shape) = Shape::parse(odd.as_bytes()) {
            assert!(!show(&shape, value.as_ref(), LIMIT).is_whole, "{odd}");
        }
    }
}

#[test]
fn no_more_is_shown_than_was_asked_for() {
    let few = Limit { items: 3, text: 8 };
    let set = shown_within::<OrSet<u64>>(few, |s| {
        for n in 0..10 {
            s.insert(&n);
        }
    });
    assert_eq!((set.value, set.is_whole), (json!([0, 1, 2]), false));
    let text = shown_within::<LwwRegister<String>>(few, |r| r.set("ééééé"));
    assert_eq!((text.value, text.is_whole), (json!("éééé…"), false));
    let map = shown_within::<OrMap<u8, OrSet<u8>>>(few, |m| {
        for (k, e) in [(1, 1), (1, 2), (1, 3), (2, 1)] {
            m.entry(&k).insert(&e);
        }
    });
    assert_eq!((map.value, map.is_whole), (json!({ "1": [1, 2] }), false));
    let bytes = shown_within::<GSet<Vec<u8>>>(few, |s| {
        s.insert(&[7u8; 9][..]);
    });
    assert_eq!(bytes.value, json!([{ "bytes": "07070707…" }]));
    assert!(!bytes.is_whole);
}

#[test]
fn sizes_are_measured_up_to_a_limit() {
    let value = tree::<OrSet<String>>(|s| {
        for e in ["one", "three"] {
            s.insert(e);
        }
    });
    let measure = |most| measure(value.as_ref(), most);
    let all = Size {
        entries: 2,
        bytes: 8,
        is_whole: true,
    };
    assert_eq!(measure(10), all);
    assert!(!measure(1).is_whole);
}

#[test]
fn only_what_is_surely_readable_is_a_text() {
    assert_eq!(as_text(b"\x05hello"), Some("hello"));
    let long = "x".repeat(300);
    let bytes = [&[0xac, 0x02][..], long.as_bytes()].concat();
    assert_eq!(as_text(&bytes), Some(&long[..]));
    for no in [
        &b"\x05hell"[..],
        b"\x00",
        b"",
        b"\x01\x01",
        b"\x02\xff\xff",
        b"\x80\x80\x80\x80",
    ] {
        assert_eq!(as_text(no), None, "{no:?}");
    }
}
