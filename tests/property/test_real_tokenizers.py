"""Real tokenizers against the engines that define them: encodings, covers, and the byte law.

A cover of a beginning x is a beginning of the encoding of some text that starts with x, the
shortest one that reaches the end of x. So every text is a witness: what the reference encodes must
be listed (completeness), and for what is listed a text must be found (soundness).
"""

from __future__ import annotations

import collections
import itertools
import random
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.texts import (
    BLANKS,
    FRAGMENTS,
    TAILS,
    completions,
    random_text,
    whole_characters,
)
from nextbyte.errors import InvalidInputError
from real_tokenizers import parameters, random_prefix

ENCODED_TEXTS = 6000
COMPLETE_PREFIXES = 220
SOUND_PREFIXES = 200
LONG_TEXTS = 3


# --- Encodings ----------------------------------------------------------------------------------


def check_encoding(subject, text):
    """Compare one text; return what was compared."""
    data = text.encode()
    position = next((i for i, byte in enumerate(data) if byte in subject.lacks), None)
    if position is not None:
        with pytest.raises(InvalidInputError) as error:
            subject.ours.encode(text)
        assert re.search(rf"\b{position}\b", str(error.value)), (text, str(error.value))
        return "texts with a byte that has no token"
    ours = list(subject.ours.encode(text))
    assert ours == subject.encode(text), (subject.name, text)
    assert subject.ours.decode(ours) == data
    return "texts encoded"


def test_encodes_adversarial_texts_as_the_reference(subject, figures):
    source = random.Random(f"{subject.name} encode")
    for _ in range(ENCODED_TEXTS):
        figures[subject.name][check_encoding(subject, random_text(source, 12))] += 1


def test_encodes_the_edges_of_unicode_categories_as_the_reference(subject, figures):
    """Each code point at which the general category changes, and its neighbour before it."""
    categories = [unicodedata.category(chr(code)) for code in range(0x110000)]
    edges = [code for code in range(1, 0x110000) if categories[code - 1] != categories[code]]
    for code in sorted({*edges, *(code - 1 for code in edges)}):
        text = f"aA{chr(code)}a{chr(code)} {chr(code)}1"
        if categories[code] != "Cs" and subject.speaks(text):
            figures[subject.name][check_encoding(subject, text)] += 1


PIECES = st.one_of(
    st.sampled_from(FRAGMENTS + BLANKS + TAILS),
    st.text(max_size=4),
    st.text(" \n\r\t'sS1a", max_size=6),
)


@settings(max_examples=150)
@given(pieces=st.lists(PIECES, max_size=10))
def test_encodes_any_text_as_the_reference(subject, figures, pieces):
    figures[subject.name][check_encoding(subject, "".join(pieces))] += 1


# --- Covers -------------------------------------------------------------------------------------


def check_form(subject, prefix, covers):
    """Check what every cover of a prefix satisfies by itself; return the contexts."""
    assert len({tokens for tokens, _ in covers}) == len(covers), (prefix, "listed twice")
    read = {}
    for tokens, overhang in covers:
        context = tokens[:-1]
        if context not in read:
            read[context] = subject.decode(context)
            assert prefix.startswith(read[context]), (prefix, context)
            assert len(read[context]) < len(prefix), (prefix, context)
        rest = prefix[len(read[context]) :]
        last = subject.token_bytes[tokens[-1]]
        assert last.startswith(rest), (prefix, tokens)
        assert overhang == len(last) - len(rest), (prefix, tokens)
    return read


def test_covers_are_complete(subject, figures):
    source = random.Random(f"{subject.name} complete")
    counts = figures[subject.name]
    for _ in range(COMPLETE_PREFIXES):
        prefix, original = random_prefix(subject, source)
        whole, pending = whole_characters(prefix)
        covers = subject.ours.cover_encodings(prefix)
        check_form(subject, prefix, covers)
        listed = {tokens for tokens, _ in covers}
        characters = completions(pending)
        if len(characters) > 6:
            characters = source.sample(characters, 6)
        tails = [*TAILS, *(random_text(source, 3) for _ in range(20)), original]
        if pending:
            tails = source.sample(tails, 25)
        for character, tail in itertools.product(characters, tails):
            text = whole + character + tail
            if subject.speaks(text):
                cover = subject.beginning(text, len(prefix))
                assert cover in listed, (subject.name, prefix, text, cover)
                counts["texts whose cover must be listed"] += 1
        counts["prefixes"] += 1


def is_beginning(subject, cover, text):
    return subject.speaks(text) and tuple(subject.encode(text)[: len(cover)]) == cover


def witness(subject, cover, tails=TAILS):
    """Return a text whose encoding begins with `cover`, or None where none of ours does."""
    whole, pending = whole_characters(subject.decode(cover))
    for tail, character in itertools.product(tails, completions(pending)):
        if is_beginning(subject, cover, whole + character + tail):
            return whole + character + tail
    return None


def distant_witness(subject, cover, source):
    """Search along the covers listed behind `cover`: they propose, the reference decides."""
    level = [cover]
    for _ in range(3):
        following = []
        for sequence in level:
            data = subject.decode(sequence)
            for byte in range(256):
                following += [
                    tokens
                    for tokens, _ in subject.ours.cover_encodings(data + bytes([byte]))
                    if tokens[:-1] == sequence
                ]
        level = source.sample(following, min(len(following), 200))
        for sequence in level:
            whole, pending = whole_characters(subject.decode(sequence))
            for character, tail in itertools.product(completions(pending), TAILS[::7]):
                if is_beginning(subject, cover, whole + character + tail):
                    return whole + character + tail
        level = level[:8]
    return None


def choose(subject, covers, source):
    """Choose some of many covers: the longest, each context, ends in blanks and characters."""
    if len(covers) <= 30:
        return covers
    by_context = collections.defaultdict(list)
    for tokens in covers:
        by_context[tokens[:-1]].append(tokens)
    chosen = [source.choice(group) for group in by_context.values()]
    chosen += max(by_context.items(), key=lambda item: len(item[0]))[1][:2]
    inside = [t for t in covers if subject.token_bytes[t[-1]][-1] > 127]
    blank = [t for t in covers if subject.token_bytes[t[-1]][-1] in b" \t\n\r"]
    for group, count in ((covers, 8), (inside, 8), (blank, 6)):
        chosen += source.sample(group, min(len(group), count))
    return list(dict.fromkeys(chosen))


# Where tests of neighbouring tokens alone go wrong: digit groups, contractions, blanks, characters.
DELICATE = [
    *(b"123", b"I'l", b"you'r", b"a'", b"'", b" b'", b"1234 5", b"x  ", b"a\n ", b"\n\n", b" \r"),
    *(
        b"!\n",
        b"//\n//",
        b"camelC",
        b"ABCd",
        b" 1",
        b"a1b",
        b"...",
        b"\t\t",
        b"x \xe2",
        b"\xf0\x9f",
    ),
    *(b"\xe3\x83", b"\xc2", b"1\xcc", b"e\xcc\x81", b"\xe4\xb8", b"\xe0\xa4\xa8\xe0", b"\xd9"),
]


def test_covers_are_sound(subject, figures):
    source = random.Random(f"{subject.name} sound")
    counts = figures[subject.name]
    unexplained = []
    prefixes = [random_prefix(subject, source)[0] for _ in range(SOUND_PREFIXES)]
    for prefix in [*DELICATE, *prefixes]:
        covers = [tokens for tokens, _ in subject.ours.cover_encodings(prefix)]
        chosen = choose(subject, covers, source)
        if prefix in DELICATE:
            chosen = {*chosen, *source.sample(covers, min(len(covers), 100))}
        for cover in chosen:
            counts["covers explained"] += 1
            if witness(subject, cover) is None:
                counts["of them only by a distant text"] += 1
                if distant_witness(subject, cover, source) is None:
                    unexplained.append((prefix, cover))
    assert not unexplained, (subject.name, len(unexplained), unexplained[:5])


def test_first_tokens_are_those_of_some_text(subject, figures):
    """Exhaustive over the vocabulary: a token is listed first iff some text starts with it."""
    counts = figures[subject.name]
    listed = {
        tokens[0]
        for byte in range(256)
        for tokens, _ in subject.ours.cover_encodings(bytes([byte]))
    }
    source = random.Random(f"{subject.name} first")
    for token, data in subject.token_bytes.items():
        counts["tokens"] += 1
        try:
            whole, pending = whole_characters(data)
        except UnicodeDecodeError:  # starts inside a character
            assert token not in listed, (subject.name, token, data)
            continue
        known = not pending and is_beginning(subject, (token,), whole)
        found = known or witness(subject, (token,)) is not None
        if token in listed and not found:
            counts["of them only by a distant text"] += 1
            found = distant_witness(subject, (token,), source) is not None
        assert found == (token in listed), (subject.name, token, data, found)
        counts["first tokens"] += found


def test_contexts_of_a_long_text(subject, figures):
    source = random.Random(f"{subject.name} long")
    for _ in range(LONG_TEXTS):
        text = ""
        while len(text.encode()) < 90 or not subject.speaks(text):
            text = "".join(random_text(source, 2) for _ in range(8))[:120]
        data = text.encode()
        for length in range(1, min(len(data), 150)):
            covers = subject.ours.cover_encodings(data[:length])
            contexts = check_form(subject, data[:length], covers)
            assert 1 <= len(contexts) <= 6, (subject.name, data[:length], len(contexts))
            ends = collections.Counter(len(read) for read in contexts.values())
            assert max(ends.values()) <= 3, (subject.name, data[:length], ends)
            most = figures[subject.name]["contexts at once"]
            figures[subject.name]["contexts at once"] = max(most, len(contexts))


@pytest.mark.parametrize("subject", parameters(["gpt2", "smollm2"]), indirect=True)
def test_newline_that_is_not_joined_to_the_blank_before(subject):
    """The blank may stand alone, because what follows the newline decides where the run is cut."""
    prefix = b"he'd seen: \n"
    spelled = [
        [subject.token_bytes[token] for token in tokens]
        for tokens, overhang in subject.ours.cover_encodings(prefix)
        if overhang == 0
    ]
    assert [b"he", b"'d", b" seen", b":", b" ", b"\n"] in spelled
