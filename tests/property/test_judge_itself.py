"""The judge finds what is wrong: a doctored tokenizer fails each of its checks."""

from __future__ import annotations

import pytest
import tokenizers

import nextbyte as nb
from judge import engines, parity, witness
from nextbyte.errors import InvalidInputError

PREFIXES = (b"a", b"ab", b" ", b"x \n", b"\xe2\x82", b"bab a")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return a small byte-level BPE tokenizer and its engine."""
    alphabet = sorted(engines.byte_of_character())
    vocabulary = {character: token for token, character in enumerate(alphabet)}
    merges = [("a", "b"), ("ab", "a"), ("Ġ", "a"), ("Ċ", "Ċ"), ("â", "Ĥ"), ("âĤ", "¬")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    path = tmp_path_factory.mktemp("tiny") / "tokenizer.json"
    made.save(str(path))
    return nb.Tokenizer.from_file(path), engines.from_json(path)


class Doctored:
    """A tokenizer with one answer changed."""

    def __init__(self, ours, **changed):
        self._ours = ours
        self._changed = changed

    def __getattr__(self, name):
        return self._changed.get(name) or getattr(self._ours, name)


def verdict(ours, engine):
    judge = witness.Judge(ours, engine, seed="itself")
    for prefix in PREFIXES:
        judge.judge(prefix)
    return judge.verdict


def test_nothing_is_wrong_with_the_sound_one(tiny):
    ours, engine = tiny
    found = verdict(ours, engine)
    assert not found.wrong, found
    assert found.witnesses > 500
    assert found.covers > 10
    compared = parity.compare(ours, engine, seed="itself", strings=2000)
    assert not compared.wrong, compared
    assert compared.equal == compared.strings
    assert compared.invalid > 50


def test_a_lost_cover_is_missed(tiny):
    ours, engine = tiny
    alone = engine.encode(" ")[0]

    def cover_encodings(prefix):
        found = ours.cover_encodings(prefix)
        return [cover for cover in found if cover[0] != (*engine.encode("x"), alone)]

    doctored = Doctored(ours, cover_encodings=cover_encodings)
    judge = witness.Judge(doctored, engine, seed="itself")
    judge.judge(b"x ")
    assert judge.verdict.missing
    assert not judge.verdict.unexplained


def test_an_impossible_cover_is_not_explained(tiny):
    ours, engine = tiny
    a, b = engine.encode("a")[0], engine.encode("b")[0]

    def cover_encodings(prefix):
        found = ours.cover_encodings(prefix)
        return [*found, ((a, b), 0)] if prefix == b"ab" else found

    found = verdict(Doctored(ours, cover_encodings=cover_encodings), engine)
    assert (found.missing, found.unexplained, found.malformed) == (0, 1, 0), found


@pytest.mark.parametrize(
    "change",
    [
        lambda covers: [(tokens, overhang + 1) for tokens, overhang in covers],
        lambda covers: [*covers, *covers[:1]],
        lambda covers: [((*tokens, tokens[-1]), overhang) for tokens, overhang in covers],
    ],
    ids=["overhang", "twice", "too long"],
)
def test_a_malformed_cover_is_told(tiny, change):
    ours, engine = tiny
    doctored = Doctored(ours, cover_encodings=lambda x: change(ours.cover_encodings(x)))
    assert verdict(doctored, engine).malformed


def refuse_spaces(ours, text):
    if " " in text:
        raise InvalidInputError("no")
    return ours.encode(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda ours, text: list(text.encode() if isinstance(text, str) else text),
        lambda ours, text: ours.encode(
            text.decode(errors="replace") if isinstance(text, bytes) else text.replace("\ud800", "")
        ),
        lambda ours, text: (
            ours.encode(text) if isinstance(text, bytes) else refuse_spaces(ours, text)
        ),
    ],
    ids=["other ids", "no text is encoded", "text is refused"],
)
def test_a_wrong_encoding_is_told(tiny, change):
    ours, engine = tiny
    doctored = Doctored(ours, encode=lambda text: change(ours, text))
    compared = parity.compare(doctored, engine, seed="itself", strings=300)
    assert compared.wrong, compared
    assert compared.examples
