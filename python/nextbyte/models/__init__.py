"""The embedded models: which there are, where they are kept, and how they are got.

Nothing here imports a framework; `fetch` needs the ``fetch`` extra only while it converts.
"""

from __future__ import annotations

from nextbyte.models.cache import cache_directory
from nextbyte.models.fetch import cached, fetch
from nextbyte.models.registry import MODELS, EmbeddedModel

__all__ = ["MODELS", "EmbeddedModel", "cache_directory", "cached", "fetch"]
