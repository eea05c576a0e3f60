//! The machine's own pseudo-random numbers: SplitMix64 (Steele, Lea, Flood, 2014), seeded by the
//! driver. Used to spread timers and to choose peers, never for secrets.

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// `wait`, up to a quarter shorter or longer.
    pub(crate) fn spread(&mut self, wait: std::time::Duration) -> std::time::Duration {
        wait.mul_f64(0.75 + 0.5 * (self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}
