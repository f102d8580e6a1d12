//! Vocabularies and chat templates, packed into the sections that the core reads in place.

mod byte_level;
mod chat;
mod control;
mod merges;
mod names;
mod render;
mod section;
mod segments;
mod tokenizer;
mod vocab;

pub use chat::pack_chat_template;
pub use section::knows_pre_tokenizer;
pub use tokenizer::{Packed, TokenizerOptions, pack_tokenizer};
pub use vocab::{Vocab, VocabModel};
