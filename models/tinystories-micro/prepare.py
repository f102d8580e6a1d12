#!/usr/bin/env python3
"""Makes tokens of the training text: a byte-level BPE vocabulary of 512, train.bin, val.bin and val.txt.

  python3 prepare.py --out run

The text is `text/*.xz` beside this file, or plain or .xz files named with --text. Needs numpy and tokenizers.
The two files here give the tokenizer and the held-out stories of the shipped model, byte for byte.
"""
import argparse
import json
import lzma
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEXTS = [HERE / "text" / "tinystories-lower.txt.xz", HERE / "text" / "tinystories-cased.txt.xz"]

# What the text writes in more than one way.
REPLACEMENTS = (
    ("\u201c", '"'), ("\u201d", '"'), ("\u2018", "'"), ("\u2019", "'"), ("\u2013", "-"), ("\u2014", "-"), ("\u2026", "..."),
    ("\u00e2\u20ac\u2122", "'"), ("\u00e2\u20ac\u0153", '"'), ("\u00e2\u20ac\u009d", '"'), ("\u00a0", " "),
)  # fmt: skip
# How a story opens, where stories are not separated by <|endoftext|>.
OPENING = re.compile(
    r"^(once|one (day|morning|night|evening|afternoon|sunny|time)|there (was|once|lived|were)|long ago|a long time ago|"
    r"in a |on a |a (little|small|big|boy|girl|man|dog|cat)|it was |"
    r"[a-z]+ (and [a-z]+ )?(was|were|is|are|had|has|have|liked?s?|loved?s?|wanted|wants|went|lived) )",
    re.I,
)
KEPT = set(map(chr, range(32, 127))) | {"\n"}
SHORTEST_STORY = 150


def read(path):
    """The text of a file, plain or xz."""
    data = Path(path).read_bytes()
    return (lzma.decompress(data) if str(path).endswith(".xz") else data).decode("utf-8", errors="replace")


def split(text):
    """Stories of a text: between <|endoftext|>, or where a line after a single newline opens like one."""
    if "<|endoftext|>" in text:
        return text.split("<|endoftext|>")
    out, current = [], ""
    for part in re.split(r"(?<!\n)\n(?!\n)", text):
        if len(current) > 250 and OPENING.match(part):
            out.append(current)
            current = part
        else:
            current = current + "\n" + part if current else part
    return [*out, current]


def stories(text):
    """Stories in lower case and ASCII, one newline between paragraphs."""
    text = text.replace("\r\n", "\n")
    for wrong, right in REPLACEMENTS:
        text = text.replace(wrong, right)
    out = []
    for story in split(text.lower()):
        story = re.sub(r"\n{2,}", "\n", "".join(c for c in story if c in KEPT)).strip()
        story = re.sub(r" +", " ", story)
        if len(story) > SHORTEST_STORY:
            out.append(story)
    return out


def corpus(paths):
    """All stories, each opening once."""
    seen = {}
    for path in paths:
        for story in stories(read(path)):
            seen.setdefault(story[:120], story)
    return list(seen.values())


def held_out(documents):
    """Shuffles the stories and sets two in a hundred apart: (held out, for training)."""
    import numpy as np

    np.random.default_rng(0).shuffle(documents)
    count = max(32, len(documents) // 50)
    return documents[:count], documents[count:]


def train_tokenizer(documents, vocabulary):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    # Only the characters that the text uses: 256 single bytes would be half of a vocabulary of 512.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], limit_alphabet=70, show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def write_tokens(tokenizer, documents, path):
    """Writes u16 ids, <|endoftext|> (0) before each story; returns the characters a token stands for."""
    import numpy as np

    ids = []
    for encoding in tokenizer.encode_batch(documents):
        ids.append(0)
        ids += encoding.ids
    np.array(ids, np.uint16).tofile(path)
    characters = sum(map(len, documents))
    print(f"{path}: {len(documents)} stories, {characters} characters, {len(ids)} tokens")
    return characters / len(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", default=TEXTS, help="text files, plain or .xz")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tokens")
    parser.add_argument("--vocabulary", type=int, default=512)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    validation, training = held_out(corpus(args.text))
    tokenizer = train_tokenizer(training, args.vocabulary)
    tokenizer.save(str(args.out / "tokenizer.json"))
    write_tokens(tokenizer, training, args.out / "train.bin")
    per_token = write_tokens(tokenizer, validation, args.out / "val.bin")
    meta = {"vocabulary": tokenizer.get_vocab_size(), "characters_per_token": per_token}
    (args.out / "meta.json").write_text(json.dumps(meta))
    (args.out / "val.txt").write_text("\n<|endoftext|>\n".join(validation))


if __name__ == "__main__":
    main()
