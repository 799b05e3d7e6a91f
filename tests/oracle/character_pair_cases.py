"""BPE over characters with byte fallback, as Gemma's `tokenizer.json`, over small alphabets.

Byte tokens are there for a few bytes only: what they and the pieces cannot spell is outside D.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, models, normalizers

from oracle.cases import END, Case
from oracle.definition import Definition, closed_alphabet

BLANK = "\u2581"


class CharacterPairDefinition(Definition):
    """The definition, where spellings are text, `<0x0A>` a byte, and U+2581 a blank."""

    def bytes_of(self, spelling: str) -> bytes:
        """Return what a spelling stands for."""
        if spelling.startswith("<0x"):
            return bytes([int(spelling[3:5], 16)])
        return spelling.replace(BLANK, " ").encode()

    def spelled_alphabet(self) -> frozenset[str]:
        """All characters that are pieces, and those that byte tokens spell."""
        vocabulary = self.tokenizer.get_vocab()
        spelled = [s for s in vocabulary if s.startswith("<0x")]
        pieces = {s.replace(BLANK, " ") for s in vocabulary if len(s) == 1}
        return closed_alphabet(self.bytes_of(s)[0] for s in spelled) | pieces


@dataclass(frozen=True)
class CharacterPairCase(Case):
    """A case of this family; ``merges`` are UTF-8, a blank is a blank."""

    pieces: str = ""
    spelled: bytes = b""

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; made once."""
        pairs = [
            (left.decode().replace(" ", BLANK), right.decode().replace(" ", BLANK))
            for left, right in self.merges or ()
        ]
        spellings = ["<unk>", *self.specials, *(f"<0x{byte:02X}>" for byte in self.spelled)]
        spellings += [*self.pieces.replace(" ", BLANK), *(left + right for left, right in pairs)]
        vocabulary: dict[str, int] = {}
        for spelling in spellings:
            vocabulary.setdefault(spelling, len(vocabulary))
        tokenizer = Tokenizer(
            models.BPE(
                vocab=vocabulary,
                merges=pairs,
                unk_token="<unk>",  # noqa: S106 - no password
                fuse_unk=True,
                byte_fallback=bool(self.spelled),
            )
        )
        tokenizer.normalizer = normalizers.Replace(" ", BLANK)
        tokenizer.add_special_tokens(
            [AddedToken(t, special=True, normalized=False) for t in ("<unk>", *self.specials)]
        )
        if self.added:
            tokenizer.add_tokens(
                [AddedToken(token, special=False, normalized=False) for token in self.added]
            )
        return tokenizer

    @functools.cached_property
    def definition(self) -> Definition:
        """The definition for this tokenizer; built once."""
        return CharacterPairDefinition(self.tokenizer, self.alphabet, witness=self.witness)


def _pairs(*texts: str) -> tuple[tuple[bytes, bytes], ...]:
    merges = []
    for text in texts:
        left, right = text.split("|")
        merges.append((left.encode(), right.encode()))
    return tuple(merges)


def _case(name: str, alphabet: str, *merges: str, depth: int = 6, exhaustive: int = 7, **options):
    return CharacterPairCase(
        name, "none", alphabet, depth, exhaustive, merges=_pairs(*merges), **options
    )


CHARACTER_PAIR_CASES = [
    _case("characters_alone", "aé ", " |a", "a|a", "é|a", " a|a", pieces="aé "),
    _case("characters_odd_ranks", "ab", "ab|a", "a|b", "b|a", "ba|ab", exhaustive=8, pieces="ab"),
    _case("spelled_line_feed", "a\n ", " |a", "a|a", " | ", pieces="a ", spelled=b"\n"),
    _case(
        "spelled_accents", "aéè", "a|a", "aa|a", pieces="a", spelled=b"\xc3\xa8\xa9", exhaustive=8
    ),
    # The last byte must not complete the character that has a token.
    _case("spelled_half", "aéè", "a|é", "é|é", pieces="aé", spelled=b"\xc3\xa8\xa9", exhaustive=6),
    _case(
        "spelled_wide", "丸丹乸乹", "丸|乹", pieces="丸乹", spelled=b"\xe4\xb8\xb9", exhaustive=5
    ),
    _case(
        "spelled_middle", "丸丹乸乹", "丸|丹", pieces="丸丹", spelled=b"\xe4\xb8\xb9", exhaustive=5
    ),
    _case(
        "spelled_added",
        "aéè",
        "a|a",
        pieces="a",
        added=("aé",),
        spelled=b"\xc3\xa8\xa9",
        exhaustive=6,
        ends=(END,),
    ),
    _case("characters_added", "ab ", " |a", "a|b", "b| ", pieces="ab ", added=("b\u0020a",)),
]
