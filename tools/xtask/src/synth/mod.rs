//! `cargo xtask synth`: models of real shapes with random weights, for measuring and for loading into other engines.
#![allow(clippy::doc_markdown)] // doc comments of options are help texts: backticks would be printed

mod file;
mod shape;
mod vocabulary;
mod weights;

use anyhow::{Result, ensure};
use bitnet_edge_kernels::format::f32_to_f16;
use file::{Header, Output, TensorInfo, value};
pub(crate) use shape::Shape;
use std::path::PathBuf;
use std::time::Instant;
pub(crate) use weights::{Head, Ternary};
use weights::{Rng, write_table, write_ternary};

#[derive(clap::Args)]
#[command(
    after_help = "Weights, norms aside, are random, and equal for equal options. The file's architecture is `bitnet` \
    (SiLU), which llama.cpp runs as well; for i2_s, a type that llama.cpp does not know, it is `bitnet-b1.58` (squared ReLU), \
    as bitnet.cpp has it. The embedding is the head. Sizes: 2b4t takes 0.8 GB as tq2_0 with q6_k.\n\n\
    Example:\n  cargo xtask synth --shape 2b4t --type tq2_0 --head q6_k -o target/2b4t-tq2_0.gguf"
)]
pub(crate) struct Args {
    /// Dimensions, from a published model
    #[arg(long, value_enum)]
    pub(crate) shape: Shape,
    /// Type of the ternary matrices
    #[arg(long = "type", value_enum)]
    pub(crate) ternary: Ternary,
    /// Type of the embedding, which is the head as well
    #[arg(long, value_enum)]
    pub(crate) head: Head,
    /// Seed of the weights and of the made-up vocabulary
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Where the file goes
    #[arg(short, long, value_name = "FILE.gguf")]
    pub(crate) output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let bytes = write(args)?;
    println!("{}: {bytes} bytes ({:.1} s)", args.output.display(), started.elapsed().as_secs_f64());
    if args.ternary == Ternary::I2S && !shape_fits(args, 128) {
        println!("its rows are no multiples of 128: convert it with --i2s-layout 64");
    }
    Ok(())
}

/// Writes the model and returns the bytes of the file.
pub(crate) fn write(args: &Args) -> Result<u64> {
    check(args)?;
    let parts = parts(args);
    let header = metadata(args);
    let infos = parts.iter().map(|part| part.info(args)).collect::<Vec<_>>();
    let mut output = Output::create(&args.output, &header, &infos)?;
    for (index, part) in parts.iter().enumerate() {
        let mut rng = Rng::new(args.seed, index as u64);
        part.write(args, &mut rng, output.tensor()?)?;
    }
    output.finish()
}

fn shape_fits(args: &Args, multiple: u64) -> bool {
    let d = args.shape.dims();
    d.dim.is_multiple_of(multiple) && d.ffn.is_multiple_of(multiple)
}

fn check(args: &Args) -> Result<()> {
    let (d, ternary, head) = (args.shape.dims(), args.ternary, args.head);
    ensure!(
        shape_fits(args, ternary.row_multiple()),
        "{} needs rows in multiples of {}; {} has {} and {} columns (i2_s and f16 can hold them)",
        ternary.name(),
        ternary.row_multiple(),
        args.shape.name(),
        d.dim,
        d.ffn
    );
    ensure!(
        d.dim.is_multiple_of(head.row_multiple()),
        "{} needs rows in multiples of {}; {} has {} columns (q8_0 and f16 can hold them)",
        head.name(),
        head.row_multiple(),
        args.shape.name(),
        d.dim
    );
    Ok(())
}

/// What a tensor holds.
enum Content {
    /// Random ternary weights.
    Matrix,
    /// The embedding.
    Table,
    /// Ones.
    Norm,
}

/// A tensor of the file.
struct Part {
    name: String,
    cols: u64,
    rows: u64,
    content: Content,
}

impl Part {
    fn info(&self, args: &Args) -> TensorInfo<'_> {
        let elements = self.cols * self.rows;
        let (ty, bytes) = match self.content {
            Content::Matrix => (args.ternary.gguf_type(), args.ternary.bytes(elements)),
            Content::Table => (args.head.gguf_type(), args.head.bytes(elements)),
            Content::Norm => (0, elements * 4),
        };
        let dims =
            if let Content::Norm = self.content { vec![self.cols] } else { vec![self.cols, self.rows] };
        TensorInfo { name: &self.name, dims, ty, bytes }
    }

    fn write(&self, args: &Args, rng: &mut Rng, out: &mut dyn std::io::Write) -> Result<()> {
        match self.content {
            Content::Norm => Ok(out.write_all(&1.0f32.to_le_bytes().repeat(self.cols as usize))?),
            Content::Matrix => {
                // Products of unit variance: two thirds of the weights are not zero.
                let scale = f32_to_f16((1.5 / self.cols as f32).sqrt());
                write_ternary(args.ternary, self.cols * self.rows, scale, rng, out)
            }
            Content::Table => {
                // Logits with a deviation of 2.
                let deviation = 2.0 / (self.cols as f32).sqrt();
                write_table(args.head, self.cols * self.rows, deviation, rng, out)
            }
        }
    }
}

/// The tensors, in the order of the file.
fn parts(args: &Args) -> Vec<Part> {
    let d = args.shape.dims();
    let (q, kv) = (d.heads * d.head_dim, d.kv_heads * d.head_dim);
    let part = |name: String, cols, rows, content| Part { name, cols, rows, content };
    let mut parts = vec![
        part("token_embd.weight".to_owned(), d.dim, d.vocab, Content::Table),
        part("output_norm.weight".to_owned(), d.dim, 1, Content::Norm),
    ];
    for layer in 0..d.layers {
        let name = |tensor| format!("blk.{layer}.{tensor}.weight");
        for (tensor, cols) in
            [("attn_norm", d.dim), ("attn_sub_norm", q), ("ffn_norm", d.dim), ("ffn_sub_norm", d.ffn)]
        {
            parts.push(part(name(tensor), cols, 1, Content::Norm));
        }
        for (tensor, cols, rows) in [
            ("attn_q", d.dim, q),
            ("attn_k", d.dim, kv),
            ("attn_v", d.dim, kv),
            ("attn_output", q, d.dim),
            ("ffn_gate", d.dim, d.ffn),
            ("ffn_up", d.dim, d.ffn),
            ("ffn_down", d.ffn, d.dim),
        ] {
            parts.push(part(name(tensor), cols, rows, Content::Matrix));
        }
    }
    parts
}

fn metadata(args: &Args) -> Header {
    let d = args.shape.dims();
    let architecture = args.ternary.architecture();
    let key = |name: &str| format!("{architecture}.{name}");
    let mut header = Header::default();
    header.str("general.architecture", architecture);
    header.str("general.name", &format!("random weights in the shape of {}", args.shape.name()));
    header.u32("general.file_type", args.ternary.file_type());
    for (name, number) in [
        ("vocab_size", d.vocab),
        ("context_length", d.context),
        ("embedding_length", d.dim),
        ("block_count", d.layers),
        ("feed_forward_length", d.ffn),
        ("rope.dimension_count", d.head_dim),
        ("attention.head_count", d.heads),
        ("attention.head_count_kv", d.kv_heads),
    ] {
        header.u32(&key(name), number as u32);
    }
    header.entry(&key("attention.layer_norm_rms_epsilon"), value::F32, &1e-5f32.to_le_bytes());
    header.entry(&key("rope.freq_base"), value::F32, &d.rope_base.to_le_bytes());
    let words = vocabulary::make(d.vocab as usize, args.seed);
    header.str("tokenizer.ggml.model", "gpt2");
    header.str("tokenizer.ggml.pre", "llama-bpe");
    header.strings("tokenizer.ggml.tokens", &words.tokens);
    header.i32s("tokenizer.ggml.token_type", &words.types);
    header.strings("tokenizer.ggml.merges", &words.merges);
    header.u32("tokenizer.ggml.bos_token_id", words.begin);
    header.u32("tokenizer.ggml.eos_token_id", words.begin + 1);
    header.entry("tokenizer.ggml.add_bos_token", value::BOOL, &[1]);
    header
}
