//! Operands that bring out what backends get wrong.

use crate::attention::KvElement;
use crate::tile::{Layout, TILE_ROWS, q4k4, q4r4, q5r4, q6r4, q8r4, t2r4};

/// What the values of a case are like.
///
/// ```
/// use bitnet_edge_kernels::conformance::Pattern;
/// assert!(!Pattern::VALID.contains(&Pattern::NonFinite));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// Ordinary values between -2 and 2.
    Plain,
    /// All magnitudes from 2^-24 to 2^24: the order of a sum shows in its last bits.
    Wide,
    /// Subnormals, the smallest normals and zeros of both signs: what flush-to-zero changes.
    Tiny,
    /// Zeros of both signs with a few values between them.
    Sparse,
    /// The largest magnitudes with one sign for a long run: what overflows a sum that is too narrow.
    Extreme,
    /// Values that lie halfway between two integers after scaling.
    Ties,
    /// One value among ordinary ones is NaN or infinite.
    NonFinite,
    /// An operand is too short.
    Misfit,
}

impl Pattern {
    /// Patterns that every kernel accepts.
    ///
    /// ```
    /// use bitnet_edge_kernels::conformance::Pattern;
    /// assert!(Pattern::VALID.contains(&Pattern::Tiny)); // subnormals are values like any other
    /// ```
    pub const VALID: [Self; 6] =
        [Self::Plain, Self::Wide, Self::Tiny, Self::Sparse, Self::Extreme, Self::Ties];
}

/// A counter-based generator (`SplitMix64`): a case has the same operands on every machine.
#[derive(Clone, Copy)]
pub(super) struct Source {
    state: u64,
    pattern: Pattern,
    index: u32,
    largest: f32,
    /// Whether extreme activations are not all alike, so that their sum has low bits to lose.
    uneven: bool,
}

impl Source {
    pub(super) fn new(sizes: [usize; 3], pattern: Pattern) -> Self {
        let seed = sizes.iter().fold(pattern as u64, |s, &n| s.wrapping_mul(0x1_0001).wrapping_add(n as u64));
        Self { state: seed, pattern, index: 0, largest: 127.0, uneven: seed.count_ones() % 2 == 0 }
    }

    pub(super) fn bits(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 32) as u32
    }

    /// A number below `n`; 0 if that is 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// A whole number from `-n` to `n`.
    fn around(&mut self, n: u32) -> i32 {
        self.below(2 * n + 1) as i32 - n as i32
    }

    pub(super) fn float(&mut self) -> f32 {
        let index = self.index;
        self.index = index.wrapping_add(1);
        let bits = self.bits();
        let sign = bits & 0x8000_0000;
        match self.pattern {
            Pattern::Plain | Pattern::NonFinite | Pattern::Misfit => bits as i32 as f32 / 1_073_741_824.0,
            Pattern::Wide => f32::from_bits(sign | ((103 + self.below(49)) << 23) | bits & 0x007f_ffff),
            Pattern::Tiny if bits & 7 == 0 => f32::from_bits(sign),
            Pattern::Tiny => f32::from_bits(sign | bits & 0x00ff_ffff),
            Pattern::Sparse if bits & 7 == 0 => self.around(1000) as f32 / 8.0,
            Pattern::Sparse => f32::from_bits(sign),
            Pattern::Extreme => {
                if (index >> 8) & 1 == 0 {
                    3.0
                } else {
                    -3.0
                }
            }
            // The largest of every 32 is known, so that halves of its 127th part lie on ties or beside them.
            Pattern::Ties if index.is_multiple_of(32) => self.largest,
            Pattern::Ties => self.around(253) as f32 / 2.0 * (self.largest / 127.0),
        }
    }

    pub(super) fn floats(&mut self, x: &mut [f32]) {
        let bits = self.bits();
        // Exact ties in half of the cases, in the others what rounding the scale makes of them.
        self.largest = if bits & 1 == 0 { 127.0 } else { 127.0 * f32::from_bits(0x3f00_0000 | bits >> 9) };
        self.index = 0;
        for x in &mut *x {
            *x = self.float();
        }
        if self.pattern == Pattern::NonFinite && !x.is_empty() {
            let at = self.below(x.len() as u32) as usize;
            let bad = [0x7fc0_0000, 0xff80_0001, 0x7f80_0000, 0xff80_0000];
            let bad = bad.get(self.below(4) as usize).copied().unwrap_or(0x7f80_0000);
            if let Some(x) = x.get_mut(at) {
                *x = f32::from_bits(bad);
            }
        }
    }

    /// Scales: what a quantizer makes of such values, never negative.
    pub(super) fn scales(&mut self, x: &mut [f32]) {
        self.floats(x);
        for x in x {
            *x = x.abs();
        }
    }

    /// A quantized activation, -127 to 127.
    pub(super) fn activation(&mut self) -> i8 {
        let (index, rare) = (self.index, self.below(4) == 0);
        self.index = index.wrapping_add(1);
        match self.pattern {
            Pattern::Extreme if (index >> 11) & 1 == 0 => 127 - i8::from(rare && self.uneven),
            Pattern::Extreme => -127,
            Pattern::Sparse if !rare => 0,
            _ => self.around(127) as i8,
        }
    }

    pub(super) fn activations(&mut self, q: &mut [i8]) {
        for q in q {
            *q = self.activation();
        }
    }

    /// Bits of a finite f16.
    fn f16(&mut self) -> u16 {
        let bits = self.bits() as u16;
        match self.pattern {
            Pattern::Tiny => bits & 0x83ff,
            Pattern::Plain | Pattern::Ties => bits & 0x83ff | (10 + self.below(8) as u16) << 10,
            _ if bits & 0x7c00 == 0x7c00 => bits & 0xbfff,
            _ => bits,
        }
    }

    /// A byte of a block's weights in row `row`.
    fn byte(&mut self, row: usize) -> u8 {
        let rare = self.below(4) == 0;
        match (self.pattern, row) {
            (Pattern::Extreme, 0) => 0x80,
            (Pattern::Extreme, 1) => 0x7f,
            (Pattern::Extreme, 2) => 0xff,
            (Pattern::Extreme, _) => 0x00,
            (Pattern::Sparse, _) if !rare => 0,
            _ => self.bits() as u8,
        }
    }

    /// Fills one row tile.
    pub(super) fn row_tile(&mut self, layout: Layout, cols: usize, tile: &mut [u8]) {
        tile.fill(0);
        match layout {
            Layout::T2r4 => self.ternary(cols, tile),
            Layout::F32 => self.rows::<4>(cols, tile, |s| s.float().to_le_bytes()),
            Layout::F16 => self.rows::<2>(cols, tile, |s| s.f16().to_le_bytes()),
            Layout::Bf16 => {
                self.rows::<2>(cols, tile, |s| ((s.float().to_bits() >> 16) as u16).to_le_bytes());
            }
            Layout::Q8r4 => self.blocks::<34>(cols / 32, 0, |row, b, block| {
                let _ = q8r4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q4r4 => self.blocks::<18>(cols / 32, 0, |row, b, block| {
                let _ = q4r4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q4m4 => self.blocks::<20>(cols / 32, 0, |row, b, block| {
                let _ = q4r4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q6r4 => self.blocks::<210>(cols / 256, 208, |row, b, block| {
                let _ = q6r4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q4k4 => self.blocks::<144>(cols / 256, 0, |row, b, block| {
                let _ = q4k4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q5r4 => self.blocks::<22>(cols / 32, 0, |row, b, block| {
                let _ = q5r4::put_block(tile, cols, row, b, block);
            }),
            Layout::Q5k4 => self.blocks::<176>(cols / 256, 0, |row, b, block| {
                let _ = q4k4::put_block(tile, cols, row, b, block);
            }),
        }
    }

    fn ternary(&mut self, cols: usize, tile: &mut [u8]) {
        tile.fill(t2r4::PADDING);
        for row in 0..TILE_ROWS {
            for col in 0..cols {
                let code = match (self.pattern, row) {
                    (Pattern::Extreme, 0) => 2,
                    // Of no valid image; what a damaged one gives is the same everywhere, too.
                    (Pattern::Extreme, 3) => 3,
                    (Pattern::Extreme, 1) => 0,
                    _ => self.below(3) as u8,
                };
                t2r4::set_code(tile, row, col, code);
            }
        }
    }

    fn rows<const SIZE: usize>(
        &mut self,
        cols: usize,
        tile: &mut [u8],
        element: impl Fn(&mut Self) -> [u8; SIZE],
    ) {
        let stride = (cols * SIZE).next_multiple_of(64);
        for row in tile.chunks_mut(stride.max(1)) {
            for to in row.as_chunks_mut::<SIZE>().0.iter_mut().take(cols) {
                *to = element(self);
            }
        }
    }

    /// Blocks of a row tile, one at a time. f16 values at `f16_at` (and behind it, where there are minima) are made finite.
    fn blocks<const BYTES: usize>(
        &mut self,
        blocks: usize,
        f16_at: usize,
        mut put: impl FnMut(usize, usize, &[u8; BYTES]),
    ) {
        for row in 0..TILE_ROWS {
            for b in 0..blocks {
                let mut block = [0; BYTES];
                for byte in &mut block {
                    *byte = self.byte(row);
                }
                if BYTES == 210 && self.pattern == Pattern::Extreme {
                    // Weights 31 or -32 in rows 2 and 3: with these scales the largest integer sums there are.
                    let scale = if row == 2 { 0x7f } else { 0x80 };
                    block.iter_mut().skip(192).for_each(|b| *b = scale);
                }
                let halves = if matches!(BYTES, 20 | 144 | 176) { 2 } else { 1 };
                let tail = block.get_mut(f16_at..).unwrap_or_default();
                for half in tail.as_chunks_mut::<2>().0.iter_mut().take(halves) {
                    *half = self.f16().to_le_bytes();
                }
                put(row, b, &block);
            }
        }
    }

    /// Elements of a float KV cache.
    pub(super) fn elements<E: KvElement>(&mut self, x: &mut [E]) {
        for x in &mut *x {
            *x = E::from_f32(self.float());
        }
        if self.pattern == Pattern::NonFinite {
            let at = self.below(x.len() as u32) as usize;
            let bad = if self.below(2) == 0 { f32::NAN } else { f32::NEG_INFINITY };
            if let Some(x) = x.get_mut(at) {
                *x = E::from_f32(bad);
            }
        }
    }
}
