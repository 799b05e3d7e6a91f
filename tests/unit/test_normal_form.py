"""The automata of the normal forms against the `tokenizers` library and `unicodedata`."""

from __future__ import annotations

import random
import unicodedata

import pytest

from nextbyte._core import NormalFormAutomaton
from nextbyte.errors import InvalidInputError
from nextbyte.formats.normal_form import normalized

normalizers = pytest.importorskip("tokenizers").normalizers

DEAD = 65535
FORMS = {"nfc": normalizers.NFC().normalize_str, "nfkc": normalizers.NFKC().normalize_str}
# The separator of the batches below composes with nothing and is no test character.
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != 10]


def is_altered(normalize, texts):
    outputs = normalize("\n".join(texts)).split("\n")
    return [output != text for output, text in zip(outputs, texts, strict=True)]


class Alphabet:
    """The characters of one form by what the automaton says about them."""

    def __init__(self, form):
        self.automaton = automaton = NormalFormAutomaton(form)
        self.normalize = FORMS[form]
        self.after = {c: automaton.step(0, ord(c)) for c in CHARACTERS}
        self.standing = [c for c in CHARACTERS if self.after[c] != DEAD]
        self.sensitive = [c for c in self.standing if automaton.is_sensitive(ord(c))]
        self.by_state = {}
        for c in self.standing:
            self.by_state.setdefault(self.after[c], []).append(c)
        alike = {
            tuple(automaton.step(state, ord(c)) for state in self.by_state): c
            for c in reversed(self.sensitive)
        }
        self.representatives = sorted(alike.values())
        self.marks = [c for c in self.representatives if unicodedata.combining(c)]
        self.newer = {
            c
            for c in self.by_state[0]
            if not automaton.is_sensitive(ord(c))
            and (unicodedata.combining(c) or unicodedata.decomposition(c) or c == "\U00011930")
        }

    def assert_steps_as_engine(self, state, text, characters):
        expected = is_altered(self.normalize, [text + c for c in characters])
        got = [self.automaton.step(state, ord(c)) == DEAD for c in characters]
        assert got == expected, ascii(text)


@pytest.fixture(scope="module", params=FORMS)
def alphabet(request):
    return Alphabet(request.param)


def test_every_character_alone_is_dead_iff_the_engine_alters_it(alphabet):
    got = [state == DEAD for state in alphabet.after.values()]
    assert got == is_altered(alphabet.normalize, CHARACTERS)
    assert len(alphabet.sensitive) == 881
    assert alphabet.automaton.num_states < 5000


def test_every_sensitive_character_after_every_kind_of_starter_and_mark(alphabet):
    rng = random.Random(1)
    for state, members in alphabet.by_state.items():
        before = rng.choice(members)
        alphabet.assert_steps_as_engine(state, before, alphabet.sensitive)
        for mark in alphabet.marks:
            then = alphabet.automaton.step(state, ord(mark))
            if then != DEAD:
                alphabet.assert_steps_as_engine(then, before + mark, alphabet.representatives)


def test_every_character_that_composes_after_characters_that_decompose(alphabet):
    pieces = [c for c in alphabet.standing if unicodedata.decomposition(c)]
    for c in pieces:
        alphabet.assert_steps_as_engine(alphabet.after[c], c, alphabet.representatives)
    assert len(pieces) > 1000


@pytest.mark.thorough
def test_all_pairs_of_a_character_and_a_kind_of_sensitive_character(alphabet):
    starters = alphabet.standing
    for c in alphabet.representatives:
        expected = is_altered(alphabet.normalize, [starter + c for starter in starters])
        got = [alphabet.automaton.step(alphabet.after[s], ord(c)) == DEAD for s in starters]
        assert got == expected, ascii(c)


@pytest.mark.thorough
def test_all_characters_after_every_kind_of_character(alphabet):
    for state, members in alphabet.by_state.items():
        alphabet.assert_steps_as_engine(state, members[-1], alphabet.standing)


def random_texts(alphabet, count):
    rng = random.Random(2)
    composed = [c for c in alphabet.standing if unicodedata.decomposition(c)]
    hangul = [chr(c) for c in (*range(0x1100, 0x1200), *range(0xAC00, 0xD7A4, 7))]
    pools = [
        alphabet.sensitive,
        alphabet.representatives,
        composed,
        [c for text in composed for c in unicodedata.normalize("NFD", text)],
        hangul,
        [chr(c) for c in range(0x900, 0x1090)],
        sorted(alphabet.newer),
        [c for c in CHARACTERS if alphabet.after[c] == DEAD],
        alphabet.standing,
    ]
    weights = [6, 6, 6, 6, 4, 3, 1, 0.5, 2]
    for _ in range(count):
        text = "".join(rng.choice(p) for p in rng.choices(pools, weights, k=rng.randint(1, 9)))
        how = rng.random()
        if how < 0.5:
            text = alphabet.normalize(text)
        if how < 0.2:
            text += rng.choice(alphabet.sensitive)
        yield text


def assert_agrees(alphabet, texts):
    form = next(name for name, normalize in FORMS.items() if normalize is alphabet.normalize)
    alive = 0
    for text in texts:
        prefixes = [text[:n] for n in range(1, len(text) + 1)]
        altered = [alphabet.normalize(prefix) != prefix for prefix in prefixes]
        normal = altered.index(True) if True in altered else len(text)
        assert all(altered[normal:]), ascii(text)  # closed under prefixes
        data = text.encode()
        assert alphabet.automaton.alive_length(data) == len(text[:normal].encode()), ascii(text)
        assert alphabet.automaton.holds(data) == (normal == len(text))
        assert normalized(text, form) == alphabet.normalize(text), ascii(text)
        python_normal = unicodedata.is_normalized(form.upper(), text)
        if alphabet.newer.isdisjoint(text):
            assert python_normal == (normal == len(text)), ascii(text)
        assert not python_normal or normal == len(text), ascii(text)
        alive += normal == len(text)
    return alive


def test_random_texts(alphabet):
    assert assert_agrees(alphabet, random_texts(alphabet, 5_000)) > 2_000


@pytest.mark.thorough
def test_many_random_texts(alphabet):
    assert assert_agrees(alphabet, random_texts(alphabet, 300_000)) > 120_000


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", 0),
        ("plain ASCII, \u6f22\u5b57", 15),
        ("e\u0301", 1),
        ("\u00e2\u0323", 1),  # U+1EAD, though the two have no composite
        ("\u00e2\u05b0\u0323", 2),  # not hindered by a mark of a lower class
        ("\u00e2\u0316\u0323", 3),  # hindered by one of the same class
        ("q\u0301\u0323", 2),  # out of order
        ("\u1100\u1161", 1),
        ("\u1100\u0334\u1161", 3),
        ("\uac00\u11a8", 1),
        ("\uac01\u11a8", 2),
        ("\uac00\u11a7", 2),
        ("\u0958", 0),
        ("\u0301\u0301", 2),
        ("\U00011935\U00011930", 2),  # newer than the engine's tables
    ],
)
def test_known_texts(text, normal):
    automaton = NormalFormAutomaton("nfc")
    assert automaton.alive_length(text.encode()) == len(text[:normal].encode())
    assert normalized(text, "nfc") == FORMS["nfc"](text)


def test_without_a_form_every_text_stands():
    automaton = NormalFormAutomaton("none")
    assert automaton.num_states == 1
    assert automaton.holds("e\u0301\ufb01".encode())
    assert normalized("e\u0301\ufb01", "none") == "e\u0301\ufb01"


def test_blocks_of_dead_characters():
    automaton = NormalFormAutomaton("nfc")
    assert not automaton.survives_block(0, 6, 0x2F800 >> 6)  # compatibility ideographs
    assert automaton.survives_block(0, 6, 0x300 >> 6)
    assert not automaton.survives_block(automaton.step(0, 0x345), 6, 0x300 >> 6)
    assert automaton.survives_block(0, 12, 0xD)  # the last syllables; the rest are surrogates
    assert not NormalFormAutomaton("none").survives_block(0, 6, 0xD800 >> 6)


def test_errors():
    with pytest.raises(InvalidInputError, match='use "none", "nfc" or "nfkc"'):
        NormalFormAutomaton("nfd")
    automaton = NormalFormAutomaton("nfc")
    with pytest.raises(InvalidInputError, match="byte 2"):
        automaton.alive_length(b"ab\xff")
    with pytest.raises(InvalidInputError, match="no Unicode scalar value"):
        automaton.step(0, 0xD800)
    with pytest.raises(InvalidInputError, match="no state"):
        automaton.step(automaton.num_states, 0)
    with pytest.raises(InvalidInputError, match="no such block"):
        automaton.survives_block(0, 7, 0)
