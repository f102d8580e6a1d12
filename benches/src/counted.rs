//! Runs one operation once, for `cargo xtask instructions`, which has callgrind count them.
//!
//!     counted            lists TIER/OPERATION, one a line, for every tier that this machine has
//!     counted TIER/OPERATION

use std::hint::black_box;
use std::process::ExitCode;

use bitnet_edge_benches::{Attention, Product, noise, text};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::format::{q4_0, q6_k, q8_0};
use bitnet_edge_kernels::gate::Activation;
use bitnet_edge_kernels::tile::Layout;
use bitnet_edge_std::{Host, Tiers};

/// An operation with its operands, ready to run.
type Work = Box<dyn FnMut()>;

/// The name of an operation, and what makes its operands.
type Kernel = (&'static str, fn(Host) -> Work);
/// The same, for one that has no tiers.
type Other = (&'static str, fn() -> Work);

/// What callgrind counts: it is told this name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Operations of a tier.
const KERNELS: [Kernel; 16] = [
    ("quantize-token", |host| {
        let (x, mut q) = (noise(4096), vec![0; 4096]);
        Box::new(move || {
            black_box(host.quantize_token(&x, &mut q).unwrap());
        })
    }),
    ("quantize-g32", |host| {
        let (x, mut q) = (noise(4096), vec![0; 4096]);
        let (mut a, mut sum) = (vec![0.0; 128], vec![0; 128]);
        Box::new(move || {
            black_box(host.quantize_g32(&x, &mut q, &mut a, &mut sum)).unwrap();
        })
    }),
    ("quantize-g256", |host| {
        let (x, mut q) = (noise(4096), vec![0; 4096]);
        let (mut a, mut sum) = (vec![0.0; 16], vec![0; 16]);
        Box::new(move || {
            black_box(host.quantize_g256(&x, &mut q, &mut a, &mut sum)).unwrap();
        })
    }),
    ("gemv-t2r4", |host| product(host, Layout::T2r4, 64, 2560, 1)),
    ("gemm-t2r4", |host| product(host, Layout::T2r4, 64, 2560, 16)),
    ("gemv-q6r4", |host| product(host, Layout::Q6r4, 64, 2560, 1)),
    ("gemv-q8r4", |host| product(host, Layout::Q8r4, 64, 2560, 1)),
    ("gemv-q4m4", |host| product(host, Layout::Q4m4, 64, 2560, 1)),
    ("gemv-q4r4", |host| product(host, Layout::Q4r4, 64, 2560, 1)),
    ("gemv-q5r4", |host| product(host, Layout::Q5r4, 64, 2560, 1)),
    ("gemv-q4k4", |host| product(host, Layout::Q4k4, 64, 2560, 1)),
    ("gemv-q5k4", |host| product(host, Layout::Q5k4, 64, 2560, 1)),
    ("gemm-q4m4", |host| product(host, Layout::Q4m4, 64, 2560, 16)),
    ("attention", |host| {
        let mut attention = Attention::new(4, 128, 128);
        Box::new(move || {
            black_box(attention.run(host)).unwrap();
        })
    }),
    ("norm", |host| {
        let (x, w, mut y) = (noise(2560), noise(2560), vec![0.0; 2560]);
        Box::new(move || {
            black_box(host.rms_norm(&x, &w, 1e-5, &mut y)).unwrap();
        })
    }),
    ("silu", |host| {
        let (mut g, u) = (noise(4096), noise(4096));
        Box::new(move || {
            black_box(host.gate(Activation::Silu, &mut g, &u)).unwrap();
        })
    }),
];

/// Operations that have no tiers.
const OTHERS: [Other; 5] = [
    ("pack-q8_0", || blocks(q8_0::quantize)),
    ("pack-q4_0", || blocks(q4_0::quantize)),
    ("pack-q6_k", || blocks(q6_k::quantize)),
    ("encode", || {
        let (tokenizer, story, mut encoding) =
            (text::tokenizer(), text::story(4096), text::Encoding::new(4096));
        Box::new(move || {
            black_box(encoding.run(&tokenizer, &story).unwrap());
        })
    }),
    ("stop-check", || {
        let (tokenizer, ids) = (text::tokenizer(), (0..512).cycle().take(4096).collect::<Vec<_>>());
        Box::new(move || {
            black_box(text::ends(&tokenizer, &[7, 8], &ids));
        })
    }),
];

fn product(host: Host, layout: Layout, rows: usize, cols: usize, tokens: usize) -> Work {
    let product = Product::new(layout, rows, cols, tokens);
    let mut results = product.results();
    Box::new(move || {
        black_box(product.run(host, &mut results)).unwrap();
    })
}

fn blocks<const WEIGHTS: usize, const BYTES: usize>(quantize: fn(&[f32; WEIGHTS]) -> [u8; BYTES]) -> Work {
    let x = noise(4096);
    Box::new(move || {
        for weights in x.as_chunks().0 {
            black_box(quantize(weights));
        }
    })
}

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for host in Host::available() {
            KERNELS.iter().for_each(|(name, _)| println!("{}/{name}", host.name()));
        }
        OTHERS.iter().for_each(|(name, _)| println!("any/{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((tier, name)) = wanted.split_once('/') else { return unknown(&wanted) };
    let kernel = KERNELS.iter().find(|(known, _)| *known == name);
    let other = OTHERS.iter().find(|(known, _)| *known == name && tier == "any");
    let mut work = match (kernel, other, Host::by_name(tier)) {
        (Some((_, make)), _, Ok(host)) => make(host),
        (_, Some((_, make)), _) => make(),
        _ => return unknown(&wanted),
    };
    // Once before, so that what is set up at first use is not counted.
    work();
    measured(&mut work);
    ExitCode::SUCCESS
}

fn unknown(wanted: &str) -> ExitCode {
    eprintln!("error: {wanted:?} is no operation of this machine; without an argument they are listed");
    ExitCode::FAILURE
}
