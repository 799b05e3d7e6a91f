"""Question: what does a keystroke cost behind the sentinel, beside sending the prefix again?

Run: python bench/fim_typing.py [--keys N]. SmolLM2-135M's weights in float32; its vocabulary has no
sentinels of infilling, so three of its special tokens stand for them, and only counts and times
mean anything. After each typed byte a completion of --draw bytes is asked for: of a session, which
keeps what it has read, in the order "psm"; and of the prompt with the typed bytes sent again.
Ratios are of the same key of the same round; the clock is that of the harness.
"""

from __future__ import annotations

import numpy as np
from harness import Session, arguments
from harness.session import CLOCKS

import nextbyte as nb
from nextbyte.sampling.token_generation import TokenSampler

CODE = "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n" * 12
TYPED = "    return total / len(values)"


def main():
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--keys", type=int, default=12, help="type this many bytes")
    parser.add_argument("--draw", type=int, default=1, help="bytes of each completion")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    lm = nb.ByteLM.from_pretrained("smollm2-135m")
    clock = CLOCKS[options.clock]
    passed = [0]  # tokens that went through the model; what it has read already does not

    def count(_, positional, named):
        passed[0] += named["input_ids"].numel() if "input_ids" in named else positional[0].numel()

    lm.backend._model.register_forward_pre_hook(count, with_kwargs=True)  # noqa: SLF001
    prefix, suffix, middle = 13, 14, 15  # special tokens that stand for the sentinels
    before, after = CODE, "\n\n" + CODE[: len(CODE) // 3]
    params = nb.SamplingParams(temperature=0.0, max_bytes=options.draw)
    keys = [TYPED[i : i + 1] for i in range(options.keys)]
    read = {"session": [], "sent again behind MID": [], "sent again in the prefix": []}
    took = {name: [] for name in read}

    def measured(name, call):
        passed[0], start = 0, clock()
        call()
        took[name].append((clock() - start) * 1e-6)
        read[name].append(passed[0])

    def complete(state):
        sampler = TokenSampler(lm, state.fork, state.prefix, params, "replace")
        while sampler.result is None:
            sampler.step()

    for _ in range(options.rounds):
        held = lm.start(segments=[prefix, before, suffix, after, middle, ""])
        held.next_byte_logprobs()
        typed = ""
        for key in keys:
            typed += key

            def keystroke(key=key, held=held):
                held.push(key.encode())
                held.next_byte_logprobs()
                complete(held)

            measured("session", keystroke)
        del held, keystroke  # else its keys and values would be shared
        typed = ""
        for key in keys:
            typed += key
            again = [prefix, before, suffix, after, middle, typed]
            moved = [prefix, before + typed, suffix, after, middle, ""]
            measured("sent again behind MID", lambda s=again: complete(lm.start(segments=s)))
            measured("sent again in the prefix", lambda s=moved: complete(lm.start(segments=s)))
    for name, counts in read.items():
        tokens = float(np.median(counts))
        low, ms, high = (float(x) for x in np.percentile(took[name], [10, 50, 90]))
        ratio = float(np.median(np.array(took[name]) / np.array(took["session"])))
        facts = {"tokens_read_median": tokens, "ms_median": ms, "ms_p10": low, "ms_p90": high}
        session.note(
            {"way": name, "keys": options.keys, "draw": options.draw},
            {**facts, "ratio_to_session": ratio, "rounds": options.rounds},
            said=f"{name}: {tokens:.0f} tokens read and {ms:.0f} ms ({low:.0f} to {high:.0f}) a "
            f"key, {ratio:.1f} times the session's",
        )


if __name__ == "__main__":
    main()
