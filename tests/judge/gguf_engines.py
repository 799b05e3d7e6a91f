"""Reference engines of GGUF vocabularies: rebuilt from the file's metadata, and published ids.

The file names its pre-tokenizer only; the patterns here are those that the models' authors publish.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
import tokenizers
from gguf import GGUFReader
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from judge.engines import Engine, from_sentencepiece, from_tokenizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SEPARATOR = "\n__ggml_vocab_test__\n"

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# DeepSeek's letters: the characters of \p{L} that have a case, as its file lists them.
_CASED = (
    "A-Za-z\u00b5À-ÖØ-öø-ƺƼ-ƿ\u01c4-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-\u03f5Ϸ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷ"
    "ᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼ\u2102\u2107\u210a"
    "-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149ⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41"
    "-\uff5a𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
_CJK = "[一-龥ࠀ-一가-\ud7ff]+"
STAGES = {  # None: the pattern of GPT-2
    "gpt-2": [None],
    "mpt": [None],
    "default": [None],
    "llama-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "qwen35": [QWEN35],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", None, "[0-9][0-9][0-9]"],
    "deepseek-llm": [
        "[\r\n]",
        rf"\s?[{_CASED}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        _CJK,
        r"\p{N}+",
    ],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}"],
    "smollm": [r"\p{N}", None],
    "starcoder": [r"\p{N}", None],
    "refact": [r"\p{N}", None],
    "command-r": [r"\p{N}", None],
}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class NoReferenceError(LookupError):
    """No reference engine can be rebuilt from the file."""


class Metadata:
    """The vocabulary in a GGUF file."""

    def __init__(self, path: Path) -> None:
        fields = GGUFReader(path).fields
        self._fields = fields
        self.model = self.value("model")
        self.pre = self.value("pre", "default")
        self.tokens = self._texts("tokens")
        self.types = self._numbers("token_type")
        self.merges = self._texts("merges")
        self.scores = self._numbers("scores")
        charsmap = fields.get("tokenizer.ggml.precompiled_charsmap")
        self.charsmap = bytes(self._numbers("precompiled_charsmap")) if charsmap else b""

    def value(self, key, default=None):
        field = self._fields.get(f"tokenizer.ggml.{key}")
        return default if field is None else field.contents()

    def _texts(self, key: str) -> list[str]:
        field = self._fields.get(f"tokenizer.ggml.{key}")
        return [bytes(field.parts[i]).decode() for i in field.data] if field else []

    def _numbers(self, key: str) -> list:
        field = self._fields.get(f"tokenizer.ggml.{key}")
        return [field.parts[i][0].item() for i in field.data] if field else []

    def of_type(self, kind: int) -> list[int]:
        return [token for token, found in enumerate(self.types) if found == kind]


def from_gguf(path: Path, *, plain_words: bool = False) -> Engine:
    """Rebuild the tokenizer of a GGUF file; `plain_words` leaves user-defined tokens in text.

    Raises
    ------
    NoReferenceError
        WordPiece, or a pre-tokenizer whose pattern is not known here.
    """
    metadata = Metadata(path)
    if metadata.model == "gpt2":
        return from_tokenizers(
            _byte_level(metadata), plain_words=plain_words, unknown=metadata.of_type(UNKNOWN)
        )
    if metadata.model == "gemma4":
        return from_tokenizers(_characters(metadata), plain_words=plain_words)
    if metadata.model == "llama":
        return from_sentencepiece(model_proto(metadata))
    if metadata.model == "t5":
        return _unigram(metadata)
    raise NoReferenceError(f"no reference engine for the model {metadata.model!r}")


def _byte_level(metadata: Metadata) -> tokenizers.Tokenizer:
    stages = STAGES.get(metadata.pre)
    if stages is None:
        raise NoReferenceError(f"no reference engine for the pre-tokenizer {metadata.pre!r}")
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab={spelling: token for token, spelling in enumerate(metadata.tokens)},
            merges=[tuple(merge.split(" ", 1)) for merge in metadata.merges],
            ignore_merges=metadata.pre == "llama-bpe",
        )
    )
    splits = [
        pre_tokenizers.Split(Regex(GPT2 if stage is None else stage), "isolated")
        for stage in stages
    ]
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    return _with_added(made, metadata)


def _characters(metadata: Metadata) -> tokenizers.Tokenizer:
    """Build Gemma 4's: BPE over characters with byte fallback, cut at newline runs only."""
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab={spelling: token for token, spelling in enumerate(metadata.tokens)},
            merges=[tuple(merge.split(" ", 1)) for merge in metadata.merges],
            byte_fallback=True,
            fuse_unk=True,
            unk_token="<unk>",  # noqa: S106 - the spelling of a token
        )
    )
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\n]+|\n+"), "isolated")
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _with_added(made, metadata)


def _unigram(metadata: Metadata) -> Engine:
    """Build a unigram model: normalized by SentencePiece, segmented with sums of doubles.

    llama.cpp and the models' own encoders (Hugging Face) add scores up as doubles; SentencePiece
    does so with floats, which decides some ties otherwise.
    """
    around = from_sentencepiece(model_proto(metadata))
    normalizer = sentencepiece.SentencePieceProcessor(model_proto=model_proto(metadata))
    lowest = min(metadata.scores)
    vocabulary = [
        # What stands for no text never wins.
        (spelling, float(score) if token in around.token_bytes else lowest - 100.0)
        for token, (spelling, score) in enumerate(
            zip(metadata.tokens, metadata.scores, strict=True)
        )
    ]
    made = tokenizers.Tokenizer(
        models.Unigram(vocabulary, metadata.value("unknown_token_id", 0), byte_fallback=False)
    )

    def encode_batch(texts: list[str]) -> list[list[int]]:
        normalized = [normalizer.normalize(text) for text in texts]
        return [found.ids for found in made.encode_batch(normalized, add_special_tokens=False)]

    return Engine(encode_batch, around.token_bytes, around.start)


def _with_added(made: tokenizers.Tokenizer, metadata: Metadata) -> tokenizers.Tokenizer:
    """Add the file's control and user-defined tokens.

    Older converters fill ids without a token with user-defined ones, `[PAD<id>]`. The model's own
    encoder does not know them, so here they are no words. llama.cpp reads them out of text.
    """
    defined = metadata.of_type(USER_DEFINED)
    padding = [token for token in defined if metadata.tokens[token] == f"[PAD{token}]"]
    words = [metadata.tokens[token] for token in defined if token not in set(padding)]
    special = [metadata.tokens[token] for token in (*metadata.of_type(CONTROL), *padding)]
    made.add_special_tokens(special)
    made.add_tokens([tokenizers.AddedToken(word, normalized=False) for word in words])
    return made


# --- SentencePiece models -------------------------------------------------------------------------


def _number(value: int) -> bytes:
    """Return a base-128 number of protocol buffers."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def _message(fields: Iterable[tuple[int, int | float | bytes]]) -> bytes:
    data = bytearray()
    for key, value in fields:
        if isinstance(value, bytes):
            data += _number(key << 3 | 2) + _number(len(value)) + value
        elif isinstance(value, float):
            data += _number(key << 3 | 5) + struct.pack("<f", value)
        else:
            data += _number(key << 3) + _number(value)
    return bytes(data)


def model_proto(metadata: Metadata) -> bytes:
    """Return the serialized `ModelProto` with the vocabulary of a GGUF file.

    SentencePiece wants exactly one unknown piece. Padding that a converter marked unknown becomes
    control: neither is ever a token of a text.
    """
    unknown = metadata.value("unknown_token_id", 0)
    pieces = []
    for token, (spelling, score, kind) in enumerate(
        zip(metadata.tokens, metadata.scores, metadata.types, strict=True)
    ):
        used = UNKNOWN if token == unknown else CONTROL if kind == UNKNOWN else kind
        pieces.append((1, _message([(1, spelling.encode()), (2, float(score)), (3, used)])))
    unigram = metadata.model == "t5"
    trainer = [
        (3, 1 if unigram else 2),
        (4, len(metadata.tokens)),
        (35, int(BYTE in metadata.types)),
        (40, unknown),
        (41, metadata.value("bos_token_id", 1)),
        (42, metadata.value("eos_token_id", 2)),
        (45, metadata.tokens[unknown].encode()),  # the spelling of the unknown piece
        (46, metadata.tokens[metadata.value("bos_token_id", 1)].encode()),
        (47, metadata.tokens[metadata.value("eos_token_id", 2)].encode()),
    ]
    normalizer = [
        (1, b"identity" if not metadata.charsmap else b"nmt_nfkc"),
        (2, metadata.charsmap),
        (3, int(metadata.value("add_space_prefix", default=True))),
        (4, int(metadata.value("remove_extra_whitespaces", default=False))),
        (5, 1),
    ]
    return _message([*pieces, (2, _message(trainer)), (3, _message(normalizer))])


# --- Published ids --------------------------------------------------------------------------------


def published(path: Path) -> list[tuple[str, list[int]]]:
    """Return the texts and ids that llama.cpp publishes beside some of its vocabularies."""
    texts_at = Path(f"{path}.inp")
    if not texts_at.is_file():
        return []
    texts = texts_at.read_bytes().decode().split(SEPARATOR)
    lines = Path(f"{path}.out").read_text("utf-8").split("\n")
    if len(lines) > len(texts) and not lines[-1]:
        lines.pop()  # a text may be empty, and so may a line; here it is the file's last line end
    return [
        (text, [int(word) for word in line.split()])
        for text, line in zip(texts, lines, strict=True)
    ]
