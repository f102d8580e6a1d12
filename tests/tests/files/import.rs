//! What import makes of the forms that one model can have in files.

use std::collections::BTreeMap;

use bitnet_edge_core::image::{Data, Role, TensorId};
use bitnet_edge_core::model::{Input, Matrix, Op, Rows, RowsOf};
use bitnet_edge_core::{Backend, Cpu, KvType, MemoryPlan, Model, Session, Slot};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_kernels::format::{f16_to_f32, f32_to_f16};
use bitnet_edge_kernels::tile::{Activations, Layout, TernaryScale};
use bitnet_edge_std::{Arena, Bytes};
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::files;
use bitnet_edge_tests::gguf_builder::{Builder, value};
use bitnet_edge_tests::models::{self, STORY, TINY_2B4T};
use bitnet_edge_tests::reference::{self, Gate, Pairs, Scaling, Transformer};
use bitnet_edge_tests::synthetic::{self, Parts};
use bitnet_pack::convert::{BlockType, Converted, Manifest, Options, convert};
use bitnet_pack::gguf::Gguf;

const TQ1_0: u32 = 34;
const TQ2_0: u32 = 35;

/// Tokens of the products that are checked.
const TOKENS: usize = 3;

fn matrix<'a>(model: &Model<'a>, id: TensorId) -> (Layout, &'a [u8], TernaryScale<'a>) {
    match model.tensor(id).map(|t| t.data) {
        Some(Data::Matrix { layout, tiles, scale, .. }) => (layout, tiles, scale),
        other => panic!("{id:?} is {other:?}"),
    }
}

/// The story model with its ternary matrices as plain f32 numbers, and no vocabulary.
fn story_in_f32() -> Vec<u8> {
    let file = files::read(STORY.file);
    let gguf = Gguf::parse(&file).unwrap();
    let architecture: &str = gguf.require("general.architecture").unwrap();
    let mut builder = Builder::default().str("general.architecture", architecture);
    for name in [
        "context_length",
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "rope.dimension_count",
    ] {
        let key = format!("{architecture}.{name}");
        builder = builder.u32(&key, gguf.require(&key).unwrap());
    }
    for name in ["attention.layer_norm_rms_epsilon", "rope.freq_base"] {
        let key = format!("{architecture}.{name}");
        builder = builder.entry(&key, value::F32, &gguf.require::<f32>(&key).unwrap().to_le_bytes());
    }
    for tensor in gguf.tensors() {
        let values = tensor.dequantize(I2sLayout::default()).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        builder = builder.tensor(tensor.name(), tensor.dims(), synthetic::F32, &bytes);
    }
    builder.build()
}

/// `I2_S`, `TQ1_0`, `TQ2_0` and F32 hold the same weights: the image has the same tiles.
#[test]
fn four_types_become_the_same_tiles() {
    let micro = |name| files::read(format!("tests/data/models/tinystories-micro-{name}.gguf"));
    let sources = [files::read(STORY.file), micro("tq1_0"), micro("tq2_0"), story_in_f32()];
    let images = sources.map(|file| convert(&file, &Options::default()).unwrap());
    assert!(
        images[3].notes.iter().any(|n| n == "F32 matrices that are ternary times a scale became ternary")
    );
    let [i2_s, tq1_0, tq2_0, f32] =
        images.each_ref().map(|c| Model::new_checked(c.image.as_slice()).unwrap());
    let mut bytes = 0;
    for layer in 0..i2_s.config().layers {
        for role in Role::ALL.into_iter().filter(|role| role.is_matrix()) {
            let id = TensorId::of(layer, role);
            let (layout, tiles, scale) = matrix(&i2_s, id);
            assert_eq!(layout, Layout::T2r4);
            let TernaryScale::Tensor(full) = scale else { panic!("{role:?} has scales by row") };
            // The TQ types keep their scales as f16.
            let half = TernaryScale::Tensor(f16_to_f32(f32_to_f16(full)));
            assert!(matrix(&f32, id) == (layout, tiles, scale), "{layer} {role:?}, F32");
            assert!(matrix(&tq1_0, id) == (layout, tiles, half), "{layer} {role:?}, TQ1_0");
            assert!(matrix(&tq2_0, id) == (layout, tiles, half), "{layer} {role:?}, TQ2_0");
            bytes += tiles.len();
        }
    }
    assert!(bytes > 300_000, "{bytes}");
}

fn transformer(dim: usize) -> Transformer {
    Transformer {
        dim,
        layers: 1,
        heads: 4,
        kv_heads: 2,
        head_dim: 18,
        ffn: 53,
        vocab: 31,
        rope_dim: 12,
        rope_base: 10_000.0,
        scaling: Scaling::None,
        pairs: Pairs::Halves,
        gate: Gate::Silu,
        eps: f64::from(1e-5f32),
        embedding_scale: 1.0,
        attention_scale: None,
        logit_scale: 1.0,
        tensors: BTreeMap::new(),
    }
}

fn import(t: &Transformer, file: &[u8]) -> anyhow::Result<Converted> {
    let manifest = Some(Manifest::parse(&synthetic::manifest(t)).unwrap());
    convert(file, &Options { manifest, ..Options::default() })
}

/// The logits behind each of some tokens.
fn logits(model: &Model<'_>, ids: &[u32]) -> Vec<Vec<f32>> {
    let plan = models::plan(model, ids.len() as u32, KvType::F32, 1);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(model, &plan, arena.lines()).unwrap();
    let mut session = Session::new(model, &plan, cpu).unwrap();
    ids.iter().map(|&id| session.decode(id).unwrap().to_vec()).collect()
}

/// A model whose matrices are ternary with a scale a row, and zero in some rows.
fn ternary_by_row(dim: usize) -> Transformer {
    let mut t = transformer(dim);
    synthetic::fill(&mut t, Parts::LLAMA, 5);
    let mut draw = Draw::new(6);
    let names: Vec<String> = t.tensors.keys().filter(|name| name.contains('.')).cloned().collect();
    for name in names {
        let Some(cols) = synthetic::columns(&t, &name) else { continue };
        let rows = t.tensors.get_mut(&name).unwrap().chunks_mut(cols);
        for (i, row) in rows.enumerate() {
            let size = (1.0 + 0.5 * draw.signed()) * 1.5 / (cols as f64).sqrt();
            let scale = if i == 3 { 0.0 } else { f64::from(size as f32) };
            row.fill_with(|| (draw.below(3) as f64 - 1.0) * scale);
        }
    }
    t
}

#[test]
fn a_scale_a_row_is_kept_and_multiplies_its_row() {
    let t = ternary_by_row(37);
    let done = import(&t, &synthetic::gguf_f32(&t)).unwrap();
    let model = Model::new_checked(done.image.as_slice()).unwrap();
    let plan = models::plan(&model, 8, KvType::F32, TOKENS as u32);
    for (role, name, output) in [(Role::Q, "0.q", plan.q), (Role::Down, "0.down", plan.out)] {
        let (layout, _, scale) = matrix(&model, TensorId::of(0, role));
        assert_eq!(layout, Layout::T2r4);
        let TernaryScale::Rows(scales) = scale else { panic!("{role:?} has one scale") };
        for (row, values) in t.tensors[name].chunks(synthetic::columns(&t, name).unwrap()).enumerate() {
            let expected = values.iter().fold(0.0, |m, v| v.abs().max(m));
            assert_eq!(f64::from(scales[row]), expected, "{name}, row {row}");
        }
        check_product(&model, &plan, role, output, &t.tensors[name]);
    }
    // Whole passes, against weights and activations in full: what is left is the rounding of activations to int8.
    let ids: Vec<u32> = (0..12).map(|i| i * 7 % 31).collect();
    let found = logits(&model, &ids);
    let distances =
        t.logits(&ids).iter().zip(&found).map(|(a, b)| reference::distance(a, b)).fold(0.0, f64::max);
    println!("one scale a row, against f64: {distances:.2e}");
    assert!(distances < 0.1, "{distances}");
}

/// Runs one product on random activations; it must have the bits of the formula, evaluated here in whole numbers.
fn check_product(model: &Model<'_>, plan: &MemoryPlan, role: Role, output: Slot<f32>, weights: &[f64]) {
    let mut arena = Arena::new(plan.bytes());
    let mut cpu = Cpu::scalar(model, plan, arena.lines()).unwrap();
    cpu.write(plan.step, &[TOKENS as u32, 0, 0]).unwrap();
    let (rows, cols) = role.shape(&model.config());
    let (stride, of) = (cols.next_multiple_of(4), RowsOf::Batch);
    let x = Rows { slot: plan.h, stride, cols, of };
    let mut draw = Draw::new(7);
    let input: Vec<Vec<f32>> =
        (0..TOKENS).map(|_| (0..cols).map(|_| 3.0 * draw.signed() as f32).collect()).collect();
    let words = Slot::at(plan.h.bytes().start, plan.h.len());
    let [memory, _] = cpu.words([words, plan.tokens]).unwrap();
    for (row, x) in memory.chunks_mut(stride as usize).zip(&input) {
        row.iter_mut().zip(x).for_each(|(to, x)| *to = x.to_bits());
    }
    let (acts, form) = (plan.acts, Activations::Token);
    let m = Matrix { tensor: TensorId::of(0, role), bias: None, rows, cols };
    let y = Rows { slot: output, stride: rows.next_multiple_of(4), cols: rows, of };
    let quant = Op::Quant { x, acts, form };
    let linear = Op::Linear { m, x: Input::Int8 { acts, form, of }, y, add: false };
    for op in [quant, linear] {
        cpu.run(&op, 0..op.units(TOKENS as u32, 0)).unwrap();
    }
    let found = cpu.read(output).unwrap();
    for (token, x) in input.iter().enumerate() {
        let s = 127.0 / x.iter().fold(1e-5f32, |m, v| m.max(v.abs()));
        let q: Vec<i64> = x.iter().map(|v| (v * s).round_ties_even() as i64).collect();
        for (r, w) in weights.chunks(cols as usize).enumerate() {
            let scale = w.iter().fold(0.0, |m, v| v.abs().max(m)) as f32;
            let sum: i64 =
                w.iter().zip(&q).map(|(w, q)| if *w == 0.0 { 0 } else { w.signum() as i64 * q }).sum();
            let expected = sum as f32 / s * scale;
            let y = found[token * y.stride as usize + r];
            assert_eq!(
                y.to_bits(),
                expected.to_bits(),
                "{role:?}: token {token}, row {r}: {y}, not {expected}"
            );
        }
    }
}

/// A block of a TQ type: random trits (or zeros only) and a scale.
fn tq_block(ty: u32, scale: f32, zeros: bool, draw: &mut Draw) -> Vec<u8> {
    let (trits, zero) = if ty == TQ1_0 { (52, 0x80) } else { (64, 0x55) };
    let trit = |draw: &mut Draw| draw.below(3) as u8;
    let mut block: Vec<u8> = (0..trits)
        .map(|_| match (zeros, ty) {
            (true, _) => zero,
            // The most significant of a byte's trits is all that matters here.
            (_, TQ1_0) => 100 * trit(draw),
            _ => trit(draw) | trit(draw) << 2 | trit(draw) << 4 | trit(draw) << 6,
        })
        .collect();
    block.extend(f32_to_f16(scale).to_le_bytes());
    block
}

/// `0.q` in a TQ type, rows of two blocks; `scales` gives the scales of a row's blocks, 0 for a block of zeros.
fn with_tq(ty: u32, scales: impl Fn(usize) -> [f32; 2]) -> anyhow::Result<Converted> {
    let mut t = transformer(512);
    synthetic::fill(&mut t, Parts::LLAMA, 8);
    let mut draw = Draw::new(8);
    let file = synthetic::gguf(&t, |name, values| {
        if name != "0.q" {
            return (synthetic::F32, synthetic::bytes(values));
        }
        let mut bytes = Vec::new();
        for row in 0..values.len() / 512 {
            for scale in scales(row) {
                // A block of zeros may have any scale.
                let stored = if scale == 0.0 { 9.0 } else { scale };
                bytes.extend(tq_block(ty, stored, scale == 0.0, &mut draw));
            }
        }
        (ty, bytes)
    });
    import(&t, &file)
}

#[test]
fn block_scales_that_differ_within_a_row_are_refused_by_name() {
    for (ty, name) in [(TQ1_0, "TQ1_0"), (TQ2_0, "TQ2_0")] {
        let error = with_tq(ty, |row| if row == 5 { [0.5, 0.25] } else { [0.5, 0.5] }).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("blk.0.q.weight") && text.contains(name) && text.contains("differ within a row"),
            "{text}"
        );

        let done = with_tq(ty, |row| [[0.5, 0.5], [0.5, 0.0], [0.0, 0.5], [0.0, 0.0]][row % 4]).unwrap();
        let model = Model::new_checked(done.image.as_slice()).unwrap();
        assert_eq!(matrix(&model, TensorId::of(0, Role::Q)).2, TernaryScale::Tensor(0.5), "{name}");

        let done = with_tq(ty, |row| [0.5 + row as f32; 2]).unwrap();
        let model = Model::new_checked(done.image.as_slice()).unwrap();
        let TernaryScale::Rows(scales) = matrix(&model, TensorId::of(0, Role::Q)).2 else { panic!("{name}") };
        assert!(scales.iter().enumerate().all(|(row, &s)| s == 0.5 + row as f32), "{scales:?}");
    }
}

/// The values of a table in an image.
fn table(model: &Model<'_>, id: TensorId) -> Vec<f32> {
    let tensor = model.tensor(id).unwrap();
    let Data::Matrix { layout, row_tile_bytes, tiles, .. } = tensor.data else { panic!("{id:?}") };
    let mut all = vec![0.0; (tensor.rows * tensor.cols) as usize];
    for (row, values) in all.chunks_mut(tensor.cols as usize).enumerate() {
        layout.dequantize_row(&tiles[row / 4 * row_tile_bytes..], row % 4, 1.0, values).unwrap();
    }
    all
}

/// An embedding, a head, or both as blocks: the run stays close, and the error is told.
#[test]
fn embedding_and_head_are_requantized_and_the_error_is_told() {
    let file = files::read(TINY_2B4T.file);
    let convert = |embedding_type, head_type| {
        convert(&file, &Options { embedding_type, head_type, ..Options::default() }).unwrap()
    };
    let ids: Vec<u32> = TINY_2B4T.golden().cases[0].prompt_ids.clone();
    let plain = convert(None, None);
    let plain = Model::new_checked(plain.image.as_slice()).unwrap();
    let expected: Vec<Vec<f64>> =
        logits(&plain, &ids).iter().map(|l| l.iter().map(|&l| f64::from(l)).collect()).collect();
    let kinds =
        [(BlockType::Q8_0, Layout::Q8r4), (BlockType::Q6K, Layout::Q6r4), (BlockType::Q4_0, Layout::Q4r4)];
    let mut last = 0.0;
    for (to, layout) in kinds {
        let mut distances = Vec::new();
        for (embedding, head) in [(None, Some(to)), (Some(to), None), (Some(to), Some(to))] {
            let done = convert(embedding, head);
            let model = Model::new_checked(done.image.as_slice()).unwrap();
            let layouts = [TensorId::EMBEDDING, TensorId::HEAD].map(|id| matrix(&model, id).0);
            let kept = if embedding.is_none() { Layout::F16 } else { layout };
            // The model's head is its embedding: it follows it unless it is told otherwise.
            assert_eq!(layouts, [kept, layout]);
            let note = told_error(&plain, &model);
            let expected_note =
                format!("token_embd.weight requantized from F16 to {}: error {note} % of its rms", to.name());
            assert!(
                done.notes.iter().any(|n| n.starts_with(&expected_note)),
                "{:?}: {expected_note}",
                done.notes
            );
            let found = logits(&model, &ids);
            let worst =
                expected.iter().zip(&found).map(|(a, b)| reference::distance(a, b)).fold(0.0, f64::max);
            distances.push(worst);
        }
        println!("{}: head, embedding, both: {distances:.4?}", to.name());
        assert!(distances[0] > last, "coarser blocks are closer");
        assert!(distances[0] < 0.5, "{distances:?}");
        last = distances[0];
    }
}

/// The error of the head in percent of its rms, computed here, as the note prints it.
fn told_error(plain: &Model<'_>, model: &Model<'_>) -> String {
    let (a, b) = (table(plain, TensorId::HEAD), table(model, TensorId::HEAD));
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = a.iter().zip(&b).map(|(a, b)| square(a - b)).sum();
    let power: f64 = a.iter().map(|&a| square(a)).sum();
    format!("{:.3}", (error / power).sqrt() * 100.0)
}

/// A file whose pairs are neighbours and one whose pairs are halves, of the same model: the same bits.
#[test]
fn neighbours_are_permuted_into_halves() {
    let mut neighbours = Transformer { pairs: Pairs::Neighbours, ..transformer(37) };
    synthetic::fill(&mut neighbours, Parts::ALL, 4);
    let mut halves = Transformer { pairs: Pairs::Halves, ..neighbours.clone() };
    let (hd, pairs) = (halves.head_dim, halves.rope_dim / 2);
    for (role, width) in [("q", 37), ("k", 37), ("q_bias", 1), ("k_bias", 1), ("q_norm", 1), ("k_norm", 1)] {
        let name = format!("0.{role}");
        let old = &neighbours.tensors[&name];
        let new = halves.tensors.get_mut(&name).unwrap();
        for head in (0..old.len()).step_by(hd * width) {
            for i in 0..hd {
                let from = if i >= 2 * pairs { i } else { i % pairs * 2 + i / pairs };
                let (from, to) = (head + from * width, head + i * width);
                new[to..to + width].copy_from_slice(&old[from..from + width]);
            }
        }
    }
    assert_ne!(neighbours.tensors["0.q"], halves.tensors["0.q"]);
    let ids: Vec<u32> = (0..20).map(|i| i * 11 % 31).collect();
    let [a, b]: [Bytes; 2] =
        [&neighbours, &halves].map(|t| import(t, &synthetic::gguf_f32(t)).unwrap().image);
    let [a, b] = [&a, &b].map(|image| Model::new_checked(image.as_slice()).unwrap());
    for role in [Role::Q, Role::K] {
        let id = TensorId::of(0, role);
        assert!(matrix(&a, id) == matrix(&b, id), "{role:?}");
    }
    assert_eq!(logits(&a, &ids), logits(&b, &ids));
}
