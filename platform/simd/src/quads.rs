//! Four groups of 32 columns at a time.
//!
//! The bytes of a row's group are four 32-bit elements of a lane. Those of four groups are transposed, so that each element of
//! a lane is a group: the sums of their products come out as the four stripes take them, with nothing to add across a lane.

use core::mem::MaybeUninit;

use bitnet_edge_kernels::tile::PANEL_COLUMNS;

use crate::blocks::{BLOCK, MOST_COLUMNS, Tokens};
use crate::vector::Vector;

pub const GROUP: usize = 32;
/// Groups of a full panel.
pub const PANEL: usize = PANEL_COLUMNS / GROUP;

/// Four groups of a token.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Quad {
    /// Activations: of both halves of the groups, of each four bytes in a half, those of four groups.
    q: [[[i8; 16]; 4]; 2],
    /// The scales; zeros where there is no group.
    a: [f32; 4],
    /// What the layout makes of the sums.
    sums: [u32; 4],
}

/// Of up to eight tokens; those of a quad are neighbours.
pub type Quads = MaybeUninit<[[Quad; MOST_COLUMNS / GROUP / 4]; BLOCK]>;

impl Quad {
    /// Prepares `count` tokens.
    ///
    /// # Safety
    /// They are readable, at most eight, and have no more than [`MOST_COLUMNS`].
    #[inline(always)]
    pub unsafe fn prepare(tokens: &Tokens, count: usize, quads: &mut Quads, sum: impl Fn(i32) -> u32) {
        for t in 0..count {
            for (i, b) in (0..tokens.groups).step_by(4).enumerate() {
                let mut quad = Self { q: [[[0; 16]; 4]; 2], a: [0.0; 4], sums: [0; 4] };
                for j in 0..4.min(tokens.groups - b) {
                    // SAFETY: group `b + j` of token `t` exists.
                    unsafe {
                        let at = t * tokens.row + b + j;
                        quad.a[j] = *tokens.scales.add(at);
                        quad.sums[j] = sum(*tokens.sums.add(at));
                        let q = tokens.q.add(t * tokens.stride + (b + j) * GROUP).cast::<[[[i8; 4]; 4]; 2]>();
                        for (to, from) in quad.q.as_flattened_mut().iter_mut().zip(q.read().as_flattened()) {
                            to[4 * j..4 * j + 4].copy_from_slice(from);
                        }
                    }
                }
                // SAFETY: there is room for this quad.
                unsafe { quads.as_mut_ptr().cast::<Self>().add(i * count + t).write(quad) };
            }
        }
    }

    /// Quad `i` of token `t` of `T`.
    ///
    /// # Safety
    /// It was prepared.
    #[inline(always)]
    pub unsafe fn of<const T: usize>(quads: &Quads, t: usize, i: usize) -> &Self {
        // SAFETY: as promised.
        unsafe { &*quads.as_ptr().cast::<Self>().add(i * T + t) }
    }

    /// The activations of quad `i` of `T` tokens, as [`Products`](super::products::Products) takes them.
    ///
    /// # Safety
    /// They were prepared.
    #[inline(always)]
    pub unsafe fn activations<const T: usize>(quads: &Quads, i: usize) -> [*const u8; T] {
        let mut q = [core::ptr::null(); T];
        for (t, q) in q.iter_mut().enumerate() {
            // SAFETY: as promised.
            *q = unsafe { Self::of::<T>(quads, t, i).q.as_ptr().cast() };
        }
        q
    }

    /// Scales and sums in every lane.
    ///
    /// # Safety
    /// The features of `S` are there.
    #[inline(always)]
    pub unsafe fn spread<S: Vector>(&self) -> [S::V; 2] {
        // SAFETY: as promised.
        unsafe { [S::spread(self.a.as_ptr().cast()), S::spread(self.sums.as_ptr().cast())] }
    }
}

/// Vectors at `p`, `p + step`, … of `n` of four groups, transposed; zeros for those that are not there.
///
/// # Safety
/// They are readable; the features of `S` are there.
#[inline(always)]
pub unsafe fn transposed<S: Vector>(p: *const u8, step: usize, n: usize) -> [S::V; 4] {
    // SAFETY: as promised.
    unsafe {
        let mut w = [S::zero(); 4];
        for (j, w) in w.iter_mut().enumerate() {
            if j < n {
                *w = S::load(p.add(j * step));
            }
        }
        S::transposed(w)
    }
}
