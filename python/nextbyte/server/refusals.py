"""Errors as clients see them: a status, and a JSON object in the shape of the endpoint's family."""

from __future__ import annotations

from typing import Final

from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError

__all__ = ["RefusalError", "error_object", "refusal_of"]

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    500: "server_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


class RefusalError(Exception):
    """A request that is not answered as asked.

    Parameters
    ----------
    message : str
        What is wrong, and what to do.
    status : int, default 400
        The HTTP status.
    field : str, optional
        The field of the request that is to blame.
    code : str, optional
        A word for programs, in OpenAI's shape.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        field: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.code = code


def refusal_of(error: Exception) -> RefusalError | None:
    """Return what an error of the library means to a client; None for what nobody foresaw."""
    if isinstance(error, RefusalError):
        return error
    if isinstance(error, InvalidInputError | UnreachableByteError):
        return RefusalError(str(error))
    if isinstance(error, BackendError):
        return RefusalError(str(error), status=500)
    return None


def error_object(refusal: RefusalError, path: str) -> dict[str, object]:
    """Return the answer's JSON: OpenAI's shape below /v1, llama.cpp's elsewhere.

    Examples
    --------
    >>> error_object(RefusalError("no", field="prompt"), "/v1/completions")["error"]["param"]
    'prompt'
    >>> error_object(RefusalError("no", status=501), "/infill")
    {'error': {'code': 501, 'message': 'no', 'type': 'not_supported_error'}}
    """
    kind = _KINDS.get(refusal.status, "invalid_request_error")
    if path.startswith("/v1/"):
        return {
            "error": {
                "message": str(refusal),
                "type": kind,
                "param": refusal.field,
                "code": refusal.code,
            }
        }
    return {"error": {"code": refusal.status, "message": str(refusal), "type": kind}}
