"""Measures candidates in turns in one process, keeps the figures and prints them."""

from __future__ import annotations

from harness.machine import describe, one_thread, pin, pin_to, pinned_cores
from harness.measuring import Figures, measure, percentile
from harness.report import append, read, record, table
from harness.session import Session, arguments

__all__ = [
    "Figures",
    "Session",
    "append",
    "arguments",
    "describe",
    "measure",
    "one_thread",
    "percentile",
    "pin",
    "pin_to",
    "pinned_cores",
    "read",
    "record",
    "table",
]
