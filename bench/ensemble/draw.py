"""Draws what ensembles gain and lose, from the JSON lines of rules.py.

Run: python bench/ensemble/draw.py [--results FOLDER] [--images FOLDER]. Above: bits per byte of two
models together, less those of the better one, by the share of the second. Below: the same
difference for single models, controls and rules, with its interval. The newest records count.
"""

from __future__ import annotations

import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH))

from harness import read  # noqa: E402
from picture import INK, OTHERS, OURS, OURS_LIGHT, QUIET, plt, run  # noqa: E402

PAIR = "SmolLM2 + Gemma"
LINES = (
    ("SmolLM2-135M", "SmolLM2-135M alone", OTHERS),
    ("control: SmolLM2 twice", "SmolLM2 twice (control)", OTHERS),
    ("control: Gemma twice", "Gemma twice (control)", OTHERS),
    (f"mixture of {PAIR}, equal", "mixture, equal weights", OURS_LIGHT),
    (f"mixture of {PAIR}, chosen", "mixture, chosen weights", OURS_LIGHT),
    (f"product of {PAIR}, equal", "product, equal weights", OURS),
    (f"product of {PAIR}, chosen", "product, chosen weights", OURS),
    (f"posterior of {PAIR}, equal", "posterior", "#4a6fa5"),
)


def gather(results):
    """Text -> what -> facts; and the last record."""
    found, last = {}, None
    for line in read(results / "ensemble_rules.jsonl"):
        found.setdefault(line["setup"]["text"], {})[line["facts"]["what"]] = line["facts"]
        last = line
    return found, last


def dress(axes, title):
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=6)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=QUIET)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def draw_sweep(axes, text, facts):
    swept = facts["sweep"]
    shares, best = swept["shares"], swept["best"]
    for rule, colour in (("mixture", OURS_LIGHT), ("product", OURS)):
        values = [bits - best for bits in swept["bits"][PAIR][rule]]
        axes.plot(shares, values, color=colour, linewidth=1.8, zorder=3)
        chosen = facts[f"{rule} of {PAIR}, chosen"]
        share = chosen["weights"][1] / sum(chosen["weights"])
        axes.plot([share], [chosen["bits"] - best], "o", color=colour, markersize=5, zorder=4)
    axes.axhline(0.0, color=QUIET, linewidth=0.8, zorder=2)
    axes.grid(visible=True, axis="y", which="major", color="#eceff2", zorder=0)
    axes.set_xticks([0, 0.5, 1], ["SmolLM2", "half", "Gemma"])
    dress(axes, text)


def draw_lines(axes, facts, *, labelled):
    lines = [line for line in LINES if line[0] in facts]
    best = facts["sweep"]["best"]
    for place, (what, label, colour) in enumerate(reversed(lines)):
        low, high = facts[what]["difference"]
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, zorder=3)
        axes.plot([facts[what]["bits"] - best], [place], "o", color=colour, markersize=5, zorder=4)
        if labelled:
            axes.text(
                -0.06,
                place,
                label,
                va="center",
                ha="right",
                fontsize=8.5,
                color=INK,
                transform=axes.get_yaxis_transform(),
            )
    axes.axvline(0.0, color=QUIET, linewidth=0.8, zorder=2)
    axes.grid(visible=True, axis="x", which="major", color="#eceff2", zorder=0)
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(lines) - 0.4)
    dress(axes, "")


def draw(found, last):
    figure, panels = plt.subplots(2, len(found), figsize=(9.6, 6.0), squeeze=False)
    for column, (text, facts) in enumerate(found.items()):
        draw_sweep(panels[0, column], text, facts)
        draw_lines(panels[1, column], facts, labelled=column == 0)
    panels[0, 0].text(
        -0.2,
        0.5,
        "bits per byte,\nless those of\nthe better model",
        va="center",
        ha="right",
        fontsize=8.5,
        color=QUIET,
        transform=panels[0, 0].transAxes,
    )
    sizes = ", ".join(f"{text} {facts['SmolLM2-135M']['bytes']:,}" for text, facts in found.items())
    figure.text(
        0.02,
        0.025,
        "SmolLM2-135M and Gemma-3-270M; below zero both together are better than the better one.\n"
        "Above: mixture (light) and product (dark) by the share of Gemma; dots: the weights chosen "
        "on another text.\nBelow: 95 % bootstrap intervals over chunks of 20 bytes. "
        f"Bytes: {sizes}.\n"
        f"Commit {last['commit'][:8]}, {last['when'][:10]}.",
        fontsize=7.5,
        color=QUIET,
        linespacing=1.5,
    )
    figure.subplots_adjust(left=0.21, right=0.985, top=0.94, bottom=0.17, wspace=0.28, hspace=0.3)
    return figure


if __name__ == "__main__":
    run(__doc__, "ensembles", gather, draw, ask="python bench/ensemble/rules.py --gemma FOLDER")
