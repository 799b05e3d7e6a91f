"""What a tokenizer says of itself: its report, its checks, its covers as a tree."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

from nextbyte.compiling import check_compiled
from nextbyte.cover_tree import CoverTree, grow_cover_tree
from nextbyte.text_input import as_bytes
from nextbyte.tokenizer_report import (
    Exactness,
    SelfCheck,
    TokenizerReport,
    exactness_of,
    make_report,
)
from nextbyte.verification import Verification, find_reference, verify

if TYPE_CHECKING:
    from nextbyte import _core
    from nextbyte.formats.description import TokenizerDescription

__all__ = ["TokenizerInspection"]

MASKS_PART: Final = 50
"""With masks the self-check costs about this many times as much."""


class TokenizerInspection:
    """The part of `Tokenizer` that looks at what was compiled; made by that class only."""

    _description: TokenizerDescription
    _compiled: _core.CompiledTokenizer
    _not_compiled: str
    _self_check: _core.SelfCheckReport
    _verification: Verification | None

    if TYPE_CHECKING:  # what the class has beside

        @property
        def compiled(self) -> _core.CompiledTokenizer: ...  # noqa: D102 - documented there
        def encode(self, text: str | bytes) -> list[int]: ...  # noqa: D102
        def token_bytes(self, token: int) -> bytes: ...  # noqa: D102

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over the family and every token's bytes, special ones included.

        Files of different formats that have the same tokens have the same fingerprint. What splits
        the text before (patterns) is not in it, since formats spell that differently.
        """
        description = self._description
        digest = hashlib.sha256(f"nextbyte tokenizer 1 {description.model.family}".encode())
        digest.update(len(description.token_bytes).to_bytes(8, "little"))
        for data in description.token_bytes:
            digest.update(len(data).to_bytes(8, "little") + data)
        for content, token in sorted(description.special_tokens.items()):
            data = content.encode("utf-8", "surrogatepass")
            digest.update(token.to_bytes(8, "little") + len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    @property
    def exactness(self) -> Exactness:
        """Say what the covers are: "exact", or a label of what they are instead.

        "normalized": exact, but of normalized texts, where normalizing loses what a text was.
        "validated": confirmed one by one, see `from_file`. "refuted": `verify` found a difference.
        """
        return exactness_of(self._description, self._verification, not_compiled=self._not_compiled)

    def cover_tree(self, prefix: str | bytes, *, examples: int = 4) -> CoverTree:
        """Return the cover encodings of a byte prefix, grouped: what `inspect --covers` draws.

        Parameters
        ----------
        prefix
            The bytes. They may end anywhere, even inside a character.
        examples
            The most last tokens to name at each context; all are counted.

        Returns
        -------
        CoverTree
            The empty context; below it those that are alive after the prefix.

        Raises
        ------
        UnreachableByteError
            No text that this tokenizer encodes starts so.

        Examples
        --------
        >>> import nextbyte as nb
        >>> tree = nb.Tokenizer.from_pretrained("smollm2-135m").cover_tree(b"hell")
        >>> tree.last_tokens.count  # "hello" and "hells"
        2
        """
        return grow_cover_tree(
            self._compiled, self.token_bytes, as_bytes(prefix, name="prefix"), examples=examples
        )

    def self_check(self, *, effort: int = 1) -> SelfCheck:
        """Compare the engine with its own encoder again; a load does it at `effort` 1.

        Parameters
        ----------
        effort
            How many times as much as a load looks at. From 2 on the masks of allowed tokens and the
            cover tracker take part too. 100 takes a second or two.

        Raises
        ------
        UnsupportedTokenizerError
            They differ. Please report that with the file.

        Examples
        --------
        >>> import nextbyte as nb
        >>> nb.Tokenizer.from_pretrained("smollm2-135m").self_check(effort=2).texts
        160
        """
        source = self._description.source
        self._self_check = check_compiled(self._compiled, source=source, effort=effort)
        if effort > 1:
            part = -(-effort // MASKS_PART)
            check_compiled(self._compiled, source=source, effort=part, with_masks=True)
        return self.report().self_check

    def verify(self, *, count: int = 500) -> Verification | None:
        """Compare the encodings of adversarial texts with the library that defines the file.

        That is `tokenizers`, `tiktoken` or `sentencepiece`, where it is installed. `report()` has
        the result from then on.

        Parameters
        ----------
        count
            How many texts.

        Returns
        -------
        Verification or None
            None if no such library is installed, or knows such files.

        Examples
        --------
        >>> import nextbyte as nb
        >>> nb.Tokenizer.from_pretrained("smollm2-135m").verify().differences
        0
        """
        reference = find_reference(self._description)
        if reference is not None:
            self._verification = verify(self, reference, count=count)
        return self._verification

    def report(self) -> TokenizerReport:
        """Return what was compiled, in figures."""
        return make_report(
            self._description,
            self._compiled,
            self._self_check,
            self._verification,
            not_compiled=self._not_compiled,
        )
