//! What every command must have. A test case for an option is a use of it: in the command's transcript, or in one of these.

use bitnet_edge_tests::command_tree::{Tests, missing};
use bitnet_edge_tests::files;
use clap::CommandFactory;

use crate::Cli;

const TESTS: Tests<'_> = &[
    ("run", &["receipt.rs", "run.rs", "story.rs"]),
    ("chat", &["chat.rs", "chat_receipts.rs"]),
    ("bench", &["bench.rs"]),
    ("device", &["device.rs", "receipt.rs"]),
    ("detokenize", &["tokens.rs"]),
    ("inspect", &["inspect.rs"]),
    ("perplexity", &["perplexity.rs"]),
    ("receipt", &["receipt.rs"]),
    ("tokenize", &["tokens.rs"]),
    ("doctor", &["doctor.rs"]),
    ("pull", &["pull.rs"]),
];

#[test]
fn every_command_has_an_example_a_transcript_and_a_test_case_for_each_option() {
    let transcripts = files::root().join("tests/transcripts/bitnet");
    let missing = missing(Cli::command(), &transcripts, &files::root().join("tools/bitnet/tests"), TESTS);
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
