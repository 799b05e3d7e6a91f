"""Draws the main comparison, one row of logits to byte masses, from the JSON lines of kernels.py.

Run: python bench/picture.py [--results FOLDER] [--images FOLDER]. Bars are the medians of the
newest run over each vocabulary, on a log axis; the number behind a bar is its ratio to nextbyte's.
A record of peers.py over the same vocabulary adds genlm's trie.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
from harness import read
from harness.report import shown

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
VOCABULARIES = ("SmolLM2", "Llama 3.1", "o200k")
OURS = "#0b6e4f"
OURS_LIGHT = "#5fae8c"
OTHERS = "#b8bec6"
PARTS = "#dfe3e8"  # does less than the others: no byte masses
TIMES = "\N{MULTIPLICATION SIGN}"
INK = "#20262d"
QUIET = "#5d6670"

# Candidate, what the picture calls it, colour; as many as there are records of.
BARS = (
    ("memcpy (numpy.copyto)", "copy of the row (memcpy)", PARTS),
    ("torch.log_softmax alone", "torch log_softmax alone", PARTS),
    ("nextbyte, pre-sorted", "nextbyte, pre-sorted row", OURS_LIGHT),
    ("nextbyte, id order", "nextbyte", OURS),
    ("nextbyte, a whole new stream", "nextbyte (new stream)", OURS),
    ("torch softmax + index_add", "torch softmax + index_add", OTHERS),
    ("numpy softmax + permute + reduceat", "numpy softmax + reduceat", OTHERS),
    ("torch softmax + permute + segment_reduce", "torch softmax + segment_reduce", OTHERS),
    ("genlm-backend TokenCharacterTrie.weight_sum", "genlm-backend trie (numba)", OTHERS),
)


def newest(records, vocabulary, **setup):
    """The last record over a vocabulary."""
    wanted = {"vocabulary": vocabulary, **setup}.items()
    found = [record for record in records if wanted <= record["setup"].items()]
    return found[-1] if found else None


def gather(results):
    """Vocabulary -> (record, candidate -> figures); the peers' scaled to this nextbyte."""
    kernels, peers = read(results / "kernels.jsonl"), read(results / "peers.jsonl")
    found = {}
    for vocabulary in VOCABULARIES:
        record = newest(kernels, vocabulary, buffers="warm")
        if record is None:
            continue
        candidates = {c["name"]: c for c in record["candidates"]}
        peer = newest(peers, vocabulary, part="trie")
        others = {c["name"]: c for c in peer["candidates"]} if peer else {}
        both = [name for name in ("nextbyte, id order",) if name in candidates and name in others]
        for name, other in others.items():
            if both and name not in candidates:  # times of two runs: what holds is the ratio
                scale = candidates[both[0]]["median"] / others[both[0]]["median"]
                candidates[name] = other | {"median": other["median"] * scale}
        found[vocabulary] = (record, candidates)
    return found


def in_words(seconds):
    """A time with two or three digits and its unit."""
    microseconds = seconds * 1e6
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.0f} µs" if microseconds >= 10 else f"{microseconds:.2g} µs"


def draw_panel(axes, vocabulary, record, candidates):
    bars = [bar for bar in BARS if bar[0] in candidates]
    if "nextbyte, id order" in candidates:
        bars = [bar for bar in bars if bar[0] != "nextbyte, a whole new stream"]
    ours = next(bar[0] for bar in bars if bar[2] == OURS)
    base = candidates[ours]["median"]
    for place, (name, label, colour) in enumerate(reversed(bars)):
        seconds = candidates[name]["median"]
        axes.barh(place, seconds, color=colour, height=0.74, zorder=2)
        ratio = seconds / base
        said = in_words(seconds)
        if name != ours:
            said += f"   {shown(ratio)}{TIMES}"
        axes.text(
            seconds * 1.09,
            place,
            said,
            va="center",
            fontsize=9,
            color=INK,
            fontweight="bold" if name == ours else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},  # over the grid
        )
        axes.text(
            -0.015,
            place,
            label,
            va="center",
            ha="right",
            fontsize=9,
            transform=axes.get_yaxis_transform(),
            color=INK if colour != PARTS else QUIET,
            fontweight="bold" if name == ours else "normal",
        )
    axes.set_title(
        f"{vocabulary}, {record['setup']['tokens']:,} tokens",
        loc="left",
        fontsize=10,
        fontweight="bold",
        color=INK,
        pad=5,
    )
    axes.set_xscale("log")
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(bars) - 0.4)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=QUIET)
    axes.grid(visible=True, axis="x", which="major", color="#eceff2", zorder=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    return len(bars)


def caption(record):
    load = record["load"][0]
    level = f", {record['simd']}" if record["simd"] else ""
    return (
        "Median of interleaved rounds in one process, one pinned thread, warm buffers, log axis; "
        f"{TIMES} is the ratio to nextbyte.\n"
        "Pale bars do less: no byte masses come of them. "
        "genlm's is its ratio to nextbyte in a run of peers.py, times nextbyte here.\n"
        f"{record['cpu'].split(' (')[0]}{level}, torch {record['versions'].get('torch', '?')}, "
        f"load {load:g}, commit {record['commit'][:8]}, {record['when'][:10]}."
    )


def draw(found):
    heights = [sum(bar[0] in candidates for bar in BARS) for _, candidates in found.values()]
    figure, panels = plt.subplots(
        len(found),
        1,
        figsize=(8.6, 0.235 * sum(heights) + 0.5 * len(found) + 1.2),
        gridspec_kw={"height_ratios": heights},
        sharex=True,
        squeeze=False,
    )
    panels = panels[:, 0]
    for axes, (vocabulary, (record, candidates)) in zip(panels, found.items(), strict=True):
        draw_panel(axes, vocabulary, record, candidates)
    every = [c["median"] for _, candidates in found.values() for c in candidates.values()]
    for axes in panels:
        axes.set_xlim(min(every) * 0.7, max(every) * 6)
    ticks = [t for t in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1) if min(every) < t < max(every) * 2]
    panels[-1].set_xticks(ticks, [in_words(tick) for tick in ticks])
    panels[-1].minorticks_off()
    figure.suptitle(
        "From a row of logits to the mass of every next byte",
        x=0.02,
        y=1 - 0.1 / figure.get_figheight(),
        va="top",
        ha="left",
        fontsize=12.5,
        fontweight="bold",
        color=INK,
    )
    last, _ = list(found.values())[-1]
    figure.text(
        0.02,
        0.1 / figure.get_figheight(),
        caption(last),
        fontsize=7.5,
        color=QUIET,
        linespacing=1.5,
    )
    tall = figure.get_figheight()
    figure.subplots_adjust(
        left=0.28, right=0.985, top=1 - 0.72 / tall, bottom=0.95 / tall, hspace=0.22
    )
    return figure


def run(documentation, name, gather, draw, *, ask):
    """Draw `draw(*gather(results))` into NAME.svg and NAME.png; `ask` is what makes the figures."""
    parser = argparse.ArgumentParser(description=documentation)
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    gathered = gather(options.results)
    if not gathered[0]:
        raise SystemExit(f"no figures yet: {ask}")
    # The same figures give the same file: no random ids, no date.
    plt.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "nextbyte"})
    figure = draw(*gathered)
    options.images.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.images / f"{name}.svg", metadata={"Date": None})
    figure.savefig(options.images / f"{name}.png", dpi=160, metadata={"Software": None})
    print(f"drew {', '.join(gathered[0])} into {options.images.name}/{name}.svg and .png")


if __name__ == "__main__":
    run(
        __doc__,
        "byte_layer",
        lambda results: (gather(results),),
        draw,
        ask="make bench BENCH=kernels",
    )
