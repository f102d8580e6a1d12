//! Sixteen lanes in the registers of a scalar floating-point unit, which widens and narrows f16 itself.
//!
//! Every operation is IEEE single under a control register (FPSCR) as it is after reset: round to nearest, subnormals kept, f16 as
//! IEEE has it. Nothing is fused: the compiler's `VMLA` rounds twice.

use core::arch::naked_asm;
use core::mem::MaybeUninit;

use bitnet_edge_kernels::simd::{F32x16, LANES, Scalar16};

/// The lanes of the definition, but for f16.
#[derive(Clone, Copy)]
pub struct Lanes(Scalar16);

/// Widens sixteen f16.
///
/// # Safety
/// `x` is readable, `y` writable.
#[unsafe(naked)]
unsafe extern "C" fn widen(x: *const [u16; LANES], y: *mut [f32; LANES]) {
    naked_asm!(
        ".fpu fpv4-sp-d16",
        ".rept 2",
        // Rows of a cache need no alignment, which only single loads allow. A register takes two.
        "ldr r2, [r0], #4",
        "ldr r3, [r0], #4",
        "vmov s8, s9, r2, r3",
        "vcvtb.f32.f16 s0, s8",
        "vcvtt.f32.f16 s1, s8",
        "vcvtb.f32.f16 s2, s9",
        "vcvtt.f32.f16 s3, s9",
        "ldr r2, [r0], #4",
        "ldr r3, [r0], #4",
        "vmov s8, s9, r2, r3",
        "vcvtb.f32.f16 s4, s8",
        "vcvtt.f32.f16 s5, s8",
        "vcvtb.f32.f16 s6, s9",
        "vcvtt.f32.f16 s7, s9",
        "vstm r1!, {{s0-s7}}",
        ".endr",
        "bx lr",
    )
}

/// Narrows sixteen f32 to f16, half to even.
///
/// # Safety
/// `x` is readable, `y` writable.
#[unsafe(naked)]
unsafe extern "C" fn narrow(x: *const [f32; LANES], y: *mut [u16; LANES]) {
    naked_asm!(
        ".fpu fpv4-sp-d16",
        ".rept 4",
        "vldm r0!, {{s0-s3}}",
        "vcvtb.f16.f32 s8, s0",
        "vcvtt.f16.f32 s8, s1",
        "vcvtb.f16.f32 s9, s2",
        "vcvtt.f16.f32 s9, s3",
        "vmov r2, r3, s8, s9",
        "str r2, [r1], #4",
        "str r3, [r1], #4",
        ".endr",
        "bx lr",
    )
}

impl F32x16 for Lanes {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(Scalar16::splat(x))
    }
    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        Self(Scalar16::load(x))
    }
    #[inline(always)]
    fn store(self, y: &mut [f32; LANES]) {
        self.0.store(y);
    }
    #[inline(always)]
    fn add(self, b: Self) -> Self {
        Self(self.0.add(b.0))
    }
    #[inline(always)]
    fn sub(self, b: Self) -> Self {
        Self(self.0.sub(b.0))
    }
    #[inline(always)]
    fn mul(self, b: Self) -> Self {
        Self(self.0.mul(b.0))
    }
    #[inline(always)]
    fn div(self, b: Self) -> Self {
        Self(self.0.div(b.0))
    }
    #[inline(always)]
    fn clamp(self, lo: f32, hi: f32) -> Self {
        Self(self.0.clamp(lo, hi))
    }
    #[inline(always)]
    fn pow2_of_shifted(self) -> Self {
        Self(self.0.pow2_of_shifted())
    }
    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.relu())
    }
    #[inline(always)]
    fn from_f16(x: &[u16; LANES]) -> Self {
        let mut lanes = MaybeUninit::uninit();
        // SAFETY: it writes all lanes.
        unsafe {
            widen(x, lanes.as_mut_ptr());
            Self::load(lanes.assume_init_ref())
        }
    }
    #[inline(always)]
    fn to_f16(self, y: &mut [u16; LANES]) {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        // SAFETY: both are whole arrays.
        unsafe { narrow(&raw const lanes, y) };
    }
    #[inline(always)]
    fn fold(self) -> f32 {
        self.0.fold()
    }
    #[inline(always)]
    fn load_part(x: &[f32]) -> Self {
        Self(x.first_chunk().map_or_else(|| Scalar16::load_part(x), Scalar16::load))
    }
    #[inline(always)]
    fn store_part(self, y: &mut [f32]) {
        match y.first_chunk_mut() {
            Some(y) => self.store(y),
            None => self.0.store_part(y),
        }
    }
}
