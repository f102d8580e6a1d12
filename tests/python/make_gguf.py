#!/usr/bin/env python3
"""Writes GGUF files with the reference implementation, and what their tensors contain.

    pip install gguf numpy
    python make_gguf.py OUT_DIR

The package `gguf` is llama.cpp's own; nothing of this project is involved. For each file NAME.gguf there is a folder
NAME.values with one file a tensor: its values as little-endian f32, as `gguf.quants.dequantize` computes them. The
metadata that `metadata.gguf` holds are in `metadata.json`. The output is the same on every run.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as Value

# Shapes as numpy has them: rows, then columns.
SHAPE = (6, 512)

# Where the f16 scales of a block stand.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.TQ1_0: [52],
    Type.TQ2_0: [64],
}

# f16: zeros, the smallest and largest subnormals, the smallest normal, one, the largest, with both signs.
EXTREME_SCALES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]


def random_blocks(rng, ty):
    """Blocks of random bytes with finite scales: every scale an ordinary number, or one of the extremes."""
    weights, size = gguf.GGML_QUANT_SIZES[ty]
    count = SHAPE[0] * SHAPE[1] // weights
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if ty == Type.TQ2_0:
        # Only ternary codes: 3 is refused on purpose, see `tq2_0-code3`.
        codes = rng.integers(0, 3, (count, size, 4), dtype=np.uint8)
        blocks = (codes << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(axis=2).astype(np.uint8)
    for at in SCALES[ty]:
        scales = rng.standard_normal(count).astype(np.float16).view(np.uint16)
        extreme = rng.integers(0, len(EXTREME_SCALES), count)
        scales = np.where(rng.random(count) < 0.5, scales, np.array(EXTREME_SCALES, dtype=np.uint16)[extreme])
        blocks[:, at : at + 2] = scales.astype("<u2")[:, None].view(np.uint8).reshape(count, 2)
    return blocks.reshape(SHAPE[0], -1)


def extreme_blocks(ty):
    """One row of blocks of equal bytes for each of some bytes, and for each extreme scale."""
    weights, size = gguf.GGML_QUANT_SIZES[ty]
    fills = [0x00, 0x55, 0xAA] if ty == Type.TQ2_0 else [0x00, 0x55, 0x7F, 0x80, 0xFF]
    rows = []
    for fill in fills:
        for scale in EXTREME_SCALES:
            block = np.full(size, fill, dtype=np.uint8)
            for at in SCALES[ty]:
                block[at : at + 2] = np.frombuffer(np.uint16(scale).astype("<u2").tobytes(), np.uint8)
            rows.append(block)
    return np.array(rows)


def quantized_values(rng, ty):
    """Real weights through the reference quantizer, zeros and single outliers among them."""
    weights = rng.standard_normal(SHAPE).astype(np.float32)
    weights[0] = 0
    weights[1, ::7] *= 1000
    weights[2] *= np.float32(2.0**-20)
    weights[3] = np.sign(weights[3]) * np.float32(0.75)
    return gguf.quants.quantize(weights, ty)


def float_bits(rng, ty):
    """Random bit patterns, and all special ones."""
    width = {Type.F32: "u4", Type.F16: "u2", Type.BF16: "u2"}[ty]
    bits = rng.integers(0, 1 << (8 * int(width[1])), SHAPE, dtype=np.uint64).astype("<" + width)
    special = {
        Type.F32: [0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000],
        Type.F16: [*EXTREME_SCALES, 0x7C00, 0xFC00, 0x7E00],
        Type.BF16: [0, 0x8000, 1, 0x007F, 0x0080, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0],
    }[ty]
    bits[0, : len(special)] = special
    # Signalling NaNs change in the hands of numpy; what becomes of them says nothing about a reader.
    quiet = {Type.F32: (0x7F800000, 0x00400000), Type.F16: (0x7C00, 0x0200), Type.BF16: (0x7F80, 0x0040)}[ty]
    nan = ((bits & quiet[0]) == quiet[0]) & ((bits & (quiet[1] * 2 - 1)) != 0)
    return np.where(nan, bits | quiet[1], bits).astype("<" + width)


def tensor_data(rng):
    """All tensors: (name, type, array of bytes or of floats as the writer takes them)."""
    for ty in (Type.F32, Type.F16, Type.BF16):
        bits = float_bits(rng, ty)
        yield f"{ty.name.lower()}.bits", ty, bits.view(np.uint8)
    for ty in SCALES:
        name = ty.name.lower()
        yield f"{name}.random", ty, random_blocks(rng, ty)
        yield f"{name}.extreme", ty, extreme_blocks(ty)
        # `gguf` has no quantizers for the K types.
        if not name.endswith("_k"):
            yield f"{name}.quantized", ty, quantized_values(rng, ty)


def write_tensors(out, rng):
    writer = gguf.GGUFWriter(out / "tensors.gguf", "test")
    values = out / "tensors.values"
    values.mkdir(parents=True, exist_ok=True)
    for name, ty, data in tensor_data(rng):
        writer.add_tensor(name, data, raw_dtype=ty)
        with np.errstate(over="ignore", invalid="ignore"):
            exact = gguf.quants.dequantize(data, ty)
        exact.astype("<f4").tofile(values / f"{name}.f32")
    # A block that no quantizer makes, to be refused.
    damaged = random_blocks(rng, Type.TQ2_0)
    damaged[3, 17] |= 0b00110000
    writer.add_tensor("tq2_0-code3", damaged, raw_dtype=Type.TQ2_0)
    # A type that is not supported, to be named.
    writer.add_tensor("q5_1.unsupported", gguf.quants.quantize(np.ones((2, 64), np.float32), Type.Q5_1), raw_dtype=Type.Q5_1)
    # One to four dimensions, and a tensor whose bytes need padding behind them.
    for dims in ((7,), (3, 5), (2, 3, 5), (2, 3, 4, 5)):
        name, data = f"dims{len(dims)}", np.arange(np.prod(dims), dtype=np.float32).reshape(dims)
        writer.add_tensor(name, data)
        data.astype("<f4").tofile(values / f"{name}.f32")
    finish(writer)


def write_metadata(out):
    entries = [
        ("u8", Value.UINT8, 255),
        ("i8", Value.INT8, -128),
        ("u16", Value.UINT16, 65535),
        ("i16", Value.INT16, -32768),
        ("u32", Value.UINT32, 4294967295),
        ("i32", Value.INT32, -2147483648),
        ("u64", Value.UINT64, 18446744073709551615),
        ("i64", Value.INT64, -9223372036854775808),
        ("f32", Value.FLOAT32, 0.10000000149011612),
        ("f64", Value.FLOAT64, 0.1),
        ("true", Value.BOOL, True),
        ("false", Value.BOOL, False),
        ("string", Value.STRING, "a string: äöü, 日本, \x07"),
        ("empty string", Value.STRING, ""),
        ("array of i32", Value.ARRAY, [1, -2, 3]),
        ("array of f32", Value.ARRAY, [0.5, -0.25]),
        ("array of bool", Value.ARRAY, [True, False, True]),
        ("array of strings", Value.ARRAY, ["", "é", "longer than the others"]),
    ]
    writer = gguf.GGUFWriter(out / "metadata.gguf", "test")
    writer.add_custom_alignment(64)
    for key, ty, value in entries:
        writer.add_key_value(key, value, ty)
    writer.add_tensor("only", np.array([1.0, 2.0], np.float32))
    finish(writer)
    listed = [{"key": key, "type": ty.name, "value": value} for key, ty, value in entries]
    (out / "metadata.json").write_text(json.dumps(listed, indent=1))


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_gguf.py OUT_DIR")
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(out, np.random.default_rng(2024))
    write_metadata(out)


if __name__ == "__main__":
    main()
