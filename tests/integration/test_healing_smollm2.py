"""Healing and drawing by tokens on the embedded model: the cases that break others, and the law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tokenizers

import nextbyte as nb

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def lm(model_folder):
    return nb.ByteLM.from_pretrained(model_folder)


PROMPTS = {
    "indentation": "def f(x):\n    ",
    "space": "The cat sat on the ",
    "blank line": "A heading\n\n",
    "half an emoji": b"I am happy " + "\U0001f600".encode()[:2],
    "angle bracket": "In HTML, a paragraph starts with <",
    "nothing but the start token": "",
    "inside a word": "Hello, worl",
    "CRLF": "first line\r\n",
    "half a CRLF": "first line\r",
    "spelling of a special token": "x<|endoftext|",
    "tabs": "\tif (a)\n\t\t",
    "digits": "In 19",
    "contraction": "They wouldn'",
}


@pytest.mark.parametrize("name", PROMPTS)
def test_covers_of_a_prompt_that_breaks_others(name, lm):
    prompt = PROMPTS[name]
    data = prompt.encode() if isinstance(prompt, str) else prompt
    healing = nb.heal(lm, prompt)
    assert math.fsum(np.exp(healing.log_weights)) == pytest.approx(1.0, abs=1e-12)
    for cover in [*healing.covers[:50], healing.sample(1)]:
        ids = healing.token_ids(cover)
        # All of the prompt stays, white space too, and the start token alone is special.
        assert ids[0] == lm.start_token
        assert b"".join(map(lm.tokenizer.token_bytes, ids[1:])) == data + cover.overhang
        assert all(lm.tokenizer.token_bytes(token) for token in ids[1:])
    # The covers are those of the law of the next byte: their first bytes have its probabilities.
    state = healing._state
    law = np.exp(state.next_byte_logprobs())
    weights = healing._weights
    ends = weights.tokens < 0
    surely = np.zeros(257)
    for index in np.flatnonzero(~ends):
        overhang = weights.cover(index, state, lm.tokenizer.token_bytes).overhang
        surely[overhang[0]] += np.exp(weights.log_weights[index])
    assert (surely - law).max() <= 1e-12
    assert surely.sum() + np.exp(weights.log_weights[ends]).sum() == pytest.approx(1.0, abs=1e-9)


def test_a_word_is_healed(lm):
    healing = nb.heal(lm, "Hello, worl")
    assert healing.best.overhang == b"d"
    assert healing.best.log_weight > math.log(0.99)
    assert lm.tokenizer.decode(healing.best.tokens) == b" world"


def test_indentation_is_kept(lm):
    params = nb.SamplingParams(temperature=0, max_bytes=12)
    result = nb.generate(lm, "def add(a, b):\n    ", params)
    assert result.full_text.startswith("def add(a, b):\n    return")


def test_an_emoji_is_completed(lm):
    params = nb.SamplingParams(seed=0, max_bytes=8)
    for seed in range(5):
        params = nb.SamplingParams(seed=seed, max_bytes=8)
        result = nb.generate(lm, b"So happy " + "\U0001f600".encode()[:3], params)
        result.full_text.encode()  # no lone half
        assert "\N{REPLACEMENT CHARACTER}" not in result.full_text[:10]


def test_covers_behind_whole_tokens_are_the_tokenizers_own(lm, model_folder):
    """Where the prompt can end nowhere but at a token's end, the best cover is plain encoding."""
    library = tokenizers.Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    prompt = "The capital of France is Paris.\n"
    healing = nb.heal(lm, prompt)
    assert healing.token_ids(healing.best)[1:] == library.encode(prompt).ids


def test_both_units_have_the_same_law_of_bytes(lm):
    """Few hundred draws of two bytes by each unit, against the exact law of these two."""
    prompt, draws = "She was a ", 600
    state = lm.start(prompt)
    first = np.exp(state.next_byte_logprobs())
    exact = {}
    for byte in np.flatnonzero(first[:256] > 1e-4).tolist():
        child = state.fork()
        child.push(bytes([byte]))
        for other, chance in enumerate(np.exp(child.next_byte_logprobs())[:256]):
            exact[bytes([byte, other])] = first[byte] * chance
    for unit in ("token", "byte"):
        counts = {}
        params = [nb.SamplingParams(seed=i, max_bytes=2, unit=unit) for i in range(draws)]
        for start in range(0, draws, 100):
            part = params[start : start + 100]
            for result in nb.generate(lm, [prompt] * len(part), part):
                counts[result.bytes] = counts.get(result.bytes, 0) + 1
        common = [key for key, chance in exact.items() if chance * draws >= 5]
        chances = np.array([exact[key] for key in common])
        found = np.array([counts.get(key, 0) for key in common])
        expected = np.append(chances, 1.0 - chances.sum()) * draws
        found = np.append(found, draws - found.sum())
        statistic = ((found - expected) ** 2 / expected).sum()
        # Far beyond the 99.9th percentile of chi-square: mean k, variance 2 k.
        freedom = len(expected) - 1
        assert len(common) > 1
        assert statistic < freedom + 4 * math.sqrt(2 * freedom) + 4, (unit, statistic, freedom)
