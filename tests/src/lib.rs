//! What the workspace tests share.

pub mod exercise;
pub mod files;
pub mod gguf_builder;
pub mod golden;
pub mod image_edit;
pub mod perplexity;
pub mod tiny;
pub mod vocabulary;
