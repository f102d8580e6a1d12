//! GGUF files that are wrong: each is refused with a message that says why, and none makes the reader panic, hang or
//! allocate what the file merely declares.

use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_tests::gguf_builder::{Builder, value};
use bitnet_pack::gguf::{Gguf, GgufError, List, MAX_ARRAY_DEPTH};
use bitnet_pack::inspect;

const F32: u32 = 0;
const F16: u32 = 1;
const Q8_0: u32 = 8;
const Q3_K: u32 = 11;
const Q4_K: u32 = 12;
const Q6_K: u32 = 14;
const TQ2_0: u32 = 35;
const I2_S: u32 = 36;

/// A file with a value of every type and tensors of several, whose last byte belongs to a tensor.
fn sample() -> Builder {
    let nested = Builder::encode_array(value::U8, 3, &[1, 2, 3]);
    Builder::default()
        .str("general.architecture", "llama")
        .alignment(64)
        .entry("u8", value::U8, &[1])
        .entry("i8", value::I8, &[0xff])
        .entry("u16", value::U16, &[1, 2])
        .entry("i16", value::I16, &[1, 2])
        .entry("i32", value::I32, &[1, 2, 3, 4])
        .entry("f32", value::F32, &1.5_f32.to_le_bytes())
        .entry("bool", value::BOOL, &[1])
        .entry("u64", value::U64, &[1; 8])
        .entry("i64", value::I64, &[0xff; 8])
        .entry("f64", value::F64, &[0; 8])
        .strings("tokens", &["a", "", "longer"])
        .entry("nested", value::ARRAY, &Builder::encode_array(value::ARRAY, 1, &nested))
        .tensor("f32", &[3, 2], F32, &[0; 24])
        .tensor("q8_0", &[32, 2], Q8_0, &[3; 68])
        .tensor("i2_s", &[128, 4], I2_S, &[0; 160])
        .tensor("tq2_0", &[256], TQ2_0, &[0; 66])
}

fn refusal(file: &Builder) -> GgufError {
    Gguf::parse(&file.build()).map(|_| ()).unwrap_err()
}

/// Uses everything that a file offers.
fn exercise(file: &Gguf<'_>) {
    for (key, _) in file.metadata() {
        let _ = file.get::<u32>(key);
        let _ = file.get::<f32>(key);
        let _ = file.get::<&str>(key);
        let _ = file.get::<List<'_, &str>>(key);
    }
    for tensor in file.tensors() {
        for layout in I2sLayout::ALL {
            if let Ok(values) = tensor.dequantize(layout) {
                assert_eq!(values.len() as u64, tensor.columns() * tensor.row_count());
            }
        }
    }
    inspect::gguf(file, &mut Vec::new()).unwrap();
}

#[test]
fn the_sample_is_right() {
    let bytes = sample().build();
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!((file.metadata().len(), file.tensors().len(), file.alignment()), (14, 4, 64));
    exercise(&file);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = sample().build();
    for end in 0..bytes.len() {
        let error = Gguf::parse(&bytes[..end]).map(|_| ()).expect_err(&format!("cut after {end} bytes"));
        match error {
            GgufError::NotGguf { .. } => assert!(end < 4),
            GgufError::Truncated { .. } | GgufError::Count { .. } | GgufError::OutOfFile { .. } => {}
            other => panic!("cut after {end} bytes: {other}"),
        }
    }
}

#[test]
fn no_damaged_byte_makes_anything_panic() {
    let bytes = sample().build();
    for at in 0..bytes.len() {
        for damage in [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, bytes[at] ^ 0x20, bytes[at].wrapping_add(1)] {
            let mut damaged = bytes.clone();
            damaged[at] = damage;
            match Gguf::parse(&damaged) {
                Ok(file) => exercise(&file),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn other_files_are_named() {
    let of = |bytes: &[u8]| Gguf::parse(bytes).map(|_| ()).unwrap_err();
    assert_eq!(of(b""), GgufError::NotGguf { found: vec![] });
    assert_eq!(of(b"PK\x03\x04rest"), GgufError::NotGguf { found: b"PK\x03\x04".to_vec() });
    assert_eq!(
        of(b"PK\x03\x04").to_string(),
        r#"not a GGUF file: it begins with "PK\x03\x04", not with "GGUF""#
    );
    assert_eq!(of(b"GGUF\0\0\0\x03"), GgufError::BigEndian);
    for version in [0, 1, 4, u32::MAX] {
        assert_eq!(refusal(&Builder::new(version)), GgufError::Version(version));
    }
    for version in [2, 3] {
        assert_eq!(Gguf::parse(&Builder::new(version).build()).unwrap().version(), version);
    }
}

#[test]
fn declared_counts_are_checked_before_anything_is_allocated() {
    for count in [1, 1 << 31, 1 << 32, 1 << 60, u64::MAX] {
        let tensors = refusal(&Builder::default().counts(count, 0));
        assert_eq!(tensors, GgufError::Count { what: "tensors", offset: 8, count, room: 0 });
        let entries = refusal(&Builder::default().counts(0, count));
        assert_eq!(entries, GgufError::Count { what: "metadata entries", offset: 16, count, room: 0 });
    }
    for (element, least) in [(value::U8, 1), (value::F64, 8), (value::STRING, 8), (value::ARRAY, 12)] {
        for count in [25, 1 << 61, u64::MAX / 8 + 1, u64::MAX] {
            let array = Builder::encode_array(element, count, &[0; 24]);
            let error = refusal(&Builder::default().entry("a", value::ARRAY, &array));
            assert!(
                matches!(error, GgufError::Count { count: c, room, .. } if c == count && room == 24 / least),
                "{element}: {error}"
            );
        }
    }
}

#[test]
fn declared_lengths_are_checked() {
    for length in [1_u64, 1 << 32, 1 << 63, u64::MAX - 7, u64::MAX] {
        let error = refusal(&Builder::default().entry("a", value::STRING, &length.to_le_bytes()));
        assert!(
            matches!(error, GgufError::Truncated { need, have: 0, .. } if need == length),
            "{length}: {error}"
        );
        // The same for a key, and for the name of a tensor.
        let mut header = Builder::default().counts(0, 1).build();
        header.extend(length.to_le_bytes());
        header.extend([0; 8]);
        if length > 8 {
            let error = Gguf::parse(&header).map(|_| ()).unwrap_err();
            assert!(matches!(error, GgufError::Truncated { what: "a metadata key", .. }), "{error}");
        }
        let mut header = Builder::default().counts(1, 0).build();
        header.extend(length.to_le_bytes());
        header.extend([0; 24]);
        if length > 24 {
            let error = Gguf::parse(&header).map(|_| ()).unwrap_err();
            assert!(matches!(error, GgufError::Truncated { what: "a tensor name", .. }), "{error}");
        }
    }
}

#[test]
fn arrays_nest_to_a_depth_and_no_deeper() {
    let nested = |depth| {
        let innermost = Builder::encode_array(value::U8, 1, &[7]);
        let array =
            (1..depth).fold(innermost, |elements, _| Builder::encode_array(value::ARRAY, 1, &elements));
        Builder::default().entry("deep", value::ARRAY, &array)
    };
    for depth in 1..=MAX_ARRAY_DEPTH {
        let bytes = nested(depth).build();
        exercise(&Gguf::parse(&bytes).unwrap());
    }
    for depth in [MAX_ARRAY_DEPTH + 1, 1000, 100_000] {
        assert_eq!(refusal(&nested(depth)), GgufError::ArrayDepth { key: "deep".to_owned() });
    }
}

#[test]
fn values_must_be_what_their_type_says() {
    let error = refusal(&Builder::default().entry("k", 13, &[0; 8]));
    assert_eq!(error, GgufError::ValueType { key: "k".to_owned(), id: 13 });
    let error = refusal(&Builder::default().entry("k", value::ARRAY, &Builder::encode_array(99, 0, &[])));
    assert_eq!(error, GgufError::ValueType { key: "k".to_owned(), id: 99 });
    let error = refusal(&Builder::default().entry("k", value::BOOL, &[2]));
    assert_eq!(error, GgufError::Bool { key: "k".to_owned(), found: 2 });
    let bools = Builder::encode_array(value::BOOL, 2, &[1, 255]);
    let error = refusal(&Builder::default().entry("k", value::ARRAY, &bools));
    assert_eq!(error, GgufError::Bool { key: "k".to_owned(), found: 255 });
}

#[test]
fn names_are_unique_and_utf8() {
    let twice = Builder::default().u32("k", 1).u32("k", 1);
    assert_eq!(refusal(&twice), GgufError::Duplicate { what: "key", name: "k".to_owned() });
    let twice = Builder::default().tensor("t", &[1], F32, &[0; 4]).tensor("t", &[1], F32, &[0; 4]);
    assert_eq!(refusal(&twice), GgufError::Duplicate { what: "tensor", name: "t".to_owned() });
    let mut bytes = Builder::default().u32("k", 1).build();
    bytes[32] = 0xff;
    assert_eq!(Gguf::parse(&bytes).map(|_| ()).unwrap_err(), GgufError::NameNotUtf8 { offset: 24 });
    // What a name could do to a terminal.
    let error = refusal(&Builder::default().describe("\x1b[2J", &[0], F32, 0));
    assert!(!error.to_string().contains('\x1b'), "{error}");
}

#[test]
fn alignments_are_powers_of_two_within_reason() {
    for alignment in [0, 3, 48, (1 << 20) + 1, 1 << 21, 1 << 31, u32::MAX] {
        let file = Builder::default().u32("general.alignment", alignment);
        assert_eq!(refusal(&file), GgufError::Alignment(alignment));
    }
    for alignment in [1, 8, 32, 4096, 1 << 20] {
        let bytes = Builder::default().alignment(alignment).tensor("t", &[1], F32, &[1; 4]).build();
        let file = Gguf::parse(&bytes).unwrap();
        assert_eq!(file.alignment(), alignment as usize);
        assert_eq!(file.tensor("t").unwrap().data().unwrap(), [1; 4]);
    }
    let error = refusal(&Builder::default().str("general.alignment", "32"));
    assert!(matches!(error, GgufError::WrongType { .. }), "{error}");
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let shape = |dims: &[u64], ty| refusal(&Builder::default().describe("t", dims, ty, 0));
    // A product that overflowed in an earlier engine.
    let crash = [18_436_137_873_095_478_032, 1_212_696_576];
    for dims in [&crash[..], &[0], &[4, 0], &[1, 1, 1, 0], &[u64::MAX, 2], &[1 << 32, 1 << 32], &[1 << 62]] {
        let expected = GgufError::Shape { tensor: "t".to_owned(), dims: dims.to_vec() };
        assert_eq!(shape(dims, F32), expected, "{dims:?}");
    }
    for ty in [F16, Q8_0, Q4_K, Q6_K, TQ2_0, I2_S, Q3_K, 12345] {
        let error = shape(&crash, ty);
        assert!(matches!(error, GgufError::Shape { .. }), "{ty}: {error}");
    }
    for count in [0, 5] {
        let file = Builder::default().describe("t", &vec![1; count], F32, 0).tensor("z", &[8], F32, &[0; 32]);
        let expected = GgufError::DimensionCount { tensor: "t".to_owned(), found: count as u32 };
        assert_eq!(refusal(&file), expected);
    }
    for (ty, columns, unit) in [(Q8_0, 33, 32), (Q6_K, 128, 256), (TQ2_0, 255, 256), (I2_S, 3, 4)] {
        let error = shape(&[columns, 1], ty);
        assert!(matches!(error, GgufError::RowLength { unit: u, .. } if u == unit), "{ty}: {error}");
    }
}

#[test]
fn tensors_lie_in_the_file_and_apart() {
    let one = |offset| {
        refusal(&Builder::default().describe("a", &[8], F32, offset).tensor("z", &[8], F32, &[0; 32]))
    };
    for offset in [32, 1 << 32, 1 << 63, u64::MAX - 31] {
        assert!(
            matches!(one(offset), GgufError::OutOfFile { offset: o, .. } if o == offset),
            "{}",
            one(offset)
        );
    }
    for offset in [1, 16, u64::MAX] {
        assert!(matches!(one(offset), GgufError::OffsetAlignment { .. }), "{}", one(offset));
    }
    let overlap =
        |first: &str, second: &str| GgufError::Overlap { first: first.to_owned(), second: second.to_owned() };
    assert_eq!(one(0), overlap("a", "z"));
    let inside = Builder::default().tensor("big", &[32], F32, &[0; 128]).describe("inside", &[8], F32, 64);
    assert_eq!(refusal(&inside), overlap("big", "inside"));
    // Also with a tensor whose length nobody knows.
    let inside = Builder::default().tensor("big", &[32], F32, &[0; 128]).describe("unknown", &[8], 999, 96);
    assert_eq!(refusal(&inside), overlap("big", "unknown"));
    let out = Builder::default().tensor("big", &[32], F32, &[0; 128]).describe("unknown", &[8], 999, 160);
    assert!(matches!(refusal(&out), GgufError::OutOfFile { .. }));

    // Order and gaps are the writer's own business.
    let bytes = Builder::default()
        .tensor("first", &[8], F32, &[7; 160])
        .describe("third", &[8], F32, 128)
        .describe("second", &[8], F32, 64)
        .build();
    let file = Gguf::parse(&bytes).unwrap();
    for tensor in file.tensors() {
        assert_eq!(tensor.data().unwrap(), [7; 32], "{}", tensor.name());
    }
}

#[test]
fn tensors_of_other_types_are_named_when_used() {
    let bytes = Builder::default()
        .tensor("good", &[1], F32, &1.0_f32.to_le_bytes())
        .tensor("blk.0.ffn_up.weight", &[256], Q3_K, &[0; 110])
        .tensor("odd", &[256], 4711, &[0; 64])
        .tensor("tl2", &[256], 39, &[0; 64])
        .build();
    let file = Gguf::parse(&bytes).unwrap();
    let layout = I2sLayout::default();
    assert_eq!(file.tensor("good").unwrap().dequantize(layout).unwrap(), [1.0]);
    for (name, ty) in [
        ("blk.0.ffn_up.weight", "type 11 (Q3_K)"),
        ("odd", "type 4711 (unknown)"),
        ("tl2", "type 39 (TL2 of bitnet.cpp, MXFP4 of llama.cpp)"),
    ] {
        let message = file.tensor(name).unwrap().dequantize(layout).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(ty), "{message}");
        assert!(message.contains("Q6_K") && message.contains("I2_S"), "{message}");
    }
    let mut text = Vec::new();
    inspect::gguf(&file, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("problem: tensor `odd` has type 4711 (unknown)"), "{text}");
}

#[test]
fn codes_that_cannot_be_are_refused() {
    let mut ternary = [0; 66];
    ternary[40] = 0b00_11_00_00;
    let mut i2_s = [0; 64];
    i2_s[31] = 3;
    let mut scale = [0; 64];
    scale[32..36].copy_from_slice(&f32::NAN.to_le_bytes());
    let bytes = Builder::default()
        .tensor("tq2_0", &[256], TQ2_0, &ternary)
        .tensor("code", &[128], I2_S, &i2_s)
        .tensor("scale", &[128], I2_S, &scale)
        .tensor("columns", &[64, 2], I2_S, &[0; 64])
        .build();
    let file = Gguf::parse(&bytes).unwrap();
    for (name, part) in [
        ("tq2_0", "the code 3"),
        ("code", "the code 3"),
        ("scale", "not a number"),
        ("columns", "--i2s-layout"),
    ] {
        let message = file.tensor(name).unwrap().dequantize(I2sLayout::X86_128).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(part), "{message}");
    }
    assert!(file.tensor("columns").unwrap().dequantize(I2sLayout::Arm64).is_ok());

    let mut text = Vec::new();
    inspect::gguf(&file, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    // The four tensors, and what every import needs.
    assert_eq!(text.matches("problem: ").count(), 5, "{text}");
    assert!(text.contains("general.architecture"), "{text}");
    assert!(text.contains("those that fit the data of this one: none"), "{text}");
}

#[test]
fn metadata_is_taken_as_what_it_is() {
    let bytes = sample().build();
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!(file.require::<u32>("u8"), Ok(1));
    assert_eq!(file.require::<i32>("i8"), Ok(-1));
    assert_eq!(file.require::<bool>("bool"), Ok(true));
    assert_eq!(file.get::<u32>("absent"), Ok(None));
    assert_eq!(file.require::<&str>("general.architecture"), Ok("llama"));
    let tokens: List<'_, &str> = file.require("tokens").unwrap();
    assert_eq!(tokens.iter().collect::<Vec<_>>(), ["a", "", "longer"]);

    let message = |error: GgufError| error.to_string();
    assert_eq!(message(file.require::<u32>("absent").unwrap_err()), "the file has no metadata `absent`");
    assert_eq!(
        message(file.require::<u32>("i8").unwrap_err()),
        "metadata `i8` is -1; it must be an integer from 0 to 4294967295"
    );
    assert_eq!(
        message(file.require::<List<'_, f32>>("tokens").map(|_| ()).unwrap_err()),
        r#"metadata `tokens` is ["a", "", "longer"]; it must be an array of which every element is a floating-point number"#
    );
}
