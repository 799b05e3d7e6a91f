"""`TokenizerReport`: what was compiled from a tokenizer file, in figures and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nextbyte import _core
from nextbyte.fim_tokens import find_fim_tokens

if TYPE_CHECKING:
    from nextbyte.formats.description import TokenizerDescription
    from nextbyte.verification import Verification

__all__ = ["Exactness", "MergeProperties", "SelfCheck", "TokenizerReport", "make_report"]

Exactness = Literal["exact", "normalized", "validated", "refuted"]
"""What covers are.

- "exact": those of the tokenizer.
- "normalized": those of normalized texts, where normalizing loses what a text was (NFKC).
- "validated": those that the tokenizer's own library confirmed; there may be more.
- "refuted": a comparison with that library has shown them to be wrong.
"""

FEW = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """How much the engine was compared with its own encoder when it was loaded.

    There were no differences: a tokenizer with one is refused.
    """

    tokens: int
    texts: int
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeProperties:
    """Properties of a merge list."""

    not_canonical_alone: int
    """Tokens that the merges do not make out of their own bytes."""
    longest_spine: int
    """The most symbols on the edge of a token while it is merged."""
    monotone: bool
    """Do ranks never fall while a token is merged?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerReport:
    """What was compiled. Counts are of tokens, classes, states; see the field names."""

    source: str
    family: str
    exactness: Exactness
    why: str
    """What the exactness rests on, or what refutes it."""
    vocabulary_size: int
    reachable_tokens: int
    """Tokens that the model can make of some piece of text. How texts are split and normalized may
    rule out a few more."""
    unreachable_tokens: int
    """Tokens with bytes that no text's encoding has."""
    unreachable_examples: dict[int, bytes]
    """The first few of them."""
    special_tokens: dict[str, int]
    added_tokens: dict[bytes, int]
    """The spellings that are read out of text before all else."""
    fim_tokens: dict[str, int]
    """The tokens for fill-in-the-middle by role: "prefix", "suffix", "middle", "pad", ..."""
    missing_bytes: bytes
    """Bytes that no text may have: no token can spell them."""
    normal_form: str
    """What a text is brought to before it is tokenized; "none" if it stays as it is."""
    lead: bytes
    """What the tokens of every text spell before it."""
    stages: list[str]
    """The patterns that split the text, one after the other."""
    character_classes: int
    automaton_states: int
    automaton_subsets: int
    longest_token: tuple[int, bytes]
    merges: MergeProperties | None
    self_check: SelfCheck
    verification: Verification | None
    """The comparison with the tokenizer's own library, if there was one."""


def make_report(
    description: TokenizerDescription,
    compiled: _core.CompiledTokenizer,
    self_check: _core.SelfCheckReport,
    verification: Verification | None,
    *,
    not_compiled: str,
) -> TokenizerReport:
    """Return the report of a tokenizer. Linear in the vocabulary, milliseconds."""
    tokens = description.token_bytes
    figures = _core.figures(compiled)
    merges = _core.merge_figures(compiled)
    pretokenizer = compiled.pretokenizer
    added = {tokens[token]: token for token in description.added_tokens}
    spelled = {data.decode("utf-8", "backslashreplace"): token for data, token in added.items()}
    return TokenizerReport(
        source=description.source,
        family=description.model.family,
        exactness=exactness_of(description, verification, not_compiled=not_compiled),
        why=not_compiled or _why(description, verification),
        vocabulary_size=len(tokens),
        reachable_tokens=figures.reachable,
        unreachable_tokens=len(figures.unreachable),
        unreachable_examples={token: tokens[token] for token in figures.unreachable[:FEW]},
        special_tokens=dict(description.special_tokens),
        added_tokens=added,
        fim_tokens=find_fim_tokens(spelled | description.special_tokens),
        missing_bytes=figures.missing_bytes,
        normal_form=getattr(description.model, "normal_form", "none"),
        lead=compiled.lead,
        stages=list(getattr(description.model, "stages", [])),
        character_classes=pretokenizer.num_classes if pretokenizer else 0,
        automaton_states=pretokenizer.num_raw_states if pretokenizer else 0,
        automaton_subsets=pretokenizer.num_subsets if pretokenizer else 0,
        longest_token=(figures.longest, tokens[figures.longest]),
        merges=None if merges is None else _properties(merges),
        self_check=SelfCheck(
            tokens=self_check.tokens, texts=self_check.strings, pairs=self_check.pairs
        ),
        verification=verification,
    )


def exactness_of(
    description: TokenizerDescription, verification: Verification | None, *, not_compiled: str
) -> Exactness:
    """Return the label of a tokenizer's covers."""
    if verification is not None and verification.differences > 0:
        return "refuted"
    if not_compiled:
        return "validated"
    return "normalized" if description.model.loses_text else "exact"


def _properties(merges: _core.MergeFigures) -> MergeProperties:
    return MergeProperties(
        not_canonical_alone=merges.not_canonical_alone,
        longest_spine=merges.max_spine_depth,
        monotone=merges.is_proper,
    )


def _why(description: TokenizerDescription, verification: Verification | None) -> str:
    if verification is not None and verification.differences:
        return f"{verification.library} encodes otherwise: {verification.first_difference}"
    why = "every part of the file is of a kind proved exact; the engine agrees with its encoder"
    if verification is not None:
        why += f", and that with {verification.library} on {verification.texts:,} texts"
    if description.model.loses_text:
        why += "; but texts are normalized first, and what that loses has no probability"
    return why
