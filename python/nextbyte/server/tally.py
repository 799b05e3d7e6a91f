"""What a request has cost and given: for `usage` in the answer, and for the line in the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nextbyte.sampling.generation import FinishReason
    from nextbyte.server.generating import Outcome

__all__ = ["Tally", "finish_reason"]


@dataclass(slots=True)
class Tally:
    """Sums over the texts of a request."""

    prompt_tokens: int = 0
    prompt_bytes: int = 0
    tokens: int = 0
    bytes: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, *, is_first: bool) -> None:
        """Count a text, and its prompt if it is that one's first."""
        if is_first:
            self.prompt_tokens += outcome.prompt_tokens
            self.prompt_bytes += len(outcome.prompt)
        self.tokens += outcome.tokens
        self.bytes += len(outcome.data)
        self.reasons.append(outcome.finish_reason)

    def usage(self) -> dict[str, int]:
        """Return OpenAI's object, with bytes beside."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
            "prompt_bytes": self.prompt_bytes,
            "completion_bytes": self.bytes,
        }

    def note(self) -> str:
        """Return what a log says of it, "" for nothing."""
        if not self.reasons:
            return ""
        return f"{self.bytes} bytes, {', '.join(dict.fromkeys(self.reasons))}"


def finish_reason(reason: FinishReason) -> str:
    """Return OpenAI's word: "length" where there might have been more, else "stop".

    Examples
    --------
    >>> finish_reason("time"), finish_reason("suffix")
    ('length', 'stop')
    """
    return "length" if reason in ("length", "time", "cancelled") else "stop"
