//! What the workspace tests share.

pub mod draw;
pub mod files;
pub mod gguf_builder;
pub mod golden;
pub mod models;
pub mod opaque;
pub mod perplexity;
pub mod spread;
pub mod tiny;
pub mod vocabulary;
