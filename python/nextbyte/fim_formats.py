"""How the families of code models lay out a fill-in-the-middle prompt; docs/fim.md has the sources.

A format turns (prefix, suffix) into segments (`segments.py`): special tokens by id, and texts
between them that are only text. The last text is open: what is generated goes on from it.

- "psm", prefix, suffix, middle: ``PRE prefix SUF suffix MID`` and then the middle. The prefix is
  complete: models learn on texts cut at a character, each part tokenized by itself.
- "spm", suffix, prefix, middle: ``PRE SUF suffix MID prefix`` and then the middle, as one text with
  the prefix, so the boundary of the two is a prompt's end like any other, and is healed exactly.
  Seed-Coder has ``SUF suffix PRE prefix MID``: there the prefix is complete.

What is typed behind the cursor after a suggestion was asked for comes at the end of either: prefix
and suffix stay as they were, and with them what the model has read of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from nextbyte.errors import InvalidInputError
from nextbyte.segments import Continued
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nextbyte.segments import Segment

__all__ = ["FIM_FORMATS", "FimFormat", "FimOrder", "FimSpelling", "find_fim_format"]

FimOrder: TypeAlias = Literal["psm", "spm"]
"""Which part comes first."""

_Layout: TypeAlias = Literal["none", "repository", "inside", "separated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FimSpelling:
    """One family's tokens, as its tokenizer files spell them.

    Attributes
    ----------
    name : str
    models : str
        Who uses it.
    sentinels : tuple of str
        Before the prefix, the suffix and the middle; the last is "" where the answer follows the
        prefix.
    orders : tuple of {"psm", "spm"}
        What the models were trained on, the usual one first.
    ends : tuple of str
        Tokens that end the middle, beside the model's own end of text; those that are there count.
    files : {"none", "repository", "inside", "separated"}
        How other files come in: not at all; behind `repository` and `file` tokens, the path before
        the sentinels or behind the first one; or one after the other, each with its path, with
        `file` between them.
    repository, file : str
        These tokens.
    continued : bool
        What follows the prefix gets no blank in front, though the tokenizer gives one to every
        text: the suffix, and in "psm" the middle.
    closed : bool
        In "spm" the prefix stands between two sentinels, so it is a complete text.
    requires : tuple of str
        Tokens that tell it from another family of the same sentinels.
    source : str
        Where it is documented.
    """

    name: str
    models: str
    sentinels: tuple[str, str, str]
    orders: tuple[FimOrder, ...] = ("psm",)
    ends: tuple[str, ...] = ()
    files: _Layout = "none"
    repository: str = ""
    file: str = ""
    continued: bool = False
    closed: bool = False
    requires: tuple[str, ...] = ()
    source: str = ""

    def heals(self, order: FimOrder) -> bool:
        """Return whether prefix and middle are one text in this order, healed where they meet."""
        return order == "spm" and not self.closed

    @property
    def needed(self) -> tuple[str, ...]:
        """Spellings without which it is not this one."""
        return tuple(s for s in (*self.sentinels, *self.requires) if s)


_BIGCODE: Final = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_PIPED: Final = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")

FIM_FORMATS: Final = (
    FimSpelling(
        name="qwen",
        models="Qwen2.5-Coder, Qwen3-Coder",
        sentinels=_PIPED,
        ends=("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|im_end|>"),
        files="repository",
        repository="<|repo_name|>",
        file="<|file_sep|>",
        requires=("<|repo_name|>", "<|file_sep|>"),
        source="arXiv 2409.12186, section 3.1; QwenLM/Qwen2.5-Coder, README",
    ),
    FimSpelling(
        name="codegemma",
        models="CodeGemma",
        sentinels=_PIPED,
        orders=("psm", "spm"),
        ends=("<|file_separator|>",),
        files="separated",
        file="<|file_separator|>",
        requires=("<|file_separator|>",),
        source="arXiv 2406.11409, section 2; ai.google.dev/gemma/docs/codegemma/prompt-structure",
    ),
    FimSpelling(
        name="granite4",
        models="Granite 4",
        sentinels=_PIPED,
        ends=("<|fim_pad|>",),
        source="ibm-granite/granite-4.0-language-models, README",
    ),
    FimSpelling(
        name="starcoder2",
        models="StarCoder2",
        sentinels=_BIGCODE,
        orders=("psm", "spm"),
        ends=("<file_sep>", "<fim_pad>"),
        files="inside",
        repository="<repo_name>",
        file="<file_sep>",
        requires=("<repo_name>", "<file_sep>"),
        source=(
            "arXiv 2402.19173, section 5.1; bigcode-project/Megatron-LM, "
            "megatron/data/gpt_dataset.py, permute"
        ),
    ),
    FimSpelling(
        name="starcoder",
        models="StarCoder, Granite Code, Granite 3.3, Refact, StableCode",
        sentinels=_BIGCODE,
        orders=("psm", "spm"),
        ends=("<fim_pad>",),
        source=(
            "bigcode-project/Megatron-LM, megatron/data/gpt_dataset.py, permute; "
            "smallcloudai/Refact-1_6B-fim, model card; ggml-org/llama.cpp, pull request 12988"
        ),
    ),
    FimSpelling(
        name="santacoder",
        models="SantaCoder",
        sentinels=("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
        orders=("psm", "spm"),
        ends=("<fim-pad>",),
        source=(
            "bigcode/santacoder, model card; bigcode-project/Megatron-LM, "
            "megatron/data/gpt_dataset.py, permute"
        ),
    ),
    FimSpelling(
        name="deepseek",
        models="DeepSeek-Coder, DeepSeek-Coder-V2, DeepSeek-V3",
        sentinels=(
            "<\uff5cfim\u2581begin\uff5c>",
            "<\uff5cfim\u2581hole\uff5c>",
            "<\uff5cfim\u2581end\uff5c>",
        ),
        source="deepseek-ai/DeepSeek-Coder, README, code insertion",
    ),
    FimSpelling(
        name="codellama",
        models="Code Llama",
        sentinels=("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
        orders=("psm", "spm"),
        ends=("\u2581<EOT>",),
        continued=True,
        source=(
            "arXiv 2308.12950, section 2.3; facebookresearch/codellama, llama/generation.py, "
            "infilling_prompt_tokens"
        ),
    ),
    FimSpelling(
        name="seedcoder",
        models="Seed-Coder",
        sentinels=("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
        orders=("spm",),
        closed=True,
        source="arXiv 2506.03524, section 2.2.6",
    ),
    FimSpelling(
        name="glm",
        models="GLM-4.5 to 4.7",
        sentinels=("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
        ends=("<|user|>", "<|observation|>"),
        source="zed-industries/zed, crates/edit_prediction/src/fim.rs",
    ),
    FimSpelling(
        name="codestral",
        models="Codestral, Codestral Mamba",
        sentinels=("[PREFIX]", "[SUFFIX]", ""),
        orders=("spm",),
        continued=True,
        source="mistral-common, tokens/tokenizers/instruct.py, encode_fim",
    ),
)
"""In the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class FimFormat:
    """A format with the ids of one tokenizer; `find_fim_format` makes it.

    Attributes
    ----------
    spelling : FimSpelling
    ids : dict of str to int
        Of the spellings that the tokenizer has.
    """

    spelling: FimSpelling
    ids: dict[str, int] = field(repr=False)

    @property
    def name(self) -> str:
        """The family's name."""
        return self.spelling.name

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Tokens that end the middle, beside the model's own end of text."""
        return tuple(self.ids[end] for end in self.spelling.ends if end in self.ids)

    def segments(
        self,
        prefix: str | bytes,
        suffix: str | bytes,
        *,
        order: FimOrder | None = None,
        typed: str | bytes = b"",
        path: str | bytes = b"",
        repository: str | bytes = b"",
        files: Sequence[tuple[str | bytes, str | bytes]] = (),
    ) -> list[Segment]:
        r"""Return the segments of a prompt, for `ByteLM.start`.

        A `Continued` text at the end is one for a model whose tokenizer puts no blank in front of
        texts (`segments.spell_leads`); `infill` sees to that.

        Parameters
        ----------
        prefix, suffix
            The text before and after the gap.
        order : {"psm", "spm"}, optional
            By default the family's usual one.
        typed
            What the middle begins with.
        path, repository
            Of the file, where the family names them.
        files
            Path and content of other files.

        Raises
        ------
        InvalidInputError
            The family has no such order, or no place for other files.

        Examples
        --------
        >>> found = find_fim_format({"<fim_prefix>": 1, "<fim_middle>": 2, "<fim_suffix>": 3})
        >>> found.segments("def f(", "\n", typed="x")
        [1, b'def f(', 3, b'\n', 2, b'x']
        >>> found.segments("def f(", "\n", order="spm", typed="x")
        [1, 3, b'\n', 2, b'def f(x']
        """
        spelling = self.spelling
        order = order or spelling.orders[0]
        if order not in spelling.orders:
            known = " and ".join(spelling.orders)
            raise InvalidInputError(f"order must be {known} for {self.name} models, not {order!r}")
        if spelling.files == "none" and (files or path or repository):
            raise InvalidInputError(f"{self.name} models know no other files and no paths")
        others = [
            (as_bytes(name, name="path"), as_bytes(content, name="file")) for name, content in files
        ]
        before, inside = self._context(
            as_bytes(path, name="path"), as_bytes(repository, name="repository"), others
        )
        first, middle_start = (
            inside + as_bytes(prefix, name="prefix"),
            as_bytes(typed, name="typed"),
        )
        text = as_bytes(suffix, name="suffix")
        after: Segment = Continued(text) if spelling.continued else text
        opening, closing = (self.ids[sentinel] for sentinel in spelling.sentinels[:2])
        if not spelling.sentinels[2]:
            return [*before, closing, after, opening, first + middle_start]
        middle = self.ids[spelling.sentinels[2]]
        if order == "spm" and not spelling.closed:
            return [*before, opening, closing, after, middle, first + middle_start]
        last: Segment = Continued(middle_start) if spelling.continued else middle_start
        if order == "spm":
            return [*before, closing, after, opening, first, middle, last]
        return [*before, opening, first, closing, after, middle, last]

    def _context(
        self,
        path: bytes,
        repository: bytes,
        files: Sequence[tuple[bytes, bytes]],
    ) -> tuple[list[Segment], bytes]:
        """Return what is before the sentinels, and what the prefix begins with."""
        spelling = self.spelling
        before: list[Segment] = []
        if not (path or repository or files):
            return before, b""
        line = b"\n"
        if spelling.files == "separated":
            for name, content in files:
                before += [name + line + content, self.ids[spelling.file]]
            return [*before, path + line] if path else before, b""
        tight = spelling.files == "inside"  # no line ends but the one behind a path
        if repository:
            before += [self.ids[spelling.repository], repository + (b"" if tight else line)]
        for name, content in files:
            text = name + line + content + (b"" if tight else line)
            before += [self.ids[spelling.file], text]
        before.append(self.ids[spelling.file])
        if tight:
            return before, path + line if path else b""
        return [*before, path + line], b""


def find_fim_format(tokens: Mapping[str, int], name: str | None = None) -> FimFormat | None:
    """Return the format whose tokens a tokenizer has, None if it has those of none.

    Parameters
    ----------
    tokens
        Content and id of its special and added tokens.
    name
        Only the format of this name; by default, the first that fits.

    Raises
    ------
    InvalidInputError
        There is no format of that name, or the tokenizer lacks tokens of it.
    """
    spellings = [spelling for spelling in FIM_FORMATS if name in (None, spelling.name)]
    if not spellings:
        known = ", ".join(spelling.name for spelling in FIM_FORMATS)
        raise InvalidInputError(f"there is no FIM format {name!r:.80}; there are {known}")
    for spelling in spellings:
        if all(needed in tokens for needed in spelling.needed):
            optional = (spelling.repository, spelling.file, *spelling.ends)
            every = {s: tokens[s] for s in (*spelling.needed, *optional) if s in tokens}
            return FimFormat(spelling, every)
    if name is None:
        return None
    missing = [needed for needed in spellings[0].needed if needed not in tokens]
    raise InvalidInputError(f"the tokenizer has no {', '.join(missing)}, so it is not for {name}")
