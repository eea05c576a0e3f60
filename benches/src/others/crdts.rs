//! The same of the `crdts` crate.

use std::hint::black_box;

use crdts::{CmRDT, CvRDT, GCounter, LWWReg, MVReg, Orswot};

use crate::subject::{Counter, Element, Map, Register, Set};

/// A set, and who writes to it.
#[derive(Debug)]
pub struct CrdtsSet<E: Element> {
    set: Orswot<E, u64>,
    actor: u64,
}

macro_rules! subject {
    ($element:ty) => {
        impl Set<$element> for CrdtsSet<$element> {
            fn new(replica: u64) -> Self {
                Self {
                    set: Orswot::new(),
                    actor: replica,
                }
            }

            fn fork(&self, replica: u64) -> Self {
                Self {
                    set: self.set.clone(),
                    actor: replica,
                }
            }

            fn insert_all(&mut self, elements: impl Iterator<Item = $element>) {
                for element in elements {
                    let context = self.set.read_ctx().derive_add_ctx(self.actor);
                    let op = self.set.add(element, context);
                    self.set.apply(op);
                }
            }

            fn remove(&mut self, element: &$element) {
                let context = self.set.contains(element).derive_rm_ctx();
                let op = self.set.rm(*element, context);
                self.set.apply(op);
            }

            fn contains(&self, element: &$element) -> bool {
                self.set.contains(element).val
            }

            fn count(&self) -> usize {
                self.set.iter().map(|read| black_box(*read.val)).count()
            }

            fn merge(&mut self, other: Self) {
                self.set.merge(other.set);
            }

            fn encode(&self) -> Vec<u8> {
                postcard::to_allocvec(&self.set).expect("a set of numbers or bytes")
            }

            fn decode(bytes: &[u8]) -> Self {
                Self {
                    set: postcard::from_bytes(bytes).expect("bytes that were just made"),
                    actor: 9,
                }
            }

            /// There are no deltas: the whole state.
            type News = Orswot<$element, u64>;

            fn insert_with_news(&mut self, elements: impl Iterator<Item = $element>) -> Self::News {
                self.insert_all(elements);
                self.set.clone()
            }

            fn merge_news(&mut self, news: Self::News) {
                self.set.merge(news);
            }
        }
    };
}

subject!(u64);
subject!([u8; 16]);

/// A counter, and who counts.
#[derive(Debug)]
pub struct CrdtsCounter {
    counter: GCounter<u64>,
    actor: u64,
}

impl Counter for CrdtsCounter {
    fn new(replica: u64) -> Self {
        Self {
            counter: GCounter::new(),
            actor: replica,
        }
    }

    fn fork(&self, replica: u64) -> Self {
        Self {
            counter: self.counter.clone(),
            actor: replica,
        }
    }

    fn add_often(&mut self, times: u64) {
        for _ in 0..times {
            let op = self.counter.inc(black_box(self.actor));
            self.counter.apply(op);
        }
    }

    fn merge(&mut self, other: Self) {
        self.counter.merge(other.counter);
    }

    fn value(&self) -> u64 {
        u64::try_from(self.counter.read()).expect("few were counted")
    }
}

/// A last-writer-wins register, and the time of its last write.
#[derive(Debug)]
pub struct CrdtsLww {
    register: LWWReg<u64, u64>,
}

impl Register for CrdtsLww {
    fn new(_: u64) -> Self {
        Self {
            register: LWWReg { val: 0, marker: 0 },
        }
    }

    fn set(&mut self, value: u64) {
        self.register.update(value, self.register.marker + 1);
    }
}

/// A multi-value register, and who writes to it.
#[derive(Debug)]
pub struct CrdtsMv {
    register: MVReg<u64, u64>,
    actor: u64,
}

impl Register for CrdtsMv {
    fn new(replica: u64) -> Self {
        Self {
            register: MVReg::new(),
            actor: replica,
        }
    }

    fn set(&mut self, value: u64) {
        let context = self.register.read_ctx().derive_add_ctx(self.actor);
        let op = self.register.write(value, context);
        self.register.apply(op);
    }
}

/// A map of multi-value registers, and who writes to it.
#[derive(Debug)]
pub struct CrdtsMap {
    map: crdts::Map<String, MVReg<u64, u64>, u64>,
    actor: u64,
}

impl Map for CrdtsMap {
    fn new(replica: u64) -> Self {
        Self {
            map: crdts::Map::new(),
            actor: replica,
        }
    }

    fn set_all(&mut self, entries: &[(String, u64)]) {
        for (key, value) in entries {
            let context = self.map.read_ctx().derive_add_ctx(self.actor);
            let write = |register: &MVReg<u64, u64>, context| register.write(*value, context);
            let op = self.map.update(key.as_str(), context, write);
            self.map.apply(op);
        }
    }
}
