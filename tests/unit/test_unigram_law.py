"""The law of unigram tokenizers, by enumeration of all short texts; what is refused."""

from __future__ import annotations

import base64
import itertools
import json
import random
import struct

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers

import nextbyte as nb
from nextbyte.backends import FunctionBackend
from nextbyte.errors import InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.charsmap import decode_charsmap
from unit import sentencepiece_files as files
from unit.test_unigram import HEAD, load_model


def law_model(case):
    pieces = {
        "blanks": [
            ("▁", -2.0),
            ("a", -1.0),
            ("▁a", -2.5),
            ("aa", -2.0),
            ("b", -3.0),
            ("ab▁a", -5.0),
        ],
        "bytes": [("a", -1.0), ("aé", -3.0), ("aa", -2.0), ("▁", -4.0)],
        "ties": [("a", -1.0), ("aa", -2.0), ("aaa", -3.0), ("b", -0.1), ("bb", -0.2), ("▁", -1.0)],
    }[case]
    pieces += [(letter, -30.0) for letter in "uvwxyz"][: SIZE - 259 - len(pieces)]
    return files.model(
        [*HEAD, *((text, score, files.NORMAL) for text, score in pieces), *files.byte_pieces()],
        model_type=files.UNIGRAM,
        add_dummy_prefix=case == "blanks",
        remove_extra_whitespaces=case == "blanks",
    )


LAW_ALPHABETS = {"blanks": "ab ", "bytes": "aéö", "ties": "ab "}
END, SIZE = 2, 265


def rows(contexts):
    made = []
    for context in contexts:
        seed = int.from_bytes(struct.pack(f"<{len(context)}H", *context)[-24:] or b"\1", "little")
        made.append(np.random.default_rng([seed, len(context)]).normal(size=SIZE))
    return np.array(made)


def probabilities(context):
    row = rows([context])[0]
    return np.exp(row - row.max())


@pytest.mark.parametrize("case", LAW_ALPHABETS)
def test_law_by_enumeration(case, tmp_path):
    """All texts over a few characters; a model that gives nothing to any other byte token."""
    data = law_model(case)
    reference = sentencepiece.SentencePieceProcessor(model_proto=data)
    tokenizer = load_model(tmp_path, data)
    alphabet = LAW_ALPHABETS[case]
    longest = 8
    lead = b" " if case == "blanks" else b""
    following, complete = {}, set()
    for length in range(longest + 1):
        for characters in itertools.product(alphabet, repeat=length):
            text = "".join(characters)
            if case == "blanks" and text != " ".join(text.split()):
                continue
            tokens = tuple(reference.encode(text))
            complete.add(tokens)
            for cut in range(len(tokens)):
                following.setdefault(tokens[:cut], set()).add(tokens[cut])
    spelled = {byte for c in alphabet for byte in c.encode()}
    first_byte = reference.piece_to_id("<0x00>")
    outside = np.ones(SIZE, bool)
    for token in range(reference.get_piece_size()):
        is_byte = reference.is_byte(token)
        outside[token] = token > 2 and (
            token - first_byte not in spelled
            if is_byte
            else not set(reference.id_to_piece(token)) <= {*alphabet.replace(" ", "▁")}
        )
    outside[END] = False

    def backend_rows(contexts):
        made = rows(contexts)
        made[:, outside] = -np.inf
        return made

    lm = nb.ByteLM(tokenizer, FunctionBackend(backend_rows, vocab_size=SIZE, end_tokens=[END]))

    def chances(context):
        allowed = sorted(following.get(context, ()))
        weights = probabilities(context)
        ends = [END] if context in complete else []
        total = sum(weights[token] for token in allowed + ends)
        return {token: weights[token] / total for token in allowed + ends}

    def masses(context, weight, rest, found):
        """Add the mass of each next byte after `rest`, which follows the context."""
        for token, chance in chances(context).items():
            if token == END:
                if not rest or (not context and rest == lead):  # the empty text has no lead
                    found[256] = found.get(256, 0.0) + weight * chance
                continue
            spelling = tokenizer.token_bytes(token)
            if len(spelling) > len(rest) and spelling.startswith(rest):
                byte = spelling[len(rest)]
                found[byte] = found.get(byte, 0.0) + weight * chance
            elif rest.startswith(spelling):
                masses((*context, token), weight * chance, rest[len(spelling) :], found)

    checked = 0
    for length in range(4):
        for characters in itertools.product(alphabet, repeat=length):
            whole = "".join(characters).encode()
            for cut in {len(whole), max(0, len(whole) - 1)}:
                prefix = whole[:cut]
                found = {}
                masses((), 1.0, lead + prefix, found)
                if not found:
                    continue
                total = sum(found.values())
                state = lm.start()
                state.push(prefix)
                got = np.exp(state.next_byte_logprobs())
                expected = np.zeros(257)
                for byte, mass in found.items():
                    expected[byte] = mass / total
                np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)
                checked += 1
    assert checked > 30


def test_the_symbol_of_blanks_is_no_text(tmp_path):
    tokenizer = load_model(tmp_path, law_model("bytes"))
    with pytest.raises(InvalidInputError, match="not normalized"):
        tokenizer.encode("a▁")
    assert tokenizer.cover_encodings("a▁") == []


# --- Refusals and damage -------------------------------------------------------------------------


def test_damaged_charsmaps_are_refused():
    looping = np.array([0x100 << 2, *([0x41] * 255)], dtype="<u4")
    for blob in (
        b"",
        b"\0" * 7,
        struct.pack("<I", 400) + b"\0" * 8,
        struct.pack("<I", 3) + b"\0" * 9,
    ):
        with pytest.raises(TokenizerFormatError, match="map is damaged"):
            decode_charsmap(blob, source="f")
    generator = random.Random(3)
    for _ in range(300):
        units = [generator.getrandbits(32) for _ in range(generator.choice([4, 64, 1024]))]
        units[0] = generator.getrandbits(11) << 10
        blob = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"a\0"
        try:
            decode_charsmap(blob, source="f")
        except TokenizerFormatError:
            continue
    with_loop = struct.pack("<I", 4 * len(looping)) + looping.tobytes() + b"a\0"
    try:
        decode_charsmap(with_loop, source="f")
    except TokenizerFormatError as error:
        assert "loop" in str(error) or "damaged" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["model"].update(unk_id=None), "unk_id"),
        (lambda d: d["model"]["vocab"].append(["a", -1.0]), "twice"),
        (lambda d: d["model"]["vocab"].append(["a"]), "no pair"),
        (lambda d: d["model"]["vocab"].append(["q", "x"]), "no score"),
        (lambda d: d.update(normalizer={"type": "Lowercase"}), "Lowercase"),
        (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "Whitespace"),
        (lambda d: d.update(pre_tokenizer=None), "U\\+2581"),
        (
            lambda d: d.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "??"}),
            "base64",
        ),
        (
            lambda d: d.update(
                normalizer={
                    "type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(b"12345678").decode(),
                }
            ),
            "damaged",
        ),
    ],
)
def test_files_that_are_refused(change, problem, tmp_path):
    vocabulary = [("<unk>", 0.0), ("a", -1.0), ("▁", -2.0)]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    document = json.loads(tokenizer.to_str())
    change(document)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document))
    with pytest.raises((TokenizerFormatError, UnsupportedTokenizerError), match=problem):
        nb.Tokenizer.from_file(path)
