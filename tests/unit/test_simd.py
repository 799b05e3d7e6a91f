"""The levels of the float kernels: choosing one, and each against sums in long double."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError
from unit.known_models import load_all

ROOT = Path(__file__).resolve().parents[2]
LEVELS = nb.simd.targets()


@pytest.fixture
def level(request):
    """Use one level for a test."""
    before = nb.simd.active()
    nb.simd.use(request.param)
    yield request.param
    nb.simd.use(before)


at_every_level = pytest.mark.parametrize("level", LEVELS, indirect=True)


# --- Choosing ------------------------------------------------------------------------------------


def in_a_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@at_every_level
def test_a_level_is_used_once_it_is_named(level):
    assert nb.simd.active() == level


def test_the_highest_level_is_used_without_a_word():
    code = "import nextbyte as nb; print(nb.simd.active())"
    assert in_a_process(code, NEXTBYTE_SIMD="").stdout.strip() == LEVELS[-1]


@pytest.mark.parametrize("name", LEVELS)
def test_the_environment_names_a_level(name):
    code = "import nextbyte as nb; print(nb.simd.active())"
    done = in_a_process(code, NEXTBYTE_SIMD=name)
    assert (done.stdout.strip(), done.stderr) == (name, "")


def test_an_unknown_level_is_refused_with_those_there_are():
    before = nb.simd.active()
    with pytest.raises(InvalidInputError, match=f"level 'sse9' is unknown.*{', '.join(LEVELS)}"):
        nb.simd.use("sse9")
    assert nb.simd.active() == before
    done = in_a_process("import nextbyte", NEXTBYTE_SIMD="sse9")
    last = done.stderr.strip().splitlines()[-1]
    assert "InvalidInputError: NEXTBYTE_SIMD 'sse9' is unknown" in last
    assert LEVELS[0] in last


def test_a_level_that_the_processor_lacks_is_called_so(monkeypatch):
    monkeypatch.setattr(nb.simd._core, "simd_levels", lambda: [("low", True), ("high", False)])
    with pytest.raises(InvalidInputError, match="'high' is not supported by this processor"):
        nb.simd.use("high")


@pytest.mark.parametrize("features", [[], ["-mavx2", "-mfma"], ["-mavx512f", "-mavx512bw"]])
def test_a_level_leaves_no_code_to_be_merged_into_another(tmp_path, features):
    """Weak symbols of an object are: the linker keeps one copy, of any level."""
    compiler, nm = shutil.which("c++"), shutil.which("nm")
    if compiler is None or nm is None:
        pytest.skip("no compiler")
    if features and LEVELS[0] != "x86-64":
        pytest.skip("flags of another processor")
    target = tmp_path / "level.o"
    names = ["-DNEXTBYTE_LEVEL=tested", '-DNEXTBYTE_LEVEL_NAME="tested"']
    source = ROOT / "csrc" / "kernels" / "vector_kernels.cc"
    flags = ["-std=c++20", "-O1", "-I", str(ROOT / "csrc"), *names, *features]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(target)], check=True)
    listed = subprocess.run([nm, str(target)], capture_output=True, text=True, check=True).stdout
    kinds = [line.split()[-2] for line in listed.splitlines()]
    assert "T" in kinds or "D" in kinds or "R" in kinds, listed
    assert not {"W", "w", "V", "v", "u"} & set(kinds), listed


# --- Masses --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(model_folder):
    return nb.Tokenizer.from_file(model_folder)


@pytest.fixture(scope="module")
def spellings(tokenizer):
    """Return the bytes of all tokens that texts consist of; b"" for the others."""
    return [
        tokenizer.token_bytes(token) if tokenizer.compiled.is_reachable(token) else b""
        for token in range(tokenizer.vocab_size)
    ]


def expected_masses(spellings, logits, prefix):
    """Sum in long double, by the definition."""
    logits = np.asarray(logits, dtype=np.longdouble)
    has_bytes = np.array([len(spelling) > 0 for spelling in spellings])
    shift = logits[: len(spellings)][has_bytes].max()
    weights = np.where(has_bytes, np.exp(logits[: len(spellings)] - shift), 0)
    masses = np.zeros(256, dtype=np.longdouble)
    for token, spelling in enumerate(spellings):
        if len(spelling) > len(prefix) and spelling.startswith(prefix):
            masses[spelling[len(prefix)]] += weights[token]
    return masses / weights.sum()


def row_of(kind, tokenizer, seed=0, width=2.5):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, width, tokenizer.vocab_size + 7)
    logits[generator.integers(0, logits.size, 40)] += 12
    logits[generator.integers(0, logits.size, 40)] = -np.inf
    return logits.astype(kind)


PREFIXES = [b"", b" ", b" t", b" th", b"in", b"\xe2\x80", b"zzzzzz"]


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_masses_of_a_real_row(tokenizer, spellings, level, kind):
    logits = row_of(kind, tokenizer)
    row = tokenizer.mass_row(logits)
    bound = 1e-12 if kind == np.float64 else 5e-7
    for prefix in PREFIXES:
        masses = row.children(prefix) if prefix else row.roots()
        expected = expected_masses(spellings, logits, prefix)
        np.testing.assert_allclose(masses, expected.astype(float), rtol=bound)
        assert np.array_equal(masses == 0, expected == 0)
        assert row.mass(prefix) >= masses.sum() * (1 - 1e-12)  # and the token that is the prefix
    out = np.full(256, 7.0)
    assert row.roots(out=out) is not None
    np.testing.assert_array_equal(out, row.roots())
    finite = logits[: len(spellings)].astype(np.longdouble)[[len(s) > 0 for s in spellings]]
    assert row.log_normalizer == pytest.approx(float(np.log(np.exp(finite).sum())), abs=1e-6)


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_presorted_rows_give_the_same_bits(tokenizer, level, kind):
    logits = row_of(kind, tokenizer, seed=1)
    order = np.concatenate([tokenizer.rank_order, np.arange(tokenizer.vocab_size, logits.size)])
    assert sorted(order.tolist()) == list(range(logits.size))
    plain, sorted_row = (
        tokenizer.mass_row(logits),
        tokenizer.mass_row(logits[order], presorted=True),
    )
    for prefix in PREFIXES:
        np.testing.assert_array_equal(plain.children(prefix), sorted_row.children(prefix))
    np.testing.assert_array_equal(plain.roots(), sorted_row.roots())


@pytest.mark.model
@at_every_level
def test_bfloat_rows_are_float_rows(tokenizer, level):
    torch = pytest.importorskip("torch")
    logits = torch.from_numpy(row_of(np.float32, tokenizer)).bfloat16()
    for change in (logits, logits[3:]):  # the second is not aligned
        row = nb._core.MassRow(tokenizer.compiled, change)
        expected = tokenizer.mass_row(change.float().numpy())
        np.testing.assert_array_equal(row.roots(), expected.roots())


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("spread", [60.0, 100.0, 200.0, 600.0])
def test_what_is_possible_stays_possible(tokenizer, spellings, level, spread):
    """Down to 1e-260: where floats cannot hold a mass, the row is made in doubles."""
    generator = np.random.default_rng(3)
    logits = (-spread * generator.random(tokenizer.vocab_size)).astype(np.float32)
    logits[5] = 500.0 if spread == 600.0 else 0.0
    row = tokenizer.mass_row(logits)
    least = 1.0
    for prefix in (b"", b" t", b"in"):
        expected = expected_masses(spellings, logits, prefix)
        least = min(least, expected[expected > 0].min())
        np.testing.assert_allclose(row.children(prefix), expected.astype(float), rtol=1e-6)
    assert least < 10 ** (-0.3 * spread)


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("high", [80.0, 700.0, 3000.0, 1e30])
def test_a_row_whose_greatest_logit_is_no_text(tokenizer, spellings, level, high):
    special = next(token for token, spelling in enumerate(spellings) if not spelling)
    logits = row_of(np.float32, tokenizer)
    expected = expected_masses(spellings, logits, b"").astype(float)
    logits[special] = high
    np.testing.assert_allclose(tokenizer.mass_row(logits).roots(), expected, rtol=1e-6)


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("offset", [-1900.0, 1900.0, -1e6, 3e38])
def test_rows_of_any_height(tokenizer, level, offset):
    logits = row_of(np.float32, tokenizer).astype(np.float64) + offset
    single = logits.astype(np.float32)
    expected = tokenizer.mass_row(single.astype(np.float64)).roots()
    np.testing.assert_allclose(tokenizer.mass_row(single).roots(), expected, rtol=1e-6)


@pytest.mark.model
@at_every_level
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("presorted", [False, True])
def test_irregular_rows_are_refused_by_the_first_bad_token(tokenizer, level, kind, presorted):
    for bad, name in ((np.nan, "NaN"), (np.inf, r"\+inf")):
        for place in (0, 77, tokenizer.vocab_size - 1):
            logits = row_of(kind, tokenizer)
            logits[[place, -1]] = bad
            token = int(tokenizer.rank_order[place]) if presorted else place
            with pytest.raises(InvalidInputError, match=f"logit of token {token} is {name}"):
                tokenizer.mass_row(logits, presorted=presorted)
    with pytest.raises(InvalidInputError, match="too narrow"):
        tokenizer.mass_row(np.zeros(100, kind), presorted=presorted)
    with pytest.raises(InvalidInputError, match="probability zero to every token"):
        tokenizer.mass_row(np.full(tokenizer.vocab_size, -np.inf, kind), presorted=presorted)


def test_rows_of_other_types_are_refused(tmp_path):
    tokenizer = load_all(tmp_path)["letters"]
    with pytest.raises(InvalidInputError, match="must be float16, bfloat16, float32 or float64"):
        tokenizer.mass_row(np.zeros(1000, int))


# --- Streams -------------------------------------------------------------------------------------


@pytest.mark.model
@at_every_level
def test_laws_of_presorted_rows_of_a_stream(tokenizer, level):
    """Masks, deeper nodes, the end of text, and many streams in one call."""
    end = 0
    order = tokenizer.rank_order
    core = nb._core
    streams = [core.ByteStream(tokenizer.compiled, [end]) for _ in range(3)]
    for text in (b"", b"The", b" quick", b" brown fo"):
        for stream in streams:
            stream.push(text)
        for contexts in zip(*[stream.pending() for stream in streams], strict=True):
            logits = row_of(np.float32, tokenizer, seed=contexts[0].position)
            streams[0].provide(contexts[0], logits)
            streams[1].provide(contexts[1], logits[order], presorted=True)
            core.provide_rows([streams[2]], [contexts[2]], [logits.astype(np.float64)])
        laws = np.empty((3, 257))
        core.next_byte_rows(streams, laws)
        np.testing.assert_array_equal(laws[0], laws[1])
        np.testing.assert_allclose(np.exp(laws[0]), np.exp(laws[2]), rtol=2e-6)
        alone = np.empty(257)
        streams[2].next_byte_logprobs(alone)
        np.testing.assert_array_equal(alone, laws[2])
    with pytest.raises(InvalidInputError, match="as many rows as"):
        core.next_byte_rows(streams, np.empty((2, 257)))
    with pytest.raises(InvalidInputError, match="as many contexts"):
        core.provide_rows(streams, [], [])
