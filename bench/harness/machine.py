"""What a figure depends on beside the code: processor, load, versions, commit, SIMD level."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scipy", "torch", "tokenizers", "tiktoken", "transformers", "genlm-backend")
PACKAGES += ("genlm-bytes", "numba", "pybind11", "nanobind")


def pinned_cores() -> set[int]:
    """Return the cores that this process may use; empty where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def pin_to(cores: set[int]) -> None:
    """Keep this process on these cores, where the system can."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def pin(core: int | None = None) -> int | None:
    """Keep this process on one core, the last it may use; None where the system cannot."""
    cores = pinned_cores()
    if not cores:
        return None
    chosen = max(cores) if core is None else core
    pin_to({chosen})
    return chosen


def one_thread() -> None:
    """Let torch use one thread, if it is loaded."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    name = named.get("model name", platform.machine())
    family = "/".join(named[key] for key in ("cpu family", "model") if key in named)
    return f"{name} ({family})" if family else name


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of the interpreter and of the packages that are compared."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def simd_level() -> str | None:
    """Return the level that the kernels run at; None for a library without levels."""
    nextbyte = sys.modules.get("nextbyte")
    simd = getattr(nextbyte, "simd", None)
    return None if simd is None else str(simd.active())


def describe() -> dict[str, object]:
    """Return everything about this process that a figure depends on."""
    # What the benches write themselves, and prose, do not make the code another.
    changed = _git("status", "--porcelain", "--", ".", ":!bench/results", ":!*.md", ":!docs")
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(changed),
        "cpu": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "simd": simd_level(),
        "versions": versions(),
    }
