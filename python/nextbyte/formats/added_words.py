"""Added tokens of a `tokenizer.json`: which stand for no text, and which are read out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nextbyte.errors import UnsupportedTokenizerError
from nextbyte.formats.byte_alphabet import decode_byte_alphabet
from nextbyte.formats.vocabulary import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nextbyte.formats.json_fields import JsonField


@dataclass(frozen=True, slots=True)
class AddedWords:
    """Content and id of every added token.

    Parameters
    ----------
    special
        Those that stand for no text.
    words
        Those that are read out of text wherever they are spelled.
    """

    special: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)

    def owns(self, spelling: str, token: int) -> bool:
        """Tell whether this entry of the vocabulary is an added token."""
        # type(): 3.0 and true equal ids, but are none; None is what get() returns.
        owners = (self.special.get(spelling), self.words.get(spelling))
        return type(token) is int and token in owners


def read_added_words(
    added: JsonField, vocabulary: Mapping[str, int], *, ignore: bool, normalizes: bool
) -> AddedWords:
    """Sort the added tokens of a file.

    Parameters
    ----------
    added
        The list.
    vocabulary
        The id of every spelling that the model knows.
    ignore
        Count those that are not special among those that stand for no text: their spelling is then
        ordinary text.
    normalizes
        The file has a normalizer that changes texts.

    Raises
    ------
    TokenizerFormatError
        An entry lacks something, is there twice, or has another id than the model gives it.
    UnsupportedTokenizerError
        Where a token is read out of text depends on more than its spelling.
    """
    found = AddedWords()
    if added.value is None:
        return found
    first_pass: list[str] = []
    second_pass: list[tuple[str, JsonField]] = []
    for token in added.items():
        content = token["content"].text()
        index = token["id"].integer(limit=MAX_TOKENS)
        if token["special"].flag(default=False) or ignore or not content:
            found.special[content] = index
            continue
        if content in found.words:
            raise token.error(f"is the added token {content!r:.80} once more")
        if vocabulary.get(content, index) != index:
            raise token.error(f"gives {content!r:.80} the id {index}, the model another one")
        _require_plain(token, content)
        if content in vocabulary and decode_byte_alphabet(content) not in (None, content.encode()):
            raise _refused(token, content, "is also the model's token for other bytes")
        found.words[content] = index
        if token["normalized"].flag(default=True):
            if normalizes:
                raise _refused(token, content, "is looked for in normalized text")
            second_pass.append((content, token))
        else:
            first_pass.append(content)
    _require_one_pass(first_pass, second_pass)
    return found


def _refused(token: JsonField, content: str, problem: str) -> UnsupportedTokenizerError:
    return UnsupportedTokenizerError(
        f"{token.source}: {token.path}, the added token {content!r:.80}, {problem}. "
        "ignore_added_words=True makes a tokenizer that treats the spelling of added tokens as text"
    )


def _require_plain(token: JsonField, content: str) -> None:
    for option, effect in (
        ("lstrip", "takes the blanks before it out of the text"),
        ("rstrip", "takes the blanks after it out of the text"),
        ("single_word", "is read only where no word goes on; covers do not follow that yet"),
    ):
        if token[option].flag(default=False):
            raise _refused(token, content, f"has {option}: it {effect}")


def _require_one_pass(first_pass: list[str], second_pass: list[tuple[str, JsonField]]) -> None:
    """Refuse words whose order of passes matters.

    The encoder looks for the words with `normalized` false in the whole text, then for the others
    in what is left. Looking for all at once, leftmost and longest first, gives the same unless a
    word of the second pass can stand before, or over, one of the first that it overlaps.
    """
    if not first_pass or not second_pass:
        return
    words = set(first_pass)
    beginnings = {word[:end] for word in first_pass for end in range(1, len(word))}
    for content, token in second_pass:
        size = len(content)
        for start in range(size):
            overlapped = [content[start:]] if start and content[start:] in beginnings else []
            overlapped += [
                content[start:end]
                for end in range(start + 1, size + 1)
                if content[start:end] in words
            ]
            if overlapped:
                raise _refused(
                    token,
                    content,
                    f"can overlap one that is looked for before it, at {overlapped[0]!r:.80}",
                )
