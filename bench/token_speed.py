"""Question: what does a token cost behind a healed prompt, beside plain decoding of the same model?

Run: python bench/token_speed.py [--tokens N]. SmolLM2-135M in float32. Each call decodes N tokens
behind a prompt that ends inside a word: plain greedy tokens with transformers' own cache and with
this library's backend, and `generate` by tokens, greedy, sampled, and with filters. First behind
the boundary alone: prompt, healing and first token are read before the clock starts; and how much
of that is outside the model, which a busy machine disturbs less. Then the whole call, the healing
in it (`--only-behind` leaves it out): its rows are noted apart.
"""

from __future__ import annotations

import gc
import statistics

import numpy as np
from harness import Figures, Session, arguments, percentile
from harness.report import table
from harness.session import CLOCKS
from timed_backend import TimedBackend

import nextbyte as nb
from nextbyte.sampling.token_generation import TokenSampler

PROMPT = "def fib(n):\n    ret"
UNENDING = 10**6  # bytes: more than the tokens have


def behind_boundary(ways, backend, *, reference, rounds, tokens, clock):
    """Return the seconds a token behind the boundary, in turns as the harness takes them.

    And, by way, the median of those that the backend did not take. A way is a function that reads
    the prompt and the first token, and returns what takes a step.
    """
    samples = {name: [] for name in ways}
    outside = {name: [] for name in ways}
    names = list(ways)
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds + 1):  # the first round warms up
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                step = ways[name]()
                in_model, begin = backend.seconds, clock()
                for _ in range(tokens):
                    step()
                took = (clock() - begin) * 1e-9 / tokens
                del step  # lets go of its keys and values before the next one
                if turn:
                    samples[name].append(took)
                    outside[name].append(took - (backend.seconds - in_model) / tokens)
    finally:
        gc.enable()
    base = samples[reference]
    figures = [
        Figures(
            name=name,
            min=min(own),
            median=statistics.median(own),
            p10=percentile(own, 0.1),
            p90=percentile(own, 0.9),
            ratio=statistics.median(a / b for a, b in zip(own, base, strict=True)),
            ratio_of_mins=min(own) / min(base),
            repeats=1,
        )
        for name, own in samples.items()
    ]
    return figures, {name: statistics.median(own) for name, own in outside.items()}


def main():
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--tokens", type=int, default=24, help="decode this many")
    parser.add_argument("--only-behind", action="store_true", help="not the whole call")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    import torch  # noqa: PLC0415 - after the session has pinned its core

    lm = nb.ByteLM.from_pretrained("smollm2-135m")
    model = lm.backend._model  # noqa: SLF001 - the same weights, the same attention
    clock = CLOCKS[options.clock]
    timed = TimedBackend(lm.backend, clock=lambda: clock() * 1e-9)
    lm = nb.ByteLM(lm.tokenizer, timed)
    ids = [lm.start_token, *lm.tokenizer.encode(PROMPT)]

    def transformers_cache():
        tokens, past = ids, None

        def step():
            nonlocal tokens, past
            with torch.inference_mode():
                answer = model(
                    input_ids=torch.tensor([tokens]), past_key_values=past, use_cache=True
                )
            past = answer.past_key_values
            tokens = [int(answer.logits[0, -1].argmax())]

        return step

    def plain():
        branch, tokens = None, ids

        def step():
            nonlocal branch, tokens
            (branch,) = lm.backend.extend([(branch, tokens)])
            tokens = [int(np.argmax(branch.logits))]

        return step

    def by_tokens(**how):
        def make():
            params = nb.SamplingParams(max_bytes=UNENDING, seed=1, **how)
            data = PROMPT.encode()
            sampler = TokenSampler(lm, lambda: lm.start(data), data, params, "replace")

            def step():
                sampler.step()
                if sampler.result is not None:
                    raise SystemExit(f"the text ended ({how}): take fewer --tokens")

            return step

        return make

    ways = {
        "plain tokens, this backend": plain,
        "plain tokens, transformers' cache": transformers_cache,
        "healed, greedy": by_tokens(temperature=0.0),
        "healed, temperature 1": by_tokens(),
        "healed, temperature 0.8, top_p 0.95": by_tokens(temperature=0.8, top_p=0.95),
    }

    def begun(way):
        def make():
            step = way()
            step()
            return step

        return make

    def whole(way):
        def call():
            step = way()
            for _ in range(options.tokens):
                step()

        return call

    reference = "plain tokens, this backend"
    setup = {"model": "SmolLM2-135M", "prompt": PROMPT, "tokens": options.tokens}
    figures, outside = behind_boundary(
        {name: begun(way) for name, way in ways.items()},
        timed,
        reference=reference,
        rounds=options.rounds,
        tokens=options.tokens,
        clock=clock,
    )
    print(f"behind the boundary\n\n{table(figures, reference=reference, unit='ms')}\n", flush=True)
    for figure in figures:
        facts = {
            name: getattr(figure, name)
            for name in ("min", "median", "p10", "p90", "ratio", "ratio_of_mins")
        }
        own = f"{outside[figure.name] * 1e3:.3f} ms a token outside the model"
        if figure.name == "plain tokens, transformers' cache":
            own = None  # it is not asked through the backend
        else:
            facts["outside_model"] = outside[figure.name]
        session.note({**setup, "part": "behind the boundary", "way": figure.name}, facts, said=own)
    if options.only_behind:
        return
    session.compare(
        {name: whole(way) for name, way in ways.items()},
        reference=reference,
        setup={**setup, "part": "whole call"},
        units=options.tokens,
        unit="ms",
    )
    healing = nb.heal(lm, PROMPT)
    session.note(
        {"prompt": PROMPT},
        {"rows": healing.lm_evaluations, "covers": len(healing.covers)},
        said=f"healing: {healing.lm_evaluations} rows, {len(healing.covers)} covers",
    )


if __name__ == "__main__":
    main()
