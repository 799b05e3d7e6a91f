"""Every rule of an ensemble against its definition, on exact models with different tokenizers."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import MemberLostWarning
from oracle import comparison
from oracle.zoo import by_name

TOLERANCE = 1e-12
GROUPS = {
    "blanks": [("gpt2_blanks", "even"), ("cl100k_blanks", "elsewhere"), ("llama3_blanks", "even")],
    # Texts with "c" are impossible for two of them, and one text after another for the third.
    "losses": [("plain_three", "even"), ("plain_two", "steep"), ("plain_endless", "even")],
}
DEPTH = 3
WEIGHTS = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]
POWERS = [1.0, 0.75, -0.5]


@pytest.fixture(scope="module", params=GROUPS)
def subjects(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return [
        comparison.make_subject(nb, by_name(name), kind, folder, seed=i)
        for i, (name, kind) in enumerate(GROUPS[request.param])
    ]


@pytest.fixture(scope="module")
def laws(subjects):
    return Definitions(subjects)


@pytest.fixture(autouse=True)
def losses_are_meant():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MemberLostWarning)
        yield


def members(subjects):
    return [subject.lm for subject in subjects]


def mass(subject, prefix):
    return subject.reference().mass.get(prefix, Fraction(0))


def joint(subject, prefix):
    """P(prefix) P(symbol | prefix) for all symbols, exact."""
    if not mass(subject, prefix):
        return {}
    conditional = subject.reference().conditional(prefix)
    return {symbol: mass(subject, prefix) * p for symbol, p in conditional.items()}


def prefixes(subjects):
    found = set().union(*(s.reference().live() for s in subjects))
    return sorted(p for p in found if len(p) <= DEPTH)


def mixture(subjects, prefix):
    alive = [(w, s) for w, s in zip(WEIGHTS, subjects, strict=True) if mass(s, prefix)]
    total = sum(w for w, _ in alive)
    row = [Fraction(0)] * 257
    for w, s in alive:
        for symbol, p in s.reference().conditional(prefix).items():
            row[symbol] += w / total * p
    return row


def posterior(subjects, prefix):
    """Bayes' rule over whole texts: a text is drawn from model i with probability w_i."""
    row = [Fraction(0)] * 257
    for w, s in zip(WEIGHTS, subjects, strict=True):
        for symbol, p in joint(s, prefix).items():
            row[symbol] += w * p
    total = sum(row)
    return [p / total for p in row]


def product(subjects, prefix):
    rows = [s.reference().conditional(prefix) for s in subjects]
    row = [0.0] * 257
    for symbol in set(rows[0]).intersection(*rows):
        row[symbol] = math.prod(float(r[symbol]) ** w for r, w in zip(rows, POWERS, strict=True))
    total = math.fsum(row)
    return [p / total for p in row]


@dataclass
class Definitions:
    """The laws by definition, each computed once."""

    subjects: list[comparison.Subject]
    _laws: dict[tuple[str, bytes], list[float]] = field(default_factory=dict)

    def __call__(self, rule, prefix):
        if (rule, prefix) not in self._laws:
            row = RULES[rule](self.subjects, prefix)
            self._laws[rule, prefix] = [float(p) for p in row]
        return self._laws[rule, prefix]


RULES = {"mixture": mixture, "posterior": posterior, "product": product}


def possible(subjects, rule, prefix):
    alive = [bool(mass(s, prefix)) for s in subjects]
    return all(alive) if rule == "product" else any(alive)


def ensemble(subjects, rule, **options):
    weights = POWERS if rule == "product" else [float(w) for w in WEIGHTS]
    return nb.ByteEnsemble(members(subjects), weights, rule, **options)


def assert_law(state, expected):
    row = state.next_byte_logprobs()
    assert row.shape == (257,)
    assert row.dtype == np.float64
    expected = np.array([float(p) for p in expected])
    np.testing.assert_array_equal(row == -np.inf, expected == 0.0)
    np.testing.assert_allclose(np.exp(row), expected, rtol=TOLERANCE, atol=0)
    assert abs(math.fsum(np.exp(row)) - 1.0) <= TOLERANCE
    assert state.bound == 0.0


@pytest.mark.parametrize("rule", RULES)
def test_laws_after_prompts(rule, subjects, laws):
    model = ensemble(subjects, rule)
    checked = 0
    for prefix in prefixes(subjects):
        if possible(subjects, rule, prefix):
            assert_law(model.start(prefix), laws(rule, prefix))
            checked += 1
    assert checked >= 15


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reading", [True, False], ids=["read", "unread"])
def test_laws_after_pushes_and_rollbacks(rule, reading, subjects, laws):
    """Bytes that were pushed unread, forks and rollbacks give the same laws and probabilities."""
    model = ensemble(subjects, rule)

    def walk(state):
        prefix = state.prefix
        assert_law(state, laws(rule, prefix))
        for byte in sorted({b for s in subjects for c in s.case.alphabet for b in c.encode()}):
            longer = prefix + bytes([byte])
            if len(longer) > DEPTH or not possible(subjects, rule, longer):
                continue
            if reading:
                state.push(bytes([byte]))
                walk(state)
                state.rollback(1)
            else:
                unread = model.start()
                unread.push(longer)
                walk(unread.fork())
        assert_law(state, laws(rule, prefix))

    walk(model.start())


@pytest.mark.parametrize("rule", RULES)
def test_logprob_is_the_chain_of_laws(rule, subjects, laws):
    model = ensemble(subjects, rule)
    for prefix in prefixes(subjects):
        if not possible(subjects, rule, prefix):
            continue
        expected = math.prod(laws(rule, prefix[:i])[byte] for i, byte in enumerate(prefix))
        for pushed in range(len(prefix) + 1):
            state = model.start(prefix[: len(prefix) - pushed])
            state.push(prefix[len(prefix) - pushed :])
            assert math.isclose(math.exp(state.logprob), expected, rel_tol=1e-11), prefix


def test_posterior_weights_are_bayes_rule(subjects):
    model = ensemble(subjects, "posterior")
    for prefix in prefixes(subjects):
        parts = [w * mass(s, prefix) for w, s in zip(WEIGHTS, subjects, strict=True)]
        expected = [float(p / sum(parts)) for p in parts]
        state = model.start()
        for byte in prefix:
            state.next_byte_logprobs()
            state.push(bytes([byte]))
        for found in (state, model.start(prefix)):
            np.testing.assert_allclose(found.weights, expected, rtol=0, atol=TOLERANCE)
            assert math.isclose(math.exp(found.logprob), float(sum(parts)), rel_tol=1e-11)


def test_posterior_from_the_prompts_end(subjects):
    model = ensemble(subjects, "posterior", posterior_from="prompt")
    for prefix in (p for p in prefixes(subjects) if all(mass(s, p) for s in subjects)):
        for at in range(len(prefix) + 1):
            prompt = prefix[:at]
            parts = [
                w * mass(s, prefix) / mass(s, prompt)
                for w, s in zip(WEIGHTS, subjects, strict=True)
            ]
            expected = [float(p / sum(parts)) for p in parts]
            state = model.start(prompt)
            state.push(prefix[at:])
            np.testing.assert_allclose(state.weights, expected, rtol=0, atol=TOLERANCE)
            whole = sum(w * mass(s, prompt) for w, s in zip(WEIGHTS, subjects, strict=True))
            found = math.exp(state.logprob)
            assert math.isclose(found, float(whole * sum(parts)), rel_tol=1e-11)


@pytest.mark.parametrize("rule", RULES)
def test_a_model_with_itself_is_that_model(rule, subjects):
    single = subjects[0]
    model = nb.ByteEnsemble([single.lm, single.lm], [0.3, 0.7], rule)
    for prefix in single.reference().live()[:40]:
        row = model.start(prefix).next_byte_logprobs()
        single.check_row(row, single.reference(), prefix)


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_members_does_not_matter(rule, subjects):
    prefix = next(
        p for p in prefixes(subjects) if len(p) == 2 and all(mass(s, p) for s in subjects)
    )
    expected = ensemble(subjects, rule).start(prefix).next_byte_logprobs()
    weights = POWERS if rule == "product" else [float(w) for w in WEIGHTS]
    for order in itertools.permutations(range(3)):
        model = nb.ByteEnsemble([subjects[i].lm for i in order], [weights[i] for i in order], rule)
        row = model.start(prefix).next_byte_logprobs()
        np.testing.assert_allclose(np.exp(row), np.exp(expected), rtol=TOLERANCE)


@pytest.mark.parametrize("rule", ["mixture", "posterior"])
def test_nested_ensembles_are_flat_ones(rule, subjects):
    """A mixture of mixtures is a mixture, and a posterior of posteriors a posterior."""
    first, second, third = members(subjects)
    inner = nb.ByteEnsemble([first, second], [3, 2], rule)
    nested = nb.ByteEnsemble([inner, third], [5, 1], rule)
    flat = ensemble(subjects, rule)
    for prefix in (p for p in prefixes(subjects) if all(mass(s, p) for s in subjects)):
        one, other = nested.start(), flat.start()
        for byte in prefix:
            rows = one.next_byte_logprobs(), other.next_byte_logprobs()
            np.testing.assert_allclose(np.exp(rows[0]), np.exp(rows[1]), rtol=TOLERANCE)
            one.push(bytes([byte]))
            other.push(bytes([byte]))
        assert math.isclose(one.logprob, other.logprob, rel_tol=1e-11, abs_tol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_batches_and_threads_change_nothing(rule, subjects):
    chosen = [p for p in prefixes(subjects) if all(mass(s, p) for s in subjects)]
    serial, concurrent = (ensemble(subjects, rule, concurrent=c) for c in (False, True))
    with concurrent:
        states = [concurrent.start(prefix) for prefix in chosen]
        rows = concurrent.next_byte_logprobs([*states, states[0]])
        assert rows.shape == (len(chosen) + 1, 257)
        for prefix, row in zip([*chosen, chosen[0]], rows, strict=True):
            alone = serial.start(prefix).next_byte_logprobs()
            assert np.array_equal(row, alone)
    assert concurrent.next_byte_logprobs([]).shape == (0, 257)
