"""Write ``csrc/text/unicode_data.inc`` from the regex engine of the ``tokenizers`` package.

The pre-tokenizer automaton must see a code point exactly as the engine that made the tokenizer's
pieces does, so nothing here is read from the Unicode files or from Python's own tables: every
general category, white space and the case-fold partners of the ASCII letters are asked of the
engine itself, for all scalar values.

Examples
--------
Run ``python scripts/make_unicode_data.py`` (takes about a minute); ``--check`` only compares.
"""

from __future__ import annotations

import argparse
import string
import sys
from pathlib import Path

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

TARGET = Path(__file__).resolve().parent.parent / "csrc" / "text" / "unicode_data.inc"

# In the order of `kCategories` in csrc/text/unicode.cc.
CATEGORIES = (
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"),
    *("Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn"),
)

# Characters with a graphic or format category, by Unicode version: how the version is recognised.
ENCODED_CHARACTERS = {149_813: "15.1", 154_998: "16.0", 159_801: "17.0"}

SCALARS = tuple(c for c in range(0x110000) if not 0xD800 <= c < 0xE000)
ALL_TEXT = "".join(map(chr, SCALARS))
COLUMNS = 100


def members(pattern: str) -> set[int]:
    """Ask the engine for the scalar values that a one-character pattern matches.

    Parameters
    ----------
    pattern
        A regular expression that matches single characters.

    Returns
    -------
    set of int
        The code points matched.
    """
    found = set(SCALARS)
    kept = Split(Regex(f"(?:{pattern})+"), "removed").pre_tokenize_str(ALL_TEXT)
    for _, (first, end) in kept:
        found.difference_update(SCALARS[first:end])
    return found


def runs(points: set[int]) -> list[tuple[int, int]]:
    """Join code points into maximal runs.

    Parameters
    ----------
    points
        Code points.

    Returns
    -------
    list of (int, int)
        First and last code point of each run, ascending.
    """
    result: list[tuple[int, int]] = []
    for point in sorted(points):
        if result and result[-1][1] == point - 1:
            result[-1] = (result[-1][0], point)
        else:
            result.append((point, point))
    return result


def wrapped(items: list[str]) -> str:
    """Join items into lines of at most ``COLUMNS`` characters.

    Parameters
    ----------
    items
        Initializers without their commas.

    Returns
    -------
    str
        The lines, indented by four.
    """
    lines = ["   "]
    for item in items:
        if len(lines[-1]) + len(item) + 2 > COLUMNS:
            lines.append("   ")
        lines[-1] += f" {item},"
    return "\n".join(lines)


def render() -> str:
    """Build the text of the data file.

    Returns
    -------
    str
        The file.

    Raises
    ------
    RuntimeError
        If the engine's answers contradict each other or its Unicode version is unknown.
    """
    category_of: dict[int, int] = {}
    for index, name in enumerate(CATEGORIES):
        for point in members(rf"\p{{{name}}}"):
            if point in category_of:
                message = f"U+{point:04X} is in two general categories"
                raise RuntimeError(message)
            category_of[point] = index
    if len(category_of) != len(SCALARS):
        message = "some scalar values have no general category"
        raise RuntimeError(message)

    other = {CATEGORIES.index(name) for name in ("Cc", "Co", "Cn")}
    encoded = sum(index not in other for index in category_of.values())
    if encoded not in ENCODED_CHARACTERS:
        message = f"unknown Unicode version with {encoded} characters"
        raise RuntimeError(message)

    # A run passes over the surrogates, which are not scalar values: U+E000 starts a run (Co).
    starts = [p for p in SCALARS if p == 0 or category_of[p] != category_of.get(p - 1)]
    lengths = [
        f"{(end - first) * 32 + category_of[first]}"
        for first, end in zip(starts, [*starts[1:], 0x110000], strict=True)
    ]
    space = [f"{{0x{first:X}, 0x{last:X}}}" for first, last in runs(members(r"\s"))]
    partners = [
        f"{{'{letter}', 0x{point:X}}}"
        for letter in string.ascii_lowercase
        for point in sorted(members(f"(?i:{letter})") - {ord(letter), ord(letter.upper())})
    ]
    version = ENCODED_CHARACTERS[encoded]
    return f"""\
// Unicode {version}: general categories, white space, case-fold partners of ASCII letters.
// Written by scripts/make_unicode_data.py from the tokenizers package's regex engine; do not edit.
// clang-format off

// One entry per run of equal category, in order: code points * 32 + index in kCategories. The run
// before U+E000 includes the surrogates, which are not scalar values.
constexpr std::uint32_t kCategoryRuns[] = {{
{wrapped(lengths)}
}};

// What \\s matches: the property White_Space.
constexpr CodePointRange kWhiteSpace[] = {{
{wrapped(space)}
}};

// Lower-case ASCII letters and the characters outside ASCII that (?i:letter) matches as well.
constexpr FoldPartner kAsciiFoldPartners[] = {{
{wrapped(partners)}
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
