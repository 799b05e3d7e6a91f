"""What the adapter has to know of a transformers model: kind of layers, limits, special tokens."""

from __future__ import annotations

from typing import Any, Final

from nextbyte.errors import BackendError, MissingDependencyError

__all__ = [
    "GROUPED",
    "attention_layers",
    "import_framework",
    "length_limit",
    "own_end_tokens",
    "own_start_token",
]

GROUPED: Final = "nextbyte_tree"
"""`_grouped_attention`, as transformers' registry knows it."""

_ATTENTION: Final = ("eager", "sdpa", GROUPED)


def import_framework() -> tuple[Any, Any]:
    """Return the modules torch and transformers, or say how to get them."""
    try:
        import torch  # noqa: PLC0415 - optional, and slow to import
        import transformers  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            f"TransformersBackend needs PyTorch and transformers ({error}): "
            "pip install nextbyte[transformers]"
        ) from error
    return torch, transformers


def attention_layers(model: Any) -> int:  # noqa: ANN401 - transformers is not type-checked
    """Return the number of attention layers, after a check that all can be read as a tree.

    Raises
    ------
    BackendError
        If the model is no causal decoder, is in training mode, uses an attention implementation
        without 4-D masks, or has layers that do not attend to the whole context one by one
        (sliding windows, chunks, recurrent states, shared caches).
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer  # noqa: PLC0415

    config = getattr(model, "config", None)
    if config is None or not hasattr(model, "forward"):
        raise BackendError(
            f"model must be a transformers model, got {type(model).__name__}; "
            "to load one from a folder use TransformersBackend.from_pretrained"
        )
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise BackendError(f"{name} is an encoder-decoder; only causal decoders are supported")
    if model.training:
        raise BackendError(f"{name} is in training mode, with random dropout: call model.eval()")
    attention = getattr(config, "_attn_implementation", None)
    if attention not in _ATTENTION:
        raise BackendError(
            f"{name} uses attention implementation {attention!r}, which takes no 4-D mask; load it "
            'with attn_implementation="sdpa"'
        )
    try:
        layers = DynamicCache(config=config).layers
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BackendError(
            f"{name}: transformers cannot tell what its layers cache ({error}); not supported"
        ) from error
    for index, layer in enumerate(layers):
        if type(layer) is not DynamicLayer:
            window = getattr(layer, "sliding_window", None)
            kind = f"a sliding window of {window}" if window else f"a {type(layer).__name__}"
            raise BackendError(
                f"{name}: layer {index} keeps {kind}; only models whose layers all attend to the "
                "whole context can be branched exactly, use another model"
            )
    if not layers:
        raise BackendError(f"{name} has no attention layers; recurrent models cannot be branched")
    return len(layers)


def length_limit(config: Any) -> int | None:  # noqa: ANN401
    """Return the longest context the positions of a model are defined for, None if any."""
    config = config.get_text_config(decoder=True)
    limit: int | None = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if isinstance(rope, dict) and rope.get("rope_type") == "longrope":
        # Beyond this length its frequencies change for the whole context, earlier keys included.
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        limit = original or limit
    return limit


def own_start_token(model: Any) -> int | None:  # noqa: ANN401
    """Return the BOS that the model's files name: generation config first, then config."""
    for config in _configs(model):
        token = getattr(config, "bos_token_id", None)
        if isinstance(token, list):
            token = token[0] if token else None
        if token is not None:  # 0 is a token
            return int(token)
    return None


def own_end_tokens(model: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Return the EOS tokens that the model's files name: generation config first, then config."""
    for config in _configs(model):
        tokens = getattr(config, "eos_token_id", None)
        if tokens is not None:
            return tuple(map(int, tokens)) if isinstance(tokens, list) else (int(tokens),)
    return ()


def _configs(model: Any) -> list[Any]:  # noqa: ANN401
    text = model.config.get_text_config(decoder=True)
    return [getattr(model, "generation_config", None), model.config, text]
