//! Tables of sums, where in them the rows' sums are, and their addition.

use core::array::from_fn;

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4};

use super::{Entry, HALF, PLANE, Pass, SUMS, TILE, TOKENS};
use crate::intrinsics::*;

/// Bytes from a sum of a table to the next.
const STEP: usize = size_of::<[Entry; HALF]>();
// As 16-bit offsets are made of 8-bit numbers by moving them to the upper byte.
const _: () = assert!(STEP == 256 && SUMS * STEP <= 1 << 16);

/// What marks a code 3: no sum of numbers of table entries, which are below 81, is as large.
const THREE: u8 = 0x80;

/// For each pair of codes `a`, `b`, the bits `bbaa`: `a + 3b` times `by`.
const fn pairs(by: u8) -> [u8; 16] {
    let mut all = [THREE; 16];
    let mut n = 0;
    while n < 16 {
        let (a, b) = (n as u8 & 3, n as u8 >> 2);
        if a < 3 && b < 3 {
            all[n] = (a + 3 * b) * by;
        }
        n += 1;
    }
    all
}

static ONES: [u8; 16] = pairs(1);
static NINES: [u8; 16] = pairs(9);

// SAFETY: of all blocks below: as promised for `run`. Entries of all arrays of the memory are written before they are read.
impl Pass<'_> {
    /// Writes where in the tables of column tile `k` the sums of each row are. `false` if a code is 3: then there are none.
    #[inline(always)]
    pub(super) unsafe fn offsets(&self, k: usize) -> bool {
        // SAFETY: as above.
        unsafe {
            let (ones, nines) = (arch::vld1q_u8(ONES.as_ptr()), arch::vld1q_u8(NINES.as_ptr()));
            let (nibble, upper) = (vdupq_n_u8(15), vdupq_n_u16(0xff00));
            let mut to = (&raw mut (*self.memory).offsets).cast::<u16>();
            let mut threes = vdupq_n_u8(0);
            let mut w = self.w.add(k * TILE);
            for _ in 0..self.tiles {
                for r in 0..TILE_ROWS {
                    let codes = arch::vld1q_u8(w.add(r * 16));
                    let low = vqtbl1q_u8(ones, vandq_u8(codes, nibble));
                    let high = vqtbl1q_u8(nines, vshrq_n_u8::<4>(codes));
                    let index = vqaddq_u8(low, high);
                    threes = vorrq_u8(threes, index);
                    let index = vreinterpretq_u16_u8(index);
                    arch::vst1q_u16(to, vshlq_n_u16::<8>(index));
                    arch::vst1q_u16(to.add(HALF), vandq_u16(index, upper));
                    to = to.add(2 * HALF);
                }
                w = w.wrapping_add(self.row_tile);
            }
            vmaxvq_u8(threes) < THREE
        }
    }

    /// Writes the activations of column tile `k`, zeros for tokens that are not there.
    #[inline(always)]
    pub(super) unsafe fn transpose(&self, k: usize) {
        static NONE: [i8; t2r4::TILE_COLUMNS] = [0; t2r4::TILE_COLUMNS];
        let mut q = [NONE.as_ptr(); TOKENS];
        for (t, q) in q.iter_mut().enumerate().take(self.count) {
            let at = (self.token + t) * self.acts.stride + k * t2r4::TILE_COLUMNS;
            *q = self.acts.q.as_ptr().wrapping_add(at);
        }
        // SAFETY: as above.
        unsafe {
            let mut to = (&raw mut (*self.memory).columns).cast::<u8>();
            for plane in 0..4 {
                let mut v: [_; TOKENS] = from_fn(|t| arch::vld1q_u8(q[t].add(plane * PLANE).cast()));
                // Four times: what is apart by eight comes together.
                for _ in 0..4 {
                    let mut next = v;
                    for i in 0..8 {
                        next[2 * i] = vzip1q_u8(v[i], v[i + 8]);
                        next[2 * i + 1] = vzip2q_u8(v[i], v[i + 8]);
                    }
                    v = next;
                }
                for v in v {
                    arch::vst1q_u8(to, v);
                    to = to.add(TOKENS);
                }
            }
        }
    }

    /// Writes the tables of half the columns of the tile: those with even numbers, or those with odd ones. Adds their activations to
    /// `all`: 64 of them, at most 8,128, in a tile.
    #[inline(always)]
    pub(super) unsafe fn tables<const V: usize>(&self, half: usize, all: &mut [int16x8_t; V]) {
        // SAFETY: as above.
        unsafe {
            for j in 0..HALF {
                let columns = (&raw const (*self.memory).columns).cast::<[[[i8; 8]; 2]; PLANE]>();
                let column = |plane: usize| -> [int16x8_t; V] {
                    from_fn(|v| {
                        let q = (&raw const (*columns.add(plane))[2 * j + half][v]).cast();
                        vmovl_s8(arch::vld1_s8(q))
                    })
                };
                let (a, b, c, d) = (column(0), column(1), column(2), column(3));
                let mut to = (&raw mut (*self.memory).tables).cast::<Entry>().add(j);
                let mut least = each(a, b, vaddq_s16);
                least = each(least, c, vaddq_s16);
                least = each(least, d, vaddq_s16);
                *all = each(*all, least, vaddq_s16);
                // Without `a`, and with the other weights at -1.
                let mut base_d = each(a, least, vsubq_s16);
                for _ in 0..3 {
                    let mut base_c = base_d;
                    for _ in 0..3 {
                        let mut base = base_c;
                        for _ in 0..3 {
                            store(to, each(base, a, vsubq_s16));
                            store(to.add(HALF), base);
                            store(to.add(2 * HALF), each(base, a, vaddq_s16));
                            to = to.wrapping_add(3 * HALF);
                            base = each(base, b, vaddq_s16);
                        }
                        base_c = each(base_c, c, vaddq_s16);
                    }
                    base_d = each(base_d, d, vaddq_s16);
                }
            }
        }
    }

    /// Adds to the sums of all rows what the tables have for them.
    #[inline(always)]
    pub(super) unsafe fn look_up<const V: usize>(&self, half: usize) {
        // SAFETY: as above; offsets are those of sums in tables.
        unsafe {
            let tables = (&raw const (*self.memory).tables).cast::<u8>();
            let mut offsets = (&raw const (*self.memory).offsets).cast::<[u32; HALF / 2]>().add(half);
            let mut sums = (&raw mut (*self.memory).sums).cast::<Entry>();
            for _ in 0..self.tiles * TILE_ROWS / 2 {
                // Two rows in turns: a sum waits for the one before it.
                let mut two: [[int16x8_t; V]; 2] = from_fn(|r| load(sums.add(r)));
                for j in 0..HALF / 2 {
                    for (r, sum) in two.iter_mut().enumerate() {
                        // Two offsets at once: as parts of an address they need no instruction of their own.
                        let pair = u64::from((*offsets.add(2 * r))[j].to_le());
                        let first = tables.add(2 * j * size_of::<Entry>()).add(pair as usize & 0xffff);
                        let second = tables.add((2 * j + 1) * size_of::<Entry>()).add((pair >> 16) as usize);
                        *sum = each(*sum, load(first.cast()), vaddq_s16);
                        *sum = each(*sum, load(second.cast()), vaddq_s16);
                    }
                }
                for (r, sum) in two.into_iter().enumerate() {
                    store(sums.add(r), sum);
                }
                sums = sums.add(2);
                offsets = offsets.add(4);
            }
        }
    }
}

#[inline(always)]
fn each<const V: usize>(
    a: [int16x8_t; V],
    b: [int16x8_t; V],
    f: impl Fn(int16x8_t, int16x8_t) -> int16x8_t,
) -> [int16x8_t; V] {
    let mut all = a;
    for (a, b) in all.iter_mut().zip(b) {
        *a = f(*a, b);
    }
    all
}

/// The first `V` vectors of an entry.
///
/// # Safety
/// It is readable.
#[inline(always)]
pub(super) unsafe fn load<const V: usize>(p: *const Entry) -> [int16x8_t; V] {
    // SAFETY: as promised.
    from_fn(|v| unsafe { arch::vld1q_s16(p.cast::<i16>().add(8 * v)) })
}

/// Writes the first `V` vectors of an entry.
///
/// # Safety
/// It is writable.
#[inline(always)]
unsafe fn store<const V: usize>(p: *mut Entry, sums: [int16x8_t; V]) {
    for (v, sum) in sums.into_iter().enumerate() {
        // SAFETY: as promised.
        unsafe { arch::vst1q_s16(p.cast::<i16>().add(8 * v), sum) };
    }
}
