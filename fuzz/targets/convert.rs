//! The conversion: any GGUF file becomes an image or is refused, and what becomes one can be used.

#![no_main]

use bitnet_edge_core::KvType;
use bitnet_edge_tests::exercise::exercise;
use bitnet_pack::convert::{Options, convert};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(done) = convert(bytes, &Options::default()) {
        exercise(done.image.as_slice(), &[KvType::F16]).expect("an image that is written can be read");
    }
});
