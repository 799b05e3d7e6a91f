"""Runs the examples of every docstring of the package, each docstring as a test of its own."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
from unittest import mock

import pytest

import nextbyte

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(nextbyte.__path__, "nextbyte.")
    if not module.name.endswith(("__main__", "_core"))
)


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in ["nextbyte", *MODULES]:
        for test in finder.find(importlib.import_module(name), name):
            if test.examples:
                model = any('from_pretrained("smollm2' in e.source for e in test.examples)
                marks = [pytest.mark.model] if model else []
                yield pytest.param(test, marks=marks, id=test.name.removeprefix("nextbyte."))


@pytest.mark.parametrize("test", list(examples()))
def test_example(test):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    transcript: list[str] = []
    with mock.patch.dict(os.environ):  # examples may set variables, and delete what was set
        failed = runner.run(test, out=transcript.append).failed
    assert failed == 0, "".join(transcript)


def test_there_are_examples():
    assert len(list(examples())) > 10
