"""llama.cpp by the interface of llama-cpp-python 0.3.36: what the scripts beside this one share."""

import ctypes
import sys

import llama_cpp
import numpy

QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(QUIET, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()


def about():
    """What llama.cpp says of this machine."""
    return llama_cpp.llama_print_system_info().decode().strip(" |")


class Llama:
    """A model and a context of so many positions, by the low-level interface; other parameters of the context by their names."""

    def __init__(self, path, positions, threads, **parameters):
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = positions
        params.n_threads = params.n_threads_batch = threads
        for name, value in parameters.items():
            setattr(params, name, value)
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            sys.exit(f"llama.cpp refuses a context of {positions} positions")

    def clear(self):
        """An empty context."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def run(self, tokens, start, wanted=1):
        """One pass, with logits for the last `wanted` tokens."""
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = start + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = i >= len(tokens) - wanted
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_batch_free(batch)
        if status:
            sys.exit(f"llama.cpp's decode failed with {status}")

    def logits(self, index=-1):
        """Those behind a token of the last pass, f32; they are overwritten by the next one."""
        logits = llama_cpp.llama_get_logits_ith(self.context, index)
        return numpy.ctypeslib.as_array(logits, shape=(self.size,))

    def logprobs(self, index=-1):
        """The natural logarithm of the probability of each token."""
        return logprobs(self.logits(index))

    def tokenize(self, text, ends=False, names=True):
        """Tokens of some bytes; `ends`: with what the vocabulary puts around a text, `names`: names of control tokens are such."""
        count = -llama_cpp.llama_tokenize(self.vocab, text, len(text), None, 0, ends, names)
        ids = (llama_cpp.llama_token * max(count, 1))()
        count = llama_cpp.llama_tokenize(self.vocab, text, len(text), ids, count, ends, names)
        return list(ids[:count])

    def render(self, messages):
        """Roles and contents, with the model's own template, ready for a reply."""
        template = llama_cpp.llama_model_chat_template(self.model, None)
        chat = (llama_cpp.llama_chat_message * len(messages))()
        for slot, (role, content) in zip(chat, messages):
            slot.role, slot.content = role.encode(), content.encode()
        buffer = ctypes.create_string_buffer(1 << 16)
        length = llama_cpp.llama_chat_apply_template(template, chat, len(messages), True, buffer, len(buffer))
        if not 0 <= length < len(buffer):
            sys.exit("llama.cpp does not know the model's chat template")
        return buffer.raw[:length].decode()

    def piece(self, token):
        """A token's bytes; none of a control token."""
        buffer = ctypes.create_string_buffer(1024)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def ends(self, token):
        """Whether a token ends a generation."""
        return llama_cpp.llama_vocab_is_eog(self.vocab, token)


def logprobs(logits):
    """The natural logarithm of the probability of each token, in f64."""
    shifted = logits.astype(numpy.float64)
    shifted -= shifted.max()
    return shifted - numpy.log(numpy.exp(shifted).sum())


class Completer:
    """Greedy completions with stop strings: `create_completion` of the package's high-level interface."""

    def __init__(self, path, positions, threads):
        self.llama = llama_cpp.Llama(
            path,
            n_ctx=positions,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=False,
            verbose=False,
        )

    def complete(self, ids, stops, most):
        """A dictionary: `text`, `reason` (stop or length), `ids` of the tokens, and by how much the likeliest token was ahead at least."""
        seen, margins = [], []

        def watch(_, logits):
            first, second = numpy.argsort(-logits, kind="stable")[:2]
            seen.append(int(first))
            margins.append(float(logits[first] - logits[second]))
            return logits

        # A context of its own: what is left of the last one would be taken over.
        self.llama.reset()
        done = self.llama.create_completion(
            list(ids),
            stop=list(stops),
            temperature=0,
            max_tokens=most,
            logits_processor=llama_cpp.LogitsProcessorList([watch]),
        )
        choice = done["choices"][0]
        # The token that ends a generation is drawn, but no part of the completion.
        tokens = done["usage"]["completion_tokens"]
        return {
            "text": choice["text"],
            "reason": choice["finish_reason"],
            "ids": seen[:tokens],
            "margin": round(min(margins), 3),
        }

    def stream(self, ids, stops, most):
        """The text that the same call gives as a stream."""
        self.llama.reset()
        parts = self.llama.create_completion(list(ids), stop=list(stops), temperature=0, max_tokens=most, stream=True)
        return "".join(part["choices"][0]["text"] for part in parts)
