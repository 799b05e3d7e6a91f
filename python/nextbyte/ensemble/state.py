"""`ByteEnsembleState`: a text under an ensemble, its laws, their bounds and its probability.

For every position since the prompt's end the state keeps what it happens to know: the chain of its
own laws, and the members' *evidence*, log P_i(bytes so far). A push onto a position whose laws were
read adds to both for nothing. What was not known then is computed when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nextbyte.ensemble.batch import Needs
from nextbyte.ensemble.members import (
    Member,
    lose_behind,
    lose_refusing,
    push_members,
    rollback_members,
    start_members,
)
from nextbyte.ensemble.rules import (
    log_sum,
    mixture_law,
    product_law,
)
from nextbyte.ensemble.weighing import (
    Evidence,
    evidence_after,
    evidence_here,
    law_bound,
    law_intervals,
    log_weights,
    prompt_evidence,
    scores,
)
from nextbyte.errors import BackendError, InvalidInputError, UnreachableByteError
from nextbyte.text_input import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from nextbyte.ensemble.batch import Owner

    Array: TypeAlias = NDArray[np.float64]

__all__ = ["ByteEnsembleState"]


class ByteEnsembleState:
    """A position in a text under a `ByteEnsemble`; see `nextbyte.ByteState`."""

    def __init__(
        self,
        owner: Owner,
        prefix: bytes,
        weights: Array,
        members: dict[int, Member],
        absent: dict[int, bool],
        *,
        warned: set[int],
    ) -> None:
        self._owner = owner
        self._prefix = bytearray(prefix)
        self._weights = weights
        self._warned = warned  # shared by forks: a lost member is reported once a text
        self.members = members  # those of a weight that is not zero, by index
        self._inexact_chain = False  # some law that went into the chain had a bound
        self._absent = absent  # those that find the prompt impossible, and whether that is certain
        self._other_evaluations = 0  # of states given up, and of other texts read for this one
        self._begin(len(prefix))

    def _begin(self, start: int) -> None:
        """Begin at the end of a prompt."""
        self._start = start
        self._law: Array | None = None
        self._bound: float | None = None
        # By bytes since the prompt: log P of them given the prompt, and the evidence.
        self._chain: list[float | None] = [0.0]
        self._chain_prompt: float | None = None if start else 0.0
        zeros = np.zeros(len(self._weights))
        known = start == 0 or self._owner.posterior_from == "prompt"
        self._evidence: list[Evidence | None] = [Evidence(zeros, zeros, zeros) if known else None]

    def belongs_to(self, owner: Owner) -> bool:
        """Say whether this state was made by `owner`."""
        return self._owner is owner

    @property
    def prefix(self) -> bytes:
        """Every byte so far: the prompt as it was given, and what was pushed."""
        return bytes(self._prefix)

    @property
    def lengths(self) -> tuple[int, int]:
        """How many bytes there are, and how many of them were the prompt."""
        return len(self._prefix), self._start

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights in force here, shape (members,), float64.

        Of a mixture and a posterior they sum to one, and those of lost members are zero. Those of a
        posterior are P(member | bytes so far); the members are asked for what that needs.
        """
        if self._owner.rule == "product":
            return self._weights.copy()
        with np.errstate(under="ignore"):
            return np.exp(log_weights(self._weights, self._alive, self._known_evidence()))

    @property
    def lost_members(self) -> tuple[int, ...]:
        """Indices of the members that find the text so far impossible."""
        lost = (i for i, member in self.members.items() if member.lost_at is not None)
        return tuple(sorted([*self._absent, *lost]))

    @property
    def bound(self) -> float:
        """Certified bound on the total variation error of the last law; 0.0 = it is exact.

        1.0, which says nothing, where the bounds of the members do not say enough.
        """
        return self._law_bound() if self._bound is None else self._bound

    @property
    def lm_evaluations(self) -> int:
        """Rows of logits that the members' lineages have asked their models for, summed."""
        of_members = sum(member.state.lm_evaluations for member in self.members.values())
        return self._other_evaluations + of_members

    @property
    def logprob(self) -> float:
        """Natural log of P(a text starts with `prefix`) under the ensemble.

        That of a posterior is log sum_i prior_i P_i(prefix), with what a posterior from the prompt
        gives the bytes behind it. That of the other rules is the chain of their laws: the laws at
        bytes that were pushed unread, the prompt's above all, are read now.
        """
        if self._owner.rule == "posterior":
            evidence = self._known_evidence()
            known = scores(self._weights, self._alive, None if evidence is None else evidence.value)
            return self._prompt_evidence() + log_sum(known)
        if self._chain_prompt is None:
            self._chain_prompt = self._chain_of_prompt()
        if self._chain[-1] is None:
            self._walk()
        return self._chain_prompt + (self._chain[-1] or 0.0)

    @property
    def logprob_is_exact(self) -> bool:
        """Whether the `logprob` that was read last is exact, as far as the members say."""
        if self._owner.rule != "posterior":
            return not self._inexact_chain
        return self._doubt() == 0.0 and all(
            getattr(member.state, "logprob_is_exact", member.state.bound == 0.0)
            for member in self._alive.values()
        )

    def next_byte_logprobs(self) -> NDArray[np.float64]:
        """Return the law of the next byte, shape (257,), float64; see `ByteState`."""
        return self._read_law().copy()

    def next_byte_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return certified (lower, upper) probabilities of the next byte, each of shape (257,)."""
        law = self._read_law()
        doubt = 0.0 if self._owner.rule == "product" else self._doubt()
        return law_intervals(
            self._owner.rule, self._weights, self._alive, law, bound=self.bound, doubt=doubt
        )

    def push(self, data: bytes) -> None:
        """Append bytes, all or none.

        Raises
        ------
        UnreachableByteError
            A byte is impossible for every member, or for one of a product; `position` counts from
            the start of the text.
        BackendError
            A member failed; it is named, and all are where they were.
        """
        data = as_bytes(data, name="data")
        if not data:
            return
        chain, evidence = self._chain[-1], self._evidence[-1]
        if chain is not None:
            chain = None if self._law is None else chain + float(self._law[data[0]])
        if evidence is not None and self._owner.rule == "posterior":
            evidence = evidence_after(evidence, self._alive, data[0])
        push_members(self._owner, self.members, data, len(self._prefix), self._warned)
        self._prefix += data
        unknown = [None] * (len(data) - 1)
        self._chain += [chain, *unknown]
        self._evidence += [evidence, *unknown]
        self._law = None

    def fork(self) -> ByteEnsembleState:
        """Return an independent state at the same position."""
        members = {i: member.fork() for i, member in self.members.items()}
        other = ByteEnsembleState(
            self._owner, b"", self._weights, members, self._absent, warned=self._warned
        )
        other._prefix, other._start = bytearray(self._prefix), self._start
        other._law, other._bound = self._law, self._bound
        other._inexact_chain = self._inexact_chain
        other._chain, other._chain_prompt = list(self._chain), self._chain_prompt
        other._evidence = list(self._evidence)
        other._other_evaluations = self._other_evaluations
        return other

    def rollback(self, n: int) -> None:
        """Take back the last `n` bytes; members lost in them are there again.

        Behind bytes of the prompt, what is left of it is the prompt; a member that normalized it is
        started again.
        """
        length = len(self._prefix)
        if not 0 <= n <= length:
            raise InvalidInputError(f"n must be 0 to {length}, the length of the prefix, got {n}")
        if n == 0:
            return
        target = length - n
        new: dict[int, Member] = {}
        if target < self._start:
            left = bytes(self._prefix[:target])
            stale = [i for i, m in self.members.items() if not m.follows(self._prefix)]
            new, self._absent = start_members(
                self._owner,
                left,
                sorted([*stale, *self._absent]),
                self._warned,
                others=len(self.members) - len(stale),
            )
            for i in stale:
                self._other_evaluations += self.members.pop(i).state.lm_evaluations
        rollback_members(self.members, length, target)
        self.members = dict(sorted({**self.members, **new}.items()))
        del self._prefix[target:]
        if target < self._start:
            for member in self.members.values():
                member.at_prompt = None
            self._begin(target)
        else:
            del self._chain[target - self._start + 1 :], self._evidence[target - self._start + 1 :]
            self._law = None

    def __repr__(self) -> str:
        return f"ByteEnsembleState(prefix={self.prefix[-32:]!r}, bytes={len(self._prefix)})"

    # --- Laws ----------------------------------------------------------------------------------

    def lacks(self, needs: Needs) -> dict[int, Needs]:
        """Return what each member still has to find out (for `Owner.evaluate`)."""
        found = {}
        evidence = needs.evidence and self._evidence[-1] is None
        relative = evidence and self._owner.posterior_from == "prompt"
        for i, member in self.members.items():
            alive = member.lost_at is None
            lacking = Needs(
                laws=needs.laws and alive and member.row is None,
                evidence=evidence and alive and member.logprob is None,
                prompts=(needs.prompts or (relative and alive)) and member.at_prompt is None,
            )
            if any(lacking):
                found[i] = lacking
        return found

    def settle(self, before: ByteEnsembleState | None) -> None:
        """Lose the members that the last evaluation found to have no law here.

        `before` is a settled state one byte before this one. What it knows goes on here: members
        that it has lost, or that find the byte impossible, and the evidence.
        """
        length, byte = len(self._prefix), self._prefix[-1:]
        if before is not None:
            lose_behind(self._owner, self.members, before.members, self._prefix, self._warned)
        lose_refusing(self._owner, self.members, length, self._warned)
        if before is not None and self._owner.rule == "posterior" and self._evidence[-1] is None:
            known = before._known_evidence()  # noqa: SLF001 - it is the same text
            if known is not None:
                self._evidence[-1] = evidence_after(known, before._alive, byte[0])  # noqa: SLF001

    def is_byte_after(self, before: ByteEnsembleState) -> bool:
        """Say whether this is the same text as that of `before`, and one pushed byte more."""
        length, start = before.lengths
        return (
            self._warned is before._warned
            and self.lengths == (length + 1, start)
            and self._prefix.startswith(before._prefix)
        )

    def _read_law(self) -> Array:
        """Return the law here; it is read once."""
        if self._law is not None:
            return self._law
        posterior = self._owner.rule == "posterior"
        self._owner.evaluate([self], Needs(laws=True, evidence=posterior))
        alive = self._alive
        rows = np.stack([row for member in alive.values() if (row := member.row) is not None])
        if self._owner.rule == "product":
            law = product_law(rows, self._weights[list(alive)])
            if law is None:
                raise BackendError(
                    f"no symbol after {self.prefix[-32:]!r} is possible for every member of the "
                    "product; a mixture needs one member only"
                )
        else:
            if posterior:
                self._evidence[-1] = self._known_evidence()
            evidence = self._evidence[-1] if posterior else None
            law = mixture_law(rows, log_weights(self._weights, alive, evidence)[list(alive)])
        self._law = law
        self._bound = self._law_bound()
        self._inexact_chain |= self._bound > 0.0
        return law

    @property
    def _alive(self) -> dict[int, Member]:
        return {i: member for i, member in self.members.items() if member.lost_at is None}

    def _doubt(self) -> float:
        """Return the share of the weight that is with members that may be lost wrongly."""
        lost = [i for i, member in self.members.items() if member.lost_at is not None]
        doubtful = [i for i in lost if not self.members[i].certain]
        doubtful += [i for i, certain in self._absent.items() if not certain]
        present = float(self._weights[list(self._alive)].sum())
        share = float(self._weights[doubtful].sum())
        return share / (share + present)

    def _law_bound(self) -> float:
        product = self._owner.rule == "product"
        return law_bound(
            self._owner.rule,
            self._weights,
            self._alive,
            doubt=0.0 if product else self._doubt(),
            evidence=self._evidence[-1] if self._owner.rule == "posterior" else None,
            law=self._law,
        )

    # --- Evidence and the chain ----------------------------------------------------------------

    def _known_evidence(self) -> Evidence | None:
        """Return the evidence here, which only a posterior has; its members are asked for it."""
        if self._owner.rule != "posterior":
            return None
        if self._evidence[-1] is not None:
            return self._evidence[-1]
        self._owner.evaluate([self], Needs(evidence=True))
        since_prompt = self._owner.posterior_from == "prompt"
        return evidence_here(self._alive, len(self._weights), since_prompt=since_prompt)

    def _prompt_evidence(self) -> float:
        """Return log P(prompt) less that of the weights behind it, if the evidence begins there."""
        if self._owner.posterior_from == "text" or self._start == 0:
            return 0.0
        self._owner.evaluate([self], Needs(prompts=True))
        return prompt_evidence(self._weights, self.members, self._start)

    def _chain_of_prompt(self) -> float:
        """Return log P(prompt) by the laws after each of its beginnings."""
        other = self._owner.start(b"", weights=self._weights.tolist())
        other._warned = self._warned  # noqa: SLF001 - it is the same text
        return self._read_along(other, bytes(self._prefix[: self._start]))[-1]

    def _walk(self) -> None:
        """Read the laws after the last position whose chain is known."""
        known = max(k for k, value in enumerate(self._chain) if value is not None)
        other = self.fork()
        other.rollback(len(self._chain) - 1 - known)
        base = self._chain[known] or 0.0
        found = self._read_along(other, bytes(self._prefix[self._start + known :]))
        self._chain[known + 1 :] = [base + value for value in found]

    def _read_along(self, other: ByteEnsembleState, data: bytes) -> list[float]:
        """Have another state follow some bytes for this one, at this one's expense."""
        before = other.lm_evaluations
        found = list(other._follow(data))
        self._inexact_chain |= other._inexact_chain
        self._other_evaluations += other.lm_evaluations - before
        return found

    def _follow(self, data: bytes) -> Iterator[float]:
        """Read the law before each byte and push it; yield log P(bytes up to there)."""
        total = 0.0
        for byte in data:
            if total > -np.inf:
                try:
                    total += float(self._read_law()[byte])
                    self.push(bytes([byte]))
                except UnreachableByteError:
                    total = -np.inf
            yield total
