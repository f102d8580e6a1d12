//! What every command must have.

use bitnet_edge_tests::command_tree::missing;
use bitnet_edge_tests::files;
use clap::CommandFactory;

use crate::Cli;

#[test]
fn every_command_has_an_example_and_a_transcript_with_each_option() {
    let missing = missing(Cli::command(), &files::root().join("tests/transcripts/bitnet"));
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
