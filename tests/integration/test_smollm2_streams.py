"""Many streams of the embedded model: batches, shared beginnings, states that come back."""

from __future__ import annotations

import numpy as np
import pytest

import nextbyte as nb

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def lm(model_folder):
    return nb.ByteLM.from_pretrained(model_folder)


@pytest.fixture
def tokens_read(lm):
    """Count the tokens that go through the model from here on."""
    read = []

    def count(_module, _args, options):
        read.append(options["input_ids"].numel())

    hook = lm.backend._model.register_forward_pre_hook(count, with_kwargs=True)
    yield read
    hook.remove()


def test_streams_of_one_beginning_share_it(lm, tokens_read):
    prompt = "The old man went down to the harbour. " * 3
    first = lm.start(prompt)
    expected = first.next_byte_logprobs()
    held = lm.backend.kv_tokens
    tokens_read.clear()
    second, third = lm.start(prompt), lm.start(prompt + "He saw")
    rows = lm.next_byte_logprobs([second, third])
    assert sum(tokens_read) <= 10
    assert lm.backend.kv_tokens <= held + 10
    np.testing.assert_allclose(np.exp(rows[0]), np.exp(expected), rtol=0, atol=1e-5)
    del first, second
    third.push(b" a")
    assert abs(np.exp(third.next_byte_logprobs()).sum() - 1.0) < 1e-12


def test_a_batch_generates_what_its_prompts_do_one_by_one(lm):
    prompts = ["The sky is", "def f(x):\n    ret", "The sky was", "1, 2, 3,"]
    params = nb.SamplingParams(temperature=0.0, max_bytes=10)
    for one, prompt in zip(nb.generate(lm, prompts, params), prompts, strict=True):
        alone = nb.generate(lm, prompt, params)
        assert one.bytes == alone.bytes
        np.testing.assert_allclose(one.byte_logprobs, alone.byte_logprobs, rtol=0, atol=1e-3)
