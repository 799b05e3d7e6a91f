"""The law of weighed middles, against its definition; which of many are weighed."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.infilling.weighing import _chosen, ends_of, weigh
from nextbyte.sampling.batch_sampler import sample_batch
from nextbyte.sampling.interruption import Interruption
from nextbyte.text_weights import continuation_logprobs
from unit.known_models import CountingBackend, load_all, noise, noisy


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))["smollm2_like"]


def few(words, end):
    """Return a model of few tokens, some texts of which end soon."""
    tokens = [words.encode(text)[0] for text in ("the", " a", "t", "h", "e", "a", " ")] + [end]
    rows = noise(words.vocab_size, 1.0)

    def row(context):
        full = np.full(words.vocab_size, -np.inf)
        full[tokens] = rows(context)[tokens]
        return full

    return row


def test_the_law_of_weighed_middles_is_its_definition(words):
    """Bytes drawn three at a time, cut by a stop string and by the end of the text."""
    end = words.special_tokens["<|endoftext|>"]
    lm = nb.ByteLM(words, CountingBackend(few(words, end), words.vocab_size, end_tokens=(end,)))
    prefix, suffix, stop, most = b"the ", b" a", b"e", 3
    # p(m): the probability that a draw has an end at m, by enumeration of all draws.
    p: dict[bytes, float] = {}

    def count(text, chance):
        for size in range(len(text) + 1):
            p[text[:size]] = p.get(text[:size], 0.0) + chance

    def draw(text, chance):
        if text.endswith(stop):
            return count(text[: -len(stop)], chance)
        if len(text) == most:
            return count(text, chance)
        law = np.exp(lm.start(prefix + text).next_byte_logprobs())
        for symbol in np.flatnonzero(law > 1e-7).tolist():
            if symbol == nb.END_OF_TEXT:
                count(text, chance * law[symbol])
            else:
                draw(text + bytes([symbol]), chance * law[symbol])
        return None

    draw(b"", 1.0)
    wanted = {}
    for middle, chance in p.items():
        state, wanted[middle] = lm.start(prefix + middle), chance
        for byte in suffix:
            wanted[middle] *= math.exp(state.next_byte_logprobs()[byte])
            if wanted[middle] == 0.0:
                break
            state.push(bytes([byte]))
    total = sum(wanted.values())
    draws = 4000
    found = nb.infill(
        lm,
        prefix,
        suffix,
        nb.SamplingParams(seed=2, max_bytes=most, stop=stop, unit="byte"),
        candidates=draws,
        choose="sample",
    )
    weights = {c.bytes: math.exp(c.log_weight) for c in found.candidates}
    assert sum(weights.values()) == pytest.approx(1.0)
    assert len({c.bytes for c in found.candidates}) == len(found.candidates)
    compared = 0
    for middle, weight in wanted.items():
        share = weight / total
        if p[middle] * draws >= 40:
            error = 5 / math.sqrt(p[middle] * draws) + 0.05
            assert weights.get(middle, 0.0) == pytest.approx(share, rel=error, abs=0.01), middle
            compared += share
    assert compared > 0.9
    assert found.bytes in weights


def test_a_draw_may_end_behind_each_token_whatever_ended_it(words):
    lm, _ = noisy(words)
    for params in (
        nb.SamplingParams(seed=1, max_bytes=9),
        nb.SamplingParams(seed=1, max_bytes=30, stop=("e", " ")),
        nb.SamplingParams(seed=1, max_bytes=9, unit="byte"),
    ):
        for seed in range(20):
            one = nb.SamplingParams(
                seed=seed, max_bytes=params.max_bytes, stop=params.stop, unit=params.unit
            )
            drawn = nb.generate(lm, "the t", one)
            ends = ends_of(drawn, b"\xff", words.token_bytes)
            assert ends[0] == 0
            assert ends[-1] == len(drawn.bytes)
            if one.unit == "byte":
                assert ends == list(range(len(drawn.bytes) + 1))
                continue
            at, places = len(drawn.cover.overhang), {0, len(drawn.bytes)}
            places.add(at)
            for token in drawn.token_ids:
                at += len(words.token_bytes(token))
                places.add(at)
            assert ends == sorted(place for place in places if place <= len(drawn.bytes))


def test_a_suffix_may_begin_inside_a_token(words):
    lm, _ = noisy(words)
    inner = 0
    for seed in range(40):
        drawn = nb.generate(lm, "the", nb.SamplingParams(seed=seed, max_bytes=12))
        whole = set(ends_of(drawn, b"\xff", words.token_bytes))
        for k in set(range(1, len(drawn.bytes))) - whole:
            stop = min(end for end in whole if end > k)
            suffix = drawn.bytes[k:stop]
            assert k in ends_of(drawn, suffix + b" and more", words.token_bytes)
            assert k not in ends_of(drawn, suffix[:-1] + b"\xff", words.token_bytes)
            inner += 1
    assert inner > 10


def test_chances_of_being_weighed():
    random = np.random.default_rng(1)
    for sizes in (
        np.ones(10),
        np.ones(200),
        random.pareto(0.7, 300) + 0.1,
        np.geomspace(1, 1e6, 90),
    ):
        counts = np.zeros(len(sizes))
        rounds = 1500
        known = None
        for _ in range(rounds):
            places, chances = _chosen(sizes, random)
            assert len(places) == min(64, len(sizes))
            assert len(set(places.tolist())) == len(places)
            counts[places] += 1
            known = np.zeros(len(sizes)) if known is None else known
            known[places] = chances
        np.testing.assert_allclose(counts / rounds, known, atol=0.07)
        order = np.argsort(sizes)
        assert (np.diff(known[order][known[order] > 0]) > -1e-9).all()


def test_more_middles_than_are_weighed_keep_the_law_on_average(words):
    """Shares of 64 chosen middles, over many choices, against those of all middles."""
    lm, _ = noisy(words)
    prefix, suffix = b"the t", b" a"
    params = [nb.SamplingParams(seed=seed, max_bytes=6) for seed in range(60)]
    drawn = sample_batch(lm, [prefix] * 60, params, "replace", lambda _: None)
    counts: dict[bytes, int] = {}
    for generation in drawn:
        for end in ends_of(generation, suffix, words.token_bytes):
            middle = generation.bytes[:end]
            counts[middle] = counts.get(middle, 0) + 1
    assert len(counts) > 100
    masses = {}
    for middle, number in counts.items():
        try:
            whole, given = lm.start(prefix + middle + suffix), lm.start(prefix + middle)
        except nb.errors.UnreachableByteError:
            masses[middle] = 0.0
            continue
        masses[middle] = number * math.exp(whole.logprob - given.logprob)
    total = sum(masses.values())
    whole = {generation.bytes for generation in drawn}
    sizes = {middle: n * (8 if middle in whole else 1) for middle, n in counts.items()}
    estimates = []
    for seed in range(60):
        state = lm.start(prefix, tolerance=0.0)
        found = weigh(
            lambda part, s=state: continuation_logprobs(s, [(m, suffix) for m in part]),
            drawn,
            suffix,
            choose="best",
            random=np.random.default_rng(seed),
            interruption=Interruption(None, None),
            token_bytes=words.token_bytes,
        )
        assert len(found.candidates) == 64
        best = max(found.candidates, key=lambda c: c.suffix_logprob + math.log(c.draws))
        assert found.middle == best.bytes
        # One that is weighed for certain says what the chosen ones think the sum of all masses is.
        certain = max(found.candidates, key=lambda c: sizes[c.bytes])
        estimates.append(masses[certain.bytes] / math.exp(certain.log_weight))
    assert np.mean(estimates) == pytest.approx(total, rel=0.12)
