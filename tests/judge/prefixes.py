"""Byte prefixes at which covers are judged: named cases of every family, and random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from judge.samples import Texts
from judge.texts import whole_characters

if TYPE_CHECKING:
    from judge.engines import Engine

LONGEST = 40  # bytes

NAMED: Mapping[str, tuple[bytes, ...]] = {
    "mid-character": (
        *(b"x \xe2", b"\xf0\x9f", b"\xe3\x83", b"\xc2", b"1\xcc", b"\xe4\xb8", b"\xd9"),
        *(b"\xe0\xa4\xa8\xe0", b"caf\xc3", b"\xf0\x9f\x91\xa9\xe2\x80", b"a\xf0", b"\xed\x9f"),
    ),
    "blank run": (b" ", b"  ", b"x  ", b"x   ", b"\t\t", b" \t", b"a\n ", b"\n    ", b"\xc2\xa0 "),
    "newline run": (b"\n", b"\n\n", b"x\n\n\n", b" \r", b"\r\n", b"!\n", b"//\n//", b".\r\n\r"),
    "digit run": (b"1", b"12", b"123", b"1234 5", b" 1", b"a1b", b"x12345", b"\xd9\xa1", b"3.1"),
    "contraction": (b"I'l", b"you'r", b"a'", b"'", b" b'", b"don't", b"X'S", b"it\xe2\x80\x99"),
    "camel case": (b"camelC", b"ABCd", b"XMLHttpR", b"aB", b"HTMLe", b"\xc3\x89t"),
    "whole piece": (b" the", b"Hello", b" internationalizatio", b"...", b"======", b"ab"),
    "byte fallback": (
        *(b"\xe2\xb5", b"\xe2\xb5\xa3", b"\xf0\x93", b"\xf0\x93\x82\x80", b"a\xe1\x90", b"\x00"),
        *(b"\x01\x02", b"\xf0\x9f\xa7\x91\xf0\x9f", b"\xe2\x96\x81", b"\xe2\x96"),
    ),
    "dummy prefix": (b"a", b" a", b"  a", b"<", b"H", b"\n a", b"\xe2\x96\x82"),
    "added word": (
        *(b"<", b"<unused", b"<table", b"</h1", b"<start_of_", b"[multi", b"<think", b"</think>"),
        *(b"a<tool_call", b"<|fim_pre", b"\n\n\n\n", b"<|END_OF_TUR", b"<\xef\xbd\x9cUser"),
    ),
    "normalization": (
        *(
            b"e",
            b"e\xcc",
            b"e\xcc\x81",
            b"\xc3\xa9",
            b"A\xcc\x8a",
            b"\xe2\x84\xab",
            b"\xef\xac\x81",
        ),
        *(
            b"\xe1\x84\x80",
            b"\xea\xb0\x80",
            b"\xea\xb0\x80\xe1\x86",
            b"\xe0\xa4\xa8",
            b"\xe0\xa5\x98",
        ),
        *(b"\xef\xbc\xa1", b"\xc2\xb2", b"\xcc\x88", b"a\xcc\xa7", b"\xe3\x81\x8b\xe3\x82"),
    ),
    "digits from the right": (b"1234567", b"12345", b" 123456", b"1,234", b"0x1234"),
    "no text": (b"\x80", b"a\xff", b"\xc0\x80", b"\xed\xa0", b"\xf4\x90", b"\xe4\xb8\x41"),
}


def random_prefixes(engine: Engine, seed: str, count: int) -> Iterator[tuple[bytes, str]]:
    """Draw beginnings of texts, each with the characters that follow it in its text.

    The text is as the engine leaves it. The cut is often just behind a blank, a digit or an
    apostrophe, or inside a character.
    """
    source = random.Random(seed)
    texts = Texts(source, engine.token_bytes, engine.added_words)
    drawn = 0
    while drawn < count:
        left = engine.decode(engine.encode(texts.draw()))
        try:
            text = (left or b"").decode()
        except UnicodeDecodeError:
            continue
        data = text.encode()[:LONGEST]
        if not data:
            continue
        places = [i + 1 for i, byte in enumerate(data) if byte in b" \n\r\t'0123456789"]
        places += [i + 1 for i, byte in enumerate(data) if byte > 127]
        delicate = places and source.random() < 0.6
        cut = source.choice(places) if delicate else source.randint(1, len(data))
        whole, pending = whole_characters(data[:cut])
        drawn += 1
        yield data[:cut], text[len(whole) + bool(pending) :]
