#!/usr/bin/env python3
"""Finds the longest run of generated text that stands verbatim in the training text.

  for seed in $(seq 20); do cargo run -q --release --bin bitnet -- run --seed $seed "once upon a time" > story-$seed.txt; done
  python3 verbatim.py story-*.txt

Each file is one generated text, its prompt included. Both sides are compared as prepare.py normalizes them: lower case, one
blank between words. A run lies inside one training story. Needs Python only.
"""
import argparse
import re
from pathlib import Path

from prepare import TEXTS, corpus


def normalize(text):
    """As prepare.stories does, and line breaks as blanks, so that layout hides no match."""
    return re.sub(r"\s+", " ", text.lower()).strip()


class Automaton:
    """The suffix automaton of a text: reads another text and knows at each character the longest match that ends there."""

    def __init__(self, text):
        self.next, self.link, self.length = [{}], [-1], [0]
        last = 0
        for character in text:
            last = self._extend(last, character)

    def _add(self, transitions, link, length):
        self.next.append(transitions)
        self.link.append(link)
        self.length.append(length)
        return len(self.next) - 1

    def _extend(self, last, character):
        new = self._add({}, 0, self.length[last] + 1)
        state = last
        while state >= 0 and character not in self.next[state]:
            self.next[state][character] = new
            state = self.link[state]
        if state >= 0:
            target = self.next[state][character]
            if self.length[target] > self.length[state] + 1:
                clone = self._add(dict(self.next[target]), self.link[target], self.length[state] + 1)
                while state >= 0 and self.next[state].get(character) == target:
                    self.next[state][character] = clone
                    state = self.link[state]
                self.link[target] = clone
                target = clone
            self.link[new] = target
        return new

    def longest(self, text):
        """The longest part of `text` that the automaton's text contains."""
        state = length = best = end = 0
        for at, character in enumerate(text):
            while state and character not in self.next[state]:
                state = self.link[state]
                length = self.length[state]
            if character in self.next[state]:
                state = self.next[state][character]
                length += 1
                if length > best:
                    best, end = length, at + 1
        return text[end - best : end]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generated", nargs="+", type=Path, help="files, one generated text each")
    parser.add_argument("--text", nargs="+", default=TEXTS, help="the training text, plain or .xz")
    args = parser.parse_args()

    # A line between the stories, which no story contains, keeps a match inside one of them.
    training = "\n".join(normalize(story) for story in corpus(args.text))
    longest, whole = "", 0
    for path in args.generated:
        generated = normalize(path.read_text())
        run = Automaton(generated).longest(training)
        print(f"{path}: {len(run)} of {len(generated)} characters, {len(run.split())} words")
        whole += len(generated)
        longest = max(longest, run, key=len)
    print(f"{len(args.generated)} texts, {whole} characters; the longest run found in {len(training)} characters of training text:")
    print(f"{len(longest)} characters, {len(longest.split())} words: {longest!r}")


if __name__ == "__main__":
    main()
