"""Typing into a gap: what is read again, that results stay those of `infill`, windows, limits."""

from __future__ import annotations

import gc
import itertools
import random
import threading

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, NextByteError, UnreachableByteError
from nextbyte.fim_formats import find_fim_format
from nextbyte.infilling.window import fit, prefix_window, suffix_window, token_count
from unit.clocks import tick_at_each_look
from unit.fim_models import coder, fim_model, sayer
from unit.known_models import load_all, noisy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def starcoder(folder):
    return coder(folder, "starcoder")


@pytest.fixture(scope="module")
def words(folder):
    return load_all(folder)["smollm2_like"]


PREFIX, SUFFIX = "def hello():\n    ab = " * 6, "\n    return world\n" * 4


@pytest.mark.parametrize("order", ["psm", "spm"])
@pytest.mark.parametrize("unit", ["token", "byte"])
def test_what_was_read_is_not_read_again(starcoder, order, unit):
    lm, backend = fim_model(starcoder)
    params = nb.SamplingParams(seed=3, max_bytes=6, unit=unit)
    session = nb.InfillSession(lm, PREFIX, SUFFIX, order=order)
    session.complete(params)
    assert backend.tokens > 100
    for key in " wor":
        backend.reset()
        session.type(key)
        found = session.complete(params)
        # The contexts at the cursor, and what is drawn: nothing of prefix and suffix.
        assert backend.tokens <= 40
        assert found.lm_evaluations == backend.requests
        assert max(len(c) for batch in backend.batches for c in batch) > 100
    backend.reset()
    fresh = nb.infill(lm, PREFIX, SUFFIX, params, typed=" wor", order=order)
    assert backend.tokens > 100
    assert (fresh.bytes, fresh.typed) == (found.bytes, b" wor")
    assert fresh.generation.logprob == pytest.approx(found.generation.logprob, abs=1e-12)
    session.erase(3)
    assert session.typed == b" "
    again = session.complete(params)
    assert again.bytes == nb.infill(lm, PREFIX, SUFFIX, params, typed=" ", order=order).bytes
    del session, found, fresh, again
    gc.collect()
    assert len(backend.branches) == 0


def test_reading_ahead_is_what_the_first_completion_would_do(starcoder, words):
    for tokenizer in (starcoder, words):
        lm, backend = fim_model(tokenizer) if tokenizer is starcoder else noisy(tokenizer)
        params = nb.SamplingParams(seed=3, max_bytes=6)
        fresh = nb.InfillSession(lm, "the tea " * 9, "at the t").complete(params, candidates=2)
        session = nb.InfillSession(lm, "the tea " * 9, "at the t")
        backend.reset()
        session.read()
        assert backend.tokens > 20
        backend.reset()
        found = session.complete(params, candidates=2)
        assert (found.bytes, found.candidates) == (fresh.bytes, fresh.candidates)
        session.read()
        count = backend.calls
        session.read()
        assert backend.calls == count


def test_a_session_weighs_too(words):
    lm, backend = noisy(words)
    params = nb.SamplingParams(seed=5, max_bytes=4)
    session = nb.InfillSession(lm, "the a " * 30, " a the t")
    backend.reset()
    session.complete(params, candidates=3)
    whole = backend.tokens
    session.type("t")
    backend.reset()
    found = session.complete(params, candidates=3)
    assert found.lm_evaluations == backend.requests
    assert backend.tokens < whole - 30
    fresh = nb.infill(lm, "the a " * 30, " a the t", params, typed="t", candidates=3)
    assert fresh.bytes == found.bytes
    for one, other in zip(fresh.candidates, found.candidates, strict=True):
        assert one.bytes == other.bytes
        assert one.suffix_logprob == pytest.approx(other.suffix_logprob, abs=1e-11)


def test_random_typing_and_erasing(starcoder):
    lm, _ = fim_model(starcoder)
    random_ = random.Random(1)
    session = nb.InfillSession(lm, "ab", "\n", order="spm")
    typed = b""
    for _ in range(60):
        if typed and random_.random() < 0.4:
            n = random_.randrange(len(typed) + 1)
            session.erase(n)
            typed = typed[: len(typed) - n]
        else:
            data = random_.choice([b" world", b"ab", b"\xf0\x9f", b"\r\n", b"    ", b""])
            try:
                session.type(data)
            except UnreachableByteError:
                assert session.typed == typed
                continue
            typed += data
        assert session.typed == typed
        # The state is the one that reads all of it at once.
        segments = find_fim_format(starcoder.special_tokens).segments(
            "ab", "\n", order="spm", typed=typed
        )
        state = lm.start(segments=segments, end_tokens=session._state._stream.end_tokens)
        assert session._state.prefix == state.prefix == b"ab" + typed
        np.testing.assert_allclose(
            np.exp(session._state.next_byte_logprobs()),
            np.exp(state.next_byte_logprobs()),
            atol=1e-12,
        )
    with pytest.raises(InvalidInputError, match="bytes were typed"):
        session.erase(len(typed) + 1)


def test_streams(starcoder, words):
    lm, _ = fim_model(starcoder)
    params = nb.SamplingParams(seed=4, max_bytes=40)
    whole = nb.infill(lm, "ab", "c", params)
    chunks = nb.infill_stream(lm, "ab", "c", params)
    with pytest.raises(NextByteError, match="no result before its end"):
        _ = chunks.result
    shown = [chunk.bytes for chunk in chunks]
    assert len(shown) > 1
    assert b"".join(shown) == whole.bytes == chunks.result.bytes
    assert list(chunks) == []
    other, _ = noisy(words)
    chunks = nb.infill_stream(other, "the ", "a", params, candidates=2)
    assert b"".join(chunk.bytes for chunk in chunks) == chunks.result.bytes


# --- Limits --------------------------------------------------------------------------------------


def test_limits_of_a_trained_model(starcoder):
    says = "ab = 1\n    ab\n\n  world"
    lm = sayer(starcoder, says)

    def fill(prefix="    x", suffix="\n", *, keep_indent=False, **limits):
        params = nb.SamplingParams(temperature=0, **limits)
        found = nb.infill(lm, prefix, suffix, params, keep_indent=keep_indent)
        return found.bytes.decode(), found.finish_reason

    assert fill() == (says, "end_of_text")
    assert fill(single_line=True) == ("ab = 1", "stop")
    assert fill(keep_indent=True) == ("ab = 1\n    ab", "indentation")
    assert fill(prefix="\n  \tx", keep_indent=True) == ("ab = 1\n    ab", "indentation")
    assert fill(prefix="x", keep_indent=True) == (says, "end_of_text")
    assert fill(min_indent=5) == ("ab = 1", "indentation")
    assert fill(max_bytes=3) == ("ab ", "length")
    assert fill(stop="1") == ("ab = ", "stop")
    assert fill(suffix="  world of text\n") == ("ab = 1\n    ab\n\n  world", "end_of_text")
    lm = sayer(starcoder, "ab\n    return world")
    assert fill(suffix="\n    return world + 1\n") == ("ab", "suffix")
    assert fill(suffix="\r\n    return world\r\n") == ("ab", "suffix")


def test_time_and_cancelling_of_a_trained_model(starcoder, monkeypatch):
    lm, backend = fim_model(starcoder)
    params = nb.SamplingParams(seed=4, max_bytes=60)
    whole = nb.infill(lm, "ab", "c", params)
    polls = itertools.count()
    found = nb.infill(lm, "ab", "c", params, cancel=lambda: next(polls) >= 5)
    assert found.finish_reason == "cancelled"
    assert whole.bytes.startswith(found.bytes)
    assert 0 < len(found.bytes) < len(whole.bytes)
    event = threading.Event()
    event.set()
    backend.reset()
    found = nb.infill(lm, "ab", "c", params, cancel=event)
    assert (found.bytes, found.finish_reason, backend.calls) == (b"", "cancelled", 0)
    tick_at_each_look(monkeypatch)
    limited = nb.SamplingParams(seed=4, max_bytes=60, time_budget_ms=6500)
    found = nb.infill(lm, "ab", "c", limited)
    assert found.finish_reason == "time"
    assert whole.bytes.startswith(found.bytes)
    assert 0 < len(found.bytes) < len(whole.bytes)


def test_time_and_cancelling_where_middles_are_weighed(words, monkeypatch):
    lm, backend = noisy(words)
    params = nb.SamplingParams(seed=5, max_bytes=30)
    for polls_before in (0, 1, 9, 40, 70, 300):
        polls = iter([False] * polls_before)
        backend.reset()
        found = nb.infill(
            lm, "the t", " a t", params, candidates=4, cancel=lambda it=polls: next(it, True)
        )
        if found.finish_reason == "cancelled":
            if polls_before == 0:
                assert (found.bytes, backend.calls) == (b"", 0)
            total = sum(np.exp([c.log_weight for c in found.candidates]))
            assert total == pytest.approx(1.0) or not found.candidates
        else:
            assert polls_before > 100
    tick_at_each_look(monkeypatch)
    limited = nb.SamplingParams(seed=5, max_bytes=200, time_budget_ms=40_000)
    found = nb.infill(lm, "the t", " a t", limited, candidates=4)
    assert found.finish_reason == "time"
    assert found.candidates  # half of the time was left for weighing
    assert found.bytes


# --- Windows -------------------------------------------------------------------------------------


def test_windows_are_whole_lines_next_to_the_gap():
    random_ = random.Random(2)
    for _ in range(500):
        text = "".join(random_.choices("ab\n\u00e9\u20ac", k=random_.randrange(30))).encode()
        size = random_.randrange(40)
        before, after = prefix_window(text, size), suffix_window(text, size)
        assert len(before) <= size
        assert len(after) <= size
        assert text.endswith(before)
        assert text.startswith(after)
        before.decode(), after.decode()
        if size >= len(text):
            assert before == after == text
            continue
        starts = [i for i in range(len(text) - size, len(text)) if i and text[i - 1 : i] == b"\n"]
        if starts:
            assert len(before) == len(text) - starts[0]
        else:
            assert len(before) > size - 4
        ends = [i for i in range(1, size + 1) if text[i - 1 : i] == b"\n"]
        if ends:
            assert len(after) == ends[-1]
        else:
            assert len(after) > size - 4


def test_windows_fit_together():
    random_ = random.Random(3)
    for _ in range(300):
        prefix, suffix = (
            b"".join(random_.choices([b"ab\n", b"abcdef", b"\n"], k=random_.randrange(40)))
            for _ in range(2)
        )
        room = random_.randrange(60)
        first, second = fit(prefix, suffix, room, lambda text: (len(text) + 1) // 2)
        assert (len(first) + 1) // 2 + (len(second) + 1) // 2 <= max(room, 0)
        if (len(prefix) + 1) // 2 + (len(suffix) + 1) // 2 <= room:
            assert (first, second) == (prefix, suffix)
    assert fit(b"a", b"b", -5, len) == (b"", b"")


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_a_prefix_of_50_kilobytes(starcoder, order):
    lm, backend = fim_model(starcoder)
    backend.max_context_tokens = 300
    line = "    ab = world\n"
    prefix = line * 3400 + "    return wor"
    suffix = "ld\n" + line * 900
    assert len(prefix) > 50_000
    params = nb.SamplingParams(seed=3, max_bytes=20)
    found = nb.infill(lm, prefix, suffix, params, order=order)
    longest = max(len(c) for batch in backend.batches for c in batch)
    assert 200 < longest <= 300
    assert found.prefix_bytes > 100
    assert found.suffix_bytes > 10
    read = prefix[len(prefix) - found.prefix_bytes :]
    assert read.startswith("    ab")
    assert suffix[: found.suffix_bytes].endswith("\n")
    # The boundary is that of the same model given the window alone.
    backend.max_context_tokens = 10**6
    same = nb.infill(lm, read, suffix[: found.suffix_bytes], params, order=order)
    assert same.bytes == found.bytes
    some = nb.infill(lm, prefix, suffix, params, order=order, prefix_bytes=40, suffix_bytes=20)
    assert (some.prefix_bytes, some.suffix_bytes) == (len("    ab = world\n    return wor"), 18)


def test_a_long_prefix_where_middles_are_weighed(words):
    lm, backend = noisy(words)
    backend.max_context_tokens = 200
    params = nb.SamplingParams(seed=1, max_bytes=3)
    found = nb.infill(lm, "the a\n" * 9000 + "t", " a" * 1000, params, candidates=2)
    assert max(len(c) for batch in backend.batches for c in batch) <= 200
    assert found.prefix_bytes % 6 == 1
    assert found.suffix_bytes == 64


def test_counting_tokens_of_a_text_cut_in_a_character(starcoder):
    assert token_count(starcoder, b"") == 0
    assert token_count(starcoder, b" world\xf0\x9f") == len(starcoder.encode(" world")) + 2
    assert token_count(starcoder, b"\xff\xff") == 2
