"""Normal forms of texts (NFC, NFKC), exactly as the ``tokenizers`` engine computes them.

The engine's tables are those of Unicode 9.0. To it, a character encoded later is a starter that
composes with nothing, wherever Python's newer tables take it apart, reorder it or compose it. All
other characters are the same in both, as Unicode promises that normal forms never change. So the
engine's normal form is Python's one of the stretches between characters that stand for themselves.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import Final, Literal

from nextbyte._core import NormalFormAutomaton

__all__ = ["NormalForm", "normalized", "normalized_bytes"]

NormalForm = Literal["none", "nfc", "nfkc"]

_NEUTRAL: Final = 0  # the state after a starter that composes with nothing


def _stands_alone(automaton: NormalFormAutomaton, character: str) -> bool:
    """Return whether a character neither changes nor composes, combines or moves."""
    scalar = ord(character)
    return not automaton.is_sensitive(scalar) and automaton.step(_NEUTRAL, scalar) == _NEUTRAL


def normalized(text: str, form: NormalForm) -> str:
    r"""Return the normal form of a text, as the engine of ``tokenizers`` computes it.

    Parameters
    ----------
    text
        Any text without lone surrogates.
    form
        ``"nfc"``, ``"nfkc"``, or ``"none"`` for the text itself.

    Returns
    -------
    str
        The text itself if it is its own normal form.

    Raises
    ------
    UnicodeEncodeError
        If the text has a lone surrogate.
    InvalidInputError
        If the form is unknown.

    Examples
    --------
    >>> normalized("e\u0301", "nfc") == "\u00e9"
    True
    """
    automaton = NormalFormAutomaton(form)
    if automaton.holds(text.encode()):
        return text
    python_form: Literal["NFC", "NFKC"] = "NFKC" if form == "nfkc" else "NFC"
    alone = "".join(c for c in sorted(set(text)) if not c.isascii() and _stands_alone(automaton, c))
    if not alone:
        return unicodedata.normalize(python_form, text)
    # Odd pieces are the characters that stand alone: re.split keeps what a group matches.
    pieces = re.split(f"([{re.escape(alone)}]+)", text)
    pieces[::2] = [unicodedata.normalize(python_form, piece) for piece in pieces[::2]]
    return "".join(pieces)


def normalized_bytes(data: bytes, form: NormalForm) -> bytes:
    """Return the normal form of UTF-8; the bytes of a character cut off at the end are kept.

    Bytes that are not UTF-8 are returned as they are, for others to complain about.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return data
    return normalized(text, form).encode() + decoder.getstate()[0]
