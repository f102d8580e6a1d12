"""Continues a prompt with llama.cpp, greedily, and judges another engine's tokens for it; prints one JSON object.

usage: compare_text.py MODEL.gguf THREADS QUESTION

The question is a JSON object: `prompt`, `system` (a text makes of both a conversation in the model's own template, null gives the
prompt as it is), `stops`, `max_tokens`, and `ids`, the other engine's tokens, with the end token if one was drawn. The answer:
`prompt_tokens`; `text`, `reason` (`stop` for a stop string and for an end token, or `length`) and `ids` of llama.cpp's own
completion; and in `steps` for each of the other engine's tokens, behind those before it: the likeliest token (`best`), its `name`
and its log-probability, and that of the other engine's token (`given_logprob`). f16 KV cache, flash attention off.
"""

import json
import sys

from llama import Completer, Llama, about


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    question = json.loads(sys.argv[3])
    prompt, given, most = question["prompt"], question["ids"], question["max_tokens"]
    # Tokens are at least a byte, but for the few that a template puts around a message.
    positions = len(prompt.encode()) + len((question["system"] or "").encode()) + max(most, len(given)) + 256
    llama = Llama(path, positions, threads, flash_attn_type=0)
    if question["system"] is None:
        ids = llama.tokenize(prompt.encode(), ends=True, names=False)
    else:
        text = llama.render([("system", question["system"]), ("user", prompt)])
        ids = llama.tokenize(text.encode(), ends=True)
    steps = []
    llama.run(ids, 0)
    for at, token in enumerate(given):
        steps.append(step(llama, token))
        llama.run([token], len(ids) + at)
    done = Completer(path, positions, threads).complete(ids, question["stops"], most)
    print(json.dumps({"about": about(), "prompt_tokens": len(ids), "steps": steps, **done}))


def step(llama, given):
    """What llama.cpp says where a pass has just ended."""
    logprobs = llama.logprobs()
    best = int(logprobs.argmax())
    name = "end token" if llama.ends(best) else llama.piece(best).decode(errors="replace")
    return {"best": best, "name": name, "logprob": float(logprobs[best]), "given_logprob": float(logprobs[given])}


main()
