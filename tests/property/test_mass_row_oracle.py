"""Masses of one row of logits against their definition, at every level of the processor.

Ranges of one token up to tens of thousands, at every alignment of both their ends, are asked of
rows of every type, in either order. Rows of streams, in which some tokens may not follow, are
compared with rows of doubles, which no kernel of floats makes.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import nextbyte as nb
from oracle.row_masses import EXACT, Spellings, Wanted
from real_tokenizers import MissingPackageError, load, parameters

LEVELS = nb.simd.targets()
KINDS = ("float32", "float16", "bfloat16", "float64")
ROUNDED = 1e-6  # what is promised of the masses of other rows than those of float64, relative


@pytest.fixture(autouse=True)
def level_as_before():
    before = nb.simd.active()
    yield
    nb.simd.use(before)


# --- Rows -----------------------------------------------------------------------------------------


def plain(generator, spellings, width):
    """Spread like a model's, with a few tokens far above the rest."""
    logits = generator.normal(0.0, 2.5, width)
    logits[generator.integers(0, width, 1 + width // 2000)] += 12.0
    return logits


def even(generator, spellings, width):
    """Each token weighs about the same, so one that is missing is seen in any range."""
    return generator.uniform(-0.1, 0.1, width)


def holes(generator, spellings, width):
    """-inf here and there, in long runs of ranks, and everywhere below some first bytes."""
    logits = generator.normal(0.0, 2.0, width)
    logits[generator.random(width) < 0.2] = -np.inf
    order = spellings.tokens
    for length in (3, 64, 130, 1024, 2500, order.size // 3):
        first = int(generator.integers(0, order.size))
        logits[order[first : first + length]] = -np.inf
    logits[order[[0, -1]]] = 1.0
    return logits


def shallow(generator, spellings, width):
    """Down to 1e-30 of the greatest."""
    return generator.uniform(-69.0, 0.0, width)


def edge(generator, spellings, width):
    """About as far down as a float reaches, on either side of its limit."""
    return generator.choice([0.0, -1.5, -85.5, -86.0, -86.6, -87.3], width)


def deep(generator, spellings, width):
    """Far below 1e-38 of the greatest, but in reach of a double."""
    return generator.uniform(-690.0, 0.0, width)


def abyss(generator, spellings, width):
    """Some logits are zero even to a double."""
    logits = generator.normal(0.0, 3.0, width)
    logits[generator.random(width) < 0.3] = -6e4
    logits[spellings.tokens[-1]] = 0.0
    return logits


def spread(generator, spellings, width):
    """All over +-1900."""
    return generator.uniform(-1900.0, 1900.0, width)


def high(generator, spellings, width):
    return generator.normal(1900.0, 2.5, width)


def low(generator, spellings, width):
    return generator.normal(-1900.0, 2.5, width)


def far(generator, spellings, width):
    """Beyond what the scale of floats is for."""
    return generator.normal(60_000.0, 3.0, width)


def elsewhere(generator, spellings, width):
    """The greatest logit is no text's, and so high that few floats are left for the others."""
    logits = generator.normal(0.0, 2.5, width)
    other = np.setdiff1d(np.arange(width), spellings.tokens)
    logits[other[:1]] = 75.0
    return logits


def cliff(generator, spellings, width):
    """Nothing between what floats hold, down to their end, and what is all but zero to a double."""
    logits = generator.choice([0.0, -0.5, -680.0], width)
    other = np.setdiff1d(np.arange(width), spellings.tokens)
    logits[other] = -np.inf
    logits[other[:1]] = 84.0
    logits[spellings.tokens[0]] = 0.0
    return logits


ROWS = (plain, even, holes, shallow, edge, deep, abyss, spread, high, low, far, elsewhere, cliff)


class Subject:
    """A tokenizer, its spellings by another hand, and prefixes to ask about."""

    def __init__(self, tokenizer, spellings, nodes, end_token=0):
        self.tokenizer, self.spellings, self.nodes = tokenizer, spellings, nodes
        self.end_token, self.width = end_token, tokenizer.vocab_size + 5
        others = np.setdiff1d(np.arange(self.width), self.spellings.tokens)
        self.sorted_tokens = np.concatenate([self.spellings.tokens, others])

    def logits(self, kind, make, seed):
        """Return a row of a type, as the product is given it and in double."""
        values = make(np.random.default_rng(seed), self.spellings, self.width)
        if kind == "bfloat16":
            torch = pytest.importorskip("torch")
            row = torch.from_numpy(values).to(torch.bfloat16)
            return row, row.double().numpy()
        row = values.astype(kind)
        return row, row.astype(np.float64)

    def check(self, kind, make, seed=0, levels=LEVELS):
        row, values = self.logits(kind, make, seed)
        wanted = Wanted.of(self.spellings, values, self.nodes)
        bound = EXACT if kind == "float64" else ROUNDED
        for level, presorted in itertools.product(levels, (False, True)):
            nb.simd.use(level)
            given = shifted(row[self.sorted_tokens] if presorted else row, seed % 17)
            made = self.tokenizer.mass_row(given, presorted=presorted)
            what = f"{kind} {make.__name__} {level} presorted={presorted}"
            wanted.check(made, bound, what)


def shifted(row, places):
    """Return the same row, so many places behind where an allocation starts."""
    if not isinstance(row, np.ndarray):
        torch = pytest.importorskip("torch")
        return torch.cat([row[:places], row])[places:] if places < len(row) else row
    moved = np.empty(row.size + places, row.dtype)[places:]
    moved[:] = row
    return moved


# --- Which prefixes are asked about --------------------------------------------------------------

CLASSES = ((1, 2), (2, 16), (16, 256), (256, 2048), (2048, 1 << 30))


def choose_nodes(spellings, source, count, most=1):
    """Choose prefixes of each class of sizes, `most` for each place of starts and of ends."""
    chosen, seen = [b""], {}
    prefixes = spellings.beginnings(source, count)
    source.shuffle(prefixes)
    for prefix in prefixes:
        first, last = spellings.run(prefix)
        kind = next(i for i, (_, end) in enumerate(CLASSES) if last - first < end)
        keys = (kind, "start", first % 64), (kind, "end", last % 64)
        if any(seen.get(key, 0) < most for key in keys):
            chosen.append(prefix)
            for key in keys:
                seen[key] = seen.get(key, 0) + 1
    absent = b"\xff\xfe\xff"
    return [spellings.node(prefix) for prefix in [*chosen, absent]]


# --- Made tokenizers: ranges of chosen sizes ------------------------------------------------------

PARTS = (1, 1, 2, 3, 4, 5, 6, 9, 15, 16, 17, 31, 33, 62, 63, 64, 65, 66, 127, 129, 500, 1023, 1025)


def plant(source, prefix, count):
    """Return `count` spellings that start with `prefix`; below most bytes are as many as in PARTS.

    All are ASCII, which is text, and so any of them is what some text consists of.
    """
    if count == 1:
        return [prefix + bytes(source.choices(range(128), k=source.randrange(not prefix, 3)))]
    if count <= 128 and source.random() < 0.5:
        return [prefix + bytes([byte]) for byte in sorted(source.sample(range(128), count))]
    spellings = []
    if prefix and source.random() < 0.5:
        spellings.append(prefix)
    most = min(count, source.choice((2, 3, 9, 40, 128)))
    next_bytes = sorted(source.sample(range(128), most))
    for byte in next_bytes:
        rest = count - len(spellings)
        if rest == 0:
            break
        part = rest if byte == next_bytes[-1] else min(rest, source.choice(PARTS))
        spellings += plant(source, prefix + bytes([byte]), part)
    return spellings


def made(folder, spellings, source, count):
    """Load a vocabulary of RWKV World, which needs no merges; ids are in another order."""
    assert len(set(spellings)) == len(spellings)
    shuffled = source.sample(spellings, len(spellings))
    lines = [f"{token} {data!r} {len(data)}\n" for token, data in enumerate(shuffled, start=1)]
    file = folder / f"{len(spellings)}.txt"
    file.write_text("".join(lines), "utf-8")
    known = Spellings(dict(enumerate(shuffled, start=1)))
    prefixes = [b"", *known.beginnings(source, count)]
    return Subject(nb.Tokenizer.from_file(file), known, [known.node(prefix) for prefix in prefixes])


def test_vocabularies_of_every_small_size(tmp_path):
    source = random.Random("small vocabularies")
    kinds, levels = itertools.cycle(KINDS), itertools.cycle(LEVELS)
    for size in (*range(1, 68), 127, 128, 129, 130, 191, 192, 193):
        subject = made(tmp_path, plant(source, b"", size), source, 8)
        for make in (even, source.choice(ROWS)):
            subject.check("float32", make, size)
            subject.check(next(kinds), make, size, levels=[next(levels)])


@pytest.mark.parametrize("size", [1023, 1024, 1025, 1087, 2047, 2048, 2049, 3072, 5121])
def test_vocabularies_that_end_at_a_power_of_two_and_beside(tmp_path, size):
    source = random.Random(size)
    subject = made(tmp_path, plant(source, b"", size), source, 60)
    for number, make in enumerate((even, *source.sample(ROWS, 2))):
        subject.check("float32", make, number)
        subject.check(KINDS[number % 4], make, number)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Return a vocabulary in which ranges of chosen sizes start, and end, everywhere."""
    source = random.Random("wide")
    sizes = [*range(1, 70), 97, 127, 128, 129, 200, 250, 1024, 1100, 2048, 20_011, 4096, 2049]
    spellings = []
    for first in range(0x10, 0x70):
        for second in sorted(source.sample(range(128), source.randrange(1, 20))):
            size = sizes.pop() if first % 8 == 0 and len(sizes) > 69 else source.choice(sizes[:69])
            spellings += plant(source, bytes([first, second]), size)
    subject = made(tmp_path_factory.mktemp("wide"), spellings, source, 0)
    subject.nodes = choose_nodes(subject.spellings, source, 9000, most=2)
    return subject


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_of_chosen_sizes(wide, kind):
    for number, make in enumerate(ROWS):
        wide.check(kind, make, number)


def test_chosen_ranges_start_and_end_everywhere(wide):
    for low, high in CLASSES[:3]:
        inside = [node for node in wide.nodes if low <= node.last - node.first < high]
        assert {node.first % 64 for node in inside} == set(range(64)), (low, high)
        assert {node.last % 64 for node in inside} == set(range(64)), (low, high)
    assert max(node.last - node.first for node in wide.nodes[1:]) > 20_000


# --- Real tokenizers ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=parameters(["gpt2", "smollm2", "o200k"]))
def real(request, tmp_path_factory):
    try:
        loaded = load(
            request.param,
            tmp_path_factory.mktemp(request.param),
            lambda: request.getfixturevalue("model_folder"),
        )
    except MissingPackageError as reason:
        (pytest.fail if request.config.getoption("--require-model") else pytest.skip)(str(reason))
    spellings = Spellings(loaded.token_bytes)
    nodes = choose_nodes(spellings, random.Random(request.param), 1500)
    return Subject(loaded.ours, spellings, nodes, loaded.end_token)


def test_real_ranges(real):
    for number, make in enumerate(ROWS):
        real.check(KINDS[number % 4], make, number)
    for number, make in enumerate((plain, even, holes)):
        real.check("float32", make, 50 + number)


def laws_of_a_stream(subject, row, text, *, presorted=False):
    """Return the law before each byte of `text` and behind it; all contexts have the same row."""
    stream = nb._core.ByteStream(subject.tokenizer.compiled, [subject.end_token])
    laws = []
    for count in range(len(text) + 1):
        stream.push(text[count - 1 : count] if count else b"")
        for context in stream.pending():
            stream.provide(context, row, presorted=presorted)
        laws.append(np.empty(257))
        stream.next_byte_logprobs(laws[-1])
    return np.exp(laws)


@pytest.mark.parametrize("make", [even, plain, shallow])
def test_tokens_that_may_not_follow_weigh_nothing(real, make):
    text = b"It's  12 'quoted'\n\n  words, \xe2\x82\xac"
    row, values = real.logits("float32", make, 7)
    row[real.end_token] = values[real.end_token] = 0.0
    expected = laws_of_a_stream(real, values, text)
    for level, presorted in itertools.product(LEVELS, (False, True)):
        nb.simd.use(level)
        given = row[real.sorted_tokens] if presorted else row
        laws = laws_of_a_stream(real, given, text, presorted=presorted)
        np.testing.assert_allclose(laws, expected, rtol=3 * ROUNDED, err_msg=level)
        assert ((laws == 0) == (expected == 0)).all(), level
