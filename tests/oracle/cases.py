"""How a small tokenizer is made: the pre-tokenizer patterns, training, writing by hand, drawing.

The byte tokens are those of the alphabet only, so that a text with any other character is outside
D.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

from oracle.definition import Definition, closed_alphabet, symbols_of

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END, TURN = "<|begin|>", "<|end|>", "<|turn|>"

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    (
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
)


def no_pattern() -> pre_tokenizers.PreTokenizer:
    """One piece: the whole text."""
    return ByteLevel(add_prefix_space=False, use_regex=False)


def gpt2() -> pre_tokenizers.PreTokenizer:
    """The pattern built into the byte-level pre-tokenizer."""
    return ByteLevel(add_prefix_space=False, use_regex=True)


def smollm() -> pre_tokenizers.PreTokenizer:
    """Every digit alone, then the GPT-2 pattern."""
    return Sequence([Digits(individual_digits=True), gpt2()])


def split_by(*patterns: str) -> pre_tokenizers.PreTokenizer:
    """Split by each pattern in turn."""
    return Sequence([*(Split(Regex(pattern), "isolated") for pattern in patterns), no_pattern()])


PRE_TOKENIZERS = {
    "none": no_pattern,
    "gpt2": gpt2,
    "smollm": smollm,
    "threes": lambda: split_by(r"\p{N}{1,3}"),
    "cl100k": lambda: split_by(CL100K),
    "qwen": lambda: split_by(QWEN),
    "o200k": lambda: split_by(O200K),
    "deepseek": lambda: split_by(*DEEPSEEK),
}


@dataclass(frozen=True)
class Case:
    """One tokenizer, its alphabet and how far to compare.

    ``depth`` is in bytes, ``exhaustive`` (all texts up to this length) in characters. ``merges`` as
    pairs of byte strings make a tokenizer by hand; without it one is trained with ``merge_count``
    merges. ``facts`` names what ``test_oracle_itself`` proves about it. ``optional`` cases are
    outside the promised family: the product may decline them (at load, or by an ``exactness`` other
    than ``exact``), but must be right if it does not.
    """

    name: str
    pattern: str
    alphabet: str
    depth: int
    exhaustive: int
    merge_count: int = 10
    merges: tuple[tuple[bytes, bytes], ...] | None = None
    unreachable: tuple[bytes, ...] = ()
    unspelled: tuple[int, ...] = ()
    specials: tuple[str, ...] = (END,)
    begin: bool = False
    ends: tuple[str, ...] = (END,)
    ignore_merges: bool = False
    added: tuple[str, ...] = ()
    compose: bool = False
    longest: int = 4
    witness: int = 2
    kinds: tuple[str, ...] = ("even", "zeros")
    optional: bool = False
    facts: frozenset[str] = field(default_factory=frozenset)

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer; made once."""
        tokenizer = self._trained() if self.merges is None else self._written()
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in self.specials]
        )
        if self.added:
            tokenizer.add_tokens(
                [AddedToken(token, special=False, normalized=False) for token in self.added]
            )
        if self.compose:
            tokenizer.normalizer = normalizers.NFC()
        return tokenizer

    def save(self, folder: Path) -> str:
        """Write ``tokenizer.json`` and return its path."""
        path = str(folder / f"{self.name}.json")
        self.tokenizer.save(path)
        return path

    def _trained(self) -> Tokenizer:
        symbols = sorted(
            {symbol for character in self.alphabet for symbol in symbols_of(character.encode())}
        )
        tokenizer = Tokenizer(models.BPE(ignore_merges=self.ignore_merges))
        tokenizer.pre_tokenizer = PRE_TOKENIZERS[self.pattern]()
        trainer = trainers.BpeTrainer(
            vocab_size=len(symbols) + len(self.specials) + self.merge_count,
            initial_alphabet=symbols,
            special_tokens=list(self.specials),
            max_token_length=self.longest,
            show_progress=False,
        )
        tokenizer.train_from_iterator(self._corpus(), trainer)
        return tokenizer

    def _corpus(self) -> list[str]:
        source = random.Random(self.name)
        weights = [source.uniform(0.5, 2.0) for _ in self.alphabet]
        return [
            "".join(source.choices(self.alphabet, weights, k=source.randrange(2, 12)))
            for _ in range(400)
        ]

    def _written(self) -> Tokenizer:
        letters = {byte for character in self.alphabet for byte in character.encode()} | set(
            self.unspelled
        )
        merges = self.merges or ()
        entries = [bytes([byte]) for byte in sorted(letters)]
        entries += [left + right for left, right in merges] + list(self.unreachable)
        vocabulary: dict[str, int] = {}
        for spelling in (*self.specials, *map(symbols_of, entries)):
            vocabulary.setdefault(spelling, len(vocabulary))
        pairs = [(symbols_of(left), symbols_of(right)) for left, right in merges]
        tokenizer = Tokenizer(
            models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=self.ignore_merges)
        )
        tokenizer.pre_tokenizer = PRE_TOKENIZERS[self.pattern]()
        return tokenizer

    @functools.cached_property
    def definition(self) -> Definition:
        """The definition for this tokenizer; built once."""
        return Definition(self.tokenizer, self.alphabet, witness=self.witness)


def pairs(*texts: str) -> tuple[tuple[bytes, bytes], ...]:
    """Read merges written as ``"left|right"``, one Latin-1 character per byte."""
    merges = []
    for text in texts:
        left, right = text.split("|")
        merges.append((left.encode("latin-1"), right.encode("latin-1")))
    return tuple(merges)


def random_case(
    name: str, pattern: str, ascii_part: str, wide_part: str, choices: list[tuple[int, int]]
) -> Case:
    """Make a tokenizer of random merges.

    Each choice picks two tokens that exist so far; the ranks come in another order. The alphabet is
    the closure of the given characters, so that nothing outside it can be spelled.
    """
    letters = {byte for character in ascii_part + wide_part for byte in character.encode()}
    alphabet = "".join(sorted(closed_alphabet(letters)))
    tokens = [bytes([byte]) for byte in sorted(letters)]
    merges: list[tuple[bytes, bytes]] = []
    for left, right in choices:
        merge = tokens[left % len(tokens)], tokens[right % len(tokens)]
        if merge in merges or len(merge[0] + merge[1]) > 4:
            continue
        merges.insert((3 * left + right) % (len(merges) + 1), merge)
        tokens.append(merge[0] + merge[1])
    size = max(len(alphabet), 2)
    depth = {2: 6, 3: 5, 4: 4, 5: 4}.get(size, 3) + (1 if wide_part else 0)
    witness = {2: 4, 3: 3}.get(size, 2)
    return Case(
        name,
        pattern,
        alphabet,
        depth,
        {2: 10, 3: 7}.get(size, 5),
        merges=tuple(merges),
        witness=witness,
    )
