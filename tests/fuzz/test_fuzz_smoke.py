"""A short run of the fuzz targets of formats: seeds, inputs that were findings, some mutations."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from fuzz.targets import TARGETS, check

REGRESSIONS = Path(__file__).parent / "regressions"
MUTATIONS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_have_the_property_and_most_are_tokenizers(name, tmp_path):
    target = TARGETS[name]
    loaded = [check(target, data, tmp_path) for data in target.seeds()]
    assert 2 * sum(loaded) >= len(loaded)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_have_the_property(name, tmp_path):
    target = TARGETS[name]
    source = random.Random(zlib.crc32(name.encode()))
    seeds = target.seeds()
    loaded = 0
    for _ in range(MUTATIONS):
        data = source.choice(seeds)
        for _ in range(source.choice((1, 1, 2))):
            data = target.mutate(data, source)
        loaded += check(target, data, tmp_path)
    assert 0 < loaded < MUTATIONS  # some changes matter, some do not


@pytest.mark.parametrize(
    "path", sorted(REGRESSIONS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_findings_stay_fixed(path, tmp_path):
    check(TARGETS[path.parent.name], path.read_bytes(), tmp_path)
