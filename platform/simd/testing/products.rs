//! The products of the tiers of a backend against the definition, at sizes and values that bring out what is too narrow or reaches too
//! far. The table of `conformance` runs over every tier of this machine in `tests/conformance.rs`.
//!
//! A module of the unit tests of every backend, which has `crate::Host` and a `super::others`, with what else is to be compared.

use std::format;
use std::vec;
use std::vec::Vec;

use bitnet_edge_kernels::tile::{
    Activations, Int8Acts, Layout, Results, TernaryScale, q4k4, q4r4, q5r4, q6r4, q8r4, t2r4,
};
use bitnet_edge_kernels::{Error, Kernels, Scalar};

use crate::Host;

/// Bits of the results, `[tokens][rows]`, each put exactly once.
struct Bits {
    rows: usize,
    bits: Vec<Option<u32>>,
}

impl Results for Bits {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        assert!(row.is_multiple_of(4) && values.len().is_multiple_of(4) && row + values.len() <= self.rows);
        for (at, v) in self.bits[token * self.rows + row..].iter_mut().zip(values) {
            assert!(at.is_none(), "row {row} of token {token} was put twice");
            *at = Some(if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() });
        }
    }
}

pub(crate) struct Case {
    layout: Layout,
    rows: usize,
    tokens: usize,
    w: Vec<u8>,
    q: Vec<i8>,
    stride: usize,
    scales: Vec<f32>,
    sums: Vec<i32>,
    groups: usize,
    row_scales: Vec<f32>,
}

impl Case {
    /// All weights of byte `weight` (scales apart), if there is one, and all activations of `q`.
    fn new(layout: Layout, [rows, cols, tokens]: [usize; 3], weight: Option<u8>, q: Option<i8>) -> Self {
        let mut state = (rows * 31 + cols * 7 + tokens) as u64;
        let mut random = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 40) as u32
        };
        let form = layout.activations();
        let (groups, stride) = (form.groups(cols), cols.next_multiple_of(64));
        let mut w = vec![0; layout.matrix_bytes(rows, cols).unwrap()];
        let row_tile = layout.row_tile_bytes(cols).unwrap();
        for (r, tile) in w.chunks_mut(row_tile).enumerate() {
            for r in 4 * r..4 * r + 4 {
                fill(layout, tile, cols, r, weight, &mut random);
            }
        }
        let mut acts = vec![0i8; tokens * stride];
        for row in acts.chunks_mut(stride) {
            for (c, x) in row.iter_mut().take(cols).enumerate() {
                // A sign for long runs, so that sums grow.
                let sign = if c / 2048 % 2 == 0 { 1 } else { -1 };
                *x = q.map_or((random() % 255) as i32 - 127, |q| i32::from(q) * sign) as i8;
            }
        }
        let group = match form {
            Activations::Token => stride,
            Activations::Group32 => 32,
            _ => 256,
        };
        let sums = acts.chunks(stride).flat_map(|row| {
            let groups =
                if form == Activations::Token { row.chunks(stride) } else { row[..cols].chunks(group) };
            groups.map(|g| g.iter().map(|&q| i32::from(q)).sum()).collect::<Vec<i32>>()
        });
        let special = [1.5f32, 1e-40, 0.0, 3e38, 127.0];
        Self {
            layout,
            rows,
            tokens,
            sums: sums.collect(),
            scales: (0..tokens * groups).map(|i| special[(random() as usize + i) % 5]).collect(),
            row_scales: (0..rows).map(|i| special[(random() as usize + i) % 5]).collect(),
            w,
            q: acts,
            stride,
            groups,
        }
    }

    pub(crate) fn run<K: Kernels>(&self, k: K) -> Result<Vec<Option<u32>>, Error> {
        let acts = Int8Acts {
            q: &self.q,
            stride: self.stride,
            scales: &self.scales,
            sums: &self.sums,
            groups: self.groups,
        };
        let rows = self.rows.next_multiple_of(4);
        let mut out = Bits { rows, bits: vec![None; rows * self.tokens] };
        let (w, n, o) = (&self.w[..], self.tokens, &mut out);
        match self.layout {
            Layout::T2r4 => k.matmul_t2r4_i8t(w, n, &acts, TernaryScale::Rows(&self.row_scales), o)?,
            Layout::Q8r4 => k.matmul_q8r4_i8g32(w, n, &acts, o)?,
            Layout::Q4r4 => k.matmul_q4r4_i8g32(w, n, &acts, o)?,
            Layout::Q4m4 => k.matmul_q4m4_i8g32(w, n, &acts, o)?,
            Layout::Q4k4 => k.matmul_q4k4_i8g256(w, n, &acts, o)?,
            Layout::Q5r4 => k.matmul_q5r4_i8g32(w, n, &acts, o)?,
            Layout::Q5k4 => k.matmul_q5k4_i8g256(w, n, &acts, o)?,
            _ => k.matmul_q6r4_i8g256(w, n, &acts, o)?,
        }
        assert!(out.bits.iter().all(Option::is_some), "a result was not put");
        Ok(out.bits)
    }

    fn check(&self) {
        let want = self.run(Scalar).unwrap();
        let what = format!("{:?}: {} x {} for {} tokens", self.layout, self.rows, self.stride, self.tokens);
        for host in Host::TIERS.iter().filter_map(|(_, probe)| probe().ok()) {
            assert!(self.run(host).unwrap() == want, "{}: {what}", host.name());
        }
        super::others(self, &want, &what);
    }
}

/// Fills row `r` of a row tile.
fn fill(
    layout: Layout,
    tile: &mut [u8],
    cols: usize,
    r: usize,
    weight: Option<u8>,
    random: &mut impl FnMut() -> u32,
) {
    let mut byte = || weight.unwrap_or(random() as u8);
    let f16 = |r: usize, b: usize| [0x3c00u16, 0x0001, 0x8000, 0xf7ff, 0x2e66][(r + b) % 5].to_le_bytes();
    match layout {
        Layout::T2r4 => {
            for c in 0..cols.next_multiple_of(64) {
                // No model has code 3, which only a damaged image does; the largest weight is one all the same.
                let code = weight.map_or_else(|| byte() % 3, |w| w % 4);
                t2r4::set_code(tile, r, c, if c < cols { code } else { 1 });
            }
        }
        Layout::Q8r4 | Layout::Q4r4 | Layout::Q4m4 => {
            for b in 0..cols / 32 {
                let mut block = [0; 34];
                block.fill_with(&mut byte);
                block[..2].copy_from_slice(&f16(r, b));
                block[2..4].copy_from_slice(&f16(r, b + 1));
                match layout {
                    Layout::Q8r4 => {
                        block[2..4].fill_with(&mut byte);
                        q8r4::put_block(tile, cols, r % 4, b, &block).unwrap();
                    }
                    Layout::Q4r4 => q4r4::put_block(tile, cols, r % 4, b, &block[..18]).unwrap(),
                    _ => q4r4::put_block(tile, cols, r % 4, b, &block[..20]).unwrap(),
                }
            }
        }
        Layout::Q5r4 => {
            for b in 0..cols / 32 {
                let mut block = [0; 22];
                block.fill_with(&mut byte);
                block[..2].copy_from_slice(&f16(r, b));
                q5r4::put_block(tile, cols, r % 4, b, &block).unwrap();
            }
        }
        Layout::Q4k4 | Layout::Q5k4 => {
            for b in 0..cols / 256 {
                let mut block = [0; 176];
                block.fill_with(&mut byte);
                block[..2].copy_from_slice(&f16(r, b));
                block[2..4].copy_from_slice(&f16(r, b + 1));
                let block = if layout == Layout::Q4k4 { &block[..144] } else { &block[..] };
                q4k4::put_block(tile, cols, r % 4, b, block).unwrap();
            }
        }
        _ => {
            for b in 0..cols / 256 {
                let mut block = [0; 210];
                block.fill_with(&mut byte);
                block[208..].copy_from_slice(&f16(r, b));
                q6r4::put_block(tile, cols, r % 4, b, &block).unwrap();
            }
        }
    }
}

const LAYOUTS: [Layout; 8] = [
    Layout::T2r4,
    Layout::Q8r4,
    Layout::Q4r4,
    Layout::Q4m4,
    Layout::Q6r4,
    Layout::Q4k4,
    Layout::Q5r4,
    Layout::Q5k4,
];

#[test]
fn every_number_of_tokens_and_rows() {
    for layout in LAYOUTS {
        let cols = layout.column_multiple().max(96);
        for tokens in 1..=33 {
            Case::new(layout, [20, cols, tokens], None, None).check();
        }
        for rows in (4..=40).chain([63, 64, 65, 129, 145]) {
            for tokens in [1, 3, 7] {
                Case::new(layout, [rows, cols, tokens], None, None).check();
            }
        }
    }
}

#[test]
fn every_number_of_columns() {
    for layout in LAYOUTS {
        let step = layout.column_multiple().max(64);
        for cols in (1..=21).map(|n| n * step).chain([layout.column_multiple()]) {
            for tokens in [1, 2, 5] {
                Case::new(layout, [12, cols, tokens], None, None).check();
            }
        }
    }
}

/// Activations are prepared for so many columns at a time; the sums are carried on, for as many row tiles and tokens as there are.
#[test]
fn columns_that_are_not_prepared_at_once() {
    for layout in LAYOUTS {
        let beyond = 16_384 + layout.column_multiple();
        for (rows, cols, tokens) in [
            (12, beyond, 1),
            (12, 16_640, 9),
            (300, 16_640, 1),
            (268, 16_640, 3),
            (20, 32_768, 2),
            (8, 40_960, 1),
            (12, 40_960, 5),
        ] {
            Case::new(layout, [rows, cols, tokens], None, None).check();
        }
    }
}

#[test]
fn no_sum_is_too_narrow() {
    for layout in LAYOUTS {
        // Codes 2, 0 and 3; the largest and smallest weights and sub-block scales.
        for weight in [0xff - 1, 0x80, 0x7f, 0xff, 0x00, 0x02] {
            for q in [127, -127] {
                for (cols, tokens) in [(2048, 1), (2048, 2), (4096, 6), (16_384, 1), (16_384, 5), (16_640, 2)]
                {
                    Case::new(layout, [4, cols, tokens], Some(weight), Some(q)).check();
                }
            }
        }
    }
}

/// Rows and tokens for which there are tables of sums, and what is beside their borders.
#[test]
fn ternary_products_of_many_rows_and_tokens() {
    for [rows, cols, tokens] in [
        [60, 64, 16],
        [64, 64, 6],
        [64, 64, 7],
        [68, 320, 8],
        [188, 128, 12],
        [192, 64, 11],
        [192, 64, 12],
        [200, 192, 16],
        [260, 100, 24],
        [332, 128, 25],
        [516, 128, 23],
        [2048, 64, 63],
        [2052, 128, 80],
        [4100, 64, 131],
    ] {
        Case::new(Layout::T2r4, [rows, cols, tokens], None, None).check();
    }
    // Sums that grow as fast as they can, and fall again.
    for code in [0, 1, 2] {
        for q in [127, -127] {
            for tokens in [21, 24] {
                Case::new(Layout::T2r4, [192, 6400, tokens], Some(code), Some(q)).check();
            }
        }
    }
}

/// Tables have no sums for code 3; such rows are computed without.
#[test]
fn ternary_products_of_many_rows_with_a_code_3() {
    for (row, column) in [(0, 0), (191, 127), (2051, 100), (4099, 64)] {
        let mut case = Case::new(Layout::T2r4, [4100, 128, 33], None, None);
        let row_tile = Layout::T2r4.row_tile_bytes(128).unwrap();
        t2r4::set_code(&mut case.w[row / 4 * row_tile..][..row_tile], row, column, 3);
        case.check();
    }
}

#[test]
fn operands_that_do_not_fit_are_refused_before_anything_is_put() {
    for layout in LAYOUTS {
        for (case, what) in [0, 1, 2, 3].into_iter().zip(["weights", "activations", "scales", "sums"]) {
            let mut bad = Case::new(layout, [8, 256, 5], None, None);
            match case {
                0 => drop(bad.w.pop()),
                1 => drop(bad.q.pop()),
                2 => drop(bad.scales.pop()),
                _ => drop(bad.sums.pop()),
            }
            assert!(bad.run(Scalar).is_err(), "{layout:?} {what}");
            for host in Host::TIERS.iter().filter_map(|(_, probe)| probe().ok()) {
                assert_eq!(bad.run(host), bad.run(Scalar), "{} {layout:?} {what}", host.name());
            }
        }
    }
}
