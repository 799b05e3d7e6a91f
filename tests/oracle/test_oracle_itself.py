"""The oracle alone, without the product: its bounds, its identities, and its power to fail."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from oracle import comparison, walks
from oracle.cases import Case, no_pattern, pairs
from oracle.definition import BYTE_TO_SYMBOL, Definition, split_characters
from oracle.distribution import END_OF_TEXT, reference
from oracle.language_models import KINDS, LanguageModel
from oracle.stand_in import FAULTS, StandIn
from oracle.zoo import CASES, by_name

if TYPE_CHECKING:
    from pathlib import Path

    from oracle.definition import Sequence

NAMES = [case.name for case in CASES]
SMALL = [
    "dead_lead_byte",
    "plain_accents",
    "dead_blank",
    "ahead_gpt2",
    "whole_piece",
    "threes_wide_digits",
]


def model_of(case: Case, kind: str) -> LanguageModel:
    """Make the model that the comparison uses."""
    return comparison.make_subject(StandIn(case.definition), case, kind, _Nowhere()).model


class _Nowhere:
    """A folder that is never read again: the stand-in ignores the file."""

    def __truediv__(self, name: str) -> str:
        return "/dev/null"


@pytest.fixture(autouse=True)
def _separate_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the stand-in out of the product's figures."""
    monkeypatch.setattr(comparison, "TALLY", comparison.Tally())


def test_byte_symbols_are_those_of_the_library() -> None:
    text = "".join(map(chr, range(0x800))) + "\ud7ff\U0001f600\U0010ffff"
    for character in text:
        ((piece, _),) = no_pattern().pre_tokenize_str(character)
        assert piece == "".join(BYTE_TO_SYMBOL[byte] for byte in character.encode())


@pytest.mark.parametrize("name", NAMES)
def test_alphabet_is_all_that_can_be_spelled(name: str) -> None:
    case = by_name(name)
    assert case.definition.spelled_alphabet() == set(case.alphabet)
    outside = [text for text, sequence in case.definition.encode_all(4).items() if sequence is None]
    assert bool(outside) == case.compose  # only a normalizer makes an encoding lossy


@pytest.mark.parametrize("name", NAMES)
def test_saved_tokenizer_is_the_same(name: str, tmp_path: Path) -> None:
    case = by_name(name)
    path = case.save(tmp_path)
    if not path.endswith(".json"):
        pytest.skip("the library that the reference is made with does not read this format")
    loaded = Tokenizer.from_file(path)
    assert loaded.get_vocab() == case.definition.tokenizer.get_vocab()
    for text, sequence in case.definition.encode_all(4).items():
        if sequence is not None:
            assert tuple(loaded.encode(text, add_special_tokens=False).ids) == sequence


@pytest.mark.parametrize("name", NAMES)
def test_candidate_witnesses_suffice(name: str) -> None:
    case = by_name(name)
    members, strangers, differing = case.definition.compare_with_exhaustive(case.exhaustive)
    assert not differing
    assert members
    assert strangers or not case.merges or case.exhaustive < 6


@pytest.mark.parametrize("name", [case.name for case in CASES if "dead" in case.facts])
def test_dead_contexts_exist(name: str) -> None:
    """Some sequences that merges and pre-tokenizer each admit have no future at all."""
    definition = by_name(name).definition
    dead = [
        (*sequence, token)
        for sequence, _ in definition.contexts(5)
        for token in definition.token_bytes
        if not definition.is_prefix_canonical((*sequence, token))
        and definition.is_locally_consistent((*sequence, token))
    ]
    assert dead
    for sequence in dead:
        assert not definition.is_canonical(sequence)
        assert not definition.successors(sequence)


@pytest.mark.parametrize("name", [case.name for case in CASES if "ahead" in case.facts])
def test_prefix_canonical_exceeds_canonical(name: str) -> None:
    """Some sequences decode to a text and start a canonical sequence without being one."""
    definition = by_name(name).definition
    assert any(
        not definition.is_canonical(s) and split_characters(x)[1] == b""
        for s, x in definition.contexts(4)
    )


@pytest.mark.parametrize("name", [case.name for case in CASES if "unreachable" in case.facts])
def test_unreachable_tokens_exist(name: str) -> None:
    case = by_name(name)
    used = {
        token
        for sequence in case.definition.exhaustive_prefixes(case.exhaustive)
        for token in sequence
    }
    assert {case.definition.token_bytes[t] for t in set(case.definition.token_bytes) - used} >= set(
        case.unreachable
    )


@pytest.mark.parametrize("name", NAMES)
def test_sums_and_telescoping_are_exact(name: str) -> None:
    case = by_name(name)
    for kind in case.kinds:
        exact = reference(model_of(case, kind), case.depth)
        assert exact.mass[b""] == 1
        for prefix in exact.live():
            row = exact.conditional(prefix)
            assert sum(row.values()) == 1
            assert all(probability > 0 for probability in row.values())
        longest = [mass for prefix, mass in exact.mass.items() if len(prefix) == case.depth + 1]
        assert sum(exact.end.values()) + sum(longest) == 1


@pytest.mark.parametrize("name", SMALL)
def test_mass_is_the_sum_over_covers(name: str) -> None:
    """A second way: list covers among all sequences ever seen, multiply conditionals, add up."""
    case = by_name(name)
    definition, depth = case.definition, 3
    found = definition.exhaustive_prefixes(case.exhaustive)
    model = model_of(case, "even")
    exact = reference(model, depth)

    def probability(sequence: Sequence) -> Fraction:
        product = Fraction(1)
        for end in range(len(sequence)):
            context = sequence[:end]
            weights = model.weights((*model.start, *context))
            total = sum(weights)
            normalizer = sum(Fraction(weights[t], total) for t in model.allowed(context))
            product *= Fraction(weights[sequence[end]], total) / normalizer
        return product

    prefixes = {
        data[:end]
        for data in map(definition.decode, found)
        for end in range(1, depth + 1)
        if len(data) >= end
    }
    assert prefixes == {prefix for prefix in exact.mass if 0 < len(prefix) <= depth}
    covers = definition.covers(depth)
    for prefix in prefixes:
        listed = {
            (s, len(data) - len(prefix))
            for s in found
            if (data := definition.decode(s)).startswith(prefix)
            and len(definition.decode(s[:-1])) < len(prefix)
        }
        assert covers[prefix] == listed
        assert exact.mass[prefix] == sum(probability(s) for s, _ in listed)


@pytest.mark.parametrize("name", SMALL)
def test_reference_along_a_text_is_the_reference(name: str) -> None:
    case = by_name(name)
    model = model_of(case, case.kinds[0])
    full = reference(model, case.depth)
    longest = [prefix for prefix in full.live() if len(prefix) == case.depth]
    for along in longest[:: max(1, len(longest) // 5)]:
        partial = reference(model, case.depth, along=along)
        assert partial.live() == [along[:end] for end in range(case.depth + 1)]
        for prefix in partial.live():
            assert partial.mass[prefix] == full.mass[prefix]
            assert partial.conditional(prefix) == full.conditional(prefix)


def test_by_hand() -> None:
    """Merge ``ab`` only: [a][b] is never canonical, so [a] is followed by [a], [ab] or the end."""
    case = Case("by_hand", "none", "ab", 2, 4, merges=pairs("a|b"))
    definition = case.definition
    ids = {data: token for token, data in definition.token_bytes.items()}
    (end,) = definition.special

    class Fixed(LanguageModel):
        def _make_weights(self, context: Sequence) -> list[int]:
            weights = [0] * self.width
            weights[ids[b"a"]], weights[ids[b"b"]], weights[ids[b"ab"]], weights[end] = 1, 2, 3, 4
            return weights

    exact = reference(Fixed(definition, "fixed", 0, end_tokens=(end,)), 2)
    # Empty context: 1 + 2 + 3 + 4. After [a] the token b may not follow: 1 + 3 + 4.
    assert exact.conditional(b"") == {
        ord("a"): Fraction(4, 10),
        ord("b"): Fraction(2, 10),
        END_OF_TEXT: Fraction(4, 10),
    }
    assert exact.conditional(b"a") == {
        ord("a"): Fraction(1, 10) * Fraction(4, 8) / Fraction(4, 10),
        ord("b"): Fraction(3, 10) / Fraction(4, 10),
        END_OF_TEXT: Fraction(1, 10) * Fraction(4, 8) / Fraction(4, 10),
    }


def test_by_hand_blank_that_looks_ahead() -> None:
    """GPT-2: two blanks alone are one token, before a letter two; only the one may end a text."""
    definition = by_name("ahead_gpt2").definition
    ids = {data: token for token, data in definition.token_bytes.items()}
    blank, two, letter = ids[b" "], ids[b"  "], ids[b"a"]
    assert definition.is_canonical((two,))
    assert not definition.is_canonical((blank, blank))
    assert definition.is_prefix_canonical((blank, blank))
    assert definition.successors((blank, blank)) == tuple(sorted((letter, ids[b"aa"])))
    assert not definition.is_prefix_canonical((two, letter))
    assert definition.covers(2)[b"  "] == {((two,), 0), ((blank, blank), 0)}


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_functions_of_the_context(kind: str) -> None:
    case = by_name("dead_lead_byte")
    one, other = model_of(case, kind), model_of(case, kind)
    for sequence, _ in case.definition.contexts(4):
        weights = one.weights(sequence)
        assert weights == other.weights(sequence)
        assert len(weights) == one.width
        assert any(weights[t] for t in one.allowed(sequence))
        if kind != "zeros":
            assert all(weights)
    assert one.weights(()) != LanguageModel(
        case.definition, kind, 1, end_tokens=one.end_tokens, padding=one.padding
    ).weights(())


@pytest.mark.parametrize("walk", [*walks.WALKS, walks.rollbacks], ids=lambda walk: walk.__name__)
@pytest.mark.parametrize("name", ["dead_lead_byte", "dead_blank"])
def test_comparison_accepts_what_is_right(name: str, walk: object, tmp_path: Path) -> None:
    case = shallow(by_name(name))
    assert callable(walk)
    options = {"characters": 6} if walk is walks.long_texts else {}
    walk(comparison.make_subject(StandIn(case.definition), case, "even", tmp_path), **options)
    assert comparison.TALLY.rows + comparison.TALLY.refusals


def test_comparison_accepts_right_encodings(tmp_path: Path) -> None:
    case = shallow(by_name("ahead_gpt2"))
    walks.encodings(StandIn(case.definition), case, tmp_path)
    walks.cover_encodings(StandIn(case.definition), case, tmp_path)
    assert comparison.TALLY.cover_sets


@pytest.mark.parametrize("fault", FAULTS)
def test_comparison_refuses_what_is_wrong(fault: str, tmp_path: Path) -> None:
    """Every fault is found by at least one walk on at least one of two cases."""
    caught = set()
    for name in ("ahead_gpt2", "dead_lead_byte"):
        case = shallow(by_name(name))
        kind = "elsewhere" if fault == "one_minus_forbidden" else "even"
        subject = comparison.make_subject(StandIn(case.definition, fault), case, kind, tmp_path)
        for walk in (walks.walk_with_forks, walks.refusals, walks.pushes_without_queries):
            try:
                walk(subject)
            except (AssertionError, ValueError, IndexError) as error:
                caught.add((name, walk.__name__, type(error).__name__))
    assert caught


def shallow(case: Case) -> Case:
    """The same case to a depth that the stand-in can do."""
    return dataclasses.replace(case, depth=3, exhaustive=5)


def test_definition_rejects_impossible_bytes() -> None:
    definition: Definition = by_name("dead_lead_byte").definition
    ids = {data: token for token, data in definition.token_bytes.items()}
    assert not definition.is_prefix_canonical((ids[b"\xa9"],))
    assert not definition.is_prefix_canonical((ids[b"a\xc3"], ids[b"a"]))
    assert split_characters(b"a\xc3a") is None
    assert split_characters(b"\xf0\x9f\x98") == ("", b"\xf0\x9f\x98")
