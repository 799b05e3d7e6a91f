"""The model that reads a layout: sentinels in user text are no words, some texts get no blank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from nextbyte.byte_lm import ByteLM
from nextbyte.fim_formats import find_fim_format

if TYPE_CHECKING:
    from nextbyte.fim_formats import FimFormat, FimOrder

__all__ = ["format_of", "model_for"]


def format_of(lm: ByteLM, name: str | None = None) -> FimFormat | None:
    """Return the layout to use (by default what the tokenizer says), None to weigh middles."""
    if name == "none":
        return None
    tokens = lm.tokenizer.special_tokens | {
        word.decode("utf-8", "replace"): token for word, token in lm.tokenizer.added_words.items()
    }
    return find_fim_format(tokens, name)


_SIBLINGS: Final[WeakKeyDictionary[ByteLM, dict[tuple[str, bool], ByteLM]]] = WeakKeyDictionary()
"""The same models for such texts, by the name of the family, and whether texts get no blank."""


def model_for(lm: ByteLM, known: FimFormat, order: FimOrder) -> tuple[ByteLM, bytes | None]:
    """Return the model for texts in which the spelling of a sentinel or of an end is only text.

    Some files (Qwen's, DeepSeek's) call these tokens words, which are read out of any text. Where
    the middle is a text by itself and gets no blank (Code Llama in "psm"), no text does; what
    they got is returned, to be spelled out (`spell_leads`), and None elsewhere.
    """
    ids = set(known.ids.values())
    words = [word for word, token in lm.tokenizer.added_words.items() if token in ids]
    bare = known.spelling.continued and not known.spelling.heals(order)
    lead = lm.tokenizer.compiled.lead if bare else None
    if not words and not lead:
        return lm, lead
    siblings = _SIBLINGS.setdefault(lm, {})
    key = known.name, bool(lead)
    if key not in siblings:
        tokenizer = lm.tokenizer.without_words(words) if words else lm.tokenizer
        siblings[key] = ByteLM(
            tokenizer.without_lead() if lead else tokenizer,
            lm.backend,
            start_token=lm.start_token,
            end_tokens=lm.end_tokens,
            tolerance=lm.tolerance,
            look_ahead=lm.look_ahead,
        )
    return siblings[key], lead
