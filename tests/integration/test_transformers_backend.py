"""The transformers backend: every row against a plain forward pass, and what the slots hold."""

from __future__ import annotations

import random
import weakref

import numpy as np
import pytest

from integration.small_models import LIMIT, PARITY, VOCAB, difference, gpt2, llama, tokens_of
from nextbyte.backends import Backend, Branch, TransformersBackend
from nextbyte.errors import BackendError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    llama().save_pretrained(folder)
    return folder


@pytest.fixture(
    scope="module",
    params=["llama sdpa", "llama eager", "llama grouped", "gpt2 sdpa", "gpt2 eager"],
)
def backend(request, saved):
    kind, attention = request.param.split()
    if attention == "grouped":
        made = TransformersBackend.from_pretrained(saved)
        assert made._model.config._attn_implementation == "nextbyte_tree"
        return made
    return TransformersBackend({"llama": llama, "gpt2": gpt2}[kind](attention))


# --- rows ----------------------------------------------------------------------------------------


def test_a_tree_of_contexts_has_the_rows_of_each_context_alone(backend):
    assert isinstance(backend, Backend)
    stem, tail = tokens_of(40), tokens_of(20, seed=1)
    (base,) = backend.extend([(None, stem)])
    assert isinstance(base, Branch)
    runs = [tail[:10], tail, tail[:5], tail[10:], [*tail[:10], 3, 4], tail[:10]]
    branches = backend.extend([(base, run) for run in runs])
    assert difference(backend, base, stem) <= PARITY
    for branch, run in zip(branches, runs, strict=True):
        assert difference(backend, branch, stem + run) <= PARITY
        assert branch.logits.shape == (backend.vocab_size,) == (VOCAB,)
        assert branch.logits.dtype == np.float32
    again = backend.extend([(branches[1], [7]), (branches[3], [8, 9]), (None, [5])])
    for branch, context in zip(
        again, [[*stem, *tail, 7], [*stem, *tail[10:], 8, 9], [5]], strict=True
    ):
        assert difference(backend, branch, context) <= PARITY


def test_random_growth_and_dropping_keeps_every_row_right(backend):
    chance = random.Random(2)
    assert backend.kv_tokens == 0
    living = []
    for step in range(40):
        while living and chance.random() < 0.45:
            living.pop(chance.randrange(len(living)))
        requests, contexts = [], []
        for _ in range(chance.randint(1, 4)):
            parent, before = (
                chance.choice(living) if living and chance.random() < 0.8 else (None, [])
            )
            run = chance.choices(range(VOCAB), k=chance.randint(1, 5))
            requests.append((parent, run))
            contexts.append([*before, *run])
        branches = backend.extend(requests)
        for branch, context in zip(branches, contexts, strict=True):
            if step % 3 == 0:
                assert difference(backend, branch, context) <= PARITY
        living += zip(branches, contexts, strict=True)
        requests = branches = branch = parent = None
    for branch, context in living:
        (child,) = backend.extend([(branch, [1])])
        assert difference(backend, child, [*context, 1]) <= PARITY
    branch = child = None
    living.clear()
    assert backend.kv_tokens == 0


@pytest.mark.parametrize("attention", [None, "sdpa", "eager"])
def test_streams_that_read_their_own_slots_alone_have_the_same_rows(saved, attention, monkeypatch):
    """Groups where the attention can, the union of what is needed elsewhere; forced here."""
    monkeypatch.setattr("nextbyte.backends._read_plan._WORTH", 1e9)
    backend = TransformersBackend.from_pretrained(saved, attention=attention)
    contexts = [tokens_of(5 + 3 * n, seed=n) for n in range(8)]
    branches = backend.extend([(None, context) for context in contexts])
    for turn in range(3):
        runs = [tokens_of(1 + n * turn % 4, seed=10 * turn + n) for n in range(8)]
        requests = list(zip(branches, runs, strict=True))
        more = backend.extend([*requests[::2], (branches[0], [3, *runs[0]]), (branches[0], [3, 4])])
        assert difference(backend, more[-2], contexts[0] + [3, *runs[0]]) <= PARITY
        assert difference(backend, more[-1], contexts[0] + [3, 4]) <= PARITY
        for place, branch in zip(range(0, 8, 2), more, strict=False):
            branches[place], contexts[place] = branch, contexts[place] + runs[place]
        for branch, context in zip(branches, contexts, strict=True):
            assert difference(backend, branch, context) <= PARITY


def test_a_long_prompt_is_read_in_chunks(backend):
    prompt = tokens_of(LIMIT - 5, seed=3)
    cuts = [1, 300, 511, 512, 513, len(prompt)]
    branches = backend.extend([(None, prompt[:cut]) for cut in cuts])
    for branch, cut in zip(branches, cuts, strict=True):
        assert difference(backend, branch, prompt[:cut]) <= PARITY
    assert backend.kv_tokens == len(prompt)


def test_chunks_are_also_bounded_by_the_rows_they_return(backend, monkeypatch):
    monkeypatch.setattr("nextbyte.backends._passes._CHUNK_LOGITS", 3 * VOCAB)
    passes = []
    forward = type(backend)._forward
    monkeypatch.setattr(
        type(backend),
        "_forward",
        lambda self, part: passes.append(len(part)) or forward(self, part),
    )
    tokens = tokens_of(8, seed=4)
    branches = backend.extend([(None, tokens[: n + 1]) for n in range(8)])
    assert passes == [3, 3, 2]
    for n, branch in enumerate(branches):
        assert difference(backend, branch, tokens[: n + 1]) <= PARITY


def test_one_pass_computes_each_distinct_token_once(backend, monkeypatch):
    passes = []
    forward = type(backend)._forward
    monkeypatch.setattr(
        type(backend),
        "_forward",
        lambda self, part: (
            passes.append(sorted(new.position for new in part)) or forward(self, part)
        ),
    )
    backend.extend([(None, [5]), (None, [5, 7]), (None, [5, 7, 9]), (None, [5, 8]), (None, [5, 7])])
    assert passes == [[0, 1, 1, 2]]


def test_the_head_runs_only_where_a_row_is_wanted(monkeypatch):
    backend = TransformersBackend(llama())
    rows = []
    head = backend._model.lm_head
    handle = head.register_forward_hook(lambda _m, _i, output: rows.append(output.shape[1]))
    backend.extend([(None, tokens_of(30)), (None, [1, 2])])
    handle.remove()
    assert rows == [2]


@pytest.mark.parametrize(("dtype", "bound"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_narrow_models_give_float32_rows(saved, dtype, bound):
    backend = TransformersBackend.from_pretrained(saved, dtype=dtype)
    (base,) = backend.extend([(None, tokens_of(20))])
    one, two = backend.extend([(base, [1]), (base, [2, 3])])
    assert one.logits.dtype == np.float32
    for branch, run in ((one, [1]), (two, [2, 3])):
        error = difference(backend, branch, tokens_of(20) + run)
        assert error <= bound * float(branch.logits.std())


def test_a_float64_model_gives_float64_rows(saved):
    backend = TransformersBackend.from_pretrained(saved, dtype="float64")
    (branch,) = backend.extend([(None, [1, 2, 3])])
    assert branch.logits.dtype == np.float64


# --- what is held --------------------------------------------------------------------------------


def test_prefixes_are_held_once_and_dropped_branches_give_their_slots_back():
    backend = TransformersBackend(llama())
    assert backend.kv_tokens == 0
    (base,) = backend.extend([(None, tokens_of(50))])
    assert backend.kv_tokens == 50
    children = backend.extend([(base, [1, 2, 3]), (base, [1, 2, 4]), (base, [9])])
    assert backend.kv_tokens == 50 + 5
    del children[0]
    assert backend.kv_tokens == 50 + 4
    deep = backend.extend([(children[0], [6])])[0]
    children.clear()
    assert backend.kv_tokens == 50 + 4, "a context must keep its ancestors"
    del base
    assert backend.kv_tokens == 50 + 4
    capacity = backend._cache.layers[0].keys.shape[2]
    del deep
    assert backend.kv_tokens == 0
    for _ in range(3 * capacity // 40):
        backend.extend([(None, tokens_of(40))])
    assert backend._cache.layers[0].keys.shape[2] == capacity, "freed slots must be used again"


def test_storage_grows_with_what_is_held():
    backend = TransformersBackend(llama())
    stem = tokens_of(200)
    (base,) = backend.extend([(None, stem)])
    branches = backend.extend([(base, tokens_of(100, seed=n)) for n in range(5)])
    assert backend.kv_tokens > 600
    assert backend._cache.layers[0].keys.shape[2] == 1024
    for n, branch in enumerate(branches):
        assert difference(backend, branch, stem + tokens_of(100, seed=n)) <= PARITY
    assert difference(backend, base, stem) <= PARITY


def test_a_row_keeps_no_other_row_alive():
    backend = TransformersBackend(llama())
    first, second = backend.extend([(None, [1]), (None, [2])])
    for branch in (first, second):
        owner = branch.logits
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        assert owner.nbytes == VOCAB * 4
        assert not branch.logits.flags.writeable
    assert not np.shares_memory(first.logits, second.logits)


def test_a_row_is_freed_when_released_and_the_context_stays():
    backend = TransformersBackend(llama())
    branch, twin = backend.extend([(None, [1, 2]), (None, [1, 2])])
    assert branch is not twin
    branch.release_logits()
    with pytest.raises(BackendError, match="released"):
        _ = branch.logits
    assert difference(backend, twin, [1, 2]) <= PARITY
    assert difference(backend, backend.extend([(branch, [3])])[0], [1, 2, 3]) <= PARITY
    assert weakref.ref(branch)() is branch


def test_a_limit_on_slots_is_kept():
    backend = TransformersBackend(llama(), max_slots=10)
    (base,) = backend.extend([(None, tokens_of(8))])
    with pytest.raises(BackendError, match="max_slots=10"):
        backend.extend([(base, [1, 2, 3])])
    assert backend.kv_tokens == 8, "a refused call must hold nothing"
    assert len(backend.extend([(base, [1]), (base, [2])])) == 2


def test_requests_that_do_not_fit_together_are_read_one_after_the_other():
    backend = TransformersBackend(llama(), max_slots=10)
    (base,) = backend.extend([(None, tokens_of(8))])
    runs = [[1], [2], [1, 3], [4], [2, 5]]
    other = tokens_of(9, seed=1)
    *found, last = backend.extend([*((base, run) for run in runs), (None, other)])
    assert backend.kv_tokens <= 10
    for branch, run in zip(found, runs, strict=True):
        assert difference(backend, branch, tokens_of(8) + run) <= PARITY
    assert difference(backend, last, other) <= PARITY


def test_streams_under_a_limit_give_up_and_read_again_what_does_not_fit():
    backend = TransformersBackend(llama(), max_slots=40)
    contexts = [tokens_of(20, seed=n) for n in range(3)]
    branches = [backend.extend([(None, context)])[0] for context in contexts]
    chance = random.Random(1)
    for turn in range(30):
        n = chance.randrange(3)
        more = tokens_of(chance.randint(1, 3), seed=turn)
        if len(contexts[n]) + len(more) > 40:
            continue
        (branches[n],) = backend.extend([(branches[n], more)])
        contexts[n] = contexts[n] + more
        assert backend.kv_tokens <= 40
        assert difference(backend, branches[n], contexts[n]) <= PARITY
    assert backend._cache.layers[0].keys.shape[2] == 256, "of the first allocation"
    del branches
    assert backend.kv_tokens == 0


def test_a_prompt_is_not_read_again_while_a_stream_holds_its_beginning(monkeypatch):
    backend = TransformersBackend(llama())
    read = []
    forward = backend._model.forward

    def counted(*arguments, **options):
        read.extend(options[name].numel() for name in options if name == "input_ids")
        return forward(*arguments, **options)

    monkeypatch.setattr(backend._model, "forward", counted)
    stem = tokens_of(50)
    (first,) = backend.extend([(None, stem)])
    (second,) = backend.extend([(None, [*stem[:40], 3, 5])])
    (again,) = backend.extend([(None, stem)])
    assert read == [50, 2, 1]
    assert backend.kv_tokens == 53
    for branch, context in ((first, stem), (second, [*stem[:40], 3, 5]), (again, stem)):
        assert difference(backend, branch, context) <= PARITY
        (below,) = backend.extend([(branch, [7])])
        assert difference(backend, below, [*context, 7]) <= PARITY
    del first, second, again, branch, below
    assert backend.kv_tokens == 0


def test_a_model_that_fails_leaves_the_slots_as_they_were(monkeypatch):
    backend = TransformersBackend(llama())
    (base,) = backend.extend([(None, [1, 2])])
    fail = pytest.MonkeyPatch()
    fail.setattr(backend._model, "forward", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backend.extend([(base, [3, 4])])
    fail.undo()
    assert backend.kv_tokens == 2
    assert difference(backend, backend.extend([(base, [3])])[0], [1, 2, 3]) <= PARITY


# --- the embedded model --------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("attention", [None, "sdpa", "eager"])
def test_the_embedded_model_branches_exactly(model_folder, attention):
    backend = TransformersBackend.from_pretrained(model_folder, attention=attention)
    assert backend.vocab_size == 49_152
    stem, tail = [504, 3575, 253, 1194, 3365, 260], [282, 31, 11, 5000]
    (base,) = backend.extend([(None, stem)])
    runs = [tail[:1], tail, tail[:2]]
    for branch, run in zip(backend.extend([(base, run) for run in runs]), runs, strict=True):
        assert difference(backend, branch, stem + run) <= PARITY
