"""Rules of the whole suite: hypothesis profiles, and tests that need the embedded model."""

from __future__ import annotations

import hypothesis
import pytest

MODEL = "smollm2-135m"

# Cores are shared and the first example builds tokenizers, so time says nothing about an example.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--require-model",
        action="store_true",
        help="fail, rather than skip, where the embedded model is missing (make test)",
    )
    parser.addoption("--thorough", action="store_true", help="also what takes many minutes")


def cached_model():
    from nextbyte import models  # noqa: PLC0415 - the oracle's tests run without the package

    return models.cached(MODEL)


def pytest_runtest_setup(item):
    if item.get_closest_marker("thorough") and not item.config.getoption("--thorough"):
        pytest.skip("takes many minutes: --thorough")
    if item.get_closest_marker("model") and cached_model() is None:
        reason = f"the embedded model is not in the cache: nextbyte fetch {MODEL}"
        (pytest.fail if item.config.getoption("--require-model") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def model_folder():
    """Return the folder of the embedded model; use it under the marker `model`."""
    return cached_model()
