"""`ByteLM` on models whose numbers are written down: laws, the chain rule, construction."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import nextbyte as nb
from nextbyte import END_OF_TEXT, ByteLM
from nextbyte.backends import FunctionBackend, TableBackend
from nextbyte.errors import BackendError, InvalidInputError
from unit.known_models import (
    AB,
    CHAT,
    END,
    END2,
    PROBABILITIES,
    START,
    A,
    Switch,
    chances,
    law,
    load_all,
    noise,
    noisy,
    table_lm,
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- Laws by hand --------------------------------------------------------------------------------


def test_a_law_by_hand(tokenizers):
    """After a token `a`, `b` may not follow (it would have been merged), nor may special tokens."""
    lm = table_lm(tokenizers["ab_with_specials"], end_tokens=[END, END2])
    state = lm.start()
    assert chances(state) == pytest.approx({"a": 0.5 / 0.9, "b": 0.1 / 0.9, "end": 0.3 / 0.9})
    state.push(b"a")
    # [a] has 0.2 of the 0.5 and goes on with a, ab or an end; the 0.3 of [ab] go on with b.
    assert chances(state) == pytest.approx(
        {"a": 0.4 * 0.5 / 0.8, "b": 0.6, "end": 0.4 * 0.3 / 0.8}, rel=1e-14
    )
    assert state.logprob == pytest.approx(math.log(0.5 / 0.9), rel=1e-14)
    state.push(b"b")
    assert chances(state) == pytest.approx({"a": 0.5 / 0.9, "b": 0.1 / 0.9, "end": 0.3 / 0.9})
    assert state.logprob == pytest.approx(math.log(0.3 / 0.9), rel=1e-14)


def test_end_of_text_is_the_sum_over_the_end_tokens(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    expected = {(): 0.0, (END,): 0.1 / 0.7, (END2,): 0.2 / 0.8, (END, END2): 0.3 / 0.9}
    for ends, chance in expected.items():
        row = law(table_lm(tokenizer, end_tokens=ends).start())
        assert math.exp(row[END_OF_TEXT]) == pytest.approx(chance, rel=1e-14)
    assert law(table_lm(tokenizer).start())[END_OF_TEXT] == -math.inf


def test_special_tokens_carry_no_mass(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]

    def lm(chat):
        def rows(contexts):
            logits = np.stack([noise(7)(context) for context in contexts])
            logits[:, [START, CHAT]] = chat
            return logits

        return ByteLM.from_function(tokenizer, rows, end_tokens=[END])

    for text in (b"", b"a", b"ab", b"abba"):
        expected = law(lm(-math.inf).start(text))
        for chat in (0.0, 60.0, 700.0):
            np.testing.assert_allclose(law(lm(chat).start(text)), expected, rtol=1e-12)


def test_no_end_inside_a_character(tokenizers):
    for name in ("letters", "all_bytes"):
        tokenizer = tokenizers[name]
        lm, _ = noisy(tokenizer, end_tokens=(tokenizer.special_tokens["<e>"],))
        state = lm.start("aé".encode()[:2])
        row = law(state)
        assert row[END_OF_TEXT] == -math.inf
        assert np.isneginf(row[:0x80]).all()
        state.push(b"\xa9")
        assert law(state)[END_OF_TEXT] > -math.inf


def test_only_utf8_can_follow(tokenizers):
    """The lead byte decides which continuation bytes may come (Unicode, table 3-7)."""
    lm, _ = noisy(tokenizers["all_bytes"])
    for prefix, first, last in [
        (b"\xc3", 0x80, 0xBF), (b"\xe0", 0xA0, 0xBF), (b"\xe1", 0x80, 0xBF), (b"\xed", 0x80, 0x9F),
        (b"\xf0", 0x90, 0xBF), (b"\xf4", 0x80, 0x8F), (b"\xf1\x80", 0x80, 0xBF),
    ]:  # fmt: skip
        possible = np.flatnonzero(np.isfinite(law(lm.start(b"ok" + prefix))))
        assert possible.tolist() == list(range(first, last + 1)), prefix
    start = set(np.flatnonzero(np.isfinite(law(lm.start(b"ok")))))
    assert start == {*range(0x80), *range(0xC2, 0xF5)}


def test_the_start_token_is_the_first_of_every_context(tokenizers):
    lm, backend = noisy(tokenizers["ab_with_specials"], start_token=START, takes_empty=False)
    state = lm.start(b"a")
    law(state)
    assert backend.batches == [[(START,), (START, A)]]
    assert lm.start_token == START


def test_bos_overrides_the_start_token(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    lm, backend = noisy(tokenizer, start_token=START)
    law(lm.start(b"a", bos=CHAT))
    law(lm.start(b"a", bos=None))
    law(lm.start(b"a"))
    assert backend.batches == [[(CHAT,), (CHAT, A)], [(), (A,)], [(START,), (START, A)]]
    assert lm.start_token == START
    plain, backend = noisy(tokenizer)
    assert plain.start_token is None
    law(plain.start(bos=CHAT))
    law(plain.start())
    assert backend.batches == [[(CHAT,)], [()]]


def test_a_model_that_cannot_read_the_empty_context(tokenizers):
    lm, _ = noisy(tokenizers["ab_with_specials"], takes_empty=False)
    for prompt in (b"", b"ab"):
        state = lm.start(prompt)
        if not prompt:
            with pytest.raises(BackendError, match=r"start\(bos=\.\.\.\)"):
                state.next_byte_logprobs()
        with pytest.raises(BackendError, match=r"start\(bos=\.\.\.\)"):
            lm.start(b"a").next_byte_logprobs()
        law(lm.start(prompt, bos=START))
        assert state.prefix == prompt


# --- The chain rule ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"", b"a", b"abab", b"bbaabbabaab" * 4])
def test_logprob_is_the_sum_of_the_conditionals(tokenizers, text):
    tokenizer = tokenizers["ab_with_specials"]

    def probabilities(context):
        weights = np.exp(noise(7)(context))
        return weights / weights.sum()

    lm = ByteLM(tokenizer, TableBackend(probabilities, end_tokens=[END, END2]))
    state, chain = lm.start(), 0.0
    for byte in text:
        chain += law(state)[byte]
        state.push(bytes([byte]))
    assert state.logprob == pytest.approx(chain, rel=1e-12, abs=1e-12)
    assert lm.start(text).logprob == pytest.approx(chain, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["letters", "all_bytes", "smollm2_like"])
def test_logprob_however_it_is_asked_for(tokenizers, name):
    """At the end only, after every byte, in the middle, after a query, in a fork, with a BOS."""
    text = "the é the 'tab  hat\n\n".encode().replace(b"\xc3\xa9", b"\xc3\xa8")[:20]
    lm, _ = noisy(tokenizers[name], start_token=tokenizers[name].vocab_size - 1)
    text = bytes(byte for byte in text if byte in b"abcthe \n\xc3\xa9\xa8'")
    chain, state = [0.0], lm.start()
    for byte in text:
        chain.append(chain[-1] + law(state)[byte])
        state.push(bytes([byte]))

    late = lm.start(text)
    assert late.logprob == pytest.approx(chain[-1], rel=1e-12)
    assert late.logprob == pytest.approx(chain[-1], rel=1e-12)

    early = lm.start()
    for position, byte in enumerate(text):
        assert early.logprob == pytest.approx(chain[position], rel=1e-12, abs=1e-12)
        early.push(bytes([byte]))

    mixed = lm.start(text[:7])
    law(mixed)
    mixed.push(text[7:9])
    assert mixed.logprob == pytest.approx(chain[9], rel=1e-12)
    law(mixed)
    mixed.push(text[9:])
    assert mixed.logprob == pytest.approx(chain[-1], rel=1e-12)


def test_logprob_after_forks_and_rollbacks(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    text = b"the tab hat the"
    expected = [lm.start(text[:end]).logprob for end in range(len(text) + 1)]
    state = lm.start(text[:6])
    law(state)
    fork = state.fork()
    fork.push(text[6:])
    law(state)
    assert fork.logprob == pytest.approx(expected[-1], rel=1e-12)
    state.rollback(3)
    assert state.logprob == pytest.approx(expected[3], rel=1e-12)
    fork.rollback(8)
    assert fork.logprob == pytest.approx(expected[7], rel=1e-12)
    state.push(text[3:])
    assert state.logprob == pytest.approx(expected[-1], rel=1e-12)


def test_probabilities_of_all_texts_sum_to_one(tokenizers):
    """All texts of up to n bytes with their end, and the prefixes of n bytes: a partition."""
    lm = table_lm(tokenizers["ab_with_specials"], end_tokens=[END])
    total = 0.0
    for length in range(7):
        for text in itertools.product(b"ab", repeat=length):
            state = lm.start(bytes(text))
            total += math.exp(state.logprob + law(state)[END_OF_TEXT] * (length < 6))
    assert total == pytest.approx(1.0, rel=1e-12)


# --- Construction --------------------------------------------------------------------------------


def test_a_model_narrower_than_the_tokenizer(tokenizers):
    backend = FunctionBackend(lambda contexts: np.zeros((len(contexts), 2)))
    with pytest.raises(InvalidInputError, match=r"2 logits.*3 tokens.*do not belong together"):
        ByteLM(tokenizers["ab_with_specials"], backend)


def test_special_tokens_behind_the_rows_need_no_logit(tokenizers):
    """Gemma's tokenizer has one token more than its text models have logits."""
    backend = FunctionBackend(lambda contexts: np.zeros((len(contexts), 3)))
    law = ByteLM(tokenizers["ab_with_specials"], backend).start(b"a").next_byte_logprobs()
    assert abs(np.exp(law).sum() - 1) < 1e-12


@pytest.mark.parametrize("token", [-1, 7, 10**20])
def test_start_and_end_tokens_out_of_range(tokenizers, token):
    tokenizer = tokenizers["ab_with_specials"]
    backend = TableBackend({(): PROBABILITIES})
    with pytest.raises(InvalidInputError, match=f"start token {token} .*7 logits"):
        ByteLM(tokenizer, backend, start_token=token)
    with pytest.raises(InvalidInputError, match=f"end token {token} .*7 logits"):
        ByteLM(tokenizer, backend, end_tokens=[END, token])
    for options in ({"start_token": token}, {"end_tokens": [token]}):
        with pytest.raises(InvalidInputError, match=f"got {token}"):
            ByteLM.from_function(tokenizer, Switch(7), **options)
    lm = ByteLM(tokenizer, backend)
    with pytest.raises(InvalidInputError, match=f"start token {token} .*7 logits"):
        lm.start(b"a", bos=token)


def test_end_tokens_that_are_text_or_given_twice(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    backend = TableBackend({(): PROBABILITIES})
    with pytest.raises(InvalidInputError, match="token 2 is an ordinary token"):
        ByteLM(tokenizer, backend, end_tokens=[END, AB])
    with pytest.raises(InvalidInputError, match="token 4 is given twice"):
        ByteLM(tokenizer, backend, end_tokens=[END, END2, END])


def test_a_start_token_that_is_text(tokenizers):
    """It is read by the model alone: the text starts after it."""
    table = TableBackend({(): PROBABILITIES})
    state = ByteLM(tokenizers["ab_with_specials"], table, start_token=A).start("b")
    assert state.prefix == b"b"


@pytest.mark.parametrize(
    "options",
    [{"start_token": 1.5}, {"start_token": "<s>"}, {"end_tokens": [4.0]}, {"end_tokens": ["<e>"]}],
    ids=str,
)
def test_start_and_end_tokens_of_other_types(tokenizers, options):
    backend = TableBackend({(): PROBABILITIES})
    with pytest.raises((InvalidInputError, TypeError)):
        ByteLM(tokenizers["ab_with_specials"], backend, **options)


def test_start_and_end_tokens_come_from_the_backend_unless_given(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    backend = TableBackend({(): PROBABILITIES}, start_token=START, end_tokens=[END])
    lm = ByteLM(tokenizer, backend)
    assert (lm.start_token, lm.end_tokens) == (START, (END,))
    other = ByteLM(tokenizer, backend, start_token=None, end_tokens=iter([END2]))
    assert (other.start_token, other.end_tokens) == (None, (END2,))
    assert ByteLM(tokenizer, backend, end_tokens=()).end_tokens == ()

    class Bare:
        """The least a backend is: neither attribute."""

        vocab_size = 7
        extend = backend.extend

    bare = ByteLM(tokenizer, Bare())
    assert (bare.start_token, bare.end_tokens) == (None, ())
    assert chances(bare.start(b"ab")) == pytest.approx({"a": 0.5 / 0.6, "b": 0.1 / 0.6})


def test_text_of_special_tokens_is_ordinary_text(tokenizers):
    tokenizer = tokenizers["smollm2_like"]
    lm, backend = noisy(tokenizer, start_token=1, end_tokens=(2,))
    state = lm.start("the <|im_end|>")
    law(state)
    assert state.logprob > -math.inf
    assert state.prefix == b"the <|im_end|>"
    seen = {token for batch in backend.batches for context in batch for token in context[1:]}
    assert not seen & {0, 1, 2}
    state.push(b"<|endoftext|>")
    law(state)
    assert all(set(context[1:]).isdisjoint({0, 1, 2}) for b in backend.batches for context in b)


def test_generating_nothing_asks_nothing(tokenizers):
    lm, backend = noisy(tokenizers["letters"])
    generation = nb.generate(lm, b"the", nb.SamplingParams(max_bytes=0, seed=0))
    assert generation.bytes == b""
    assert backend.calls <= 1


def test_generation_is_the_seeds(tokenizers):
    lm, _ = noisy(tokenizers["letters"], end_tokens=(tokenizers["letters"].special_tokens["<e>"],))
    runs = [
        nb.generate(lm, b"the", nb.SamplingParams(max_bytes=30, seed=seed)).bytes
        for seed in (1, 1, 2, 3)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3


def test_reprs(tokenizers):
    lm, _ = noisy(tokenizers["letters"])
    assert repr(lm.start(b"the")) == "ByteLMState(prefix=b'the', bytes=3)"
    assert len(repr(lm.start(b"the " * 1000))) < 200
    assert "CountingBackend" in repr(lm)
