"""Measures a text's perplexity with llama.cpp as its `llama-perplexity` does; prints one JSON object.

usage: compare_perplexity.py MODEL.gguf THREADS TEXT CONTEXT WINDOWS

The text without a line break at its end, names of control tokens being text, with the vocabulary's beginning token where it adds
one, in windows of CONTEXT tokens of which the first is that token again; of each the second half is scored, by log-probabilities
over the whole vocabulary. Parameters of the context are llama.cpp's own defaults. `running` has the perplexity after each window.
"""

import json
import math
import sys

import llama_cpp

from llama import Llama, about


def main():
    path, threads, text_path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    context, windows = int(sys.argv[4]), int(sys.argv[5])
    llama = Llama(path, context, threads, n_batch=context, n_ubatch=min(context, 512))
    with open(text_path, "rb") as file:
        text = file.read().removesuffix(b"\n")
    ids = llama.tokenize(text, ends=True, names=False)
    if len(ids) < windows * context:
        sys.exit(f"the text has {len(ids)} tokens in llama.cpp, too few for {windows} windows of {context}")
    begin = []
    if llama_cpp.llama_vocab_get_add_bos(llama.vocab):
        begin = [llama_cpp.llama_vocab_bos(llama.vocab)]
    nll, scored, running = 0.0, 0, []
    for start in range(0, windows * context, context):
        window = ids[start : start + context]
        llama.clear()
        # Behind the last token nothing is scored, but its logits are part of the pass.
        llama.run(begin + window[len(begin) :], 0, wanted=context - context // 2)
        for at in range(context // 2, context - 1):
            nll -= llama.logprobs(at)[window[at + 1]]
            scored += 1
        running.append(math.exp(nll / scored))
    print(json.dumps({"about": about(), "tokens": len(ids), "scored": scored, "running": running}))


main()
