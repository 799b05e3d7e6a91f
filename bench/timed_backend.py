"""A backend that passes everything on and adds up the time that the language model takes."""

from __future__ import annotations

import time


class TimedBackend:
    """Seconds, calls and rows of another backend."""

    def __init__(self, backend, *, clock=time.perf_counter):
        self.backend = backend
        self.vocab_size = backend.vocab_size
        self.start_token = backend.start_token
        self.end_tokens = backend.end_tokens
        self.max_context_tokens = getattr(backend, "max_context_tokens", None)
        self.seconds = 0.0
        self.calls = 0
        self.rows = 0
        self._clock = clock

    def extend(self, requests):
        begin = self._clock()
        branches = self.backend.extend(requests)
        self.seconds += self._clock() - begin
        self.calls += 1
        self.rows += len(requests)
        return branches
