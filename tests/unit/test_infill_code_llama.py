"""Code Llama's layouts: which texts get the blank that its tokenizer puts in front of texts.

As `infilling_prompt_tokens` of its own code has it, the prefix does, the suffix does not, and in
"psm" the middle does not either. The reference is the `tokenizers` library without that step.
"""

from __future__ import annotations

import numpy as np
import pytest
import tokenizers

import nextbyte as nb
from nextbyte.errors import InvalidInputError
from nextbyte.segments import spell_leads
from unit.known_models import CountingBackend, noise
from unit.test_character_pairs import BLANK, llama_json, write_json

NAMES = ("\u2581<PRE>", "\u2581<MID>", "\u2581<SUF>", "\u2581<EOT>")
MERGES = [f"{BLANK} d", "d e", "a b", f"{BLANK} a", "de f", f"{BLANK} b", "ab c"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the paths of a tokenizer of that kind, and of the same without the blank."""
    with_lead = llama_json(BLANK + "abcdef(\n", MERGES, bytes(range(256)))
    size = len(with_lead["model"]["vocab"])
    with_lead["added_tokens"] += [
        {**with_lead["added_tokens"][0], "id": size + number, "content": name}
        for number, name in enumerate(NAMES)
    ]
    _, replaces = with_lead["normalizer"]["normalizers"]
    return [
        write_json(tmp_path_factory.mktemp(name), document)
        for name, document in (
            ("with", with_lead),
            ("without", with_lead | {"normalizer": replaces}),
        )
    ]


@pytest.fixture(scope="module")
def tokenizer(files):
    return nb.Tokenizer.from_file(files[0])


@pytest.fixture(scope="module")
def bare(files):
    """Return the encoder that puts nothing in front of texts."""
    engine = tokenizers.Tokenizer.from_file(str(files[1]))
    return lambda text: engine.encode(text, add_special_tokens=False).ids


def model(tokenizer, row=None):
    width = tokenizer.vocab_size
    backend = CountingBackend(row or noise(width), width, end_tokens=(1,))
    return nb.ByteLM(tokenizer, backend), backend


GAPS = [("def(", "ab)", "a"), ("", "ab", ""), (" a", "", "ab"), ("", "", " a"), ("de", " b", "f\n")]


@pytest.mark.parametrize(("prefix", "suffix", "typed"), GAPS)
def test_which_texts_get_a_blank(prefix, suffix, typed, tokenizer, bare):
    assert tokenizer.compiled.lead == b" "
    before, middle, after, _ = (tokenizer.special_tokens[name] for name in NAMES)
    first = bare(" " + prefix) if prefix else []
    psm = [before, *first, after, *bare(suffix), middle]
    spm = [before, after, *bare(suffix), middle]
    for order, start in (("psm", psm), ("spm", spm)):
        lm, backend = model(tokenizer)
        params = nb.SamplingParams(seed=1, max_bytes=4)
        found = nb.infill(lm, prefix, suffix, params, typed=typed, order=order)
        assert found.order == order
        contexts = [context for batch in backend.batches for context in batch]
        assert all(list(context[: len(start)]) == start for context in contexts)
        text = typed if order == "psm" else prefix + typed
        assert found.generation.prompt == text.encode()
        # No text gets a blank of its own at the cursor in "psm"; in "spm" each begins with one.
        for context in contexts:
            spelled = b"".join(map(tokenizer.token_bytes, context[len(start) :]))
            wanted = text.encode() if order == "psm" else b" " + text.encode()
            assert spelled.startswith(wanted) or wanted.startswith(spelled)


def test_the_law_of_the_middle_is_that_of_a_text_without_the_blank(files, tokenizer):
    """Behind the same tokens, the same as of a file that has no blank to begin with."""
    lm, _ = model(tokenizer)
    without = nb.Tokenizer.from_file(files[1])
    assert without.compiled.lead == b""
    session = nb.InfillSession(lm, "def(", "ab)")
    assert session.order == "psm"
    before, middle, after, _ = (tokenizer.special_tokens[name] for name in NAMES)
    start = [before, " def(", after, "ab)", middle]
    ends = [1, tokenizer.special_tokens[NAMES[3]]]
    reference, _ = model(without)
    for typed in (b"", b"a", b" a", b"ab", b" ", b"de"):
        state = reference.start(segments=[*start, typed], end_tokens=ends)
        session.erase(len(session.typed))
        session.type(typed)
        np.testing.assert_allclose(
            session._state.next_byte_logprobs(), state.next_byte_logprobs(), atol=1e-12
        )


@pytest.mark.parametrize("says", ["ab def", " abc", "\n"])
def test_the_middle_that_a_model_says(says, tokenizer, bare):
    """Its tokens are those of the middle without a blank in front, wherever typing has come to."""
    ids, width = bare(says), tokenizer.vocab_size
    specials = {tokenizer.special_tokens[name] for name in NAMES}

    def row(context):
        said = next(n for n, token in enumerate(reversed(context)) if token in specials)
        logits = np.full(width, -60.0)
        logits[ids[said] if said < len(ids) else tokenizer.special_tokens[NAMES[3]]] = 0.0
        return logits

    lm, _ = model(tokenizer, row)
    for cut in range(len(says)):
        params = nb.SamplingParams(temperature=0, max_bytes=30)
        found = nb.infill(lm, "def(", "ab)", params, typed=says[:cut])
        assert (found.middle.decode(), found.finish_reason) == (says, "end_of_text"), cut


def test_a_model_and_its_sibling_without_the_blank_keep_apart(tokenizer):
    lm, _ = model(tokenizer)
    law = lm.start("a").next_byte_logprobs()
    sessions = [nb.InfillSession(lm, "a", "b", order=order) for order in ("psm", "spm", "psm")]
    assert sessions[0]._lm is sessions[2]._lm is not lm
    assert sessions[1]._lm is lm
    np.testing.assert_array_equal(lm.start("a").next_byte_logprobs(), law)
    assert tokenizer.without_lead().without_lead().compiled.lead == b""


def test_only_pieces_of_bpe_can_be_had_without_the_blank(tmp_path):
    blank = {"type": "Metaspace", "replacement": BLANK, "prepend_scheme": "always", "split": False}
    document = llama_json("", [], b"", pre_tokenizer=blank, normalizer=None)
    document["model"] = {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [["<unk>", 0.0], [BLANK, -1.0], ["a", -2.0]],
        "byte_fallback": False,
    }
    document["added_tokens"] = document["added_tokens"][:1]
    unigram = nb.Tokenizer.from_file(write_json(tmp_path, document))
    assert unigram.compiled.lead == b" "
    with pytest.raises(InvalidInputError, match="only BPE tokenizers"):
        unigram.without_lead()


def test_blanks_are_spelled_out_once():
    assert spell_leads([[1, 2], "", b"a", 3], b" ") == [[1, 2], b"", b" a", 3]
    with pytest.raises(InvalidInputError, match="lone surrogate"):
        spell_leads(["\ud800"], b" ")
