"""Rows of logits: bad ones, wide ones, every type and size, and probabilities of zero."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nextbyte import END_OF_TEXT, ByteLM
from nextbyte.backends import TableBackend
from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError
from unit.known_models import (
    AB,
    CHAT,
    END,
    START,
    A,
    B,
    CountingBackend,
    Switch,
    assert_same_law,
    chances,
    law,
    load_all,
    noise,
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


# --- Rows that are no rows -----------------------------------------------------------------------


def put(value, column):
    def spoil(rows, _):
        rows[:, column] = value
        return rows

    return spoil


def fill(value, columns):
    def spoil(rows, _):
        rows[:, columns] = value
        return rows

    return spoil


BAD_ROWS = {
    "narrow": (lambda rows, _: rows[:, :-1], BackendError, r"shape \(\d, 6\).*\(\d, 7\)"),
    "wide": (lambda rows, _: np.hstack([rows, rows]), BackendError, r"shape \(\d, 14\)"),
    "integers": (lambda rows, _: rows.astype(int), BackendError, "int64.*float16, float32"),
    "complex": (lambda rows, _: rows.astype(complex), BackendError, "complex128"),
    "text": (lambda rows, _: rows.astype(str), BackendError, "float16, float32 or float64"),
    "one dimension": (lambda rows, _: rows[0], BackendError, r"shape \(7,\)"),
    "three dimensions": (lambda rows, _: rows[None], BackendError, r"shape \(1, \d, 7\)"),
    "too few": (lambda rows, _: rows[:0], BackendError, r"shape \(0, 7\)"),
    "nothing": (lambda *_: None, BackendError, r"shape \(\)"),
    "ragged": (lambda *_: [[0.0], [0.0, 1.0]], BackendError, "numpy cannot read"),
    "NaN": (put(math.nan, B), InvalidInputError, "logit of token 1 is NaN"),
    "+inf": (put(math.inf, AB), InvalidInputError, r"logit of token 2 is \+inf"),
    "NaN of a special token": (put(math.nan, CHAT), InvalidInputError, "logit of token 6 is NaN"),
    "all -inf": (fill(-math.inf, slice(None)), InvalidInputError, "every logit of the row is -inf"),
    "nothing that may follow": (
        fill(-math.inf, [A, B, AB, END]),
        InvalidInputError,
        "probability zero to every token that may follow",
    ),
}


ASK = {
    "law": lambda lm, state: state.next_byte_logprobs(),
    "batch": lambda lm, state: lm.next_byte_logprobs([lm.start(b"ab"), state]),
    "logprob": lambda lm, state: lm.start(state.prefix).logprob,
}


@pytest.mark.parametrize("what", BAD_ROWS)
@pytest.mark.parametrize("ask", ASK)
def test_bad_rows_are_told_and_leave_the_state_usable(tokenizers, what, ask):
    spoil, kind, words = BAD_ROWS[what]
    function = Switch(7)
    lm = ByteLM.from_function(
        tokenizers["ab_with_specials"], function, start_token=START, end_tokens=[END]
    )
    state = lm.start(b"abba")
    law(state)
    state.push(b"aba")
    function.spoil = spoil
    for _ in range(2):
        with pytest.raises(kind, match=words):
            ASK[ask](lm, state)
        assert state.prefix == b"abbaaba"
    function.spoil = Switch(7).spoil
    fresh = lm.start(b"abbaaba")
    assert_same_law(state, fresh)
    assert state.logprob == pytest.approx(fresh.logprob, rel=1e-12)
    state.push(b"ba")
    assert_same_law(state, lm.start(b"abbaababa"))


def test_one_bad_row_among_good_ones(tokenizers):
    """The rows before it may be taken in; the state stays whole."""
    function = Switch(7)
    lm = ByteLM.from_function(tokenizers["ab_with_specials"], function, end_tokens=[END])
    state = lm.start(b"ba")  # needs the rows after [b] and after [b, a]

    def spoil(rows, contexts):
        assert [B, A] in contexts
        rows[contexts.index([B, A]), A] = math.nan
        return rows

    function.spoil = spoil
    with pytest.raises(InvalidInputError, match="token 0 is NaN"):
        state.next_byte_logprobs()
    fork = state.fork()
    function.spoil = Switch(7).spoil
    assert_same_law(state, lm.start(b"ba"))
    assert_same_law(fork, lm.start(b"ba"))


def test_an_error_of_the_function_itself_passes_through(tokenizers):
    function = Switch(7)
    lm = ByteLM.from_function(tokenizers["ab_with_specials"], function)
    state = lm.start(b"a")

    def spoil(*_):
        raise ConnectionError("the server is gone")

    function.spoil = spoil
    with pytest.raises(ConnectionError, match="the server is gone"):
        state.next_byte_logprobs()
    function.spoil = Switch(7).spoil
    assert_same_law(state, lm.start(b"a"))


def test_a_function_that_is_wrong_from_the_start(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    with pytest.raises(InvalidInputError, match=r"2 logits.*3 tokens.*do not belong together"):
        ByteLM.from_function(tokenizer, lambda contexts: np.zeros((len(contexts), 2)))
    with pytest.raises(BackendError, match="int64"):
        ByteLM.from_function(tokenizer, lambda contexts: np.zeros((len(contexts), 7), int))
    with pytest.raises(BackendError, match="shape"):
        ByteLM.from_function(tokenizer, lambda contexts: np.zeros(7))
    with pytest.raises(InvalidInputError, match="fn must be a function"):
        ByteLM.from_function(tokenizer, "model")


def test_rows_wider_than_the_vocabulary(tokenizers):
    """Models pad their output; what no token owns has no mass, however likely."""
    tokenizer = tokenizers["ab_with_specials"]

    def padded(contexts):
        rows = np.stack([noise(7)(context) for context in contexts])
        return np.hstack([rows, np.full((len(contexts), 9), 500.0)])

    def exact(contexts):
        return padded(contexts)[:, :7]

    wide = ByteLM.from_function(tokenizer, padded, end_tokens=[END])
    narrow = ByteLM.from_function(tokenizer, exact, end_tokens=[END])
    for text in (b"", b"a", b"ab", b"abba"):
        np.testing.assert_array_equal(law(wide.start(text)), law(narrow.start(text)))
    beyond = ByteLM.from_function(tokenizer, padded, end_tokens=[12])
    assert law(beyond.start(b"ab"))[END_OF_TEXT] > -1e-100
    assert beyond.end_tokens == (12,)


def test_floating_types_agree(tokenizers):
    """Logits that every type can hold: eighths."""
    tokenizer = tokenizers["letters"]

    def lm(kind):
        def rows(contexts):
            exact = [np.round(noise(tokenizer.vocab_size)(context) * 8) / 8 for context in contexts]
            return np.stack(exact).astype(kind)

        return ByteLM.from_function(tokenizer, rows)

    for text in (b"", b"th", b"the tab", b"a\xc3"):
        expected = law(lm(np.float64).start(text))
        single = law(lm(np.float32).start(text))
        np.testing.assert_array_equal(law(lm(np.float16).start(text)), single)
        np.testing.assert_allclose(np.exp(single), np.exp(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size"), [(np.float64, 1e300), (np.float32, 3e38), (np.float16, 6e4)]
)
def test_logits_of_any_size(tokenizers, kind, size):
    def rows(contexts):
        logits = np.full((len(contexts), 7), -size, kind)
        logits[:, [A, AB]] = size
        return logits

    state = ByteLM.from_function(tokenizers["ab_with_specials"], rows).start(b"a")
    assert chances(state) == pytest.approx({"a": 0.5, "b": 0.5}, rel=1e-14)
    state.push(b"b")
    assert chances(state) == {"a": 1.0}


def test_shapes_in_memory_do_not_matter(tokenizers):
    tokenizer = tokenizers["ab_with_specials"]
    for change in (
        np.asfortranarray,
        lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
        lambda rows: rows[::-1][::-1],
        lambda rows: rows.tolist(),
        lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),  # read-only
    ):
        function = Switch(7)
        function.spoil = lambda rows, _, change=change: change(rows)
        lm = ByteLM.from_function(tokenizer, function)
        assert_same_law(lm.start(b"aab"), ByteLM.from_function(tokenizer, Switch(7)).start(b"aab"))


def test_a_buffer_that_the_function_uses_again(tokenizers):
    buffer = np.empty((8, 7))

    def rows(contexts):
        for place, context in enumerate(contexts):
            buffer[place] = noise(7)(context)
        return buffer[: len(contexts)]

    tokenizer = tokenizers["ab_with_specials"]
    state = ByteLM.from_function(tokenizer, rows).start()
    clean = ByteLM.from_function(tokenizer, Switch(7)).start()
    for byte in b"abbaab":
        assert_same_law(state, clean)
        state.push(bytes([byte]))
        clean.push(bytes([byte]))


# --- Zero probabilities --------------------------------------------------------------------------


def only(*tokens):
    """Return probabilities that share everything between some tokens."""
    return [1.0 / len(tokens) if token in tokens else 0.0 for token in range(7)]


def test_bytes_of_probability_zero(tokenizers):
    lm = ByteLM(tokenizers["ab_with_specials"], TableBackend({(): only(A)}))
    state = lm.start(b"a")
    before = law(state)
    assert chances(state) == {"a": 1.0}
    for data in (b"b", b"ba"):
        with pytest.raises(UnreachableByteError, match=r"0x62 at position 1 ") as caught:
            state.push(data)
        assert (caught.value.position, caught.value.byte) == (1, ord("b"))
        assert state.prefix == b"a"
        np.testing.assert_array_equal(law(state), before)
        assert state.logprob == 0.0
    state.push(b"a")
    assert chances(state) == {"a": 1.0}


def test_a_prefix_of_probability_zero(tokenizers):
    """Pushed unasked, its probability is zero; nothing is divided by it, and rollback helps."""
    table = TableBackend({(): only(A), (A,): only(A, B), (A, A): only(B)})
    lm = ByteLM(tokenizers["ab_with_specials"], table)
    state = lm.start(b"b")
    assert state.logprob == -math.inf
    state.rollback(1)
    assert chances(state) == {"a": 1.0}
    for text in (b"ab", b"bb", b"abab", b"b" * 50):
        state = lm.start(text)
        assert state.logprob == -math.inf
        try:
            law(state)
        except UnreachableByteError as error:
            assert error.position == len(text) - 1  # noqa: PT017 - either answer is allowed
        state.rollback(len(text))
        assert state.logprob == 0.0
        assert chances(state) == {"a": 1.0}


def test_a_law_after_a_prefix_that_no_cover_can_have(tokenizers):
    """Both covers of the last byte have probability zero: there is no law, and it says so."""
    table = TableBackend({(): only(B), (A,): only(A), (AB,): only(A)})
    state = ByteLM(tokenizers["ab_with_specials"], table).start(b"bba")
    for _ in range(2):
        with pytest.raises(UnreachableByteError, match="probability zero") as caught:
            state.next_byte_logprobs()
        assert (caught.value.position, caught.value.byte) == (2, ord("a"))
    assert state.logprob == -math.inf
    state.rollback(1)
    assert chances(state) == {"b": 1.0}


def test_a_row_that_says_nothing_after_a_context_of_weight_zero(tokenizers):
    """[a] has probability zero, so the row after it does not matter, asked early or late."""
    lm = ByteLM(tokenizers["ab_with_specials"], TableBackend({(): only(AB), (A,): only(B)}))
    state = lm.start()
    law(state)
    state.push(b"a")
    assert chances(state) == {"b": 1.0}
    assert chances(lm.start(b"a")) == {"b": 1.0}


def test_contexts_of_weight_zero_are_not_evaluated_twice_nor_below(tokenizers):
    def row(context):
        assert tuple(context[:1]) != (B,), "below a token of probability zero"
        return np.where(np.arange(7) == B, -np.inf, noise(7)(context))

    backend = CountingBackend(row, 7)
    state = ByteLM(tokenizers["ab_with_specials"], backend).start()
    for byte in b"aab":
        law(state)
        state.push(bytes([byte]))
    law(state)
