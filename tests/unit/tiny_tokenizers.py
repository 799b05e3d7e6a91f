"""Small tokenizer files, written as plain dicts: what loaders read and models are made over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

# The published GPT-2 spelling of bytes: printable Latin-1 is itself, the rest follows from 256 on.
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_SPELLING = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(256 + place) for place, byte in enumerate(sorted(set(range(256)) - set(_PRINTABLE)))
}

BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
WHOLE = BYTE_LEVEL | {"use_regex": False}
"""No split at all: the text is one piece."""
DIGITS = {"type": "Digits", "individual_digits": True}

# The byte values that SmolLM2's vocabulary has no token for.
UNSPELLED = bytes.fromhex("0406131416 1d c0c1f1f2 f5f6f7f8f9fafbfcfdfeff")

ENDOFTEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"


def spell(data: bytes) -> str:
    """Spell bytes as a byte-level vocabulary does."""
    return "".join(_SPELLING[byte] for byte in data)


def steps(*parts: Json) -> Json:
    """Return a pre-tokenizer of several parts."""
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(
    pattern: str, *, literal: bool = False, behavior: str = "Isolated", invert: bool = False
) -> Json:
    """Return a pre-tokenizer that cuts by a pattern and goes on byte-level."""
    kind = "String" if literal else "Regex"
    part = {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}
    return steps(part, WHOLE)


def document(
    tokens: list[bytes],
    merges: list[tuple[bytes, bytes]],
    *,
    specials: tuple[str, ...] = (),
    specials_first: bool = False,
    pre_tokenizer: Json | None = BYTE_LEVEL,
    **model: Any,
) -> Json:
    """Return a `tokenizer.json`: byte strings, the results of the merges, special tokens."""
    ordinary = [spell(data) for data in [*tokens, *(left + right for left, right in merges)]]
    order = [*specials, *ordinary] if specials_first else [*ordinary, *specials]
    ids = {spelling: token for token, spelling in enumerate(dict.fromkeys(order))}
    added = [
        {
            "id": ids[content],
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for content in specials
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids,
            "merges": [f"{spell(left)} {spell(right)}" for left, right in merges],
        }
        | model,
    }


def single_bytes(data: bytes) -> list[bytes]:
    """Return each byte as a token of its own."""
    return [bytes([byte]) for byte in data]


def ab() -> Json:
    """Return a, b, ab (ids 0 to 2): the smallest with a merge."""
    return document(single_bytes(b"ab"), [(b"a", b"b")])


def ab_with_specials() -> Json:
    """Return a, b, ab, then <s>, <e>, <f>, <chat> (ids 3 to 6)."""
    return document(single_bytes(b"ab"), [(b"a", b"b")], specials=("<s>", "<e>", "<f>", "<chat>"))


def letters() -> Json:
    """Return letters, blanks and two-byte characters with some merges, <s> and <e> at the end."""
    merges = [
        (b"t", b"h"), (b"th", b"e"), (b" ", b"the"), (b"a", b"b"), (b"b", b"a"), (b"ab", b"ab"),
        (b"\n", b"\n"), (b" ", b" "), (b"\xc3", b"\xa9"), (b" ", b"a"),
    ]  # fmt: skip
    return document(single_bytes(b"abcthe \n\xc3\xa9\xa8'"), merges, specials=("<s>", "<e>"))


def one_letter() -> Json:
    """Return the token a and no merge: one state, whatever the length of the text."""
    return document([b"a"], [], specials=("<e>",), pre_tokenizer=WHOLE)


def all_bytes() -> Json:
    """Return 256 byte tokens (id = byte), some merges, <s> and <e> at the end."""
    merges = [
        (b"i", b"m"), (b"im", b"_"), (b"e", b"n"), (b"en", b"d"), (b"<", b"|"), (b"|", b">"),
        (b"h", b"e"), (b" ", b"he"), (b"1", b"2"), (b"12", b"3"), (b"e", b"r"), (b"-", b"-"),
        (b"\xe4", b"\xb8"), (b"\xe4\xb8", b"\xad"),
    ]  # fmt: skip
    return document(single_bytes(bytes(range(256))), merges, specials=("<s>", "<e>"))


def smollm2_like() -> Json:
    """Return SmolLM2's layout in small: specials first, digits alone, some bytes unspelled."""
    spelled = bytes(byte for byte in range(256) if byte not in UNSPELLED)
    merges = [
        (b" ", b"t"), (b"h", b"e"), (b" t", b"he"), (b" ", b"a"), (b"i", b"n"), (b"e", b"r"),
        (b"\n", b"\n"), (b" ", b" "), (b" ", b"\n"), (b"\xc3", b"\xa9"), (b"\xe4", b"\xb8"),
    ]  # fmt: skip
    return document(
        single_bytes(spelled),
        merges,
        specials=(ENDOFTEXT, IM_START, IM_END),
        specials_first=True,
        pre_tokenizer=steps(DIGITS, BYTE_LEVEL),
    )


def write(folder: Path, content: Json, name: str = "tokenizer.json") -> Path:
    """Write the file and return its path."""
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
