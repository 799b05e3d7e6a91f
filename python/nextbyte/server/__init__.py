"""An HTTP server for one byte model, in the shapes that editors and OpenAI clients speak.

The application is made of plain parts (what a request says, what the model does for it, what the
answer looks like) and of one file that knows the framework, `app.py`. docs/serving.md has the
endpoints, and what is refused or ignored.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from nextbyte.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nextbyte.byte_model import ByteModel
    from nextbyte.server.app import Application

__all__ = ["MAX_BODY_BYTES", "make_app", "require"]

MAX_BODY_BYTES: Final = 16 << 20
"""The largest body of a request, by default."""


def make_app(
    model: ByteModel,
    *,
    name: str,
    api_key: str | None = None,
    log: Callable[[str], None] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Application:
    """Return an ASGI application that serves a model.

    Requests are answered one at a time by a thread that the application starts; the event loop
    stays free. A client that goes away ends its generation before the next step of the model.

    Parameters
    ----------
    model : ByteModel
        Any; nobody else may use it meanwhile.
    name : str
        What clients call it: the `model` of answers. The one of requests is not looked at.
    api_key : str, optional
        What requests must bear (``Authorization: Bearer KEY`` or ``X-Api-Key: KEY``), but for
        ``GET /health``.
    log : callable, optional
        Called with one line for each request.
    max_body_bytes : int, default 16 MiB
        Larger bodies are refused.

    Returns
    -------
    Application
        An ASGI 3 application, for uvicorn or any other server; `close()` ends its thread.

    Raises
    ------
    InvalidInputError
        `model` is no byte model, or an empty `api_key`, which would let everybody in.
    MissingDependencyError
        The extra `server` is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> class FairCoin:  # a byte model: "0" or "1" for ever
    ...     logprob, bound, lm_evaluations = 0.0, 0.0, 0
    ...     def start(self, prompt=b""):
    ...         state = FairCoin()
    ...         state.prefix = prompt
    ...         return state
    ...     def push(self, data):
    ...         self.prefix += data
    ...     def next_byte_logprobs(self):
    ...         row = np.full(257, -np.inf)
    ...         row[list(b"01")] = np.log(0.5)
    ...         return row
    >>> app = make_app(FairCoin(), name="coin", api_key="secret")
    >>> app.name
    'coin'
    >>> app.close()
    """
    if not callable(getattr(model, "start", None)):
        raise InvalidInputError(f"model must be a byte model, not {model!r:.120}")
    if api_key is not None and not api_key:
        raise InvalidInputError("api_key must not be empty; None is for a server without one")
    require("starlette")
    from nextbyte.server.app import Application  # noqa: PLC0415 - an optional extra

    return Application(model, name=name, api_key=api_key, log=log, max_body_bytes=max_body_bytes)


def require(package: str) -> None:
    """Load a package of the extra `server`.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"serving needs {package}: pip install 'nextbyte[server]'"
        ) from error
