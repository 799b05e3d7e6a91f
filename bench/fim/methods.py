"""Ways to go on at a cut: plain tokens, textbook healing, transformers' own healing, nextbyte.

All of them read the same weights and the same layout, draw with the same temperature, and may draw
every ordinary token and the ones that end the text; what they do at the cut is all that differs.

- *plain tokens*: the tokens of the prefix are taken as they are, and the model goes on.
- *one-token healing*: the last token is taken back, and the first one drawn must begin with its
  bytes, as in guidance. Special tokens are not taken back.
- *transformers*: `generate(token_healing=True)`. It strips white space off both ends of the prompt
  and leaves out every special token, start and infilling ones too; nothing is mended here. Where
  it raises an error (5.23: a KeyError where the last token is not found among its own
  extensions), the answer is empty, and `errors` counts it.
- *nextbyte*: the exact posterior of the prompt's covers, then tokens, or bytes all along.

The law of each over bytes is compared by the true middle's log-probability. That of nextbyte is
exact. Those of plain tokens and of one-token healing are *lower bounds*: the probability of one
tokenization of the middle, or two (below), though others spell it too. Much of what they lose is at
the right cut, where the middle's last token may be half of another. So there is a second figure for
both that leaves only the left cut to them: behind the tokens that they keep, the text begins
afresh, and its law is exact from there (`FRESH_LAWS`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

import nextbyte as nb
from nextbyte.fim_formats import find_fim_format
from nextbyte.sampling.token_generation import make_sampler
from nextbyte.segments import close_segments

REPEATED = 8
"""Bytes of the suffix's first line that end a middle, as in `infill`."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads before it goes on.

    Attributes
    ----------
    segments : list
        For `ByteLM.start`.
    fixed : list of int
        Start token and all that is before the open text.
    text : bytes
        The open text: it ends at the cut.
    ends : tuple of int
        Tokens that end the middle.
    """

    segments: list
    fixed: list
    text: bytes
    ends: tuple


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method gave, how many rows of logits it asked for (0: not known), and its error."""

    bytes: bytes
    evaluations: int
    error: str = ""


def make_prompt(lm, prefix, suffix, order):
    """Return the prompt of a gap: its layout in this order, or the prefix alone ("prefix")."""
    start = [] if lm.start_token is None else [lm.start_token]
    if order == "prefix":
        return Prompt([prefix], start, prefix, tuple(lm.end_tokens))
    found = find_fim_format(lm.tokenizer.special_tokens)
    if found is None:
        raise SystemExit("the model's tokenizer has no tokens for infilling: use --order prefix")
    segments = found.segments(prefix, suffix, order=order)
    closed, text = close_segments(lm.tokenizer, segments)
    ends = tuple(dict.fromkeys((*lm.end_tokens, *found.end_tokens)))
    return Prompt(segments, [*start, *closed], text, ends)


def meet_suffix(answer, suffix):
    """Return the middle without what repeats the suffix's first line, where that is long enough."""
    line = suffix.split(b"\n", 1)[0].strip()
    at = answer.find(line) if len(line) >= REPEATED else -1
    return answer if at < 0 else answer[:at]


class TokenSide:
    """A model's tokens as the plain methods see them: which may be drawn, and what they spell."""

    def __init__(self, lm):
        self.lm = lm
        size = min(lm.tokenizer.vocab_size, lm.backend.vocab_size)
        self.spellings = [lm.tokenizer.token_bytes(token) for token in range(size)]
        self.ordinary = np.array([bool(spelling) for spelling in self.spellings])

    def logprobs(self, branch, ends):
        """Return the log-probabilities of the tokens that may be drawn, the others -inf."""
        size = len(self.spellings)
        row = np.array(branch.logits[:size], dtype=np.float64)
        row[~self.allowed(ends)] = -np.inf
        row -= row.max()
        return row - np.log(np.exp(row).sum())

    def allowed(self, ends):
        allowed = self.ordinary.copy()
        allowed[[end for end in ends if end < len(allowed)]] = True
        return allowed

    def beginning_with(self, forced):
        """Return which tokens spell these bytes first."""
        return np.array([spelling.startswith(forced) for spelling in self.spellings])

    def read(self, branch, tokens):
        (after,) = self.lm.backend.extend([(branch, list(tokens))])
        return after


class Behind:
    """A backend whose contexts all begin with the same tokens."""

    def __init__(self, backend, tokens):
        self.backend, self.tokens = backend, tokens
        self.vocab_size = backend.vocab_size

    def extend(self, requests):
        return self.backend.extend(
            [
                (parent, list(tokens) if parent is not None else [*self.tokens, *tokens])
                for parent, tokens in requests
            ]
        )


def taken_back(side, prompt):
    """Return the tokens of textbook healing, and the bytes that the next one must begin with."""
    tokens = list(side.lm.tokenizer.encode(prompt.text))
    if not tokens:
        return prompt.fixed, b""
    return prompt.fixed + tokens[:-1], side.spellings[tokens[-1]]


def draw(logprobs, params, random):
    """Draw a token: the greatest, or by its probability at the temperature."""
    if params.temperature == 0.0:
        return int(np.argmax(logprobs))
    weights = np.exp((logprobs - logprobs.max()) / params.temperature)
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))


def decode_tokens(side, tokens, forced, prompt, params):
    """Go on from tokens; the first one drawn begins with `forced`, which is not of the answer."""
    if not tokens:
        return Answer(b"", 0)
    random = np.random.default_rng(params.seed)
    branch, evaluations, answer = side.read(None, tokens), 1, b""
    logprobs = side.logprobs(branch, prompt.ends)
    if forced:
        logprobs = np.where(side.beginning_with(forced), logprobs, -np.inf)
    skipped = len(forced)
    while True:
        token = draw(logprobs, params, random)
        if token in prompt.ends:
            break
        answer += side.spellings[token][skipped:]
        skipped = 0
        if len(answer) >= params.max_bytes:
            break
        branch = side.read(branch, [token])
        evaluations += 1
        logprobs = side.logprobs(branch, prompt.ends)
    return Answer(answer[: params.max_bytes], evaluations)


def plain(side, prompt, params):
    """Go on from the prompt's own tokens."""
    tokens = prompt.fixed + list(side.lm.tokenizer.encode(prompt.text))
    return decode_tokens(side, tokens, b"", prompt, params)


def one_token(side, prompt, params):
    """Take the last token back, and make the next one begin with it."""
    tokens, forced = taken_back(side, prompt)
    return decode_tokens(side, tokens, forced, prompt, params)


def nextbyte_by(unit):
    """Return the method that goes on from the exact law, by tokens or by bytes."""

    def method(side, prompt, params):
        def start():
            return side.lm.start(segments=prompt.segments, end_tokens=prompt.ends)

        sampler = make_sampler(side.lm, start, prompt.text, replace(params, unit=unit), "replace")
        while sampler.result is None:
            sampler.step()
        return Answer(sampler.result.bytes, sampler.result.lm_evaluations)

    return method


def weighed(candidates):
    """Return the method that draws middles behind the prefix and weighs them by the suffix."""

    def method(side, prefix, suffix, params):
        found = nb.infill(side.lm, prefix, suffix, params, format="none", candidates=candidates)
        return Answer(found.bytes, found.lm_evaluations)

    return method


class TransformersHealing:
    """`generate(token_healing=True)` of transformers, with the prompt's tokens as they are."""

    def __init__(self, folder, model):
        from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import

        self.model = model
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token

    def __call__(self, side, prompt, params):
        import torch  # noqa: PLC0415

        ids = torch.tensor([prompt.fixed + list(side.lm.tokenizer.encode(prompt.text))])
        torch.manual_seed(params.seed or 0)
        drawn = {"do_sample": False}
        if params.temperature > 0:
            drawn = {"do_sample": True, "temperature": params.temperature, "top_k": 0, "top_p": 1.0}
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tokens = self.model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    token_healing=True,
                    tokenizer=self.tokenizer,
                    pad_token_id=self.tokenizer.pad_token_id,
                    max_new_tokens=params.max_bytes,
                    stop_strings=None,
                    stopping_criteria=[self.enough(side, prompt, params)],
                    **drawn,
                )[0].tolist()
        except (KeyError, RuntimeError, ValueError) as error:  # its own; the task is not passed
            return Answer(b"", 0, repr(error))
        return Answer(self.behind(side, tokens, prompt)[: params.max_bytes], 0)

    def enough(self, side, prompt, params):
        """Return the criterion that there are as many bytes as were asked for."""
        import torch  # noqa: PLC0415

        def criterion(ids, _scores, **_):
            size = len(self.behind(side, ids[0].tolist(), prompt))
            return torch.tensor([size >= params.max_bytes])

        return criterion

    @staticmethod
    def behind(side, tokens, prompt):
        """Return the bytes behind the prompt. White space that it took off the end is forgiven."""
        special = len(side.spellings)
        whole = b"".join(side.spellings[token] for token in tokens if token < special)
        shown = b"".join(side.spellings[token] for token in prompt.fixed if token < special)
        shown = (shown + prompt.text).lstrip()
        if whole.startswith(shown):
            return whole[len(shown) :]
        kept = shown.rstrip()
        if whole.startswith(kept):
            rest, blanks = whole[len(kept) :], shown[len(kept) :]
            common = 0
            while common < min(len(rest), len(blanks)) and rest[common] == blanks[common]:
                common += 1
            return rest[common:]
        return b""


METHODS = {
    "plain tokens": plain,
    "one-token healing": one_token,
    "transformers token_healing": None,  # made with the model's folder
    "nextbyte, tokens": nextbyte_by("token"),
    "nextbyte, bytes": nextbyte_by("byte"),
}


# --- The law of each: log P(middle | what is read before it) -------------------------------------


def log_probability(side, tokens, following, ends, first=None):
    """Return log P(following | tokens), whole tokens; `first` restricts the first of them."""
    branch, total = side.read(None, tokens), 0.0
    for place, token in enumerate(following):
        logprobs = side.logprobs(branch, ends)
        if place == 0 and first is not None:
            logprobs = logprobs - np.logaddexp.reduce(logprobs[first])
        total += float(logprobs[token])
        if place + 1 < len(following):
            branch = side.read(branch, [token])
    return total


def plain_logprob(side, prompt, middle):
    """Return a lower bound: the middle's own tokens behind the prompt's own."""
    encode = side.lm.tokenizer.encode
    tokens = prompt.fixed + list(encode(prompt.text))
    return log_probability(side, tokens, list(encode(middle)), prompt.ends)


def one_token_logprob(side, prompt, middle):
    """Return a lower bound: the healed tokenization, and the one that takes the token again."""
    encode = side.lm.tokenizer.encode
    tokens, forced = taken_back(side, prompt)
    if not forced:
        return plain_logprob(side, prompt, middle)
    first = side.beginning_with(forced)
    ways = {tuple(encode(forced + middle)), (*encode(forced), *encode(middle))}
    return float(
        np.logaddexp.reduce(
            [
                log_probability(side, tokens, way, prompt.ends, first)
                for way in ways
                if first[way[0]]
            ]
        )
    )


def exact_logprob(side, prompt, middle):
    """Return log P(middle | prompt), exactly."""
    state = side.lm.start(segments=prompt.segments, end_tokens=prompt.ends)
    before = state.logprob
    state.push(middle)
    return state.logprob - before


def plain_fresh_logprob(side, prompt, middle):
    """Return log P(middle), exactly, as a text that begins behind the prompt's own tokens."""
    tokens = list(side.lm.tokenizer.encode(prompt.text))
    return fresh_logprob(side, prompt, tokens, b"", middle)


def one_token_fresh_logprob(side, prompt, middle):
    """Return it for a text that begins one token earlier, given that token's bytes."""
    tokens = list(side.lm.tokenizer.encode(prompt.text))
    given = side.spellings[tokens[-1]] if tokens else b""
    return fresh_logprob(side, prompt, tokens[:-1], given, middle)


def fresh_logprob(side, prompt, tokens, given, middle):
    """Return log P(middle | given), of a text that begins behind tokens."""
    behind = Behind(side.lm.backend, [*prompt.fixed, *tokens])
    lm = nb.ByteLM(side.lm.tokenizer, behind, start_token=None, end_tokens=prompt.ends)
    state = lm.start(given)
    before = state.logprob
    state.push(middle)
    return state.logprob - before


LAWS = {
    "plain tokens": plain_logprob,
    "one-token healing": one_token_logprob,
    "nextbyte, tokens": exact_logprob,
}

FRESH_LAWS = {
    "plain tokens": plain_fresh_logprob,
    "one-token healing": one_token_fresh_logprob,
    "nextbyte, tokens": exact_logprob,
}
