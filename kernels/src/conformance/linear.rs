//! Products with packed weights.

use super::check::Check;
use super::first;
use super::operands::Pattern;
use crate::tile::{Activations, FloatActs, Int8Acts, Layout, Results, TILE_ROWS, TernaryScale};
use crate::{Error, Kernels, Scalar};

/// What outputs hold before a call: no result is this.
const UNTOUCHED: f32 = 12_345.678;

/// The kernel of a layout, the columns to run, and the columns for many tokens and many row tiles.
const fn table(layout: Layout) -> (&'static str, &'static [usize], usize) {
    /// Beyond one tile, beyond 16 and 32 (where i16 sums must have been widened), padded ones.
    const TERNARY: &[usize] = &[1, 63, 64, 65, 130, 576, 1152, 2112];
    /// Panels that are full, partial, and more than one.
    const GROUPS: &[usize] = &[32, 64, 96, 224, 256, 288, 544, 768];
    /// Nine panels: their block scales take two lines.
    const SUPER: &[usize] = &[256, 512, 2304];
    const FLOATS: &[usize] = &[1, 5, 15, 16, 17, 33, 64, 100, 257];
    match layout {
        Layout::F32 => ("matmul_f32_f32", FLOATS, 33),
        Layout::F16 => ("matmul_f16_f32", FLOATS, 33),
        Layout::Bf16 => ("matmul_bf16_f32", FLOATS, 33),
        Layout::T2r4 => ("matmul_t2r4_i8t", TERNARY, 130),
        Layout::Q8r4 => ("matmul_q8r4_i8g32", GROUPS, 96),
        Layout::Q4r4 => ("matmul_q4r4_i8g32", GROUPS, 96),
        Layout::Q4m4 => ("matmul_q4m4_i8g32", GROUPS, 96),
        Layout::Q6r4 => ("matmul_q6r4_i8g256", SUPER, 256),
        Layout::Q4k4 => ("matmul_q4k4_i8g256", SUPER, 256),
        Layout::Q5r4 => ("matmul_q5r4_i8g32", GROUPS, 96),
        Layout::Q5k4 => ("matmul_q5k4_i8g256", SUPER, 256),
    }
}

/// Columns, tokens, row tiles of every case.
fn shapes(cols: &'static [usize], base: usize) -> impl Iterator<Item = [usize; 3]> {
    let by_columns = cols.iter().flat_map(|&c| [[c, 1, 1], [c, 2, 1], [c, 3, 1], [c, 2, 3], [c, 5, 2]]);
    let by_tokens = (0..=17).map(move |tokens| [base, tokens, 2]);
    let by_tiles = (1..=9).map(move |tiles| [base, 1, tiles]);
    by_columns.chain(by_tokens).chain(by_tiles)
}

/// Operands and results of one product, in the caller's frame.
struct Memory<'a> {
    w: &'a mut [u8],
    q: &'a mut [i8],
    x: &'a mut [f32],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    rows: &'a mut [f32],
    want: &'a mut [f32],
    got: &'a mut [f32],
}

#[inline(never)]
pub(super) fn check<K: Kernels, const W: usize, const Q: usize, const X: usize, const G: usize>(
    k: K,
    check: &mut Check<'_>,
) {
    let mut memory = Memory {
        w: &mut [0; W],
        q: &mut [0; Q],
        x: &mut [0.0; X],
        scales: &mut [0.0; G],
        sums: &mut [0; G],
        rows: &mut [0.0; G],
        want: &mut [0.0; G],
        got: &mut [0.0; G],
    };
    for layout in Layout::ALL.into_iter().filter(|layout| layout.is_built()) {
        let (name, cols, base) = table(layout);
        for &pattern in check.patterns() {
            for shape in shapes(cols, base) {
                one(k, check, &mut memory, (name, layout), shape, pattern);
            }
        }
        one(k, check, &mut memory, (name, layout), [base, 1, 2], Pattern::Misfit);
        one(k, check, &mut memory, (name, layout), [base, 2, 1], Pattern::Misfit);
    }
}

#[inline(never)]
fn one<K: Kernels>(
    k: K,
    check: &mut Check<'_>,
    memory: &mut Memory<'_>,
    (name, layout): (&'static str, Layout),
    shape: [usize; 3],
    pattern: Pattern,
) {
    let mut source = check.begin(name, shape, pattern);
    let Some(operands) = fill(memory, &mut source, layout, shape, pattern) else {
        return check.skip();
    };
    let tokens = shape[1];
    let Operands { w, acts, scale, want, got } = operands;
    let stride = shape[2] * TILE_ROWS;
    let expected = call(Scalar, layout, w, tokens, acts, scale, &mut Once { y: want, stride });
    let found = call(k, layout, w, tokens, acts, scale, &mut Once { y: got, stride });
    if check.results(expected, found) {
        check.output("out", want, got);
    }
}

#[derive(Clone, Copy)]
enum Acts<'a> {
    Int8(Int8Acts<'a>),
    Float(FloatActs<'a>),
}

struct Operands<'a> {
    w: &'a [u8],
    acts: Acts<'a>,
    scale: TernaryScale<'a>,
    want: &'a mut [f32],
    got: &'a mut [f32],
}

fn fill<'a>(
    memory: &'a mut Memory<'_>,
    source: &mut super::operands::Source,
    layout: Layout,
    [cols, tokens, tiles]: [usize; 3],
    pattern: Pattern,
) -> Option<Operands<'a>> {
    let tile_bytes = layout.row_tile_bytes(cols)?;
    let w = first(memory.w, tiles * tile_bytes)?;
    for tile in w.chunks_exact_mut(tile_bytes.max(1)) {
        source.row_tile(layout, cols, tile);
    }
    let n = tokens * tiles * TILE_ROWS;
    let (want, got) = (first(memory.want, n)?, first(memory.got, n)?);
    want.fill(UNTOUCHED);
    got.fill(UNTOUCHED);
    // Misfits: a row tile that is not whole, or a token fewer than the call says.
    let short = pattern == Pattern::Misfit;
    let w = if short && tiles > 1 { w.get(1..)? } else { w };
    let held = if short && tokens > 1 { tokens - 1 } else { tokens };
    let form = layout.activations();
    let acts = if form == Activations::Float {
        let stride = cols + 3;
        let x = first(memory.x, held * stride)?;
        source.floats(x);
        Acts::Float(FloatActs { x, stride, cols })
    } else {
        let (stride, groups) = (cols.next_multiple_of(64), form.groups(cols));
        let q = first(memory.q, held * stride)?;
        q.fill(0);
        let (scales, sums) = (first(memory.scales, held * groups)?, first(memory.sums, held * groups)?);
        source.scales(scales);
        let width = cols.div_ceil(groups.max(1)).max(1);
        // Not zipped: where `zip` is not inlined, the compiler no longer sees that no chunk is empty.
        let mut sums_of = sums.chunks_exact_mut(groups.max(1));
        for q in q.chunks_exact_mut(stride.max(1)) {
            let used = q.get_mut(..cols)?;
            source.activations(used);
            let mut parts = used.chunks(width);
            for sum in sums_of.next()? {
                *sum = parts.next()?.iter().map(|&q| i32::from(q)).sum();
            }
        }
        Acts::Int8(Int8Acts { q, stride, scales, sums, groups })
    };
    let rows = first(memory.rows, tiles * TILE_ROWS)?;
    source.floats(rows);
    let scale = if tiles == 1 { TernaryScale::Tensor(source.float()) } else { TernaryScale::Rows(rows) };
    Some(Operands { w, acts, scale, want, got })
}

/// Outputs, `[tokens][stride]`, each of which may be put once.
struct Once<'a> {
    y: &'a mut [f32],
    stride: usize,
}

impl Results for Once<'_> {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let y = self.y.get_mut(token * self.stride..).and_then(|y| y.get_mut(..self.stride));
        for (y, &v) in y.unwrap_or_default().iter_mut().skip(row).zip(values) {
            // A caller may add what it is given to what was there.
            *y = if y.to_bits() == UNTOUCHED.to_bits() { v } else { -UNTOUCHED };
        }
    }
}

fn call<K: Kernels>(
    k: K,
    layout: Layout,
    w: &[u8],
    tokens: usize,
    acts: Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut Once<'_>,
) -> Result<(), Error> {
    match (layout, &acts) {
        (Layout::F32, Acts::Float(a)) => k.matmul_f32_f32(w, tokens, a, out),
        (Layout::F16, Acts::Float(a)) => k.matmul_f16_f32(w, tokens, a, out),
        (Layout::Bf16, Acts::Float(a)) => k.matmul_bf16_f32(w, tokens, a, out),
        (Layout::T2r4, Acts::Int8(a)) => k.matmul_t2r4_i8t(w, tokens, a, scale, out),
        (Layout::Q8r4, Acts::Int8(a)) => k.matmul_q8r4_i8g32(w, tokens, a, out),
        (Layout::Q4r4, Acts::Int8(a)) => k.matmul_q4r4_i8g32(w, tokens, a, out),
        (Layout::Q4m4, Acts::Int8(a)) => k.matmul_q4m4_i8g32(w, tokens, a, out),
        (Layout::Q6r4, Acts::Int8(a)) => k.matmul_q6r4_i8g256(w, tokens, a, out),
        (Layout::Q4k4, Acts::Int8(a)) => k.matmul_q4k4_i8g256(w, tokens, a, out),
        (Layout::Q5r4, Acts::Int8(a)) => k.matmul_q5r4_i8g32(w, tokens, a, out),
        (Layout::Q5k4, Acts::Int8(a)) => k.matmul_q5k4_i8g256(w, tokens, a, out),
        _ => Err(Error::Shape),
    }
}
