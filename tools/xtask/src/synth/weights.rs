//! Random weights in the formats of GGUF files.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

use anyhow::Result;
use bitnet_edge_kernels::format::{f16_to_f32, f32_to_f16, i2_s, q6_k, q8_0, tq1_0, tq2_0};
use std::io::Write;

/// The type of the ternary matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ternary {
    /// bitnet.cpp's own, 2 bits; the file's architecture is bitnet-b1.58, with squared ReLU
    #[value(name = "i2_s")]
    I2S,
    /// 1.69 bits
    #[value(name = "tq1_0")]
    Tq1,
    /// 2.06 bits
    #[value(name = "tq2_0")]
    Tq2,
    /// 16 bits
    F16,
}

/// The type of the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Head {
    /// 6.56 bits
    #[value(name = "q6_k")]
    Q6K,
    /// 8.5 bits
    #[value(name = "q8_0")]
    Q8,
    /// 16 bits
    F16,
}

impl Ternary {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::I2S => "i2_s",
            Self::Tq1 => "tq1_0",
            Self::Tq2 => "tq2_0",
            Self::F16 => "f16",
        }
    }

    pub(super) const fn architecture(self) -> &'static str {
        if matches!(self, Self::I2S) { "bitnet-b1.58" } else { "bitnet" }
    }

    pub(super) const fn gguf_type(self) -> u32 {
        match self {
            Self::I2S => 36,
            Self::Tq1 => 34,
            Self::Tq2 => 35,
            Self::F16 => 1,
        }
    }

    /// `general.file_type`.
    pub(super) const fn file_type(self) -> u32 {
        match self {
            Self::I2S => 40,
            Self::Tq1 => 36,
            Self::Tq2 => 37,
            Self::F16 => 1,
        }
    }

    pub(super) const fn row_multiple(self) -> u64 {
        match self {
            // The importer's narrower byte order; files have 128 wherever rows allow it.
            Self::I2S => 64,
            Self::Tq1 | Self::Tq2 => 256,
            Self::F16 => 1,
        }
    }

    pub(super) const fn bytes(self, weights: u64) -> u64 {
        match self {
            Self::I2S => weights / 4 + i2_s::TAIL_BYTES as u64,
            Self::Tq1 => weights / 256 * tq1_0::BLOCK_BYTES as u64,
            Self::Tq2 => weights / 256 * tq2_0::BLOCK_BYTES as u64,
            Self::F16 => weights * 2,
        }
    }
}

impl Head {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Q6K => "q6_k",
            Self::Q8 => "q8_0",
            Self::F16 => "f16",
        }
    }

    pub(super) const fn gguf_type(self) -> u32 {
        match self {
            Self::Q6K => 14,
            Self::Q8 => 8,
            Self::F16 => 1,
        }
    }

    pub(super) const fn row_multiple(self) -> u64 {
        match self {
            Self::Q6K => 256,
            Self::Q8 | Self::F16 => 32,
        }
    }

    pub(super) const fn bytes(self, weights: u64) -> u64 {
        match self {
            Self::Q6K => weights / 256 * q6_k::BLOCK_BYTES as u64,
            Self::Q8 => weights / 32 * q8_0::BLOCK_BYTES as u64,
            Self::F16 => weights * 2,
        }
    }
}

/// A small fast generator (`SplitMix64`).
pub(super) struct Rng(u64);

impl Rng {
    /// Streams of one seed are independent of each other.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        Self(seed.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ stream.wrapping_mul(0xa076_1d64_78bd_642f))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) const fn below(&mut self, limit: usize) -> usize {
        (((self.next() >> 32) * limit as u64) >> 32) as usize
    }

    /// Near enough to a normal distribution, with a deviation of 1.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: i32 = (0..4).map(|i| i32::from((bits >> (16 * i)) as i16)).sum();
        sum as f32 * (3.0f32.sqrt() / 2.0 / 32768.0)
    }

    /// Fills `out` with values of `table`, all about equally likely.
    fn fill<const N: usize>(&mut self, out: &mut [u8], table: &[u8; N]) {
        for four in out.chunks_mut(4) {
            let bits = self.next();
            for (i, byte) in four.iter_mut().enumerate() {
                *byte = table[(((bits >> (16 * i)) & 0xffff) as usize * N) >> 16];
            }
        }
    }
}

/// The bytes of four codes of 2 bits, none of them 3.
fn fields() -> [u8; 81] {
    std::array::from_fn(|v| (v % 3 + (v / 3 % 3) * 4 + (v / 9 % 3) * 16 + v / 27 * 64) as u8)
}

/// The bytes of `TQ1_0` that hold five codes, and those that hold four.
fn fractions() -> ([u8; 243], [u8; 81]) {
    let byte = |value: usize| (value * 256).div_ceil(243) as u8;
    (std::array::from_fn(byte), std::array::from_fn(|value| byte(3 * value)))
}

/// Weights that are written at a time: a multiple of every block.
const BLOCK: u64 = 64 * 256;

/// Writes a matrix of random ternary weights; all have the scale that these f16 bits stand for.
pub(super) fn write_ternary(
    ty: Ternary,
    weights: u64,
    scale: u16,
    rng: &mut Rng,
    out: &mut dyn Write,
) -> Result<()> {
    let (fields, (fives, fours)) = (fields(), fractions());
    let minus = scale | 0x8000;
    let mut left = weights;
    let mut buffer = vec![0; 2 * BLOCK as usize];
    while left > 0 {
        let count = left.min(BLOCK);
        left -= count;
        let bytes = if ty == Ternary::I2S { count / 4 } else { ty.bytes(count) };
        let buffer = &mut buffer[..bytes as usize];
        match ty {
            Ternary::I2S => rng.fill(buffer, &fields),
            Ternary::Tq2 => buffer.as_chunks_mut::<{ tq2_0::BLOCK_BYTES }>().0.iter_mut().for_each(|block| {
                rng.fill(&mut block[..64], &fields);
                block[64..].copy_from_slice(&scale.to_le_bytes());
            }),
            Ternary::Tq1 => buffer.as_chunks_mut::<{ tq1_0::BLOCK_BYTES }>().0.iter_mut().for_each(|block| {
                rng.fill(&mut block[..48], &fives);
                rng.fill(&mut block[48..52], &fours);
                block[52..].copy_from_slice(&scale.to_le_bytes());
            }),
            Ternary::F16 => buffer.as_chunks_mut().0.iter_mut().for_each(|weight| {
                *weight = [minus, 0, scale][rng.below(3)].to_le_bytes();
            }),
        }
        out.write_all(buffer)?;
    }
    if ty == Ternary::I2S {
        let mut tail = [0; i2_s::TAIL_BYTES];
        tail[..4].copy_from_slice(&f16_to_f32(scale).to_le_bytes());
        out.write_all(&tail)?;
    }
    Ok(())
}

/// Writes an embedding of random weights with this deviation.
///
/// Quantizing every one of them would take half a minute: some thousand blocks are quantized, and every place of the
/// table gets one of those.
pub(super) fn write_table(
    ty: Head,
    weights: u64,
    deviation: f32,
    rng: &mut Rng,
    out: &mut dyn Write,
) -> Result<()> {
    const POOL: usize = 4096;
    let mut normal = || rng.normal() * deviation;
    let (unit, pool): (u64, Vec<Vec<u8>>) = match ty {
        Head::Q6K => {
            (256, (0..POOL).map(|_| q6_k::quantize(&std::array::from_fn(|_| normal())).to_vec()).collect())
        }
        Head::Q8 => {
            (32, (0..POOL).map(|_| q8_0::quantize(&std::array::from_fn(|_| normal())).to_vec()).collect())
        }
        Head::F16 => (
            32,
            (0..POOL).map(|_| (0..32).flat_map(|_| f32_to_f16(normal()).to_le_bytes()).collect()).collect(),
        ),
    };
    for _ in 0..weights / unit {
        out.write_all(&pool[rng.below(POOL)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_length_and_all_three_weights() {
        for ty in [Ternary::I2S, Ternary::Tq1, Ternary::Tq2, Ternary::F16] {
            let weights = BLOCK + 256;
            let mut bytes = Vec::new();
            write_ternary(ty, weights, 0x3c00, &mut Rng::new(1, 2), &mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, ty.bytes(weights), "{}", ty.name());
            if ty != Ternary::Tq2 {
                continue;
            }
            let mut counts = [0; 3];
            for block in bytes.as_chunks().0 {
                let mut codes = [0; 256];
                assert!(tq2_0::codes(block, &mut codes));
                codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
            }
            assert!(counts.iter().all(|&count| (count as u64).abs_diff(weights / 3) < weights / 50));
        }
    }

    #[test]
    fn tables_have_their_length_and_deviation() {
        for ty in [Head::Q6K, Head::Q8, Head::F16] {
            let mut bytes = Vec::new();
            write_table(ty, 1 << 16, 0.5, &mut Rng::new(1, 2), &mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, ty.bytes(1 << 16), "{}", ty.name());
            if ty == Head::F16 {
                let values =
                    bytes.as_chunks().0.iter().map(|&b| f64::from(f16_to_f32(u16::from_le_bytes(b))));
                let power = values.map(|v| v * v).sum::<f64>() / f64::from(1 << 16);
                assert!((power - 0.25).abs() < 0.01, "{power}");
            }
        }
    }
}
