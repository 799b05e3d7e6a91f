"""Where a text ends by what it says, against definitions applied to the whole text at once."""

from __future__ import annotations

import itertools
import random
import threading

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError
from nextbyte.sampling.interruption import Interruption
from nextbyte.sampling.text_ends import TextEnds, head_of
from nextbyte.text_stream import unfinished_length
from unit.clocks import tick_at_each_look
from unit.fake_byte_models import order2_model

BLANKS = b" \t\n\r\v\f"


def run(text, params, suffix=b""):
    """Return (what stays, why), after checking that nothing shown was cut off later."""
    ends, seen, shown = TextEnds(params, suffix), bytearray(), 0
    for byte in text:
        seen.append(byte)
        ending = ends.push(seen)
        if ending is not None:
            assert ending.length >= shown
            return bytes(seen[: ending.length]), ending.reason
        shown = max(shown, len(seen) - ends.pending)
    kept = ends.kept(seen)
    assert kept >= shown
    return bytes(seen[:kept]), "length"


def slow_cuts(text, params, suffix):
    """Yield (place where the end is noticed, place of the cut, why) by the definitions."""
    stops = [*params.stop_strings, *((b"\n", b"\r\n") if params.single_line else ())]
    for stop in stops:
        if (at := text.find(stop)) >= 0:
            yield at + len(stop), at, "stop"
    if params.min_indent:
        position = 0
        cut = None
        for number, line in enumerate(text.split(b"\n")):
            body = line.lstrip(b" \t")
            solid = body.lstrip(b"\r")
            if number and solid and len(line) - len(body) < params.min_indent:
                blanks = line[: len(line) - len(solid)].translate(None, b"\r")
                if len(blanks) < params.min_indent:
                    yield position + len(line) - len(solid) + 1, cut, "indentation"
                    break
            if solid or not number:
                end = position + len(line)
                cut = end - 1 if line.endswith(b"\r") else end
            position += len(line) + 1
    lead, head = head_of(suffix)
    if head and (at := text.find(head)) >= 0:
        count = 0
        while count < min(len(lead), at) and text[at - count - 1] == lead[-1 - count]:
            count += 1
        yield at + len(head), at - count, "suffix"


def slow(text, params, suffix=b""):
    cuts = list(slow_cuts(text, params, suffix))
    if cuts:
        first = min(cuts)[0]
        _, place, reason = min((c for c in cuts if c[0] == first), key=lambda c: c[1])
        return text[:place], reason
    lead, head = head_of(suffix)
    for size in range(len(head) - 1, 0, -1):
        if text.endswith(head[:size]):
            if sum(byte not in BLANKS for byte in head[:size]) >= 8:
                at = len(text) - size
                while lead and at and text[at - 1] == lead[-1]:
                    at, lead = at - 1, lead[:-1]
                return text[:at], "length"
            break
    return text, "length"


@pytest.mark.parametrize(
    ("suffix", "lead", "head"),
    [
        (b")\n    return x\n}\n", b"", b")\n    return x"),
        (b"\n    return value\n}", b"\n    ", b"return value"),
        (b"\r\n\treturn value;\r\n}\r\n", b"\r\n\t", b"return value;"),
        (b"llo_world():\r\n", b"", b"llo_world():"),
        (b"\n}\n", b"", b""),
        (b"", b"", b""),
        (b"1 2 3 4\n", b"", b""),
        (b"x" * 100, b"", b"x" * 64),
        (b" \n\t", b"", b""),
    ],
)
def test_the_head_of_a_suffix(suffix, lead, head):
    assert head_of(suffix) == (lead, head)


@pytest.mark.parametrize(
    ("text", "limits", "suffix", "wanted"),
    [
        (b"a + b\nreturn", {"single_line": True}, b"", (b"a + b", "stop")),
        (b"a + b\r\nreturn", {"single_line": True}, b"", (b"a + b", "stop")),
        (b"a\rb", {"single_line": True}, b"", (b"a\rb", "length")),
        (b"x\n    y\nz", {"min_indent": 4}, b"", (b"x\n    y", "indentation")),
        (b"x\r\n    y\r\n\r\nz", {"min_indent": 4}, b"", (b"x\r\n    y", "indentation")),
        (b"x\n\n    y\n  ", {"min_indent": 4}, b"", (b"x\n\n    y\n  ", "length")),
        (b"x\n\n   y", {"min_indent": 4}, b"", (b"x", "indentation")),
        (b"\ndef f", {"min_indent": 4}, b"", (b"", "indentation")),
        (b"x\n\t\ty", {"min_indent": 2}, b"", (b"x\n\t\ty", "length")),
        (b"a, b)\n    return x", {}, b")\n    return x\n", (b"a, b", "suffix")),
        (b"y = 1\n    return value", {}, b"\n    return value\n", (b"y = 1", "suffix")),
        (b"y = 1\n  return value", {}, b"\n    return value\n", (b"y = 1\n", "suffix")),
        (b"y = 1\n    return va", {}, b"\n    return value\n", (b"y = 1", "length")),
        (b"y = 1\n    return", {}, b"\n    return value\n", (b"y = 1\n    return", "length")),
        (b"g(x)", {}, b")\n", (b"g(x)", "length")),
    ],
)
def test_where_a_text_ends(text, limits, suffix, wanted):
    params = nb.SamplingParams(**limits)
    assert run(text, params, suffix) == wanted


def test_random_texts_end_where_the_definitions_say():
    random_ = random.Random(4)
    kinds = set()
    pieces = [b"a", b"b", b" ", b"\n", b"\r\n", b"\t", b"ab cd", b"abcdefgh", b"  "]
    for _ in range(4000):
        text = b"".join(random_.choices(pieces, k=random_.randrange(14)))
        suffix = b"".join(random_.choices(pieces, weights=[1, 1, 2, 2, 1, 1, 3, 4, 2], k=5))
        params = nb.SamplingParams(
            stop=random_.choice([(), b"ba", (b"a\n", b" b")]),
            single_line=random_.random() < 0.2,
            min_indent=random_.choice([0, 0, 1, 2]),
        )
        found = run(text, params, suffix)
        assert found == slow(text, params, suffix), (text, suffix, params)
        kinds.add(found[1])
    assert kinds == {"stop", "indentation", "suffix", "length"}


# --- Through the samplers ------------------------------------------------------------------------


def test_generation_has_the_limits():
    model = order2_model(3, b"ab \n", end=False)
    free = nb.generate(model, b"", nb.SamplingParams(seed=1, max_bytes=200))
    for limits in ({"single_line": True}, {"min_indent": 1}, {"min_indent": 1, "stop": b"bb"}):
        params = nb.SamplingParams(seed=1, max_bytes=200, **limits)
        found = nb.generate(model, b"", params)
        assert (found.bytes, found.finish_reason) == slow(free.bytes, params)
        chunks = nb.stream(model, b"", params)
        assert b"".join(chunk.bytes for chunk in chunks) == found.bytes
        assert len(found.byte_logprobs) == len(found.bytes)
        assert found.logprob == pytest.approx(found.byte_logprobs.sum())
        assert unfinished_length(found.bytes) == 0


def test_a_time_budget_ends_between_steps(monkeypatch):
    tick_at_each_look(monkeypatch)
    model = order2_model(3, b"ab", end=False)
    whole = nb.generate(model, b"", nb.SamplingParams(seed=1, max_bytes=50))
    params = nb.SamplingParams(seed=1, max_bytes=50, time_budget_ms=5500)
    found = nb.generate(model, b"", params)
    assert found.finish_reason == "time"
    assert found.bytes == whole.bytes[:5]
    assert len(found.byte_logprobs) == 5
    none = nb.generate(model, b"", nb.SamplingParams(time_budget_ms=0))
    assert (none.bytes, none.finish_reason, none.lm_evaluations) == (b"", "time", 0)
    slow_one, other = nb.generate(
        model, [b"", b""], [params, nb.SamplingParams(seed=1, max_bytes=50)]
    )
    assert slow_one.finish_reason == "time"
    assert whole.bytes.startswith(slow_one.bytes)
    assert (other.bytes, other.finish_reason) == (whole.bytes, whole.finish_reason)


def test_cancelling_keeps_what_there_is():
    model = order2_model(3, b"ab", end=False)
    params = nb.SamplingParams(seed=1, max_bytes=50)
    whole = nb.generate(model, b"", params)
    polls = itertools.count()
    found = nb.generate(model, b"", params, cancel=lambda: next(polls) >= 7)
    assert (found.bytes, found.finish_reason) == (whole.bytes[:7], "cancelled")
    event = threading.Event()
    chunks = nb.stream(model, b"", params, cancel=event)
    shown = next(chunks).bytes
    event.set()
    assert list(chunks) == []
    assert (chunks.result.bytes, chunks.result.finish_reason) == (shown, "cancelled")
    batch = nb.generate(model, [b"", b"a"], params, cancel=event)
    assert [(r.bytes, r.finish_reason) for r in batch] == [(b"", "cancelled")] * 2
    with pytest.raises(InvalidInputError, match="cancel must be a function"):
        nb.stream(model, b"", params, cancel="yes")
    assert Interruption(None, None).is_possible is False


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("single_line", 1),
        ("min_indent", -1),
        ("min_indent", True),
        ("time_budget_ms", -0.5),
        ("time_budget_ms", "1"),
        ("time_budget_ms", np.nan),
    ],
)
def test_limits_out_of_range(field, value):
    with pytest.raises(InvalidInputError, match=field):
        nb.SamplingParams(**{field: value})
