//! The flash image: any bytes are an image or refused, and a model in one can be run. The header's length and checksum are
//! put right first, or every changed bit would end at the checksum; with a first byte of 0 they are left as they are. That
//! byte also chooses the type of the KV cache.

#![no_main]

use bitnet_edge_core::image::{HEADER_LEN, Image, SectionKind, crc32};
use bitnet_edge_core::text::ChatTemplate;
use bitnet_edge_core::{Cpu, KvType, MemoryPlan, Model, ModelConfig, PlanOptions, Session};
use bitnet_edge_std::{Arena, Bytes};
use libfuzzer_sys::fuzz_target;

/// A larger arena or more work finds nothing new.
const ARENA_BYTES: usize = 1 << 20;
const CONTEXT: u32 = 8;
const LENGTH_AT: usize = 16;
const CRC_AT: usize = 60;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let mut image = Bytes::copy_of(bytes);
    let image = image.as_mut_slice();
    if *choice != 0 {
        put_right(image);
    }
    let _ = ModelConfig::read(image);
    let Ok(container) = Image::new_checked(image) else { return };
    assert!(container.sections().all(|section| section.bytes.len() <= image.len()));
    let _ = (container.verify(), container.digest());
    if let Some(section) = container.section(SectionKind::Chat) {
        let _ = ChatTemplate::new_checked(section);
    }
    if let Ok(model) = Model::new_checked(image) {
        run(&model, [KvType::F16, KvType::I8, KvType::F32][usize::from(choice % 3)]);
    }
});

/// A pass over a short prompt and one token more.
fn run(model: &Model<'_>, kv: KvType) {
    let config = model.config();
    let options =
        PlanOptions { context: CONTEXT.min(config.context), kv, batch: 2, ..PlanOptions::new(&config) };
    let Ok(plan) = MemoryPlan::new(&config, &options) else { return };
    if plan.bytes() > ARENA_BYTES {
        return;
    }
    let mut arena = Arena::new(plan.bytes());
    let Ok(cpu) = Cpu::scalar(model, &plan, arena.lines()) else { return };
    let Ok(mut session) = Session::new(model, &plan, cpu) else { return };
    if session.prefill(&[0, 1, 2], true).is_ok()
        && let Ok(logits) = session.decode(1)
    {
        assert_eq!(logits.len(), config.vocab as usize);
        assert!(logits.iter().all(|logit| logit.is_finite()), "logits that are no numbers are an error");
    }
}

/// Writes the total length and the checksum of header and section table.
fn put_right(image: &mut [u8]) {
    let Some(header) = image.first_chunk::<HEADER_LEN>() else { return };
    let word =
        |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let table = word(12).saturating_add(word(24).saturating_mul(word(28)));
    let length = image.len() as u64;
    image[LENGTH_AT..LENGTH_AT + 8].copy_from_slice(&length.to_le_bytes());
    image[CRC_AT..CRC_AT + 4].fill(0);
    let crc = image.get(..table).map(crc32).unwrap_or_default();
    image[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
}
