"""Draws what ensembles gain and lose, from the JSON lines of rules.py.

Run: python bench/ensemble/draw.py [--results FOLDER] [--images FOLDER]. Above: bits per byte of two
models together, less those of the better one, by the share of the second. Below: the same
difference for single models, controls and rules, with its interval where that was taken to the
better model. The newest records count.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCH))

from harness import read  # noqa: E402
from picture import INK, OTHERS, OURS, OURS_LIGHT, QUIET, plt, run  # noqa: E402

LINES = (
    ("{other}", "the other model alone", OTHERS),
    ("control: {first} twice", "the first twice (control)", OTHERS),
    ("control: {second} twice", "the second twice (control)", OTHERS),
    ("mixture of {pair}, equal", "mixture, equal weights", OURS_LIGHT),
    ("mixture of {pair}, chosen", "mixture, chosen weights", OURS_LIGHT),
    ("product of {pair}, equal", "product, equal weights", OURS),
    ("product of {pair}, chosen", "product, chosen weights", OURS),
    ("posterior of {pair}, equal", "posterior", "#4a6fa5"),
)


@dataclass(frozen=True)
class Column:
    """Two models and the texts of one kind: names, short names for the axis, records."""

    title: str
    models: tuple[str, str]
    shorter: tuple[str, str]
    ticks: tuple[str, str]
    facts: dict

    @property
    def best(self):
        return min(self.facts[name]["bits"] for name in self.models)

    def named(self, pattern):
        other = max(self.models, key=lambda name: self.facts[name]["bits"])
        first, second = self.shorter
        return pattern.format(other=other, first=first, second=second, pair=f"{first} + {second}")

    def difference(self, what):
        """Return the interval of the difference to the better model, if it was recorded."""
        facts = self.facts[what]
        better = min(self.models, key=lambda name: self.facts[name]["bits"])
        for base, beside in (
            ("best_single", "difference"),
            ("best_member", "member_difference"),
        ):
            if facts.get(base) == better:
                return facts[beside]
        return None


PROSE = (("SmolLM2-135M", "Gemma-3-270M"), ("SmolLM2", "Gemma"), ("SmolLM2", "Gemma"))
CODE_NAMES = ("code model 4096", "code model 8192")
CODE = (CODE_NAMES, CODE_NAMES, ("4096", "8192"))


def gather(results):
    """Title -> column; and the last record."""
    columns, last = {}, None
    for name, kind in (("ensemble_rules", PROSE), ("ensemble_code", CODE)):
        found = {}
        for line in read(results / f"{name}.jsonl"):
            found.setdefault(line["setup"]["text"], {})[line["facts"]["what"]] = line["facts"]
            last = line
        found.pop("HumanEval, solutions", None)  # a part of the other
        columns |= {text: Column(text, *kind, facts) for text, facts in found.items()}
    return columns, last


def dress(axes, title):
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=6)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=QUIET)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def draw_sweep(axes, column):
    facts = column.facts
    pair = column.named("{pair}")
    for rule, colour in (("mixture", OURS_LIGHT), ("product", OURS)):
        values = [bits - column.best for bits in facts["sweep"]["bits"][pair][rule]]
        axes.plot(facts["sweep"]["shares"], values, color=colour, linewidth=1.8, zorder=3)
        chosen = facts[f"{rule} of {pair}, chosen"]
        share = chosen["weights"][1] / sum(chosen["weights"])
        height = chosen["bits"] - column.best
        axes.plot([share], [height], "o", color=colour, markersize=5, zorder=4)
    axes.axhline(0.0, color=QUIET, linewidth=0.8, zorder=2)
    axes.grid(visible=True, axis="y", which="major", color="#eceff2", zorder=0)
    axes.set_xticks([0, 1], column.ticks)
    dress(axes, column.title)
    for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)


def draw_lines(axes, column, *, labelled):
    for place, (pattern, label, colour) in enumerate(reversed(LINES)):
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
        what = column.named(pattern)
        if what not in column.facts:
            continue
        middle = column.facts[what]["bits"] - column.best
        interval = column.difference(what)
        if interval:
            axes.plot(interval, [place, place], color=colour, linewidth=2.2, zorder=3)
        axes.plot([middle], [place], "o", color=colour, markersize=5, zorder=4)
    axes.axvline(0.0, color=QUIET, linewidth=0.8, zorder=2)
    axes.grid(visible=True, axis="x", which="major", color="#eceff2", zorder=0)
    axes.set_yticks([])
    axes.set_ylim(-0.6, len(LINES) - 0.4)
    dress(axes, "")


def draw(columns, last):
    figure, panels = plt.subplots(2, len(columns), figsize=(11.2, 6.0), squeeze=False)
    for place, column in enumerate(columns.values()):
        draw_sweep(panels[0, place], column)
        draw_lines(panels[1, place], column, labelled=place == 0)
    panels[0, 0].text(
        -0.28,
        0.5,
        "bits per byte,\nless those of\nthe better model",
        va="center",
        ha="right",
        fontsize=8.5,
        color=QUIET,
        transform=panels[0, 0].transAxes,
    )
    sizes = ", ".join(f"{c.title} {c.facts[c.models[0]]['bytes']:,}" for c in columns.values())
    figure.text(
        0.02,
        0.025,
        "Two models each: SmolLM2-135M and Gemma-3-270M; two code models of 3 million parameters "
        "on HumanEval. Below zero both together are better than the better one.\n"
        "Above: mixture (light) and product (dark) by the share of the second; dots: the weights "
        "chosen on other texts of the kind.\nBelow: 95 % bootstrap intervals, over chunks of 20 "
        f"bytes, for HumanEval over problems (a dot alone: none, or smaller). Bytes: {sizes}.\n"
        f"Newest figures: commit {last['commit'][:8]}, {last['when'][:10]}.",
        fontsize=7.5,
        color=QUIET,
        linespacing=1.5,
    )
    figure.subplots_adjust(left=0.2, right=0.985, top=0.94, bottom=0.17, wspace=0.36, hspace=0.3)
    return figure


if __name__ == "__main__":
    run(__doc__, "ensembles", gather, draw, ask="python bench/ensemble/rules.py --gemma FOLDER")
