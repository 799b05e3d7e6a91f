"""Fixtures of the property tests: real tokenizers and counts; small models and their laws."""

from __future__ import annotations

import collections

import pytest

import nextbyte as nb
from oracle.byte_models import make_pair
from oracle.zoo import by_name
from real_tokenizers import NAMES, MissingPackageError, load, parameters


class Figures:
    """What was compared, for the terminal summary."""

    def __init__(self):
        self.counts = collections.defaultdict(collections.Counter)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("real tokenizers")
        for name, counts in self.counts.items():
            said = ", ".join(f"{count} {what}" for what, count in counts.items())
            terminalreporter.write_line(f"{name}: {said}")


@pytest.fixture(scope="session")
def figures(request):
    made = Figures()
    request.config.pluginmanager.register(made, "figures-of-real-tokenizers")
    return made.counts


@pytest.fixture(scope="module", params=parameters(NAMES))
def subject(request, tmp_path_factory):
    try:
        return load(
            request.param,
            tmp_path_factory.mktemp(request.param),
            lambda: request.getfixturevalue("model_folder"),
        )
    except MissingPackageError as reason:
        (pytest.fail if request.config.getoption("--require-model") else pytest.skip)(str(reason))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Return a function of a case and a kind of model: the product's model and its law."""
    folder, made = tmp_path_factory.mktemp("tokenizers"), {}

    def pair(name, kind="even"):
        if (name, kind) not in made:
            made[name, kind] = make_pair(nb, by_name(name), kind, folder)
        return made[name, kind]

    return pair
