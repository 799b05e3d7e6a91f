"""Special tokens between texts: what is closed, what is open, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import InvalidInputError
from nextbyte.segments import Continued, close_segments
from oracle import comparison
from oracle.language_models import LanguageModel
from oracle.posterior import cover_posterior
from oracle.zoo import by_name
from unit.known_models import AB, CHAT, END, START, A, load_all, noisy
from unit.test_character_pairs import llama_json, write_json


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))["ab_with_specials"]


def test_closed_texts_are_their_own_encodings(tokenizer):
    for segments, tokens, text in (
        ([], (), b""),
        (["ab"], (), b"ab"),
        (["aab", CHAT], (A, AB, CHAT), b""),
        ([CHAT, "a", "b", END, START, b"a"], (CHAT, AB, END, START), b"a"),
        ([[CHAT, END], "", np.int64(START), "", "ab"], (CHAT, END, START), b"ab"),
        (((CHAT,), np.array([END])), (CHAT, END), b""),
        ([[], "a"], (), b"a"),
    ):
        assert close_segments(tokenizer, segments) == (tokens, text)


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ("ab", "must be a list"),
        (3, "must be a list"),
        ([CHAT, 1.5], "segment 1 must be text, or special tokens"),
        ([None], "segment 0 must be text"),
        ([True], "segment 0: True is no token id"),
        ([[CHAT, -1]], "segment 0: -1 is no token id"),
        (["a", [CHAT, A]], r"segment 1: token 0 is the ordinary token b'a'"),
        (
            ["a", b"\xc3", CHAT],
            "segment 0 is followed by a special token, so it must be a complete",
        ),
        (["a", 99], "segment's token 99 is outside the model's 7 logits"),
    ],
)
def test_what_is_refused(tokenizer, segments, problem):
    lm, _ = noisy(tokenizer)
    with pytest.raises(InvalidInputError, match=problem):
        lm.start(segments=segments)


def test_a_prompt_or_segments(tokenizer):
    lm, _ = noisy(tokenizer, start_token=START)
    with pytest.raises(InvalidInputError, match="not both"):
        lm.start("a", segments=["b"])
    same, other = lm.start(segments=["ab"]), lm.start("ab")
    np.testing.assert_array_equal(same.next_byte_logprobs(), other.next_byte_logprobs())
    assert lm.start(segments=["ab", CHAT, "a"]).start_tokens == (START, AB, CHAT)
    assert lm.start(segments=["ab", CHAT, "a"], bos=None).start_tokens == (AB, CHAT)


def test_contexts_begin_with_all_that_is_before(tokenizer):
    lm, backend = noisy(tokenizer, start_token=START, end_tokens=(END,))
    state = lm.start(segments=["ab", CHAT, "a"])
    state.next_byte_logprobs()
    assert state.prefix == b"a"
    assert {context[:3] for batch in backend.batches for context in batch} == {(START, AB, CHAT)}
    assert state.logprob < 0.0
    fork = state.fork()
    fork.push(b"b")
    fork.rollback(2)
    assert fork.logprob == 0.0  # nothing of the open text is left, and the rest stays
    with pytest.raises(InvalidInputError):
        fork.rollback(1)
    assert fork.start_tokens == (START, AB, CHAT)


@dataclass
class BehindSegments(LanguageModel):
    """The oracle's model, for texts that begin behind fixed tokens."""

    before: tuple[int, ...] = ()

    @property
    def start(self):
        return self.before


@pytest.mark.parametrize(
    ("name", "kind"), [("smollm_words", "even"), ("llama3_blanks", "even"), ("plain_three", "even")]
)
def test_laws_and_covers_behind_special_tokens(name, kind, tmp_path):
    case = by_name(name)
    definition = case.definition
    vocabulary = definition.tokenizer.get_vocab(with_added_tokens=True)
    first, second = (vocabulary[token] for token in case.specials[:2])
    closed = case.alphabet[:2] * 2
    before = (first, *definition.encode(closed), second, first)
    ends = tuple(vocabulary[token] for token in case.ends)
    model = BehindSegments(definition, kind, 0, end_tokens=ends, before=before)
    lm = nb.ByteLM.from_function(comparison.load(nb, case, tmp_path), model.rows, end_tokens=ends)

    reference = comparison.reference(model, 3)
    for prefix in reference.live()[:40]:
        state = lm.start(segments=[first, closed, [second, first], prefix])
        assert state.start_tokens == before
        found = np.exp(state.next_byte_logprobs())
        for symbol, chance in reference.conditional(prefix).items():
            assert found[symbol] == pytest.approx(float(chance), rel=1e-12)
        assert math.fsum(found) == pytest.approx(1.0, abs=1e-12)
        healing = nb.heal(lm, segments=[first, closed, [second, first], prefix])
        expected = cover_posterior(model, prefix)
        assert len(healing.covers) == len(expected)
        for cover in healing.covers:
            ids = tuple(healing.token_ids(cover))
            assert ids[: len(before)] == before
            share = float(expected[ids[len(before) :]])
            assert math.exp(cover.log_weight) == pytest.approx(share, rel=1e-12)


def test_continued_texts_have_no_blank_in_front(tmp_path, tokenizer):
    path = write_json(tmp_path, llama_json("▁aé", ["▁ a", "a a"], "☺".encode()))
    with_lead = nb.Tokenizer.from_file(path)
    assert with_lead.compiled.lead == b" "
    for text in ("a", " a", "aé a", "éaa", ""):
        (first, *tokens), rest = close_segments(with_lead, [1, Continued(text), 1])
        assert (first, tokens.pop(), rest) == (1, 1, b"")
        assert b"".join(map(with_lead.token_bytes, tokens)) == text.encode()
        closed, _ = close_segments(with_lead, [1, text, 1])
        spelled = b"".join(map(with_lead.token_bytes, closed[1:-1]))
        assert spelled == (b" " + text.encode() if text else b"")
    assert close_segments(tokenizer, [CHAT, Continued("ab"), CHAT]) == ((CHAT, AB, CHAT), b"")
    for segments in ([CHAT, Continued("a")], ["b", Continued("a"), CHAT], [Continued("a"), "b"]):
        with pytest.raises(InvalidInputError, match="must stand between special tokens"):
            close_segments(tokenizer, segments)
    bare = nb.Tokenizer.from_file(write_json(tmp_path, llama_json("▁aé", ["▁ a"], b"")))
    with pytest.raises(InvalidInputError, match="segment 0"):
        close_segments(bare, [Continued("a"), 1])


def test_a_state_behind_segments_is_saved_whole(tokenizer):
    lm, _ = noisy(tokenizer, start_token=START, end_tokens=(END,))
    state = lm.start(segments=["ab", CHAT, "a"])
    again = lm.restore(state.to_bytes())
    assert (again.start_tokens, again.prefix) == (state.start_tokens, b"a")
    np.testing.assert_array_equal(again.next_byte_logprobs(), state.next_byte_logprobs())
    other = lm.start("a", end_tokens=[CHAT])
    restored = lm.restore(other.to_bytes())  # with the end tokens of the state, not of the model
    np.testing.assert_array_equal(restored.next_byte_logprobs(), other.next_byte_logprobs())
