//! Vocabularies and chat templates, packed into the sections that the core reads in place.

mod byte_level;
mod merges;
mod tokenizer;
mod vocab;

pub use tokenizer::{Packed, TokenizerOptions, pack_tokenizer};
pub use vocab::{Vocab, VocabModel};
