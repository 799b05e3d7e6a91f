"""Convert the weight file of an embedded model into a folder that transformers reads.

The weights in a GGUF file are quantised in blocks; each block is expanded to float32 exactly as
its definition says (scale times code plus minimum), so the result is the model that llama.cpp
runs, not an approximation of it. Two things differ between the conventions and are undone:

- names: ``blk.3.attn_q.weight`` is ``model.layers.3.self_attn.q_proj.weight``;
- llama.cpp rotates neighbouring pairs of a head's dimensions, transformers rotates the halves;
  the rows of the query and key projections are stored in llama.cpp's order. With d the head
  size, row 2i of a head moves to i and row 2i + 1 to i + d/2.

The tokenizer is written with the pre-tokenizer that the model was trained with, which the GGUF
file only names (``smollm``): every digit by itself, then GPT-2's pattern.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from nextbyte.errors import FetchError, MissingDependencyError
from nextbyte.models.safetensors_writer import write_float32_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CONVERTER_VERSION", "convert_gguf"]

# Raise it when the files written here change: stored models of another version are rebuilt.
CONVERTER_VERSION: Final = 2

_CONTROL_TOKEN: Final = 3  # tokenizer.ggml.token_type of a token that text never produces
_OUTSIDE: Final = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_INSIDE: Final = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert_gguf(
    source: Path,
    folder: Path,
    *,
    start_token: int | None = None,
    end_tokens: tuple[int, ...] = (),
    progress: Callable[[float], None] | None = None,
) -> dict[str, str]:
    """Write weights, configuration and tokenizer of a Llama-style GGUF file into a folder.

    Parameters
    ----------
    source : Path
        A GGUF file of architecture ``llama`` with a byte-level BPE tokenizer named ``smollm``.
    folder : Path
        An existing folder; files of the same names are overwritten.
    start_token, end_tokens
        What the generation config names instead of the file's own BOS and EOS.
    progress : callable, optional
        Called with the fraction of the weights written, 0.0 to 1.0.

    Returns
    -------
    dict[str, str]
        SHA-256 of the files that were hashed while they were written.

    Raises
    ------
    FetchError
        If the file is of another kind.
    MissingDependencyError
        If the package ``gguf`` is not installed.
    """
    try:
        from gguf import GGUFReader, dequantize  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise MissingDependencyError(
            "converting a fetched model needs the package gguf: pip install nextbyte[fetch]"
        ) from error

    reader = GGUFReader(source)
    fields: dict[str, Any] = dict(reader.fields)

    def metadata(name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the file has it
        field = fields.get(name)
        return default if field is None else field.contents()

    kind = (
        metadata("general.architecture"),
        metadata("tokenizer.ggml.model"),
        metadata("tokenizer.ggml.pre"),
    )
    if kind != ("llama", "gpt2", "smollm"):
        raise FetchError(
            f"{source} is a {kind} file (architecture, tokenizer, pre-tokenizer); only "
            "('llama', 'gpt2', 'smollm') is converted here; give the model to transformers instead"
        )

    config = _model_config(metadata)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = [(tensor, *_target_name(tensor.name)) for tensor in reader.tensors]
    total = sum(int(tensor.n_elements) for tensor, _, _ in tensors)
    done = 0

    def expand(index: int) -> NDArray[np.float32]:
        nonlocal done
        tensor, _, role = tensors[index]
        values: NDArray[np.float32] = dequantize(tensor.data, tensor.tensor_type)
        if role in heads:
            values = _halves_from_pairs(values, heads[role])
        done += int(tensor.n_elements)
        if progress is not None:
            progress(done / total)
        return values

    # GGUF lists the fastest dimension first.
    shapes = [(name, tuple(int(n) for n in reversed(t.shape))) for t, name, _ in tensors]
    config["tie_word_embeddings"] = all(name != "lm_head.weight" for name, _ in shapes)
    digest = write_float32_safetensors(folder / "model.safetensors", shapes, expand)

    special = {
        "bos_token_id": metadata("tokenizer.ggml.bos_token_id"),
        "eos_token_id": metadata("tokenizer.ggml.eos_token_id"),
        "pad_token_id": metadata("tokenizer.ggml.padding_token_id"),
    }
    _write_json(folder / "config.json", config | special)
    generation = dict(special)
    if start_token is not None:
        generation["bos_token_id"] = start_token
    if end_tokens:
        generation["eos_token_id"] = list(end_tokens)
    _write_json(folder / "generation_config.json", generation)
    tokens: list[str] = metadata("tokenizer.ggml.tokens")
    kinds: list[int] = metadata("tokenizer.ggml.token_type")
    control = [index for index, kind in enumerate(kinds) if kind == _CONTROL_TOKEN]
    _write_json(
        folder / "tokenizer.json",
        _tokenizer(tokens, metadata("tokenizer.ggml.merges"), control),
    )
    names = {key.removesuffix("_id"): tokens[i] for key, i in special.items() if i is not None}
    unknown = metadata("tokenizer.ggml.unknown_token_id")
    if unknown is not None:
        names["unk_token"] = tokens[unknown]
    _write_json(
        folder / "tokenizer_config.json",
        names
        | {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": metadata("tokenizer.ggml.add_bos_token", default=False),
            "add_prefix_space": metadata("tokenizer.ggml.add_space_prefix", default=False),
            "additional_special_tokens": [tokens[index] for index in control],
            "chat_template": metadata("tokenizer.chat_template"),
            "clean_up_tokenization_spaces": False,
            "model_max_length": config["max_position_embeddings"],
        },
    )
    return {"model.safetensors": digest}


def _target_name(name: str) -> tuple[str, str]:
    """Return the name in transformers and the role of a weight, ``attn_q`` for example."""
    if name in _OUTSIDE:
        return _OUTSIDE[name], ""
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match is None or match[2] not in _INSIDE:
        raise FetchError(f"weight {name!r} has no counterpart in a Llama model of transformers")
    return f"model.layers.{match[1]}.{_INSIDE[match[2]]}.weight", match[2]


def _halves_from_pairs(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Reorder the rows of a query or key projection, shape (heads * d, width), see above."""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def _model_config(metadata: Callable[[str], Any]) -> dict[str, Any]:
    """Return the model's shape as transformers' ``config.json`` has it."""
    width = metadata("llama.embedding_length")
    heads = metadata("llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "dtype": "float32",
        "head_dim": width // heads,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": metadata("llama.feed_forward_length"),
        "max_position_embeddings": metadata("llama.context_length"),
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": metadata("llama.block_count"),
        "num_key_value_heads": metadata("llama.attention.head_count_kv"),
        "rms_norm_eps": metadata("llama.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": metadata("llama.rope.freq_base"), "rope_type": "default"},
        "vocab_size": metadata("llama.vocab_size"),
    }


def _tokenizer(tokens: list[str], merges: list[str], control: list[int]) -> dict[str, Any]:
    """Return the content of ``tokenizer.json`` for a byte-level BPE with single digits."""
    added = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": index, "content": tokens[index], **added} for index in control],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {**byte_level, "use_regex": True},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
