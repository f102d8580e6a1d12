//! The tiers against the definition.

mod tables;
mod tiers;
