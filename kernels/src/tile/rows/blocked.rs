//! Products with float weights for processors with wide registers: several rows and tokens at a time, the bits of the
//! definition. Each sum has the definition's order; what is different is which sums are under way together.

use super::{Element, row, widen_part};
use crate::Error;
use crate::simd::{F32x16, LANES};
use crate::tile::{FloatActs, Results, TILE_ROWS, round64};

/// [`matmul`](super::matmul) for processors with wide registers; the same bits.
///
/// `V` are the lanes for several sums at a time, `One` those for a single sum, whose additions wait for each other: two
/// narrow registers may be faster there than a wide one.
///
/// # Errors
/// As there.
///
/// ```
/// use bitnet_edge_kernels::{simd::Scalar16, tile::{FloatActs, Outputs, rows}};
/// let (w, x) = ([0x3cu8; 4 * 64], [0.5; 6 * 32]);
/// let acts = FloatActs { x: &x, stride: 32, cols: 32 };
/// let (mut a, mut b) = ([0.0; 24], [1.0; 24]);
/// rows::matmul::<rows::F16, Scalar16, _>(&w, 6, &acts, &mut Outputs { y: &mut a, stride: 4 })?;
/// rows::blocked::<rows::F16, Scalar16, Scalar16, _>(&w, 6, &acts, &mut Outputs { y: &mut b, stride: 4 })?;
/// assert_eq!(a, b);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn blocked<E: Element, V: F32x16, One: F32x16, R: Results>(
    w: &[u8],
    tokens: usize,
    acts: &FloatActs<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let tile_bytes = round64(acts.cols.saturating_mul(E::SIZE)).saturating_mul(TILE_ROWS);
    acts.check(tokens)?;
    let tiles = w.chunks_exact(tile_bytes.max(1));
    if tile_bytes == 0 || !tiles.remainder().is_empty() {
        return Err(Error::Operand("weights are not whole row tiles"));
    }
    for (i, tile) in tiles.enumerate() {
        let call = Tile { tile, first: i * TILE_ROWS, acts };
        let mut t = 0;
        while let Some(left) = tokens.checked_sub(t).filter(|&left| left > 0) {
            // As many sums as the registers hold beside their operands.
            t += if const { V::REGISTERS >= 32 } && left >= 4 {
                call.tokens::<E, V, R, 4, 4>(t, out)?
            } else if const { V::REGISTERS >= 32 } && left >= 2 {
                call.tokens::<E, V, R, 4, 2>(t, out)?
            } else if const { V::REGISTERS >= 8 } && left >= 2 {
                call.tokens::<E, V, R, 2, 2>(t, out)?
            } else {
                // Bound by memory: one stream, in the order in which the weights lie, is read fastest.
                call.tokens::<E, One, R, 1, 1>(t, out)?
            };
        }
    }
    Ok(())
}

struct Tile<'a> {
    tile: &'a [u8],
    /// Output of the tile's first row.
    first: usize,
    acts: &'a FloatActs<'a>,
}

impl Tile<'_> {
    /// `T` tokens from `t` on, `N` rows at a time. Returns `T`.
    #[inline(always)]
    fn tokens<E: Element, V: F32x16, R: Results, const N: usize, const T: usize>(
        &self,
        t: usize,
        out: &mut R,
    ) -> Result<usize, Error> {
        let mut x = [&[][..]; T];
        for (j, x) in x.iter_mut().enumerate() {
            *x = self.acts.token(t + j).ok_or(Error::Operand("fewer activations than tokens"))?;
        }
        let mut y = [[0.0; TILE_ROWS]; T];
        for at in (0..TILE_ROWS).step_by(N) {
            let mut w = [&[][..]; N];
            for (r, w) in w.iter_mut().enumerate() {
                *w = row::<E>(self.tile, at + r, self.acts.cols)
                    .ok_or(Error::Operand("row tile is too short"))?;
            }
            let sums = sums::<E, V, N, T>(&w, &x, self.acts.cols);
            for (y, sums) in y.iter_mut().zip(&sums) {
                for (y, sum) in y.iter_mut().skip(at).zip(sums) {
                    *y = sum.fold();
                }
            }
        }
        for (j, y) in y.iter().enumerate() {
            out.put(t + j, self.first, y);
        }
        Ok(T)
    }
}

/// The stripes of `N` rows with `T` tokens; all have `cols` elements.
#[inline(always)]
fn sums<E: Element, V: F32x16, const N: usize, const T: usize>(
    w: &[&[u8]; N],
    x: &[&[f32]; T],
    cols: usize,
) -> [[V; N]; T] {
    let full = cols / LANES;
    let mut w16: [&[E::Block]; N] = [&[]; N];
    for (w16, w) in w16.iter_mut().zip(w) {
        *w16 = E::blocks(w).0.get(..full).unwrap_or_default();
    }
    let mut x16: [&[[f32; LANES]]; T] = [&[]; T];
    for (x16, x) in x16.iter_mut().zip(x) {
        *x16 = x.as_chunks().0.get(..full).unwrap_or_default();
    }
    let mut sums = [[V::splat(0.0); N]; T];
    for b in 0..full {
        let mut wide = [V::splat(0.0); N];
        for (wide, w) in wide.iter_mut().zip(&w16) {
            if let Some(block) = w.get(b) {
                *wide = E::lanes(block);
            }
        }
        for (sums, x) in sums.iter_mut().zip(&x16) {
            let x = x.get(b).map_or(V::splat(0.0), V::load);
            for (sum, w) in sums.iter_mut().zip(&wide) {
                *sum = sum.add(w.mul(x));
            }
        }
    }
    if full * LANES < cols {
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = V::load_part(x.get(full * LANES..).unwrap_or_default());
            for (sum, w) in sums.iter_mut().zip(w) {
                let w = widen_part::<E, V>(w.get(full * LANES * E::SIZE..).unwrap_or_default());
                *sum = sum.add(w.mul(x));
            }
        }
    }
    sums
}
