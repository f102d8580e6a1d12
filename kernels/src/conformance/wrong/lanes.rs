//! Lanes that are wrong on purpose.

use std::collections::BTreeSet;
use std::format;
use std::string::String;

use super::flush;
use crate::conformance::{Difference, Effort, run_lanes};
use crate::simd::{F32x16, LANES, Scalar16};

const FLUSHES: u8 = 1;
const DIVIDES_BY_RECIPROCAL: u8 = 2;
const FOLDS_NEIGHBOURS: u8 = 3;
const RELU_LOSES_NAN: u8 = 4;
const RELU_LOSES_SIGN: u8 = 5;
const CLAMP_LOSES_NAN: u8 = 6;
const F16_FLUSHES: u8 = 7;
const F16_ROUNDS_HALF_UP: u8 = 8;
const F16_SATURATES: u8 = 9;
const PARTS_REPEAT: u8 = 10;
const BF16_FLUSHES: u8 = 13;
const FOLD16_NEIGHBOURS: u8 = 11;
const FOLD16_TRANSPOSES_QUARTERS: u8 = 12;

/// `Scalar16` with one mistake.
#[derive(Clone, Copy)]
struct Bad<const FAULT: u8>(Scalar16);

impl<const FAULT: u8> Bad<FAULT> {
    fn lanes(self) -> [f32; LANES] {
        let mut y = [0.0; LANES];
        self.0.store(&mut y);
        y
    }
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        Self(Scalar16::load(&self.lanes().map(f)))
    }
    fn result(x: Scalar16) -> Self {
        if FAULT == FLUSHES { Self(x).map(flush) } else { Self(x) }
    }
}

impl<const FAULT: u8> F32x16 for Bad<FAULT> {
    fn splat(x: f32) -> Self {
        Self(Scalar16::splat(x))
    }
    fn load(x: &[f32; LANES]) -> Self {
        Self(Scalar16::load(x))
    }
    fn store(self, y: &mut [f32; LANES]) {
        self.0.store(y);
    }
    fn add(self, b: Self) -> Self {
        Self::result(self.0.add(b.0))
    }
    fn sub(self, b: Self) -> Self {
        Self::result(self.0.sub(b.0))
    }
    fn mul(self, b: Self) -> Self {
        Self::result(self.0.mul(b.0))
    }
    fn div(self, b: Self) -> Self {
        if FAULT == DIVIDES_BY_RECIPROCAL {
            Self(self.0.mul(Scalar16::splat(1.0).div(b.0)))
        } else {
            Self::result(self.0.div(b.0))
        }
    }
    fn clamp(self, lo: f32, hi: f32) -> Self {
        let x = if FAULT == CLAMP_LOSES_NAN { self.map(|x| if x.is_nan() { lo } else { x }) } else { self };
        Self(x.0.clamp(lo, hi))
    }
    fn pow2_of_shifted(self) -> Self {
        Self(self.0.pow2_of_shifted())
    }
    fn relu(self) -> Self {
        match FAULT {
            RELU_LOSES_NAN => {
                self.map(|x| if x > 0.0 { x } else { x * 0.0 }).map(|x| if x.is_nan() { 0.0 } else { x })
            }
            RELU_LOSES_SIGN => self.map(f32::abs),
            _ => Self(self.0.relu()),
        }
    }
    fn from_f16(x: &[u16; LANES]) -> Self {
        let x = x.map(|x| if FAULT == F16_FLUSHES && x & 0x7c00 == 0 { x & 0x8000 } else { x });
        Self(Scalar16::from_f16(&x))
    }
    fn from_bf16(x: &[u16; LANES]) -> Self {
        let x = x.map(|x| if FAULT == BF16_FLUSHES && x & 0x7f80 == 0 { x & 0x8000 } else { x });
        Self(Scalar16::from_bf16(&x))
    }
    fn to_f16(self, y: &mut [u16; LANES]) {
        match FAULT {
            F16_ROUNDS_HALF_UP => {
                self.map(|x| f32::from_bits(x.to_bits() | u32::from(x.abs() > 1.0))).0.to_f16(y);
            }
            F16_SATURATES => {
                self.0.to_f16(y);
                for y in y {
                    *y = if *y & 0x7fff == 0x7c00 { *y - 1 } else { *y };
                }
            }
            _ => self.0.to_f16(y),
        }
    }
    fn fold(self) -> f32 {
        if FAULT != FOLDS_NEIGHBOURS {
            return self.0.fold();
        }
        let s = self.lanes();
        let pairs: [f32; 8] = core::array::from_fn(|i| s[2 * i] + s[2 * i + 1]);
        let fours: [f32; 4] = core::array::from_fn(|i| pairs[2 * i] + pairs[2 * i + 1]);
        (fours[0] + fours[1]) + (fours[2] + fours[3])
    }
    fn fold16(x: [Self; LANES]) -> Self {
        match FAULT {
            // What a tree of horizontal additions gives.
            FOLD16_NEIGHBOURS => Self::load(&x.map(|x| Bad::<FOLDS_NEIGHBOURS>(x.0).fold())),
            // What is left when the last permutation is forgotten.
            FOLD16_TRANSPOSES_QUARTERS => {
                Self::load(&core::array::from_fn(|i| x.get(4 * (i % 4) + i / 4).map_or(0.0, |x| x.fold())))
            }
            _ => Self::load(&x.map(Self::fold)),
        }
    }
    fn load_part(x: &[f32]) -> Self {
        let mut lanes =
            if FAULT == PARTS_REPEAT { [x.first().copied().unwrap_or(0.0); LANES] } else { [0.0; LANES] };
        lanes.iter_mut().zip(x).for_each(|(lane, x)| *lane = *x);
        Self::load(&lanes)
    }
}

fn caught<const FAULT: u8>(outputs: &[&str]) {
    for effort in [Effort::Boot, Effort::Full] {
        let (mut found, mut lines) = (BTreeSet::new(), String::new());
        let summary = run_lanes::<Bad<FAULT>>(effort, &mut |failure| {
            if let Difference::Bits { output, .. } = failure.difference {
                found.insert(output);
            }
            if lines.len() < 300 {
                lines += &format!("\n{failure}");
            }
        });
        assert_eq!(summary.passed(), outputs.is_empty());
        assert_eq!(found, outputs.iter().copied().collect(), "fault {FAULT} ({effort:?}){lines}");
    }
}

#[test]
fn each_fault_of_the_lanes_is_caught() {
    caught::<0>(&[]);
    caught::<FLUSHES>(&["add", "sub", "mul", "div", "mul, add", "exp"][..5]);
    caught::<DIVIDES_BY_RECIPROCAL>(&["div"]);
    caught::<FOLDS_NEIGHBOURS>(&["fold", "fold16"]);
    caught::<FOLD16_NEIGHBOURS>(&["fold16"]);
    caught::<FOLD16_TRANSPOSES_QUARTERS>(&["fold16"]);
    caught::<RELU_LOSES_NAN>(&["relu"]);
    caught::<RELU_LOSES_SIGN>(&["relu"]);
    caught::<CLAMP_LOSES_NAN>(&["clamp", "exp"]);
    caught::<F16_FLUSHES>(&["from_f16"]);
    caught::<BF16_FLUSHES>(&["from_bf16"]);
    caught::<F16_ROUNDS_HALF_UP>(&["to_f16"]);
    caught::<F16_SATURATES>(&["to_f16"]);
    caught::<PARTS_REPEAT>(&["load_part"]);
}
