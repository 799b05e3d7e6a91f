"""How bytes look in a terminal."""

from __future__ import annotations

import numpy as np

from nextbyte import display


def test_symbols_are_printable_and_all_different():
    symbols = [display.byte_symbol(symbol) for symbol in range(257)]
    assert len(set(symbols)) == 257
    assert all(symbol.isascii() and symbol.isprintable() for symbol in symbols)


def test_printable_text_cannot_command_a_terminal():
    shown = display.printable(bytes(range(256)) + "\u009b31m \u00e9".encode())
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert shown.endswith("\\x9b31m \u00e9")
    assert display.printable(b"a\tb\n") == "a    b\n"


def test_the_most_probable_under_any_law_come_first_and_the_impossible_never():
    law, other = np.zeros(257), np.zeros(257)
    law[[1, 2, 3]] = [0.25, 0.5, 0.25]
    other[[3, 256]] = [0.3, 0.7]
    assert display.most_probable(9, law) == [2, 1, 3]
    assert display.most_probable(9, law, other) == [256, 2, 3, 1]
    assert display.most_probable(2, law, other) == [256, 2]


def test_percentages_tell_zero_from_small():
    shown = [display._percent(value) for value in (0.0, 1e-9, 0.00005, 0.12345, 1.0)]
    assert shown == ["0.00 %", "<0.01 %", "0.01 %", "12.35 %", "100.00 %"]
