"""Incremental UTF-8 and stop strings: nothing is shown too early, nothing is held too long."""

from __future__ import annotations

import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbyte.errors import InvalidInputError
from nextbyte.stop_strings import StopMatcher
from nextbyte.text_input import as_bytes
from nextbyte.text_stream import Utf8Stream

# Lead bytes of every row of the table of well-formed sequences, its edges, and some ASCII.
NASTY = bytes.fromhex("61 5a 00 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f3 f4 f5 ff")
nasty_bytes = st.lists(st.sampled_from(NASTY), max_size=24).map(bytes)
pieces_of_bytes = st.lists(st.one_of(nasty_bytes, st.text(max_size=6).map(str.encode)), max_size=8)


@functools.cache
def unfinished_characters():
    """Every proper prefix of the UTF-8 form of a character, from the characters themselves."""
    found = {b""}
    for code in itertools.chain(range(0x80, 0xD800), range(0xE000, 0x110000)):
        encoded = chr(code).encode()
        for length in range(1, len(encoded)):
            found.add(encoded[:length])
    return found


def must_hold(data):
    """The longest end of `data` that starts a character; lead bytes never continue one."""
    return next(data[i:] for i in range(max(0, len(data) - 3), len(data) + 1)
                if data[i:] in unfinished_characters())  # fmt: skip


def test_holds_exactly_the_unfinished_character_for_all_pairs_of_bytes():
    for first, second in itertools.product(range(256), repeat=2):
        stream = Utf8Stream()
        released = stream.push(bytes([first])) + stream.push(bytes([second]))
        assert stream.held == must_hold(bytes([first, second]))
        assert released + stream.held == bytes([first, second])


@given(pieces_of_bytes)
def test_holds_exactly_the_unfinished_character(pieces):
    stream, seen, released = Utf8Stream(), b"", b""
    for piece in pieces:
        seen += piece
        released += stream.push(piece)
        assert stream.held == must_hold(seen)
        assert released + stream.held == seen


@pytest.mark.parametrize("errors", ["replace", "ignore", "backslashreplace"])
@given(pieces=pieces_of_bytes)
def test_decoding_piecewise_is_decoding_the_whole(errors, pieces):
    stream = Utf8Stream()
    released = [stream.push(piece) for piece in pieces] + [stream.finish()]
    whole = b"".join(pieces)
    assert b"".join(released) == whole
    assert "".join(data.decode(errors=errors) for data in released) == whole.decode(errors=errors)


def test_ill_formed_bytes_come_out_as_soon_as_they_are_certain():
    stream = Utf8Stream()
    assert stream.push(b"\xff") == b"\xff"
    assert stream.push(b"\xe2") == b""
    assert stream.push(b"(") == b"\xe2("
    assert stream.push(b"\xed") == b""
    assert stream.push(b"\xa0") == b"\xed\xa0"  # a surrogate: no third byte can mend it


def test_finish_returns_the_rest_and_starts_anew():
    stream = Utf8Stream()
    assert stream.push(b"\xf0\x9f\x98") == b""
    assert stream.finish() == b"\xf0\x9f\x98"
    assert stream.held == b""
    assert stream.push(b"\x80") == b"\x80"


def first_stop(data, stops):
    """The definition: the earliest end of any stop, the longest of those that end there."""
    for end in range(len(data) + 1):
        ending = [stop for stop in stops if data[:end].endswith(stop)]
        if ending:
            return end, max(ending, key=len)
    return None


few_letters = st.lists(st.sampled_from(b"ab"), max_size=30).map(bytes)
some_stops = st.lists(
    st.lists(st.sampled_from(b"ab"), min_size=1, max_size=6).map(bytes), max_size=4
)


@given(few_letters, some_stops)
def test_matcher_agrees_with_the_definition(data, stops):
    matcher = StopMatcher(stops)
    for index, byte in enumerate(data):
        found = matcher.push(byte)
        expected = first_stop(data[: index + 1], stops)
        assert found == (None if expected is None else expected[1])
        if found is not None:
            return
        longest = max(
            (n for stop in stops for n in range(len(stop)) if data[: index + 1].endswith(stop[:n])),
            default=0,
        )
        assert matcher.pending == longest


def test_matcher_falls_back_inside_a_stop_that_repeats_itself():
    matcher = StopMatcher([b"aab"])
    assert [matcher.push(byte) for byte in b"aaab"] == [None, None, None, b"aab"]


def test_matcher_without_stops_holds_nothing():
    matcher = StopMatcher([])
    assert matcher.push(0) is None
    assert matcher.pending == 0


def test_as_bytes_names_the_argument_and_the_lone_surrogate():
    assert as_bytes("\u00e9\U0001f600", name="prompt") == "\u00e9\U0001f600".encode()
    assert as_bytes(b"\xff", name="prompt") == b"\xff"
    with pytest.raises(InvalidInputError, match=r"prompt: lone surrogate U\+D83D at character 2"):
        as_bytes("ab\ud83d", name="prompt")
    with pytest.raises(InvalidInputError, match="prompt must be str or bytes, not int"):
        as_bytes(3, name="prompt")
