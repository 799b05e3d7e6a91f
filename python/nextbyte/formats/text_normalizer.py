"""What a tokenizer does to a text first, and which texts it leaves as they are."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Final

from nextbyte.formats.piece_spelling import BLANK_SYMBOL

_WHITE_SPACE: Final = "\t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What Unicode calls white space, blank excepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNormalizer:
    """A normalizer by its *normal texts*, on which covers are exact.

    A text is normal if it has no sequence in it that would be replaced, and no blank that would be
    removed. The normalizer leaves such a text as it is. (A few more, whose replacements would
    undo each other or that only come out of it, are not called normal.)

    Parameters
    ----------
    name
        For people: "nmt_nfkc".
    replacements
        Each sequence of characters that is replaced, and what by: at each place the longest.
    protected
        Sequences that are left alone before anything is replaced, the longest first.
    single_blanks
        Blanks at both ends, and all but one of a run, are removed.
    no_blank_first
        A blank at the beginning is removed, or means nothing.
    only_blanks
        Any other white space would be lost.
    applies
        Whether `normalize` does what the tokenizer's own library does. If not, only normal texts
        are taken.
    """

    name: str
    replacements: dict[str, str] = field(default_factory=dict, repr=False)
    protected: frozenset[str] = frozenset()
    single_blanks: bool = False
    no_blank_first: bool = False
    only_blanks: bool = False
    applies: bool = True
    _longest: int = field(init=False, repr=False)
    _shield: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Measure what is looked up."""
        object.__setattr__(self, "_longest", max(map(len, self.replacements), default=0))
        object.__setattr__(self, "_shield", max(map(len, self.protected), default=0))

    @property
    def changes_text(self) -> bool:
        """Whether some text is not normal because of it: more than those with U+2581."""
        return bool(
            self.replacements or self.single_blanks or self.no_blank_first or self.only_blanks
        )

    def forbidden(self) -> list[str]:
        """Return the sequences that are in no normal text."""
        sequences = {key for key, value in self.replacements.items() if key != value}
        if self.only_blanks:
            sequences.update(_WHITE_SPACE)
        return sorted(sequences | {BLANK_SYMBOL})

    def normalize(self, text: str, *, is_prefix: bool = False) -> str:
        """Return what SentencePiece makes of a text, without a blank that it puts in front.

        Parameters
        ----------
        text
            The text.
        is_prefix
            Something may follow: a blank at the end is kept.
        """
        parts: list[str] = []
        after_blank = self.single_blanks
        at = 0
        while at < len(text):
            length, part = self._longest_match(text, at)
            at += length
            if after_blank:
                part = part.lstrip(" ")
            if part:
                after_blank = self.single_blanks and part.endswith(" ")
                parts.append(part)
        normalized = "".join(parts)
        return normalized.rstrip(" ") if self.single_blanks and not is_prefix else normalized

    def normalize_bytes(self, data: bytes, *, is_prefix: bool = False) -> bytes:
        """Normalize UTF-8; the bytes of a character cut off at the end are kept.

        Bytes that are not UTF-8 are returned as they are, for others to complain about, as is all
        where this normalizer cannot be applied here.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            text = decoder.decode(data)
        except UnicodeDecodeError:
            return data
        rest = decoder.getstate()[0]
        if not self.applies or not self.changes_text:
            return data
        return self.normalize(text, is_prefix=is_prefix or bool(rest)).encode() + rest

    def _longest_match(self, text: str, at: int) -> tuple[int, str]:
        for length in range(min(self._shield, len(text) - at), 0, -1):
            if text[at : at + length] in self.protected:
                return length, text[at : at + length]
        for length in range(min(self._longest, len(text) - at), 0, -1):
            replacement = self.replacements.get(text[at : at + length])
            if replacement is not None:
                return length, replacement
        return 1, text[at]
