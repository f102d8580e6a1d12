//! Products with packed weights.

use super::check::{Check, first_difference};
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

/// Ternary products, columns, tokens, row tiles, for tiers that take other code when there are more tokens and rows: around where
/// they do, and where their memory for rows or tokens ends. [`straddles`] shows a tier that its code is among them.
const TERNARY_MANY: &[[usize; 3]] = &[
    // Many rows of one token: with an odd number of row tiles, in a second column tile, and more than a pass takes.
    [64, 1, 27],
    [64, 1, 28],
    [64, 1, 29],
    [128, 2, 33],
    [64, 1, 256],
    [64, 1, 257],
    // Many tokens: part of a pass, a whole one, and with a rest that is worth another, or is not; sums widened once and again.
    [64, 6, 16],
    [64, 7, 15],
    [64, 7, 16],
    [64, 8, 17],
    [320, 16, 16],
    [64, 18, 16],
    [64, 23, 16],
    [64, 11, 48],
    [64, 12, 47],
    [64, 12, 48],
    [320, 13, 48],
];

/// Whether there are cases of the ternary product with so many tokens and row tiles, with a token fewer, and with a row tile fewer:
/// what a tier asserts that takes other code from there on.
///
/// ```
/// use bitnet_edge_kernels::conformance;
/// /// From so many tokens and row tiles on, this tier looks sums up.
/// const FEWEST: [usize; 2] = [7, 16];
/// const _: () = assert!(conformance::straddles(FEWEST[0], FEWEST[1]), "no case for the tables");
/// assert!(!conformance::straddles(1000, 1000));
/// ```
pub const fn straddles(tokens: usize, tiles: usize) -> bool {
    let fewer_tokens = tokens <= 1 || is_among(TERNARY_MANY, tokens - 1, tiles);
    let fewer_tiles = tiles <= 1 || is_among(TERNARY_MANY, tokens, tiles - 1);
    is_among(TERNARY_MANY, tokens, tiles) && fewer_tokens && fewer_tiles
}

const fn is_among(shapes: &[[usize; 3]], tokens: usize, tiles: usize) -> bool {
    match shapes.split_first() {
        Some((&[_, t, n], rest)) => t == tokens && n == tiles || is_among(rest, tokens, tiles),
        None => false,
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
    got: &'a mut [f32],
}

/// `W`: bytes of weights, `Q`: int8 activations, `X`: float ones, `G`: their groups, `N`: rows, `Y`: results.
#[inline(never)]
pub(super) fn check<
    K: Kernels,
    const W: usize,
    const Q: usize,
    const X: usize,
    const G: usize,
    const N: usize,
    const Y: usize,
>(
    k: K,
    check: &mut Check<'_>,
) {
    let mut memory = Memory {
        w: &mut [0; W],
        q: &mut [0; Q],
        x: &mut [0.0; X],
        scales: &mut [0.0; G],
        sums: &mut [0; G],
        rows: &mut [0.0; N],
        got: &mut [0.0; Y],
    };
    for layout in Layout::ALL.into_iter().filter(|layout| layout.is_built()) {
        let (name, cols, base) = table(layout);
        for &pattern in check.patterns() {
            // They are large, and what the numbers are matters to code that few tokens and rows take too.
            let ternary = layout == Layout::T2r4 && matches!(pattern, Pattern::Plain | Pattern::Extreme);
            let many = if ternary { TERNARY_MANY } else { &[] };
            for shape in shapes(cols, base).chain(many.iter().copied()) {
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
    let Operands { w, acts, scale, got } = operands;
    let stride = shape[2] * TILE_ROWS;
    let found = call(k, layout, w, tokens, acts, scale, &mut Once { y: got, stride });
    let mut compared = Compared { found: got, stride, different: None };
    let expected = call(Scalar, layout, w, tokens, acts, scale, &mut compared);
    let different = compared.different;
    if check.results(expected, found) {
        check.element("out", different);
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
    let got = first(memory.got, tokens * tiles * TILE_ROWS)?;
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
    Some(Operands { w, acts, scale, got })
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

/// The definition's results against a backend's, `[tokens][stride]`, with no memory of their own.
struct Compared<'a> {
    found: &'a [f32],
    stride: usize,
    /// The first one, in the order of the definition, that the backend does not have: where, the definition's, the backend's.
    different: Option<(usize, f32, f32)>,
}

impl Results for Compared<'_> {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let at = token * self.stride + row;
        let found = self.found.get(at..).unwrap_or_default();
        if let Some((i, expected, found)) = first_difference(values, found) {
            self.different.get_or_insert((at + i, expected, found));
        }
    }
}

fn call<K: Kernels, R: Results>(
    k: K,
    layout: Layout,
    w: &[u8],
    tokens: usize,
    acts: Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
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
