//! What the workspace tests share.

pub mod files;
pub mod gguf_builder;
pub mod vocabulary;
