"""Small random models of transformers, and the rows that plain forward passes give."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

LIMIT = 640  # positions of the small models; more than one chunk of a prompt
VOCAB = 101
PARITY = 2e-4  # of logits in float32, the largest difference


def llama(attention="sdpa", **options):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=LIMIT,
        initializer_range=0.3,  # so that attention matters to the logits
        **options,
    )
    config._attn_implementation = attention
    return transformers.LlamaForCausalLM(config).eval()


def gpt2(attention="sdpa"):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCAB,
        n_embd=48,
        n_layer=2,
        n_head=4,
        n_positions=LIMIT,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    config._attn_implementation = attention
    return transformers.GPT2LMHeadModel(config).eval()


def plain(model, tokens):
    """The row after a context, by a forward pass of its own."""
    with torch.inference_mode():
        return model(torch.tensor([tokens]), use_cache=False).logits[0, -1].float().numpy()


def difference(backend, branch, tokens):
    return float(np.abs(branch.logits - plain(backend._model, tokens)).max())


def tokens_of(count, seed=0):
    return random.Random(seed).choices(range(VOCAB), k=count)
