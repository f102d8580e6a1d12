//! What the workspace tests share.

pub mod block_models;
pub mod command_tree;
pub mod draw;
pub mod example_model;
pub mod exercise;
pub mod files;
pub mod gguf_builder;
pub mod golden;
pub mod image_edit;
pub mod models;
pub mod noise;
pub mod opaque;
pub mod reference;
pub mod spread;
pub mod synthetic;
pub mod tiny;
#[cfg(unix)]
pub mod transcript;
pub mod vocabulary;
