//! `q8r4`: weights and activations are bytes, whose sums of a group are integers. What comes before and after is floats, of four rows
//! at a time.
//!
//! A group's sum is at most `32 * 128 * 128`, so that nothing overflows.

use core::arch::naked_asm;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::simd::{F32x16, LANES};
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, q8r4};
use bitnet_edge_simd::whole_tiles;

/// Columns of a group.
const GROUP: usize = 32;
/// Most groups of a panel.
const GROUPS: usize = 8;
/// Bytes of a group's weights.
const WEIGHTS: usize = GROUP * TILE_ROWS;
const FULL_PANEL: usize = q8r4::row_tile_bytes(GROUP * GROUPS);

/// Makes the sums of so many groups, at least one: `[groups][rows]`, of weights `[groups][2][rows][16]` and activations `[groups][32]`.
pub(super) type Sums = unsafe extern "C" fn(w: *const u8, q: *const i8, sums: *mut i32, groups: usize);

/// The product, with the bits of the definition. `V` widens scales.
///
/// # Errors
/// As [`q8r4::matmul`].
///
/// # Safety
/// The processor has what `sums` needs.
#[inline(always)]
pub(super) unsafe fn matmul<V: F32x16, R: Results>(
    sums: Sums,
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    out: &mut R,
) -> Result<(), Error> {
    let columns = acts.groups.saturating_mul(GROUP);
    acts.check(tokens, columns, acts.groups)?;
    let row_tile = q8r4::row_tile_bytes(columns);
    whole_tiles(w, row_tile)?;
    for (i, tile) in w.chunks_exact(row_tile.max(1)).enumerate() {
        for t in 0..tokens {
            let token = acts.token(t).ok_or(Error::Operand("fewer activations than tokens"))?;
            // SAFETY: the caller's.
            let y = unsafe { rows::<V>(sums, tile, token.q.as_chunks().0, token.scales) };
            out.put(t, i * TILE_ROWS, &y.ok_or(Error::Operand("fewer activations than columns"))?);
        }
    }
    Ok(())
}

/// The results of a row tile.
///
/// # Safety
/// As [`matmul`].
unsafe fn rows<V: F32x16>(
    sums_of: Sums,
    tile: &[u8],
    mut q: &[[i8; GROUP]],
    mut a: &[f32],
) -> Option<[f32; TILE_ROWS]> {
    let mut stripes = [[0.0; TILE_ROWS]; 4];
    let mut sums = [[0; TILE_ROWS]; GROUPS];
    for panel in tile.chunks(FULL_PANEL) {
        // A panel ends with its scales, padded to 64 bytes.
        let n = if panel.len() == FULL_PANEL { GROUPS } else { (panel.len() - 1) / WEIGHTS };
        let (weights, scales) = panel.split_at_checked(n * WEIGHTS)?;
        let (now, later) = q.split_at_checked(n)?;
        let (scales_now, scales_later) = a.split_at_checked(n)?;
        (q, a) = (later, scales_later);
        if !(1..=GROUPS).contains(&n) {
            return None;
        }
        // SAFETY: there are weights and activations of `n` groups, and room for as many sums; for the processor as the caller says.
        unsafe { sums_of(weights.as_ptr(), now.as_ptr().cast(), sums.as_mut_ptr().cast(), n) };
        let scales = widened::<V>(scales);
        // Panels begin at a multiple of four groups, as stripes do.
        for (i, ((sums, scales), a)) in sums.iter().zip(&scales).zip(scales_now).enumerate() {
            let stripe = &mut stripes[i % 4];
            for ((s, &sum), d) in stripe.iter_mut().zip(sums).zip(scales) {
                *s += d * a * sum as f32;
            }
        }
    }
    let [s0, s1, s2, s3] = stripes;
    Some(core::array::from_fn(|r| (s0[r] + s2[r]) + (s1[r] + s3[r])))
}

/// The scales of a panel's groups; zeros where it has fewer.
#[inline(always)]
fn widened<V: F32x16>(scales: &[u8]) -> [[f32; TILE_ROWS]; GROUPS] {
    let mut all = [[0.0; TILE_ROWS]; GROUPS];
    let (halves, _) = all.as_flattened_mut().as_chunks_mut::<LANES>();
    for (y, bytes) in halves.iter_mut().zip(scales.as_chunks::<{ 2 * LANES }>().0) {
        let (bits, _) = bytes.as_chunks::<2>();
        let mut x = [0; LANES];
        for (x, &bits) in x.iter_mut().zip(bits) {
            *x = u16::from_le_bytes(bits);
        }
        V::from_f16(&x).store(y);
    }
    all
}

/// [`Sums`] by pairs: `SXTB16` sign-extends two of a word's bytes, `SMLAD` multiplies two such pairs. Registers: r0 weights, r1
/// activations, r2 and r3 four of them, r4 to r7 four weights of each row, r8 to r11 their sums, lr where these go.
///
/// # Safety
/// As [`Sums`] says; the processor has the DSP extension.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn by_pairs(w: *const u8, q: *const i8, sums: *mut i32, groups: usize) {
    naked_asm!(
        ".arch armv7e-m",
        "push {{r4-r11, lr}}",
        "add r3, r2, r3, lsl #4",
        "push {{r3}}", // the end of the sums
        "mov lr, r2",
        "2:",
        "mov r8, #0",
        "mov r9, #0",
        "mov r10, #0",
        "mov r11, #0",
        ".irp at, 0, 4, 8, 12, 64, 68, 72, 76",
        "ldr r3, [r1], #4",
        "sxtb16 r2, r3",
        "sxtb16 r3, r3, ror #8",
        "ldr r4, [r0, #\\at]",
        "ldr r5, [r0, #(\\at + 16)]",
        "ldr r6, [r0, #(\\at + 32)]",
        "ldr r7, [r0, #(\\at + 48)]",
        "sxtb16 r12, r4",
        "sxtb16 r4, r4, ror #8",
        "smlad r8, r12, r2, r8",
        "smlad r8, r4, r3, r8",
        "sxtb16 r12, r5",
        "sxtb16 r5, r5, ror #8",
        "smlad r9, r12, r2, r9",
        "smlad r9, r5, r3, r9",
        "sxtb16 r12, r6",
        "sxtb16 r6, r6, ror #8",
        "smlad r10, r12, r2, r10",
        "smlad r10, r6, r3, r10",
        "sxtb16 r12, r7",
        "sxtb16 r7, r7, ror #8",
        "smlad r11, r12, r2, r11",
        "smlad r11, r7, r3, r11",
        ".endr",
        "ldr r12, [sp]",
        "stm lr!, {{r8-r11}}",
        "add r0, #128",
        "cmp lr, r12",
        "bne.w 2b",
        "add sp, #4",
        "pop {{r4-r11, pc}}",
    )
}

/// [`Sums`] by vectors of sixteen bytes. Registers: r0 weights, r1 activations, r4, r6, r8, r10 the rows' sums.
///
/// # Safety
/// As [`Sums`] says; the processor has Helium, and its vector registers are enabled.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn by_vectors(w: *const u8, q: *const i8, sums: *mut i32, groups: usize) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r6, r8, r10}}",
        "add r3, r2, r3, lsl #4",
        "2:",
        "vldrb.u8 q0, [r1], #32",
        "vldrb.u8 q1, [r1, #-16]",
        "vldrb.u8 q2, [r0], #64",
        "vldrb.u8 q3, [r0, #-48]",
        "vmladav.s8 r4, q2, q0",
        "vldrb.u8 q2, [r0, #-32]",
        "vmladav.s8 r6, q3, q0",
        "vldrb.u8 q3, [r0, #-16]",
        "vmladav.s8 r8, q2, q0",
        "vmladav.s8 r10, q3, q0",
        "vldrb.u8 q2, [r0], #64",
        "vldrb.u8 q3, [r0, #-48]",
        "vmladava.s8 r4, q2, q1",
        "vldrb.u8 q2, [r0, #-32]",
        "vmladava.s8 r6, q3, q1",
        "vldrb.u8 q3, [r0, #-16]",
        "vmladava.s8 r8, q2, q1",
        "vmladava.s8 r10, q3, q1",
        "stm r2!, {{r4, r6, r8, r10}}",
        "cmp r2, r3",
        "bne 2b",
        "pop {{r4, r6, r8, r10}}",
        "bx lr",
    )
}
