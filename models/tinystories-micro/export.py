#!/usr/bin/env python3
"""Writes a checkpoint of train.py as GGUF.

  python3 export.py --data run --checkpoint run/ckpt.npz --type i2_s --out tinystories-micro-i2_s.gguf

Every type holds the same weights: a code in {-1, 0, 1} and one scale a matrix, which is rounded to 16 bits in all of them.
Needs numpy and gguf.
"""
import argparse
import json
from pathlib import Path

import gguf
import numpy as np

ARCHITECTURE = "bitnet-b1.58"
LAYERS, HEADS, HEAD_DIM, CONTEXT = 3, 4, 64, 256
EPSILON, ROPE_BASE = 1e-5, 10000.0
FILE_TYPES = {"f32": 0, "tq1_0": 36, "tq2_0": 37, "i2_s": 40}
MATRICES = {
    "wq": "attn_q", "wk": "attn_k", "wv": "attn_v", "wo": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip
NORMS = ("attn_norm", "attn_sub_norm", "ffn_norm", "ffn_sub_norm")


def ternary(matrix):
    """Codes -1, 0, 1 as i8, and the scale."""
    scale = np.float32(max(np.abs(matrix).mean(), 1e-5))
    codes = np.clip(np.rint(matrix / scale), -1, 1).astype(np.int8)
    return codes, np.float32(np.float16(scale))


def blocks_of_256(codes, scale, kind):
    """The ternary block types of ggml, with the scale as it is (gguf would compute it anew, to the same value)."""
    rows = codes.shape[0]
    q = (codes.reshape(-1, 256) + 1).astype(np.uint32)
    scales = np.broadcast_to(np.frombuffer(np.float16(scale).tobytes(), np.uint8), (len(q), 2))
    if kind == "tq2_0":
        planes = q.reshape(-1, 2, 4, 32)
        packed = planes[:, :, 0] | planes[:, :, 1] << 2 | planes[:, :, 2] << 4 | planes[:, :, 3] << 6
        return np.concatenate([packed.reshape(-1, 64).astype(np.uint8), scales], 1).reshape(rows, -1)
    powers = np.array([81, 27, 9, 3, 1], np.uint32).reshape(1, 5, 1)

    def pack(digits):
        number = (digits * powers[:, : digits.shape[1]]).sum(1)
        return ((number * 256 + 242) // 243).astype(np.uint8)

    parts = [pack(q[:, :160].reshape(-1, 5, 32)), pack(q[:, 160:240].reshape(-1, 5, 16)), pack(q[:, 240:].reshape(-1, 4, 4))]
    return np.concatenate([*parts, scales], 1).reshape(rows, -1)


class I2s(int):
    """bitnet.cpp's type 36, which gguf does not know."""

    value = 36


def add_i2_s(writer, name, codes, scale):
    """bitnet.cpp's layout for x86: blocks of 128 weights in 32 bytes, and the scale behind all codes."""
    q = (codes.reshape(-1, 4, 32) + 1).astype(np.uint8)
    data = np.zeros(codes.size // 4 + 32, np.uint8)
    data[:-32] = (q[:, 0] << 6 | q[:, 1] << 4 | q[:, 2] << 2 | q[:, 3]).ravel()
    data[-32:-28] = np.frombuffer(scale.tobytes(), np.uint8)
    info = gguf.gguf_writer.TensorInfo(shape=codes.shape, dtype=I2s(I2s.value), nbytes=data.nbytes, tensor=data)
    writer.tensors[-1][name] = info


def add_matrix(writer, name, matrix, kind):
    codes, scale = ternary(np.ascontiguousarray(matrix.T, np.float32))  # [out, in]
    types = gguf.GGMLQuantizationType
    if kind == "i2_s":
        add_i2_s(writer, name, codes, scale)
    elif kind == "f32":
        writer.add_tensor(name, codes.astype(np.float32) * scale)
    else:
        raw = types.TQ1_0 if kind == "tq1_0" else types.TQ2_0
        writer.add_tensor(name, blocks_of_256(codes, scale, kind), raw_dtype=raw)


def add_embedding(writer, embedding, kind):
    """Eight bits a weight beside ternary matrices; floats in the file that is for comparison."""
    if kind == "f32":
        writer.add_tensor("token_embd.weight", embedding)
    else:
        q8_0 = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor("token_embd.weight", gguf.quants.quantize(embedding, q8_0), raw_dtype=q8_0)


def add_metadata(writer, weights, tokenizer, kind):
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    writer.add_name("ternary-stories-micro")
    writer.add_uint32(ARCHITECTURE + ".vocab_size", len(vocabulary))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(weights["emb"].shape[1])
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(weights["gate"].shape[2])
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(weights["wk"].shape[2] // HEAD_DIM)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if token == "<|endoftext|>" else 1 for token in vocabulary])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that prepare.py wrote")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--type", choices=FILE_TYPES, default="i2_s")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    weights = np.load(args.checkpoint)
    writer = gguf.GGUFWriter(args.out, ARCHITECTURE)
    add_metadata(writer, weights, json.loads((args.data / "tokenizer.json").read_text()), args.type)
    add_embedding(writer, weights["emb"], args.type)
    writer.add_tensor("output_norm.weight", weights["norm"])
    for layer in range(LAYERS):
        for name in NORMS:
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ascontiguousarray(weights[name][layer]))
        for name, tensor in MATRICES.items():
            add_matrix(writer, f"blk.{layer}.{tensor}.weight", weights[name][layer], args.type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
