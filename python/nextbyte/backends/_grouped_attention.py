"""Attention for few queries and many shared keys, without repeating keys for every query head.

With grouped queries (G query heads for each key head) the stock implementation copies all keys
and values G times whenever there is more than one query, which a tree of contexts has at every
step; at 2000 slots that copy is a fifth of the step. Here the G heads of a group become G times
as many queries of one head, which is the same sum:

    head h, query q  ->  key head h // G, query (h mod G) * Q + q

Where a pass reads in groups (`_read_plan`), each group attends to a copy of its own slots alone.
Prompts (many queries) and everything unusual go to the stock implementation, where the copy is
lost in the work.
"""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nextbyte.backends._transformers_model import GROUPED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from nextbyte.backends._read_plan import Groups

__all__ = ["adopt", "in_groups"]

_FEW_QUERIES: Final = 32


def adopt(model: Any) -> None:  # noqa: ANN401 - transformers is not type-checked
    """Let a model that uses stock ``sdpa`` attention use this one.

    A model with an attention of its own is left as it is.
    """
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask  # noqa: PLC0415
    from transformers.modeling_utils import (  # noqa: PLC0415
        ALL_ATTENTION_FUNCTIONS,
        AttentionInterface,
    )

    functions = getattr(sys.modules[type(model).__module__], "ALL_ATTENTION_FUNCTIONS", None)
    if functions is ALL_ATTENTION_FUNCTIONS and model.config._attn_implementation == "sdpa":  # noqa: SLF001
        AttentionInterface.register(GROUPED, _grouped_attention)
        AttentionMaskInterface.register(GROUPED, sdpa_mask)
        model.set_attn_implementation(GROUPED)


class _GroupTensors(NamedTuple):
    """`Groups` on the device, the mask as it is added."""

    queries: Tensor
    slots: Tensor
    mask: Tensor
    places: Tensor


_groups: ContextVar[_GroupTensors | None] = ContextVar("groups", default=None)


@contextlib.contextmanager
def in_groups(groups: Groups, model: Any) -> Iterator[None]:  # noqa: ANN401
    """Let the attention of a forward pass inside the block read in groups."""
    import torch  # noqa: PLC0415 - optional, and slow to import

    from nextbyte.backends._kv_cache import additive_mask  # noqa: PLC0415 - it imports PyTorch

    device = model.device
    token = _groups.set(
        _GroupTensors(
            torch.from_numpy(groups.queries).to(device),
            torch.from_numpy(groups.slots).to(device),
            additive_mask(groups.is_open, model.dtype)[:, None].to(device),
            torch.from_numpy(groups.places).to(device),
        )
    )
    try:
        yield
    finally:
        _groups.reset(token)


def _by_group(
    query: Tensor, key: Tensor, value: Tensor, groups: _GroupTensors, scaling: float | None
) -> Tensor:
    """Attend group by group, into (1, Q, heads, size)."""
    from torch.nn.functional import scaled_dot_product_attention  # noqa: PLC0415

    _, heads, _, size = query.shape
    key_heads = key.shape[1]
    count, tokens = groups.queries.shape
    chosen = groups.slots.flatten()

    def own(states: Tensor) -> Tensor:  # (groups, key heads, slots, size)
        picked = states[0].index_select(1, chosen)
        return picked.reshape(key_heads, count, -1, states.shape[-1]).transpose(0, 1)

    queries = query[0].index_select(1, groups.queries.flatten())
    queries = queries.reshape(heads, count, tokens, size).transpose(0, 1)
    repeats = heads // key_heads
    output = scaled_dot_product_attention(
        queries.reshape(count, key_heads, repeats * tokens, size),
        own(key),
        own(value),
        attn_mask=groups.mask.repeat(1, 1, repeats, 1),
        scale=scaling,
    )
    output = output.reshape(count, heads, tokens, value.shape[-1]).transpose(1, 2)
    return output.reshape(count * tokens, heads, -1).index_select(0, groups.places)[None]


def _grouped_attention(  # noqa: PLR0917 - called by transformers
    module: Any,  # noqa: ANN401
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attend from (1, heads, Q, size) to (1, key heads, slots, size), into (1, Q, heads, size)."""
    from torch.nn.functional import scaled_dot_product_attention  # noqa: PLC0415
    from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: PLC0415

    batch, heads, queries, size = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    is_plain = (
        attention_mask is not None
        and attention_mask.shape[:3] == (batch, 1, queries)
        and options.get("position_bias") is None
        and options.get("softcap") is None
    )
    groups = _groups.get()
    if is_plain and groups is not None and len(groups.places) == queries:
        return _by_group(query, key, value, groups, scaling), None
    if not is_plain or attention_mask is None or group == 1 or not 1 < queries <= _FEW_QUERIES:
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return result
    output = scaled_dot_product_attention(
        query.reshape(batch, key_heads, group * queries, size),
        key,
        value,
        attn_mask=attention_mask.repeat(1, 1, group, 1),
        dropout_p=dropout,
        scale=scaling,
    )
    output = output.reshape(batch, heads, queries, value.shape[-1])
    return output.transpose(1, 2).contiguous(), None
