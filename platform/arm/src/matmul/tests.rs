//! The products of every tier.

#[path = "../../../simd/testing/products.rs"]
mod products;

/// Nothing is compared with the definition beside the tiers.
fn others(_: &products::Case, _: &[Option<u32>], _: &str) {}
