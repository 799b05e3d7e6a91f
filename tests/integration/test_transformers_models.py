"""Which transformers models and arguments are refused, and what is read from a model's files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from integration.small_models import LIMIT, VOCAB, llama, tokens_of, torch, transformers
from nextbyte.backends import TransformersBackend
from nextbyte.errors import BackendError, InvalidInputError

# --- refused -------------------------------------------------------------------------------------


def test_the_empty_context_is_refused_and_says_what_to_give():
    backend = TransformersBackend(llama())
    with pytest.raises(BackendError, match=r"start\(bos="):
        backend.extend([(None, [])])
    (branch,) = backend.extend([(None, [1])])
    with pytest.raises(InvalidInputError, match="no tokens to add"):
        backend.extend([(branch, [])])
    assert backend.extend([]) == []


def test_tokens_and_branches_of_others_are_refused():
    backend, other = TransformersBackend(llama()), TransformersBackend(llama())
    for tokens in ([VOCAB], [-1], [0.5], "1"):
        with pytest.raises(InvalidInputError, match="request 0"):
            backend.extend([(None, tokens)])
    with pytest.raises(InvalidInputError, match="not one of this backend"):
        backend.extend([(other.extend([(None, [1])])[0], [1])])


def test_a_context_beyond_the_positions_is_refused():
    backend = TransformersBackend(llama())
    (full,) = backend.extend([(None, tokens_of(LIMIT))])
    with pytest.raises(
        BackendError, match=f"{LIMIT + 1} tokens.*max_position_embeddings = {LIMIT}"
    ):
        backend.extend([(full, [1])])


SMALL = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("Mistral", {**SMALL, "sliding_window": 16}, "sliding window of 16"),
        ("Gemma3", {**SMALL, "head_dim": 8, "sliding_window": 16}, "sliding window of 16"),
        (
            "Mamba",
            {"vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2},
            "LinearAttention",
        ),
        ("Mpt", {"vocab_size": VOCAB, "d_model": 32, "n_heads": 4, "n_layers": 2}, "other logits"),
        ("Bloom", {"vocab_size": VOCAB, "hidden_size": 32, "n_head": 4, "n_layer": 2}, "4-D"),
    ],
)
def test_models_that_cannot_be_read_as_a_tree_are_refused(kind, options, message):
    torch.manual_seed(0)
    configuration = getattr(transformers, f"{kind.replace('3', '3Text')}Config")(**options)
    configuration._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(configuration).eval()
    with pytest.raises(BackendError, match=message):
        TransformersBackend(model)


def test_other_unfit_models_are_refused():
    with pytest.raises(BackendError, match="encoder-decoder"):
        TransformersBackend(
            transformers.T5ForConditionalGeneration(
                transformers.T5Config(vocab_size=VOCAB, d_model=16, d_kv=4, d_ff=16, num_layers=1)
            ).eval()
        )
    with pytest.raises(BackendError, match=r"model.eval\(\)"):
        TransformersBackend(llama().train())
    with pytest.raises(BackendError, match="transformers model"):
        TransformersBackend("a/path")
    model = llama()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(BackendError, match="attn_implementation"):
        TransformersBackend(model)


def test_the_check_notices_a_model_that_ignores_the_mask(monkeypatch):
    model = llama()
    forward = model.forward

    def ignoring(*args, attention_mask=None, **options):
        if attention_mask is not None:
            attention_mask = torch.zeros_like(attention_mask)
        return forward(*args, attention_mask=attention_mask, **options)

    monkeypatch.setattr(model, "forward", ignoring)
    with pytest.raises(BackendError, match="other logits"):
        TransformersBackend(model)
    assert TransformersBackend(model, check=False).vocab_size == VOCAB


def test_loading_what_is_no_model_is_a_backend_error(tmp_path):
    with pytest.raises(BackendError, match="cannot load"):
        TransformersBackend.from_pretrained(tmp_path)
    with pytest.raises(InvalidInputError, match="dtype"):
        TransformersBackend.from_pretrained(tmp_path, dtype="int8")


# --- special tokens ------------------------------------------------------------------------------


def test_start_and_end_are_what_the_models_files_name():
    model = llama(bos_token_id=0, eos_token_id=[3, 4])
    model.generation_config = transformers.GenerationConfig()
    backend = TransformersBackend(model, check=False)
    assert (backend.start_token, backend.end_tokens) == (0, (3, 4))  # 0 is a token
    model.generation_config = transformers.GenerationConfig(bos_token_id=5, eos_token_id=6)
    backend = TransformersBackend(model, check=False)
    assert (backend.start_token, backend.end_tokens) == (5, (6,))
    backend = TransformersBackend(model, check=False, start_token=None, end_tokens=[])
    assert (backend.start_token, backend.end_tokens) == (None, ())


def test_nothing_is_invented_where_nothing_is_named():
    model = llama(bos_token_id=None, eos_token_id=None)
    model.generation_config = None
    backend = TransformersBackend(model, check=False)
    assert (backend.start_token, backend.end_tokens) == (None, ())


def test_special_tokens_outside_the_vocabulary_are_refused():
    with pytest.raises(InvalidInputError, match="end_tokens"):
        TransformersBackend(llama(), check=False, end_tokens=[VOCAB])
    model = llama(bos_token_id=VOCAB)
    with pytest.raises(InvalidInputError, match="files name 101"):
        TransformersBackend(model, check=False)
    assert TransformersBackend(model, check=False, start_token=1).start_token == 1


# --- around --------------------------------------------------------------------------------------


def test_threads_and_gradients_are_left_as_they_were(tmp_path):
    llama().save_pretrained(tmp_path)
    before = torch.get_num_threads(), torch.is_grad_enabled()
    backend = TransformersBackend.from_pretrained(tmp_path)
    backend.extend([(None, [1, 2])])
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before


def test_the_callers_model_keeps_its_attention():
    model = llama("sdpa")
    TransformersBackend(model)
    assert model.config._attn_implementation == "sdpa"


def test_importing_the_adapter_imports_no_framework():
    code = "import sys, nextbyte.backends; print('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "False"
