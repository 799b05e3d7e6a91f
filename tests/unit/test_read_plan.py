"""Which slots a forward pass reads: every plan gives the sums of reading everything."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nextbyte.backends import _read_plan
from nextbyte.backends._read_plan import plan_reads

WIDE = 5  # of a query, key or value


def attended(is_open, queries, keys, values):
    """Attention of each query over the slots open to it, one by one."""
    found = []
    for row, query in zip(is_open, queries, strict=True):
        weights = np.exp(keys[row] @ query)
        found.append(weights @ values[row] / weights.sum())
    return np.array(found)


def as_planned(plan, queries, keys, values):
    if plan.groups is not None:
        groups = plan.groups
        found = [
            attended(is_open, queries[places], keys[slots], values[slots])
            for places, slots, is_open in zip(
                groups.queries, groups.slots, groups.is_open, strict=True
            )
        ]
        return np.concatenate(found)[groups.places]
    if plan.slots is not None:
        return attended(plan.is_open, queries, keys[plan.slots], values[plan.slots])
    return attended(plan.is_open, queries, keys, values)


def random_pass(rng, high_water):
    """Runs of new tokens below random contexts, in free slots."""
    free = rng.sample(range(high_water), rng.randint(1, high_water))
    old = [slot for slot in range(high_water) if slot not in free]
    ancestors, runs = [], []
    number = 0
    while free and len(runs) < 12:
        bits = sum(1 << slot for slot in rng.sample(old, rng.randint(0, len(old))))
        for _ in range(rng.randint(1, 3)):
            if free:
                bits |= 1 << free.pop()
                ancestors.append(bits)
                runs.append(number)
        number += 1
    return ancestors, runs


@pytest.mark.parametrize(
    ("worth", "in_groups"), [(1e9, True), (1e9, False), (0.5, True), (0, True)]
)
def test_every_plan_gives_the_same_sums(monkeypatch, worth, in_groups):
    monkeypatch.setattr(_read_plan, "_WORTH", worth)
    rng, values = random.Random(3), np.random.default_rng(3)
    kinds = set()
    for _ in range(150):
        high_water = rng.randint(1, 40)
        ancestors, runs = random_pass(rng, high_water)
        plan = plan_reads(ancestors, runs, high_water, in_groups=in_groups)
        kinds.add((plan.slots is not None, plan.groups is not None))
        queries = values.normal(size=(len(runs), WIDE))
        keys, data = values.normal(size=(2, high_water, WIDE))
        is_open = np.array([[bits >> s & 1 for s in range(high_water)] for bits in ancestors], bool)
        np.testing.assert_allclose(
            as_planned(plan, queries, keys, data),
            attended(is_open, queries, keys, data),
            rtol=1e-12,
        )
    assert (worth == 0) == (kinds == {(False, False)})
    assert not in_groups or worth < 1 or (False, True) in kinds


def of_streams(count, length, shared=0):
    """One new token for each of some streams of this length, with a beginning in common."""
    stem = (1 << shared) - 1
    own = [((1 << length) - 1) << (shared + length * number) for number in range(count)]
    return [stem | bits for bits in own], list(range(count)), shared + count * length


def test_streams_side_by_side_read_their_own_slots():
    plan = plan_reads(*of_streams(64, 60), in_groups=True)
    assert plan.groups is not None
    assert plan.groups.slots.shape == (64, 60)
    assert plan_reads(*of_streams(64, 60), in_groups=False).slots is None


def test_a_long_shared_prefix_is_read_in_place():
    plan = plan_reads(*of_streams(64, 5, shared=2000), in_groups=True)
    assert (plan.slots, plan.groups) == (None, None)


def test_one_stream_among_idle_ones_reads_its_own_slots():
    ancestors, runs, high_water = of_streams(64, 60)
    plan = plan_reads(ancestors[7:8], runs[7:8], high_water, in_groups=True)
    np.testing.assert_array_equal(plan.slots, np.arange(7 * 60, 8 * 60))
