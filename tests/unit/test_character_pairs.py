"""BPE over characters with byte fallback: the lead, the loaders, and real models' libraries."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers

import nextbyte as nb
from nextbyte.errors import InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError
from unit.sentencepiece_files import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    byte_pieces,
    model,
)

DATA = Path(str(resources.files("mistral_common") / "data"))
MISTRAL = (
    "tokenizer.model.v1",
    "mistral_instruct_tokenizer_240323.model.v3",
    "mistral_instruct_tokenizer_241114.model.v7",
)
SPECIAL = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
BLANK = "\u2581"
BLANK_AND_A = [(BLANK, -9.0, NORMAL), ("a", -9.0, NORMAL)]


def llama_json(pieces: str, merges: list[str], spelled: bytes, **changes: object) -> dict:
    spellings = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in spelled), *pieces]
    spellings += [merge.replace(" ", "") for merge in merges]
    vocabulary = {spelling: index for index, spelling in enumerate(dict.fromkeys(spellings))}
    special = {"special": True, "normalized": False, "single_word": False}
    special |= {"lstrip": False, "rstrip": False}
    document = {
        "version": "1.0",
        "added_tokens": [
            {"id": 0, "content": "<unk>", **special},
            {"id": 1, "content": "</s>", **special},
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": BLANK},
                {"type": "Replace", "pattern": {"String": " "}, "content": BLANK},
            ],
        },
        "pre_tokenizer": None,
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": bool(spelled),
            "vocab": vocabulary,
            "merges": merges,
        },
    }
    return document | changes


def write_json(folder: Path, document: dict) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


class LeadDefinition:
    """C, PC and the law of docs/theory.md 2 by enumeration, for texts behind a blank."""

    def __init__(self, path: Path, alphabet: str, length: int) -> None:
        self.engine = tokenizers.Tokenizer.from_file(str(path))
        self.bytes = {
            token: bytes([int(s[3:5], 16)])
            if s.startswith("<0x")
            else s.replace(BLANK, " ").encode()
            for s, token in self.engine.get_vocab().items()
            if s not in ("<unk>", "</s>")
        }
        self.canonical, self.prefixes = set(), set()
        for count in range(length + 1):
            for text in map("".join, itertools.product(alphabet, repeat=count)):
                ids = tuple(self.engine.encode(text, add_special_tokens=False).ids)
                if self.decode(ids) != (b" " + text.encode() if text else b""):
                    continue  # outside D
                self.canonical.add(ids)
                self.prefixes.update(ids[:end] for end in range(len(ids) + 1))

    def decode(self, ids: tuple[int, ...]) -> bytes:
        return b"".join(self.bytes.get(token, b"?") for token in ids)

    def step(self, sequence: tuple[int, ...]) -> tuple[dict[int, float], float]:
        row = np.exp(logits(sequence, len(self.bytes) + 2))
        end = row[1] if sequence in self.canonical else 0.0
        allowed = {t: row[t] for t in self.bytes if (*sequence, t) in self.prefixes}
        total = sum(allowed.values()) + end
        return {token: value / total for token, value in allowed.items()}, end / total

    def masses(self, prefix: bytes) -> np.ndarray:
        """A(xb) for each byte b, and E(x)."""
        result, waiting = np.zeros(257), [((), 1.0)]
        while waiting:
            sequence, weight = waiting.pop()
            tokens, end = self.step(sequence)
            text = self.decode(sequence)[1:]
            if text == prefix and (sequence or not prefix):
                result[256] += weight * end
            for token, probability in tokens.items():
                longer = self.decode((*sequence, token))[1:]
                if len(longer) > len(prefix) and longer.startswith(prefix):
                    result[longer[len(prefix)]] += weight * probability
                elif prefix.startswith(longer):
                    waiting.append(((*sequence, token), weight * probability))
        return result


def logits(sequence: tuple[int, ...], size: int) -> np.ndarray:
    digest = hashlib.sha256(repr(tuple(map(int, sequence))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little")).normal(size=size) * 2


LEAD_CASES = {
    "plain": ("▁aé", ["▁ a", "a a"], b"", "aé "),
    "spelled": ("▁aé", ["▁ a", "é a"], b"\xc3\xa8\xa9", "aéè "),
    "blanks": ("▁a", ["▁ ▁", "▁ a"], b"\n", "a \n"),
    # A lead that can only stand alone at the start: it is followed by nothing.
    "dead": ("▁a", ["▁ ▁", "▁ a"], b"", "a "),
    "no blank but in front": ("▁ab", ["a b", "▁ a"], b"", "ab"),
}


@pytest.mark.parametrize("name", LEAD_CASES)
def test_law_with_a_lead(name: str, tmp_path: Path) -> None:
    pieces, merges, spelled, alphabet = LEAD_CASES[name]
    path = write_json(tmp_path, llama_json(pieces, merges, spelled))
    definition = LeadDefinition(path, alphabet + (" " if " " not in alphabet else ""), 6)
    tokenizer = nb.Tokenizer.from_file(path)
    assert tokenizer.compiled.lead == b" "

    def function(batch):
        return np.array([logits(tuple(s), tokenizer.vocab_size) for s in batch])

    lm = nb.ByteLM.from_function(tokenizer, function, end_tokens=[1])
    compared = 0
    waiting = [b""]
    while waiting:
        prefix = waiting.pop()
        expected = definition.masses(prefix)
        state = lm.start(prefix)
        found = np.exp(state.next_byte_logprobs())
        assert np.abs(found - expected / expected.sum()).max() < 1e-12
        assert abs(np.exp(state.logprob) - expected.sum()) < 1e-12
        compared += 1
        covers = {tokens for tokens, _ in tokenizer.cover_encodings(prefix)}
        if prefix:
            assert covers == {
                s
                for s in definition.prefixes
                if definition.decode(s)[1:].startswith(prefix)
                and len(definition.decode(s[:-1])[1:]) < len(prefix)
            }
        if len(prefix) < 3:
            waiting += [prefix + bytes([b]) for b in range(256) if expected[b] > 0]
    assert compared > 10


def test_lead_alone_is_no_text(tmp_path: Path) -> None:
    path = write_json(tmp_path, llama_json("▁a", ["▁ a"], b""))
    tokenizer = nb.Tokenizer.from_file(path)
    assert tokenizer.encode("") == []
    assert tokenizer.encode(" a") != tokenizer.encode("a")
    assert tokenizer.decode(tokenizer.encode(" a ")) == b" a "


def adversarial(tokenizer: nb.Tokenizer, count: int, seed: int) -> list[str]:
    source = random.Random(seed)
    pieces = []
    for token in range(tokenizer.vocab_size):
        try:
            pieces.append(tokenizer.token_bytes(token).decode())
        except UnicodeDecodeError:
            continue
    ranges = [(32, 126), (9, 13), (0x80, 0x7FF), (0x800, 0x9FFF), (0xE000, 0x10FFFF)]
    texts = []
    for _ in range(count):
        parts = [
            source.choice(pieces)
            if source.random() < 0.6
            else chr(source.randint(*source.choice(ranges)))
            for _ in range(source.randrange(1, 12))
        ]
        texts.append("".join(parts).replace(BLANK, " "))
    return texts


@pytest.mark.parametrize("name", MISTRAL)
def test_encodes_as_the_library(name: str) -> None:
    tokenizer = nb.Tokenizer.from_file(DATA / name)
    library = sentencepiece.SentencePieceProcessor(model_file=str(DATA / name))
    texts = ["", " ", "  ", " x", "\n", "a\n", "\0", "\ufffd", "[REF][/REF] x", "<s>", "<0x41>"]
    for text in [*texts, *adversarial(tokenizer, 3000, seed=5)]:
        ids = tokenizer.encode(text)
        assert ids == library.encode(text), text
        assert tokenizer.decode(ids) == text.encode()
    assert tokenizer.report().family == "BPE over characters"


def test_user_defined_pieces_can_be_left_as_text() -> None:
    path = DATA / MISTRAL[2]
    piece = sentencepiece.SentencePieceProcessor(model_file=str(path)).piece_to_id("[REF]")
    assert piece in nb.Tokenizer.from_file(path).encode("a[REF]b")
    tokenizer = nb.Tokenizer.from_file(path, ignore_added_words=True)
    assert piece not in tokenizer.encode("a[REF]b")
    assert tokenizer.special_tokens["[REF]"] == piece


@pytest.mark.parametrize(
    ("text", "problem"), [("a\u2581", "stands for a blank"), ("a€", "no token")]
)
def test_texts_outside(text: str, problem: str, tmp_path: Path) -> None:
    tokenizer = nb.Tokenizer.from_file(write_json(tmp_path, llama_json("▁a", [], b"")))
    with pytest.raises(InvalidInputError, match=f"position 1 .*{problem}"):
        tokenizer.encode(text)
    assert tokenizer.cover_encodings(text) == []


def load_model(folder: Path, data: bytes) -> nb.Tokenizer:
    path = folder / "tokenizer.model"
    path.write_bytes(data)
    return nb.Tokenizer.from_file(path)


def test_equal_scores_merge_from_left_to_right(tmp_path: Path) -> None:
    pieces = [*SPECIAL, *byte_pieces(), *BLANK_AND_A, ("aa", -1.0, NORMAL), ("▁a", -1.0, NORMAL)]
    data = model(pieces)
    tokenizer = load_model(tmp_path, data)
    library = sentencepiece.SentencePieceProcessor(model_proto=data)
    for count in range(1, 9):
        for text in map("".join, itertools.product("a b", repeat=min(count, 6))):
            assert tokenizer.encode(text) == library.encode(text)


@pytest.mark.parametrize(
    ("changes", "extra", "problem"),
    [
        ({"remove_extra_whitespaces": True}, [], "remove_extra_whitespaces"),
        ({"treat_whitespace_as_suffix": True}, [], "treat_whitespace_as_suffix"),
        ({"escape_whitespaces": False}, [], "escape_whitespaces"),
        ({"charsmap": b"xx"}, [], "normalizer 'identity'"),
        ({"model_type": 4}, [], "of type CHAR"),
        ({}, [("zz", 0.0, UNUSED)], "unused piece"),
        ({}, [("az", 0.0, NORMAL)], "'z' is no piece"),
        ({}, [("z", 0.0, CONTROL)], "a character that is no text"),
    ],
)
def test_refused_models(changes: dict, extra: list, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedTokenizerError, match=problem):
        load_model(tmp_path, model([*SPECIAL, *byte_pieces(), *BLANK_AND_A, *extra], **changes))


def test_models_that_contradict_themselves(tmp_path: Path) -> None:
    for extra, problem in (
        (("a", 0.0, NORMAL), "are both"),
        (("<0xZZ>", 0.0, 6), "spelled as one"),
    ):
        with pytest.raises(TokenizerFormatError, match=problem):
            load_model(tmp_path, model([*SPECIAL, *byte_pieces(), *BLANK_AND_A, extra]))


def test_user_defined_pieces_are_read_out_behind_the_lead(tmp_path: Path) -> None:
    extra = [("▁a", -1.0, NORMAL), ("aba", 0.0, USER_DEFINED), ("▁▁", 0.0, USER_DEFINED)]
    data = model([*SPECIAL, *byte_pieces(), *BLANK_AND_A, ("b", -9.0, NORMAL), *extra])
    tokenizer = load_model(tmp_path, data)
    library = sentencepiece.SentencePieceProcessor(model_proto=data)
    for count in range(8):
        for text in map("".join, itertools.product("ab ", repeat=count)):
            assert tokenizer.encode(text) == library.encode(text), text


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}


def metaspace(scheme: str) -> dict:
    return {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": scheme, "split": True}


def added(content: str, *, special: bool = False) -> list[dict]:
    return [{"id": 9, "content": content, "special": special, "normalized": False}]


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": REPLACE},
        {"normalizer": REPLACE, "pre_tokenizer": SPLIT | {"invert": False}},
        {"normalizer": None, "pre_tokenizer": metaspace("never")},
        {},
    ],
)
def test_forms_of_tokenizer_json(changes: dict, tmp_path: Path) -> None:
    path = write_json(tmp_path, llama_json("▁ab", ["▁ a", "a b", "▁a b"], b"c", **changes))
    tokenizer = nb.Tokenizer.from_file(path)
    engine = tokenizers.Tokenizer.from_file(str(path))
    for count in range(7):
        for text in map("".join, itertools.product("abc ", repeat=count)):
            assert tokenizer.encode(text) == engine.encode(text).ids, text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"normalizer": {"type": "NFC"}}, "NFC"),
        ({"normalizer": None}, "does not replace blanks"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "Whitespace"),
        ({"pre_tokenizer": metaspace("first")}, "a blank is lost"),
        ({"pre_tokenizer": metaspace("never")}, "a▁"),
        ({"added_tokens": added("ab")}, "in front of what"),
        ({"added_tokens": added("a", special=True)}, "a character no text"),
    ],
)
def test_refused_json(changes: dict, problem: str, tmp_path: Path) -> None:
    path = write_json(tmp_path, llama_json("▁ab", ["a ▁"], b"c", **changes))
    with pytest.raises(UnsupportedTokenizerError, match=problem):
        nb.Tokenizer.from_file(path)


@pytest.mark.parametrize("kind", ["llama", "gemma4"])
def test_gguf(kind: str, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    pieces = [*SPECIAL, *byte_pieces(), *BLANK_AND_A, ("\n", -9.0, NORMAL)]
    pieces += [("▁a", -1.0, NORMAL), ("\n\n", -2.0, NORMAL)]
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model(kind)
    writer.add_token_list([text for text, _, _ in pieces])
    writer.add_token_types([kind for _, _, kind in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_merges(["▁ a", "\n \n"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    tokenizer = nb.Tokenizer.from_file(path)
    data = model(pieces, add_dummy_prefix=kind == "llama")
    library = sentencepiece.SentencePieceProcessor(model_proto=data)
    for count in range(6):
        for text in map("".join, itertools.product("a \nb", repeat=count)):
            assert tokenizer.encode(text) == library.encode(text), text
