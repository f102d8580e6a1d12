//! `seeds FOLDER` writes the inputs that fuzzing starts from, `FOLDER/<target>/<name>`.

mod gguf;

use bitnet_edge_core::image::SectionKind;
use bitnet_edge_tests::image_edit::{Part, Parts};
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{Options, convert};
use std::path::Path;
use std::{env, fs, io};

// The crates under test carry coverage hooks, which this library provides.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let folder = Path::new(&folder);
    write(&folder.join("gguf"), gguf::seeds())?;
    write(&folder.join("tokenizer"), tokenizer())?;
    write(&folder.join("chat_template"), chat_template())?;
    write(&folder.join("image"), image()?)
}

fn write(folder: &Path, seeds: Vec<(&str, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.into_iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// See `targets/chat_template.rs`.
fn chat_template() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("segments", with(0, include_bytes!("../../core/testdata/chatml.chat"))),
        ("conversation", with(1, b"\x00Be brief.\0\x01What is <|im_end|>?\0\x02A token.\0\x01 Thanks \n")),
    ]
}

/// Images of models as small as they can be; see `targets/image.rs`.
fn image() -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for ((name, gguf), choice) in gguf::models().into_iter().zip(1..) {
        let converted = convert(&gguf, &Options::default())
            .map_err(|error| io::Error::other(format!("{name}: {error:#}")))?;
        seeds.push((name, with(choice, converted.image.as_slice())));
    }
    seeds.push(("ternary", with(1, tiny::image(Weights::Ternary).as_slice())));
    let mut parts = Parts::of(tiny::image(Weights::Float).as_slice());
    let chat = include_bytes!("../../core/testdata/chatml.chat").to_vec();
    parts.sections.push(Part { kind: SectionKind::Chat as u32, encoding: 1, alignment: 64, bytes: chat });
    seeds.push(("chat", with(2, parts.build().as_slice())));
    Ok(seeds)
}

fn with(choice: u8, rest: &[u8]) -> Vec<u8> {
    [&[choice], rest].concat()
}

/// The first byte chooses what follows; see `targets/tokenizer.rs`.
fn tokenizer() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("tables", with(0, include_bytes!("../../core/testdata/story.tok"))),
        ("story", with(1, b"Once upon a time, there was a little girl.\nShe didn't like 1234.")),
        ("characters", with(1, "\u{c4}pfel \u{1f999} \u{3000}\u{200d}\u{301} <|endoftext|>".as_bytes())),
        ("broken-utf8", with(1, b"a \xf0\x9f\xa6 b \xff\xc3")),
    ]
}
