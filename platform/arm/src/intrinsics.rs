//! The vector instructions as safe functions: this module is there only in a build whose every function may use them.

pub(crate) use core::arch::aarch64 as arch;
use core::arch::aarch64::float32x2_t;
pub(crate) use core::arch::aarch64::{
    float32x4_t, float64x2_t, int8x8_t, int8x16_t, int16x4_t, int16x8_t, int32x4_t, uint8x8_t, uint8x16_t,
    uint16x4_t, uint16x8_t, uint32x4_t, uint64x2_t,
};

macro_rules! safe {
    ($($name:ident $([$n:ident])? ($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {$(
        #[inline(always)]
        pub(crate) fn $name $(<const $n: i32>)? ($($arg: $ty),*) -> $ret {
            // SAFETY: its feature is NEON, which all of the build has (`lib.rs`); it has no pointers.
            unsafe { arch::$name $(::<$n>)? ($($arg),*) }
        }
    )*};
}

safe! {
    vaddq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vaddq_s16(a: int16x8_t, b: int16x8_t) -> int16x8_t;
    vaddq_s32(a: int32x4_t, b: int32x4_t) -> int32x4_t;
    vaddq_u16(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t;
    vaddq_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vaddw_high_s16(a: int32x4_t, b: int16x8_t) -> int32x4_t;
    vaddw_s16(a: int32x4_t, b: int16x4_t) -> int32x4_t;
    vandq_u16(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t;
    vandq_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vbicq_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vbslq_f32(a: uint32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t;
    vcgtq_f32(a: float32x4_t, b: float32x4_t) -> uint32x4_t;
    vcltq_f32(a: float32x4_t, b: float32x4_t) -> uint32x4_t;
    vcltzq_f32(a: float32x4_t) -> uint32x4_t;
    vcombine_u16(a: uint16x4_t, b: uint16x4_t) -> uint16x8_t;
    vcvtq_f32_s32(a: int32x4_t) -> float32x4_t;
    vdivq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vdupq_n_f32(a: f32) -> float32x4_t;
    vdupq_n_s16(a: i16) -> int16x8_t;
    vdupq_n_s32(a: i32) -> int32x4_t;
    vdupq_n_u16(a: u16) -> uint16x8_t;
    vdupq_n_u8(a: u8) -> uint8x16_t;
    vextq_f32[N](a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vget_high_u16(a: uint16x8_t) -> uint16x4_t;
    vget_low_f32(a: float32x4_t) -> float32x2_t;
    vget_low_s16(a: int16x8_t) -> int16x4_t;
    vget_low_s8(a: int8x16_t) -> int8x8_t;
    vget_low_u16(a: uint16x8_t) -> uint16x4_t;
    vget_low_u8(a: uint8x16_t) -> uint8x8_t;
    vmaxvq_u8(a: uint8x16_t) -> u8;
    vmlal_high_laneq_s16[LANE](a: int32x4_t, b: int16x8_t, c: int16x8_t) -> int32x4_t;
    vmlal_high_s8(a: int16x8_t, b: int8x16_t, c: int8x16_t) -> int16x8_t;
    vmlal_laneq_s16[LANE](a: int32x4_t, b: int16x4_t, c: int16x8_t) -> int32x4_t;
    vmlal_s8(a: int16x8_t, b: int8x8_t, c: int8x8_t) -> int16x8_t;
    vmlaq_laneq_s32[LANE](a: int32x4_t, b: int32x4_t, c: int32x4_t) -> int32x4_t;
    vmovl_high_s16(a: int16x8_t) -> int32x4_t;
    vmovl_s16(a: int16x4_t) -> int32x4_t;
    vmovl_s8(a: int8x8_t) -> int16x8_t;
    vmovl_u8(a: uint8x8_t) -> uint16x8_t;
    vmovn_u32(a: uint32x4_t) -> uint16x4_t;
    vmull_high_s16(a: int16x8_t, b: int16x8_t) -> int32x4_t;
    vmull_high_s8(a: int8x16_t, b: int8x16_t) -> int16x8_t;
    vmull_s16(a: int16x4_t, b: int16x4_t) -> int32x4_t;
    vmull_s8(a: int8x8_t, b: int8x8_t) -> int16x8_t;
    vmulq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vorrq_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vpadalq_s16(a: int32x4_t, b: int16x8_t) -> int32x4_t;
    vpaddlq_s16(a: int16x8_t) -> int32x4_t;
    vpaddq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vpaddq_s32(a: int32x4_t, b: int32x4_t) -> int32x4_t;
    vpadds_f32(a: float32x2_t) -> f32;
    vqaddq_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vqtbl1q_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vreinterpretq_f32_f64(a: float64x2_t) -> float32x4_t;
    vreinterpretq_f32_s32(a: int32x4_t) -> float32x4_t;
    vreinterpretq_f32_u16(a: uint16x8_t) -> float32x4_t;
    vreinterpretq_f32_u32(a: uint32x4_t) -> float32x4_t;
    vreinterpretq_f32_u8(a: uint8x16_t) -> float32x4_t;
    vreinterpretq_f64_f32(a: float32x4_t) -> float64x2_t;
    vreinterpretq_s16_u16(a: uint16x8_t) -> int16x8_t;
    vreinterpretq_s16_u8(a: uint8x16_t) -> int16x8_t;
    vreinterpretq_s32_f32(a: float32x4_t) -> int32x4_t;
    vreinterpretq_s32_u8(a: uint8x16_t) -> int32x4_t;
    vreinterpretq_s8_u8(a: uint8x16_t) -> int8x16_t;
    vreinterpretq_u16_u8(a: uint8x16_t) -> uint16x8_t;
    vreinterpretq_u32_f32(a: float32x4_t) -> uint32x4_t;
    vreinterpretq_u32_u8(a: uint8x16_t) -> uint32x4_t;
    vreinterpretq_u64_u8(a: uint8x16_t) -> uint64x2_t;
    vreinterpretq_u8_f32(a: float32x4_t) -> uint8x16_t;
    vreinterpretq_u8_s16(a: int16x8_t) -> uint8x16_t;
    vreinterpretq_u8_s32(a: int32x4_t) -> uint8x16_t;
    vreinterpretq_u8_u16(a: uint16x8_t) -> uint8x16_t;
    vreinterpretq_u8_u32(a: uint32x4_t) -> uint8x16_t;
    vreinterpretq_u8_u64(a: uint64x2_t) -> uint8x16_t;
    vshlq_n_s32[N](a: int32x4_t) -> int32x4_t;
    vshlq_n_u16[N](a: uint16x8_t) -> uint16x8_t;
    vshlq_n_u8[N](a: uint8x16_t) -> uint8x16_t;
    vshlq_s32(a: int32x4_t, b: int32x4_t) -> int32x4_t;
    vshlq_u16(a: uint16x8_t, b: int16x8_t) -> uint16x8_t;
    vshrq_n_u8[N](a: uint8x16_t) -> uint8x16_t;
    vsraq_n_s32[N](a: int32x4_t, b: int32x4_t) -> int32x4_t;
    vsubq_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t;
    vsubq_s16(a: int16x8_t, b: int16x8_t) -> int16x8_t;
    vsubq_s32(a: int32x4_t, b: int32x4_t) -> int32x4_t;
    vsubq_u16(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t;
    vsubq_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vsubq_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vuzp1q_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vuzp2q_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vzip1q_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t;
    vzip1q_u16(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t;
    vzip1q_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vzip1q_u64(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t;
    vzip1q_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
    vzip2q_f64(a: float64x2_t, b: float64x2_t) -> float64x2_t;
    vzip2q_u16(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t;
    vzip2q_u32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t;
    vzip2q_u64(a: uint64x2_t, b: uint64x2_t) -> uint64x2_t;
    vzip2q_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t;
}
