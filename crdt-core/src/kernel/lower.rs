//! Of the places of a block: which stand for the only place under them, and what that is called.

use alloc::vec::Vec;

use crate::name::Name;

/// Names of lower places, each once, and for each place of a block which is its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Lower {
    names: Vec<Name>,
    /// 0 where a place stands for itself, else one more than the place of a name. Empty while all are 0.
    which: Vec<u8>,
}

impl Lower {
    /// Whether all places stand for themselves.
    pub(super) fn is_empty(&self) -> bool {
        self.which.is_empty()
    }

    pub(super) fn name(&self, at: usize) -> Option<&Name> {
        let which = usize::from(*self.which.get(at)?);
        self.names.get(which.checked_sub(1)?)
    }

    /// Makes room for a place that is put in before the one at `at`; so far there are `len`.
    pub(super) fn insert(&mut self, len: usize, at: usize) {
        if !self.which.is_empty() {
            debug_assert_eq!(self.which.len(), len);
            self.which.insert(at, 0);
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        if !self.which.is_empty() {
            self.which.remove(at);
        }
    }

    /// Says what a place stands for. There are `len` places.
    pub(super) fn set(&mut self, len: usize, at: usize, name: Option<&Name>) {
        let Some(name) = name else {
            if let Some(which) = self.which.get_mut(at) {
                *which = 0;
            }
            return;
        };
        let number = self.number(name);
        if self.which.is_empty() {
            self.which = alloc::vec![0; len];
        }
        self.which[at] = number;
    }

    /// One more than the place of a name.
    fn number(&mut self, name: &Name) -> u8 {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known as u8 + 1;
        }
        if self.names.len() + 1 >= usize::from(u8::MAX) {
            self.drop_unused();
        }
        self.names.reserve_exact(1);
        self.names.push(name.clone());
        self.names.len() as u8
    }

    /// Names that no place has go. What is left are no more names than places, which fits.
    pub(super) fn drop_unused(&mut self) {
        let former = core::mem::take(&mut self.names);
        for which in self.which.iter_mut().filter(|which| **which != 0) {
            let name = &former[usize::from(*which) - 1];
            let known = self.names.iter().position(|known| known == name);
            let at = known.unwrap_or_else(|| {
                self.names.push(name.clone());
                self.names.len() - 1
            });
            *which = at as u8 + 1;
        }
        if self.names.is_empty() {
            self.which = Vec::new();
        }
    }

    /// Takes those of the places from `at` on out.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self {
            names: self.names.clone(),
            which: self.which.split_off(at.min(self.which.len())),
        };
        self.drop_unused();
        right.drop_unused();
        right
    }

    pub(super) fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.which.shrink_to_fit();
    }
}
