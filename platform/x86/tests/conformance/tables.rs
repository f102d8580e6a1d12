//! Ternary products with so many rows that every tier looks sums up, AVX-512 included: the conformance run has no matrix of that
//! many, for it also runs in a microcontroller's memory.

use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use bitnet_edge_kernels::{Kernels, Scalar};
use bitnet_edge_simd::t2r4::FEWEST_TOKENS;
use bitnet_edge_x86::Host;

/// Numbers that do not depend on the machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

/// Outputs, `[tokens][rows]`, as bits.
struct Bits {
    rows: usize,
    out: Vec<u32>,
}

impl Results for Bits {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        for (to, value) in self.out[token * self.rows + row..].iter_mut().zip(values) {
            *to = value.to_bits();
        }
    }
}

/// A product of random weights (all four codes) and activations.
fn product(kernels: impl Kernels, cols: usize, tokens: usize, rows: usize, extreme: bool) -> Vec<u32> {
    let mut numbers = Numbers(7);
    // A byte has four weights of two bits.
    let w: Vec<u8> =
        (0..rows * cols / 4).map(|_| if extreme { 0xff } else { numbers.next() as u8 }).collect();
    let q: Vec<i8> =
        (0..tokens * cols).map(|_| if extreme { i8::MIN } else { numbers.next() as i8 }).collect();
    let sums: Vec<i32> = q.chunks(cols).map(|q| q.iter().map(|&q| i32::from(q)).sum()).collect();
    let scales: Vec<f32> = (0..tokens).map(|_| numbers.next() as f32 / 1e9).collect();
    let acts = Int8Acts { q: &q, stride: cols, scales: &scales, sums: &sums, groups: 1 };
    let mut bits = Bits { rows, out: vec![0x7fc0_0001; tokens * rows] };
    kernels.matmul_t2r4_i8t(&w, tokens, &acts, TernaryScale::Tensor(0.37), &mut bits).unwrap();
    bits.out
}

#[test]
fn wide_products_have_the_bits_of_the_definition_on_every_tier() {
    // 768 rows is where AVX-512 begins to look sums up on the processors that gain by it.
    for rows in [764, 768, 772, 1540] {
        for tokens in [FEWEST_TOKENS - 1, FEWEST_TOKENS, 33] {
            for (cols, extreme) in [(64, false), (192, false), (192, true)] {
                let expected = product(Scalar, cols, tokens, rows, extreme);
                for &(name, probe) in Host::TIERS {
                    if let Ok(host) = probe() {
                        let found = product(host, cols, tokens, rows, extreme);
                        assert!(found == expected, "{name}: {cols} columns, {tokens} tokens, {rows} rows");
                    }
                }
            }
        }
    }
    for (name, missing) in Host::TIERS.iter().filter_map(|(name, probe)| Some((name, probe().err()?))) {
        println!("not run: {name} (it needs {missing})");
    }
}
