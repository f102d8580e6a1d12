//! The GGUF reader against the reference writer: files that the Python package `gguf` wrote, and the values that it
//! reads from them. Every bit must agree.
//!
//! `cargo xtask fetch gguf-reference` makes the files, with `tests/python/make_gguf.py`.

use std::path::PathBuf;

use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_tests::files;
use bitnet_pack::gguf::{FromValue, Gguf, GgufError, List, TensorType, Value};
use serde_json::Value as Json;

fn reference(name: &str) -> PathBuf {
    files::fetched().join("gguf-reference").join(name)
}

#[test]
fn every_value_of_every_type_agrees() {
    let bytes = files::read(reference("tensors.gguf"));
    let file = Gguf::parse(&bytes).unwrap();
    let (mut tensors, mut values, mut seen) = (0, 0, Vec::new());
    for tensor in file.tensors() {
        if ["tq2_0-code3", "q5_1.unsupported"].contains(&tensor.name()) {
            continue;
        }
        let expected = files::read(reference("tensors.values").join(format!("{}.f32", tensor.name())));
        let expected: Vec<u32> =
            expected.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let ours = tensor.dequantize(I2sLayout::default()).unwrap();
        assert_eq!(ours.len(), expected.len(), "{}", tensor.name());
        for (index, (ours, theirs)) in ours.iter().map(|value| value.to_bits()).zip(&expected).enumerate() {
            assert_eq!(ours, *theirs, "{}[{index}]: {ours:#010x}, reference {theirs:#010x}", tensor.name());
        }
        (tensors, values) = (tensors + 1, values + expected.len());
        seen.push(tensor.ty());
    }
    for ty in TensorType::SUPPORTED {
        // `gguf` does not know I2_S: the golden values of bitnet.cpp are the reference there.
        assert!(ty == TensorType::I2_S || seen.contains(&ty), "the reference has no tensor of type {ty}");
    }
    println!("{tensors} tensors, {values} values, all equal");
}

#[test]
fn damaged_and_unsupported_tensors_are_refused() {
    let bytes = files::read(reference("tensors.gguf"));
    let file = Gguf::parse(&bytes).unwrap();
    let refusal = |name| file.tensor(name).unwrap().dequantize(I2sLayout::default()).unwrap_err();
    assert!(matches!(refusal("tq2_0-code3"), GgufError::Data { .. }));
    assert_eq!(
        refusal("q5_1.unsupported"),
        GgufError::UnsupportedType { tensor: "q5_1.unsupported".to_owned(), ty: TensorType::Unsupported(7) }
    );
    let dims = |name| file.tensor(name).unwrap().dims();
    assert_eq!(dims("dims1"), [7]);
    assert_eq!(dims("dims2"), [5, 3]);
    assert_eq!(dims("dims3"), [5, 3, 2]);
    assert_eq!(dims("dims4"), [5, 4, 3, 2]);
}

#[test]
fn metadata_of_every_type_agrees() {
    let bytes = files::read(reference("metadata.gguf"));
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!(file.alignment(), 64);
    let entries: Vec<Json> = files::read_json(reference("metadata.json"));
    for entry in &entries {
        let key = entry["key"].as_str().unwrap();
        let expected = &entry["value"];
        let value = file.value(key).unwrap_or_else(|| panic!("no `{key}`"));
        let ty = match entry["type"].as_str().unwrap() {
            "UINT8" => "u8",
            "INT8" => "i8",
            "UINT16" => "u16",
            "INT16" => "i16",
            "UINT32" => "u32",
            "INT32" => "i32",
            "UINT64" => "u64",
            "INT64" => "i64",
            "FLOAT32" => "f32",
            "FLOAT64" => "f64",
            "BOOL" => "bool",
            "STRING" => "str",
            "ARRAY" => "array",
            other => panic!("the reference has a value type {other} that this test does not know"),
        };
        assert_eq!(value.value_type().name(), ty, "{key}");
        assert_eq!(to_json(value), *expected, "{key}");
    }
    // The typed getters, beyond the decoding.
    assert_eq!(file.require::<u64>("u64"), Ok(u64::MAX));
    assert_eq!(file.require::<i32>("i32"), Ok(i32::MIN));
    assert_eq!(file.require::<f32>("f32"), Ok(0.1));
    assert_eq!(list::<&str>(&file, "array of strings"), ["", "é", "longer than the others"]);
    assert_eq!(list::<i32>(&file, "array of i32"), [1, -2, 3]);
    assert_eq!(list::<bool>(&file, "array of bool"), [true, false, true]);
}

fn list<'a, T: FromValue<'a>>(file: &Gguf<'a>, key: &str) -> Vec<T> {
    file.require::<List<'a, T>>(key).unwrap().iter().collect()
}

fn to_json(value: Value<'_>) -> Json {
    match value {
        Value::U8(value) => value.into(),
        Value::I8(value) => value.into(),
        Value::U16(value) => value.into(),
        Value::I16(value) => value.into(),
        Value::U32(value) => value.into(),
        Value::I32(value) => value.into(),
        Value::U64(value) => value.into(),
        Value::I64(value) => value.into(),
        Value::F32(value) => f64::from(value).into(),
        Value::F64(value) => value.into(),
        Value::Bool(value) => value.into(),
        Value::String(bytes) => str::from_utf8(bytes).unwrap().into(),
        Value::Array(array) => array.iter().map(to_json).collect(),
    }
}
