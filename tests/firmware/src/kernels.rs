//! The areas of the kernels crate.

use crate::opaque::{bytes, float, keep, number, with_ram};
use bitnet_edge_kernels::Scalar;
use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::format::i2_s::{self, I2s, I2sLayout};
use bitnet_edge_kernels::format::{self, q4_0, q4_1, q4_k, q5_0, q5_k, q6_k, q8_0, tq1_0, tq2_0};

/// Conversions of numbers and of every block type.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_formats() {
    let half = number() as u16;
    keep((format::f16_to_f32(half), format::f32_to_f16(float())));
    keep((format::bf16_to_f32(half), format::f32_to_bf16(float())));
    blocks(q4_0::dequantize);
    blocks(q4_1::dequantize);
    blocks(q4_k::dequantize);
    blocks(q5_0::dequantize);
    blocks(q5_k::dequantize);
    blocks(q6_k::dequantize);
    blocks(q8_0::dequantize);
    blocks(tq1_0::dequantize);
    blocks(tq2_0::dequantize);
    let weights = [float(); 256];
    if let Some(weights) = weights.first_chunk() {
        keep((q4_0::quantize(weights), q8_0::quantize(weights)));
    }
    keep(q6_k::quantize(&weights));
}

/// Widens every block in flash.
fn blocks<const BYTES: usize, const WEIGHTS: usize>(dequantize: fn(&[u8; BYTES], &mut [f32; WEIGHTS])) {
    let mut weights = [0.0; WEIGHTS];
    for block in bytes().as_chunks().0 {
        dequantize(block, &mut weights);
        keep(weights);
    }
}

/// Views of ternary tensors.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_ternary() {
    let (columns, rows) = (number() as usize, number() as usize);
    keep(i2_s::tensor_bytes(columns, rows));
    for layout in I2sLayout::ALL {
        let Ok(tensor) = I2s::new(bytes(), columns, rows, layout) else { continue };
        keep((tensor.scale(), tensor.shape(), tensor.code(number() as usize, number() as usize)));
        with_ram::<u8>(|ram| keep(tensor.row(number() as usize, ram)));
    }
}

/// The kernels checked against their definition, as a board does it at boot.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_conformance() {
    let effort = if number() == 0 { Effort::Boot } else { Effort::Full };
    keep(conformance::run(Scalar, effort, &mut |failure| keep(*failure)));
}
