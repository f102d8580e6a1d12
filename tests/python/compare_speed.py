"""Measures llama.cpp on one model, with the low-level interface of llama-cpp-python; prints one JSON object.

usage: compare_speed.py MODEL.gguf THREADS PREFILL,PREFILL,... DECODE

Prefill: so many tokens in micro-batches of 512, into an empty context, logits for the last one only. Decode: so many tokens one
after the other, each the likeliest one, into an empty context. Speeds are in tokens/s. The load is not measured.
"""

import json
import sys
import time

import llama_cpp

from llama import Llama, about


def main():
    model_path, threads, prefills, decode = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    prefills = [int(n) for n in prefills.split(",") if n]
    llama = Llama(model_path, max([decode, *prefills]) + 1, threads, n_batch=512, n_ubatch=512)
    # The same tokens for every engine: see `prompt_token` in tools/bitnet/src/bench.
    prompt = [(1 + 7919 * i) % llama.size for i in range(max([1, *prefills]))]

    llama.run(prompt[:1], 0)
    result = {"about": about(), "prefill": {}, "decode": None}
    for tokens in prefills:
        llama.clear()
        start = time.perf_counter()
        for at in range(0, tokens, 512):
            llama.run(prompt[at : min(at + 512, tokens)], at)
        llama_cpp.llama_synchronize(llama.context)
        result["prefill"][str(tokens)] = tokens / (time.perf_counter() - start)
    if decode:
        llama.clear()
        token = prompt[0]
        start = time.perf_counter()
        for at in range(decode):
            llama.run([token], at)
            token = int(llama.logits().argmax())
        result["decode"] = decode / (time.perf_counter() - start)
    print(json.dumps(result))


main()
