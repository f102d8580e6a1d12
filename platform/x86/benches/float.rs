//! Speed of the float kernels of every tier of this machine, one thread, operands in the caches.
//!
//! `cargo bench -p bitnet-edge-x86 --bench float [-- NAME]`: kernels whose name contains NAME, the best of several runs.

use std::hint::black_box;
use std::time::Instant;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::attention::{Queries, RECORD_HEAD};
use bitnet_edge_kernels::format::{f32_to_bf16, f32_to_f16};
use bitnet_edge_kernels::gate::Activation;
use bitnet_edge_kernels::tile::{FloatActs, Results};
use bitnet_edge_x86::Host;

/// Seconds of the fastest of several runs of `f`, each long enough to be measured.
fn seconds(mut f: impl FnMut()) -> f64 {
    let mut time = |n: u32| {
        let start = Instant::now();
        (0..n).for_each(|_| f());
        start.elapsed().as_secs_f64() / f64::from(n)
    };
    let n = (2e-3 / time(1).max(1e-9)).clamp(1.0, 1e6) as u32;
    (0..25).map(|_| time(n)).fold(f64::MAX, f64::min)
}

struct Bench {
    filter: String,
    hosts: Vec<Host>,
}

impl Bench {
    /// One line a kernel: `work` units of `unit` a call, in 10^9 a second for every tier.
    fn run(&self, name: &str, work: usize, unit: &str, mut f: impl FnMut(Host)) {
        if !name.contains(&self.filter) {
            return;
        }
        print!("{name:<34}");
        for &host in &self.hosts {
            let speed = work as f64 / seconds(|| f(host)) / 1e9;
            print!("{speed:>12.2}");
        }
        println!("  {unit}/s");
    }
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as i32 as f32 / 2_147_483_648.0
        })
        .collect()
}

fn attention(b: &Bench) {
    for (hd, heads, tokens) in [
        (128, 4, 1),
        (128, 4, 4),
        (128, 4, 16),
        (128, 1, 1),
        (128, 1, 16),
        (64, 3, 1),
        (64, 3, 16),
        (48, 2, 1),
    ] {
        let q = noise(hd * heads * tokens);
        let half = |x: Vec<f32>| x.into_iter().map(f32_to_f16).collect::<Vec<u16>>();
        let (k, v) = (half(noise(64 * hd)), half(noise(64 * hd)));
        let mut records = vec![0.0; tokens * heads * (RECORD_HEAD + hd)];
        let queries = Queries { x: &q, stride: hd * heads, tokens, heads, head_dim: hd };
        let name = format!("attend f16 {hd} x {heads} heads x {tokens}");
        b.run(&name, 2 * 64 * hd * heads * tokens, "GMAC", |host| {
            host.attend(black_box(&queries), &k, &v, 0.1, &mut records).unwrap();
        });
    }
}

fn vectors(b: &Bench) {
    let (x, w) = (noise(6912), noise(6912));
    let (mut q, mut y) = (vec![0; 6912], vec![0.0; 6912]);
    let (mut a, mut sum, mut half) = (vec![0.0; 216], vec![0; 216], vec![0u16; 6912]);
    for n in [576, 2560, 6912] {
        let x = &x[..n];
        b.run(&format!("quantize_token {n}"), n, "G", |k| {
            black_box(k.quantize_token(black_box(x), &mut q).unwrap());
        });
        b.run(&format!("quantize_g32 {n}"), n, "G", |k| {
            k.quantize_g32(black_box(x), &mut q, &mut a, &mut sum).unwrap();
        });
        b.run(&format!("quantize_g256 {n}"), n, "G", |k| {
            k.quantize_g256(black_box(x), &mut q, &mut a, &mut sum).unwrap();
        });
        b.run(&format!("rms_norm {n}"), n, "G", |k| {
            k.rms_norm(black_box(x), &w[..n], 1e-5, &mut y[..n]).unwrap();
        });
    }
    for (name, act) in [("silu", Activation::Silu), ("relu2", Activation::Relu2)] {
        b.run(&format!("gate {name} 6912"), 6912, "G", |k| k.gate(act, black_box(&mut y), &w).unwrap());
        // A squared gate vanishes when it is repeated.
        y.copy_from_slice(&x);
    }
    b.run("store f16 128", 128, "G", |k| k.store(black_box(&x[..128]), &mut half[..128]).unwrap());
    b.run("rope 128", 128, "G", |k| k.rope(black_box(&mut y[..128]), &w[..128]).unwrap());
    y.copy_from_slice(&x);
    b.run("rms_norm_in_place 128", 128, "G", |k| {
        k.rms_norm_in_place(black_box(&mut y[..128]), &w[..128], 1e-5).unwrap();
    });
    let records: Vec<f32> = (0..8 * 130).map(|i| if i % 130 == 1 { 10.0 } else { x[i] }).collect();
    b.run("combine 128 x 8 chunks", 8 * 128, "G", |k| {
        k.combine(black_box(&records), 130, 8, &mut y[..128]).unwrap();
    });
}

/// Takes results where the compiler cannot see that nobody reads them.
struct Sum(f32);

impl Results for Sum {
    fn put(&mut self, _: usize, _: usize, values: &[f32]) {
        self.0 += black_box(values)[0];
    }
}

/// `n` weights of a type as bytes.
fn weights(name: &str, n: usize) -> Vec<u8> {
    let noise = noise(n).into_iter();
    match name {
        "f32" => noise.flat_map(f32::to_le_bytes).collect(),
        "f16" => noise.flat_map(|x| f32_to_f16(x).to_le_bytes()).collect(),
        _ => noise.flat_map(|x| f32_to_bf16(x).to_le_bytes()).collect(),
    }
}

fn products(b: &Bench) {
    const COLS: usize = 2560;
    let x = noise(COLS * 16);
    for name in ["f32", "f16", "bf16"] {
        for (tokens, rows) in [(1, 128), (16, 64)] {
            let w = weights(name, COLS * rows);
            let acts = FloatActs { x: &x, stride: COLS, cols: COLS };
            let (work, unit) = if tokens == 1 { (w.len(), "GB") } else { (rows * COLS * tokens, "GMAC") };
            b.run(&format!("matmul {name} x {tokens}"), work, unit, |k| {
                let (mut out, acts) = (Sum(0.0), black_box(&acts));
                match name {
                    "f32" => k.matmul_f32_f32(&w, tokens, acts, &mut out),
                    "f16" => k.matmul_f16_f32(&w, tokens, acts, &mut out),
                    _ => k.matmul_bf16_f32(&w, tokens, acts, &mut out),
                }
                .unwrap();
            });
        }
    }
}

/// Weights that come from memory, as an F16 head does.
fn head(b: &Bench) {
    const COLS: usize = 2560;
    let w = weights("f16", COLS * 25_600);
    let x = noise(COLS);
    let acts = FloatActs { x: &x, stride: COLS, cols: COLS };
    b.run("read 125 MiB", w.len(), "GB", |_| {
        let words = black_box(&w).as_chunks().0.iter();
        black_box(words.fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word))));
    });
    b.run("matmul f16 x 1, 125 MiB", w.len(), "GB", |k| {
        k.matmul_f16_f32(&w, 1, &acts, &mut Sum(0.0)).unwrap();
    });
}

fn main() {
    // Cargo passes `--bench` to every benchmark.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let hosts = Host::TIERS.iter().filter_map(|(_, probe)| probe().ok()).collect();
    let bench = Bench { filter, hosts };
    print!("{:<34}", "");
    bench.hosts.iter().for_each(|host| print!("{:>12}", host.name()));
    println!();
    attention(&bench);
    vectors(&bench);
    products(&bench);
    head(&bench);
}
