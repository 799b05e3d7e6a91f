"""Attention for few queries and many shared keys, without repeating keys for every query head.

With grouped queries (G query heads for each key head) the stock implementation copies all keys
and values G times whenever there is more than one query, which a tree of contexts has at every
step; at 2000 slots that copy is a fifth of the step. Here the G heads of a group become G times
as many queries of one head, which is the same sum:

    head h, query q  ->  key head h // G, query (h mod G) * Q + q

Prompts (many queries) and everything unusual go to the stock implementation, where the copy is
lost in the work.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NAME", "adopt"]

NAME: Final = "nextbyte_tree"  # as transformers' registry knows it
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
        AttentionInterface.register(NAME, _grouped_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


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
    if (
        group == 1
        or not 1 < queries <= _FEW_QUERIES
        or attention_mask is None
        or attention_mask.shape[:3] != (batch, 1, queries)
        or options.get("position_bias") is not None
        or options.get("softcap") is not None
    ):
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
