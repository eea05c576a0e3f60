//! Of the places of a block: which stand for the only place under them, and what that is called.

use alloc::vec::Vec;

use crate::name::Name;

/// Names of lower places, each once, and for each place of a block which is its own. Mostly all have the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Lower {
    /// The first of the names, for which alone no list is needed.
    first: Option<Name>,
    others: Vec<Name>,
    /// 0 where a place stands for itself, 1 for the first name, and so on. Empty while all are alike: for themselves
    /// if there is no name.
    which: Vec<u8>,
}

impl Lower {
    /// Whether all places stand for themselves.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn name(&self, at: usize) -> Option<&Name> {
        match self.which.get(at) {
            None | Some(1) => self.first.as_ref(),
            Some(0) => None,
            Some(which) => self.others.get(usize::from(*which) - 2),
        }
    }

    /// Puts in a place before the one at `at`, with the name of the one that it stands for; so far there are `len`.
    #[inline]
    pub(super) fn insert(&mut self, len: usize, at: usize, name: Option<&Name>) {
        // Most blocks have no such places.
        if name.is_some() || !self.is_empty() {
            self.insert_one(len, at, name);
        }
    }

    fn insert_one(&mut self, len: usize, at: usize, name: Option<&Name>) {
        if len == 0 {
            *self = Self {
                first: name.cloned(),
                ..Self::default()
            };
        } else if !self.which.is_empty() || self.first.as_ref() != name {
            self.tell_apart(len);
            self.which.insert(at, 0);
            self.set(len + 1, at, name);
        }
    }

    fn tell_apart(&mut self, len: usize) {
        if self.which.is_empty() {
            let all = u8::from(self.first.is_some());
            self.which = alloc::vec![all; len];
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        if !self.which.is_empty() {
            self.which.remove(at);
        }
    }

    /// Says what a place stands for. There are `len` places.
    pub(super) fn set(&mut self, len: usize, at: usize, name: Option<&Name>) {
        if self.which.is_empty() && self.first.as_ref() == name {
            return;
        }
        self.tell_apart(len);
        self.which[at] = name.map_or(0, |name| self.number(name));
    }

    /// One more than the place of a name.
    fn number(&mut self, name: &Name) -> u8 {
        if self.others.len() + 2 >= usize::from(u8::MAX) {
            self.renumber();
        }
        if let Some(known) = self.names().position(|known| known == name) {
            return known as u8 + 1;
        }
        if self.first.is_none() {
            self.first = Some(name.clone());
        } else {
            self.others.reserve_exact(1);
            self.others.push(name.clone());
        }
        self.names().count() as u8
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        self.first.iter().chain(&self.others)
    }

    /// Names that no place has go. What is left are no more names than places, which fits.
    fn renumber(&mut self) {
        let former: Vec<Name> = self.names().cloned().collect();
        (self.first, self.others) = (None, Vec::new());
        for at in 0..self.which.len() {
            if let Some(former) = usize::from(self.which[at])
                .checked_sub(1)
                .map(|at| &former[at])
            {
                self.which[at] = self.number(former);
            }
        }
    }

    /// Names that no place has go, and the list of which has which, if all are alike.
    fn drop_unused(&mut self) {
        if self.which.is_empty() {
            return;
        }
        self.renumber();
        let all = self.which.first().copied().unwrap_or(0);
        if all <= 1 && self.which.iter().all(|which| *which == all) {
            self.which = Vec::new();
        }
    }

    /// Takes those of the places from `at` on out.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self {
            first: self.first.clone(),
            others: self.others.clone(),
            which: self.which.split_off(at.min(self.which.len())),
        };
        self.drop_unused();
        right.drop_unused();
        right
    }

    pub(super) fn shrink(&mut self) {
        self.drop_unused();
        self.others.shrink_to_fit();
        self.which.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    /// More names than a byte can tell apart have passed, and never more than a block has places.
    #[test]
    fn each_place_stands_for_what_it_was_told() {
        let names: Vec<Name> = (0..600)
            .map(|n| Name::from(format!("{n}").as_str()))
            .collect();
        let mut state = 7u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % below
        };
        for alike in [1, 3, 600] {
            let (mut lower, mut model) = (Lower::default(), Vec::<Option<&Name>>::new());
            for step in 0..5_000 {
                let name = (random(4) > 0).then(|| &names[random(alike)]);
                match random(5) {
                    0 | 1 if model.len() < 65 => {
                        let at = random(model.len() + 1);
                        lower.insert(model.len(), at, name);
                        model.insert(at, name);
                    }
                    2 if !model.is_empty() => {
                        let at = random(model.len());
                        lower.set(model.len(), at, name);
                        model[at] = name;
                    }
                    3 if model.len() > 1 => {
                        let at = random(model.len());
                        lower.remove(at);
                        model.remove(at);
                    }
                    4 if step % 50 == 0 && model.len() > 1 => {
                        let at = random(model.len());
                        let (right, expected) = (lower.split_off(at), model.split_off(at));
                        for (at, name) in expected.iter().enumerate() {
                            assert_eq!(right.name(at), *name);
                        }
                    }
                    _ => lower.shrink(),
                }
                for (at, name) in model.iter().enumerate() {
                    assert_eq!(lower.name(at), *name, "step {step} of {alike} names");
                }
                assert!(lower.names().count() <= usize::from(u8::MAX));
            }
        }
    }

    /// The names of a place change for ever, and nothing shrinks meanwhile: in a block of one place, and in one whose
    /// other place stands for itself.
    #[test]
    fn names_that_come_and_go_do_not_pile_up() {
        for beside in [0, 1] {
            let mut lower = Lower::default();
            (0..=beside).for_each(|len| lower.insert(len, len, None));
            for n in 0..1_000 {
                let name = Name::from(format!("{n}").as_str());
                lower.set(beside + 1, beside, Some(&name));
                assert_eq!(lower.name(beside), Some(&name));
                assert!(lower.names().count() <= usize::from(u8::MAX));
                lower.set(beside + 1, beside, None);
                assert_eq!(lower.name(beside), None);
                assert_eq!(lower.name(0), None);
            }
        }
    }
}
