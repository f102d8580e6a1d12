//! Random numbers that are the same on every run.

/// A small generator (a linear congruence, its upper bits).
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// What is drawn follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    /// A number in -1 ..= 1, uniformly.
    pub fn signed(&mut self) -> f64 {
        f64::from(self.next()) / f64::from(u32::MAX >> 1) * 2.0 - 1.0
    }

    /// Puts items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}
