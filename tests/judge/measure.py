"""Everything that is measured of one real tokenizer, in this process."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from judge import parity, prefixes, witness
from judge.catalogue import Assets, Entry, MissingAssetError, published_texts
from nextbyte.errors import NextByteError

if TYPE_CHECKING:
    from judge.engines import Engine
    from nextbyte import Tokenizer

Progress = Callable[[str, int], None]  # what is counted, and how many more are done


@dataclasses.dataclass(slots=True)
class Row:
    """One row of the table; `status` is "checked", "refused", "absent" or "failed"."""

    name: str
    package: str
    family: str
    reported_family: str = ""  # what the library says; `family` is what it is
    status: str = "failed"
    reason: str = ""
    vocabulary: int = 0
    exactness: str = ""
    plain_words: bool = False
    cold_seconds: float = 0.0
    cached_seconds: float = 0.0
    mebibytes: float = 0.0
    parity: parity.Parity | None = None
    published: int = 0
    published_equal: int = 0
    published_engine_equal: int = 0
    covers: witness.Verdict | None = None
    check_seconds: float = 0.0

    @property
    def wrong(self) -> bool:
        """Whether anything that was compared differs, or the check itself broke."""
        parts = (self.parity, self.covers)
        differs = any(part is not None and part.wrong for part in parts)
        return differs or self.published_equal != self.published or self.status == "failed"


def resident_mebibytes() -> float:
    """Return the resident memory of this process after giving back what is free (Linux)."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (AttributeError, OSError):
        return 0.0
    return pages * 4096 / 2**20


def load(entry: Entry, assets: Assets, row: Row) -> tuple[Tokenizer, Path] | None:
    """Load our side into `row`; None if the file is absent or refused."""
    try:
        path = entry.locate(assets)
    except MissingAssetError as error:
        row.status, row.reason = "absent", str(error)
        return None
    if path.suffix == ".gguf":
        import gguf  # noqa: F401, PLC0415 - so that its own memory is not counted as ours
    before = resident_mebibytes()
    begun = time.perf_counter()
    try:
        ours, row.plain_words = entry.ours(path)
    except NextByteError as error:
        said = str(error).replace(str(path), "").removeprefix(": ")
        row.status, row.reason = "refused", f"{type(error).__name__}: {said}"
        return None
    row.cached_seconds = time.perf_counter() - begun
    row.mebibytes = resident_mebibytes() - before
    row.vocabulary = ours.vocab_size
    row.exactness = ours.exactness
    row.reported_family = ours.report().family
    row.status = "loaded"
    return ours, path


def check(
    entry: Entry,
    assets: Assets,
    *,
    strings: int,
    random_prefixes: int,
    progress: Progress = lambda what, done: None,
) -> Row:
    """Load, compare encodings, judge covers.

    Returns
    -------
    Row
        `cached_seconds` is the time of this process's load, whatever caches there are.
    """
    row = Row(entry.name, entry.package, entry.family)
    loaded = load(entry, assets, row)
    if loaded is None:
        return row
    ours, path = loaded
    begun = time.perf_counter()
    engine = entry.reference(path, plain_words=row.plain_words)
    cases = published_texts(path)
    for text, expected in cases:
        row.published += 1
        row.published_engine_equal += engine.encode(text) == expected
        row.published_equal += _encodes(ours, text, expected)
    row.parity = parity.compare(
        ours,
        engine,
        seed=f"{entry.name} strings",
        strings=strings,
        extra=[text for text, _ in cases],
        progress=lambda done: progress("strings", done),
    )
    row.covers = covers(ours, engine, entry.name, random_prefixes, progress)
    row.check_seconds = time.perf_counter() - begun
    row.status = "checked"
    return row


def _encodes(ours: Tokenizer, text: str, expected: list[int]) -> bool:
    try:
        return list(ours.encode(text)) == expected
    except NextByteError:
        return False


def covers(
    ours: Tokenizer, engine: Engine, name: str, count: int, progress: Progress
) -> witness.Verdict:
    """Judge the named prefixes and `count` random ones; none at all if `count` is 0."""
    judge = witness.Judge(ours, engine, seed=f"{name} covers")
    if count:
        for named in prefixes.NAMED.values():
            for prefix in named:
                judge.judge(prefix)
                progress("prefixes", 1)
    for prefix, original in prefixes.random_prefixes(engine, f"{name} prefixes", count):
        judge.judge(prefix, original)
        progress("prefixes", 1)
    return judge.verdict
