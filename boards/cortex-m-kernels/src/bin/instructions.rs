//! Counts instructions: under `-icount shift=0` an instruction takes a nanosecond, and the system timer has a known frequency.
//!
//! It prints `clock INSTRUCTIONS TICKS` of a loop whose length is known, then `TIER/OPERATION-LAYOUT-ROWSxCOLUMNS TICKS`, the whole
//! kernel: `cargo xtask instructions` reads it.

#![no_std]
#![no_main]

use core::arch::asm;
use core::hint::black_box;

use bitnet_edge_kernels::tile::{Activations, Int8Acts, Layout, Outputs, TernaryScale};
use bitnet_edge_kernels::{Error, Kernels};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_kernels::{Each, each_tier, exit, say};

/// Rows and columns: those of the story model, then those of larger ones.
const TERNARY: [(usize, usize); 6] = [(64, 256), (256, 256), (512, 256), (256, 512), (768, 256), (768, 2560)];
/// The story model's head, and in what else a head comes.
const OTHERS: [(Layout, usize, usize); 2] = [(Layout::Q8r4, 512, 256), (Layout::Q6r4, 512, 256)];
/// Bytes of the largest matrix.
const WEIGHTS: usize = 768 * 2560 / 4;
const COLUMNS: usize = 2560;
const ROWS: usize = 768;

/// The counter counts down, 24 bits, and is read once before and once after.
fn ticks(timer: &mut SYST, mut work: impl FnMut()) -> u32 {
    const RELOAD: u32 = 0xff_ffff;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(RELOAD);
    timer.clear_current();
    timer.enable_counter();
    let before = SYST::get_current();
    work();
    before.wrapping_sub(SYST::get_current()) & RELOAD
}

struct Count {
    timer: SYST,
    weights: &'static mut [u8; WEIGHTS],
    q: &'static mut [i8; COLUMNS],
    results: &'static mut [f32; ROWS],
}

impl Count {
    fn fill(&mut self, layout: Layout) {
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
            (state >> 24) as u8
        };
        for weight in self.weights.iter_mut() {
            // Bytes of the other layouts are scales, too: small, and no float is infinite.
            *weight = match layout.activations() {
                Activations::Token => [0x00, 0x55, 0xaa, 0x64][usize::from(random() & 3)],
                _ => random() & 0x3b,
            };
        }
        self.q.iter_mut().for_each(|q| *q = (random() as i8).max(-127));
    }

    fn one<K: Kernels>(&mut self, variant: &str, kernels: K, layout: Layout, rows: usize, cols: usize) {
        let (scales, sums) = ([1.5; COLUMNS / 32], [7; COLUMNS / 32]);
        let groups = layout.activations().groups(cols);
        let w = layout.matrix_bytes(rows, cols).and_then(|bytes| self.weights.get(..bytes));
        let (Some(w), Some(q), Some(y)) = (w, self.q.get(..cols), self.results.get_mut(..rows)) else {
            say(format_args!("error: {rows}x{cols} is too large"));
            exit(false)
        };
        let acts = Int8Acts { q, stride: cols, scales: &scales[..groups], sums: &sums[..groups], groups };
        let mut result = Ok(());
        let ticks = ticks(&mut self.timer, || {
            let out = &mut Outputs::of_token(&mut *y);
            result = run(kernels, layout, black_box(w), &acts, out);
        });
        if result.is_err() {
            say(format_args!("error: a kernel refuses its operands"));
            exit(false)
        }
        say(format_args!("{variant}/gemv-{}-{rows}x{cols} {ticks}", layout.name()));
    }
}

#[inline(never)]
fn run<K: Kernels>(
    kernels: K,
    layout: Layout,
    w: &[u8],
    acts: &Int8Acts<'_>,
    out: &mut Outputs<'_>,
) -> Result<(), Error> {
    match layout {
        Layout::T2r4 => kernels.matmul_t2r4_i8t(w, 1, acts, TernaryScale::Tensor(0.5), out),
        Layout::Q8r4 => kernels.matmul_q8r4_i8g32(w, 1, acts, out),
        Layout::Q6r4 => kernels.matmul_q6r4_i8g256(w, 1, acts, out),
        _ => Err(Error::Operand("a layout that is not counted")),
    }
}

impl Each for Count {
    fn tier(&mut self, variant: &'static str, kernels: impl Kernels) {
        self.fill(Layout::T2r4);
        for (rows, cols) in TERNARY {
            self.one(variant, kernels, Layout::T2r4, rows, cols);
        }
        for (layout, rows, cols) in OTHERS {
            self.fill(layout);
            self.one(variant, kernels, layout, rows, cols);
        }
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // `entry` makes references of these.
    static mut MATRIX: [u8; WEIGHTS] = [0; WEIGHTS];
    static mut ACTIVATIONS: [i8; COLUMNS] = [0; COLUMNS];
    static mut RESULTS: [f32; ROWS] = [0.0; ROWS];

    // SAFETY: nothing else here uses the timer.
    let timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    let mut count = Count { timer, weights: MATRIX, q: ACTIVATIONS, results: RESULTS };
    let known = ticks(&mut count.timer, || {
        // SAFETY: a loop of two instructions; it changes a register and flags.
        unsafe { asm!("2: subs {0}, #1", "bne 2b", inout(reg) 2_000_000 => _, options(nomem, nostack)) };
    });
    say(format_args!("clock 4000000 {known}"));
    each_tier(&mut count);
    exit(true)
}
