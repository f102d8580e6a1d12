//! How fast the products are: GMAC/s, and GB/s of weights against what this core reads from memory at best.
//!
//!     taskset -c 0 cargo bench -p bitnet-edge-x86 --bench matmul -- [TIER] [LAYOUT]

use std::hint::black_box;
use std::time::Instant;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::tile::{Activations, Int8Acts, Layout, Outputs, TernaryScale};
use bitnet_edge_x86::Host;

/// Rows and columns.
const SHAPES: [(Layout, usize, usize); 13] = [
    (Layout::T2r4, 256, 2560),
    (Layout::T2r4, 2560, 2560),
    (Layout::T2r4, 6912, 2560),
    (Layout::T2r4, 2560, 6912),
    (Layout::Q6r4, 2560, 2560),
    (Layout::Q4m4, 1536, 576),
    (Layout::Q4m4, 576, 1536),
    (Layout::Q4r4, 576, 1536),
    (Layout::Q8r4, 576, 1536),
    (Layout::Q8r4, 2560, 2560),
    (Layout::Q5r4, 576, 1536),
    (Layout::Q4k4, 2560, 2560),
    (Layout::Q5k4, 2560, 2560),
];
const TOKENS: [usize; 6] = [1, 2, 4, 16, 128, 512];
/// Weights that no cache holds.
const LARGE: usize = 512 << 20;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (tier, layout) = (args.first(), args.get(1));
    println!("one core reads {:.1} GB/s from {} MiB", read_rate(), LARGE >> 20);
    for &(name, probe) in Host::TIERS {
        let Ok(host) = probe() else { continue };
        if name == "scalar" || tier.is_some_and(|tier| tier != name) {
            continue;
        }
        for (layout_, rows, cols) in SHAPES {
            if layout.is_none_or(|layout| layout == layout_.name()) {
                products(host, layout_, rows, cols);
            }
        }
        for (layout_, cols) in [
            (Layout::T2r4, 2560),
            (Layout::T2r4, 6912),
            (Layout::Q6r4, 2560),
            (Layout::Q4m4, 1536),
            (Layout::Q8r4, 576),
            (Layout::Q5r4, 1536),
            (Layout::Q4k4, 2560),
            (Layout::Q5k4, 2560),
        ] {
            if layout.is_none_or(|layout| layout == layout_.name()) {
                stream(host, layout_, cols);
            }
        }
    }
}

/// As an image has them: aligned to lines.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[allow(dead_code, reason = "read as bytes")] [u8; 64]);

struct Operands {
    w: Vec<Line>,
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    groups: usize,
    stride: usize,
}

impl Operands {
    fn new(layout: Layout, rows: usize, cols: usize, tokens: usize) -> Self {
        let form = layout.activations();
        let groups = form.groups(cols);
        let stride = cols.next_multiple_of(64);
        let bytes = layout.matrix_bytes(rows, cols).unwrap_or(0);
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
            state >> 24
        };
        let code = |byte: u32| {
            // Bytes of the block layouts are scales, too: small, and no f16 is infinite.
            if form == Activations::Token {
                [0u8, 1, 2, 1][byte as usize & 3] * 0x55
            } else {
                byte as u8 & 0x3b
            }
        };
        Self {
            w: (0..bytes / 64).map(|_| Line([0; 64].map(|_: u8| code(random())))).collect(),
            q: (0..tokens * stride).map(|_| (random() as i32 - 128).max(-127) as i8).collect(),
            scales: vec![1.5; tokens * groups],
            sums: vec![7; tokens * groups],
            groups,
            stride,
        }
    }

    fn weights(&self) -> &[u8] {
        // SAFETY: a line is 64 bytes and nothing else.
        unsafe { std::slice::from_raw_parts(self.w.as_ptr().cast(), self.w.len() * 64) }
    }

    fn run(&self, host: Host, layout: Layout, w: &[u8], tokens: usize, y: &mut [f32]) {
        let acts = Int8Acts {
            q: &self.q,
            stride: self.stride,
            scales: &self.scales,
            sums: &self.sums,
            groups: self.groups,
        };
        let out = &mut Outputs { stride: y.len() / tokens, y };
        match layout {
            Layout::T2r4 => host.matmul_t2r4_i8t(w, tokens, &acts, TernaryScale::Tensor(0.5), out),
            Layout::Q8r4 => host.matmul_q8r4_i8g32(w, tokens, &acts, out),
            Layout::Q4r4 => host.matmul_q4r4_i8g32(w, tokens, &acts, out),
            Layout::Q4m4 => host.matmul_q4m4_i8g32(w, tokens, &acts, out),
            Layout::Q4k4 => host.matmul_q4k4_i8g256(w, tokens, &acts, out),
            Layout::Q5r4 => host.matmul_q5r4_i8g32(w, tokens, &acts, out),
            Layout::Q5k4 => host.matmul_q5k4_i8g256(w, tokens, &acts, out),
            _ => host.matmul_q6r4_i8g256(w, tokens, &acts, out),
        }
        .expect("operands fit");
    }
}

/// The best of several runs, each long enough to time, in seconds.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn products(host: Host, layout: Layout, rows: usize, cols: usize) {
    print!("{:12} {} {rows:5} x {cols:4}:", host.name(), layout.name());
    for tokens in TOKENS {
        let operands = Operands::new(layout, rows, cols, tokens);
        let mut y = vec![0.0; rows * tokens];
        let time = best(|| operands.run(host, layout, operands.weights(), tokens, black_box(&mut y)));
        print!("  {tokens} {:.1}", (rows * cols * tokens) as f64 / time / 1e9);
    }
    println!("  (tokens GMAC/s)");
}

/// One token through a matrix that no cache holds, in turns with plain reads of it, a window at a time.
fn stream(host: Host, layout: Layout, cols: usize) {
    let row_tile = layout.row_tile_bytes(cols).unwrap_or(1);
    let rows = LARGE / row_tile * 4;
    let all = Operands::new(layout, rows, cols, 1);
    let window = (LARGE / 16) / row_tile * row_tile;
    let mut y = vec![0.0; rows];
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 2.0 {
        for pair in all.weights().chunks_exact(2 * window) {
            let (a, b) = pair.split_at(window);
            let start = Instant::now();
            black_box(sum(black_box(a)));
            let middle = Instant::now();
            all.run(host, layout, b, 1, black_box(&mut y[..window / row_tile * 4]));
            ours.push(window as f64 / middle.elapsed().as_secs_f64() / 1e9);
            plain.push(window as f64 / (middle - start).as_secs_f64() / 1e9);
        }
    }
    for rates in [&mut plain, &mut ours] {
        rates.sort_by(f64::total_cmp);
    }
    let at = |rates: &[f64], part: usize| rates[(rates.len() - 1) * part / 4];
    println!(
        "{:12} {} x {cols} from memory: median {:.1} GB/s, plain {:.1}: {:.0} %; upper quartile {:.1}, {:.1}: {:.0} %; best {:.1}, {:.1}",
        host.name(),
        layout.name(),
        at(&ours, 2),
        at(&plain, 2),
        100.0 * at(&ours, 2) / at(&plain, 2),
        at(&ours, 3),
        at(&plain, 3),
        100.0 * at(&ours, 3) / at(&plain, 3),
        at(&ours, 4),
        at(&plain, 4),
    );
}

fn read_rate() -> f64 {
    read_bytes(&vec![1u8; LARGE])
}

/// GB/s of the plain sum of a slice's words.
fn read_bytes(bytes: &[u8]) -> f64 {
    let time = best(|| {
        black_box(sum(black_box(bytes)));
    });
    bytes.len() as f64 / time / 1e9
}

fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 32];
    for line in bytes.as_chunks::<256>().0 {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |all, &sum| all.wrapping_add(sum))
}
