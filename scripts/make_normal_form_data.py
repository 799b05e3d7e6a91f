"""Write ``csrc/text/normal_form_data.inc`` from the normalizers of the ``tokenizers`` package.

The automaton of csrc/text/normal_form.h must call a text normalized exactly where the engine
that normalizes for the tokenizer leaves it as it is. So nothing here is read from the Unicode files
or from Python's own tables: which characters stand, how marks are ordered, and which character
changes after which other are all asked of the engine, for all scalar values. Its tables are those
of Unicode 9.0, while its regular expressions know a newer Unicode; see make_unicode_data.py.

Examples
--------
Run ``python scripts/make_normal_form_data.py`` (takes about two minutes); ``--check`` only
compares.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from make_unicode_data import SCALARS, runs, wrapped
from tokenizers.normalizers import NFC, NFD, NFKC

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = Path(__file__).resolve().parent.parent / "csrc" / "text" / "normal_form_data.inc"

# Characters that stand in NFC and have a combining class: how the version is recognised.
COMBINING_MARKS = {810: "9.0"}

EXCLUDED = 255  # kExcluded in csrc/text/normal_form.cc
SEPARATOR = "\n"  # composes with nothing
NEUTRAL = "x"
LOWEST_MARK = "\u0334"  # combining class 1, the lowest
HIGHEST_MARK = "\u0345"  # combining class 240, the highest

nfc, nfd, nfkc = NFC().normalize_str, NFD().normalize_str, NFKC().normalize_str


def changed(normalize: Callable[[str], str], texts: list[str]) -> list[bool]:
    """Ask the engine which texts it alters.

    Parameters
    ----------
    normalize
        A normalizer.
    texts
        Texts without the separator.

    Returns
    -------
    list of bool
        One answer per text.

    Raises
    ------
    RuntimeError
        If the separator did not keep the texts apart.
    """
    outputs = normalize(SEPARATOR.join(texts)).split(SEPARATOR)
    if len(outputs) != len(texts):
        message = "the separator was altered"
        raise RuntimeError(message)
    return [output != text for output, text in zip(outputs, texts, strict=True)]


def altered(normalize: Callable[[str], str], characters: list[str], form: str) -> set[str]:
    """Ask the engine which characters make it alter a text.

    Parameters
    ----------
    normalize
        A normalizer.
    characters
        The characters to try.
    form
        The text, with ``{}`` for the character.

    Returns
    -------
    set of str
        The characters whose text is altered.
    """
    answers = changed(normalize, [form.format(c) for c in characters])
    return {c for c, answer in zip(characters, answers, strict=True) if answer}


def combining_orders(standing: list[str]) -> dict[str, int]:
    """Rank the combining marks by their combining classes.

    Parameters
    ----------
    standing
        The characters that stand in NFC.

    Returns
    -------
    dict of str to int
        The marks; the lowest combining class has order 1, the next one 2, and so on.
    """
    # Whatever has a combining class changes places with a mark of the lowest or the highest one.
    marks = sorted(
        altered(nfc, standing, NEUTRAL + HIGHEST_MARK + "{}")
        | altered(nfc, standing, NEUTRAL + "{}" + LOWEST_MARK)
    )
    number_below = {
        mark: len(altered(nfd, marks, NEUTRAL + mark + "{}") - {mark}) for mark in marks
    }
    ranks = sorted(set(number_below.values()))
    return {mark: 1 + ranks.index(number) for mark, number in number_below.items()}


def broken_by(standing: list[str], orders: dict[str, int]) -> dict[str, frozenset[str]]:
    """Find what each character changes after.

    Parameters
    ----------
    standing
        The characters that stand in NFC.
    orders
        The combining marks.

    Returns
    -------
    dict of str to frozenset of str
        For each character that can take part in a composition with what is before it: all starters
        L such that NFC alters L followed by the character.
    """
    characters = [chr(c) for c in SCALARS if chr(c) != SEPARATOR]
    decompositions = nfd(SEPARATOR.join(characters)).split(SEPARATOR)
    # A composition undoes a decomposition, so its second part is a later part of one.
    candidates = {part for text in decompositions for part in text[1:]} & set(standing)
    starters = [c for c in standing if c not in orders]
    found = {c: frozenset(altered(nfc, starters, "{}" + c)) for c in sorted(candidates)}
    return {c: starters for c, starters in found.items() if starters}


def render() -> str:
    """Build the text of the data file.

    Returns
    -------
    str
        The file.

    Raises
    ------
    RuntimeError
        If the engine's answers contradict the automaton or its Unicode version is unknown.
    """
    characters = [chr(c) for c in SCALARS if chr(c) != SEPARATOR]
    excluded = altered(nfc, characters, "{}")
    excluded_compatibility = altered(nfkc, characters, "{}")
    if not excluded <= excluded_compatibility:
        message = "a character stands in NFKC and not in NFC"
        raise RuntimeError(message)
    standing = [c for c in characters if c not in excluded]
    orders = combining_orders(standing)
    if len(orders) not in COMBINING_MARKS:
        message = f"unknown Unicode version with {len(orders)} combining marks"
        raise RuntimeError(message)

    # Characters that change after the same starters are one breaker, a bit of the signatures.
    groups: dict[tuple[int, frozenset[str]], list[str]] = {}
    for character, starters in broken_by(standing, orders).items():
        groups.setdefault((orders.get(character, 0), starters), []).append(character)
    keys = sorted(groups, key=lambda key: (key[0], groups[key]))
    breaker_of = {c: 1 + bit for bit, key in enumerate(keys) for c in groups[key]}
    signature_of: dict[str, int] = {}
    for bit, (_, starters) in enumerate(keys):
        for starter in starters:
            signature_of[starter] = signature_of.get(starter, 0) | 1 << bit

    signatures = sorted({0, *signature_of.values()})
    index_of = {signature: index for index, signature in enumerate(signatures)}
    kind_of = dict.fromkeys(standing, (0, 0, 0))
    for c in {*signature_of, *orders, *breaker_of}:
        signature = index_of[signature_of.get(c, 0)]
        kind_of[c] = signature, orders.get(c, 0), breaker_of.get(c, 0)
    kinds = sorted(set(kind_of.values()))
    if len(kinds) > EXCLUDED or len(keys) > 64:
        message = f"{len(kinds)} classes, {len(keys)} breakers: too many for the automaton"
        raise RuntimeError(message)
    number = {kind: index for index, kind in enumerate(kinds)}
    class_of = {ord(c): number[kind] for c, kind in kind_of.items()}
    class_of[ord(SEPARATOR)] = 0

    # A run passes over the surrogates, which are not scalar values.
    starts, last = [], -1
    for point in SCALARS:
        if class_of.get(point, EXCLUDED) != last:
            last = class_of.get(point, EXCLUDED)
            starts.append((point, last))
    ends = [first for first, _ in starts[1:]] + [0x110000]
    lengths = [
        f"{(end - first) * 256 + cls}" for (first, cls), end in zip(starts, ends, strict=True)
    ]
    compatibility = [
        f"{{0x{first:X}, 0x{last:X}}}"
        for first, last in runs({ord(c) for c in excluded_compatibility - excluded})
    ]
    return f"""\
// Unicode {COMBINING_MARKS[len(orders)]}: the characters' part in the normal forms NFC and NFKC.
// Written by scripts/make_normal_form_data.py from the tokenizers package's engine; do not edit.
// clang-format off

constexpr unsigned kOrders = {max(orders.values())};

// The order of each breaker, 0 for a starter.
constexpr std::uint8_t kBreakerOrders[] = {{
{wrapped([f"{order}" for order, _ in keys])}
}};

// Sets of breakers, bit by bit: which ones change after a starter.
constexpr std::uint64_t kSignatures[] = {{
{wrapped([f"0x{signature:X}" for signature in signatures])}
}};

// Signature, order, breaker + 1 (0 for none).
constexpr NormalFormClass kNormalFormClasses[] = {{
{wrapped([f"{{{a}, {b}, {c}}}" for a, b, c in kinds])}
}};

// One entry per run of equal class, in order: code points * 256 + index in kNormalFormClasses, or
// kExcluded for characters that do not stand in NFC.
constexpr std::uint32_t kNormalFormRuns[] = {{
{wrapped(lengths)}
}};

// What stands in NFC and not in NFKC.
constexpr CodePointRange kCompatibilityCharacters[] = {{
{wrapped(compatibility)}
}};
"""


def main() -> int:
    """Write the data file, or compare it.

    Returns
    -------
    int
        0, or 1 if ``--check`` finds a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    text = render()
    if check:
        return int(TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
