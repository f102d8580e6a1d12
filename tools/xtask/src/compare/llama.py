"""Measures llama.cpp on one model, with the low-level interface of llama-cpp-python; prints one JSON object.

usage: llama.py MODEL.gguf THREADS PREFILL,PREFILL,... DECODE

Prefill: so many tokens in micro-batches of 512, into an empty context, logits for the last one only. Decode: so many tokens one
after the other, each the likeliest one, into an empty context. Speeds are in tokens/s. The load is not measured.
"""

import ctypes
import json
import sys
import time

import llama_cpp
import numpy

QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)


def main():
    model_path, threads, prefills, decode = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    prefills = [int(n) for n in prefills.split(",") if n]
    llama_cpp.llama_log_set(QUIET, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(
        model_path.encode(), llama_cpp.llama_model_default_params()
    )
    if not model:
        sys.exit(f"llama.cpp cannot load {model_path}")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = max([decode, *prefills]) + 1
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        sys.exit(f"llama.cpp refuses a context of {params.n_ctx} positions")
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    # The same tokens for every engine: see `prompt_token` in tools/bitnet/src/bench.
    prompt = [(1 + 7919 * i) % vocab for i in range(max([1, *prefills]))]

    run(context, prompt[:1], 0)
    result = {"about": llama_cpp.llama_print_system_info().decode().strip(" |"), "prefill": {}, "decode": None}
    for tokens in prefills:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        start = time.perf_counter()
        for at in range(0, tokens, 512):
            run(context, prompt[at : min(at + 512, tokens)], at)
        llama_cpp.llama_synchronize(context)
        result["prefill"][str(tokens)] = tokens / (time.perf_counter() - start)
    if decode:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        token = prompt[0]
        start = time.perf_counter()
        for at in range(decode):
            run(context, [token], at)
            logits = llama_cpp.llama_get_logits_ith(context, -1)
            token = int(numpy.ctypeslib.as_array(logits, shape=(vocab,)).argmax())
        result["decode"] = decode / (time.perf_counter() - start)
    print(json.dumps(result))


def run(context, tokens, start):
    """One pass, logits for the last token only."""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i] = token
        batch.pos[i] = start + i
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = 0
        batch.logits[i] = i == len(tokens) - 1
    status = llama_cpp.llama_decode(context, batch)
    llama_cpp.llama_batch_free(batch)
    if status:
        sys.exit(f"llama.cpp's decode failed with {status}")


main()
