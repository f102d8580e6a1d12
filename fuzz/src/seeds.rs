//! `seeds FOLDER` writes the inputs that fuzzing starts from, `FOLDER/<target>/<name>`.

mod gguf;

use std::path::Path;
use std::{env, fs, io};

// The crates under test carry coverage hooks, which this library provides.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let folder = Path::new(&folder);
    write(&folder.join("gguf"), gguf::seeds())?;
    write(&folder.join("tokenizer"), tokenizer())?;
    let chatml = include_bytes!("../../core/testdata/chatml.chat").to_vec();
    write(&folder.join("chat"), vec![("chatml", chatml)])
}

fn write(folder: &Path, seeds: Vec<(&str, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.into_iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// The first byte chooses what follows; see `targets/tokenizer.rs`.
fn tokenizer() -> Vec<(&'static str, Vec<u8>)> {
    let with = |choice: u8, rest: &[u8]| [&[choice], rest].concat();
    vec![
        ("tables", with(0, include_bytes!("../../core/testdata/story.tok"))),
        ("story", with(1, b"Once upon a time, there was a little girl.\nShe didn't like 1234.")),
        ("characters", with(1, "\u{c4}pfel \u{1f999} \u{3000}\u{200d}\u{301} <|endoftext|>".as_bytes())),
        ("broken-utf8", with(1, b"a \xf0\x9f\xa6 b \xff\xc3")),
    ]
}
