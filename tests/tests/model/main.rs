//! Whole models: backends, batches, budgets and choices beside their definitions.

mod blocks;
mod choose;
mod gguf_models;
mod invariance;
mod noise;
mod opaque;
mod reference;
mod tiers;
