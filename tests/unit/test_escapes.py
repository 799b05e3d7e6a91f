"""Arguments of the command line as bytes, with and without backslash escapes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nextbyte.errors import InvalidInputError
from nextbyte.escapes import argument_bytes, escaped, unescape


def test_escapes():
    assert unescape(rb"\n\t\r\0\\\'\"") == b"\n\t\r\0\\'\""
    assert unescape(rb"\\n\xC3\xa9\u00e9\U0001F600") == "\\n\u00e9\u00e9\U0001f600".encode()
    assert argument_bytes("\u00e9\\n", escapes=False) == "\u00e9\\n".encode()
    with pytest.raises(InvalidInputError, match="lone surrogate at character 1"):
        argument_bytes("a\ud800", escapes=False)


@pytest.mark.parametrize(
    "text", [rb"ab\q", rb"ab\x4", rb"ab\u12", rb"ab\ud800", rb"ab\U00110000", b"ab\\"]
)
def test_unknown_escapes_are_refused_with_their_place(text):
    with pytest.raises(InvalidInputError, match="unknown escape at byte 2"):
        unescape(text)


@given(st.binary() | st.text().map(str.encode))
@example("\\n\n\x00\x1b\u200d\U000e0001 \u00e9".encode() + b"\xff\xc3")
def test_escaped_bytes_are_printable_and_come_back(data):
    assert escaped(data).isprintable()
    assert unescape(escaped(data).encode()) == data
