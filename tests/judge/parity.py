"""Compares our encoder with a reference engine, text by text."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from judge.samples import Texts
from nextbyte.errors import InvalidInputError

if TYPE_CHECKING:
    from judge.engines import Engine
    from nextbyte import Tokenizer

EXAMPLES = 5
BATCH = 500


@dataclass(slots=True)
class Parity:
    """What was compared; `examples` has the first differences of each kind."""

    strings: int = 0
    equal: int = 0
    refused: int = 0  # by both: the reference loses something of the text
    different: int = 0
    inconsistent: int = 0  # our bytes or batches are encoded otherwise than our strings
    not_restored: int = 0  # decoding our tokens gives other bytes than the reference's tokens
    invalid: int = 0  # byte strings that are no text
    invalid_accepted: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.different + self.inconsistent + self.not_restored + self.invalid_accepted

    def note(self, example: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


def compare_text(
    ours: Tokenizer, engine: Engine, text: str, expected: list[int], into: Parity
) -> list[int] | None:
    """Compare one text; return our tokens if they are right.

    We may refuse a text only if the reference loses something of it: then no sequence of tokens
    stands for the text. Where both encode, ids and decoded bytes must be equal.
    """
    into.strings += 1
    restored = engine.decode(expected)
    try:
        found = list(ours.encode(text))
    except InvalidInputError as error:
        if restored == text.encode():
            into.different += 1
            into.note(f"{text!r}: reference {expected}, ours refuses: {error}")
        else:
            into.refused += 1
        return None
    if found != expected:
        into.different += 1
        into.note(f"{text!r}: reference {expected}, ours {found}")
        return None
    into.equal += 1
    if restored is not None and ours.decode(found) != restored:
        into.not_restored += 1
        into.note(f"{text!r}: reference decodes {restored!r}, ours {ours.decode(found)!r}")
    return found


def compare_forms(ours: Tokenizer, encoded: list[tuple[str, list[int]]], into: Parity) -> None:
    """Check that UTF-8 bytes and batches of texts have the tokens of the strings."""
    for text, tokens in encoded[::20]:
        if list(ours.encode(text.encode())) != tokens:
            into.inconsistent += 1
            into.note(f"{text.encode()!r}: as bytes it has other tokens than {tokens}")
    batched = getattr(ours, "encode_batch", None)
    if batched is None:
        return
    found = [list(tokens) for tokens in batched([text for text, _ in encoded])]
    for (text, tokens), other in zip(encoded, found, strict=True):
        if other != tokens:
            into.inconsistent += 1
            into.note(f"{text!r}: in a batch {other}, alone {tokens}")


def compare_invalid(ours: Tokenizer, source: random.Random, text: str, into: Parity) -> None:
    """Check that no byte string outside UTF-8 is encoded: cut, mixed up, or a lone surrogate."""
    data = text.encode()
    cut = source.randrange(len(data) + 1)
    stray = source.choice((b"\x80", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"))
    for tried in (data[:cut], data[:cut] + stray + data[cut:], text + "\ud800"):
        if isinstance(tried, bytes) and _is_text(tried):
            continue
        into.invalid += 1
        try:
            found = ours.encode(tried)
        except (InvalidInputError, UnicodeEncodeError):
            continue
        into.invalid_accepted += 1
        into.note(f"{tried!r}: is no text, ours encodes it: {list(found)}")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def compare(
    ours: Tokenizer,
    engine: Engine,
    *,
    seed: str,
    strings: int,
    extra: Sequence[str] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> Parity:
    """Compare `strings` texts, and the `extra` ones; a fixed share of byte strings is no text.

    Every second text that the reference changes is compared a second time as the reference leaves
    it: of a tokenizer that normalizes, the library's law speaks of such texts only.
    """
    source = random.Random(seed)
    into = Parity()
    texts = Texts(source, engine.token_bytes, engine.added_words, extra)
    stream = itertools.chain(extra, texts.many(max(0, strings - len(extra))))
    while batch := list(itertools.islice(stream, BATCH)):
        encoded = engine.encode_batch(batch)
        again, right = [], []
        for text, expected in zip(batch, encoded, strict=True):
            if (tokens := compare_text(ours, engine, text, expected, into)) is not None:
                right.append((text, tokens))
            left = engine.decode(expected)
            if left is not None and left != text.encode() and _is_text(left):
                again.append(left.decode())
        again = again[::2]
        for text, expected in zip(again, engine.encode_batch(again), strict=True):
            compare_text(ours, engine, text, expected, into)
        compare_forms(ours, right, into)
        for text in batch[::25]:
            compare_invalid(ours, source, text, into)
        progress(len(batch))
    return into
