"""Windows of a long text: what each knows, that a job can be resumed, what is held in memory."""

from __future__ import annotations

import math
import random
import tracemalloc

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError
from nextbyte.scoring import windows as scoring_windows
from unit.fake_byte_models import FakeByteModel, FakeByteState, order2_model
from unit.known_models import load_all, noisy
from unit.scored import InBatchesOf, assert_same_laws, ending, step_by_step


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- Windows -------------------------------------------------------------------------------------

LONG = ("the hat that the bat ate in 2024, naïve 今天天气 \U0001f600 don't\n" * 4).encode()


@pytest.mark.parametrize(("window", "overlap"), [(20, 0), (20, 7), (33, 32), (64, None), (999, 1)])
@pytest.mark.parametrize("context", [b"", b"the", "what came before: 今".encode()[:-1]])
def test_a_window_is_the_text_from_its_beginning(tokenizers, window, overlap, context):
    lm, _ = ending(tokenizers["smollm2_like"])
    options = {"context": context, "window_bytes": window, "overlap_bytes": overlap}
    data = b"\x8a" + LONG if context.endswith(b"\xe4\xbb") else LONG
    least = window // 2 if overlap is None else overlap
    whole = context + data
    windows = list(nb.score_windows(lm, data, **options, full=True, end_of_text=True))
    place = 0
    for found in windows:
        assert found.start == place
        place = found.stop
        begin = len(context) + found.start - found.context_bytes
        assert begin >= 0
        assert found.context_bytes >= min(least, len(context) + found.start)
        assert found.context_bytes + found.stop - found.start <= window + 3
        assert not 0x80 <= whole[begin] < 0xC0  # a whole character
        after = len(found.rows) - (found.stop - found.start)
        assert after == (found is windows[-1])
        rows = step_by_step(
            lm, data[found.start : found.stop], whole[begin:][: found.context_bytes]
        )
        assert_same_laws(found.rows, rows[: len(found.rows)])
        assert found.bound == 0.0
    assert place == len(data)
    together = np.concatenate([found.logprobs for found in windows])
    np.testing.assert_array_equal(together, nb.score(lm, data, **options, end_of_text=True))


def test_a_stopped_job_goes_on_with_the_same_numbers(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    options = {"window_bytes": 30, "overlap_bytes": 11}
    whole = list(nb.score_windows(lm, LONG, **options))
    assert len(whole) > 5
    for done in range(len(whole) + 1):
        first = whole[done - 1].stop if done else 0
        rest = list(nb.score_windows(lm, LONG, **options, start=first))
        assert [(w.start, w.stop) for w in rest] == [(w.start, w.stop) for w in whole[done:]]
        for again, before in zip(rest, whole[done:], strict=True):
            np.testing.assert_array_equal(again.logprobs, before.logprobs)
    with pytest.raises(InvalidInputError, match="begins at 30"):
        nb.score_windows(lm, LONG, **options, start=29)


def test_windows_cut_bytes_that_are_no_text_anywhere():
    model = order2_model(5, bytes(range(0x80, 0x90)), end=False)
    data = bytes(random.Random(1).choices(range(0x80, 0x90), k=50))
    windows = list(nb.score_windows(model, data, window_bytes=20, overlap_bytes=10))
    assert [w.context_bytes for w in windows] == [0, 10, 10, 10]
    np.testing.assert_allclose(
        nb.score(model, data)[20:], np.concatenate([w.logprobs for w in windows[1:]]), rtol=1e-12
    )


@pytest.mark.parametrize(("window", "overlap"), [(0, None), (10, 10), (10, -1), (-5, None)])
def test_windows_that_are_none(window, overlap):
    with pytest.raises(InvalidInputError, match="overlap"):
        nb.score_windows(order2_model(0, b"ab"), b"ab", window_bytes=window, overlap_bytes=overlap)


def test_the_window_fits_the_model(tokenizers, monkeypatch):
    lm, backend = noisy(tokenizers["letters"])
    data = b"the hat " * 10
    assert lm.max_text_bytes is None
    assert [w.stop for w in nb.score_windows(lm, data)] == [80]
    backend.batches.clear()
    backend.max_context_tokens = 29
    assert lm.max_text_bytes == 27
    windows = list(nb.score_windows(lm, data))
    assert [w.stop for w in windows] == [24, 36, 48, 60, 72, 80]
    assert max(len(context) for batch in backend.batches for context in batch) <= 27
    monkeypatch.setattr(scoring_windows, "DEFAULT_WINDOW_BYTES", 16)
    assert next(nb.score_windows(lm, data)).stop == 16


def test_the_window_fits_every_member_of_an_ensemble(tokenizers):
    (lm, backend), (other, _) = noisy(tokenizers["letters"]), noisy(tokenizers["letters"])
    both = nb.ByteEnsemble([lm, other, order2_model(0, b"the a")])
    assert (both.max_text_bytes, both.states_at_once) == (None, 64)
    backend.max_context_tokens = 29
    backend.vocab_size = 262_208
    assert (both.max_text_bytes, both.states_at_once) == (27, 63)
    two = nb.ByteEnsemble([other, noisy(tokenizers["letters"])[0]])
    assert two.states_at_once == 256


class BoundedState(FakeByteState):
    """Says that its error may be a hundredth for each `b` of its text."""

    @property
    def bound(self):
        return self.prefix.count(b"b") / 100

    def fork(self):
        return BoundedState(self._law, self.prefix)


def test_a_window_tells_the_largest_bound_of_its_states():
    model = order2_model(4, b"ab")
    model.start = lambda prompt=b"": BoundedState(model.law, prompt)
    windows = list(nb.score_windows(model, b"aabaabba", window_bytes=4, overlap_bytes=0))
    assert [window.bound for window in windows] == [0.01, 0.02]


def test_the_number_of_states_depends_on_the_vocabulary(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    assert lm.states_at_once == 256
    for width, states in [(49_152, 256), (128_256, 130), (262_208, 63), (1 << 40, 1)]:
        backend.vocab_size = width
        assert lm.states_at_once == states


# --- Memory --------------------------------------------------------------------------------------


def test_rows_and_contexts_do_not_pile_up(tokenizers):
    """One window: rows for a batch; contexts of the text itself, not of the tree's dead ends."""
    lm, backend = noisy(tokenizers["smollm2_like"])
    most = []
    extend = backend.extend

    def counting(requests):
        most.append((backend.rows, len(backend.branches)))
        return extend(requests)

    backend.extend = counting
    data = LONG * 4
    nb.score(InBatchesOf(lm, 16), data)
    assert len(most) > 50
    assert max(rows for rows, _ in most) <= 4  # those of the states that go on; a batch's are gone
    contexts = [count for _, count in most]
    assert contexts[-1] <= len(lm.tokenizer.encode(data)) + 8
    assert backend.rows == len(backend.branches) == 0


def test_memory_does_not_depend_on_the_length():
    """Windows of a text ten times as long take no more than those of the short one."""

    def law(prefix):
        row = np.full(257, -math.log(257))
        row.flags.writeable = False
        return row

    model = FakeByteModel(law)
    model.start = lambda prompt=b"": type(model).start(FakeByteModel(law), prompt)

    def peak(count):
        data = b"a" * count
        tracemalloc.start()
        for _ in nb.score_windows(model, data, window_bytes=100, full=True):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(500)
    assert peak(5000) < 1.1 * peak(500) + 10_000
