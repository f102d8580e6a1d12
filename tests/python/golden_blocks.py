#!/usr/bin/env python3
"""Writes what llama.cpp makes of the models of random blocks: `tests/data/golden/blocks.json`.

    pip install llama-cpp-python numpy
    cargo run -p bitnet-edge-tests --example block_models -- FOLDER
    python golden_blocks.py FOLDER OUT.json
"""

import hashlib
import json
import sys
from pathlib import Path

import llama_cpp
import numpy as np

LAYOUTS = ["q4r4", "q4m4", "q5r4", "q8r4", "q4k4", "q5k4", "q6r4"]
PROMPTS = [[0, 7, 14, 21, 28, 35, 42, 49], [0, 3, 59, 3, 59]]
STEPS = 6


def number(value):
    return float(f"{value:.7g}")


def step(logits):
    order = np.argsort(-logits)[:10]
    return {
        "id": int(order[0]),
        "rms": number(np.sqrt(np.mean(np.square(logits, dtype=np.float64)))),
        "top": [[int(i), number(logits[i])] for i in order],
        "logits": [number(x) for x in logits],
    }


def run(path):
    model = llama_cpp.Llama(str(path), n_ctx=64, n_threads=1, n_threads_batch=1, flash_attn=False, logits_all=True, verbose=False)
    cases = []
    for prompt in PROMPTS:
        model.reset()
        model.eval(prompt)
        steps = [step(model.scores[model.n_tokens - 1])]
        while len(steps) < STEPS:
            model.eval([steps[-1]["id"]])
            steps.append(step(model.scores[model.n_tokens - 1]))
        cases.append({"prompt": " ".join(map(str, prompt)), "bos": True, "prompt_ids": prompt, "steps": steps})
    return cases


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: golden_blocks.py FOLDER OUT.json")
    models = []
    for layout in LAYOUTS:
        path = Path(sys.argv[1]) / f"{layout}.gguf"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        models.append({"layout": layout, "sha256": digest, "cases": run(path)})
    engine = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}, CPU, 1 thread, f16 KV cache, flash attention off"
    Path(sys.argv[2]).write_text(json.dumps({"engine": engine, "models": models}, separators=(",", ":")))


if __name__ == "__main__":
    main()
