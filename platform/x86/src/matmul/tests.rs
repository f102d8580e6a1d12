//! The code of AVX-VNNI on machines that have only its other encoding, and the products of every tier.

use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_simd::names::*;

#[path = "../../../simd/testing/products.rs"]
mod products;

/// The code of AVX-VNNI in the encoding of AVX-512, which machines have that lack the other.
#[derive(Clone, Copy)]
struct AvxVnniCode;

impl Kernels for AvxVnniCode {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "avx-vnni's code"
    }

    bitnet_edge_simd::product_methods!(
        "avx2,f16c,avx512f,avx512vl,avx512vnni",
        crate::matmul::Avx512Vnni256,
        2,
        2
    );
}

fn avx_vnni_code() -> Option<AvxVnniCode> {
    let there = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl");
    if !there {
        println!("not run: avx-vnni's code (avx512vnni is missing)");
    }
    there.then_some(AvxVnniCode)
}

#[test]
fn avx_vnni_s_code_gives_the_bits_of_the_definition() {
    let Some(code) = avx_vnni_code() else { return };
    let mut lines = Vec::new();
    let summary = conformance::run(code, Effort::Full, &mut |failure| lines.push(failure.to_string()));
    assert!(summary.passed() && summary.skipped == 0, "{summary:?}\n{}", lines.join("\n"));
}

/// What is compared with the definition beside the tiers.
fn others(case: &products::Case, want: &[Option<u32>], what: &str) {
    if let Some(code) = avx_vnni_code() {
        assert!(case.run(code).unwrap() == want, "{}: {what}", code.name());
    }
}
