"""The key/value cache that a transformers model writes to and reads from: one pool of slots.

This module imports PyTorch and transformers; only the adapter imports it, when one is made.

A layer keeps two tensors, keys and values, of shape (1, heads, capacity, size). A forward pass
writes its new tokens into their slots and attends over the slots below the high water mark, or a
copy of some of them (`_read_plan`); the attention mask opens to each token its own ancestors. So
contexts that share a prefix share its slots, and any number of branches is one pass with batch size
one. Closed slots cost time but change nothing: their weight is exp(-huge) = 0 exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PooledCache", "additive_mask"]

_FIRST_CAPACITY = 256


class _Step:
    """What all layers of one forward pass share: where to write, how far to read."""

    def __init__(self) -> None:
        self.slots: torch.Tensor = torch.empty(0, dtype=torch.long)
        self.high_water = 0
        self.read: torch.Tensor | None = None
        self.capacity = _FIRST_CAPACITY

    @property
    def length(self) -> int:
        """Number of slots that are read."""
        return self.high_water if self.read is None else len(self.read)


class _PooledLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not type-checked
    """Keys and values of one layer, in slots."""

    is_sliding = False

    def __init__(self, step: _Step) -> None:
        super().__init__()
        self._step = step

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocate, with the shapes, type and device that the model turns out to use."""
        # Zeros, because a closed slot is multiplied by zero and must not hold a NaN.
        self.keys = self._zeros(key_states)
        self.values = self._zeros(value_states)
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: Any,  # noqa: ANN401 - models pass what some caches need
        **_kwargs: Any,  # noqa: ANN401
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states of new tokens and return those of the slots that are read."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        elif self.keys.shape[2] < self._step.capacity:
            self.keys = self._grown(self.keys)
            self.values = self._grown(self.values)
        slots = self._step.slots.to(self.keys.device)
        self.keys.index_copy_(2, slots, key_states)
        self.values.index_copy_(2, slots, value_states)
        if self._step.read is not None:
            read = self._step.read.to(self.keys.device)
            return self.keys.index_select(2, read), self.values.index_select(2, read)
        top = self._step.high_water
        return self.keys[:, :, :top], self.values[:, :, :top]

    def get_seq_length(self) -> int:
        """Return the number of slots before this pass, as far as a length has a meaning here."""
        return self._step.length - len(self._step.slots)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:  # noqa: ARG002
        """Return the length and offset of the states that `update` returns."""
        return self._step.length, 0

    def get_max_length(self) -> int:
        """Return -1: there is no fixed length."""
        return -1

    def _zeros(self, states: torch.Tensor) -> torch.Tensor:
        batch, heads, _, size = states.shape
        return states.new_zeros((batch, heads, self._step.capacity, size))

    def _grown(self, old: torch.Tensor) -> torch.Tensor:
        new = self._zeros(old)
        new[:, :, : old.shape[2]] = old
        return new


class PooledCache(Cache):  # type: ignore[misc]  # transformers is not type-checked
    """A transformers cache over the slots of one backend."""

    def __init__(self, layers: int) -> None:
        self._step = _Step()
        super().__init__(layers=[_PooledLayer(self._step) for _ in range(layers)])

    def prepare(
        self, slots: Sequence[int], high_water: int, read: NDArray[np.int64] | None
    ) -> None:
        """Say where the tokens of the next forward pass go, and which slots it reads (None: all).

        Storage grows geometrically.
        """
        step = self._step
        step.read = None if read is None else torch.from_numpy(read)
        step.slots = torch.tensor(slots, dtype=torch.long)
        step.high_water = high_water
        while step.capacity < high_water:
            step.capacity *= 2


def additive_mask(is_open: NDArray[np.bool_], dtype: torch.dtype) -> torch.Tensor:
    """Return an attention mask as it is added to the scores, of the same shape.

    Zero where open, a hugely negative finite number where closed. Additive and floating, because
    eager attention misreads a boolean mask; finite, because a block of minus infinities alone would
    make NaN in a blocked softmax.
    """
    lowest = max(torch.finfo(dtype).min, torch.finfo(torch.float32).min)
    values = np.array([lowest, 0.0], dtype=np.float32)
    return torch.from_numpy(values[is_open.view(np.uint8)]).to(dtype)
