"""Scoring on transformers models: one pass is one query a byte, windows, what the cache holds."""

from __future__ import annotations

import argparse
import gc
import math
from pathlib import Path

import numpy as np
import pytest

import nextbyte as nb
from integration.small_models import gpt2, llama
from nextbyte.backends import TransformersBackend
from unit import tiny_tokenizers as tiny
from unit.scored import InBatchesOf, assert_same_laws, chain, step_by_step

TEXT = b"the bat that ate the \xc3\xa9 hat\n\nbathe the cat "
SMALL = {
    "llama sdpa": lambda: llama("sdpa"),
    "llama eager": lambda: llama("eager"),
    "gpt2 sdpa": lambda: gpt2("sdpa"),
    "gpt2 eager": lambda: gpt2("eager"),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return nb.Tokenizer.from_file(tiny.write(tmp_path_factory.mktemp("letters"), tiny.letters()))


@pytest.fixture(params=SMALL)
def lm(request, tokenizer):
    """Return a model in float64, so that nothing but exactness is left of a difference."""
    model = SMALL[request.param]().double()
    return nb.ByteLM(tokenizer, TransformersBackend(model, start_token=22, end_tokens=[23]))


@pytest.mark.parametrize("at_once", [1, 5, 256])
def test_a_tree_in_one_pass_has_the_laws_of_one_query_a_byte(lm, at_once, request):
    expected = step_by_step(lm, TEXT)
    found = nb.score(InBatchesOf(lm, at_once), TEXT, full=True, end_of_text=True)
    # Llama's eager attention takes its softmax in float32, whatever the model is in.
    eager = "llama eager" in request.node.name
    assert_same_laws(found, expected, atol=1e-5 if eager else 1e-9)
    gc.collect()
    assert lm.backend.kv_tokens == 0


def test_a_job_that_was_stopped_goes_on_to_the_same_total(lm):
    data = TEXT * 6
    options = {"window_bytes": 100, "overlap_bytes": 40}
    whole = [w.logprobs for w in nb.score_windows(lm, data, **options)]
    half = []
    for window in nb.score_windows(lm, data, **options):
        half.append(window.logprobs)
        if window.stop > 150:
            break
    half += [w.logprobs for w in nb.score_windows(lm, data, **options, start=window.stop)]
    assert len(half) == len(whole) > 3
    assert math.fsum(np.concatenate(half)) == math.fsum(np.concatenate(whole))


def test_the_cache_holds_a_window_and_a_batch_whatever_the_length(lm):
    held = []
    extend = lm.backend.extend

    def counting(requests):
        branches = extend(requests)
        held.append(lm.backend.kv_tokens)
        return branches

    lm.backend.extend = counting

    def most(count):
        held.clear()
        nb.score(InBatchesOf(lm, 16), TEXT * count, window_bytes=80, overlap_bytes=40)
        return max(held)

    # A token of the text for each 1.5 bytes or more; a batch of 16 states has 20 contexts or so.
    assert most(3) <= 80 / 1.5 + 40
    assert most(12) <= most(3) + 4


def test_a_window_that_is_too_long_for_the_model_says_so(lm):
    assert lm.max_text_bytes == 638
    data = b"a b " * 300
    assert len(nb.score(lm, data)) == len(data)
    with pytest.raises(nb.errors.BackendError, match="smaller windows"):
        nb.score(lm, data, window_bytes=1200)


# --- The embedded model --------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_embedded_model_on_python(model_folder, attention):
    """The task's bound for float32; what is left is the order in which a forward pass adds."""
    lm = nb.ByteLM.from_pretrained(model_folder, attention=attention)
    data = Path(argparse.__file__).read_bytes()[3000:3150]
    found = nb.score(lm, data, full=True, end_of_text=True)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=0, atol=1e-12)
    half = nb.score(lm, data[70:], context=data[:70])
    np.testing.assert_allclose(half, chain(found, data)[70:], rtol=0, atol=1e-4)
    expected = step_by_step(lm, data[:40])
    np.testing.assert_allclose(np.exp(found[:41]), np.exp(expected), rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        chain(found, data[:40]), chain(expected, data[:40]), rtol=0, atol=1e-4
    )


@pytest.mark.model
def test_the_embedded_model_chooses(model_folder):
    lm = nb.ByteLM.from_pretrained(model_folder)
    choices = [" Paris", " Rome", " bananas", " Par\xff".encode("latin-1")]
    found = nb.loglikelihood(lm, "The capital of France is", choices)
    assert found.argmax() == 0
    assert found[3] == -math.inf
    # The blank may stand on either side of the join.
    blank = nb.loglikelihood(lm, "The capital of France is", " ")
    after = nb.loglikelihood(lm, "The capital of France is ", "Paris")
    assert blank + after == pytest.approx(found[0], abs=1e-4)
