//! The kernels with a model of the tile registers, against the definition; the encodings of the instructions.

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};

use super::proof;
use super::software::Software;
use super::tiles::{Config, Instructions, mnemonic};
use crate::Avx512Vnni;
use crate::tier::amx::Modelled;

/// Whether what surrounds the tiles can run here.
fn avx512() -> bool {
    let available = Avx512Vnni::is_available();
    if !available {
        println!("not run: this machine has no AVX-512 VNNI");
    }
    available
}

#[test]
fn the_tier_with_modelled_tiles_gives_the_bits_of_the_definition() {
    let Some(tier) = Modelled::new() else {
        avx512();
        return;
    };
    let mut lines = Vec::new();
    let summary = conformance::run(tier, Effort::Full, &mut |failure| lines.push(failure.to_string()));
    lines.truncate(20);
    assert!(summary.passed() && summary.skipped == 0, "{summary:?}\n{}", lines.join("\n"));
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `from` to `to`.
    fn within(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }

    fn float(&mut self) -> f32 {
        (self.next() as i32 as f32) / 1e9 + 3.0
    }
}

/// Bits of results, `[token][stride]`, each put once.
struct Once {
    y: Vec<Option<u32>>,
    stride: usize,
}

impl Once {
    fn new(tokens: usize, rows: usize) -> Self {
        Self { y: vec![None; tokens * rows], stride: rows }
    }
}

impl Results for Once {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        assert!(
            row.is_multiple_of(TILE_ROWS) && values.len().is_multiple_of(TILE_ROWS),
            "not whole row tiles"
        );
        for (y, v) in self.y[token * self.stride + row..][..values.len()].iter_mut().zip(values) {
            assert!(y.replace(v.to_bits()).is_none(), "put twice: token {token}, row {row}");
        }
    }
}

/// What operands are like.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Random,
    /// The largest sums of either sign, with the code that stands for no weight and the activation that never occurs.
    Extreme,
}

/// Compares one product with the definition; `rows` is a multiple of four.
fn compare(random: &mut Random, kind: Kind, tokens: usize, rows: usize, cols: usize) {
    let stride = cols.next_multiple_of(64);
    let fill = random.next() as u8;
    let w: Vec<u8> = (0..rows / 4 * t2r4::row_tile_bytes(cols))
        .map(|_| match kind {
            Kind::Random => (0..4).fold(0, |byte, p| byte | (random.within(0, 2) as u8) << (2 * p)),
            Kind::Extreme => fill,
        })
        .collect();
    let sign = random.within(0, 1) == 0;
    let q: Vec<i8> = (0..tokens * stride)
        .map(|i| match kind {
            _ if i % stride >= cols => 0,
            Kind::Random => random.next() as i8,
            Kind::Extreme => [-128, 127][usize::from((i / stride).is_multiple_of(2) == sign)],
        })
        .collect();
    let groups = random.within(1, 2);
    let scales: Vec<f32> = (0..tokens * groups).map(|_| random.float()).collect();
    let sums: Vec<i32> = (0..tokens * groups).map(|_| random.next() as i32 >> 12).collect();
    let row_scales: Vec<f32> = (0..rows).map(|_| random.float()).collect();
    let scale =
        if random.within(0, 1) == 0 { TernaryScale::Tensor(0.37) } else { TernaryScale::Rows(&row_scales) };
    let acts = Int8Acts { q: &q, stride, scales: &scales, sums: &sums, groups };
    let [mut want, mut got] = [Once::new(tokens, rows), Once::new(tokens, rows)];
    t2r4::matmul(&w, tokens, &acts, scale, &mut want).unwrap();
    // SAFETY: callers have asked for AVX-512; the model runs anywhere.
    unsafe { super::matmul_t2r4_i8t(Software::new(), &w, tokens, &acts, scale, &mut got) }.unwrap().unwrap();
    assert!(Software::is_released());
    for (i, (want, got)) in want.y.iter().zip(&got.y).enumerate() {
        let (token, row) = (i / rows, i % rows);
        assert_eq!(got, want, "{kind:?}, {tokens} x {rows} x {cols}: token {token}, row {row}");
    }
}

#[test]
fn shapes_at_random() {
    if !avx512() {
        return;
    }
    let mut random = Random(1);
    for kind in [Kind::Random, Kind::Extreme] {
        for i in 0..40 {
            let (tokens, rows) = (random.within(1, 70), 4 * random.within(1, 25));
            // Most are short, so that tokens and rows vary more than columns.
            let most = if i % 8 == 0 { 7000 } else { 1500 };
            let cols = random.within(64, most);
            compare(&mut random, kind, tokens, rows, cols);
        }
    }
}

#[test]
fn every_number_of_tokens_and_of_row_tiles_beside_the_borders() {
    if !avx512() {
        return;
    }
    let mut random = Random(2);
    for tokens in (1..=49).chain(63..=66) {
        compare(&mut random, Kind::Random, tokens, 36, 100);
    }
    for tiles in 1..=33 {
        compare(&mut random, Kind::Random, 19, 4 * tiles, 130);
        compare(&mut random, Kind::Random, 35, 4 * tiles, 450);
    }
    // One step, one block of columns, one more.
    for steps in [1, 2, 5, 6, 7, 11, 12, 13, 18, 19, 31] {
        compare(&mut random, Kind::Random, 33, 40, 64 * steps);
        compare(&mut random, Kind::Random, 9, 40, 64 * steps);
    }
}

#[test]
fn tokens_that_take_several_passes() {
    if !avx512() {
        return;
    }
    let mut random = Random(3);
    // More sums than there is place for; the last pass shorter than a tile; activations larger than the cache.
    for (tokens, rows, cols) in [(256, 4, 64), (257, 36, 64), (600, 40, 128), (230, 8, 6912), (257, 4, 6912)]
    {
        compare(&mut random, Kind::Random, tokens, rows, cols);
    }
}

#[test]
fn operands_that_do_not_fit_are_the_errors_of_the_definition() {
    if !avx512() {
        return;
    }
    let (q, w) = ([1i8; 20 * 64], [t2r4::PADDING; 128]);
    let fits = Int8Acts { q: &q, stride: 64, scales: &[1.0; 20], sums: &[64; 20], groups: 1 };
    let cases = [
        (&w[..], 0, fits),
        (&[], 20, fits),
        (&w, 20, fits),
        (&w[1..], 20, fits),
        (&w, 21, fits),
        (&w, 20, Int8Acts { stride: 0, ..fits }),
        (&w, 20, Int8Acts { stride: 63, ..fits }),
        (&w, 20, Int8Acts { groups: 0, ..fits }),
        (&w, 10, Int8Acts { stride: 100, ..fits }),
        (&w, 20, Int8Acts { sums: &[64; 19], ..fits }),
    ];
    for (i, (w, tokens, acts)) in cases.into_iter().enumerate() {
        let [mut want, mut got] = [Once::new(tokens, 8), Once::new(tokens, 8)];
        let scale = TernaryScale::Tensor(1.0);
        let expected = t2r4::matmul(w, tokens, &acts, scale, &mut want);
        // SAFETY: AVX-512 is there.
        let found = unsafe { super::matmul_t2r4_i8t(Software::new(), w, tokens, &acts, scale, &mut got) };
        assert_eq!((found, got.y), (Some(expected), want.y), "case {i}");
    }
}

#[test]
fn a_product_within_the_results_of_a_product_leaves_the_registers_alone() {
    struct Nested<'a> {
        tier: Modelled,
        acts: Int8Acts<'a>,
        outer: Once,
        inner: Vec<Once>,
    }
    impl Results for Nested<'_> {
        fn put(&mut self, token: usize, row: usize, values: &[f32]) {
            self.outer.put(token, row, values);
            let mut out = Once::new(9, 4);
            let scale = TernaryScale::Tensor(1.0);
            self.tier.matmul_t2r4_i8t(&[0b10; 64], 9, &self.acts, scale, &mut out).unwrap();
            self.inner.push(out);
        }
    }
    let Some(tier) = Modelled::new() else {
        avx512();
        return;
    };
    // Several panels and blocks of tokens, so that results are put between the products of others.
    let acts = Int8Acts { q: &[3; 40 * 64], stride: 64, scales: &[2.0; 40], sums: &[192; 40], groups: 1 };
    let mut out = Nested { tier, acts, outer: Once::new(40, 72), inner: Vec::new() };
    tier.matmul_t2r4_i8t(&[0b01; 18 * 64], 40, &acts, TernaryScale::Tensor(1.0), &mut out).unwrap();
    // Columns of plane 0 have code 1 or 2, the others 0.
    assert_eq!(out.outer.y, vec![Some((-72f32).to_bits()); 40 * 72]);
    assert!(out.inner.len() >= 40 && out.inner.iter().all(|y| y.y == vec![Some((-48f32).to_bits()); 36]));
}

#[test]
fn tiles_that_compute_something_else_are_refused() {
    /// A model that loses what one register sums up.
    struct Lossy(Software);
    impl Instructions for Lossy {
        unsafe fn configure(&mut self, config: &Config) {
            // SAFETY: as of this function; so everywhere below.
            unsafe { self.0.configure(config) }
        }
        unsafe fn zero<const T: usize>(&mut self) {
            // SAFETY: as above.
            unsafe { self.0.zero::<T>() }
        }
        unsafe fn load<const T: usize>(&mut self, memory: *const u8, stride: usize) {
            // SAFETY: as above.
            unsafe { self.0.load::<T>(memory, stride) }
        }
        unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
            // SAFETY: as above.
            unsafe { if C == 3 { self.0.zero::<C>() } else { self.0.dot::<C, A, B>() } }
        }
        unsafe fn store<const T: usize>(&mut self, memory: *mut u8, stride: usize) {
            // SAFETY: as above.
            unsafe { self.0.store::<T>(memory, stride) }
        }
        unsafe fn release(&mut self) {
            // SAFETY: as above.
            unsafe { self.0.release() }
        }
    }
    if avx512() {
        // SAFETY: AVX-512 is there; the models run anywhere.
        unsafe {
            assert!(proof::holds(Software::new()));
            assert!(!proof::holds(Lossy(Software::new())));
        }
    }
}

// The instructions as `Hardware` writes them, with some operands.
std::arch::global_asm!(
    ".pushsection .rodata.bitnet_edge_amx, \"a\"",
    "bitnet_edge_amx_encodings:",
    mnemonic!(configure "rdi"),
    mnemonic!(zero "5"),
    mnemonic!(load "6", "rdi", "rdx"),
    mnemonic!(dot "3", "5", "7"),
    mnemonic!(store "2", "rsi", "rcx"),
    mnemonic!(release),
    ".popsection",
);

#[test]
fn instructions_have_the_encodings_of_intel_s_manual() {
    /// `VEX.128.pp.0F38.W0 opcode`: the first four bytes, with the register in `vvvv` (0 where there is none).
    const fn vex(pp: u8, vvvv: u8, opcode: u8) -> [u8; 4] {
        [0xc4, 0xe2, (!vvvv & 15) << 3 | pp, opcode]
    }
    const NP: u8 = 0;
    const F3: u8 = 2;
    const F2: u8 = 3;
    /// Two registers.
    const fn registers(reg: u8, rm: u8) -> u8 {
        0b11 << 6 | reg << 3 | rm
    }
    /// A register, and memory at rdi (7), rsi (6) + an index register.
    const fn sib(reg: u8, base: u8, index: u8) -> [u8; 2] {
        [reg << 3 | 0b100, index << 3 | base]
    }
    let expected = [
        // LDTILECFG m512: VEX.128.NP.0F38.W0 49 !(11):000:bbb
        &vex(NP, 0, 0x49)[..],
        &[7],
        // TILEZERO tmm1: VEX.128.F2.0F38.W0 49 11:rrr:000
        &vex(F2, 0, 0x49),
        &[registers(5, 0)],
        // TILELOADD tmm1, sibmem: VEX.128.F2.0F38.W0 4B !(11):rrr:100
        &vex(F2, 0, 0x4b),
        &sib(6, 7, 2),
        // TDPBSUD tmm1, tmm2, tmm3: VEX.128.F3.0F38.W0 5E 11:rrr:bbb; tmm2 (signed) is bbb, tmm3 (unsigned) vvvv.
        &vex(F3, 7, 0x5e),
        &[registers(3, 5)],
        // TILESTORED sibmem, tmm1: VEX.128.F3.0F38.W0 4B !(11):rrr:100
        &vex(F3, 0, 0x4b),
        &sib(2, 6, 1),
        // TILERELEASE: VEX.128.NP.0F38.W0 49 C0
        &vex(NP, 0, 0x49),
        &[0xc0],
    ]
    .concat();
    unsafe extern "C" {
        #[link_name = "bitnet_edge_amx_encodings"]
        static ENCODINGS: [u8; 32];
    }
    // SAFETY: the assembly above is 32 bytes, for that is what the instructions take (see `expected`).
    assert_eq!(unsafe { ENCODINGS }[..], expected);
}
