"""`infill`: prompts of trained models, the weighing of middles, limits and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.text_weights import continuation_logprobs
from unit import tiny_tokenizers as tiny
from unit.fake_byte_models import order2_model
from unit.known_models import CountingBackend, load_all, noise, noisy

SPECIALS = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def words(folder):
    return load_all(folder)["smollm2_like"]


@pytest.fixture(scope="module")
def coder(folder):
    """Return a tokenizer with StarCoder's sentinels."""
    tokens = [bytes([byte]) for byte in range(32, 127)] + [b"\n"]
    merges = [(b"a", b"b"), (b" ", b"a"), (b"ab", b"c"), (b"f", b"(")]
    file = tiny.document(tokens, merges, specials=SPECIALS)
    return nb.Tokenizer.from_file(tiny.write(folder, file, "coder.json"))


def model(coder, **options):
    ids = coder.special_tokens
    backend = CountingBackend(
        noise(coder.vocab_size), coder.vocab_size, end_tokens=(ids["<|endoftext|>"],), **options
    )
    return nb.ByteLM(coder, backend), backend


@pytest.mark.parametrize(
    ("prefix", "suffix", "typed"),
    [("x = a", "c)\n", ""), ("", "c", ""), ("ab", "", ""), ("", "", ""), ("x\n", "\nab", "f")],
)
def test_a_trained_model_reads_its_layout(coder, prefix, suffix, typed):
    lm, backend = model(coder)
    ids = coder.special_tokens
    before, middle, after = (ids[f"<fim_{role}>"] for role in ("prefix", "middle", "suffix"))
    first, second = coder.encode(prefix), coder.encode(suffix)
    layouts = {
        "psm": ((before, *first, after, *second, middle), typed),
        "spm": ((before, after, *second, middle), prefix + typed),
    }
    for order, (start, open_text) in layouts.items():
        backend.reset()
        params = nb.SamplingParams(seed=2, max_bytes=6)
        found = nb.infill(lm, prefix, suffix, params, typed=typed, order=order)
        contexts = [context for batch in backend.batches for context in batch]
        assert all(context[: len(start)] == start for context in contexts)
        assert (found.format, found.order) == ("starcoder", order)
        assert found.generation.prompt == open_text.encode()
        assert found.middle == typed.encode() + found.bytes
        assert found.candidates == ()
        # What was drawn is a text that goes on from the open one, healed at its end.
        state = lm.start(segments=[before, "", open_text], bos=None)
        state.push(found.bytes)


def test_the_end_of_the_middle_ends_the_text(coder):
    ids = coder.special_tokens
    width = coder.vocab_size

    def row(context):
        logits = np.full(width, -30.0)
        logits[coder.encode("b")[0]] = 0.0
        if context[-1] == coder.encode("b")[0]:
            logits[ids["<fim_pad>"]] = 10.0  # the family's end of the middle
        return logits

    lm = nb.ByteLM(coder, CountingBackend(row, width, end_tokens=(ids["<|endoftext|>"],)))
    for unit in ("token", "byte"):
        params = nb.SamplingParams(seed=1, max_bytes=9, unit=unit)
        found = nb.infill(lm, "x", "y", params)
        assert (found.bytes, found.finish_reason) == (b"b", "end_of_text")
    assert lm.end_tokens == (ids["<|endoftext|>"],)


def test_the_spelling_of_a_sentinel_is_text(coder):
    lm, backend = model(coder)
    nb.infill(lm, "a<fim_middle>b", "<fim_prefix>", nb.SamplingParams(seed=1, max_bytes=1))
    sentinels = [coder.special_tokens[name] for name in SPECIALS]
    for batch in backend.batches:
        for context in batch:
            assert sum(token in sentinels for token in context) == 3


def test_the_suffix_is_not_repeated(coder):
    width = coder.vocab_size
    line = coder.encode("abc abc f(")

    def row(context):
        logits = np.full(width, -50.0)
        said = max((n for n in range(len(line) + 1) if list(context[-n:]) == line[:n]), default=0)
        logits[line[said % len(line)]] = 0.0
        return logits

    lm = nb.ByteLM(coder, CountingBackend(row, width))
    found = nb.infill(lm, "x", "  abc abc f(\nmore", nb.SamplingParams(seed=1, max_bytes=40))
    assert (found.bytes, found.finish_reason) == (b"", "suffix")
    short = nb.infill(lm, "x", "abc\n", nb.SamplingParams(seed=1, max_bytes=20))
    assert len(short.bytes) == 20  # a few bytes may well come again


# --- Any other model -----------------------------------------------------------------------------


def test_continuations_have_the_probability_that_states_say(words):
    lm, backend = noisy(words)
    pairs = [
        (b"", b"the"),
        (b"he", b" a"),
        (b"he ", b"a"),
        (b"e", b""),
        (b"\xff", b"a"),
        (b"", b""),
    ]
    for prefix in (b"", b"t", b"the ", b"a the t"):
        backend.reset()
        found, rows = continuation_logprobs(lm.start(prefix), pairs)
        assert rows == backend.requests
        for (first, second), logprob in zip(pairs, found, strict=True):
            if b"\xff" in first:
                assert logprob == -np.inf
                continue
            given, whole = lm.start(prefix + first), lm.start(prefix + first + second)
            assert logprob == pytest.approx(whole.logprob - given.logprob, abs=1e-11)


def test_nothing_of_a_long_prefix_is_weighed_again(words):
    lm, _ = noisy(words)
    long = b"the a " * 200
    found, rows = continuation_logprobs(lm.start(long), [(b"the", b" a"), (b"a", b" the")])
    assert np.isfinite(found).all()
    assert rows < 40


def test_middles_are_weighed_by_the_suffix(words):
    lm, _ = noisy(words)
    params = nb.SamplingParams(seed=5, max_bytes=5)
    found = nb.infill(lm, "the t", " a t", params, candidates=6)
    assert (found.format, found.order) == (None, None)
    middles = [candidate.bytes for candidate in found.candidates]
    assert len(set(middles)) == len(middles)
    assert b"" in middles
    total = math.fsum(math.exp(candidate.log_weight) for candidate in found.candidates)
    assert total == pytest.approx(1.0, abs=1e-12)
    best = max(found.candidates, key=lambda candidate: candidate.log_weight)
    assert found.bytes == best.bytes
    for candidate in found.candidates:
        if candidate.suffix_logprob == -np.inf:  # cut inside a character
            with pytest.raises(UnreachableByteError):
                lm.start(b"the t" + candidate.bytes + b" a t")
            continue
        given = lm.start(b"the t" + candidate.bytes).logprob
        whole = lm.start(b"the t" + candidate.bytes + b" a t").logprob
        assert candidate.suffix_logprob == pytest.approx(whole - given, abs=1e-11)
    again = nb.infill(lm, "the t", " a t", params, candidates=6)
    assert (again.bytes, again.candidates) == (found.bytes, found.candidates)
    drawn = nb.infill(lm, "the t", " a t", params, candidates=6, choose="sample")
    assert drawn.bytes in middles
    typed = nb.infill(lm, "the", " a t", params, typed=" t", candidates=6)
    assert (typed.bytes, typed.middle) == (found.bytes, b" t" + found.bytes)


def test_resampling_has_the_wanted_law(words):
    """Of middles of one byte, the one drawn by weight has P(middle | prefix, suffix) in the end."""
    lm, _ = noisy(words)
    prefix, suffix = b"the ", b"a"
    state = lm.start(prefix)
    law = np.exp(state.next_byte_logprobs())
    drawn = nb.infill(
        lm, prefix, suffix, nb.SamplingParams(seed=1, max_bytes=1), candidates=3000, choose="sample"
    )
    wanted = {}
    for candidate in drawn.candidates:
        if candidate.bytes:
            wanted[candidate.bytes] = law[candidate.bytes[0]] * math.exp(candidate.suffix_logprob)
    total = sum(wanted.values())
    weights = {c.bytes: math.exp(c.log_weight) for c in drawn.candidates if c.bytes}
    share = sum(weights.values())
    for middle, chance in wanted.items():
        if chance / total > 0.05:
            assert weights[middle] / share == pytest.approx(chance / total, abs=0.05)


def test_a_suffix_that_fits_nowhere(words):
    lm, _ = noisy(words)
    found = nb.infill(lm, "a", b"\xff", nb.SamplingParams(seed=1, max_bytes=3), candidates=2)
    assert all(candidate.suffix_logprob == -np.inf for candidate in found.candidates)
    assert len({candidate.log_weight for candidate in found.candidates}) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"order": "psm"}, "no tokens for infilling"),
        ({"path": "a.py"}, "no tokens for infilling"),
        ({"format": "qwen"}, "so it is not for qwen"),
        ({"format": "x"}, "there is no FIM format"),
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"suffix_bytes": -1}, "suffix_bytes must be None or at least 0"),
        ({"prefix_bytes": True}, "prefix_bytes must be None or at least 0"),
        ({"cancel": 1}, "cancel must be a function"),
        ({"choose": "worst"}, 'choose must be "best" or "sample"'),
    ],
)
def test_what_is_refused(words, options, problem):
    lm, _ = noisy(words)
    with pytest.raises(InvalidInputError, match=problem):
        nb.infill(lm, "a", "b", **options)
    with pytest.raises(InvalidInputError, match=r"needs a ByteLM.*infill and infill_stream take"):
        nb.InfillSession(order2_model(1, b"ab"), "a", "b")


def test_a_trained_tokenizer_may_be_weighed_too(coder):
    lm, _ = model(coder)
    params = nb.SamplingParams(seed=1, max_bytes=3)
    found = nb.infill(lm, "a", "b", params, format="none", candidates=2)
    assert found.format is None
    assert found.candidates
