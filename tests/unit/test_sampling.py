"""generate and stream on byte models whose laws are known."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbyte.byte_model import END_OF_TEXT
from nextbyte.errors import InvalidInputError, NextByteError, UnreachableByteError
from nextbyte.sampling import Generation, SamplingParams, generate, stream
from unit.fake_byte_models import FakeByteModel, one_text_model, order2_model

# Lead and continuation bytes at random: mostly ill-formed, sometimes characters.
ILL_FORMED = b"ab\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff"


def inside_characters(data):
    """Positions that cut a well-formed character of `data`."""
    return {
        start + cut
        for start in range(len(data))
        for length in (2, 3, 4)
        for cut in range(1, length)
        if len(data[start : start + length].decode("utf-8", "replace")) == 1
        and "\ufffd" not in data[start : start + length].decode("utf-8", "replace")
        and len(data) >= start + length
    }


def law_of(model, prefix):
    return model.start(prefix).next_byte_logprobs()


@given(
    seed=st.integers(0, 10_000),
    stops=st.lists(st.lists(st.sampled_from(ILL_FORMED), min_size=1, max_size=3).map(bytes)),
    max_bytes=st.integers(0, 40),
    errors=st.sampled_from(["replace", "ignore", "backslashreplace"]),
    temperature=st.sampled_from([0.0, 0.7, 1.0, 3.0]),
)
@settings(deadline=None)
def test_a_stream_adds_up_to_the_generation(seed, stops, max_bytes, errors, temperature):
    model = order2_model(seed % 7, ILL_FORMED)
    params = SamplingParams(stop=stops, max_bytes=max_bytes, seed=seed, temperature=temperature)
    iterator = stream(model, b"", params, errors=errors)
    shown, borders = b"", []
    for chunk in iterator:
        assert chunk.bytes
        shown += chunk.bytes
        # What is on screen contains no stop string and is a prefix of the result.
        assert not any(stop in shown for stop in stops)
        borders.append(len(shown))
    assert not inside_characters(shown).intersection(borders)
    result = iterator.result
    assert shown == result.bytes
    again = list(stream(model, b"", params, errors=errors))
    assert "".join(chunk.text for chunk in again) == result.text
    assert b"".join(chunk.bytes for chunk in again) == result.bytes
    other = generate(model, b"", params, errors=errors)
    assert other.bytes == result.bytes
    assert other.logprob == result.logprob
    assert len(result.bytes) <= max_bytes
    assert (result.stop is not None) == (result.finish_reason == "stop")


@given(seed=st.integers(0, 10_000), stop=st.sampled_from(["\u20ac", "a\u00e9", "\U0001f600"]))
@settings(deadline=None)
def test_no_chunk_splits_a_character(seed, stop):
    """A model of well-formed text: every chunk must decode strictly, and so must the whole."""
    characters = [character.encode() for character in "a\u00e9\u20ac\U0001f600"]

    def law(prefix):
        tail = next(
            prefix[len(prefix) - n :]
            for n in range(min(3, len(prefix)), -1, -1)
            if any(c.startswith(prefix[len(prefix) - n :]) and len(c) > n for c in characters)
        )
        row = np.full(257, -np.inf)
        for character in characters:
            if character.startswith(tail) and len(character) > len(tail):
                row[character[len(tail)]] = 0.0
        return row - np.log(np.exp(row).sum())

    params = SamplingParams(seed=seed, stop=stop, max_bytes=40)
    iterator = stream(FakeByteModel(law), b"", params, errors="strict")
    chunks = list(iterator)
    for chunk in chunks[:-1]:
        chunk.bytes.decode("utf-8")
    cut_short = iterator.result.finish_reason == "length"
    if not cut_short:
        chunk_texts = "".join(chunk.text for chunk in chunks)
        assert chunk_texts == iterator.result.text == iterator.result.bytes.decode("utf-8")


def test_the_text_of_a_certain_model():
    text = "na\u00efve caf\u00e9".encode()
    result = generate(one_text_model(text), b"na")
    assert result.bytes == text[2:]
    assert result.text == "\u00efve caf\u00e9"
    assert result.full_text == "na\u00efve caf\u00e9"
    assert result.prompt == b"na"
    assert result.finish_reason == "end_of_text"
    assert result.stop is None
    assert result.logprob == 0.0
    assert result.byte_logprobs.shape == (len(text) - 2,)
    # Counted by the model: one law for each byte and one for the end.
    assert result.lm_evaluations == len(text) - 2 + 1


def test_chunks_are_characters_as_soon_as_they_are_whole():
    text = "a\u00e9\u20ac\U0001f600".encode() + b"\xff!"
    chunks = [chunk.bytes for chunk in stream(one_text_model(text), b"")]
    assert chunks == [
        b"a",
        "\u00e9".encode(),
        "\u20ac".encode(),
        "\U0001f600".encode(),
        b"\xff",
        b"!",
    ]


def test_an_unfinished_character_comes_last():
    model = one_text_model("a\u20ac".encode())
    iterator = stream(model, b"", SamplingParams(max_bytes=3))
    assert [chunk.bytes for chunk in iterator] == [b"a", b"\xe2\x82"]
    assert iterator.result.text == "a\ufffd"
    assert iterator.result.finish_reason == "length"


@pytest.mark.parametrize(
    ("errors", "text"),
    [("replace", "a\ufffdb"), ("ignore", "ab"), ("backslashreplace", "a\\xffb")],
)
def test_ill_formed_bytes_in_text(errors, text):
    assert generate(one_text_model(b"a\xffb"), b"", errors=errors).text == text


def test_strict_errors_keep_the_bytes():
    result = generate(one_text_model(b"a\xffb"), b"", errors="strict")
    assert result.bytes == b"a\xffb"
    with pytest.raises(UnicodeDecodeError):
        _ = result.text
    assert "\\\\xff" in repr(result)


def test_the_stop_string_is_cut_from_bytes_and_logprobs():
    model = order2_model(3, b"abc", end=False)
    params = SamplingParams(stop=["bc", "abc"], seed=1, max_bytes=500)
    result = generate(model, b"ab", params)
    assert result.finish_reason == "stop"
    assert result.stop in (b"bc", b"abc")
    everything = b"ab" + result.bytes + result.stop
    # The longest stop that ends there is cut, and nothing before was one.
    assert (result.stop == b"abc") == everything[2:].endswith(b"abc")
    assert b"bc" not in result.bytes
    assert len(result.byte_logprobs) == len(result.bytes)
    expected = [
        law_of(model, everything[:i])[everything[i]] for i in range(2, 2 + len(result.bytes))
    ]
    np.testing.assert_array_equal(result.byte_logprobs, expected)
    assert result.logprob == pytest.approx(math.fsum(expected), abs=1e-12)


def test_a_stop_string_does_not_reach_back_into_the_prompt():
    result = generate(one_text_model(b"ENDxEND."), b"EN", SamplingParams(stop="END"))
    assert result.bytes == b"Dx"
    assert result.stop == b"END"


def test_bytes_that_did_not_become_a_stop_are_shown_late_but_shown():
    iterator = stream(one_text_model(b"aENx-EN"), b"", SamplingParams(stop="END"))
    assert [chunk.bytes for chunk in iterator] == [b"a", b"ENx", b"-", b"EN"]


def test_max_bytes_counts_bytes_of_the_stop_string():
    model = one_text_model(b"abcEND")
    assert generate(model, b"", SamplingParams(stop="END", max_bytes=6)).finish_reason == "stop"
    cut = generate(model, b"", SamplingParams(stop="END", max_bytes=5))
    assert (cut.bytes, cut.finish_reason, cut.stop) == (b"abcEN", "length", None)


def test_no_bytes_need_no_model():
    model = order2_model(0, b"ab")
    iterator = stream(model, "ab", SamplingParams(max_bytes=0))
    assert list(iterator) == []
    result = iterator.result
    assert (result.bytes, result.finish_reason, result.lm_evaluations) == (b"", "length", 0)
    assert result.logprob == 0.0
    assert model.started == []


def test_logprob_is_the_models_own_whatever_the_warping():
    model = order2_model(5, b"abcd")
    params = SamplingParams(temperature=0.3, top_k=3, top_p=0.9, seed=4, max_bytes=60)
    result = generate(model, b"a", params)
    text = b"a" + result.bytes
    state = model.start(text)
    expected = state.logprob - law_of(model, b"")[ord("a")]
    if result.finish_reason == "end_of_text":
        expected += state.next_byte_logprobs()[END_OF_TEXT]
    assert result.logprob == pytest.approx(expected, abs=1e-9)
    assert not result.byte_logprobs.flags.writeable
    assert result.lm_evaluations == model.started[0].lm_evaluations


def test_the_end_of_text_counts_in_logprob():
    row = np.full(257, -np.inf)
    row[[97, END_OF_TEXT]] = np.log([0.25, 0.75])
    result = generate(FakeByteModel(lambda _: row), b"", SamplingParams(temperature=0))
    assert (result.bytes, result.finish_reason) == (b"", "end_of_text")
    assert result.logprob == np.log(0.75)
    assert result.byte_logprobs.shape == (0,)


def test_the_largest_bound_is_reported():
    model = one_text_model(b"abc")
    bounds = iter([0.0, 0.25, 0.125, 0.0])
    start = model.start

    def start_with_bounds(prompt=b""):
        state = start(prompt)
        type_with_bounds = type(
            "State", (type(state),), {"bound": property(lambda _: next(bounds))}
        )
        state.__class__ = type_with_bounds
        return state

    model.start = start_with_bounds
    assert generate(model, b"").bound == 0.25
    assert generate(one_text_model(b"abc"), b"").bound == 0.0


def test_the_same_seed_gives_the_same_bytes():
    model = order2_model(1, b"abcdefgh", end=False)
    runs = [
        generate(model, b"", SamplingParams(seed=seed, max_bytes=64)).bytes for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1] != runs[2]
    fresh = {generate(model, b"", SamplingParams(max_bytes=64)).bytes for _ in range(3)}
    assert len(fresh) == 3


def test_seeded_bytes_do_not_change_between_releases():
    model = order2_model(1, b"abcdefgh", end=False)
    expected = b"".join(
        bytes([int(np.searchsorted(np.cumsum(np.exp(row)), uniform, side="right"))])
        for row, uniform in zip(
            itertools.repeat(law_of(FakeByteModel(lambda _: law_of(model, b"")), b"")),
            np.random.Generator(np.random.PCG64(9)).random(20),
            strict=False,
        )
    )
    memoryless = FakeByteModel(lambda _: law_of(model, b""))
    assert generate(memoryless, b"", SamplingParams(seed=9, max_bytes=20)).bytes == expected


@pytest.mark.parametrize(
    ("uniform", "byte"), [(0.0, b"b"), (0.5, b"d"), (np.nextafter(1.0, 0.0), b"d")]
)
def test_the_ends_of_the_unit_interval_draw_possible_symbols(uniform, byte):
    """Half-open intervals: a uniform number on an edge belongs to the symbol above it."""
    row = np.full(257, -np.inf)
    row[[ord("b"), ord("d")]] = np.log(0.5)
    iterator = stream(FakeByteModel(lambda _: row), b"", SamplingParams(max_bytes=1))
    iterator._sampler._random = SimpleNamespace(random=lambda: uniform)
    assert next(iterator).bytes == byte


def test_greedy_takes_the_most_probable_symbol_each_time():
    model = order2_model(13, b"abcdef", end=False)
    result = generate(model, b"ab", SamplingParams(temperature=0, max_bytes=30))
    text = b"ab"
    for _ in range(30):
        text += bytes([int(np.argmax(law_of(model, text)))])
    assert result.bytes == text[2:]


def test_an_unreachable_prompt_is_the_models_error():
    with pytest.raises(UnreachableByteError) as caught:
        stream(one_text_model(b"abc"), b"abx")  # at the call, not at the first chunk
    assert (caught.value.position, caught.value.byte) == (2, ord("x"))


def test_special_token_text_is_ordinary_text():
    result = generate(one_text_model(b"<|endoftext|>!"), "<|endof")
    assert result.bytes == b"text|>!"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("a\ud800",), {}, r"prompt: lone surrogate U\+D800 at character 1"),
        ((None,), {}, "prompt must be one str or bytes, not NoneType"),
        (("a", {"seed": 1}), {}, "params must be SamplingParams, not dict"),
        (("a",), {"errors": "surrogateescape"}, "errors must be one of 'replace', 'strict'"),
    ],
)
def test_arguments_are_checked_before_the_model_is_asked(arguments, options, message):
    model = order2_model(0, b"ab")
    for function in (generate, stream):
        with pytest.raises(InvalidInputError, match=message):
            function(model, *arguments, **options)
    assert model.started == []


def test_there_is_no_result_before_the_end():
    iterator = stream(one_text_model(b"ab"), b"")
    with pytest.raises(NextByteError, match="before its end"):
        _ = iterator.result
    next(iterator)
    with pytest.raises(NextByteError):
        _ = iterator.result
    assert list(iterator)
    assert iterator.result.bytes == b"ab"
    with pytest.raises(StopIteration):
        next(iterator)


def test_an_interrupted_stream_goes_on_where_it_was():
    model = one_text_model(b"abcdef")
    law, failures = model.law, [b"abc", b"ab"]

    def failing(prefix):
        if failures and prefix == failures[-1]:
            failures.pop()
            raise KeyboardInterrupt
        return law(prefix)

    model = FakeByteModel(failing)
    iterator = stream(model, b"")
    seen = []
    for _ in range(20):
        try:
            seen.append(next(iterator).bytes)
        except KeyboardInterrupt:
            continue
        except StopIteration:
            break
    assert b"".join(seen) == b"abcdef"
    assert failures == []


def test_repr_shows_what_matters():
    shown = repr(generate(one_text_model(b"a\nb."), b"", SamplingParams(stop=".")))
    assert shown == (
        "Generation(text='a\\nb', finish_reason='stop', stop=b'.', bytes=3, logprob=0.0000, "
        "lm_evaluations=4)"
    )
    long = repr(generate(one_text_model(b"x" * 200), b""))
    assert "'...," in long
    assert len(long) < 200


def test_a_progress_bar_changes_nothing(capfd):
    model = order2_model(2, b"ab", end=False)
    params = SamplingParams(seed=0, max_bytes=5)
    with_bar = generate(model, b"", params, progress=True)
    assert isinstance(with_bar, Generation)
    assert with_bar.bytes == generate(model, b"", params).bytes
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")  # no terminal, no bar
