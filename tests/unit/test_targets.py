"""The targets of a `ByteLM`: laws by hand, operations on states, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte import END_OF_TEXT, ByteLM
from nextbyte.audits.targets import TargetOptions
from nextbyte.backends import TableBackend
from nextbyte.errors import InvalidInputError, UnreachableByteError, UnsupportedTokenizerError
from unit import sentencepiece_files
from unit import tiny_tokenizers as tiny
from unit.known_models import (
    END,
    END2,
    PROBABILITIES,
    START,
    CountingBackend,
    load_all,
    noise,
)

AUDITS = ("raw", "segmentations")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


def table(tokenizer, target, **options):
    backend = TableBackend({(): PROBABILITIES}, end_tokens=[END, END2])
    return ByteLM(tokenizer, backend, target=target, **options)


def noisy(tokenizer, target, **options):
    width = tokenizer.vocab_size
    backend = CountingBackend(noise(width), width, end_tokens=[width - 1])
    return ByteLM(tokenizer, backend, target=target, **options), backend


def probabilities(state):
    return np.exp(state.next_byte_logprobs())


def possible(state):
    row = probabilities(state)
    return {symbol: float(row[symbol]) for symbol in np.flatnonzero(row).tolist()}


# --- Laws by hand: tokens a 0.2, b 0.1, ab 0.3, ends 0.1 + 0.2, special 0.05 + 0.05 ---------------


def test_a_raw_law_by_hand(tokenizers):
    state = table(tokenizers["ab_with_specials"], "raw").start()
    assert possible(state) == pytest.approx({97: 0.5, 98: 0.1, END_OF_TEXT: 0.3})
    assert state.defect == pytest.approx(0.1)  # the special tokens
    state.push(b"a")
    # [a] 0.2 of 0.5: a, ab or an end follow, b or a special token may not. [ab]: then b.
    assert possible(state) == pytest.approx({97: 0.4 * 0.5, 98: 0.6, END_OF_TEXT: 0.4 * 0.3})
    assert state.defect == pytest.approx(0.4 * 0.2)
    assert state.logprob == pytest.approx(math.log(0.5))
    lower, upper = state.next_byte_bounds()
    assert (lower == upper).all()


def test_a_law_of_segmentations_by_hand(tokenizers):
    state = table(tokenizers["ab_with_specials"], "segmentations").start()
    assert possible(state) == pytest.approx({97: 5 / 9, 98: 1 / 9, END_OF_TEXT: 3 / 9})
    state.push(b"a")
    a, ab = 2 / 9, 3 / 9
    assert possible(state) == pytest.approx(
        {97: a / (a + ab) * 5 / 9, 98: (a / 9 + ab) / (a + ab), END_OF_TEXT: a / (a + ab) * 3 / 9}
    )
    state.push(b"b")
    assert state.logprob == pytest.approx(math.log(a / 9 + ab))  # [a][b] and [ab]
    assert state.bound == 0.0
    assert state.unconfirmed_mass == 0.0


def test_a_deferred_context_is_in_the_bounds(tokenizers):
    """With one evaluation a byte only [ab] is followed: what is certain, and what [a][b] leaves."""
    lm = table(
        tokenizers["ab_with_specials"], "segmentations", tolerance=0.1, max_evaluations_per_byte=1
    )
    state = lm.start(b"ab")
    # At "a": 5/9 are there, [a] is expanded. At "ab": [ab] 3/9 is, [a][b] 2/81 is not.
    certain, rest = 3 / 9, 2 / 81
    assert state.bound == pytest.approx(rest / (certain + rest))
    lower, upper = state.next_byte_bounds()
    assert lower[97] == pytest.approx(certain * 5 / 9 / (certain + rest))
    assert upper[97] == pytest.approx((certain * 5 / 9 + rest) / (certain + rest))
    assert upper[99] == 0.0  # no token has a c
    assert probabilities(state)[97] == pytest.approx(5 / 9)
    # All of it starts with "ab" for sure.
    assert state.logprob_bounds == pytest.approx([math.log(certain + rest)] * 2)
    assert state.lm_evaluations == 3


def test_tokens_with_the_same_bytes_are_different_contexts(tmp_path):
    """`é` is a token, and so is its spelling by bytes; here two tokens have one letter."""
    content = tiny.ab_with_specials()
    content["model"]["vocab"]["aa"] = 7
    tokenizer = nb.Tokenizer.from_file(tiny.write(tmp_path, content))
    rows = {(): [0.1, 0.1, 0.2, 0.0, 0.2, 0.0, 0.0, 0.4], (7,): [1.0, 0, 0, 0, 0, 0, 0, 0]}
    lm = ByteLM(tokenizer, TableBackend(rows, end_tokens=[END]), target="segmentations")
    state = lm.start(b"aa")  # aa: not made by any merge; [a][a]; [a] and the beginning of more
    assert state.logprob == pytest.approx(math.log(0.4 + 0.1 * (0.1 + 0.2 + 0.4)))
    assert state.bound == 0.0


def test_a_context_that_cannot_spell_the_text_is_not_in_the_bounds(tmp_path):
    """[a] is left aside; no token but [aab] has a b, so at "aab" it is out."""
    content = tiny.document([b"a"], [], specials=("<e>",))
    content["model"]["vocab"]["aab"] = 2
    tokenizer = nb.Tokenizer.from_file(tiny.write(tmp_path, content))
    backend = TableBackend({(): [0.5, 0.1, 0.4]}, end_tokens=[1])
    lm = ByteLM(tokenizer, backend, target="segmentations", tolerance=0.6)
    state = lm.start(b"aa")
    assert state.bound == pytest.approx(0.5 / 0.9)
    assert state.logprob_bounds == pytest.approx((math.log(0.4), math.log(0.9)))
    state.push(b"b")
    assert state.bound == 0.0
    assert state.logprob_bounds == pytest.approx([math.log(0.4)] * 2)
    assert state.lm_evaluations == 2  # [] and [aab]


# --- A lead: A(lead) is certain, and the empty text has not even the lead ------------------------


def full_masses(tokenizer, row, text, end):
    """Return A and E by enumeration, lead included."""
    size = tokenizer.vocab_size
    spelled = {t: tokenizer.token_bytes(t) for t in range(size) if tokenizer.token_bytes(t)}

    def q(context):
        weights = np.exp(row(context))
        total = sum(weights[t] for t in spelled) + weights[end]
        return weights / total

    mass, ending, waiting = 0.0, 0.0, [((), b"", 1.0)]
    while waiting:
        context, data, weight = waiting.pop()
        chances = q(context)
        if data == text:
            ending += weight * chances[end]
        if len(data) >= len(text):
            mass += weight
            continue
        for token, longer in spelled.items():
            after = data + longer
            if after.startswith(text[: len(after)]):
                share = weight * chances[token]
                if len(after) > len(text):
                    mass += share
                else:
                    waiting.append(((*context, token), after, share))
    return mass, ending, q(())[end]


@pytest.fixture(scope="module", params=["BPE", "UNIGRAM"])
def with_lead(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("lead") / "lead.model"
    pieces = [
        ("<unk>", 0.0, sentencepiece_files.UNKNOWN),
        ("</s>", 0.0, sentencepiece_files.CONTROL),
    ]
    pieces += [("\u2581a", -1.0, sentencepiece_files.NORMAL)]
    pieces += [
        (letter, -9.0 - i, sentencepiece_files.NORMAL) for i, letter in enumerate("\u2581ab")
    ]
    path.write_bytes(
        sentencepiece_files.model(
            pieces, byte_fallback=False, model_type=getattr(sentencepiece_files, request.param)
        )
    )
    return nb.Tokenizer.from_file(path)


def test_segmentations_with_a_lead(with_lead):
    assert with_lead.compiled.lead == b" "
    row = noise(with_lead.vocab_size)
    backend = TableBackend(lambda c: np.exp(row(c)) / np.exp(row(c)).sum(), end_tokens=[1])
    lm = ByteLM(with_lead, backend, target="segmentations", max_evaluations_per_byte=None)
    start, start_end, root_end = full_masses(with_lead, row, b" ", 1)
    whole = start + root_end
    first = lm.start()
    assert first.logprob_bounds == (0.0, 0.0)
    assert probabilities(first)[END_OF_TEXT] == pytest.approx((start_end + root_end) / whole)
    assert math.fsum(probabilities(first)) == pytest.approx(1.0, rel=1e-12)
    for text in map(bytes, itertools.product(b" ab", repeat=3)):
        state = lm.start(text)
        mass, end, _ = full_masses(with_lead, row, b" " + text, 1)
        assert state.logprob == pytest.approx(math.log(mass / whole), rel=1e-12)
        assert probabilities(state)[END_OF_TEXT] == pytest.approx(end / mass, rel=1e-12)
        assert state.prefix == text


def test_raw_with_a_lead(with_lead):
    """The defect is what a sum of covers by hand lacks, at the empty text too."""
    row = noise(with_lead.vocab_size)
    chances = lambda c: np.exp(row(c)) / np.exp(row(c)).sum()  # noqa: E731
    lm = ByteLM(with_lead, TableBackend(chances, end_tokens=[1]), target="raw")
    state = lm.start()
    law = probabilities(state)
    for first in b" ab":
        covers = with_lead.cover_encodings(bytes([first]))
        mass = sum(
            math.prod(chances(cover[:i])[cover[i]] for i in range(len(cover)))
            for cover, _ in covers
        )
        assert law[first] == pytest.approx(mass, rel=1e-12)
        assert math.exp(lm.start(bytes([first])).logprob) == pytest.approx(mass, rel=1e-12)
    assert state.defect == pytest.approx(1.0 - math.fsum(law), rel=1e-12)
    assert state.logprob == 0.0


# --- Operations on states ------------------------------------------------------------------------


@pytest.mark.parametrize("target", AUDITS)
def test_forks_and_rollbacks(tokenizers, target):
    lm, _ = noisy(tokenizers["letters"], target)
    state = lm.start(b"the")
    first = state.next_byte_logprobs()
    fork = state.fork()
    fork.push(b" hat")
    fork.next_byte_logprobs()
    fork.rollback(6)
    assert fork.prefix == b"t"
    np.testing.assert_array_equal(state.next_byte_logprobs(), first)
    assert fork.logprob == pytest.approx(lm.start(b"t").logprob, rel=1e-13)
    fork.push(b"he")
    np.testing.assert_allclose(fork.next_byte_logprobs(), first, rtol=1e-12)
    assert state.prefix == fork.prefix == b"the"
    fork.rollback(0)
    assert lm.next_byte_logprobs([state, fork]).shape == (2, 257)
    assert lm.next_byte_logprobs([]).shape == (0, 257)
    for count in (-1, 4):
        with pytest.raises(InvalidInputError):
            fork.rollback(count)
    with pytest.raises(InvalidInputError, match="another ByteLM"):
        noisy(tokenizers["letters"], target)[0].next_byte_logprobs([state])


@pytest.mark.parametrize("target", AUDITS)
def test_a_context_is_read_once_while_it_lives(tokenizers, target):
    lm, backend = noisy(tokenizers["letters"], target)
    state = lm.start(b"the")
    for _ in range(2):
        state.next_byte_logprobs()
        state.fork().next_byte_logprobs()
        assert state.logprob <= 0.0
        assert state.bound >= 0.0
    assert backend.requests == state.lm_evaluations == len({c for b in backend.batches for c in b})
    assert backend.rows == 0  # all given back
    del state
    assert not backend.branches


@pytest.mark.parametrize("target", AUDITS)
def test_an_impossible_byte_changes_nothing(tokenizers, target):
    state = table(tokenizers["ab_with_specials"], target).start(b"ab")
    before = state.next_byte_logprobs()
    with pytest.raises(UnreachableByteError) as refused:
        state.push(b"abc")
    assert (refused.value.position, refused.value.byte) == (4, ord("c"))
    assert state.prefix == b"ab"
    np.testing.assert_array_equal(state.next_byte_logprobs(), before)


def test_segmentations_need_not_be_texts(tokenizers):
    tokenizer = tokenizers["all_bytes"]
    lm, _ = noisy(tokenizer, "segmentations")
    assert possible(lm.start(b"\xff\xa9")).keys() == {*range(256), END_OF_TEXT}


@pytest.mark.parametrize("target", AUDITS)
def test_text_that_the_model_rules_out(tokenizers, target):
    rows = {(): [0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0]}
    lm = ByteLM(tokenizers["ab_with_specials"], TableBackend(rows, end_tokens=[END]), target=target)
    state = lm.start(b"ba")
    with pytest.raises(UnreachableByteError) as refused:
        state.next_byte_logprobs()
    assert (refused.value.position, refused.value.byte) == (1, ord("a"))
    assert state.logprob == -math.inf
    state.rollback(1)
    assert possible(state) == pytest.approx({98: 0.5, END_OF_TEXT: 0.5})


@pytest.mark.parametrize("target", AUDITS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_row_is_an_error_and_no_state(tokenizers, target, bad):
    tokenizer = tokenizers["ab_with_specials"]
    broken = True

    def rows(contexts):
        found = np.stack([noise(7)(context) for context in contexts])
        if broken:
            found[[len(context) > 0 for context in contexts]] = bad
        return found

    lm = ByteLM.from_function(tokenizer, rows, end_tokens=[END], target=target)
    state = lm.start(b"a")
    with pytest.raises((InvalidInputError, nb.errors.BackendError)):
        state.next_byte_logprobs()
    broken = False
    expected = lm.start(b"a").next_byte_logprobs()
    np.testing.assert_allclose(state.next_byte_logprobs(), expected, rtol=1e-12)


def test_samplers_scale_the_raw_law_up(tokenizers):
    lm = table(tokenizers["ab_with_specials"], "raw")
    found = nb.generate(lm, b"a", nb.SamplingParams(max_bytes=20, seed=4))
    assert set(found.bytes) <= set(b"ab")
    assert found.bound > 0.05


@pytest.mark.parametrize("target", AUDITS)
def test_the_start_token_comes_first(tokenizers, target):
    tokenizer = tokenizers["ab_with_specials"]
    backend = CountingBackend(noise(7), 7, start_token=START, takes_empty=False)
    lm = ByteLM(tokenizer, backend, target=target)
    lm.start(b"ab").next_byte_logprobs()
    assert all(context[0] == START for batch in backend.batches for context in batch)


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "paper"}, "target must be one of canonical, raw, segmentations, not 'paper'"),
        ({"target": None}, "target must be one of"),
        ({"target": "segmentations", "tolerance": -0.1}, "tolerance must be"),
        ({"target": "segmentations", "tolerance": 1.0}, "tolerance must be"),
        ({"target": "segmentations", "tolerance": math.nan}, "tolerance must be"),
        ({"target": "segmentations", "tolerance": "low"}, "tolerance must be"),
        ({"target": "segmentations", "tolerance": True}, "tolerance must be"),
        ({"target": "raw", "tolerance": 0.1}, "target 'raw' has no tolerance"),
        ({"target": "segmentations", "max_evaluations_per_byte": 0}, "max_evaluations_per_byte"),
        ({"target": "segmentations", "max_evaluations_per_byte": 2.0}, "max_evaluations_per_byte"),
    ],
)
def test_bad_options(tokenizers, options, message):
    with pytest.raises(InvalidInputError, match=message):
        noisy(tokenizers["letters"], options.pop("target"), **options)


def test_raw_needs_exact_covers():
    for target in ("canonical", "segmentations"):
        TargetOptions(target).require_support(is_witnessed=True)
    TargetOptions("raw").require_support(is_witnessed=False)
    with pytest.raises(UnsupportedTokenizerError, match="only validated"):
        TargetOptions("raw").require_support(is_witnessed=True)


@pytest.mark.parametrize("target", AUDITS)
def test_states_of_audits_are_not_saved(tokenizers, target):
    with pytest.raises(InvalidInputError, match='only states of target="canonical" are saved'):
        noisy(tokenizers["letters"], target)[0].start().to_bytes()
