"""Split stages under the names that GGUF files give pre-tokenizers (`tokenizer.ggml.pre`).

A GGUF file has no pattern, only a name, and llama.cpp's source (`src/llama-vocab.cpp`) is where the
names are defined. Listed here are names whose stages were checked against something else too: the
ids of the models' own encoders for llama.cpp's vocabularies (scripts/check_gguf_vocabularies.py),
or the model's own tokenizer file; and names that llama.cpp reads as one of these. Where llama.cpp
writes a pattern differently, the model's own is used: llama.cpp has no `(?i:...)`, which matters
for the long s of "'\u017f" only, and approximates the letter cases of `tekken` and `gpt-4o`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from nextbyte.formats.patterns import GPT2, LLAMA3, O200K, QWEN2, QWEN35, TEKKEN


class PreTokenizer(NamedTuple):
    """What one name stands for."""

    stages: tuple[str, ...]
    """Split patterns in order, each applied to the pieces of the one before."""
    whole_pieces: bool = False
    """A whole piece that is in the vocabulary becomes that token, merges or not."""


_DEEPSEEK_LETTERS: Final = (  # most cased letters
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
_DEEPSEEK_EASTERN: Final = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_DEEPSEEK3: Final = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_GPT2 = PreTokenizer((GPT2,))
_SINGLE_DIGITS = PreTokenizer((r"\p{N}", GPT2))
_LLAMA3 = PreTokenizer((LLAMA3,), whole_pieces=True)
_QWEN2 = PreTokenizer((QWEN2,))
# llama.cpp does not look whole pieces up for "chatglm-bpe" and "gpt-4o", but tiktoken does, whose
# vocabularies they are. With the flag, a vocabulary for which it matters is refused.
_GLM4 = PreTokenizer((LLAMA3,), whole_pieces=True)
_O200K = PreTokenizer((O200K,), whole_pieces=True)

BY_NAME: Final = MappingProxyType(
    {
        "chatglm-bpe": _GLM4,
        "command-r": _SINGLE_DIGITS,
        "deepseek-coder": PreTokenizer(
            (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_EASTERN, r"\p{N}")
        ),
        "deepseek-llm": PreTokenizer(
            (
                r"[\r\n]",
                rf"\s?[{_DEEPSEEK_LETTERS}]+",
                "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                r"\s+$",
                _DEEPSEEK_EASTERN,
                r"\p{N}+",
            )
        ),
        "deepseek-r1-qwen": _QWEN2,
        "deepseek-v3": PreTokenizer(
            (
                r"\p{N}{1,3}",
                "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
                _DEEPSEEK3,
            )
        ),
        "falcon": PreTokenizer((r"[\p{P}$+<=>^~|`]+", GPT2, r"[0-9][0-9][0-9]")),
        "glm4": _GLM4,
        "gpt-2": _GPT2,
        "gpt-4o": _O200K,
        "llama-bpe": _LLAMA3,
        "llama-v3": _LLAMA3,
        "llama3": _LLAMA3,
        "llama4": _O200K,
        "mpt": _GPT2,
        "olmo": _GPT2,
        "phi-2": _GPT2,
        "qwen2": _QWEN2,
        "qwen35": PreTokenizer((QWEN35,)),
        "refact": _SINGLE_DIGITS,
        "smollm": _SINGLE_DIGITS,
        "starcoder": _SINGLE_DIGITS,
        "tekken": PreTokenizer((TEKKEN,), whole_pieces=True),
    }
)
"""Every name that `Tokenizer.from_gguf` knows."""
