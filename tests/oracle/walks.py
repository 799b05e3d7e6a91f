"""Walks over the product's states beside the reference; every walk checks every prefix it meets."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

from oracle import comparison
from oracle.distribution import END_OF_TEXT

if TYPE_CHECKING:
    from pathlib import Path

    from oracle.cases import Case
    from oracle.comparison import Subject


def walk_with_forks(subject: Subject) -> None:
    """Depth first over all prefixes, a byte and a query at a time; siblings share their past."""
    expected = subject.reference()
    waiting = [(subject.lm.start(), b"")]
    met = []
    while waiting:
        state, prefix = waiting.pop()
        subject.check_state(state, expected, prefix)
        met.append(prefix)
        if len(prefix) == expected.depth:
            continue
        for symbol in expected.conditional(prefix):
            if symbol != END_OF_TEXT:
                child = state.fork()
                child.push(bytes([symbol]))
                waiting.append((child, prefix + bytes([symbol])))
        subject.check_state(state, expected, prefix, query=False)
    assert sorted(met) == expected.live()


def fresh_starts(subject: Subject) -> None:
    """Every prefix as a prompt of its own, with a single query."""
    expected = subject.reference()
    for prefix in expected.live():
        subject.check_state(subject.lm.start(prefix), expected, prefix)


def pushes_without_queries(subject: Subject) -> None:
    """Every longest prefix pushed at once, rolled back by some bytes and pushed again."""
    expected = subject.reference()
    source = random.Random(f"pushes {subject.case.name}")
    for prefix in expected.live():
        if len(prefix) < expected.depth:
            continue
        state = subject.lm.start()
        state.push(prefix)
        if source.random() < 0.5:
            subject.check_state(state, expected, prefix)
        count = source.randrange(1, len(prefix) + 1)
        state.rollback(count)
        shorter = prefix[:-count]
        subject.check_state(state, expected, shorter, query=source.random() < 0.7)
        state.push(prefix[len(shorter) :])
        subject.check_state(state, expected, prefix)


def rollbacks(subject: Subject, *, longest: int = 3) -> None:
    """Every short push and rollback, looked at or not in every combination of moments.

    A push can end the life of a context before its logits were ever asked for; a rollback brings it
    back, and then they are needed.
    """
    expected = subject.reference()
    for prefix in expected.live():
        if not 0 < len(prefix) <= longest:
            continue
        for looks in itertools.product(("", "logprob", "row"), repeat=3):
            for count in range(1, len(prefix) + 1):
                shorter = prefix[:-count]
                state = subject.lm.start()
                _look(subject, state, b"", looks[0])
                state.push(prefix)
                _look(subject, state, prefix, looks[1])
                state.rollback(count)
                _look(subject, state, shorter, looks[2])
                state.push(prefix[len(shorter) :])
                subject.check_state(state, expected, prefix)
                state.rollback(count)
                subject.check_state(state, expected, shorter)


def _look(subject: Subject, state: Any, prefix: bytes, how: str) -> None:
    if how:
        subject.check_state(state, subject.reference(), prefix, query=how == "row")


def batches(subject: Subject) -> None:
    """All prefixes of one length in one call, equal to one by one to the last bit."""
    expected = subject.reference()
    by_length: dict[int, list[bytes]] = {}
    for prefix in expected.live():
        by_length.setdefault(len(prefix), []).append(prefix)
    states: dict[bytes, Any] = {b"": subject.lm.start()}
    for _, prefixes in sorted(by_length.items()):
        for prefix in prefixes:
            if prefix:
                states[prefix] = states[prefix[:-1]].fork()
                states[prefix].push(prefix[-1:])
        rows = subject.lm.next_byte_logprobs([states[prefix] for prefix in prefixes])
        assert rows.shape == (len(prefixes), 257)
        for prefix, row in zip(prefixes, rows, strict=True):
            subject.check_row(row, expected, prefix)
            assert row.tolist() == states[prefix].next_byte_logprobs().tolist()
    assert subject.lm.next_byte_logprobs([]).shape == (0, 257)


def refusals(subject: Subject) -> None:
    """Impossible bytes at every prefix, alone and at the end of a longer push."""
    expected = subject.reference()
    for prefix in expected.live():
        state = subject.lm.start(prefix)
        subject.check_refusals(state, expected, prefix)
        bad = subject.impossible(expected, prefix)[:1]
        empty = subject.lm.start()
        try:
            empty.push(prefix + bytes(bad) + b"tail")
        except subject.errors.UnreachableByteError as error:
            found = (error.position, error.byte)
        else:
            found = None
        assert found == (len(prefix), bad[0]), f"{subject.case.name}: {prefix + bytes(bad)!r}"
        assert (empty.prefix, empty.logprob) == (b"", 0.0)


def random_operations(subject: Subject, *, count: int = 200, seed: int = 0) -> None:
    """Pushes, forks, rollbacks, single and batched queries in random order on a few states."""
    expected = subject.reference()
    source = random.Random(f"operations {subject.case.name} {subject.kind} {seed}")
    states: list[tuple[Any, bytes]] = [(subject.lm.start(), b"")]
    for _ in range(count):
        place = source.randrange(len(states))
        state, prefix = states[place]
        operation = source.choice(
            ["push", "push", "push", "fork", "rollback", "query", "batch", "start", "refuse"]
        )
        if operation == "push":
            longer = prefix
            for _ in range(source.randrange(1, 5)):
                options = [
                    symbol for symbol in expected.conditional(longer) if symbol != END_OF_TEXT
                ]
                if len(longer) == expected.depth or not options:
                    break
                longer += bytes([source.choice(options)])
            state.push(longer[len(prefix) :])
            states[place] = (state, longer)
        elif operation == "fork":
            states.append((state.fork(), prefix))
        elif operation == "rollback":
            back = source.randrange(len(prefix) + 1)
            state.rollback(back)
            states[place] = (state, prefix[: len(prefix) - back])
        elif operation == "query":
            subject.check_state(state, expected, prefix)
        elif operation == "batch":
            rows = subject.lm.next_byte_logprobs([one for one, _ in states])
            for row, (_, one_prefix) in zip(rows, states, strict=True):
                subject.check_row(row, expected, one_prefix)
        elif operation == "start":
            states[place] = (subject.lm.start(prefix), prefix)
        else:
            subject.check_refusals(state, expected, prefix)
        subject.check_state(*states[place][:1], expected, states[place][1], query=False)
        if len(states) > 6:
            del states[source.randrange(len(states))]


def long_texts(subject: Subject, *, characters: int = 20, texts: int = 2) -> None:
    """A few longer texts, byte by byte, against a reference restricted to their own prefixes."""
    source = random.Random(f"texts {subject.case.name}")
    for _ in range(texts):
        text = ""
        while len(text) < characters:
            text += source.choice(subject.case.alphabet) * source.choice([1, 1, 1, 2, 3])
        data = text.encode()
        expected = subject.reference(data)
        state = subject.lm.start()
        for end in range(len(data) + 1):
            prefix = data[:end]
            if prefix not in expected.mass:
                break
            if end:
                state.push(prefix[-1:])
            subject.check_state(state, expected, prefix)
            if end % 4 == 0:
                subject.check_refusals(state, expected, prefix)


def encodings(nb: Any, case: Case, folder: Path) -> None:
    """``encode`` and ``decode`` on every text of the exhaustive enumeration."""
    tokenizer = comparison.load(nb, case, folder)
    for text, sequence in case.definition.encode_all(case.exhaustive).items():
        if sequence is None:
            continue
        data = text.encode()
        found = tokenizer.encode(data)
        assert found == list(sequence), (
            f"{case.name}: {text!r} gives {found}, by the tokenizer {list(sequence)}"
        )
        assert tokenizer.decode(found) == data
        comparison.TALLY.encodings += 1


def cover_encodings(nb: Any, case: Case, folder: Path) -> None:
    """``cover_encodings`` of every prefix that has any, and of some that have none."""
    tokenizer = comparison.load(nb, case, folder)
    decode = case.definition.decode
    for prefix, wanted in sorted(case.definition.covers(case.depth).items()):
        found = [(tuple(ids), overhang) for ids, overhang in tokenizer.cover_encodings(prefix)]
        what = f"{case.name}: covers of {prefix!r}"
        assert len(found) == len(set(found)), f"{what} repeat"
        missing, impossible = wanted - set(found), set(found) - wanted
        assert not missing, f"{what} lack {sorted(missing)}"
        assert not impossible, f"{what} include impossible {sorted(impossible)}"
        for ids, overhang in found:
            assert decode(ids)[: len(prefix)] == prefix
            assert len(decode(ids)) == len(prefix) + overhang
        for byte in comparison.STRANGE_BYTES if len(prefix) < case.depth else ():
            if (longer := prefix + bytes([byte])) not in case.definition.covers(case.depth):
                assert tokenizer.cover_encodings(longer) == [], f"{case.name}: covers of {longer!r}"
        comparison.TALLY.cover_sets += 1


WALKS = (
    walk_with_forks,
    fresh_starts,
    pushes_without_queries,
    batches,
    refusals,
    random_operations,
    long_texts,
)
TOKENIZER_CHECKS = (encodings, cover_encodings)
