//! What `bitnet` prints, word for word: `tests/transcripts/bitnet` has a file for each command.
#![cfg(unix)]

mod common;
#[path = "common/board.rs"]
mod fake;

use bitnet_edge_tests::files;
use bitnet_edge_tests::transcript::Shell;
use fake::{MODEL_FILE, board};

/// Checks the transcript of a command.
fn check(command: &str) {
    let manifest = files::root().join("tools/bitnet-pack/src/convert/archs/bitnet-b1.58.toml");
    let shell = Shell {
        programs: &[("bitnet", env!("CARGO_BIN_EXE_bitnet"))],
        variables: &[
            ("TINY", MODEL_FILE.to_owned()),
            ("STORY", common::story().to_str().unwrap().to_owned()),
            ("MANIFEST", manifest.to_str().unwrap().to_owned()),
            ("BOARD1", board(|_| {})),
            ("BOARD2", board(|_| {})),
            ("BOARD3", board(|_| {})),
            ("BOARD4", board(|_| {})),
            ("BOARD5", board(|_| {})),
            ("BOARD6", board(|_| {})),
            ("BOARD7", board(|_| {})),
        ],
    };
    shell.check(&files::root().join("tests/transcripts/bitnet").join(format!("{command}.md")));
}

/// A test for each file, under its name.
macro_rules! transcripts {
    ($($name:ident $file:literal),* $(,)?) => {
        const NAMES: &[&str] = &[$($file),*];
        $(
            #[test]
            fn $name() {
                check($file);
            }
        )*
    };
}

transcripts! {
    bench "bench",
    chat "chat",
    completions "completions",
    detokenize "detokenize",
    device "device",
    doctor "doctor",
    inspect "inspect",
    man "man",
    perplexity "perplexity",
    pull "pull",
    receipt "receipt",
    run "run",
    tokenize "tokenize",
}

#[test]
fn every_transcript_is_checked() {
    let folder = std::fs::read_dir(files::root().join("tests/transcripts/bitnet")).unwrap();
    for file in folder {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(NAMES.contains(&name), "{}: no test checks it", file.display());
    }
}
