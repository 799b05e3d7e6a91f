"""Greedy longest match: the reference is WordPiece without a prefix over one piece of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models

from oracle.cases import END, Case, no_pattern
from oracle.definition import symbols_of


@dataclass(frozen=True)
class LongestMatchCase(Case):
    """A vocabulary of byte strings, beside the bytes of the alphabet; the file is RWKV's."""

    words: tuple[bytes, ...] = ()

    def _entries(self) -> list[bytes]:
        letters = {byte for character in self.alphabet for byte in character.encode()}
        return [bytes([byte]) for byte in sorted(letters)] + list(self.words)

    def _trained(self) -> Tokenizer:
        spellings = [END, *map(symbols_of, self._entries())]
        tokenizer = Tokenizer(
            models.WordPiece(
                vocab={spelling: token for token, spelling in enumerate(spellings)},
                unk_token=END,
                max_input_chars_per_word=1000,
                continuing_subword_prefix="",
            )
        )
        tokenizer.pre_tokenizer = no_pattern()
        tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
        return tokenizer

    def save(self, folder: Path) -> str:
        """Write the vocabulary: token 0 has no line."""
        lines = []
        for token, data in enumerate(self._entries(), start=1):
            try:
                literal = repr(data.decode())
            except UnicodeDecodeError:
                literal = repr(data)
            lines.append(f"{token} {literal} {len(data)}\n")
        path = Path(folder / f"{self.name}.txt")
        path.write_text("".join(lines), encoding="utf-8")
        return str(path)


LONGEST_MATCH_CASES = [
    LongestMatchCase(
        "longest_letters",
        "none",
        "abc",
        6,
        9,
        words=(b"ab", b"abc", b"bca", b"abca", b"cc"),
        kinds=("even", "steep"),
    ),
    LongestMatchCase(
        "longest_runs", "none", "ab", 8, 12, words=(b"aa", b"aaaa", b"ba", b"abab", b"bbb")
    ),
    LongestMatchCase(
        "longest_accents",
        "none",
        "aéè",
        7,
        8,
        words=("é".encode(), "aé".encode(), b"a\xc3", b"\xa9a", "éa".encode(), b"\xa8\xc3"),
        kinds=("even", "elsewhere"),
    ),
    # The first byte of é never stands alone: both characters that start so are tokens.
    LongestMatchCase(
        "longest_dead_lead_byte",
        "none",
        "aé",
        7,
        10,
        words=("é".encode(), b"a\xc3", b"a\xc3\xa9a", b"\xa9\xc3"),
        kinds=("even",),
    ),
    LongestMatchCase(
        "longest_four_bytes",
        "none",
        "a\U0001f7df",
        9,
        10,
        words=(b"\xf0\x9f", b"\x9f\x9f", b"\xf0\x9f\x9f\x9f", b"a\xf0", b"\x9fa"),
        kinds=("even",),
    ),
]
