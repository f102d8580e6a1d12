//! The flash image: any bytes are an image or refused, and what is in one can be described, planned and run. The first byte
//! of an input chooses the type of the KV cache; with 0 lengths and checksums stay as they are, otherwise they are put
//! right first, or every changed bit would end at a checksum.

#![no_main]

use bitnet_edge_core::KvType;
use bitnet_edge_std::Bytes;
use bitnet_edge_tests::exercise::exercise;
use bitnet_edge_tests::image_edit::put_right;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut image = Bytes::copy_of(bytes);
    if *choice != 0 {
        put_right(image.as_mut_slice());
    }
    let kv = [KvType::F16, KvType::I8, KvType::F32][usize::from(choice % 3)];
    let _ = exercise(image.as_slice(), &[kv]);
});
