//! Converts GGUF models into flash images that bitnet-edge executes in place.
//!
//! [`gguf`] reads the files, [`convert`] makes images of them, [`text`] packs vocabularies and chat templates. The program
//! `bitnet-pack` is [`cli`] around it; [`source`] opens a model as a user names it.
#![allow(clippy::disallowed_methods)] // the ban on float methods is for what defines results, not for tools

pub mod board;
pub mod cli;
pub mod convert;
pub mod emulator;
pub mod gguf;
pub mod inspect;
pub mod output;
pub mod plan;
pub mod progress;
pub mod report;
pub mod source;
pub mod text;
pub mod verify;
