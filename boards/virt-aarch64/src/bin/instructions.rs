//! Counts instructions: under `-icount shift=0` a nanosecond of the counter is one of them.
//!
//! It prints `TIER/OPERATION-LAYOUT-ROWSxCOLUMNS INSTRUCTIONS`, the whole kernel, once each: `cargo xtask instructions` reads it.
//! Which tiers there are is the processor's: `-cpu max` has all.
//!
//! On the way it looks how deep the stack goes, and ends with an error if a kernel takes more than it is said to.

#![no_std]
#![no_main]

use core::fmt::Write;

use bitnet_edge_arm::{Host, STACK};
use bitnet_edge_board_aarch64::{LastWords, Map, board, processor, stack};
use bitnet_edge_core::Line;
use bitnet_edge_kernels::attention::{CHUNK, Queries, RECORD_HEAD};
use bitnet_edge_kernels::tile::{Activations, Int8Acts, Layout, Outputs, TernaryScale};
use bitnet_edge_kernels::{Error, Kernels};
use virt_aarch64::{Machine, REGIONS, exit, uart};
use zerocopy::{FromBytes, IntoBytes};

board! { map: Map::new(&REGIONS), uart: uart(), exit: exit, main: main }

/// Shapes of `BitNet` 2B4T: queries, and gate and up.
const SHAPES: [(usize, usize); 2] = [(2560, 2560), (6912, 2560)];
const LAYOUTS: [Layout; 8] = [
    Layout::T2r4,
    Layout::Q8r4,
    Layout::Q4r4,
    Layout::Q4m4,
    Layout::Q5r4,
    Layout::Q4k4,
    Layout::Q5k4,
    Layout::Q6r4,
];
/// Tokens of a GEMM.
const TOKENS: usize = 16;

fn main(device_tree: usize) -> ! {
    // SAFETY: The boot code's address, and the only call.
    let result = unsafe { Machine::find(device_tree) }.and_then(|machine| {
        let mark = stack::Mark::new();
        count_all(machine.memory)?;
        attend_all(machine.memory)?;
        if mark.used() <= STACK {
            return Ok(());
        }
        say(format_args!("{} bytes of stack were used", mark.used()));
        Err("a kernel takes more than bitnet_edge_arm::STACK")
    });
    match result {
        Ok(()) => exit(0),
        Err(error) => {
            say(format_args!("error: {error}"));
            exit(1)
        }
    }
}

fn say(line: core::fmt::Arguments<'_>) {
    // The serial line takes all text.
    let _ = writeln!(LastWords, "{line}");
}

fn count_all(memory: &mut [Line]) -> Result<(), &'static str> {
    for kernels in Host::TIERS.iter().filter_map(|(_, tier)| tier().ok()) {
        let name = kernels.name();
        for layout in LAYOUTS {
            for (rows, cols) in SHAPES {
                for (operation, tokens) in [("gemv", 1), ("gemm", TOKENS)] {
                    // Without vectors, once is enough: its instructions are in proportion to the rows.
                    if name == "scalar" && (rows > 2560 || (tokens > 1 && layout != Layout::T2r4)) {
                        continue;
                    }
                    let mut product = Product::new(memory, layout, rows, cols, tokens)?;
                    let count = product.count(kernels).map_err(|_| "a kernel refuses its operands")?;
                    let layout = layout.name();
                    say(format_args!("{name}/{operation}-{layout}-{rows}x{cols} {count}"));
                }
            }
        }
    }
    Ok(())
}

/// Attention of as many queries as share a pass, and of some more, for what it takes of the stack.
fn attend_all(mut memory: &mut [Line]) -> Result<(), &'static str> {
    const HEAD: usize = 128;
    const COUNT: usize = 65;
    let q: &mut [f32] = cut(&mut memory, COUNT * HEAD)?;
    let (k, v): (&mut [f32], &mut [f32]) = (cut(&mut memory, CHUNK * HEAD)?, cut(&mut memory, CHUNK * HEAD)?);
    let records: &mut [f32] = cut(&mut memory, COUNT * (RECORD_HEAD + HEAD))?;
    [&mut *q, &mut *k, &mut *v].into_iter().for_each(|all| all.fill(0.5));
    for kernels in Host::TIERS.iter().filter_map(|(_, tier)| tier().ok()) {
        let result = kernels.attend(&Queries::of_token(q, HEAD), k, v, 0.1, records);
        result.map_err(|_| "a kernel refuses its operands")?;
    }
    Ok(())
}

/// A matrix, activations, and room for results.
struct Product<'a> {
    layout: Layout,
    tokens: usize,
    stride: usize,
    groups: usize,
    weights: &'a mut [u8],
    q: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    results: &'a mut [f32],
}

const SMALL: &str = "the memory is too small for the operands";

/// Cuts `len` elements off memory.
fn cut<'a, T: FromBytes + IntoBytes>(
    memory: &mut &'a mut [Line],
    len: usize,
) -> Result<&'a mut [T], &'static str> {
    let lines = Line::count(len * size_of::<T>());
    let (head, tail) = core::mem::take(memory).split_at_mut_checked(lines).ok_or(SMALL)?;
    *memory = tail;
    let (elements, _) = <[T]>::mut_from_prefix_with_elems(head.as_mut_bytes(), len).map_err(|_| SMALL)?;
    Ok(elements)
}

impl<'a> Product<'a> {
    fn new(
        mut memory: &'a mut [Line],
        layout: Layout,
        rows: usize,
        cols: usize,
        tokens: usize,
    ) -> Result<Self, &'static str> {
        let form = layout.activations();
        let (groups, stride) = (form.groups(cols), cols.next_multiple_of(64));
        let bytes = layout.matrix_bytes(rows, cols).ok_or("the layout cannot hold the shape")?;
        let product = Self {
            layout,
            tokens,
            stride,
            groups,
            weights: cut(&mut memory, bytes)?,
            q: cut(&mut memory, tokens * stride)?,
            scales: cut(&mut memory, tokens * groups)?,
            sums: cut(&mut memory, tokens * groups)?,
            results: cut(&mut memory, tokens * rows)?,
        };
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
            (state >> 24) as u8
        };
        for weight in product.weights.iter_mut() {
            // Bytes of the other layouts are scales, too: small, and no float is infinite.
            *weight = match form {
                Activations::Token => [0x00, 0x55, 0xaa, 0x64][usize::from(random() & 3)],
                _ => random() & 0x3b,
            };
        }
        product.q.iter_mut().for_each(|q| *q = (random() as i8).max(-127));
        product.scales.fill(1.5);
        product.sums.fill(7);
        Ok(product)
    }

    /// Instructions of the product, what calls it included.
    fn count<K: Kernels>(&mut self, kernels: K) -> Result<u64, Error> {
        let before = processor::counter();
        self.run(kernels)?;
        let ticks = processor::counter() - before;
        Ok(ticks * (1_000_000_000 / processor::frequency()))
    }

    #[inline(never)]
    fn run<K: Kernels>(&mut self, kernels: K) -> Result<(), Error> {
        let (w, n) = (&*self.weights, self.tokens);
        let acts = &Int8Acts {
            q: self.q,
            stride: self.stride,
            scales: self.scales,
            sums: self.sums,
            groups: self.groups,
        };
        let out = &mut Outputs { stride: self.results.len() / n, y: self.results };
        match self.layout {
            Layout::T2r4 => kernels.matmul_t2r4_i8t(w, n, acts, TernaryScale::Tensor(0.5), out),
            Layout::Q8r4 => kernels.matmul_q8r4_i8g32(w, n, acts, out),
            Layout::Q4r4 => kernels.matmul_q4r4_i8g32(w, n, acts, out),
            Layout::Q4m4 => kernels.matmul_q4m4_i8g32(w, n, acts, out),
            Layout::Q5r4 => kernels.matmul_q5r4_i8g32(w, n, acts, out),
            Layout::Q4k4 => kernels.matmul_q4k4_i8g256(w, n, acts, out),
            Layout::Q5k4 => kernels.matmul_q5k4_i8g256(w, n, acts, out),
            Layout::Q6r4 => kernels.matmul_q6r4_i8g256(w, n, acts, out),
            _ => Err(Error::Operand("a layout that is not counted")),
        }
    }
}
