#!/usr/bin/env python3
"""Trains the ternary model on the tokens of prepare.py.

  python3 train.py --data run --run run [--threads 2] [--device cpu|cuda] [--compile]

Writes run/ckpt.npz (and run/best.npz, the best validation loss of the second half). Needs numpy and torch, 1.13 or later.

The network is BitNet b1.58 2B4T's, scaled down: RMSNorm, BitLinear q, k, v, RoPE (half-split), grouped-query attention, a norm
before the output projection; RMSNorm, BitLinear gate and up, relu(gate)^2 * up, a norm before the down projection; the head is
the embedding. BitLinear: ternary weights by the absolute mean of a matrix, 8-bit activations by the absolute maximum of a token,
gradients straight through both. Products are in bfloat16, in which ternary and 8-bit codes are exact.
"""
import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

WIDTH, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, CONTEXT = 256, 3, 4, 1, 64, 512, 256
EPSILON, ROPE_BASE = 1e-5, 10000.0
MATRICES = {
    "wq": (WIDTH, HEADS * HEAD_DIM),
    "wk": (WIDTH, KV_HEADS * HEAD_DIM),
    "wv": (WIDTH, KV_HEADS * HEAD_DIM),
    "wo": (HEADS * HEAD_DIM, WIDTH),
    "gate": (WIDTH, FFN),
    "up": (WIDTH, FFN),
    "down": (FFN, WIDTH),
}
NORMS = {"attn_norm": WIDTH, "attn_sub_norm": HEADS * HEAD_DIM, "ffn_norm": WIDTH, "ffn_sub_norm": FFN}
BF16 = torch.bfloat16


class BitLinear(torch.autograd.Function):
    """x [N, in] -> [N, sum of out], through weights [in, out] that share their input."""

    @staticmethod
    def forward(ctx, x, *weights):
        scale = x.abs().amax(-1, keepdim=True).clamp_min_(1e-5).mul_(1 / 127.0)
        codes = (x / scale).round_().clamp_(-128, 127).to(BF16)
        means = [w.abs().mean().clamp_min(1e-5) for w in weights]
        ternary = torch.cat([(w / m).round_().clamp_(-1, 1).to(BF16) for w, m in zip(weights, means)], 1)
        columns = torch.cat([m.expand(w.shape[1]) for w, m in zip(weights, means)])
        ctx.save_for_backward(codes, scale, ternary, columns)
        ctx.widths = [w.shape[1] for w in weights]
        return (codes @ ternary).float().mul_(scale).mul_(columns)

    @staticmethod
    def backward(ctx, gradient):
        codes, scale, ternary, columns = ctx.saved_tensors
        to_input = ((gradient * columns).to(BF16) @ ternary.t()).float()
        to_weights = (codes.t() @ (gradient * scale).to(BF16)).float()
        return (to_input, *to_weights.split(ctx.widths, 1))


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gain):
        inverse = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON)
        normal = x * inverse
        ctx.save_for_backward(normal, inverse, gain)
        return normal * gain

    @staticmethod
    def backward(ctx, gradient):
        normal, inverse, gain = ctx.saved_tensors
        scaled = gradient * gain
        to_input = (scaled - normal * (scaled * normal).mean(-1, keepdim=True)) * inverse
        return to_input, (gradient * normal).flatten(0, -2).sum(0)


class Product(torch.autograd.Function):
    """A product in bfloat16 of float tensors, with a float result."""

    @staticmethod
    def forward(ctx, a, b):
        a, b = a.to(BF16), b.to(BF16)
        ctx.save_for_backward(a, b)
        return (a @ b).float()

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        gradient = gradient.to(BF16)
        return (gradient @ b.transpose(-1, -2)).float(), (a.transpose(-1, -2) @ gradient).float()


class Model:
    def __init__(self, vocabulary, device):
        self.device = device
        parameters = {"emb": torch.randn(vocabulary, WIDTH) * 0.05, "norm": torch.ones(WIDTH)}
        for layer in range(LAYERS):
            for name in ("attn_norm", "wq", "wk", "wv", "attn_sub_norm", "wo", "ffn_norm", "gate", "up", "ffn_sub_norm", "down"):
                initial = torch.ones(NORMS[name]) if name in NORMS else torch.randn(MATRICES[name]) * 0.02
                parameters[f"{name}.{layer}"] = initial
        self.parameters = {name: value.to(device).requires_grad_() for name, value in parameters.items()}
        self.tables = {}

    def rope_and_mask(self, length):
        if length not in self.tables:
            turns = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float32) / HEAD_DIM)
            angles = (torch.arange(length, dtype=torch.float32)[:, None] * turns).to(self.device)[:, None]
            mask = torch.full((length, length), -1e30, device=self.device).triu(1)
            self.tables[length] = (angles.cos(), angles.sin(), mask)
        return self.tables[length]

    def attention(self, q, k, v, batch, length):
        cos, sin, mask = self.rope_and_mask(length)
        group = HEADS // KV_HEADS

        def rope(x):
            a, b = x[..., : HEAD_DIM // 2], x[..., HEAD_DIM // 2 :]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        q = rope(q.view(batch, length, HEADS, HEAD_DIM)).view(batch, length, KV_HEADS, group, HEAD_DIM)
        q = q.permute(0, 2, 3, 1, 4).reshape(batch * KV_HEADS, group * length, HEAD_DIM)
        k = rope(k.view(batch, length, KV_HEADS, HEAD_DIM)).permute(0, 2, 3, 1).reshape(batch * KV_HEADS, HEAD_DIM, length)
        v = v.view(batch, length, KV_HEADS, HEAD_DIM).transpose(1, 2).reshape(batch * KV_HEADS, length, HEAD_DIM)
        scores = Product.apply(q * HEAD_DIM**-0.5, k).view(batch * KV_HEADS, group, length, length)
        weights = torch.softmax(scores + mask, -1).view(batch * KV_HEADS, group * length, length)
        out = Product.apply(weights, v).view(batch, KV_HEADS, group, length, HEAD_DIM)
        return out.permute(0, 3, 1, 2, 4).reshape(batch * length, HEADS * HEAD_DIM)

    def __call__(self, ids):
        """ids [batch, length] -> logits [batch * length, vocabulary]"""
        batch, length = ids.shape
        x = functional.embedding(ids, self.parameters["emb"]).reshape(batch * length, WIDTH)
        for layer in range(LAYERS):
            p = {name: self.parameters[f"{name}.{layer}"] for name in (*MATRICES, *NORMS)}
            qkv = BitLinear.apply(RmsNorm.apply(x, p["attn_norm"]), p["wq"], p["wk"], p["wv"])
            q, k, v = qkv.split([HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM], 1)
            heads = self.attention(q, k, v, batch, length)
            x = x + BitLinear.apply(RmsNorm.apply(heads, p["attn_sub_norm"]), p["wo"])
            gate, up = BitLinear.apply(RmsNorm.apply(x, p["ffn_norm"]), p["gate"], p["up"]).split([FFN, FFN], 1)
            gated = functional.relu(gate).square() * up
            x = x + BitLinear.apply(RmsNorm.apply(gated, p["ffn_sub_norm"]), p["down"])
        return Product.apply(RmsNorm.apply(x, self.parameters["norm"]), self.parameters["emb"].t())

    def save(self, path):
        """Each kind of matrix and norm is one array, [layer, ...]."""
        arrays = {"emb": self.parameters["emb"], "norm": self.parameters["norm"]}
        for name in (*MATRICES, *NORMS):
            arrays[name] = torch.stack([self.parameters[f"{name}.{layer}"] for layer in range(LAYERS)])
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, **{name: value.detach().float().cpu().numpy() for name, value in arrays.items()})
        os.replace(partial, path)


class Batches:
    """Windows of CONTEXT + 1 tokens: at random for training, 64 spread evenly for validation."""

    def __init__(self, folder, batch, seed, device):
        self.training = np.fromfile(folder / "train.bin", np.uint16).astype(np.int64)
        self.validation = np.fromfile(folder / "val.bin", np.uint16).astype(np.int64)
        self.batch, self.device, self.random = batch, device, np.random.default_rng(seed)
        last = len(self.validation) - CONTEXT - 1
        self.starts = np.arange(0, last, max(1, last // 64))[:64]

    def windows(self, tokens, starts):
        return torch.from_numpy(np.stack([tokens[start : start + CONTEXT + 1] for start in starts])).to(self.device)

    def next(self):
        return self.windows(self.training, self.random.integers(0, len(self.training) - CONTEXT - 1, self.batch))

    def held_out(self):
        for start in range(0, len(self.starts) - self.batch + 1, self.batch):
            yield self.windows(self.validation, self.starts[start : start + self.batch])


def set_schedule(optimizer, args, step):
    """Linear to zero after a warm-up; weight decay in the first half only (the two stages of BitNet b1.58)."""
    done = step / args.steps
    rate = args.rate * (1 - done) * min(1, (step + 1) / args.warmup)
    optimizer.param_groups[0]["weight_decay"] = 0.1 if done < 0.5 else 0.0
    for group in optimizer.param_groups:
        group["lr"] = rate


def train(args):
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    meta = json.loads((args.data / "meta.json").read_text())
    model = Model(meta["vocabulary"], device)
    batches = Batches(args.data, args.batch, args.seed, device)
    values = model.parameters.values()
    optimizer = torch.optim.AdamW(
        [{"params": [v for v in values if v.dim() == 2]}, {"params": [v for v in values if v.dim() == 1], "weight_decay": 0.0}],
        betas=(0.9, 0.95),
    )
    print(f"{sum(v.numel() for v in values)} parameters, {len(batches.training)} training tokens, torch {torch.__version__}")

    def loss_of(window):
        return functional.cross_entropy(model(window[:, :-1]), window[:, 1:].reshape(-1))

    loss_of = torch.compile(loss_of) if args.compile else loss_of
    started, best = time.time(), math.inf
    for step in range(args.steps):
        set_schedule(optimizer, args, step)
        loss = loss_of(batches.next())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(values), 1.0)
        optimizer.step()
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            with torch.no_grad():
                held_out = float(np.mean([float(loss_of(window)) for window in batches.held_out()]))
            bits = held_out / meta["characters_per_token"] / math.log(2)
            rate = (step + 1) * args.batch * CONTEXT / (time.time() - started)
            print(f"step {step + 1} loss {float(loss):.4f} held-out {held_out:.4f} ({bits:.4f} bits/character) {rate:.0f} tokens/s", flush=True)
            model.save(args.run / "ckpt.npz")
            if held_out < best and step >= args.steps // 2:
                best = held_out
                model.save(args.run / "best.npz")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that prepare.py wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--steps", type=int, default=4300, help="4300 steps of 16 windows are 17.6M tokens, 10 epochs")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--every", type=int, default=100, help="steps between two validations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile; twice the speed with torch 2")
    args = parser.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()
