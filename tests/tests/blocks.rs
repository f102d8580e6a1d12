//! Models whose matrices are blocks of each type, against a textbook transformer in f64 (`bitnet_edge_tests::reference`).

use std::collections::BTreeMap;

use bitnet_edge_core::image::{Data, Role, TensorId};
use bitnet_edge_core::{Cpu, KvType, Model, Session};
use bitnet_edge_kernels::format::f32_to_f16;
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_kernels::tile::Layout;
use bitnet_edge_std::Arena;
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::models;
use bitnet_edge_tests::reference::{Gate, Pairs, Scaling, Transformer, distance};
use bitnet_edge_tests::synthetic::{self, Parts};
use bitnet_pack::convert::{Manifest, Options, convert};
use bitnet_pack::gguf::Gguf;

/// A type: its number in a file, its layout in an image, weights and bytes of a block, where its f16 scale and minimum stand,
/// and what these are of a weight's magnitude.
struct Block {
    ty: u32,
    layout: Layout,
    weights: usize,
    bytes: usize,
    halves: &'static [(usize, f64)],
}

/// Scales are such that random codes have a mean of about 0 and an rms of about 1: `w - 8` of 0 to 15 has an rms of 4.6,
/// a scale of 0 to 63 one of 37.
const BLOCKS: [Block; 7] = [
    Block { ty: 2, layout: Layout::Q4r4, weights: 32, bytes: 18, halves: &[(0, 1.0 / 4.6)] },
    Block { ty: 3, layout: Layout::Q4m4, weights: 32, bytes: 20, halves: &[(0, 1.0 / 4.6), (2, -7.5 / 4.6)] },
    Block { ty: 6, layout: Layout::Q5r4, weights: 32, bytes: 22, halves: &[(0, 1.0 / 9.2)] },
    Block { ty: 8, layout: Layout::Q8r4, weights: 32, bytes: 34, halves: &[(0, 1.0 / 74.0)] },
    Block {
        ty: 12,
        layout: Layout::Q4k4,
        weights: 256,
        bytes: 144,
        halves: &[(0, 1.0 / 250.0), (2, 7.5 / 250.0)],
    },
    Block {
        ty: 13,
        layout: Layout::Q5k4,
        weights: 256,
        bytes: 176,
        halves: &[(0, 1.0 / 500.0), (2, 15.5 / 500.0)],
    },
    Block { ty: 14, layout: Layout::Q6r4, weights: 256, bytes: 210, halves: &[(208, 1.0 / 1400.0)] },
];

fn transformer() -> Transformer {
    Transformer {
        dim: 256,
        layers: 2,
        heads: 8,
        kv_heads: 2,
        head_dim: 32,
        ffn: 512,
        vocab: 61,
        rope_dim: 32,
        rope_base: 10_000.0,
        scaling: Scaling::None,
        pairs: Pairs::Neighbours,
        gate: Gate::Silu,
        eps: f64::from(1e-5f32),
        embedding_scale: 1.0,
        attention_scale: None,
        logit_scale: 1.0,
        tensors: BTreeMap::new(),
    }
}

impl Block {
    /// Random rows of `cols` columns with an rms of about `size`.
    fn rows(&self, rows: usize, cols: usize, size: f64, draw: &mut Draw) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..rows * cols / self.weights {
            let mut block: Vec<u8> = (0..self.bytes).map(|_| draw.below(256) as u8).collect();
            let spread = 1.0 + 0.5 * draw.signed();
            for &(at, of_size) in self.halves {
                block[at..at + 2]
                    .copy_from_slice(&f32_to_f16((size * spread * of_size) as f32).to_le_bytes());
            }
            bytes.extend(block);
        }
        bytes
    }

    /// A model whose matrices (embedding and head, too) have this type, and what it is in numbers.
    fn model(&self) -> (Transformer, Vec<u8>) {
        let mut t = transformer();
        synthetic::fill(&mut t, Parts { head: true, ..Parts::LLAMA }, 3);
        let mut draw = Draw::new(u64::from(self.ty));
        let file = synthetic::gguf(&t, |name, values| match synthetic::columns(&t, name) {
            Some(cols) => {
                let size = if name.contains('.') { 1.0 / (cols as f64).sqrt() } else { 1.0 };
                (self.ty, self.rows(values.len() / cols, cols, size, &mut draw))
            }
            None => (synthetic::F32, synthetic::bytes(values)),
        });
        let gguf = Gguf::parse(&file).unwrap();
        let is_matrix = |name: &&String| synthetic::columns(&t, name).is_some();
        let names: Vec<String> = t.tensors.keys().filter(is_matrix).cloned().collect();
        for name in names {
            let tensor = gguf.tensor(&synthetic::file_name(&name, 2)).unwrap();
            let values = tensor.dequantize(I2sLayout::default()).unwrap();
            t.tensors.insert(name, values.into_iter().map(f64::from).collect());
        }
        (t, file)
    }
}

/// What is left is the rounding of activations to int8 in every matrix (measured: 0.01 to 0.12) and that of keys and values
/// to f16.
#[test]
fn models_of_each_block_type_are_the_transformers_that_they_hold() {
    for block in &BLOCKS {
        let (t, file) = block.model();
        let manifest = Some(Manifest::parse(&synthetic::manifest(&t)).unwrap());
        let done = convert(&file, &Options { manifest, ..Options::default() }).unwrap();
        let model = Model::new_checked(done.image.as_slice()).unwrap();
        for id in [TensorId::EMBEDDING, TensorId::HEAD, TensorId::of(0, Role::Q), TensorId::of(1, Role::Down)]
        {
            let Some(Data::Matrix { layout, .. }) = model.tensor(id).map(|t| t.data) else {
                panic!("{id:?}")
            };
            assert_eq!(layout, block.layout);
        }
        let ids: Vec<u32> = (0..20).map(|i| i * 7 % 61).collect();
        let plan = models::plan(&model, ids.len() as u32, KvType::F16, 6);
        let mut arena = Arena::new(plan.bytes());
        let mut session =
            Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena.lines()).unwrap()).unwrap();
        let mut distances = Vec::new();
        for (pass, theirs) in ids.chunks(6).zip(t.logits(&ids).chunks(6)) {
            session.prefill(pass, true).unwrap();
            for (row, theirs) in theirs.iter().enumerate() {
                distances.push(distance(theirs, session.logits_of(row as u32).unwrap()));
            }
        }
        let largest = distances.iter().copied().fold(0.0, f64::max);
        println!("{}: {largest:.4} of the logits' rms", block.layout.name());
        assert!(largest < 0.2, "{}: {distances:?}", block.layout.name());
    }
}
