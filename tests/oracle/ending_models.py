"""Models of finitely many texts: language models that must end, with the law of their whole texts.

A text of at most so many bytes has one encoding, and a model that gives nothing to whatever begins
none of these encodings ends there for certain: its law is a table, without covers or limits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from oracle.language_models import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path

    from oracle.cases import Case
    from oracle.definition import Sequence

TextLaw = dict[bytes, Fraction]


@dataclass
class EndingModel(LanguageModel):
    """Weights as of ``LanguageModel``, nothing for what leads to no text of ``length`` bytes.

    ``even``, ``steep``: every such text is possible. ``zeros``: some are not.
    """

    length: int = 4
    texts: dict[bytes, Sequence] = field(default_factory=dict)
    _begun: dict[Sequence, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Encode all texts."""
        for text, sequence in self.definition.encode_all(self.length).items():
            if sequence is None or len(text.encode()) > self.length:
                continue
            self.texts[text.encode()] = sequence
            for end in range(len(sequence)):
                self._begun.setdefault(sequence[:end], set()).add(sequence[end])
            self._begun.setdefault(sequence, set()).update(self.end_tokens)

    def allowed(self, sequence: Sequence) -> tuple[int, ...]:
        """What leads to one of the texts."""
        return tuple(sorted(self._begun.get(sequence, ())))

    def _make_weights(self, context: Sequence) -> list[int]:
        weights = super()._make_weights(context)
        allowed = self._begun.get(context[len(self.start) :])
        if allowed is None:  # nothing leads here: any row will do
            return [1] * self.width
        return [weight if token in allowed else 0 for token, weight in enumerate(weights)]

    def text_law(self) -> TextLaw:
        """P(text) of every text with a positive one: the chain rule along its encoding."""
        law = {}
        for text, sequence in self.texts.items():
            chance = Fraction(1)
            for end in range(len(sequence) + 1):
                weights = self.weights((*self.start, *sequence[:end]))
                chosen = sequence[end : end + 1] or self.end_tokens
                chance *= Fraction(sum(weights[token] for token in chosen), sum(weights))
            if chance:
                law[text] = chance
        return law


@dataclass
class EndingMember:
    """A tokenizer with such a model: the law, and the product's model of it."""

    case: Case
    model: EndingModel
    law: TextLaw

    def ordinary_tokens(self) -> set[bytes]:
        """What the ordinary tokens of its tokenizer spell."""
        return set(self.case.definition.token_bytes.values())

    def load(self, nb: Any, folder: Path, **options: Any) -> Any:
        """Make the product's model."""
        return nb.ByteLM.from_function(
            nb.Tokenizer.from_file(self.case.save(folder)),
            self.model.rows,
            start_token=self.model.start_token,
            end_tokens=self.model.end_tokens,
            **options,
        )


def ending_member(case: Case, length: int, kind: str = "even", *, seed: int = 0) -> EndingMember:
    """Make a member that writes texts of up to ``length`` bytes."""
    vocabulary = case.definition.tokenizer.get_vocab(with_added_tokens=True)
    material = f"{case.name} {seed}".encode()
    model = EndingModel(
        case.definition,
        kind,
        int.from_bytes(hashlib.sha256(material).digest()[:4], "big"),
        start_token=vocabulary[case.specials[0]] if case.begin else None,
        end_tokens=tuple(vocabulary[token] for token in case.ends),
        length=length,
    )
    return EndingMember(case, model, model.text_law())
