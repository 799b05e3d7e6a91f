"""Small well-formed files of every format, which the fuzzer changes."""

from __future__ import annotations

import base64
import json
import random
import runpy
from pathlib import Path

from fuzz import wire
from unit import tiny_tokenizers as tiny

# The names and regexes alone, without the package, which would have to be built.
_PATTERNS = Path(__file__).parents[2] / "python" / "nextbyte" / "formats" / "patterns.py"
_SMALL_SPLIT = r" ?\p{L}+|\s+(?!\S)|\s+|[^\s\p{L}]+"


def _json(content: tiny.Json) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def _added(content: str, token: int, **options: bool) -> tiny.Json:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": token, "content": content} | flags | options


def tokenizer() -> list[bytes]:
    """Return inputs that are long enough for every choice of the C++ target to be made."""
    source = random.Random(20261124)
    return [source.randbytes(source.randrange(100, 400)) for _ in range(150)]


def tokenizer_json() -> list[bytes]:
    """Return byte-level BPE with everything that the loader reads."""
    small = tiny.document(
        tiny.single_bytes(b"ab c\n1\xc3\xa9"),
        [(b"a", b"b"), (b" ", b"ab"), (b"\xc3", b"\xa9"), (b"ab", b"c")],
        specials=("<s>", "<e>"),
        pre_tokenizer=tiny.split(_SMALL_SPLIT),
    )
    words = small | {
        "added_tokens": [*small["added_tokens"], _added("<w>", 14), _added("b c", 15)],
        "normalizer": {"type": "NFC"},
    }
    pairs = tiny.document(
        tiny.single_bytes(b"ab"), [], pre_tokenizer=tiny.steps(tiny.DIGITS, tiny.WHOLE)
    )
    pairs["model"] |= {"merges": [["a", "b"]], "ignore_merges": True}
    pairs["model"]["vocab"] |= {"ab": 2, "aab": 3, "\u4e2d": 9}
    gpt2 = tiny.document(tiny.single_bytes(b"ab c"), [(b" ", b"a")])
    literal = tiny.document(
        tiny.single_bytes(b"ab."), [(b"a", b"b")], pre_tokenizer=tiny.split("a.", literal=True)
    )
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}
    unigram = {
        "version": "1.0",
        "added_tokens": [_added("<unk>", 0, special=True)],
        "normalizer": None,
        "pre_tokenizer": metaspace | {"split": False},
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": 0,
            "byte_fallback": False,
            "vocab": [["<unk>", 0.0], ["\u2581", -2.0], ["a", -3.0], ["\u2581a", -2.5], ["b", -4]],
        },
    }
    steps = [{"type": "Prepend", "prepend": "\u2581"}]
    steps += [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]
    names = ["<unk>", "<0x61>", "<0x0A>", "\u2581", "a", "b", "ab", "\u2581ab"]
    llama = {
        "version": "1.0",
        "added_tokens": [_added("<unk>", 0, special=True)],
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}]},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {name: token for token, name in enumerate(names)},
            "merges": ["a b", "\u2581 ab"],
        },
    }
    return [_json(c) for c in (small, words, pairs, gpt2, literal, unigram, llama)]


def tiktoken() -> list[bytes]:
    """Return a rank file with and one without merges."""
    tokens = [*tiny.single_bytes(b"ab 1\n\xc3\xa9"), b"ab", b" a", b"\xc3\xa9", b"abab", b"aab"]
    lines = [b"%s %d" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens)]
    return [b"\n".join(lines) + b"\n", b"YQ== 0\nYg== 5\r\n\nIA== 2", b"\n".join(lines[::-1])]


def tekken() -> list[bytes]:
    """Return a `tekken.json` with special tokens and one of the first version."""
    tokens = [*tiny.single_bytes(b"ab 1"), b"ab", b" a", b"aab"]
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": _SMALL_SPLIT,
        "num_vocab_tokens": len(tokens),
        "default_vocab_size": len(tokens) + 2,
        "default_num_special_tokens": 2,
        "version": "v3",
    }
    specials = [{"rank": 1, "token_str": "<s>", "is_control": True}]
    first = {"config": config | {"default_num_special_tokens": 3}, "vocab": vocab}
    return [_json({"config": config, "vocab": vocab, "special_tokens": specials}), _json(first)]


def rwkv() -> list[bytes]:
    """Return a vocabulary with literals of text and of bytes."""
    lines = ["1 'a' 1", "2 'b' 1", "3 ' ' 1", r"4 '\n' 1", r"5 b'\xc3' 1", r"6 b'\xa9' 1"]
    lines += ["7 'ab' 2", "8 ' a' 2", "9 '\u00e9' 2", '10 "\'" 1', "12 'aab' 3"]
    return ["\n".join(lines).encode() + b"\n", "\r\n".join(lines[:4]).encode()]


def sentencepiece() -> list[bytes]:
    """Return a BPE model with byte fallback and a unigram model."""
    start = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    letters = [(text, -float(i), 1) for i, text in enumerate(["ab", "\u2581a", "\u2581", "a", "b"])]
    every_byte = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    flags = {3: 1, 4: 0, 5: 1}
    some = [*start, *letters, ("<w>", 0.0, 4), ("\u00e9", -3.5, 1), ("c", 0.0, 5)]
    return [
        wire.sentencepiece(
            [*start, *every_byte, *letters], trainer={3: 2, 35: 1}, normalizer=flags
        ),
        wire.sentencepiece(some, trainer={3: 1}, normalizer=flags),
        wire.sentencepiece(some[:-1], trainer={3: 2}, normalizer=flags | {3: 0}),
        wire.sentencepiece(some, trainer={3: 1, 24: 1, 40: 0}, normalizer={3: 1, 4: 1, 5: 1}),
    ]


def gguf() -> list[bytes]:
    """Return the metadata of byte-level BPE, and of the SentencePiece kinds."""
    tokens = ["a", "b", "\u0120", "ab", "\u0120a", "<s>", "<w>", "[PAD7]"]
    common = {"general.architecture": "llama", "general.name": "small"}
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    byte_level = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": [1, 1, 1, 1, 1, 3, 4, 5],
        "merges": ["a b", "\u0120 a"],
        "add_space_prefix": False,
    }
    pieces = {
        "model": "llama",
        "tokens": ["<unk>", "<s>", "\u2581", "a", "b", "ab", "\u2581ab", *every_byte],
        "token_type": [2, 3, 1, 1, 1, 1, 1] + [6] * 256,
        "scores": [-float(token) for token in range(7 + 256)],
        "add_space_prefix": True,
    }
    kinds = (byte_level, byte_level | {"pre": "llama-bpe"}, pieces, pieces | {"model": "t5"})
    return [
        wire.gguf(common | {f"tokenizer.ggml.{key}": value for key, value in kind.items()})
        for kind in kinds
    ]


def pretokenizer() -> list[bytes]:
    """Return inputs of the C++ target of that name: patterns and a text, between bytes FF."""
    known = [value for name, value in runpy.run_path(str(_PATTERNS)).items() if name.isupper()]
    known = [value for value in known if isinstance(value, str)]
    small = [r"\p{N}{1,3}(?=(?:\p{N}{3})*$)", r"a(?=b)|b++", r"(?i:'s|t)|[^\r\n]?x*?y{2,5}"]
    texts = ["It's 1234 \u00e9!\n ", "aab bb", ""]
    singles = [b"\xff".join([pattern.encode(), texts[0].encode()]) for pattern in [*known, *small]]
    pairs = [b"\xff".join([rb"\p{N}", small[0].encode(), text.encode()]) for text in texts]
    return [*singles, *pairs]
