//! Speed of the float kernels of every tier of this machine, one thread, operands in the caches.
//!
//! `cargo bench -p bitnet-edge-x86 --bench float [-- NAME]`: kernels whose name contains NAME, the best of several runs.

use std::hint::black_box;
use std::time::Instant;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::attention::{Queries, RECORD_HEAD};
use bitnet_edge_kernels::format::f32_to_f16;
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
    for (hd, heads, tokens) in
        [(128, 4, 1), (128, 4, 4), (128, 1, 1), (128, 1, 16), (64, 3, 1), (64, 3, 16), (48, 2, 1)]
    {
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

fn main() {
    // Cargo passes `--bench` to every benchmark.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let bench = Bench { filter, hosts: Host::available() };
    print!("{:<34}", "");
    bench.hosts.iter().for_each(|host| print!("{:>12}", host.name()));
    println!();
    attention(&bench);
}
