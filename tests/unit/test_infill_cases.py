"""Infilling where others break: cut prompts, empty parts, CRLF, sentinels in a user's file.

Each family's layout is read by a tiny model of noise, or one whose answer is a table.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.fim_formats import FIM_FORMATS
from unit.fim_models import END, FAMILIES, coder, fim_model, sayer

EMOJI = "\U0001f600".encode()


@pytest.fixture(scope="module")
def coders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coders")
    return {family: coder(folder, family) for family in FAMILIES}


def spelling_of(family):
    return next(spelling for spelling in FIM_FORMATS if spelling.name == family)


def orders(family):
    return spelling_of(family).orders


def is_closed(family, order):
    """The prefix stands between two sentinels."""
    return order == "psm" or family == "seedcoder"


EVERY = [(family, order) for family in FAMILIES for order in orders(family)]

GAPS = {
    "indentation": (b"def f(x):\n    ", b"\n"),
    "space": (b"a world ", b"\n"),
    "blank line": (b"ab\n\n", b"ab\n"),
    "angle bracket": (b"ab <", b">\n"),
    "inside a word": (b"Hello, worl", b"!\n"),
    "CRLF": (b"ab\r\n    world\r\n", b"\r\nab\r\n"),
    "half a CRLF": (b"ab\r", b"\nab\r\n"),
    "empty prefix": (b"", b"ab\n"),
    "empty suffix": (b"ab", b""),
    "both empty": (b"", b""),
    "suffix from mid-word": (b"Hello, wo", b"rld, world\n"),
    "right behind a special token": (b"", b"\n"),
}


@pytest.mark.parametrize(("family", "order"), EVERY)
@pytest.mark.parametrize("name", GAPS)
def test_a_gap_that_breaks_others(name, family, order, coders):
    tokenizer = coders[family]
    lm, backend = fim_model(tokenizer)
    prefix, suffix = GAPS[name]
    for typed in (b"", b"wor", EMOJI[:2]):
        backend.reset()
        params = nb.SamplingParams(seed=1, max_bytes=5)
        found = nb.infill(lm, prefix, suffix, params, typed=typed, order=order)
        assert (found.format, found.order) == (family, order)
        closed = is_closed(family, order)
        open_text = typed if closed else prefix + typed
        assert found.generation.prompt == open_text
        # No byte of the text, white space included, is taken back: covers spell all of it.
        cover = found.generation.cover
        assert found.generation.bytes.startswith(cover.overhang[: len(found.bytes)])
        specials = set(tokenizer.special_tokens.values())
        contexts = [context for batch in backend.batches for context in batch]
        for context in contexts:
            texts, part = [], b""
            for token in context:
                if token in specials:
                    texts.append(part)
                    part = b""
                else:
                    part += tokenizer.token_bytes(token)
            whole = [text for text in texts if text]
            parts = [prefix, suffix] if closed else [suffix]
            if order == "spm":
                parts.reverse()
            assert whole == [text for text in parts if text]
            # The open text is its beginning, or goes on from it.
            assert open_text.startswith(part) or part.startswith(open_text)


@pytest.mark.parametrize(("family", "order"), [e for e in EVERY if not is_closed(*e)])
def test_half_a_character_before_the_gap(family, order, coders):
    lm, _ = fim_model(coders[family])
    params = nb.SamplingParams(seed=1, max_bytes=6)
    for cut in (1, 2, 3):
        found = nb.infill(lm, b"ab " + EMOJI[:cut], b"\n", params, order=order)
        assert len((EMOJI[:cut] + found.bytes)[:4].decode()) == 1  # one whole character


def test_half_a_character_where_the_prefix_is_closed(coders):
    lm, _ = fim_model(coders["starcoder"])
    with pytest.raises(nb.errors.InvalidInputError, match="must be a complete text"):
        nb.infill(lm, EMOJI[:2], b"\n", order="psm")
    # Typed behind the sentinel it is an open text.
    found = nb.infill(lm, b"ab", b"\n", nb.SamplingParams(seed=1, max_bytes=4), typed=EMOJI[:2])
    assert len(found.middle[:4].decode()) == 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_word", [False, True])
def test_sentinels_in_a_file_are_text(family, is_word, coders, tmp_path):
    spelling = spelling_of(family)
    names = tuple(dict.fromkeys((*spelling.needed, *spelling.ends)))
    tokenizer = coder(tmp_path, family, words=names) if is_word else coders[family]
    ids = dict(tokenizer.special_tokens) | {
        word.decode(): token for word, token in tokenizer.added_words.items()
    }
    assert (len(tokenizer.added_words) > 0) == is_word
    for order in orders(family):
        text = "".join(names)
        lm, backend = fim_model(tokenizer)
        params = nb.SamplingParams(seed=1, max_bytes=3)
        nb.infill(lm, f"ab {text}", f"{text}\n", params, typed=names[0], order=order)
        wanted = len([sentinel for sentinel in spelling.sentinels if sentinel])
        for batch in backend.batches:
            for context in batch:
                assert sum(token in {ids[n] for n in names} for token in context) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_ends_of_the_middle_that_are_called_words(family, tmp_path):
    spelling = spelling_of(family)
    for end in spelling.ends:
        tokenizer = coder(tmp_path, family, words=(end,))
        ids = tokenizer.encode("ab world")
        width = tokenizer.vocab_size

        def row(context, end=end, tokenizer=tokenizer, ids=ids, width=width):
            logits = np.full(width, -60.0)
            last = next((n for n in range(len(ids), 0, -1) if list(context[-n:]) == ids[:n]), 0)
            following = [*ids, tokenizer.added_words[end.encode()]]
            logits[following[last]] = 0.0
            return logits

        lm, _ = fim_model(tokenizer, row)
        found = nb.infill(lm, "x", "y", nb.SamplingParams(temperature=0, max_bytes=40))
        assert (found.bytes, found.finish_reason) == (b"ab world", "end_of_text")


@pytest.mark.parametrize(("family", "order"), EVERY)
def test_the_middle_that_a_model_says(family, order, coders):
    """A word cut anywhere is completed, whether its beginning is prefix or typed."""
    tokenizer = coders[family]
    says = "ab world\n    ab"
    for cut in range(len(says)):
        lm = sayer(tokenizer, says if is_closed(family, order) else f"x = {says}")
        params = nb.SamplingParams(temperature=0, max_bytes=60)
        found = nb.infill(lm, "x = ", "\n", params, typed=says[:cut], order=order)
        assert (found.middle.decode(), found.finish_reason) == (says, "end_of_text"), cut
        if not is_closed(family, order):
            found = nb.infill(lm, f"x = {says[:cut]}", "\n", params, order=order)
            assert found.bytes.decode() == says[cut:]


def test_the_law_of_the_middle_is_that_of_bytes(coders):
    """Many middles of one byte, by tokens, against the exact law of the first byte."""
    tokenizer = coders["starcoder"]
    few = [tokenizer.encode(text)[0] for text in ("w", "wo", "worl", "world", " world", "r", "l")]
    few.append(tokenizer.special_tokens[END])
    width = tokenizer.vocab_size

    def row(context):
        logits = np.full(width, -np.inf)
        logits[few] = np.random.default_rng([*map(int, context)]).normal(0.0, 1.0, len(few))
        return logits

    lm, _ = fim_model(tokenizer, row)
    for order, typed in itertools.product(("psm", "spm"), (b"", b"w", b"wor")):
        session = nb.InfillSession(lm, b"wo", b"l", order=order)
        session.type(typed)
        law = np.exp(session._state.next_byte_logprobs())
        counts = np.zeros(257)
        draws = 400
        for seed in range(draws):
            found = session.complete(nb.SamplingParams(seed=seed, max_bytes=1))
            counts[found.bytes[0] if found.bytes else 256] += 1
        np.testing.assert_allclose(counts / draws, law, atol=5 * 0.5 / np.sqrt(draws))
