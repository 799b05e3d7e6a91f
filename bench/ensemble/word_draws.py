"""The next word by drawing it: one draw of a law, and the better of two draws of one model.

A word is what is drawn up to the first byte that is no letter, the first byte (a blank, in what is
to be guessed) left aside; it ends there whatever that byte is. So one draw is right with the
probability p that the law gives to the word's bytes and then to anything but a letter, which needs
no drawing.

Two draws of a single model cost what one draw of an ensemble of two costs. Of two, that one is kept
which the model itself finds more probable: right with probability p^2 + 2 p (1 - p - g), g being
that of all words more probable than the right one. It is linear in g, so a few draws at each place
are enough to say it without bias.
"""

from __future__ import annotations

import json

import numpy as np
from laws import WINDOW, keep

LETTERS = [byte for byte in range(128) if chr(byte).isalpha()]
OTHERS = np.setdiff1d(np.arange(257), LETTERS)
LONGEST = 24
"""Bytes of a word that is drawn."""


def end(law):
    """Return the log-probability that no letter follows, one a row."""
    return np.logaddexp.reduce(law[..., OTHERS], axis=-1)


def chances(law, data, words):
    """Return for each word of a text the probability that one draw is that word."""
    chain, ends = law[np.arange(len(data)), list(data)], end(law)
    return np.array([np.exp(chain[w.start() : w.end()].sum() + ends[w.end()]) for w in words])


def better_of_two(right, above):
    """Return the probability that the more probable of two draws is right."""
    return right**2 + 2 * right * (1 - right - above)


def draw(model, states, first, random):
    """Return a word for each state and its log-probability; `first` are the states' own laws."""
    words, scores = [b""] * len(states), np.zeros(len(states))
    open_, rows = list(range(len(states))), first
    for place in range(LONGEST):
        still = []
        for i, row in zip(open_, rows, strict=True):
            symbol = int(random.choice(257, p=np.exp(row) / np.exp(row).sum()))
            if place and symbol not in LETTERS:
                scores[i] += end(row)
                continue
            scores[i] += row[symbol]
            if symbol < 256:
                words[i] += bytes([symbol])
                states[i].push(bytes([symbol]))
                still.append(i)
        open_ = still
        if not open_:
            break
        rows = model.next_byte_logprobs([states[i] for i in open_])
    return words, scores


def above(reader, law, data, words, begins, *, count, seed=0):
    """Estimate for each word the probability of all that the model finds more probable.

    Parameters
    ----------
    reader, law
        A model, and its law before each byte of the text.
    data, words, begins
        The text, its words as matches, and where in the text each word's window begins.
    count
        Draws at each place.
    """
    name = f"draws-{reader.name}-{len(data)}-{count}-{seed}.json".replace(" ", "_")
    path = reader.folder / name
    if path.exists():
        return np.array(json.loads(path.read_text()))
    random = np.random.default_rng(seed)
    right, found, alive = chances(law, data, words), [], {}
    for word, begin, chance in zip(words, begins, right, strict=True):
        if begin not in alive:  # prompts share the keys and values of a living state
            alive = {begin: reader.model.start(data[begin : begin + WINDOW])}
            reader.model.next_byte_logprobs([alive[begin]])
        start = reader.model.start(data[begin : word.start()])
        states = [start.fork() for _ in range(count)]
        first = np.repeat(law[word.start()][None], count, axis=0)
        drawn, scores = draw(reader.model, states, first, random)
        more = [
            guess != word.group() and score > np.log(chance)
            for guess, score in zip(drawn, scores, strict=True)
        ]
        found.append(float(np.mean(more)))
    keep(path, lambda file: file.write(json.dumps(found).encode()))
    return np.array(found)
