//! What the compiler refuses. Each is a test that it does; the first of a pair shows that all else
//! in it compiles.

/// Floats are no elements and no keys: NaN is not equal to itself, and 0.0 and -0.0 are equal with
/// different bytes.
///
/// ```
/// use crdt_core::{Causal, GCounter, MaxRegister, OrMap, OrSet, ReplicaId};
/// let set = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let map = Causal::<OrMap<u32, GCounter>>::new(ReplicaId::new(1, 1));
/// let max = Causal::<MaxRegister<u64>>::new(ReplicaId::new(1, 1));
/// let pair = Causal::<OrSet<(u8, u64)>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<f64>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, GCounter, OrMap, ReplicaId};
/// let map = Causal::<OrMap<f32, GCounter>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, MaxRegister, ReplicaId};
/// let max = Causal::<MaxRegister<f64>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let pair = Causal::<OrSet<(u8, f64)>>::new(ReplicaId::new(1, 1));
/// ```
struct Floats;

/// Nor are hash maps, whose bytes have no fixed order, and `usize`, whose bytes depend on the machine.
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<std::collections::HashSet<u64>>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<std::collections::HashMap<u64, u64>>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<usize>>::new(ReplicaId::new(1, 1));
/// ```
struct HashMapsAndMachineWords;

/// A type that serde can write is no element by that: its bytes need not be identity.
///
/// ```
/// #[derive(PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
/// struct User(u64);
///
/// use crdt_core::{Causal, LwwRegister, ReplicaId};
/// let register = Causal::<LwwRegister<User>>::new(ReplicaId::new(1, 1));
/// ```
///
/// ```compile_fail,E0277
/// #[derive(PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
/// struct User(u64);
///
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<User>>::new(ReplicaId::new(1, 1));
/// ```
struct SerdeTypes;

/// Text is written to registers of text, and to no others.
///
/// ```
/// use crdt_core::{Causal, LwwRegister, ReplicaId};
/// let mut register = Causal::<LwwRegister<String>>::new(ReplicaId::new(1, 1));
/// register.update(|r| r.set("7"));
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, LwwRegister, ReplicaId};
/// let mut register = Causal::<LwwRegister<u64>>::new(ReplicaId::new(1, 1));
/// register.update(|r| r.set("7"));
/// ```
struct FormsOfPayloads;

/// A plain value is no CRDT: nothing says how two of them merge.
///
/// ```
/// use crdt_core::{Crdt, LwwRegister, OrMap};
/// fn merges<T: Crdt>() {}
/// merges::<OrMap<u32, LwwRegister<u64>>>();
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Crdt, OrMap};
/// fn merges<T: Crdt>() {}
/// merges::<OrMap<u32, u64>>();
/// ```
struct PlainValues;

/// A look-up by a number of another width is refused: its bytes are others, and it would find nothing.
///
/// ```
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// set.view().contains(&7u64);
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let set = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// set.view().contains(&7u32);
/// ```
struct Widths;

/// A value can't be copied: two replicas of one id would give one dot to two events, and each lose
/// what the other did. `fork` asks for an id.
///
/// ```
/// use crdt_core::{Causal, Delta, OrSet, ReplicaId, SetView};
/// fn can_be_cloned<T: Clone>() {}
/// can_be_cloned::<Delta<OrSet<u64>>>();
/// can_be_cloned::<SetView<'_, u64>>();
/// let a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let b = a.fork(ReplicaId::new(2, 1)).unwrap();
/// ```
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet};
/// fn can_be_cloned<T: Clone>() {}
/// can_be_cloned::<Causal<OrSet<u64>>>();
/// ```
///
/// Nor can it be deserialised, which would be a copy as well. `load` asks for an id.
///
/// ```compile_fail,E0277
/// use crdt_core::{Causal, OrSet};
/// fn can_be_read<T: serde::de::DeserializeOwned>() {}
/// can_be_read::<Causal<OrSet<u64>>>();
/// ```
struct Copies;

/// Deltas and values of another type are refused.
///
/// ```
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let mut a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<OrSet<u64>>::new(ReplicaId::new(2, 1));
/// let done = a.update(|s| s.insert(&1)).unwrap();
/// b.apply(&done.delta).unwrap();
/// b.merge(&a).unwrap();
/// ```
///
/// ```compile_fail,E0308
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let mut a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<OrSet<u32>>::new(ReplicaId::new(2, 1));
/// let done = a.update(|s| s.insert(&1)).unwrap();
/// b.apply(&done.delta).unwrap();
/// ```
///
/// ```compile_fail,E0308
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<OrSet<u32>>::new(ReplicaId::new(2, 1));
/// b.merge(&a).unwrap();
/// ```
struct OtherTypes;

/// An edit, and with it the context that it writes under, does not leave its update, and a view does
/// not outlive the value that it reads.
///
/// ```compile_fail
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let mut a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let mut kept = None;
/// a.update(|s| kept = Some(s));
/// kept.unwrap().insert(&1);
/// ```
///
/// ```compile_fail,E0502
/// use crdt_core::{Causal, OrSet, ReplicaId};
/// let mut a = Causal::<OrSet<u64>>::new(ReplicaId::new(1, 1));
/// let view = a.view();
/// a.update(|s| s.insert(&1));
/// view.len();
/// ```
struct Contexts;
