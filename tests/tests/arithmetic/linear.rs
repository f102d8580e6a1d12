//! Ternary layers of bitnet.cpp, bit for bit: from its activations to its outputs, through `t2r4`.

use bitnet_edge_kernels::format::i2_s::{I2s, I2sLayout};
use bitnet_edge_kernels::tile::{Int8Acts, Outputs, TILE_ROWS, TernaryScale, t2r4};
use bitnet_edge_kernels::{Kernels, Scalar};
use bitnet_edge_tests::files;
use bitnet_pack::gguf::Gguf;
use serde::Deserialize;

const MICRO_I2_S: &str = "models/tinystories-micro/tinystories-micro-i2_s.gguf";

/// `tests/data/linear-i2_s.json`: layers as bitnet.cpp computes them.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tensor: String,
    k: usize,
    m: usize,
    x_bits: Vec<u32>,
    y_bits: Vec<u32>,
    s_bits: u32,
    scale_bits: u32,
    q: Vec<i8>,
    sum_q: i32,
}

/// The layer's codes in row tiles.
fn tiles(layer: &I2s<'_>, k: usize, m: usize) -> Vec<u8> {
    let tile_bytes = t2r4::row_tile_bytes(k);
    let mut w = vec![t2r4::PADDING; m.div_ceil(TILE_ROWS) * tile_bytes];
    let mut codes = vec![0; k];
    for row in 0..m {
        layer.row(row, &mut codes).unwrap();
        let tile = &mut w[row / TILE_ROWS * tile_bytes..][..tile_bytes];
        for (col, &code) in codes.iter().enumerate() {
            t2r4::set_code(tile, row % TILE_ROWS, col, code);
        }
    }
    w
}

#[test]
fn layers_of_bitnet_cpp_come_out_bit_for_bit() {
    let bytes = files::read(MICRO_I2_S);
    let file = Gguf::parse(&bytes).unwrap();
    let golden: Golden = files::read_json("tests/data/linear-i2_s.json");
    let mut outputs = 0;
    for (index, case) in golden.cases.iter().enumerate() {
        let tensor = file.tensor(&case.tensor).unwrap();
        let layer = I2s::new(tensor.data().unwrap(), case.k, case.m, I2sLayout::X86_128).unwrap();
        assert_eq!(layer.scale().to_bits(), case.scale_bits, "case {index}");

        let x: Vec<f32> = case.x_bits.iter().map(|&b| f32::from_bits(b)).collect();
        let mut q = vec![99; case.k.next_multiple_of(64)];
        let (s, sum) = Scalar.quantize_token(&x, &mut q).unwrap();
        assert_eq!((s.to_bits(), sum), (case.s_bits, case.sum_q), "case {index}");
        assert_eq!(q[..case.k], case.q, "case {index}");

        let acts = Int8Acts { q: &q, stride: q.len(), scales: &[s], sums: &[sum], groups: 1 };
        let w = tiles(&layer, case.k, case.m);
        let mut y = vec![0.0; case.m.next_multiple_of(TILE_ROWS)];
        Scalar
            .matmul_t2r4_i8t(
                &w,
                1,
                &acts,
                TernaryScale::Tensor(layer.scale()),
                &mut Outputs::of_token(&mut y),
            )
            .unwrap();
        for (row, (y, &expected)) in y.iter().zip(&case.y_bits).enumerate() {
            assert_eq!(y.to_bits(), expected, "case {index} ({}), row {row}", case.tensor);
            outputs += 1;
        }
    }
    println!("{} layers of bitnet.cpp, {outputs} outputs, all equal bit for bit", golden.cases.len());
    assert!(outputs > 0);
}
