"""The ASGI application: routes, the key, bodies, answers and streams, one line a request.

Whatever goes wrong becomes an answer in JSON. While a request waits for the model, somebody listens
for its client to go away, and then cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import time
import traceback
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from nextbyte.server.completions import completion_chunks, completion_object, read_completion
from nextbyte.server.fields import read_object
from nextbyte.server.fim_completions import fim_chunks, fim_object, read_fim_completion
from nextbyte.server.infill import infill_chunks, infill_object, read_infill
from nextbyte.server.refusals import RefusalError, error_object, refusal_of
from nextbyte.server.served import ServedModel
from nextbyte.server.worker import ModelWorker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator

    from starlette.types import Message, Receive, Scope, Send

    from nextbyte.byte_model import ByteModel
    from nextbyte.server.tally import Tally
    from nextbyte.server.worker import Job

__all__ = ["Application"]

_GONE: Final = 499
"""The status that a log gives a request whose client has gone (nginx's number)."""

_DONE: Final = b"data: [DONE]\n\n"

Handler: TypeAlias = "Callable[[Request], Coroutine[None, None, Response]]"


class Application:
    """The application; `nextbyte.server.make_app` makes it and says what the arguments are.

    Attributes
    ----------
    name : str
        Of the model.
    """

    def __init__(
        self,
        model: ByteModel,
        *,
        name: str,
        api_key: str | None,
        log: Callable[[str], None] | None,
        max_body_bytes: int,
    ) -> None:
        self.name = name
        self._served = ServedModel(model, name)
        self._worker = ModelWorker()
        self._key = None if api_key is None else api_key.encode("utf-8")
        self._log = log
        self._max_body_bytes = max_body_bytes
        self._asgi = Starlette(
            routes=[
                Route("/health", self._answering(self._health, is_open=True)),
                Route("/v1/models", self._answering(self._models)),
                Route("/v1/completions", self._answering(self._complete), methods=["POST"]),
                Route("/v1/fim/completions", self._answering(self._fim), methods=["POST"]),
                Route("/infill", self._answering(self._infill), methods=["POST"]),
            ],
            exception_handlers={HTTPException: _routing_error},
            lifespan=self._lifespan,
        )

    def cancel_all(self) -> None:
        """Cancel all requests, those to come too: the server is about to end."""
        self._worker.cancel_all()

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._asgi(scope, receive, send)
            return
        status = _GONE
        started = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._asgi(scope, receive, watched)
        finally:
            if self._log is not None:
                seconds = time.perf_counter() - started
                notes: _Notes = scope.get("nextbyte") or _Notes()
                status = _GONE if notes.is_gone else status
                path = ascii(scope["path"])[1:-1]
                self._log(f"{scope['method']} {path:.80} {status} | {seconds:.2f} s{notes.text()}")

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.close()

    def _answering(self, handler: Handler, *, is_open: bool = False) -> Handler:
        """Return a handler that asks for the key first, and turns errors into answers."""

        async def answer(request: Request) -> Response:
            request.scope["nextbyte"] = notes = _Notes()
            try:
                if not is_open:
                    self._check_key(request)
                return await handler(request)
            except ClientDisconnect:
                notes.is_gone = True
                return Response(status_code=_GONE)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
                return self._error_answer(error, request)

        return answer

    def _error_answer(self, error: Exception, request: Request) -> Response:
        refusal = self._refusal(error)
        request.scope["nextbyte"].error = str(refusal)
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        return _json(error_object(refusal, request.url.path), refusal.status, headers)

    def _refusal(self, error: Exception) -> RefusalError:
        """Return what a client is told of an error; one that nobody foresaw is logged in full."""
        refusal = refusal_of(error)
        if refusal is None:
            text = "".join(traceback.format_exception(error)).rstrip()
            (self._log or logging.getLogger(__name__).error)(text)
            refusal = RefusalError(f"internal error: {type(error).__name__}", status=500)
        return refusal

    def _check_key(self, request: Request) -> None:
        if self._key is None:
            return
        scheme, _, borne = request.headers.get("authorization", "").partition(" ")
        keys = [request.headers.get("x-api-key", "")]
        if scheme.lower() == "bearer":
            keys.append(borne.strip())
        # latin-1: what headers are read as.
        if not any(hmac.compare_digest(key.encode("latin-1"), self._key) for key in keys):
            raise RefusalError(
                "the API key is missing or wrong: send Authorization: Bearer KEY",
                status=401,
                code="invalid_api_key",
            )

    async def _body(self, request: Request) -> bytes:
        """Return the body, or refuse one that is too large before it is read."""
        body = bytearray()
        declared = request.headers.get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > self._max_body_bytes
        if not too_large:
            async for part in request.stream():
                body += part
                too_large = len(body) > self._max_body_bytes
                if too_large:
                    break
        if too_large:
            raise RefusalError(
                f"the body is larger than {self._max_body_bytes} bytes: send less text",
                status=413,
            )
        return bytes(body)

    async def _health(self, _: Request) -> Response:
        return _json({"status": "ok"})

    async def _models(self, _: Request) -> Response:
        model = {
            "id": self.name,
            "object": "model",
            "created": self._served.created,
            "owned_by": "nextbyte",
        }
        return _json({"object": "list", "data": [model]})

    async def _complete(self, request: Request) -> Response:
        wanted = read_completion(read_object(await self._body(request)), self._served)
        work = completion_chunks if wanted.is_streamed else completion_object
        last = _DONE if wanted.is_streamed else None
        return await self._run(request, partial(work, wanted), wanted.tally, last=last)

    async def _fim(self, request: Request) -> Response:
        wanted = read_fim_completion(read_object(await self._body(request)), self._served)
        work = fim_chunks if wanted.is_streamed else fim_object
        last = _DONE if wanted.is_streamed else None
        return await self._run(request, partial(work, wanted), wanted.tally, last=last)

    async def _infill(self, request: Request) -> Response:
        wanted = read_infill(read_object(await self._body(request)), self._served)
        if wanted.is_warm_up and not wanted.is_streamed:  # no need to wait for a turn
            return _json(next(infill_object(wanted, lambda: False)))
        work = infill_chunks if wanted.is_streamed else infill_object
        last = b"" if wanted.is_streamed else None
        return await self._run(request, partial(work, wanted), wanted.tally, last=last)

    async def _run(
        self,
        request: Request,
        work: Callable[[Callable[[], bool]], Iterator[object]],
        tally: Tally,
        *,
        last: bytes | None,
    ) -> Response:
        """Have the model work; answer with the one object it makes, or with a stream of them.

        `last` is what ends the stream, None for one object.
        """
        notes: _Notes = request.scope["nextbyte"]
        notes.tally = tally
        job = self._worker.submit(work)
        watcher = asyncio.create_task(_watch(request.receive, job, notes))
        events = job.events()
        try:
            first = await anext(events)  # an error before anything was made has its own status
        except BaseException as error:
            job.cancel()
            watcher.cancel()
            if isinstance(error, StopAsyncIteration):  # cancelled while it waited
                self._refuse_if_closed()
                return Response(status_code=_GONE)
            raise
        if last is not None:
            return _EventStream(self._stream(request, first, _Running(job, events, watcher), last))
        watcher.cancel()
        if job.cancelled.is_set():  # what there is may be a part
            self._refuse_if_closed()
        return _json(first)

    async def _stream(
        self, request: Request, first: object, running: _Running, last: bytes
    ) -> AsyncGenerator[bytes, None]:
        """Yield the events of a stream; an error in its middle is one, too."""
        try:
            yield _event(first)
            async for event in running.events:
                yield _event(event)
            if running.job.cancelled.is_set():
                self._refuse_if_closed()
            yield last
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            refusal = self._refusal(error)
            request.scope["nextbyte"].error = str(refusal)
            yield _event(error_object(refusal, request.url.path))
        finally:
            running.job.cancel()
            running.watcher.cancel()

    def _refuse_if_closed(self) -> None:
        if self._worker.is_closed:
            raise RefusalError("the server is shutting down", status=503)


class _Running(NamedTuple):
    """A job whose events are sent on, and who listens for its client to go."""

    job: Job[object]
    events: AsyncIterator[object]
    watcher: asyncio.Task[None]


@dataclass(slots=True)
class _Notes:
    """What the log has to know of a request."""

    tally: Tally | None = None
    is_gone: bool = False
    error: str = ""

    def text(self) -> str:
        """Return what follows status and time."""
        parts = ["" if self.tally is None else self.tally.note(), " ".join(self.error.split())]
        return "".join(f" | {part}" for part in parts if part)


class _EventStream(Response):
    """A response of server-sent events."""

    def __init__(self, parts: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            headers={"Cache-Control": "no-cache"}, media_type="text/event-stream; charset=utf-8"
        )
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the parts as they come."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with contextlib.aclosing(self._parts) as parts:
            await send(start)
            async for part in parts:
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _watch(receive: Receive, job: Job[object], notes: _Notes) -> None:
    """Cancel a job once its client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    notes.is_gone = True
    job.cancel()


async def _routing_error(request: Request, error: Exception) -> Response:
    """Answer a path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    path = request.url.path
    message = f"there is no {path!r:.80}; docs/serving.md lists what there is"
    if error.status_code == 405:
        message = f"{path} does not answer {request.method:.20}"
    refusal = RefusalError(message, status=error.status_code)
    return _json(error_object(refusal, path), error.status_code, dict(error.headers or {}))


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_compact(value), status, headers, media_type="application/json")


def _event(value: object) -> bytes:
    return b"data: " + _compact(value) + b"\n\n"


def _compact(value: object) -> bytes:
    """Return JSON without blanks: llama.vim looks for `"content":"` in the raw answer."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8"
    )
