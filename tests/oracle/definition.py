"""Canonical and prefix-canonical token sequences, by brute force over a small alphabet.

The tokenizer is a black box ``enc`` from complete texts to token ids. Everything here follows from

* ``D``: the texts over the alphabet with ``dec(enc(y)) == y``;
* ``C = {enc(y) : y in D}``: the canonical sequences;
* ``PC``: the prefixes of elements of C: ``s in PC`` iff some ``enc(z)`` starts with ``s``.

Such a ``z``, a *witness*, starts with ``dec(s)``. Membership is decided by trying every text
``dec(s)·e`` where ``e`` has at most ``witness`` characters (completing a pending character counts
as one), and every ``dec(s·t)`` where ``t`` is a token, its pending character completed. The second
kind matters: after GPT-2's ``[ ][ ]`` a letter must follow that does not merge with the blank, and
that may need a whole word, as ``aaa``. That these candidates suffice is an assumption about
the tokenizer; ``exhaustive_prefixes`` needs none, and ``test_oracle_itself.py`` compares the two.
"""

from __future__ import annotations

import codecs
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokenizers import Tokenizer

Sequence = tuple[int, ...]


def byte_level_symbols() -> dict[str, int]:
    """Map every symbol of the byte-level alphabet to its byte (the published GPT-2 convention)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    symbols = {chr(byte): byte for byte in printable}
    symbols.update({chr(256 + rank): byte for rank, byte in enumerate(others)})
    return symbols


SYMBOL_TO_BYTE = byte_level_symbols()
BYTE_TO_SYMBOL = {byte: symbol for symbol, byte in SYMBOL_TO_BYTE.items()}


def symbols_of(data: bytes) -> str:
    """Spell bytes in the byte-level alphabet."""
    return "".join(BYTE_TO_SYMBOL[byte] for byte in data)


def closed_alphabet(available: Iterable[int]) -> frozenset[str]:
    """All characters that a tokenizer with these bytes can spell in UTF-8."""
    found = set()
    members = sorted(set(available))
    for length in range(1, 5):
        for combination in itertools.product(members, repeat=length):
            try:
                text = bytes(combination).decode("utf-8")
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                found.add(text)
    return frozenset(found)


def split_characters(data: bytes) -> tuple[str, bytes] | None:
    """Split bytes into whole characters and a pending rest; None when they start no text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return text, decoder.getstate()[0]


class Definition:
    """One tokenizer over one small alphabet, with C and PC decided by brute force.

    Parameters
    ----------
    tokenizer
        The black box; only ``encode``, ``encode_batch``, ``get_vocab`` and the list of added tokens
        are used.
    alphabet
        All characters of the texts in D. Texts with any other character must be outside D.
    witness
        How many characters a witness of the first kind may add to a sequence.

    """

    def __init__(self, tokenizer: Tokenizer, alphabet: str, *, witness: int = 2) -> None:
        """Read the vocabulary; nothing is encoded yet."""
        self.tokenizer = tokenizer
        self.alphabet = tuple(alphabet)
        self.witness = witness
        added = tokenizer.get_added_tokens_decoder()
        self.special = frozenset(token for token, entry in added.items() if entry.special)
        self.token_bytes: dict[int, bytes] = {}
        for spelling, token in tokenizer.get_vocab(with_added_tokens=True).items():
            if token in self.special:
                continue
            self.token_bytes[token] = (
                added[token].content.encode() if token in added else self.bytes_of(spelling)
            )
        self.vocabulary_size = 1 + max([*self.token_bytes, *self.special])
        self.longest_token = max(map(len, self.token_bytes.values()))
        self._longer_tokens = sorted({data for data in self.token_bytes.values() if len(data) > 1})
        self._encoded: dict[str, Sequence | None] = {}
        self._prefix_canonical: dict[Sequence, bool] = {(): True}
        self._covers: dict[int, dict[bytes, set[tuple[Sequence, int]]]] = {}
        self._successors: dict[Sequence, tuple[int, ...]] = {}

    def bytes_of(self, spelling: str) -> bytes:
        """Return the bytes that a spelling in the vocabulary stands for."""
        return bytes(SYMBOL_TO_BYTE[symbol] for symbol in spelling)

    def spelled_alphabet(self) -> frozenset[str]:
        """All characters that the single-byte tokens can spell."""
        return closed_alphabet(data[0] for data in self.token_bytes.values() if len(data) == 1)

    def decode(self, sequence: Sequence) -> bytes:
        """Concatenate the bytes of ordinary tokens."""
        return b"".join(self.token_bytes[token] for token in sequence)

    def encode(self, text: str) -> Sequence | None:
        """Return ``enc(text)``, or None when the text is outside D."""
        if text not in self._encoded:
            self._remember(text, self.tokenizer.encode(text, add_special_tokens=False).ids)
        return self._encoded[text]

    def _remember(self, text: str, ids: list[int]) -> None:
        lossless = self.special.isdisjoint(ids) and self.decode(tuple(ids)) == text.encode()
        self._encoded[text] = tuple(ids) if lossless else None

    def texts(self, length: int) -> Iterator[str]:
        """All texts of at most ``length`` characters, shortest first."""
        for count in range(length + 1):
            yield from map("".join, itertools.product(self.alphabet, repeat=count))

    def encode_all(self, length: int) -> dict[str, Sequence | None]:
        """``enc`` of every text of at most ``length`` characters."""
        texts = list(self.texts(length))
        self._encode_missing(texts)
        return {text: self._encoded[text] for text in texts}

    def _encode_missing(self, texts: list[str]) -> None:
        missing = [text for text in texts if text not in self._encoded]
        if missing:
            encodings = self.tokenizer.encode_batch(missing, add_special_tokens=False)
            for text, encoding in zip(missing, encodings, strict=True):
                self._remember(text, encoding.ids)

    def characters(self, sequence: Sequence) -> int:
        """Length of the decoded sequence in characters; a pending character counts as one."""
        split = split_characters(self.decode(sequence))
        if split is None:
            message = f"{sequence} does not decode to the start of a text"
            raise ValueError(message)
        return len(split[0]) + bool(split[1])

    def exhaustive_prefixes(self, length: int) -> dict[Sequence, int]:
        """All prefixes of ``enc(y)`` for ``y`` up to ``length``, with the least such length."""
        shortest: dict[Sequence, int] = {}
        for text, sequence in self.encode_all(length).items():
            if sequence is None:
                continue
            for end in range(len(sequence), -1, -1):
                if sequence[:end] in shortest:  # then so are all shorter ones, from an earlier text
                    break
                shortest[sequence[:end]] = len(text)
        return shortest

    def compare_with_exhaustive(self, length: int) -> tuple[int, int, list[Sequence]]:
        """Decide membership by candidate witnesses and by all texts of up to ``length`` characters.

        Every one-token extension of a member that spans at most ``length - 2 - (longest token)``
        characters is asked both ways, and a shortest witness must not have one of the last two
        lengths: then two more characters change nothing.

        Returns
        -------
        tuple
            The number of members, of non-members, and the sequences on which the two ways differ or
            have not settled.

        """
        found = self.exhaustive_prefixes(length)
        longest = max(
            self.characters((t,)) for t, data in self.token_bytes.items() if split_characters(data)
        )
        horizon = max(length - 2 - longest, 1)
        members, strangers, differing = 0, 0, []
        for sequence in found:
            if self.characters(sequence) > horizon:
                continue
            for token in self.token_bytes:
                longer = (*sequence, token)
                if (
                    split_characters(self.decode(longer)) is None
                    or self.characters(longer) > horizon
                ):
                    continue
                members += longer in found
                strangers += longer not in found
                settled = found.get(longer, 0) <= length - 2
                if not settled or self.is_prefix_canonical(longer) != (longer in found):
                    differing.append(longer)
        return members, strangers, differing

    def continuations(self, data: bytes) -> Iterator[str]:
        """All candidate witnesses that start with ``data``, the shortest first."""
        yield from self._completions(data, self.witness)
        for token_bytes in self._longer_tokens:
            yield from self._completions(data + token_bytes, 0)

    def _completions(self, data: bytes, budget: int) -> Iterator[str]:
        """All texts that start with ``data`` and add up to ``budget`` characters."""
        split = split_characters(data)
        if split is None:
            return
        text, pending = split
        if not pending:
            yield from (text + extension for extension in self.texts(budget))
            return
        # A pending character is always completed, even where the budget is zero.
        firsts = [text + one for one in self.alphabet if one.encode().startswith(pending)]
        for extension in self.texts(max(budget - 1, 0)):
            yield from (first + extension for first in firsts)

    def is_canonical(self, sequence: Sequence) -> bool:
        """Whether the sequence is in C: it decodes to a text whose encoding it is."""
        split = split_characters(self.decode(sequence))
        return split is not None and not split[1] and self.encode(split[0]) == sequence

    def is_prefix_canonical(self, sequence: Sequence) -> bool:
        """Whether the sequence is in PC."""
        known = self._prefix_canonical.get(sequence)
        if known is None:
            known = self.is_prefix_canonical(sequence[:-1]) and self._has_witness(sequence)
            self._prefix_canonical[sequence] = known
        return known

    def _has_witness(self, sequence: Sequence) -> bool:
        data, count = self.decode(sequence), len(sequence)
        for candidates in (self._completions(data, 1), self.continuations(data)):
            texts = list(candidates)
            self._encode_missing(texts)
            for text in texts:
                encoded = self._encoded[text]
                if encoded is not None and encoded[:count] == sequence:
                    return True
        return False

    def successors(self, sequence: Sequence) -> tuple[int, ...]:
        """All ordinary tokens ``t`` with ``sequence + (t,)`` in PC."""
        known = self._successors.get(sequence)
        if known is None:
            known = tuple(
                t for t in sorted(self.token_bytes) if self.is_prefix_canonical((*sequence, t))
            )
            self._successors[sequence] = known
        return known

    def contexts(self, depth: int) -> Iterator[tuple[Sequence, bytes]]:
        """All sequences of PC that decode to at most ``depth`` bytes, with their bytes."""
        waiting: list[tuple[Sequence, bytes]] = [((), b"")]
        while waiting:
            sequence, data = waiting.pop()
            yield sequence, data
            for token in self.successors(sequence):
                longer = data + self.token_bytes[token]
                if len(longer) <= depth:
                    waiting.append(((*sequence, token), longer))

    def covers(self, depth: int) -> dict[bytes, set[tuple[Sequence, int]]]:
        """The covers of every byte prefix of 1 to ``depth`` bytes, each with its overhang."""
        if depth not in self._covers:
            found: dict[bytes, set[tuple[Sequence, int]]] = {}
            for sequence, data in self.contexts(depth - 1):
                for token in self.successors(sequence):
                    longer = data + self.token_bytes[token]
                    for end in range(len(data) + 1, min(depth, len(longer)) + 1):
                        covers = found.setdefault(longer[:end], set())
                        covers.add(((*sequence, token), len(longer) - end))
            self._covers[depth] = found
        return self._covers[depth]

    def is_locally_consistent(self, sequence: Sequence) -> bool:
        """Whether merges and pre-tokenizer each, but not together, admit the sequence so far.

        True when for some continuation the pre-tokenizer's pieces, cut off at the end of the
        sequence, merge to exactly this sequence. An engine that never asks whether the future can
        satisfy both at once (co-liveness) keeps every such sequence as a context; those outside PC
        are dead.
        """
        data = self.decode(sequence)
        pre_tokenizer = self.tokenizer.pre_tokenizer
        for text in self.continuations(data):
            room, merged = len(data), []
            for piece, _ in pre_tokenizer.pre_tokenize_str(text):
                merged += (
                    [token.id for token in self.tokenizer.model.tokenize(piece[:room])]
                    if room
                    else []
                )
                room -= min(room, len(piece))
            if tuple(merged) == sequence:
                return True
        return False
