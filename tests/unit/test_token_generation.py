"""Generation by tokens: draws, options, stops and cuts, streams, batches; `heal` as an object."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.sampling import SamplingParams, generate, stream
from nextbyte.sampling.warping import warp, warp_law
from nextbyte.token_walk import END, TokenWalk, read_rows, weigh_covers
from unit.fake_byte_models import order2_model
from unit.known_models import END as END_TOKEN
from unit.known_models import START, load_all, noisy
from unit.test_character_pairs import LEAD_CASES, llama_json, logits, write_json
from unit.token_laws import assert_same_law, law_by_bytes, law_by_tokens


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


def walk_at_the_end(lm, prompt):
    """Return a walk from the cover that ends with the prompt."""
    state = lm.start(prompt)
    (covers,) = weigh_covers([state], current=True)
    exact = int(np.flatnonzero(covers.tokens == END)[0])
    context = covers.contexts[covers.owners[exact]]
    walk = TokenWalk(state, context, lm.tokenizer.token_bytes)
    assert walk.has_row
    return walk


# --- Draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ab_with_specials", "all_bytes", "smollm2_like"])
def test_a_draw_inverts_the_distribution_function(tokenizers, name):
    options = {"end_tokens": [END_TOKEN]} if name == "ab_with_specials" else {}
    lm, _ = noisy(tokenizers[name], **options)
    walk = walk_at_the_end(lm, b"a")
    law = walk.probabilities()
    assert math.fsum(law) == pytest.approx(1.0, abs=1e-12)
    assert (law[-1] > 0) == bool(options)
    tokens = [token for token in range(len(law) - 1) if law[token] > 0]
    order = sorted(tokens, key=lm.tokenizer.token_bytes) + [END] * bool(options)
    edges = np.cumsum(law[order])
    for uniform in np.random.default_rng(0).random(500):
        assert walk.draw(uniform) == order[np.searchsorted(edges, uniform, side="right")]
    assert walk.draw(0.0) == order[0]
    assert walk.draw(np.nextafter(1.0, 0.0)) == order[-1]
    assert [walk.logprob(token) for token in order] == pytest.approx(np.log(law[order]))


def test_tokens_that_may_not_follow_are_refused(tokenizers):
    lm, _ = noisy(tokenizers["ab_with_specials"])
    walk = walk_at_the_end(lm, b"a")
    for token in (START, 99, -1, 1):  # special, unknown, the end; and [a][b], which is [ab]
        with pytest.raises(InvalidInputError, match="may not follow"):
            walk.advance(token)
    assert walk.logprob(START) == -np.inf
    walk.advance(0)
    with pytest.raises(InvalidInputError, match="row of logits is missing"):
        walk.draw(0.5)
    read_rows([walk])
    assert walk.lm_evaluations == 1


@pytest.mark.parametrize("name", LEAD_CASES)
def test_the_lead_is_no_text(name, tmp_path, monkeypatch):
    pieces, merges, spelled, _ = LEAD_CASES[name]
    tokenizer = nb.Tokenizer.from_file(write_json(tmp_path, llama_json(pieces, merges, spelled)))
    lm = nb.ByteLM.from_function(
        tokenizer,
        lambda batch: np.array([logits(tuple(s), tokenizer.vocab_size) for s in batch]),
        end_tokens=[1],
    )
    for prompt in (b"", b"a"):
        found = law_by_tokens(monkeypatch, lm, prompt, max_bytes=2)
        assert_same_law(found, law_by_bytes(lm, prompt, max_bytes=2))


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [257, 600, 5000])
@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 3},
        {"top_k": 550, "top_p": 0.5},
        {"top_p": 0.3},
        {"top_p": 0.999999, "temperature": 3.0},
        {"top_p": 0.9, "min_p": 0.1, "temperature": 0.5},
    ],
)
def test_long_laws_are_warped_by_the_same_definition(length, options):
    random = np.random.default_rng(length)
    row = np.round(random.normal(0.0, 2.0, length), 1)  # many ties
    row[random.random(length) < 0.1] = -np.inf
    params = SamplingParams(**options)
    weights = np.exp((row - row.max()) / params.temperature)
    order = np.argsort(-row, kind="stable")
    if params.top_k:
        weights[order[params.top_k :]] = 0.0
    held = np.cumsum(weights[order])
    weights[order[np.searchsorted(held, params.top_p * held[-1]) + 1 :]] = 0.0
    weights[weights < params.min_p] = 0.0
    found = warp_law(row, params)
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-12)
    if length == 257:
        np.testing.assert_array_equal(found, warp(row, params))


def test_greedy_takes_the_best_cover_and_the_best_tokens(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    result = generate(lm, b"the t", SamplingParams(temperature=0, max_bytes=8, unit="token"))
    assert result.cover == nb.heal(lm, b"the t").best
    state = lm.start(b"the t")
    (covers,) = weigh_covers([state], current=True)
    index = int(np.argmax(covers.log_weights))
    walk = TokenWalk(state, covers.contexts[covers.owners[index]], lm.tokenizer.token_bytes)
    if covers.tokens[index] != END:
        walk.advance(int(covers.tokens[index]))
    expected = []
    for _ in result.token_ids:
        read_rows([walk])
        expected.append(int(np.argmax(walk.probabilities())))
        walk.advance(expected[-1])
    assert list(result.token_ids) == expected
    again = SamplingParams(top_k=1, max_bytes=8, unit="token", seed=4)
    assert generate(lm, b"the t", again).bytes == result.bytes


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}, {"top_p": 0.8}, {"min_p": 0.05}])
def test_a_generation_says_what_was_drawn(tokenizers, options):
    lm, backend = noisy(tokenizers["smollm2_like"])
    params = SamplingParams(max_bytes=12, seed=3, **options)
    result = generate(lm, b"a t", params)
    assert result.cover is not None  # by default a ByteLM draws tokens
    drawn = result.cover.overhang + lm.tokenizer.decode(result.token_ids)
    assert drawn.startswith(result.bytes)
    assert (len(result.bytes), result.finish_reason) == (12, "length")
    assert len(drawn) - len(lm.tokenizer.token_bytes(result.token_ids[-1])) < 12
    assert len(result.token_logprobs) == len(result.token_ids)
    assert result.logprob == pytest.approx(result.cover.log_weight + result.token_logprobs.sum())
    assert result.byte_logprobs.shape == (0,)
    assert not result.token_logprobs.flags.writeable
    assert result.lm_evaluations == backend.requests
    # One row a token, behind those that the law of the next byte needs; the last is not read.
    state = lm.start(b"a t")
    state.next_byte_logprobs()
    assert backend.requests - result.lm_evaluations == state.lm_evaluations
    assert result.lm_evaluations <= state.lm_evaluations + len(result.token_ids)
    again = generate(lm, b"a t", params)
    assert (again.bytes, again.token_ids) == (result.bytes, result.token_ids)
    assert generate(lm, b"a t", replace(params, seed=4)).bytes != result.bytes


def test_units(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    by_bytes = generate(lm, b"a", SamplingParams(max_bytes=5, seed=1, unit="byte"))
    assert (by_bytes.cover, by_bytes.token_ids) == (None, ())
    assert len(by_bytes.byte_logprobs) == 5
    model = order2_model(1, b"ab")
    default = generate(model, b"a", SamplingParams(max_bytes=5, seed=1))
    assert len(default.byte_logprobs) == len(default.bytes)
    with pytest.raises(InvalidInputError, match="needs a single ByteLM, not FakeByteModel"):
        generate(model, b"a", SamplingParams(unit="token"))
    with pytest.raises(InvalidInputError, match='unit must be "byte", "token" or None'):
        SamplingParams(unit="bits")  # type: ignore[arg-type]


def test_nothing_asked_for(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    result = generate(lm, b"a", SamplingParams(max_bytes=0))
    assert (result.bytes, result.token_ids, result.cover, backend.calls) == (b"", (), None, 0)


@pytest.mark.parametrize("prompt", [b"", b"a", b"the t", b"worl"])
def test_tokens_are_counted_from_the_one_that_the_prompt_ends_in(tokenizers, prompt):
    lm, _ = noisy(tokenizers["smollm2_like"])
    for seed in range(6):
        long = generate(lm, prompt, SamplingParams(max_bytes=60, seed=seed))
        pieces = [long.cover.overhang] * bool(long.cover.overhang)
        pieces += [lm.tokenizer.token_bytes(token) for token in long.token_ids]
        for count in range(4):
            limits = SamplingParams(max_bytes=60, seed=seed, max_tokens=count)
            found = generate(lm, prompt, limits)
            assert found.bytes == b"".join(pieces[:count])
            assert found.finish_reason == "length"
            assert generate(lm, [prompt] * 2, [limits] * 2)[0].bytes == found.bytes
            assert b"".join(c.bytes for c in stream(lm, prompt, limits)) == found.bytes


def test_max_tokens_is_a_limit_beside_the_others(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    found = generate(lm, b"a", SamplingParams(max_tokens=100, max_bytes=7, seed=0))
    assert (len(found.bytes), found.finish_reason) == (7, "length")
    stop = found.bytes[2:4]
    cut = generate(lm, b"a", SamplingParams(max_tokens=100, max_bytes=7, seed=0, stop=stop))
    assert cut.finish_reason == "stop"
    for model, unit in [(order2_model(1, b"ab"), None), (lm, "byte")]:
        with pytest.raises(InvalidInputError, match="max_tokens counts drawn tokens"):
            generate(model, b"a", SamplingParams(max_tokens=3, unit=unit))


def test_a_stop_string_at_the_very_beginning_ends_the_generation(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    healed = 0
    for seed in range(40):
        params = SamplingParams(max_bytes=20, seed=seed)
        overhang = generate(lm, b"the t", params).cover.overhang
        if overhang:
            healed += 1
            found = generate(lm, b"the t", replace(params, stop=overhang[:1]))
            assert (found.bytes, found.finish_reason, found.token_ids) == (b"", "stop", ())
    assert healed


def test_a_stream_shows_what_generate_returns(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    for seed in range(8):
        params = SamplingParams(max_bytes=20, seed=seed, stop=["e", " t"])
        chunks = stream(lm, b"the", params)
        shown = [chunk.bytes for chunk in chunks]
        assert all(shown)
        assert b"".join(shown) == chunks.result.bytes == generate(lm, b"the", params).bytes
        if chunks.result.finish_reason == "stop":
            assert chunks.result.stop not in chunks.result.bytes


def test_a_batch_gives_what_each_gives_alone(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    prompts = [b"the t", b"", b"the t", b"a "]
    units = ["token", None, "byte", "token"]
    params = [SamplingParams(seed=i, max_bytes=7, unit=u) for i, u in enumerate(units)]
    alone = [generate(lm, prompt, own) for prompt, own in zip(prompts, params, strict=True)]
    found = generate(lm, prompts, params)
    for one, other in zip(found, alone, strict=True):
        assert (one.bytes, one.token_ids, one.logprob) == (
            other.bytes,
            other.token_ids,
            other.logprob,
        )
        assert one.cover == other.cover
    backend.reset()
    generate(lm, prompts[:2], params[:2])
    assert backend.calls <= 8


# --- Healing as an object ------------------------------------------------------------------------


def test_healing_is_lazy_and_sorted(tokenizers):
    lm, _ = noisy(tokenizers["smollm2_like"])
    healing = nb.heal(lm, "the ")
    covers = list(healing.covers)
    assert len(covers) == len(healing.covers) == len(healing.log_weights) > 5
    assert [cover.log_weight for cover in covers] == healing.log_weights.tolist()
    assert healing.covers[-1] == covers[-1]
    assert healing.covers[1:3] == covers[1:3]
    with pytest.raises(IndexError):
        healing.covers[len(covers)]
    assert healing.sample(3) == healing.sample(np.random.default_rng(3))
    drawn = [healing.sample(seed) for seed in range(400)]
    share = sum(cover == healing.best for cover in drawn) / len(drawn)
    assert abs(share - np.exp(healing.best.log_weight)) < 0.1
    assert "Healing(prompt=b'the '" in repr(healing)


def test_nothing_before_the_text_is_eaten(tokenizers):
    lm, _ = noisy(tokenizers["ab_with_specials"], start_token=START)
    for prompt in (b"", b"a", b"ab", b"aba"):
        healing = nb.heal(lm, prompt)
        for cover in healing.covers:
            ids = healing.token_ids(cover)
            assert ids[0] == START
            assert START not in ids[1:]
            assert lm.tokenizer.decode(ids[1:]) == prompt + cover.overhang


def test_what_cannot_be_healed(tokenizers):
    lm, _ = noisy(tokenizers["ab_with_specials"])
    with pytest.raises(UnreachableByteError):
        nb.heal(lm, b"ax")
    with pytest.raises(InvalidInputError, match="covers are of tokens"):
        nb.heal(order2_model(1, b"ab"), b"a")
    width = lm.tokenizer.vocab_size

    def never_a(contexts):
        rows = np.zeros((len(contexts), width))
        rows[:, [0, 2]] = -np.inf
        return rows

    with pytest.raises(UnreachableByteError, match="probability zero"):
        nb.heal(nb.ByteLM.from_function(lm.tokenizer, never_a), b"a")
    bad = nb.ByteLM.from_function(lm.tokenizer, lambda c: np.full((len(c), width), np.nan))
    with pytest.raises(InvalidInputError, match="NaN"):
        nb.heal(bad, b"a")


def test_a_tolerance_changes_nothing_of_covers(tokenizers):
    lm, backend = noisy(tokenizers["smollm2_like"])
    lazy = nb.ByteLM(lm.tokenizer, backend, tolerance=0.3)
    for prompt in (b"the t", b"a ", b"th"):
        exact, found = nb.heal(lm, prompt), nb.heal(lazy, prompt)
        assert list(found.covers) == list(exact.covers)
        params = SamplingParams(max_bytes=8, seed=2)
        one, other = generate(lm, prompt, params), generate(lazy, prompt, params)
        assert (one.bytes, one.logprob, one.bound) == (other.bytes, other.logprob, other.bound)
