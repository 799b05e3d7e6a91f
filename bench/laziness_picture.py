"""Draws what a tolerance saves and costs, from the JSON lines of laziness.py.

Run: python bench/laziness_picture.py [--results FOLDER] [--images FOLDER]. The newest record of
each text and tolerance counts.
"""

from __future__ import annotations

from harness import read
from picture import INK, OURS, OURS_LIGHT, QUIET, plt, run

COLOURS = {"English": OURS, "Python": "#c2703d", "Chinese": "#4a6fa5"}


def gather(results):
    """Text -> tolerance -> facts; and the last record."""
    found, last = {}, None
    for line in read(results / "laziness.jsonl"):
        if line["setup"].get("look_ahead") is not None:
            continue
        found.setdefault(line["setup"]["text"], {})[line["facts"]["tolerance"]] = line["facts"]
        last = line
    return found, last


def dress(axes, title, tolerances):
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK, pad=6)
    names = [
        "exact" if tolerance == 0 else f"{tolerance:.0e}".replace("e-0", "e-")
        for tolerance in tolerances
    ]
    axes.set_xticks(range(len(tolerances)), names)
    axes.set_xlabel("tolerance", fontsize=8.5, color=QUIET)
    axes.tick_params(which="both", length=0, labelsize=8, labelcolor=QUIET)
    axes.grid(visible=True, axis="y", which="major", color="#eceff2", zorder=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def draw(found, last):
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.9))
    tolerances = sorted({tolerance for facts in found.values() for tolerance in facts})
    ends = []
    for text, facts in found.items():
        colour = COLOURS.get(text, OURS_LIGHT)
        places = [place for place, tolerance in enumerate(tolerances) if tolerance in facts]
        rows = [facts[tolerances[place]] for place in places]
        counts = [row["evaluations_per_byte"] for row in rows]
        left.plot(places, counts, "o-", color=colour, markersize=4, zorder=3)
        passes = [row["passes_per_byte"] for row in rows]
        left.plot(places, passes, ":", color=colour, linewidth=1.2, zorder=2)
        ends.append((counts[-1], text, colour))
        lazy = [(place, row) for place, row in zip(places, rows, strict=True) if row["tolerance"]]
        xs = [place for place, _ in lazy]
        for key, style in (("mean_bound", "o-"), ("largest_bound", ":")):
            right.plot(xs, [row[key] for _, row in lazy], style, color=colour, markersize=4)
    height = 0.0
    for count, text, colour in sorted(ends):
        height = max(height + 0.06, count)  # labels do not lie on each other
        left.text(
            len(tolerances) - 0.85,
            height,
            f"{text} {count:.2f}",
            va="center",
            fontsize=8.5,
            color=colour,
        )
    right.set_yscale("log")
    left.set_ylim(0, None)
    left.set_xlim(-0.2, len(tolerances) - 0.1)
    dress(left, "Evaluations of the model per byte (dotted: passes)", tolerances)
    dress(right, "Certified bound: mean (dotted: largest)", tolerances)
    right.set_xlim(0.7, len(tolerances) - 0.8)
    checked = [row for facts in found.values() for row in facts.values() if row["tolerance"]]
    sizes = [f"{text} {next(iter(facts.values()))['laws']:,}" for text, facts in found.items()]
    figure.text(
        0.02,
        0.03,
        f"{last['setup']['model']}; bytes: {', '.join(sizes)}. "
        f"{sum(row['laws'] for row in checked):,} laws compared with the exact ones, "
        f"{sum(row['violations'] for row in checked)} beyond their bound.\n"
        f"Commit {last['commit'][:8]}, {last['when'][:10]}.",
        fontsize=7.5,
        color=QUIET,
        linespacing=1.5,
    )
    figure.subplots_adjust(left=0.05, right=0.985, top=0.9, bottom=0.25, wspace=0.32)
    return figure


if __name__ == "__main__":
    run(__doc__, "laziness", gather, draw, ask="make bench BENCH=laziness")
