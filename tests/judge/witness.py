"""Brute-force witnesses for the covers of a byte prefix, for a tokenizer of any family.

The covers of x are { the beginning of enc(y) that reaches past x : y a text that starts with x }.
So every text is a witness. What the reference engine encodes must be listed (no false negative),
and for what is listed a text must be found (no false positive). The set found here is a lower
bound: a cover without a witness is reported, not proved wrong.

A text y counts if the engine restores it (`decode(enc(y)) == y`): of a tokenizer that normalizes,
these are the texts that it leaves as they are.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from judge.texts import TAILS, completions, random_text, whole_characters

if TYPE_CHECKING:
    from judge.engines import Engine
    from nextbyte import Tokenizer

EXAMPLES = 5
_FIRST_TAILS = ("", "a", " ", "\n", "x ", "1", "é", ".")
_REACH_BACK = 24  # bytes before the end of a prefix at which tokens of the vocabulary are put


@dataclass(slots=True)
class Verdict:
    """Counts over prefixes; `examples` has the first complaints."""

    prefixes: int = 0
    witnesses: int = 0  # texts whose cover must be listed
    missing: int = 0
    covers: int = 0  # listed covers for which a text was sought
    distant: int = 0  # of them found only along other listed covers
    unexplained: int = 0
    malformed: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.missing + self.unexplained + self.malformed

    def note(self, example: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


class Judge:
    """Judges the covers that a tokenizer lists, prefix by prefix."""

    def __init__(
        self,
        ours: Tokenizer,
        engine: Engine,
        *,
        seed: str,
        most_covers: int = 300,
    ) -> None:
        self.verdict = Verdict()
        self._ours = ours
        self._engine = engine
        self._source = random.Random(seed)
        self._searches = 40  # the distant ones are slow
        self._most = most_covers
        self._sorted = sorted({data for data in engine.token_bytes.values() if data})

    # --- Witnesses --------------------------------------------------------------------------------

    def encodings(self, texts: Iterable[str]) -> list[tuple[bytes, list[int]]]:
        """Return the bytes and the encoding of each text that the engine restores."""
        tried = list(dict.fromkeys(texts))
        found = []
        for text, tokens in zip(tried, self._engine.encode_batch(tried), strict=True):
            data = text.encode()
            if data and self._engine.decode(tokens) == data:
                found.append((data, tokens))
        return found

    def continuations(self, prefix: bytes, original: str = "") -> list[str]:
        """Return many texts that start with `prefix`, for every way a tokenizer may be cut."""
        whole, pending = whole_characters(prefix)
        characters = completions(pending)
        if len(characters) > 6:
            characters = self._source.sample(characters, 6)
        tails = [*TAILS, *(random_text(self._source, 3) for _ in range(15)), original]
        if pending:
            tails = self._source.sample(tails, 25)
        texts = [whole + char + tail for char, tail in itertools.product(characters, tails)]
        begun = self._engine.start + prefix
        for position in range(max(0, len(begun) - _REACH_BACK), len(begun) + 1):
            for data in self._tokens_from(begun[position:], 10):
                texts += self._completed(begun[:position] + data)
        return texts

    def _tokens_from(self, rest: bytes, count: int) -> Sequence[bytes]:
        """Return some tokens that start with `rest` and go on."""
        first = bisect.bisect_left(self._sorted, rest)
        last = bisect.bisect_left(self._sorted, _after(rest)) if rest else len(self._sorted)
        if last - first <= count:
            return self._sorted[first:last]
        return [self._sorted[i] for i in self._source.sample(range(first, last), count)]

    def _completed(self, begun: bytes) -> list[str]:
        """Return two texts that start with `begun` less the engine's own start, if there are."""
        try:
            whole, pending = whole_characters(begun[len(self._engine.start) :])
        except UnicodeDecodeError:
            return []
        characters = completions(pending)
        return [
            whole + self._source.choice(characters) + tail
            for tail in ("", self._source.choice(TAILS))
        ]

    # --- The three checks -------------------------------------------------------------------------

    def judge(self, prefix: bytes, original: str = "") -> None:
        """Check form, completeness and soundness of the covers of one prefix."""
        self.verdict.prefixes += 1
        covers = self._ours.cover_encodings(prefix)
        self._check_form(prefix, covers)
        listed = {tuple(tokens) for tokens, _ in covers}
        try:
            texts = self.continuations(prefix, original)
        except UnicodeDecodeError:  # no text starts so
            if listed:
                self._complain("malformed", prefix, "is the beginning of no text, but has covers")
            return
        for data, tokens in self.encodings(texts):
            if not data.startswith(prefix):
                continue
            self.verdict.witnesses += 1
            cover = self._engine.beginning(tokens, len(prefix))
            if cover not in listed:
                self._complain("missing", prefix, f"{self._shown(cover)} of the text {data!r}")
        chosen = self.choose(sorted(listed))
        self.verdict.covers += len(chosen)
        for cover in self.unwitnessed(chosen):
            self.verdict.distant += 1
            if not self._distant_witness(cover):
                self._complain("unexplained", prefix, self._shown(cover))

    def _check_form(self, prefix: bytes, covers: Sequence[tuple[tuple[int, ...], int]]) -> None:
        """Check what every cover satisfies by itself."""
        begun = self._engine.start + prefix
        seen = set()
        for tokens, overhang in covers:
            reach, context = self._engine.reach(tokens), self._engine.reach(tokens[:-1])
            good = (
                tuple(tokens) not in seen
                and reach is not None
                and context is not None
                and len(context) < len(begun)
                and reach.startswith(begun)
                and overhang == len(reach) - len(begun)
            )
            if not good:
                self._complain("malformed", prefix, f"{tokens}, overhang {overhang}: {reach!r}")
            seen.add(tuple(tokens))

    def choose(self, covers: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Choose some of many covers: each context, ends in blanks and inside characters."""
        if len(covers) <= self._most:
            return covers
        by_context = collections.defaultdict(list)
        for tokens in covers:
            by_context[tokens[:-1]].append(tokens)
        chosen = [self._source.choice(group) for group in by_context.values()]
        last_byte = {tokens: self._engine.token_bytes[tokens[-1]][-1:] for tokens in covers}
        inside = [tokens for tokens, byte in last_byte.items() if byte > b"\x7f"]
        blank = [tokens for tokens, byte in last_byte.items() if byte in b" \t\n\r"]
        for group, share in ((inside, 4), (blank, 8), (covers, 1)):
            count = max(0, min(len(group), self._most // share - len(chosen)))
            chosen += self._source.sample(group, count)
        return list(dict.fromkeys(chosen))[: self._most]

    def unwitnessed(self, covers: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return the covers for which no near text is found.

        Few tails for all, then all tails, then every character that a cut one can become.
        """
        left = list(covers)
        for stage in range(4):
            left = self._without_witness(left, stage) if left else left
        return left

    def _without_witness(self, covers: list[tuple[int, ...]], stage: int) -> list[tuple[int, ...]]:
        proposals: list[str] = []
        for cover in covers:
            proposals += self._proposals(cover, stage)
        shown = set()
        lengths = {len(cover) for cover in covers}
        for _, tokens in self.encodings(proposals):
            shown.update(tuple(tokens[:length]) for length in lengths if length <= len(tokens))
        return [cover for cover in covers if cover not in shown]

    def _proposals(self, cover: tuple[int, ...], stage: int) -> list[str]:
        data = self._engine.decode(cover)
        if data is None:
            return []
        try:
            whole, pending = whole_characters(data)
        except UnicodeDecodeError:
            return []
        characters = completions(pending)
        tails: Sequence[str] = TAILS
        if stage == 0:
            characters, tails = characters[:2], _FIRST_TAILS[:4]
        elif stage == 1:
            characters = characters[:8]
        elif stage == 3:
            characters, tails = completions(pending, of_each=4096), ("",)
        else:
            tails = _FIRST_TAILS if len(characters) > 40 else TAILS
        return [whole + char + tail for char, tail in itertools.product(characters, tails)]

    def _distant_witness(self, cover: tuple[int, ...]) -> bool:
        """Search along the covers listed behind `cover`: they propose, the engine decides."""
        self._searches -= 1
        level = [cover] if self._searches >= 0 else []
        for _ in range(3):
            following = []
            for sequence in level[:8]:
                data = self._engine.decode(sequence) or b""
                for byte in range(256):
                    following += [
                        tokens
                        for tokens, _ in self._ours.cover_encodings(data + bytes([byte]))
                        if tokens[:-1] == sequence
                    ]
            level = self._source.sample(following, min(len(following), 200))
            proposals = [text for found in level for text in self._proposals(found, 0)]
            for _, tokens in self.encodings(proposals):
                if tuple(tokens[: len(cover)]) == cover:
                    return True
        return False

    # --- Reports ----------------------------------------------------------------------------------

    def _shown(self, tokens: Iterable[int]) -> str:
        spelled = [self._engine.token_bytes.get(token) for token in tokens]
        return f"{list(tokens)} = {spelled}"

    def _complain(self, kind: str, prefix: bytes, what: str) -> None:
        setattr(self.verdict, kind, getattr(self.verdict, kind) + 1)
        self.verdict.note(f"{kind}: {prefix!r}: {what}")


def _after(beginning: bytes) -> bytes:
    """Return the least byte string behind all that start with `beginning`."""
    stripped = beginning.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\xff" * 64
