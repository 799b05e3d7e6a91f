"""The token side: language models that turn token contexts into rows of logits.

A backend never sees bytes. `FunctionBackend` and `TableBackend` need numpy only;
`TransformersBackend` imports its framework when it is made, not before.
"""

from __future__ import annotations

from nextbyte.backends.base import Backend, Branch, Request
from nextbyte.backends.function import FunctionBackend
from nextbyte.backends.table import TableBackend
from nextbyte.backends.transformers import TransformersBackend

__all__ = [
    "Backend",
    "Branch",
    "FunctionBackend",
    "Request",
    "TableBackend",
    "TransformersBackend",
]
