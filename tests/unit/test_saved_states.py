"""`to_bytes` and `restore`: the same laws again, and a clear refusal of anything else."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from nextbyte.errors import InvalidInputError, UnreachableByteError
from nextbyte.state_codec import SavedState, decode_state, encode_state
from unit.known_models import END, START, load_all, noisy, table_lm


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    return load_all(tmp_path_factory.mktemp("tokenizers"))


@pytest.mark.parametrize("prefix", [b"", b"the t", b"a\xc3", b"the \n\n a"])
def test_a_restored_state_is_the_state(tokenizers, prefix):
    lm, backend = noisy(tokenizers["letters"])
    state = lm.start(prefix[:2])
    state.push(prefix[2:])
    expected, logprob = state.next_byte_logprobs(), state.logprob
    data = state.to_bytes()
    del state
    backend.reset()
    other = lm.restore(data)
    assert backend.calls == 0, "contexts are evaluated on demand"
    assert other.prefix == prefix
    np.testing.assert_array_equal(other.next_byte_logprobs(), expected)
    assert other.logprob == pytest.approx(logprob, abs=1e-12)
    assert other.to_bytes() == data
    other.push(bytes([expected[:256].argmax()]))
    other.rollback(1)
    np.testing.assert_array_equal(other.next_byte_logprobs(), expected)


def test_the_start_token_of_the_state_comes_back(tokenizers):
    lm, backend = noisy(tokenizers["ab_with_specials"], start_token=START)
    for bos in (START, END, None):
        data = lm.start(b"ab", bos=bos).to_bytes()
        backend.reset()
        lm.restore(data).next_byte_logprobs()
        assert all(context[:1] == (() if bos is None else (bos,)) for context in backend.batches[0]
                   if bos is not None)  # fmt: skip
        assert decode_state(data).start_tokens == (() if bos is None else (bos,))


def test_other_tokenizers_and_end_tokens_are_refused(tokenizers):
    lm = table_lm(tokenizers["ab_with_specials"], end_tokens=(END,))
    data = lm.start(b"ab").to_bytes()
    twin = table_lm(load_again(tokenizers["ab_with_specials"]), end_tokens=(END,))
    assert twin.restore(data).prefix == b"ab"
    with pytest.raises(InvalidInputError, match=r"end tokens \[4\], this model has \[\]"):
        table_lm(tokenizers["ab_with_specials"]).restore(data)
    for name in ("letters", "one_letter", "all_bytes", "smollm2_like"):
        other, _ = noisy(tokenizers[name])
        with pytest.raises(InvalidInputError, match="another tokenizer"):
            other.restore(data)


def load_again(tokenizer):
    """Return a tokenizer of its own with the same description."""
    return type(tokenizer)(tokenizer._description)


def test_every_damage_is_refused(tokenizers):
    lm = table_lm(tokenizers["ab_with_specials"], end_tokens=(END,))
    data = lm.start(b"ab" * 20).to_bytes()
    for length in range(len(data)):
        with pytest.raises(InvalidInputError, match=r"damaged|no saved state"):
            lm.restore(data[:length])
    chance = random.Random(0)
    for _ in range(2000):
        spoiled = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            spoiled[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if spoiled == data:
            continue
        with pytest.raises(InvalidInputError, match=r"damaged|no saved state|version"):
            lm.restore(bytes(spoiled))
    for more in (b"\0", data):
        with pytest.raises(InvalidInputError, match="damaged"):
            lm.restore(data + more)


def test_a_good_checksum_over_bad_fields_is_refused(tokenizers):
    """What a careless writer might make: lengths that do not fit, tokens out of range."""
    lm = table_lm(tokenizers["ab_with_specials"], end_tokens=(END,))
    data = lm.start(b"ab").to_bytes()
    chance = random.Random(1)
    refused = 0
    for _ in range(3000):
        body = bytearray(data[:-32])
        body[chance.randrange(17, len(body))] = chance.randrange(256)
        if chance.random() < 0.3:
            del body[chance.randrange(17, len(body)) :]
        try:
            state = lm.restore(bytes(body) + hashlib.sha256(body).digest())
        except InvalidInputError:
            refused += 1
        except UnreachableByteError:
            assert body[-2:] != b"ab"
        else:
            assert len(state.prefix) == 2
    assert refused > 2000


def test_another_version_and_other_types():
    data = encode_state(SavedState(bytes(32), (), (), b"x"))
    newer = data[:15] + b"\x02\x00" + data[17:]
    with pytest.raises(InvalidInputError, match="version 2, this nextbyte reads version 1"):
        decode_state(newer)
    for wrong in (None, "text", bytearray(data), b"", b"nextbyte"):
        with pytest.raises(InvalidInputError, match=r"must be bytes|no saved state"):
            decode_state(wrong)


def test_the_format_does_not_change():
    """A saved state outlives the library that wrote it: these bytes must stay readable."""
    data = encode_state(SavedState(bytes(range(32)), (7, 9), (2, 3), b"caf\xc3"))
    assert hashlib.sha256(data).hexdigest() == FROZEN
    assert decode_state(data) == SavedState(bytes(range(32)), (7, 9), (2, 3), b"caf\xc3")


FROZEN = "cfddd64a850c63c7ade09b3620af10734224735c2a7b5f988d1d87e8f6162a88"
