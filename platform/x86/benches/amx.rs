//! What the AMX product does beside its tile instructions: unpacking, results, and the loops around them, with tile
//! instructions that do nothing. It runs on any machine with AVX-512; time of the tiles themselves is not in it.
//!
//!     taskset -c 0 cargo bench -p bitnet-edge-x86 --bench amx
#![cfg(target_arch = "x86_64")]

use std::hint::black_box;
use std::time::Instant;

use bitnet_edge_kernels::tile::{Int8Acts, Outputs, Results, TernaryScale, t2r4};

// The kernels are not public: they are compiled into this program once more.
#[path = "../src/amx/convert.rs"]
mod convert;
#[path = "../src/amx/panel.rs"]
mod panel;
#[path = "../src/amx/t2r4.rs"]
mod product;
#[allow(dead_code, unused_imports, reason = "the instructions of this machine, and what only they need")]
#[path = "../src/amx/tiles.rs"]
mod tiles;

/// Tile instructions that do nothing.
struct Idle;

impl tiles::Instructions for Idle {
    unsafe fn configure(&mut self, _config: &tiles::Config) {}
    unsafe fn zero<const T: usize>(&mut self) {}
    unsafe fn load<const T: usize>(&mut self, memory: *const u8, _stride: usize) {
        black_box(memory);
    }
    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {}
    unsafe fn store<const T: usize>(&mut self, memory: *mut u8, _stride: usize) {
        black_box(memory);
    }
    unsafe fn release(&mut self) {}
}

/// Drops results.
struct Nowhere;

impl Results for Nowhere {
    fn put(&mut self, _token: usize, _row: usize, values: &[f32]) {
        black_box(values);
    }
}

/// The best of several runs, in seconds.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")) {
        println!("this machine has no AVX-512");
        return;
    }
    for (rows, cols) in [(2560, 2560), (6912, 2560), (2560, 6912)] {
        for tokens in [16, 32, 128, 512] {
            let w = vec![t2r4::PADDING; rows / 4 * t2r4::row_tile_bytes(cols)];
            let q = vec![1i8; tokens * cols];
            let (scales, sums) = (vec![1.5; tokens], vec![3; tokens]);
            let acts = Int8Acts { q: &q, stride: cols, scales: &scales, sums: &sums, groups: 1 };
            let scale = TernaryScale::Tensor(0.5);
            let mut y = vec![0.0; rows * tokens];
            let dropped = best(|| {
                // SAFETY: AVX-512 was detected; the instructions are none.
                unsafe { product::matmul(Idle, black_box(&w), tokens, &acts, scale, &mut Nowhere) }
                    .unwrap()
                    .unwrap();
            });
            let stored = best(|| {
                let mut out = Outputs { y: black_box(&mut y), stride: rows };
                // SAFETY: as above.
                unsafe { product::matmul(Idle, black_box(&w), tokens, &acts, scale, &mut out) }
                    .unwrap()
                    .unwrap();
            });
            let macs = (rows * cols * tokens) as f64;
            let panels = (rows / 32) as f64;
            println!(
                "{rows} x {cols}, {tokens} tokens: {:.2} us a panel of 32 rows ({:.1} TMAC/s if tiles took no time), \
                 {:.2} us with results stored; weights {:.1} GB/s",
                dropped / panels * 1e6,
                macs / dropped / 1e12,
                stored / panels * 1e6,
                w.len() as f64 / dropped / 1e9
            );
        }
    }
}
