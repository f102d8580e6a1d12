//! What the workspace tests share.

pub mod files;
pub mod gguf_builder;
pub mod golden;
pub mod perplexity;
pub mod tiny;
pub mod vocabulary;
