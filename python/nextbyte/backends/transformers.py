"""A backend on a causal language model of Hugging Face transformers, with real KV reuse.

All contexts of a backend share one pool of key/value slots (`_slot_tree`, `_kv_cache`): a prefix
is stored once however many branches have it, one `extend` is one forward pass with batch size one,
and a dropped branch gives its slots back. Theory: with an attention mask that opens to each token
exactly its ancestors, and with its depth as its position, a token's states are those of its own
context read alone; which slots lie between does not enter (tree attention).
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any, Final, Literal

from nextbyte.backends._passes import NewToken, passes
from nextbyte.backends._read_plan import plan_reads
from nextbyte.backends._row_holder import RowHolder
from nextbyte.backends._slot_tree import NewTokens, NoRoomError, Segment, SlotPool, grow, settle
from nextbyte.backends._token_chain import checked_tokens
from nextbyte.backends._transformers_model import (
    GROUPED,
    attention_layers,
    import_framework,
    length_limit,
    own_end_tokens,
    own_start_token,
)
from nextbyte.errors import BackendError, InvalidInputError, NextByteError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from nextbyte.backends.base import Branch, Request

    Row = NDArray[np.floating[Any]]

__all__ = ["TransformersBackend"]

# Root mean square difference from plain forward passes, in standard deviations of the logits.
_CHECK_TOLERANCE: Final = {"float64": 1e-6, "float32": 1e-3, "float16": 0.05}
_CHECK_TOLERANCE_COARSE: Final = 0.15  # bfloat16 and narrower


class _TransformersBranch(RowHolder):
    """A context whose keys and values are in the pool, and its row."""

    __slots__ = ("__weakref__", "_segment")

    def __init__(self, segment: Segment, row: Row) -> None:
        super().__init__(row)
        self._segment = segment


class TransformersBackend:
    """A causal language model of transformers.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A model with a language-modelling head, in evaluation mode, on any device, with attention
        implementation ``"eager"`` or ``"sdpa"``. All its layers must attend to the whole context.
    start_token : int, None or "model", default "model"
        The token a text starts with; by default the model's own BOS (generation config, then
        config), or None where its files name none. None is never replaced by an invention.
    end_tokens : sequence of int or "model", default "model"
        The tokens that end a text; by default the model's own (generation config, then config).
    max_slots : int, optional
        Largest number of tokens held at once, over all branches; no limit by default. Where it is
        reached, the branches that were not used for longest give up their keys and values, which
        are computed again if somebody goes on from there.
    check : bool, default True
        Compare a few short contexts with plain forward passes of the model before trusting it.
        This catches models whose attention cannot be told its mask and positions.

    Raises
    ------
    MissingDependencyError
        If PyTorch or transformers is not installed.
    BackendError
        If the model is of a kind that cannot be read as a tree of contexts.
    InvalidInputError
        If an option is out of range.

    Notes
    -----
    Rows are float32 (float64 for a float64 model), copied to the CPU where the model is not
    there. The backend may be used from several threads; they take turns.

    A forward pass reads the slots that its tokens need, or all in use where that is cheaper.

    Examples
    --------
    >>> backend = TransformersBackend.from_pretrained("path/to/model")  # doctest: +SKIP
    >>> (prompt,) = backend.extend([(None, [1, 504, 3575])])  # doctest: +SKIP
    >>> one, two = backend.extend([(prompt, [282]), (prompt, [282, 260])])  # doctest: +SKIP
    >>> backend.kv_tokens  # doctest: +SKIP
    5
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - transformers is not type-checked
        *,
        start_token: int | Literal["model"] | None = "model",  # noqa: S107 - of a vocabulary
        end_tokens: Sequence[int] | Literal["model"] = "model",
        max_slots: int | None = None,
        check: bool = True,
    ) -> None:
        self._torch, _ = import_framework()
        from nextbyte.backends import _kv_cache  # noqa: PLC0415 - it imports PyTorch

        layers = attention_layers(model)
        self._mask = _kv_cache.additive_mask
        self._attention: Any = None  # set where it can read in groups
        if model.config._attn_implementation == GROUPED:  # noqa: SLF001 - it has no other name
            from nextbyte.backends import _grouped_attention  # noqa: PLC0415 - so does it

            self._attention = _grouped_attention
        self._model = model
        self._selects_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._token_limit: int = model.get_input_embeddings().num_embeddings
        self._length_limit = length_limit(model.config)
        self._lock = threading.Lock()
        self._pool = SlotPool(None)
        self._cache = _kv_cache.PooledCache(layers)
        try:
            self._vocab_size = len(self._plain_row([0]))
            if check:
                self._check()
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, NextByteError):
                raise
            raise BackendError(
                f"{type(model).__name__} fails on a small tree of contexts ({error!r}); it does "
                "not take a 4-D attention mask, positions and a cache, so it cannot be used here"
            ) from error
        self._pool = SlotPool(max_slots)
        self._start_token = start_token if start_token != "model" else own_start_token(model)  # noqa: S105
        self._end_tokens = own_end_tokens(model) if end_tokens == "model" else tuple(end_tokens)
        for name, given, tokens in (
            ("start_token", start_token, [self._start_token]),
            ("end_tokens", end_tokens, self._end_tokens),
        ):
            for token in tokens:
                if token is not None and not 0 <= token < self._token_limit:
                    origin = "the model's files name" if given == "model" else "got"
                    raise InvalidInputError(
                        f"{name} must be tokens of the model, 0 to {self._token_limit - 1}; "
                        f"{origin} {token}: pass {name}=..."
                    )

    @classmethod
    def from_pretrained(
        cls,
        directory: str | os.PathLike[str],
        *,
        dtype: str = "float32",
        device: str = "cpu",
        attention: Literal["eager", "sdpa"] | None = None,
        start_token: int | Literal["model"] | None = "model",  # noqa: S107 - of a vocabulary
        end_tokens: Sequence[int] | Literal["model"] = "model",
        max_slots: int | None = None,
        check: bool = True,
    ) -> TransformersBackend:
        """Load a model from a folder, or by a name that transformers knows.

        Parameters
        ----------
        directory : path or str
            A folder written by ``save_pretrained``, or a model name.
        dtype : str, default "float32"
            Type of the weights: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"float64"``.
        device : str, default "cpu"
            Where to put the model, as PyTorch names it.
        attention : {"sdpa", "eager"}, optional
            Attention implementation. By default the first where the model has it, with a faster
            form of it for models with grouped queries. All are exact.
        start_token, end_tokens, max_slots, check
            As for the class.

        Returns
        -------
        TransformersBackend

        Raises
        ------
        BackendError
            If the model cannot be loaded or is not supported.
        """
        torch, transformers = import_framework()
        kind = getattr(torch, dtype, None)
        if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
            raise InvalidInputError(f'dtype must name a floating type such as "float32": {dtype!r}')
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                directory, dtype=kind, attn_implementation=attention
            )
        except (OSError, ValueError, KeyError) as error:
            raise BackendError(
                f"transformers cannot load a causal language model from {str(directory)!r}: {error}"
            ) from error
        if attention is None:
            from nextbyte.backends import _grouped_attention  # noqa: PLC0415 - so does it

            _grouped_attention.adopt(model)
        return cls(
            model.to(device).eval(),
            start_token=start_token,
            end_tokens=end_tokens,
            max_slots=max_slots,
            check=check,
        )

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        return self._vocab_size

    @property
    def start_token(self) -> int | None:
        """The token a text starts with, None where there is none."""
        return self._start_token

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """The tokens that end a text."""
        return self._end_tokens

    @property
    def max_context_tokens(self) -> int | None:
        """Length of the longest context, the start token included; None where nothing says."""
        return self._length_limit

    @property
    def kv_tokens(self) -> int:
        """Number of tokens whose keys and values are held, shared prefixes counted once."""
        with self._lock:
            return self._pool.in_use

    def extend(self, requests: Sequence[Request]) -> list[Branch]:
        """Evaluate contexts in one forward pass; see `Backend.extend`.

        More than 512 new tokens are read in several passes, and so are requests that do not fit
        into `max_slots` together. The empty context is refused: a transformer predicts nothing
        before its first token.
        """
        checked = [
            self._checked(parent, tokens, index) for index, (parent, tokens) in enumerate(requests)
        ]
        branches: list[Branch] = []
        waiting = [checked] if checked else []
        with self._lock:
            while waiting:
                part = waiting.pop()
                try:
                    branches += self._read(part)
                except NoRoomError:
                    if len(part) == 1:
                        raise
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
        return branches

    def _read(self, requests: list[tuple[Segment | None, tuple[int, ...]]]) -> list[Branch]:
        """Evaluate contexts that fit into the pool together."""
        order, ends = grow(self._pool, requests)
        rows: dict[NewTokens, Row] = {}
        filled = False
        try:
            for part in passes(order, self._vocab_size):
                rows.update(self._forward(part))
            filled = True
        finally:
            settle(order, filled=filled)
        # A branch for each request even where two ask for the same: each may release its row.
        return [_TransformersBranch(end.segment, rows[end]) for end in ends]

    def _checked(
        self, parent: Branch | None, tokens: Iterable[int], index: int
    ) -> tuple[Segment | None, tuple[int, ...]]:
        """Return a request as the tree wants it, or raise."""
        own = checked_tokens(tokens, self._token_limit, index)
        if parent is None:
            if not own:
                raise BackendError(
                    f"request {index} is the empty context, which a transformer cannot evaluate; "
                    "give the text a start token: start(bos=...)"
                )
            segment = None
        else:
            segment = parent._segment if isinstance(parent, _TransformersBranch) else None  # noqa: SLF001
            if segment is None or segment.pool is not self._pool:
                raise InvalidInputError(
                    f"request {index}: the branch is not one of this backend's; a branch can only "
                    "be extended by the backend that made it"
                )
            if not own:
                raise InvalidInputError(
                    f"request {index}: no tokens to add to the branch; it already has its logits"
                )
        length = len(own) + (0 if segment is None else segment.length)
        if self._length_limit is not None and length > self._length_limit:
            raise BackendError(
                f"request {index} is a context of {length} tokens; this model's positions end at "
                f"max_position_embeddings = {self._length_limit}: shorten the text, or score it in "
                "smaller windows"
            )
        return segment, own

    def _forward(self, part: list[NewToken]) -> dict[NewTokens, Row]:
        """Run the model over some new tokens; return the rows of those that end a request."""
        torch = self._torch
        # The head runs at the wanted places only; at one place at least, so that it has a shape.
        wanted = [(place, new.run) for place, new in enumerate(part) if new.wanted]
        places = [place for place, _ in wanted] or [len(part) - 1]
        plan = plan_reads(
            [new.ancestors for new in part],
            [id(new.run) for new in part],
            self._pool.high_water,
            in_groups=self._attention is not None,
        )
        self._cache.prepare([new.slot for new in part], self._pool.high_water, plan.slots)
        options: dict[str, Any] = {}
        if self._selects_logits:
            options["logits_to_keep"] = torch.tensor(places, device=self._model.device)
        reading: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self._attention is not None and plan.groups is not None:
            reading = self._attention.in_groups(plan.groups, self._model)
        with torch.inference_mode(), reading:
            mask = self._mask(plan.is_open, self._model.dtype)[None, None]
            logits = self._model(
                input_ids=self._integers([new.token for new in part]),
                position_ids=self._integers([new.position for new in part]),
                attention_mask=mask.to(self._model.device),
                past_key_values=self._cache,
                use_cache=True,
                **options,
            ).logits[0]
            if not self._selects_logits:
                logits = logits[places]
            return {
                run: self._row(row, alone=len(places) == 1)
                for row, (_, run) in zip(logits, wanted, strict=False)
            }

    def _row(self, logits: Any, *, alone: bool) -> Row:  # noqa: ANN401
        """Return logits of one place as a numpy row that keeps no larger block alive."""
        row = logits.detach().to("cpu")
        if row.dtype not in (self._torch.float32, self._torch.float64):
            row = row.to(self._torch.float32)
        elif not alone and row.data_ptr() == logits.data_ptr():
            row = row.clone()
        array: Row = row.numpy()
        array.flags.writeable = False
        return array

    def _integers(self, values: list[int]) -> Any:  # noqa: ANN401
        return self._torch.tensor([values], device=self._model.device)

    def _plain_row(self, tokens: list[int]) -> Row:
        """Return the row after a context by a forward pass without mask, positions or cache."""
        with self._torch.inference_mode():
            logits = self._model(input_ids=self._integers(tokens), use_cache=False).logits
            return self._row(logits[0, -1], alone=False)

    def _check(self) -> None:
        """Compare a small tree, in slots that are out of order, with plain forward passes.

        The slots of a dropped branch are used again between those of living ones, so a model that
        ignores the mask, the positions or the cache gives other logits.
        """
        stem = [token % self._token_limit for token in (11, 7, 5, 3, 2)]
        left, right = ([token % self._token_limit for token in run] for run in ((9, 4, 6), (8, 1)))
        dropped, base = self.extend([(None, left), (None, stem)])
        del dropped
        found = self.extend([(base, left), (base, right), (base, [*left, *right])])
        expected = [self._plain_row([*stem, *tail]) for tail in (left, right, [*left, *right])]
        kind = str(self._model.dtype).removeprefix("torch.")
        tolerance = _CHECK_TOLERANCE.get(kind, _CHECK_TOLERANCE_COARSE)
        for branch, row in zip(found, expected, strict=True):
            error = float(((branch.logits - row) ** 2).mean() ** 0.5)
            if not error <= tolerance * float(row.std()):
                raise BackendError(
                    f"{type(self._model).__name__} gives other logits for a tree of contexts than "
                    f"for each context alone (root mean square {error:.2g}, spread of the logits "
                    f"{float(row.std()):.2g}); its attention does not follow a given mask and "
                    "positions, so it cannot be used here"
                )
