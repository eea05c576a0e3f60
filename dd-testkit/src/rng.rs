//! Random numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood, *Fast
//! Splittable Pseudorandom Number Generators*, 2014).

/// A seeded generator. Same seed, same numbers, everywhere and in every version.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            (self.next_u64() % n as u64) as usize
        }
    }

    /// A number from `first` to `last`, both included.
    ///
    /// # Panics
    ///
    /// If `last` is less than `first` in a build that checks for overflow.
    pub fn range(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last + 1 - first)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut rng = Rng::new(1_234_567);
        let got: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(
            got,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
    #[test]
    fn what_is_drawn_from_it_is_fixed() {
        let mut rng = Rng::new(7);
        let drawn: Vec<usize> = (0..6).map(|_| rng.range(10, 19)).collect();
        let mut order = [0, 1, 2, 3, 4, 5];
        rng.shuffle(&mut order);
        let chances: Vec<bool> = (0..4).map(|_| rng.chance(50)).collect();
        assert_eq!(drawn, [17, 14, 16, 13, 14, 15]);
        assert_eq!(order, [0, 3, 5, 1, 2, 4]);
        assert_eq!(chances, [true, false, true, false]);
        assert_eq!(rng.pick(&["a", "b", "c"]), Some(&"a"));
        assert_eq!(rng.pick::<u8>(&[]), None);
    }
}
