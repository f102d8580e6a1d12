//! Flash images that are damaged, made for other versions, or made to harm.

use std::sync::LazyLock;

use bitnet_edge_core::image::{
    ENTRY_LEN, HEADER_LEN, Image, MAX_SECTIONS, Role, SectionKind, TABLE_ENTRY_LEN, TensorId, VECTOR_LAYOUT,
};
use bitnet_edge_core::text::Error as TextError;
use bitnet_edge_core::{
    Cpu, Error, KvType, MemoryPlan, Model, ModelConfig, PlanOptions, Session, memory::MAX_CONTEXT,
};
use bitnet_edge_kernels::Error as KernelError;
use bitnet_edge_std::{Arena, Bytes};
use bitnet_edge_tests::exercise::{exercise, run};
use bitnet_edge_tests::files;
use bitnet_edge_tests::image_edit::{Part, Parts, at, put, put_right};
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{Options, convert};
use bitnet_pack::verify;

const KV: [KvType; 3] = [KvType::F16, KvType::F32, KvType::I8];

fn tiny() -> Bytes {
    static IMAGE: LazyLock<Bytes> = LazyLock::new(|| tiny::image(Weights::Ternary));
    IMAGE.clone()
}

fn story() -> Bytes {
    let file = files::read("models/tinystories-micro/tinystories-micro-i2_s.gguf");
    convert(&file, &Options { lowercase: true, ..Options::default() }).unwrap().image
}

fn refusal(image: &Bytes) -> Error {
    Model::new_checked(image.as_slice()).map(|_| ()).unwrap_err()
}

/// The tiny image with one change, checksums put right.
fn changed(change: impl FnOnce(&mut Parts)) -> Bytes {
    let mut parts = Parts::of(tiny().as_slice());
    change(&mut parts);
    parts.build()
}

/// The tiny image with other bytes in place, checksums put right.
fn patched(at: usize, value: &[u8]) -> Bytes {
    let mut image = tiny();
    put(image.as_mut_slice(), at, value);
    put_right(image.as_mut_slice());
    image
}

fn section_entry(i: usize) -> usize {
    HEADER_LEN + i * ENTRY_LEN
}

/// Logits behind a few tokens.
fn logits(image: &[u8]) -> Vec<f32> {
    let model = Model::new_checked(image).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let mut session =
        Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena.lines()).unwrap()).unwrap();
    session.prefill(&[0, 1, 2, 3], true).unwrap();
    session.logits().unwrap().to_vec()
}

#[test]
fn the_sample_is_right() {
    let image = tiny();
    exercise(image.as_slice(), &KV).unwrap();
    verify::image(image.as_slice()).unwrap();
    // Taken apart and put together it is the same, so that the other tests change what they mean to change.
    assert_eq!(Parts::of(image.as_slice()).build().as_slice(), image.as_slice());
}

#[test]
fn every_flipped_bit_is_found() {
    let mut image = tiny();
    let bits = image.as_slice().len() * 8;
    for bit in 0..bits {
        image.as_mut_slice()[bit / 8] ^= 1 << (bit % 8);
        assert!(verify::image(image.as_slice()).is_err(), "bit {bit} of {bits}");
        image.as_mut_slice()[bit / 8] ^= 1 << (bit % 8);
    }
    verify::image(image.as_slice()).unwrap();
}

#[test]
fn flipped_bits_of_the_story_model_are_found() {
    let mut image = story();
    let tensors = Image::new_checked(image.as_slice()).unwrap().sections().last().unwrap();
    assert_eq!(tensors.kind, SectionKind::Tensors as u32);
    let (start, end) = (tensors.offset as usize, image.as_slice().len());
    let places = (0..start).step_by(61).chain((start..end).step_by(5003)).chain([end - 1]);
    for (i, at) in places.enumerate() {
        image.as_mut_slice()[at] ^= 1 << (i % 8);
        assert!(verify::image(image.as_slice()).is_err(), "byte {at}");
        image.as_mut_slice()[at] ^= 1 << (i % 8);
    }
    verify::image(image.as_slice()).unwrap();
}

#[test]
fn an_image_cut_anywhere_is_refused() {
    let image = tiny();
    let bytes = image.as_slice();
    for end in 0..bytes.len() {
        let error = Model::new_checked(&bytes[..end]).map(|_| ()).unwrap_err();
        let expected = match end {
            0..8 => Error::NotAnImage,
            8..HEADER_LEN => Error::ImageTruncated { need: 64, have: end as u64 },
            _ => Error::ImageTruncated { need: bytes.len() as u64, have: end as u64 },
        };
        assert_eq!(error, expected, "cut after {end} bytes");
        assert_eq!(ModelConfig::read(&bytes[..end]), Err(expected));
    }
    let longer = Bytes::copy_of(&[bytes, &[0]].concat());
    assert_eq!(
        refusal(&longer).to_string(),
        format!("the image has {} bytes and says that it has {}", bytes.len() + 1, bytes.len())
    );
    let mut shifted = Bytes::zeroed(bytes.len() + 4);
    put(shifted.as_mut_slice(), 4, bytes);
    assert_eq!(Model::new_checked(&shifted.as_slice()[4..]).err(), Some(Error::ImageMisaligned));
}

/// Every byte in front of the tensors with other values, checksums put right so that the deeper checks see them.
#[test]
fn no_altered_byte_makes_anything_panic() {
    let image = tiny();
    let tensors = Image::new_checked(image.as_slice()).unwrap().sections().last().unwrap().offset as usize;
    let (mut opened, mut refused) = (0, 0);
    for place in 0..tensors {
        let byte = image.as_slice()[place];
        for value in [0, 1, 0x3f, 0x7f, 0x80, 0xff, byte ^ 0x10, byte.wrapping_add(1), byte.wrapping_sub(1)] {
            match exercise(patched(place, &[value]).as_slice(), &KV) {
                Ok(()) => opened += 1,
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(opened > 1000 && refused > 1000, "{opened} opened, {refused} refused");
}

/// The same with whole words: lengths, counts and offsets at their extremes.
#[test]
fn no_altered_word_makes_anything_panic() {
    let image = tiny();
    let tensors = Image::new_checked(image.as_slice()).unwrap().sections().last().unwrap().offset as usize;
    let total = image.as_slice().len() as u64;
    for place in (0..tensors).step_by(4) {
        for value in
            [0u32, 1, 2, 63, 64, 65, 1 << 16, 1 << 24, 1 << 31, u32::MAX - 63, u32::MAX, total as u32]
        {
            let _ = exercise(patched(place, &value.to_le_bytes()).as_slice(), &KV);
        }
    }
    for place in (0..tensors - 8).step_by(8) {
        for value in [total, total - 64, 1 << 32, 1 << 63, u64::MAX, u64::MAX - 63, (1 << 32) + 64] {
            let _ = exercise(patched(place, &value.to_le_bytes()).as_slice(), &KV);
        }
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let newer = changed(|parts| parts.major = 2);
    assert_eq!(refusal(&newer), Error::ImageVersion { found: 2, supported: 1 });
    let other = changed(|parts| parts.arithmetic = 7);
    assert!(matches!(refusal(&other), Error::ArithmeticVersion { found: 7, .. }));
    for kind in SectionKind::ALL {
        let kind_of = kind as u32;
        let image = changed(|parts| {
            if let Some(part) = parts.sections.iter_mut().find(|part| part.kind == kind_of) {
                part.encoding = 2;
            } else {
                let (encoding, alignment, bytes) = (2, 64, vec![0; 64]);
                parts.sections.push(Part { kind: kind_of, encoding, alignment, bytes });
            }
        });
        assert_eq!(refusal(&image), Error::SectionEncoding { kind: kind_of, encoding: 2 });
    }
}

/// What docs/image-format.md promises about a newer minor version.
#[test]
fn a_newer_minor_version_runs_the_same() {
    let grown = changed(|parts| {
        parts.minor = 9;
        parts.header_len = 128;
        parts.entry_len = 96;
        parts.section(SectionKind::Config).bytes.extend([0xa5; 32]);
        let future = |kind, alignment, len| Part { kind, encoding: 3, alignment, bytes: vec![0x5a; len] };
        parts.sections.insert(0, future(1000, 4, 100));
        parts.sections.push(future(1001, 4096, 5));
    });
    verify::image(grown.as_slice()).unwrap();
    exercise(grown.as_slice(), &KV).unwrap();
    assert_eq!(logits(grown.as_slice()), logits(tiny().as_slice()));
}

#[test]
fn impossible_headers_and_section_tables_are_refused() {
    let damaged = |image: Bytes| match refusal(&image) {
        Error::ImageDamaged(what) => what,
        other => panic!("{other}"),
    };
    let length = "a length in the header is impossible";
    let u32s = |at, value: u32| patched(at, &value.to_le_bytes());
    let u64s = |at, value: u64| patched(at, &value.to_le_bytes());
    assert_eq!(damaged(u32s(at::HEADER_LEN, 63)), length);
    assert_eq!(damaged(u32s(at::ENTRY_LEN, 0)), length);
    assert_eq!(damaged(u32s(at::ENTRY_LEN, 63)), length);
    assert_eq!(damaged(u32s(at::COUNT, MAX_SECTIONS + 1)), length);
    assert_eq!(damaged(u32s(at::COUNT, u32::MAX)), length);
    let outside = "the section table lies outside the image";
    assert_eq!(damaged(u32s(at::HEADER_LEN, u32::MAX)), outside);
    assert_eq!(damaged(u32s(at::ENTRY_LEN, u32::MAX)), outside);
    assert_eq!(
        damaged(changed(|parts| {
            let future = |kind| Part { kind, encoding: 1, alignment: 4, bytes: vec![] };
            parts.sections.extend((0..MAX_SECTIONS).map(|i| future(100 + i)));
        })),
        length
    );

    let (overlap, place) = ("sections overlap or are not aligned", "a section lies outside the image");
    let (offset, len) = (section_entry(1) + 16, section_entry(1) + 24);
    for value in [0, 64, 128] {
        assert_eq!(damaged(u64s(offset, value)), overlap, "offset {value}");
    }
    for value in [u64::MAX, u64::MAX - 63, 1 << 63, tiny().as_slice().len() as u64] {
        assert_eq!(damaged(u64s(offset, value)), place, "offset {value}");
        assert_eq!(damaged(u64s(len, value)), place, "length {value}");
    }
    // Longer than up to the next section.
    assert_eq!(damaged(u64s(section_entry(0) + 24, 128)), overlap);
    for alignment in [0, 1, 2, 3, 48, 8192, u32::MAX] {
        assert_eq!(damaged(u32s(section_entry(1) + 8, alignment)), overlap, "alignment {alignment}");
    }
    let twice = changed(|parts| {
        let again = parts.section(SectionKind::Rope).clone();
        parts.sections.push(again);
    });
    assert_eq!(damaged(twice), "a section kind occurs twice");
    let mut image = tiny();
    image.as_mut_slice()[at::CRC] ^= 1;
    assert_eq!(damaged(image), "the checksum of header and section table is wrong");
}

#[test]
fn sections_that_every_image_has_are_missed_by_name() {
    for kind in [SectionKind::Config, SectionKind::Rope, SectionKind::TensorTable, SectionKind::Tensors] {
        let image = changed(|parts| parts.sections.retain(|part| part.kind != kind as u32));
        assert_eq!(refusal(&image), Error::SectionMissing(kind.name()));
    }
    // The others may be absent.
    let bare = changed(|parts| {
        let extra = [SectionKind::Tokenizer, SectionKind::Provenance].map(|kind| kind as u32);
        parts.sections.retain(|part| !extra.contains(&part.kind));
    });
    exercise(bare.as_slice(), &KV).unwrap();
    assert_eq!(logits(bare.as_slice()), logits(tiny().as_slice()));
}

/// The tiny image with a field of its configuration changed.
fn configured(at: usize, value: u32) -> Bytes {
    changed(|parts| put(&mut parts.section(SectionKind::Config).bytes, at, &value.to_le_bytes()))
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let bounds = Error::ImageDamaged("a dimension in the configuration is out of bounds");
    let (dim, layers, heads, kv_heads, head_dim, ffn, vocab, context, pairs) =
        (0, 4, 8, 12, 16, 20, 24, 28, 32);
    for field in [dim, layers, heads, kv_heads, head_dim, ffn, vocab, context] {
        for value in [0, u32::MAX, 1 << 31, (1 << 24) + 1] {
            assert_eq!(refusal(&configured(field, value)), bounds, "field at {field}: {value}");
        }
    }
    assert_eq!(refusal(&configured(kv_heads, 3)), bounds, "2 heads for 3 key heads");
    assert_eq!(refusal(&configured(heads, 1 << 17)), bounds, "heads x head_dim");
    assert_eq!(refusal(&configured(head_dim, 257)), bounds);
    assert_eq!(refusal(&configured(pairs, 9)), bounds, "18 elements of 16 rotated");
    for float in [40, 44, 48, 52] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(refusal(&configured(float, value.to_bits())), bounds);
        }
    }
    let activation = Error::ImageDamaged("the configuration has an unknown activation");
    assert_eq!(refusal(&configured(36, 2)), activation);
    let short = changed(|parts| parts.section(SectionKind::Config).bytes.truncate(60));
    assert_eq!(refusal(&short), Error::ImageDamaged("the configuration is too short"));

    // Possible, but not those of the tensors.
    let rope = Error::ImageDamaged("the RoPE section has the wrong length");
    assert_eq!(refusal(&configured(pairs, 7)), rope);
    let table = Error::ImageDamaged("the tensor table has the wrong length");
    assert_eq!(refusal(&configured(layers, 2)), table);
    assert_eq!(refusal(&configured(layers, 1 << 20)), table);
    for (field, value) in [(dim, 64), (dim, 1 << 20), (heads, 4), (kv_heads, 2), (ffn, 33), (vocab, 7)] {
        let error = refusal(&configured(field, value));
        assert!(matches!(error, Error::TensorShape { .. }), "field at {field}: {error}");
    }
    assert_eq!(refusal(&configured(vocab, 5)), Error::Vocabulary { tokens: 6, rows: 5 });
}

/// The tiny image with bytes of a tensor's entry changed.
fn entry(id: TensorId, at: usize, value: &[u8]) -> Bytes {
    changed(|parts| {
        let table = &mut parts.section(SectionKind::TensorTable).bytes;
        put(table, id.0 as usize * TABLE_ENTRY_LEN + at, value);
    })
}

#[test]
fn tensors_that_cannot_be_are_refused_by_name() {
    let q = TensorId::of(0, Role::Q);
    let absent = refusal(&entry(q, 0, &[0; 2]));
    assert_eq!(absent, Error::TensorMissing { tensor: q.0 });
    assert_eq!(absent.to_string(), "the image has no tensor 0.q");
    let unknown = refusal(&entry(q, 0, &[99, 0]));
    assert_eq!(unknown, Error::UnknownLayout { tensor: q.0, layout: 99 });
    // A norm where a matrix should be, and the reverse: with data of the right length.
    let vector = changed(|parts| {
        let table = &mut parts.section(SectionKind::TensorTable).bytes;
        let norm = TensorId::of(0, Role::AttnNorm).0 as usize * TABLE_ENTRY_LEN;
        let copy = table[norm..norm + TABLE_ENTRY_LEN].to_vec();
        put(table, q.0 as usize * TABLE_ENTRY_LEN, &copy);
    });
    assert_eq!(refusal(&vector), Error::UnknownLayout { tensor: q.0, layout: VECTOR_LAYOUT });
    // Q and its output projection are of one size; K is not.
    let small = changed(|parts| {
        let table = &mut parts.section(SectionKind::TensorTable).bytes;
        let k = TensorId::of(0, Role::K).0 as usize * TABLE_ENTRY_LEN;
        let copy = table[k..k + TABLE_ENTRY_LEN].to_vec();
        put(table, q.0 as usize * TABLE_ENTRY_LEN, &copy);
    });
    assert_eq!(refusal(&small).to_string(), "tensor 0.q has 16 rows of 32; the configuration needs 32 of 32");

    let damaged = Error::ImageDamaged("a tensor lies outside its section or has an impossible size");
    let total = tiny().as_slice().len() as u64;
    for offset in [0, 63, total, total - 64, u64::MAX, u64::MAX - 63, 1 << 63] {
        assert_eq!(refusal(&entry(q, 24, &offset.to_le_bytes())), damaged, "offset {offset}");
    }
    for len in [0, 1, 511, 513, u64::MAX] {
        assert_eq!(refusal(&entry(q, 32, &len.to_le_bytes())), damaged, "length {len}");
    }
    for scales in [1, 64, total, u64::MAX - 63, u64::MAX] {
        assert_eq!(refusal(&entry(q, 40, &scales.to_le_bytes())), damaged, "scales at {scales}");
    }
    for (at, value) in [(4, 0), (4, u32::MAX), (8, 0), (8, u32::MAX), (4, 1 << 31), (8, 1 << 31)] {
        let error = refusal(&entry(q, at, &u32::to_le_bytes(value)));
        assert!(error == damaged || matches!(error, Error::TensorShape { .. }), "{value} at {at}: {error}");
    }
}

#[test]
fn text_sections_that_cannot_be_are_refused() {
    let short = changed(|parts| _ = parts.section(SectionKind::Tokenizer).bytes.pop());
    assert_eq!(refusal(&short), Error::Text(TextError::Truncated));
    let long = changed(|parts| parts.section(SectionKind::Tokenizer).bytes.push(0));
    assert_eq!(refusal(&long), Error::Text(TextError::Malformed { table: "section length" }));
    let chat = changed(|parts| {
        let (kind, encoding, alignment) = (SectionKind::Chat as u32, 1, 64);
        parts.sections.push(Part { kind, encoding, alignment, bytes: b"BTOK".to_vec() });
    });
    assert_eq!(refusal(&chat), Error::Text(TextError::NotASection));
}

#[test]
fn plans_beyond_every_memory_are_refused() {
    let model = tiny();
    let model = Model::new_checked(model.as_slice()).unwrap();
    let plan = |config: &ModelConfig, change: &dyn Fn(&mut PlanOptions)| {
        let mut options = PlanOptions::new(config);
        change(&mut options);
        MemoryPlan::new(config, &options).map(|plan| plan.bytes())
    };
    let config = model.config();
    for change in [
        &(|o: &mut PlanOptions| o.context = 0) as &dyn Fn(&mut PlanOptions),
        &|o| o.context = MAX_CONTEXT + 1,
        &|o| o.batch = 0,
        &|o| o.batch = u32::MAX,
        &|o| o.prompt_bytes = u32::MAX,
    ] {
        assert!(matches!(plan(&config, change), Err(Error::PlanOption(_))));
    }
    let (big, few) = (1 << 20, 1 << 12);
    let huge = ModelConfig {
        dim: big,
        layers: big,
        heads: few,
        kv_heads: few,
        head_dim: 256,
        ffn: big,
        vocab: 1 << 24,
        ..config
    };
    let all = |o: &mut PlanOptions| {
        (o.context, o.batch, o.kv) = (MAX_CONTEXT, 4096, KvType::F32);
        (o.needs.bytes, o.needs.bytes_per_column) = (u32::MAX, u32::MAX);
    };
    assert_eq!(plan(&huge, &all), Err(Error::PlanTooLarge));
    // An arena one line short.
    let need = plan(&config, &|_| {}).unwrap();
    let own = MemoryPlan::new(&config, &PlanOptions::new(&config)).unwrap();
    let mut arena = Arena::new(need - 64);
    let error = Cpu::scalar(&model, &own, arena.lines()).map(|_| ()).unwrap_err();
    assert_eq!(error, Error::ArenaTooSmall { need, have: need - 64 });
}

/// Weights that are no numbers end in an error, never in text.
#[test]
fn weights_that_are_not_finite_are_an_error() {
    let image = tiny::image(Weights::Float);
    let model = Model::new_checked(image.as_slice()).unwrap();
    let globals = [TensorId::EMBEDDING, TensorId::HEAD, TensorId::FINAL_NORM];
    let ids = globals.into_iter().chain(Role::ALL.map(|role| TensorId::of(0, role)));
    let places: Vec<_> = ids.filter_map(|id| model.tensor(id).map(|t| (id, t))).collect();
    assert_eq!(places.len(), 12);
    for (id, tensor) in places {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            // The first element of each row that the run uses is enough.
            let mut image = Bytes::copy_of(image.as_slice());
            let stride = tensor.len as usize / (tensor.rows as usize).next_multiple_of(4);
            let stride = if tensor.rows == 1 { 4 * tensor.cols as usize } else { stride };
            let at = tensor.offset as usize + if tensor.rows == 1 { 0 } else { stride };
            put(image.as_mut_slice(), at, &bad.to_le_bytes());
            put_right(image.as_mut_slice());
            verify::image(image.as_slice()).unwrap();
            let model = Model::new_checked(image.as_slice()).unwrap();
            for kv in KV {
                let result = run(&model, kv);
                assert_eq!(result, Err(Error::Kernel(KernelError::NonFinite)), "{id}: {bad}, {}", kv.name());
            }
        }
    }
}

/// The same for the factors and scales of the tensor table.
#[test]
fn scales_that_are_not_finite_are_an_error() {
    for role in Role::ALL.into_iter().filter(|role| role.is_matrix()) {
        for (at, what) in [(12, "scale"), (16, "factor")] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let image = entry(TensorId::of(0, role), at, &bad.to_le_bytes());
                let model = Model::new_checked(image.as_slice()).unwrap();
                let result = run(&model, KvType::F16);
                let role = role.name();
                assert_eq!(result, Err(Error::Kernel(KernelError::NonFinite)), "{what} {bad} of {role}");
            }
        }
    }
}

/// A ternary code 3 behind right checksums: only `verify` reads the weights.
#[test]
fn a_code_3_in_a_ternary_matrix_is_named_by_verify() {
    let mut image = tiny();
    let q = TensorId::of(0, Role::Q);
    let codes = Model::new_checked(image.as_slice()).unwrap().tensor(q).unwrap().offset as usize;
    image.as_mut_slice()[codes] |= 0b11;
    put_right(image.as_mut_slice());
    let model = Model::new_checked(image.as_slice()).unwrap();
    assert_eq!(model.verify(), Err(Error::TernaryCode { tensor: q.0 }));
}
