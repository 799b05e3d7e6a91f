"""Checked access to a parsed JSON document: every error names the file and the place in it."""

from __future__ import annotations

import contextlib
import gc
import json
from typing import TYPE_CHECKING, Any, Final

from nextbyte.errors import TokenizerFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAMES: Final = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "an integer",
    list: "an array",
    str: "text",
    type(None): "null",
}


@contextlib.contextmanager
def collection_held() -> Iterator[None]:
    """Hold garbage collection: it would look through growing data again and again.

    A document of 400,000 small lists is parsed in half the time so. Nothing in it is garbage.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class JsonField:
    """A value of a document and the way to it, for example ``model.merges[3]``."""

    __slots__ = ("path", "source", "value")

    def __init__(self, value: Any, *, source: str, path: str) -> None:  # noqa: ANN401
        self.value = value
        self.source = source
        self.path = path

    @classmethod
    def read(cls, path: Path) -> JsonField:
        """Parse a file.

        Raises
        ------
        TokenizerFormatError
            It cannot be read, is not UTF-8 or not JSON, or is nested too deep.
        """
        try:
            with collection_held():
                value = json.loads(path.read_bytes().decode("utf-8"))
        except OSError as error:
            raise TokenizerFormatError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise TokenizerFormatError(f"{path}: not a JSON file: {error}") from None
        except MemoryError:
            message = f"{path}: there is not enough memory for what this JSON file holds"
            raise TokenizerFormatError(message) from None
        return cls(value, source=str(path), path="the document")

    def error(self, problem: str) -> TokenizerFormatError:
        """Return an error about this place."""
        return TokenizerFormatError(f"{self.source}: {self.path} {problem}")

    def _expect(self, kind: type) -> Any:  # noqa: ANN401
        # type() and not isinstance: true is no integer.
        if type(self.value) is not kind:
            found = _NAMES.get(type(self.value), type(self.value).__name__)
            raise self.error(f"must be {_NAMES[kind]}, not {found}")
        return self.value

    def object(self) -> dict[str, Any]:
        """Return the value, which must be an object."""
        value: dict[str, Any] = self._expect(dict)
        return value

    def text(self) -> str:
        """Return the value, which must be text without lone surrogates."""
        value: str = self._expect(str)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(f"has a lone surrogate: {value!r:.80}") from None
        return value

    def flag(self, *, default: bool) -> bool:
        """Return the value, which must be true or false; null and absent mean the default."""
        return default if self.value is None else bool(self._expect(bool))

    def integer(self, *, limit: int) -> int:
        """Return the value, which must be an integer from 0 to below `limit`."""
        value: int = self._expect(int)
        if not 0 <= value < limit:
            kind = "a negative id" if value < 0 else "too great"
            raise self.error(f"is {value}, {kind}; it must be from 0 to {limit - 1}")
        return value

    def items(self) -> Iterator[JsonField]:
        """Iterate over the entries of an array."""
        for index, entry in enumerate(self._expect(list)):
            yield JsonField(entry, source=self.source, path=f"{self.path}[{index}]")

    def __getitem__(self, key: str) -> JsonField:
        """Return the field of an object; a missing one has the value None."""
        path = key if self.path == "the document" else f"{self.path}.{key}"
        return JsonField(self.object().get(key), source=self.source, path=path)
