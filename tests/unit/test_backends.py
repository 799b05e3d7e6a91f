"""Backends that need no framework: the protocol, functions, and tables."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from nextbyte.backends import Backend, Branch, FunctionBackend, TableBackend
from nextbyte.errors import (
    BackendError,
    InvalidInputError,
    NextByteError,
    UnreachableByteError,
)

VOCAB = 7


def signature_rows(contexts):
    """Rows that tell every context from every other: a hash of it, spread over the vocabulary."""
    rows = np.zeros((len(contexts), VOCAB), np.float32)
    for row, context in zip(rows, contexts, strict=True):
        generator = np.random.default_rng([len(context), *context])
        row[:] = generator.normal(size=VOCAB)
    return rows


def expected_row(context):
    return signature_rows([context])[0]


# --- errors --------------------------------------------------------------------------------------


def test_errors_are_also_the_builtin_ones():
    assert issubclass(BackendError, RuntimeError)
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(UnreachableByteError, NextByteError)
    error = UnreachableByteError(5, 0xC0)
    assert (error.position, error.byte) == (5, 0xC0)
    assert "0xc0" in str(error)
    assert "position 5" in str(error)


def test_unreachable_byte_survives_pickling():
    error = pickle.loads(pickle.dumps(UnreachableByteError(5, 0xC0, "why")))  # noqa: S301
    assert (error.position, error.byte, str(error)) == (5, 0xC0, "why")


# --- the protocol, over both backends ------------------------------------------------------------


def backends():
    function = FunctionBackend(signature_rows, VOCAB)
    shares = {}

    def probabilities(context):
        if context not in shares:
            shares[context] = np.exp(expected_row(context).astype(float))
            shares[context] /= shares[context].sum()
        return shares[context]

    return [
        pytest.param(function, id="function"),
        pytest.param(TableBackend(probabilities), id="t"),
    ]


@pytest.mark.parametrize("backend", backends())
def test_rows_are_those_of_the_whole_context(backend):
    assert isinstance(backend, Backend)
    first, second = backend.extend([(None, [3]), (None, [3, 1, 4])])
    third, again, deep = backend.extend([(first, [1]), (first, [1]), (second, [0, 6, 6])])
    contexts = [[3], [3, 1, 4], [3, 1], [3, 1], [3, 1, 4, 0, 6, 6]]
    for branch, context in zip([first, second, third, again, deep], contexts, strict=True):
        assert isinstance(branch, Branch)
        assert branch.tokens == context
        difference = branch.logits - expected_row(context)  # a row is right up to a constant
        assert np.ptp(difference) < 1e-6
        assert branch.logits.shape == (backend.vocab_size,)


@pytest.mark.parametrize("backend", backends())
def test_the_empty_context_and_the_empty_batch(backend):
    (branch,) = backend.extend([(None, [])])
    assert np.ptp(branch.logits - expected_row([])) < 1e-6
    assert backend.extend([]) == []


@pytest.mark.parametrize("backend", backends())
@pytest.mark.parametrize("tokens", [[VOCAB], [-1], [1.5], ["a"], 3, [None], [0, 2**70]])
def test_what_is_no_token_is_refused(backend, tokens):
    with pytest.raises(InvalidInputError, match="request 1"):
        backend.extend([(None, [0]), (None, tokens)])


@pytest.mark.parametrize("backend", backends())
def test_numpy_integers_are_tokens(backend):
    (branch,) = backend.extend([(None, np.array([2, 3], np.int32))])
    assert branch.tokens == [2, 3]
    assert all(type(token) is int for token in branch.tokens)


@pytest.mark.parametrize("backend", backends())
def test_strange_branches_and_empty_extensions_are_refused(backend):
    (other,) = FunctionBackend(signature_rows, VOCAB).extend([(None, [1])])
    with pytest.raises(InvalidInputError, match="not one of this backend"):
        backend.extend([(other, [1])])
    (own,) = backend.extend([(None, [1])])
    with pytest.raises(InvalidInputError, match="no tokens to add"):
        backend.extend([(own, [])])


@pytest.mark.parametrize("backend", backends())
def test_released_logits_are_gone_and_the_context_is_not(backend):
    one, same = backend.extend([(None, [2, 2]), (None, [2, 2])])
    one.release_logits()
    with pytest.raises(BackendError, match="released"):
        _ = one.logits
    assert np.ptp(same.logits - expected_row([2, 2])) < 1e-6, "another branch's row went with it"
    (child,) = backend.extend([(one, [5])])
    assert np.ptp(child.logits - expected_row([2, 2, 5])) < 1e-6


@pytest.mark.parametrize("backend", backends())
def test_rows_cannot_be_written(backend):
    (branch,) = backend.extend([(None, [1])])
    with pytest.raises(ValueError, match="read-only"):
        branch.logits[0] = 1.0


# --- FunctionBackend -----------------------------------------------------------------------------


def test_a_function_sees_each_distinct_context_of_a_batch_once():
    calls = []

    def fn(contexts):
        calls.append([list(context) for context in contexts])
        return signature_rows(contexts)

    backend = FunctionBackend(fn, VOCAB)
    (base,) = backend.extend([(None, [1])])
    backend.extend([(base, [2]), (None, [1, 2]), (base, [3])])
    assert calls == [[[1]], [[1, 2], [1, 3]]]


def test_the_width_is_learnt_from_the_context_a_text_starts_with():
    calls = []

    def fn(contexts):
        calls.extend(contexts)
        return signature_rows(contexts)

    assert FunctionBackend(fn).vocab_size == VOCAB
    assert FunctionBackend(fn, start_token=3, end_tokens=[1, 2]).end_tokens == (1, 2)
    assert calls == [[], [3]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_keep_their_type(dtype):
    backend = FunctionBackend(lambda contexts: signature_rows(contexts).astype(dtype), VOCAB)
    assert backend.extend([(None, [1])])[0].logits.dtype == dtype


def test_a_function_may_use_its_buffer_again():
    buffer = np.zeros((1, VOCAB), np.float32)

    def fn(contexts):
        buffer[0] = expected_row(contexts[0])
        return buffer

    backend = FunctionBackend(fn, VOCAB)
    (first,) = backend.extend([(None, [1])])
    backend.extend([(None, [2])])
    assert np.array_equal(first.logits, expected_row([1]))


def test_a_row_does_not_keep_its_batch_alive():
    backend = FunctionBackend(signature_rows, VOCAB)
    branches = backend.extend([(None, [token]) for token in range(5)])
    assert branches[3].logits.base is None
    assert branches[3].logits.flags.c_contiguous


def test_lists_and_transposed_rows_are_read():
    turned = FunctionBackend(lambda contexts: np.asfortranarray(signature_rows(contexts)), VOCAB)
    (_, branch) = turned.extend([(None, [1]), (None, [2])])
    assert branch.logits.flags.c_contiguous
    listed = FunctionBackend(lambda contexts: [[0.0] * VOCAB] * len(contexts), VOCAB)
    assert listed.extend([(None, [1])])[0].logits.dtype == np.float64


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (np.zeros(VOCAB), r"shape \(7,\) for 1 contexts.*\(1, 7\)"),
        (np.zeros((2, VOCAB)), r"shape \(2, 7\)"),
        (np.zeros((1, VOCAB + 1)), r"shape \(1, 8\)"),
        (np.zeros((1, VOCAB), int), "int64"),
        (np.zeros((1, VOCAB), complex), "complex128"),
        (np.zeros((1, VOCAB), ">f4"), ">f4"),
        ([["a"] * VOCAB], "<U1"),
        ([[1.0], [1.0, 2.0]], "cannot read"),
        (None, "shape"),
    ],
)
def test_what_is_no_matrix_of_logits_is_refused(result, message):
    backend = FunctionBackend(lambda _: result, VOCAB)
    with pytest.raises(BackendError, match=message):
        backend.extend([(None, [1])])


def test_wrong_options_are_refused():
    with pytest.raises(InvalidInputError, match="function"):
        FunctionBackend(3, VOCAB)
    with pytest.raises(InvalidInputError, match="positive"):
        FunctionBackend(signature_rows, 0)
    with pytest.raises(InvalidInputError, match="below vocab_size"):
        FunctionBackend(signature_rows, VOCAB, start_token=VOCAB)
    with pytest.raises(InvalidInputError, match="below vocab_size"):
        FunctionBackend(signature_rows, VOCAB, end_tokens=[-1])


def test_an_error_of_the_function_comes_through_as_it_is():
    def fn(_):
        raise ZeroDivisionError("theirs")

    with pytest.raises(ZeroDivisionError, match="theirs"):
        FunctionBackend(fn, VOCAB).extend([(None, [1])])


# --- TableBackend --------------------------------------------------------------------------------


def test_the_longest_suffix_counts():
    table = {(): [0.5, 0.25, 0.25], (1,): [0.0, 1.0, 0.0], (0, 1): [0.25, 0.25, 0.5]}
    backend = TableBackend(table, start_token=0, end_tokens=(2,))
    contexts = {(): (), (2,): (), (1,): (1,), (2, 1): (1,), (1, 0, 1): (0, 1), (0, 1, 2): ()}
    for context, entry in contexts.items():
        (branch,) = backend.extend([(None, context)])
        with np.errstate(divide="ignore"):
            assert np.array_equal(branch.logits, np.log(table[entry])), context
        assert branch.logits.dtype == np.float64
    (base,) = backend.extend([(None, [2, 0])])
    assert np.array_equal(np.exp(backend.extend([(base, [1])])[0].logits), table[0, 1])
    assert (backend.vocab_size, backend.start_token, backend.end_tokens) == (3, 0, (2,))


def test_a_table_of_the_callers_can_change_afterwards():
    row = np.array([0.5, 0.5])
    backend = TableBackend({(): row})
    row[:] = 0.0
    assert np.array_equal(np.exp(backend.extend([(None, [])])[0].logits), [0.5, 0.5])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({(1,): [1.0, 0.0]}, "empty context"),
        ({(): [0.5, 0.4]}, "sum"),
        ({(): [1.5, -0.5]}, "negative"),
        ({(): [np.nan, 1.0]}, "not a distribution"),
        ({(): [np.inf, 1.0]}, "not a distribution"),
        ({(): []}, "shape"),
        ({(): [[1.0]]}, "shape"),
        ({(): "ab"}, "not numbers"),
        ({(): [0.5, 0.5], (1,): [1.0]}, "after the first context"),
        ({(): [0.5, 0.5], (2,): [0.5, 0.5]}, "not a token"),
        (5, "mapping or a function"),
    ],
)
def test_tables_that_are_no_model_are_refused(table, message):
    with pytest.raises(InvalidInputError, match=message):
        TableBackend(table)


def test_a_function_that_returns_no_distribution_is_a_backend_error():
    rows = {(): [0.5, 0.5], (0,): [0.5, 0.6], (1,): [1.0]}
    backend = TableBackend(lambda context: rows[context])
    for token in (0, 1):
        with pytest.raises(BackendError):
            backend.extend([(None, [token])])
    with pytest.raises(InvalidInputError):
        TableBackend(lambda _: [0.5, 0.5], start_token=2)


# --- without the framework -----------------------------------------------------------------------


def test_a_missing_framework_says_what_to_install():
    code = """
import sys
sys.modules["torch"] = None
from nextbyte.backends import TransformersBackend
from nextbyte.errors import MissingDependencyError
try:
    TransformersBackend.from_pretrained("somewhere")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert "pip install nextbyte[transformers]" in done.stdout
