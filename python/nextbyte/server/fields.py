"""Reads a request's JSON: one object, whose fields have the types that an endpoint expects.

null stands for a field that is absent, whole floats (64.0, as some encoders write) for integers.
What nobody asks for is ignored. Every complaint names the field.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NoReturn

from nextbyte.server.refusals import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fields", "read_object"]


def read_object(body: bytes) -> Fields:
    """Return the fields of a request's body.

    Raises
    ------
    RefusalError
        It is no JSON object.

    Examples
    --------
    >>> read_object(b'{"prompt": "a"}').text("prompt")
    'a'
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise RefusalError("the body's JSON is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such, too
        raise RefusalError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RefusalError(f"the body must be a JSON object, not {_kind(value)}")
    return Fields(value)


class Fields:
    """The fields of one JSON object.

    Parameters
    ----------
    values : mapping
        As `json` reads them.
    where : str, default ""
        What stands before the names in complaints.
    """

    def __init__(self, values: Mapping[str, object], where: str = "") -> None:
        self._values = values
        self._where = where

    def get(self, name: str) -> object:
        """Return a field as it is, None where it is absent."""
        return self._values.get(name)

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Raise: a field is not what it has to be."""
        field = self._where + name
        raise RefusalError(f"{field} must be {wanted}, not {_kind(self.get(name))}", field=field)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text that has a UTF-8 form; JSON can spell others."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(name, "a string")
        return whole(value, self._where + name)

    def needed_text(self, name: str) -> str:
        """Return a text that has to be there."""
        value = self.text(name)
        if value is None:
            raise RefusalError(f"{self._where + name} is required", field=self._where + name)
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; one text is a list of one."""
        value = self.get(name)
        if value is None:
            return []
        if isinstance(value, str):
            return [whole(value, self._where + name)]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(name, "a string or a list of strings")
        return [whole(item, f"{self._where}{name}[{i}]") for i, item in enumerate(value)]

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(name, "a list of objects")
        return [Fields(item, f"{self._where}{name}[{i}].") for i, item in enumerate(value)]

    def truth(self, name: str) -> bool:
        """Return true or false; false where it is absent."""
        value = self.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.refuse(name, "true or false")
        return value

    def number(self, name: str) -> float | None:
        """Return a number, None where it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "a number")
        try:
            return float(value)
        except OverflowError:
            self.refuse(name, "a number that a double can hold")

    def integer(self, name: str, *, minimum: int | None = None) -> int | None:
        """Return an integer, None where it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, "an integer")
        if minimum is not None and value < minimum:
            field = self._where + name
            raise RefusalError(f"{field} must be at least {minimum}, not {value}", field=field)
        return value


def whole(text: str, field: str) -> str:
    r"""Return a text, or refuse a lone surrogate in it.

    Examples
    --------
    >>> whole("\ud83d", "stop")
    Traceback (most recent call last):
        ...
    nextbyte.server.refusals.RefusalError: stop: lone surrogate U+D83D at character 0 ...
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefusalError(
            f"{field}: lone surrogate U+{ord(text[error.start]):04X} at character {error.start} "
            "has no UTF-8 form",
            field=field,
        ) from None
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _kind(value: object) -> str:
    """Say what a JSON value is."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        shown = repr(value) if isinstance(value, float) or abs(value) < 10**20 else ""
        return shown or "an integer of so many digits"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"
