"""Gaps filled by byte models that are no `ByteLM`: ensembles, nested ones, and any others."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.infilling.byte_models import ByteGap
from nextbyte.text_weights import continuation_logprobs
from unit.clocks import tick_at_each_look
from unit.fake_byte_models import FakeByteModel, FakeByteState, fixed, one_text_model, order2_model
from unit.known_models import load_all, noisy

# One of the members reads letters only.
pytestmark = pytest.mark.filterwarnings("ignore::nextbyte.errors.MemberLostWarning")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


@pytest.fixture(scope="module")
def members(tokenizers):
    return [noisy(tokenizers[name])[0] for name in ("letters", "smollm2_like")]


PREFIX, SUFFIX = b"the t", b" a t"
FEW = nb.SamplingParams(seed=5, max_bytes=5)


def ensembles(members):
    mixture = nb.ByteEnsemble(members, [0.6, 0.4])
    return {
        "mixture": mixture,
        "product": nb.ByteEnsemble(members, [1.2, -0.3], "product"),
        "posterior": nb.ByteEnsemble(members, [0.3, 0.7], "posterior"),
        "nested": nb.ByteEnsemble([members[1], mixture], [0.5, 0.5], "posterior"),
        "common": nb.CommonVocabularyEnsemble(members, [0.5, 0.5], tolerance=0.0),
    }


NAMES = ("mixture", "product", "posterior", "nested", "common")


def suffix_logprob(model, middle):
    """Return log P(suffix | prefix, middle), one law after the other."""
    state, found = model.start(PREFIX + middle), 0.0
    for byte in SUFFIX:
        logprob = state.next_byte_logprobs()[byte]
        if logprob == -np.inf:
            return -np.inf
        found += logprob
        state.push(bytes([byte]))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_middles_have_the_probability_that_the_laws_say(members, name):
    model = ensembles(members)[name]
    found = nb.infill(model, PREFIX, SUFFIX, FEW, candidates=3)
    assert (found.format, found.order) == (None, None)
    assert (found.prefix_bytes, found.suffix_bytes) == (len(PREFIX), len(SUFFIX))
    assert len(found.candidates) > 5
    assert any(c.suffix_logprob > -np.inf for c in found.candidates)
    for candidate in found.candidates:
        expected = suffix_logprob(model, candidate.bytes)
        assert candidate.suffix_logprob == pytest.approx(expected, abs=1e-9)
        scored = nb.loglikelihood(model, PREFIX + candidate.bytes, SUFFIX)
        assert candidate.suffix_logprob == pytest.approx(scored, abs=1e-9)
    total = math.fsum(math.exp(c.log_weight) for c in found.candidates)
    assert total == pytest.approx(1.0, abs=1e-12)
    best = max(found.candidates, key=lambda c: c.suffix_logprob + math.log(c.draws))
    assert found.bytes == best.bytes
    assert nb.infill(model, PREFIX, SUFFIX, FEW, candidates=3).candidates == found.candidates


def test_an_ensemble_of_one_is_that_model(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    by_bytes = nb.SamplingParams(seed=5, max_bytes=5, unit="byte")
    alone = nb.infill(lm, PREFIX, SUFFIX, by_bytes, candidates=4)
    for rule in ("mixture", "product", "posterior"):
        found = nb.infill(nb.ByteEnsemble([lm], rule=rule), PREFIX, SUFFIX, FEW, candidates=4)
        assert found.bytes == alone.bytes
        assert [(c.bytes, c.draws) for c in found.candidates] == [
            (c.bytes, c.draws) for c in alone.candidates
        ]
        for name in ("suffix_logprob", "log_weight"):
            np.testing.assert_allclose(
                [getattr(c, name) for c in found.candidates],
                [getattr(c, name) for c in alone.candidates],
                atol=1e-9,
            )
        # And those of `ByteLM`'s own way to weigh.
        pairs = [(c.bytes, SUFFIX) for c in found.candidates]
        weights, _ = continuation_logprobs(lm.start(PREFIX), pairs)
        np.testing.assert_allclose([c.suffix_logprob for c in found.candidates], weights, atol=1e-9)


def test_the_evidence_of_a_posterior_from_the_prompt_begins_there(members):
    """The middle is evidence there, and would not be if it were part of a prompt."""
    model = nb.ByteEnsemble(members, rule="posterior", posterior_from="prompt")
    found = nb.infill(model, PREFIX, SUFFIX, FEW, candidates=2)
    for candidate in found.candidates:
        state = model.start(PREFIX)
        state.push(candidate.bytes)
        before = state.logprob
        try:
            state.push(SUFFIX)
        except UnreachableByteError:
            assert candidate.suffix_logprob == -np.inf
            continue
        assert candidate.suffix_logprob == pytest.approx(state.logprob - before, abs=1e-9)


def test_the_law_of_weighed_middles_is_its_definition():
    """P(m) P(suffix | m) / Z over all middles, which are few; a stop string ends some."""
    model, most = order2_model(3, b"ab"), 3
    ends: dict[bytes, float] = {}

    def draw(text, chance):
        law = np.exp(model.law(b"ab" + text))
        symbols = np.flatnonzero(law).tolist() if len(text) < most else []
        for symbol in symbols:
            if symbol == nb.END_OF_TEXT or (text + bytes([symbol])).endswith(b"ba"):
                size = len(text) if symbol == nb.END_OF_TEXT else len(text) - 1
                ended = text[:size]
            elif len(text) + 1 == most:
                ended = text + bytes([symbol])
            else:
                draw(text + bytes([symbol]), chance * law[symbol])
                continue
            for end in range(len(ended) + 1):
                ends[ended[:end]] = ends.get(ended[:end], 0.0) + chance * law[symbol]

    draw(b"", 1.0)
    masses = {}
    for middle, chance in ends.items():
        masses[middle] = chance
        for place, byte in enumerate(b"ba"):
            masses[middle] *= math.exp(model.law(b"ab" + middle + b"ba"[:place])[byte])
    total = sum(masses.values())
    params = nb.SamplingParams(seed=1, max_bytes=most, stop="ba")
    found = nb.infill(model, "ab", "ba", params, candidates=2000, choose="sample")
    weights = {c.bytes: math.exp(c.log_weight) for c in found.candidates}
    assert set(weights) <= set(masses)
    assert len(weights) > 3
    for middle, mass in masses.items():
        assert weights.get(middle, 0.0) == pytest.approx(mass / total, abs=0.03)
    answers = [
        nb.infill(
            model,
            "ab",
            "ba",
            nb.SamplingParams(seed=seed, max_bytes=most, stop="ba"),
            candidates=30,
            choose="sample",
        ).bytes
        for seed in range(150)
    ]
    for middle, mass in masses.items():
        assert answers.count(middle) / 150 == pytest.approx(mass / total, abs=0.15)


def test_limits():
    text = b"def f():\n    return 1\n\n    x\ny = 2 + three\n"
    model = one_text_model(text)

    def fill(prefix, suffix, *, keep_indent=False, **options):
        params = nb.SamplingParams(temperature=0.0, **options)
        return nb.infill(model, prefix, suffix, params, keep_indent=keep_indent)

    def drawn(*arguments, **options):
        generation = fill(*arguments, **options).generation
        return generation.bytes, generation.finish_reason

    assert fill(b"def f(", b"\n    return").bytes == b"):"
    assert drawn(b"def f(", b"", max_bytes=2) == (b"):", "length")
    assert drawn(b"def f(", b"", single_line=True) == (b"):", "stop")
    assert drawn(b"def f(", b"", stop="turn") == (b"):\n    re", "stop")
    assert drawn(b"def f():\n    r", b"", keep_indent=True)[1] == "indentation"
    assert drawn(b"def f():\n    r", b"", min_indent=4)[0] == b"eturn 1\n\n    x"
    assert drawn(b"def f():\n    r", b"") == (text[len(b"def f():\n    r") :], "end_of_text")
    # It ends before it repeats the suffix's head.
    assert drawn(b"def f():\n    r", b"    x\ny = 2 + three\n") == (b"eturn 1\n\n", "suffix")
    nothing = fill(b"def f(", b"):\n", max_bytes=0)
    assert (nothing.bytes, nothing.finish_reason) == (b"", "length")
    assert [c.suffix_logprob for c in nothing.candidates] == [0.0]


def test_typed_bytes_and_windows():
    class Limited(FakeByteModel):
        max_text_bytes = 40

    plain = order2_model(1, b"ab\n")
    limited = Limited(plain.law)
    typed = nb.infill(plain, "a", "b", FEW, typed="ba")
    whole = nb.infill(plain, "aba", "b", FEW)
    assert (typed.typed, typed.bytes, typed.middle) == (b"ba", whole.bytes, b"ba" + whole.bytes)
    assert typed.prefix_bytes == 1
    long = "a" * 30 + "\n" + "b" * 20
    found = nb.infill(plain, long, "ab" * 50, FEW, candidates=1)
    assert (found.prefix_bytes, found.suffix_bytes) == (51, 64)
    assert nb.infill(plain, long, "ab" * 50, FEW, suffix_bytes=7).suffix_bytes == 7
    assert nb.infill(plain, long, "a", FEW, prefix_bytes=30).prefix_bytes == 20
    # 40 bytes, 5 of which are the middle's and 1 the suffix's.
    found = nb.infill(limited, long, "a", FEW)
    assert found.prefix_bytes == 20
    assert found.generation.prompt == b"b" * 20
    assert nb.infill(limited, "ab" * 30, "a", FEW).prefix_bytes == 34
    assert nb.infill(limited, "ab" * 30, "a", FEW, prefix_bytes=50).prefix_bytes == 50


def test_streams(members):
    model = nb.ByteEnsemble(members)
    whole = nb.infill(model, PREFIX, SUFFIX, FEW)
    chunks = nb.infill_stream(model, PREFIX, SUFFIX, FEW)
    assert b"".join(chunk.bytes for chunk in chunks) == whole.bytes
    assert chunks.result.candidates == whole.candidates


def test_time_and_cancelling(members, monkeypatch):
    model = nb.ByteEnsemble(members)
    longer = nb.SamplingParams(seed=5, max_bytes=20)
    asked = []
    whole = nb.infill(model, PREFIX, SUFFIX, longer, candidates=8, cancel=lambda: asked.append(1))
    known = {c.bytes: c.suffix_logprob for c in whole.candidates}
    seen = set()
    for polls_before in (0, 1, 9, len(asked) - 2, len(asked) - 1, len(asked)):
        polls = iter([False] * polls_before)
        found = nb.infill(
            model, PREFIX, SUFFIX, longer, candidates=8, cancel=lambda it=polls: next(it, True)
        )
        if found.finish_reason == "cancelled":
            for candidate in found.candidates:
                if candidate.bytes in known:
                    assert candidate.suffix_logprob == pytest.approx(known[candidate.bytes])
            total = sum(np.exp([c.log_weight for c in found.candidates]))
            assert total == pytest.approx(1.0) or not found.candidates
            seen.add(bool(found.candidates))
        else:
            assert polls_before == len(asked)
            assert found.bytes == whole.bytes
    assert seen == {True, False}
    event = threading.Event()
    event.set()
    gone = nb.infill(model, PREFIX, SUFFIX, longer, cancel=event)
    assert (gone.bytes, gone.finish_reason, gone.lm_evaluations) == (b"", "cancelled", 0)
    tick_at_each_look(monkeypatch)
    limited = nb.SamplingParams(seed=5, max_bytes=200, time_budget_ms=40_000)
    found = nb.infill(model, PREFIX, SUFFIX, limited, candidates=4)
    assert found.finish_reason == "time"
    assert found.candidates  # half of the time was left for weighing


def test_rows_are_counted(tokenizers):
    """Where forks count for themselves, and where they count for all that came from one state."""
    lm, backend = noisy(tokenizers["smollm2_like"])
    common = nb.CommonVocabularyEnsemble([lm], tolerance=0.0)
    found = nb.infill(common, PREFIX, SUFFIX, FEW, candidates=3)
    assert found.lm_evaluations == backend.requests > 0
    for model in (nb.ByteEnsemble([lm]), nb.ByteEnsemble([nb.ByteEnsemble([lm])])):
        backend.reset()
        found = nb.infill(model, PREFIX, SUFFIX, FEW, candidates=3)
        # A row that several states ask for in one batch counts for each of them.
        assert backend.requests <= found.lm_evaluations < 1.5 * backend.requests
    # A law of its own for each byte drawn or weighed, and the first for all draws together.
    fake = one_text_model(b"abcde")
    found = nb.infill(fake, "a", "d", nb.SamplingParams(max_bytes=2), candidates=3)
    middles = [b"", b"b", b"bc"]
    assert sorted(c.bytes for c in found.candidates) == middles
    assert found.lm_evaluations == 1 + 3 * 2 + len(middles)


def test_what_was_read_before_a_gap_is_not_read_again(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    gap = ByteGap(nb.ByteEnsemble([lm]), PREFIX * 30, SUFFIX)
    gap.read()
    contexts = {context for batch in backend.batches for context in batch}
    backend.reset()
    for _ in gap.stream(FEW, candidates=2):
        pass
    assert contexts
    assert not contexts & {context for batch in backend.batches for context in batch}


def test_a_suffix_that_fits_nowhere_and_laws_that_are_none():
    found = nb.infill(order2_model(1, b"ab"), "a", "c", FEW, candidates=2)
    assert all(c.suffix_logprob == -np.inf for c in found.candidates)
    assert len({c.log_weight for c in found.candidates}) == 1

    class State(FakeByteState):
        def next_byte_logprobs(self):
            if self.prefix.endswith(b"aa"):
                raise UnreachableByteError(len(self.prefix) - 1, 97)
            return super().next_byte_logprobs()

        def fork(self):
            return State(self._law, self.prefix)

    class Model(FakeByteModel):
        def start(self, prompt=b""):
            return State(self.law, prompt)

    halves = fixed(a=0.5, b=0.5)
    limited = nb.SamplingParams(seed=1, max_bytes=1)
    found = nb.infill(Model(halves.law), b"ba", b"b", limited, candidates=20)
    weighed = {c.bytes: c.suffix_logprob for c in found.candidates}
    assert weighed == {
        b"": pytest.approx(math.log(0.5)),
        b"a": -np.inf,
        b"b": pytest.approx(math.log(0.5)),
    }


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"order": "psm"}, "ByteEnsemble has no tokens for infilling"),
        ({"path": "a.py"}, "no tokens for infilling"),
        ({"repository": "a"}, "no tokens for infilling"),
        ({"files": [("a.py", "b")]}, "no tokens for infilling"),
        ({"format": "qwen"}, "format='qwen' needs a single ByteLM"),
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"suffix_bytes": -1}, "suffix_bytes must be None or at least 0"),
        ({"prefix_bytes": True}, "prefix_bytes must be None or at least 0"),
        ({"cancel": 1}, "cancel must be a function"),
        ({"choose": "worst"}, 'choose must be "best" or "sample"'),
        ({"params": nb.SamplingParams(unit="token")}, '^unit="token" needs a single ByteLM'),
        ({"params": nb.SamplingParams(max_tokens=3)}, "^max_tokens counts drawn tokens"),
    ],
)
def test_what_is_refused(members, options, problem):
    with pytest.raises(InvalidInputError, match=problem):
        nb.infill_stream(nb.ByteEnsemble(members), "a", "b", **options)


def test_what_is_no_byte_model_and_what_cannot_be_before_a_gap():
    with pytest.raises(InvalidInputError, match="infill needs a byte model, not str"):
        nb.infill("smollm2-135m", "a", "b")
    with pytest.raises(UnreachableByteError) as caught:
        nb.infill(order2_model(1, b"ab"), "ab", "b", typed="ax")
    assert caught.value.position == 3
    assert nb.infill(order2_model(1, b"ab"), "a", "b", FEW, format="none").candidates
