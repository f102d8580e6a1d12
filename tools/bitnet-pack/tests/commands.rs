//! What every command of `bitnet-pack` must have, and what it prints, word for word.

use bitnet_edge_tests::command_tree::missing;
use bitnet_edge_tests::files;
use bitnet_pack::cli::Cli;
use clap::CommandFactory;

#[test]
fn every_command_has_an_example_and_a_transcript_with_each_option() {
    let missing = missing(Cli::command(), &files::root().join("tests/transcripts/bitnet-pack"));
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[cfg(unix)]
mod transcripts {
    use bitnet_edge_tests::files;
    use bitnet_edge_tests::transcript::Shell;

    /// Checks the transcript of a command.
    fn check(command: &str) {
        let path = |path: &str| files::root().join(path).to_str().unwrap().to_owned();
        let shell = Shell {
            programs: &[("bitnet-pack", env!("CARGO_BIN_EXE_bitnet-pack"))],
            variables: &[
                ("TINY", path("core/testdata/tiny.bpk")),
                ("MANIFEST", path("tools/bitnet-pack/src/convert/archs/bitnet-b1.58.toml")),
                ("STORY", path("models/tinystories-micro/tinystories-micro-i2_s.gguf")),
            ],
        };
        shell.check(&files::root().join("tests/transcripts/bitnet-pack").join(format!("{command}.md")));
    }

    #[test]
    fn convert() {
        check("convert");
    }

    #[test]
    fn inspect() {
        check("inspect");
    }

    #[test]
    fn verify() {
        check("verify");
    }

    #[test]
    fn plan() {
        check("plan");
    }
}
