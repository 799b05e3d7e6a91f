"""Question: what does a token cost behind a healed prompt, beside plain decoding of the same model?

Run: python bench/token_speed.py [--tokens N]. SmolLM2-135M in float32. Each call decodes N tokens
behind a prompt that ends inside a word: plain greedy tokens with transformers' own cache and with
this library's backend, and `generate` by tokens, greedy, sampled, and with filters. The healing
itself is in the call: its rows are noted apart.
"""

from __future__ import annotations

import numpy as np
from harness import Session, arguments

import nextbyte as nb
from nextbyte.sampling.token_generation import TokenSampler

PROMPT = "def fib(n):\n    ret"
UNENDING = 10**6  # bytes: more than the tokens have


def main():
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--tokens", type=int, default=24, help="decode this many")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    import torch  # noqa: PLC0415 - after the session has pinned its core

    lm = nb.ByteLM.from_pretrained("smollm2-135m")
    model = lm.backend._model  # noqa: SLF001 - the same weights, the same attention
    ids = [lm.start_token, *lm.tokenizer.encode(PROMPT)]

    def transformers_cache():
        with torch.inference_mode():
            tokens, past = ids, None
            for _ in range(options.tokens):
                answer = model(
                    input_ids=torch.tensor([tokens]), past_key_values=past, use_cache=True
                )
                past = answer.past_key_values
                tokens = [int(answer.logits[0, -1].argmax())]

    def plain():
        branch, tokens = None, ids
        for _ in range(options.tokens):
            (branch,) = lm.backend.extend([(branch, tokens)])
            tokens = [int(np.argmax(branch.logits))]

    def by_tokens(**how):
        def call():
            params = nb.SamplingParams(max_bytes=UNENDING, seed=1, **how)
            data = PROMPT.encode()
            sampler = TokenSampler(lm, lambda: lm.start(data), data, params, "replace")
            for _ in range(options.tokens):
                sampler.step()

        return call

    session.compare(
        {
            "plain tokens, this backend": plain,
            "plain tokens, transformers' cache": transformers_cache,
            "healed, greedy": by_tokens(temperature=0.0),
            "healed, temperature 1": by_tokens(),
            "healed, temperature 0.8, top_p 0.95": by_tokens(temperature=0.8, top_p=0.95),
        },
        reference="plain tokens, this backend",
        setup={"model": "SmolLM2-135M", "prompt": PROMPT, "tokens": options.tokens},
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
