"""Unigram tokenizers: parity with their libraries, the law by enumeration, refusals."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import random
import struct

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

import nextbyte as nb
from nextbyte.backends import FunctionBackend
from nextbyte.errors import InvalidInputError, TokenizerFormatError, UnsupportedTokenizerError
from nextbyte.formats.charsmap import decode_charsmap
from unit import sentencepiece_files as files

HEAD = [("<unk>", 0.0, files.UNKNOWN), ("<s>", 0.0, files.CONTROL), ("</s>", 0.0, files.CONTROL)]
LETTERS = "abcé▁한"
SCORES = (-1.0, -2.0, -3.0, -1.5, -0.1, -0.2, -0.3, -7.25, -1e-8)


def load_model(folder, data):
    path = folder / "tokenizer.model"
    path.write_bytes(data)
    return nb.Tokenizer.from_file(path)


def random_pieces(generator, *, kinds=(files.NORMAL,), blank_last=True):
    texts = {generator.choice(LETTERS) for _ in range(4)} | {generator.choice("▁▁▁▁a")}
    while len(texts) < 14:
        texts.add("".join(generator.choices(LETTERS, k=generator.randint(1, 4))))
    return [
        (text, generator.choice(SCORES), generator.choice(kinds))
        for text in sorted(texts)
        if blank_last or not text[1:].endswith("▁")
    ]


def random_texts(generator, count, *, longest=24):
    alphabet = "aabbccéé  한x😀"
    return [
        "".join(generator.choices(alphabet, k=generator.randint(0, longest))) for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(24))
def test_encodings_are_those_of_sentencepiece(seed, tmp_path):
    """Ties, user-defined and unused pieces, byte fallback, a dummy prefix, removed blanks."""
    generator = random.Random(seed)
    fallback = seed % 3 > 0
    kinds = [files.NORMAL] * 6 + [files.USER_DEFINED, files.UNUSED]
    pieces = (
        HEAD
        + random_pieces(generator, kinds=kinds, blank_last=seed % 4 != 1)
        + [("z", -4.0, files.NORMAL)]
    )
    data = files.model(
        pieces + (files.byte_pieces() if fallback else []),
        model_type=files.UNIGRAM,
        byte_fallback=fallback,
        add_dummy_prefix=seed % 2 == 0,
        remove_extra_whitespaces=seed % 4 == 1,
    )
    reference = sentencepiece.SentencePieceProcessor(model_proto=data)
    tokenizer = load_model(tmp_path, data)
    encoded = 0
    for text in random_texts(generator, 400):
        expected = reference.encode(text)
        # A blank that is no piece becomes the bytes of U+2581.
        if 0 in expected or reference.piece_to_id("<0x96>") in expected:
            with pytest.raises(InvalidInputError):
                tokenizer.encode(text)
            continue
        assert tokenizer.encode(text) == expected, text
        encoded += 1
    assert encoded > 10


HF_STEPS = {
    "never": (None, pre_tokenizers.Metaspace(prepend_scheme="never", split=True)),
    "whole": (None, pre_tokenizers.Metaspace(prepend_scheme="never", split=False)),
    "always": (None, pre_tokenizers.Metaspace(prepend_scheme="always", split=True)),
    "replaced": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        None,
    ),
    "words": (
        None,
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.WhitespaceSplit(),
                pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
            ]
        ),
    ),
    "stripped": (
        normalizers.Sequence(
            [
                normalizers.Strip(left=False, right=True),
                normalizers.Replace(tokenizers.Regex(" {2,}"), "▁"),
            ]
        ),
        pre_tokenizers.Metaspace(prepend_scheme="always", split=True),
    ),
}


def hf_tokenizer(generator, *, fallback, steps):
    pieces = random_pieces(generator, blank_last=steps not in ("words", "stripped"))
    vocabulary = [("<unk>", 0.0), *((text, score) for text, score, _ in pieces)]
    if fallback:
        vocabulary += [(text, -9.0) for text, _, _ in files.byte_pieces()]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=fallback))
    normalizer, pre_tokenizer = HF_STEPS[steps]
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


@pytest.mark.parametrize("steps", HF_STEPS)
@pytest.mark.parametrize("fallback", [False, True])
def test_encodings_are_those_of_tokenizers(steps, fallback, tmp_path):
    generator = random.Random(f"{steps} {fallback}")
    encoded = 0
    for _ in range(4):
        reference = hf_tokenizer(generator, fallback=fallback, steps=steps)
        path = tmp_path / "tokenizer.json"
        reference.save(str(path))
        tokenizer = nb.Tokenizer.from_file(path)
        single = steps in ("words", "stripped")
        for text in random_texts(generator, 400):
            kept = " ".join(text.split()) if single else text
            kept = kept.lstrip() if steps == "always" else kept
            expected = reference.encode(kept).ids
            # A blank that is no piece becomes the bytes of U+2581.
            if 0 in expected or reference.token_to_id("<0x96>") in expected:
                with pytest.raises(InvalidInputError):
                    tokenizer.encode(kept)
                continue
            assert tokenizer.encode(kept) == expected, kept
            encoded += 1
            if kept != text:
                with pytest.raises(InvalidInputError, match="not normalized"):
                    tokenizer.encode(text)
    assert encoded > (500 if fallback else 20)


@pytest.fixture(scope="module")
def trained():
    """Train a model with nmt_nfkc on a few lines."""
    generator = random.Random(5)
    words = [
        "of",
        "the",
        "café",
        "naïve",
        "fine",
        "한국",
        "日本語",
        "1/2",
        "Ω",
        "tea",
        "team",
        "eat",
    ]
    lines = [" ".join(generator.choices(words, k=8)) for _ in range(300)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=330,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        byte_fallback=True,
        hard_vocab_limit=False,
        user_defined_symbols=["<sep>"],
        minloglevel=2,
    )
    return model.getvalue()


def test_texts_are_normalized_as_by_sentencepiece(trained, tmp_path):
    reference = sentencepiece.SentencePieceProcessor(model_proto=trained)
    tokenizer = load_model(tmp_path, trained)
    report = tokenizer.report()
    assert (report.family, report.normal_form) == ("unigram", "nmt_nfkc")
    generator = random.Random(9)
    odd = ["ﬁ", "①", "e\u0301", "\u3000", "\t", "  ", "Å", "ｶﾞ", "½", "\u200b", "<sep>", "☃", " "]
    parts = [*odd, "of ", "the", "caf", "é", "日本", "x"]
    not_normal = 0
    for _ in range(3000):
        text = "".join(generator.choices(parts, k=generator.randint(0, 12)))
        normal = reference.normalize(text).replace("▁", " ").removeprefix(" ")
        expected = reference.encode(text)
        try:
            assert tokenizer.encode(text) == expected, text
        except InvalidInputError:
            not_normal += 1  # what comes out of the normalizer would be changed once more
            assert reference.encode(normal) != expected or reference.normalize(normal) != normal
        assert tokenizer.normalize(text).decode().rstrip(" ") == normal
    assert not_normal < 30
    assert tokenizer.normalize("a ") == b"a "  # more may follow


def test_texts_that_are_not_normal_have_no_cover(trained, tmp_path):
    tokenizer = load_model(tmp_path, trained)
    for prefix in ("ﬁ", "e\u0301", "a  b", " a", "▁", "\t"):
        assert tokenizer.cover_encodings(prefix) == [], prefix
    assert tokenizer.cover_encodings("the ") != []


def test_the_symbol_of_blanks_is_no_text(tmp_path):
    tokenizer = load_model(tmp_path, law_model("bytes"))
    with pytest.raises(InvalidInputError, match="not normalized"):
        tokenizer.encode("a▁")
    assert tokenizer.cover_encodings("a▁") == []


# --- The law, by enumeration of all short texts ---------------------------------------------------


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


def test_sums_of_each_library():
    """[aa][a] and [a][aa] tie in real numbers; the rounding of each library decides."""
    from nextbyte import _core  # noqa: PLC0415

    tokens = [b"", b"a", b"aa", b"b"]
    single = [float(np.float32(score)) for score in (-0.1, -0.2, -1.7)]
    encodings = {}
    for sums in ("double", "single", "mixed"):
        compiled = _core.compile_unigram(
            tokens,
            list(zip([1, 2, 3], single, strict=True)),
            [],
            unknown_score=-20.0,
            sums=sums,
            split_at_blank=False,
            byte_tokens=[],
            forbidden=[],
            single_blanks=False,
            no_blank_first=False,
            lead=False,
            added=[],
        )
        encodings[sums] = [tuple(compiled.encode(b"b" * n + b"aaa")) for n in range(60)]
    assert len(set(map(tuple, encodings.values()))) == 3
    assert math.isclose(single[0] * 2, single[1])
