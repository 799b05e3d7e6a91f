"""The common-vocabulary law spelled out over whole texts, and members for tests of it."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

from unit.fake_byte_models import FakeByteModel, order2_model

END = 256
TOKENS = [b"ab", b"abba", b"ba", b"baa", b"aabb", b"bb"]
OTHERS = [b"ab", b"abba", b"baa", b"aabb", b"aaa", b"abb"]
COMMON = {b"ab", b"abba", b"baa", b"aabb"}
TEXTS = [bytes(t) for n in range(5) for t in itertools.product(b"ab", repeat=n)]


class TokenList:
    """The part of a tokenizer that says which tokens there are."""

    def __init__(self, tokens):
        self.special_tokens = {"<end>": 0}
        self._tokens = [b"", *tokens]
        self.vocab_size = len(self._tokens)

    def token_bytes(self, token):
        return self._tokens[token]


def with_tokens(model, tokens):
    model.tokenizer = TokenList(tokens)
    return model


def member(seed, tokens, *, alphabet=b"ab", end=True):
    return with_tokens(order2_model(seed, alphabet, end=end), tokens)


def random_member(source, tokens, alphabet):
    """A member whose law depends on three bytes; of some, a third of all symbols never come."""
    seed, sparse = source.randrange(1000), source.random() < 0.5
    symbols = [*alphabet, END]

    @functools.cache
    def row(context):
        random = np.random.default_rng([seed, len(context), *context])
        chances = random.dirichlet(np.full(len(symbols), 0.6))
        never = random.random(len(symbols)) < 0.3
        if sparse and not never.all():
            chances[never] = 0.0
        logprobs = np.full(257, -np.inf)
        with np.errstate(divide="ignore"):
            logprobs[symbols] = np.log(chances / chances.sum())
        return logprobs

    return with_tokens(FakeByteModel(lambda prefix: row(prefix[-3:])), tokens)


def pair():
    return [member(1, TOKENS), member(2, OTHERS)]


# --- The definition ------------------------------------------------------------------------------


class Definition:
    """The common-vocabulary law, by adding up the members' probabilities of whole texts."""

    def __init__(self, models, tokens, weights, rule, alphabet=b"ab"):
        self.models, self.weights, self.rule, self.alphabet = models, weights, rule, alphabet
        self.tokens = sorted(tokens | {bytes([b]) for b in alphabet})
        self.longest = max(map(len, self.tokens))

    def greedy(self, text):
        found = []
        while text:
            token = max((t for t in self.tokens if text.startswith(t)), key=len)
            found.append(token)
            text = text[len(token) :]
        return tuple(found)

    @functools.cache  # noqa: B019 - lives as long as a test
    def mass(self, model, text, *, ends):
        """P(a text begins with, or is, `text`)."""
        if ends:
            chain = self.mass(model, text, ends=False)
            return chain and chain * math.exp(self.models[model].law(text)[END])
        if not text:
            return 1.0
        chain = self.mass(model, text[:-1], ends=False)
        return chain and chain * math.exp(self.models[model].law(text[:-1])[text[-1]])

    @functools.cache  # noqa: B019
    def reach(self, model, sequence):
        """N_i: P(the tokens of a text begin with `sequence`)."""
        total, text = 0.0, b"".join(sequence)
        for n in range(self.longest):
            last = n == self.longest - 1  # no token of `sequence` can depend on what is behind
            for more in map(bytes, itertools.product(self.alphabet, repeat=n)):
                if self.greedy(text + more)[: len(sequence)] == sequence:
                    total += self.mass(model, text + more, ends=not last)
        return total

    @functools.cache  # noqa: B019
    def law(self, sequence):
        """Q(token | sequence); None is the end."""
        text = b"".join(sequence)
        rows = {}
        for i, weight in enumerate(self.weights):
            whole = self.reach(i, sequence)
            if whole == 0.0:
                if self.rule == "product":
                    return {}
                continue
            row = {t: self.reach(i, (*sequence, t)) / whole for t in self.tokens}
            row[None] = self.mass(i, text, ends=True) / whole
            assert math.isclose(sum(row.values()), 1.0, rel_tol=1e-9)
            rows[i] = weight, row
        symbols = [*self.tokens, None]
        if self.rule == "mixture":
            share = sum(weight for weight, _ in rows.values())
            return {s: sum(w / share * row[s] for w, row in rows.values()) for s in symbols}
        found = {}
        for s in symbols:
            parts = [row[s] for _, row in rows.values()]
            possible = all(p > 0.0 for p in parts)
            found[s] = (
                math.prod(p**w for p, (w, _) in zip(parts, rows.values(), strict=True))
                if possible
                else 0.0
            )
        total = sum(found.values())
        return {s: p / total for s, p in found.items()} if total else {}

    @functools.cache  # noqa: B019
    def begins(self, text, sequence=()):
        """Q(texts that begin with `text`)."""
        done = b"".join(sequence)
        if done.startswith(text):
            return 1.0
        left = text[len(done) :]
        return sum(
            p * self.begins(text, (*sequence, t))
            for t, p in self.law(sequence).items()
            if t and p and (t.startswith(left) or left.startswith(t))
        )

    def row(self, text):
        whole = self.begins(text)
        row = np.zeros(257)
        for byte in self.alphabet:
            row[byte] = self.begins(text + bytes([byte])) / whole
        sequence, reached = self.greedy(text), 1.0
        for i, token in enumerate(sequence):
            reached *= self.law(sequence[:i]).get(token, 0.0)
        row[END] = reached * self.law(sequence).get(None, 0.0) / whole
        return row
