"""Question: what does a call through nanobind cost, beside the same C++ work through pybind11?

Run: python bench/bindings.py [--library libnextbyte_core.a] [--rounds N]. `pybind11_twin/twin.cc`
is compiled on the fly against the static core library that a build of the package leaves behind.
Both hold a stream of SmolLM2's tokenizer; `push` is one byte and a rollback of it, in C++ the same
work on both sides.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import pybind11
from harness import Session, arguments
from harness.machine import ROOT

import nextbyte as nb
from nextbyte import _core

PLACES = ("build", ".venv/build", "../build")


def core_library(given):
    """The static library of a build of this checkout."""
    beside = Path(sys.prefix) / "build"  # where `make` builds the package
    for folder in [given.parent] if given else [beside, *(ROOT / place for place in PLACES)]:
        found = folder / (given.name if given else "libnextbyte_core.a")
        if found.is_file():
            return found
    raise SystemExit("no libnextbyte_core.a: build the package, or say where with --library")


def build_twin(library, folder, *, source="twin"):
    """Compile and load a module of `pybind11_twin/`."""
    name = f"nextbyte_{source}"
    target = folder / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    flags = ["-std=c++20", "-O3", "-DNDEBUG", "-fPIC", "-shared", "-fvisibility=hidden"]
    if sys.platform == "darwin":
        flags += ["-undefined", "dynamic_lookup"]
    includes = [str(ROOT / "csrc"), sysconfig.get_path("include"), pybind11.get_include()]
    command = [
        *os.environ.get("CXX", "c++").split(),
        *flags,
        *(f"-I{include}" for include in includes),
        str(ROOT / "bench" / "pybind11_twin" / f"{source}.cc"),
        str(library),
        "-o",
        str(target),
    ]
    subprocess.run(command, check=True)
    spec = importlib.util.spec_from_file_location(name, target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def twin_stream(twin, tokenizer):
    """A stream of the twin over the same tokenizer."""
    described = tokenizer._description  # noqa: SLF001 - the twin compiles the same tokenizer
    model = described.model
    merges = np.asarray(model.merges, np.uint32).reshape(-1, 3)
    return twin.Stream(described.token_bytes, merges, list(model.stages))


def main():
    parser = arguments(__doc__, rounds=25)
    parser.add_argument("--library", type=Path)
    options = parser.parse_args()
    session = Session(__file__, __doc__, options)
    tokenizer = nb.Tokenizer.from_pretrained("smollm2-135m")
    (row,) = np.random.default_rng(0).normal(0, 2.5, (1, 49152)).astype(np.float32)
    out = np.empty(257)
    prefix = b"The lighthouse keeper's daught"
    with tempfile.TemporaryDirectory() as scratch:
        twin = build_twin(core_library(options.library), Path(scratch))
        theirs = twin_stream(twin, tokenizer)
        ours = _core.ByteStream(tokenizer.compiled, [])
        for stream in (ours, theirs):
            stream.push(prefix)
            for context in stream.pending():
                stream.provide(context, row)
            stream.next_byte_logprobs(out)

        def push(stream):
            def call():
                stream.push(b"e")
                stream.rollback(1)

            return call

        pairs = {
            "no argument (len)": (ours.__len__, theirs.__len__),
            "bytes and int (push, rollback)": (push(ours), push(theirs)),
            "array (next_byte_logprobs into a buffer)": (
                lambda: ours.next_byte_logprobs(out),
                lambda: theirs.next_byte_logprobs(out),
            ),
        }
        assert ours.prefix == theirs.prefix
        for work, (nanobind_call, pybind11_call) in pairs.items():
            session.compare(
                {"pybind11": pybind11_call, "nanobind (nextbyte)": nanobind_call},
                reference="pybind11",
                setup={"call": work},
                unit="ns",
            )


if __name__ == "__main__":
    main()
