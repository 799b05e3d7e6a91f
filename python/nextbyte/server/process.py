"""The server as a process: its socket, uvicorn, its signals and its one line when it is ready."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

from nextbyte.errors import InvalidInputError
from nextbyte.server import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from nextbyte.server.app import Application

__all__ = ["bind", "run_server"]

_GRACE_SECONDS: Final = 30
"""A step of a large model may take that long; nothing else is waited for at the end."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound but does not listen yet; port 0 takes a free one.

    A port that is taken is told before a model is loaded, and nobody waits on one that loads.

    Raises
    ------
    InvalidInputError
        No such port.
    OSError
        The address is taken, or is none.
    """
    if not 0 <= port <= 65535:
        raise InvalidInputError(f"port must be between 0 and 65535, not {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(f"cannot listen at {host}: {error}") from None
    family, kind, protocol, _, address = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # where it would let others have the port, too
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    return bound


def run_server(app: Application, bound: socket.socket, say: Callable[[str], None]) -> None:
    """Serve until a signal comes; SIGINT then raises KeyboardInterrupt.

    Parameters
    ----------
    app
        The application.
    bound
        From `bind`; it is closed at the end.
    say
        Called once, with one line, when requests are answered.
    """
    require("uvicorn")
    import uvicorn  # noqa: PLC0415 - an optional extra

    class Server(uvicorn.Server):
        """Says when it is ready; cancels what runs as soon as a signal comes."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                say(f"serving {app.name} at {_url(bound)}")

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.cancel_all()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with contextlib.closing(bound):
        Server(config).run([bound])


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
