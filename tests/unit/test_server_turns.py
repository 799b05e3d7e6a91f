"""Whose turn it is: requests one at a time, clients that go away, a server that ends."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.server.worker import ModelWorker
from unit.fim_models import coder, fim_model
from unit.serving import PATIENCE, serving

ENDLESS = {"max_bytes": 1_000_000, "temperature": 0}


class Gate:
    """A model that says one letter for ever, and waits before each law until it may go on."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.may_go = threading.Event()
        self.turns = threading.Semaphore(0)
        self.laws = 0
        self.prompts = []

    def start(self, prompt=b""):
        self.prompts.append(prompt)
        return GateState(self, prompt)

    def law(self):
        self.laws += 1
        self.asked.release()
        if not self.may_go.is_set():
            assert self.turns.acquire(timeout=PATIENCE)
        row = np.full(257, -np.inf)
        row[ord("a")] = 0.0
        return row

    def wait_until_asked(self):
        assert self.asked.acquire(timeout=PATIENCE)

    def step(self):
        self.turns.release()


class GateState:
    logprob, bound, lm_evaluations = 0.0, 0.0, 0

    def __init__(self, gate, prefix):
        self.gate, self.prefix = gate, prefix

    def next_byte_logprobs(self):
        return self.gate.law()

    def push(self, data):
        self.prefix += data


def test_the_event_loop_stays_free_while_the_model_works():
    gate = Gate()
    with serving(gate) as running:
        connection = running.send("/v1/completions", {"prompt": "x", "max_bytes": 2})
        gate.wait_until_asked()
        assert running.ask("/health").status == 200
        assert running.ask("/v1/models").status == 200
        assert running.ask("/v1/completions", b"no json").status == 400
        assert running.ask("/infill", b'{"input_prefix":"","input_suffix":"","n_predict":0}').json
        gate.may_go.set()
        gate.step()
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_generation_and_the_next_goes_on(stream):
    gate = Gate()
    with serving(gate) as running:
        first = running.send("/v1/completions", {"prompt": "x", "stream": stream, **ENDLESS})
        gate.wait_until_asked()
        if stream:
            gate.step()
            response = first.getresponse()
            assert response.readline().startswith(b"data: ")
            gate.wait_until_asked()
            response.close()
        waiting = running.send("/v1/completions", {"prompt": "y", "max_bytes": 3})
        first.sock.shutdown(socket.SHUT_RDWR)
        first.close()
        # Nobody knows when the server hears of it, but a million bytes do not come before.
        gate.may_go.set()
        gate.step()
        assert running.line().startswith("POST /v1/completions 499 | ")
        response = waiting.getresponse()
        assert b'"text":"aaa"' in response.read()
        waiting.close()
        assert running.line().startswith("POST /v1/completions 200 | ")
        assert gate.prompts == [b"x", b"y"]
        assert gate.laws < ENDLESS["max_bytes"]


def test_a_client_that_goes_away_while_it_waits_is_never_begun():
    gate = Gate()
    with serving(gate) as running:
        first = running.send("/v1/completions", {"prompt": "x", "max_bytes": 2})
        gate.wait_until_asked()
        second = running.send("/v1/completions", {"prompt": "y", "max_bytes": 2})
        third = running.send("/v1/completions", {"prompt": "z", "max_bytes": 2})
        second.sock.shutdown(socket.SHUT_RDWR)
        second.close()
        # A later request is answered behind what the event loop has heard of until then.
        for _ in range(3):
            assert running.ask("/health").status == 200
        gate.may_go.set()
        gate.step()
        for connection in (first, third):
            assert connection.getresponse().status == 200
            connection.close()
        assert sorted(running.line().split()[2] for _ in range(3)) == ["200", "200", "499"]
        assert gate.prompts == [b"x", b"z"]


def test_middles_end_with_their_client(tmp_path):
    """A gap is filled by a loop of its own, which hears of it, too."""
    lm, backend = fim_model(coder(tmp_path, "starcoder"))
    asked, may_go = threading.Event(), threading.Event()
    extend = backend.extend

    def slow(requests):
        asked.set()
        assert may_go.wait(PATIENCE)
        return extend(requests)

    backend.extend = slow
    with serving(lm) as running:
        body = {"input_prefix": "ab", "input_suffix": "b", "n_predict": 100_000, "temperature": 1}
        connection = running.send("/infill", body)
        assert asked.wait(PATIENCE)
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        may_go.set()
        assert running.line().startswith("POST /infill 499 | ")
        assert running.infill("a", "b", n_predict=2, seed=1).status == 200


def test_a_server_that_ends_tells_who_waits():
    gate = Gate()
    with serving(gate) as running:
        whole = running.send("/v1/completions", {"prompt": "x", **ENDLESS})
        gate.wait_until_asked()
        waiting = running.send("/v1/completions", {"prompt": "y", "stream": True, **ENDLESS})
        for _ in range(3):  # it has come by then
            assert running.ask("/health").status == 200
        running.app.cancel_all()
        gate.may_go.set()
        gate.step()
        for connection in (whole, waiting):
            response = connection.getresponse()
            assert response.status == 503
            assert b"shutting down" in response.read()
            connection.close()
        assert running.ask("/v1/completions", {"prompt": "z", "max_bytes": 1}).status == 503
        assert gate.prompts == [b"x"]


def test_a_stream_is_told_of_the_end_in_its_middle():
    gate = Gate()
    with serving(gate) as running:
        connection = running.send("/v1/completions", {"prompt": "x", "stream": True, **ENDLESS})
        gate.wait_until_asked()
        gate.step()
        gate.wait_until_asked()
        response = connection.getresponse()
        assert response.status == 200
        running.app.cancel_all()
        gate.step()
        *_, last, end = response.read().split(b"\n\n")
        assert (b"shutting down" in last, end) == (True, b"")
        connection.close()


def test_texts_of_requests_side_by_side_are_those_of_each_alone(tmp_path):
    lm, _ = fim_model(coder(tmp_path, "starcoder"))
    prompts = [f"def f{i}(wo" for i in range(5)]
    with serving(lm) as running:
        connections = [
            running.send("/v1/completions", {"prompt": p, "seed": 3, "max_tokens": 8})
            for p in prompts
        ]
        for connection, prompt in zip(connections, prompts, strict=True):
            params = nb.SamplingParams(seed=3, max_tokens=8, max_bytes=999)
            text = nb.generate(lm, prompt, params).text
            assert json.load(connection.getresponse())["choices"][0]["text"] == text
            connection.close()


# --- The queue by itself -------------------------------------------------------------------------


def test_jobs_run_in_the_order_in_which_they_came():
    async def run():
        worker = ModelWorker()
        order = []
        jobs = [worker.submit(lambda _, i=i: iter([order.append(i)])) for i in range(20)]
        for job in jobs:
            assert [event async for event in job.events()] == [None]
        worker.close()
        return order

    assert asyncio.run(run()) == list(range(20))


def test_a_cancelled_job_ends_behind_its_step():
    steps = []
    begun, go_on = threading.Event(), threading.Event()

    def work(is_cancelled):
        while not is_cancelled():
            steps.append(1)
            begun.set()
            assert go_on.wait(PATIENCE)
            yield len(steps)

    async def run():
        worker = ModelWorker()
        job = worker.submit(work)
        late = worker.submit(lambda _: iter("never"))
        await asyncio.to_thread(begun.wait, PATIENCE)
        job.cancel()
        late.cancel()
        go_on.set()
        found = [event async for event in job.events()]
        assert [event async for event in late.events()] == []
        worker.close()
        return found

    assert asyncio.run(run()) == [1]
    assert steps == [1]


def test_an_error_of_a_job_is_raised_where_it_is_waited_for():
    def work(_):
        yield 1
        raise ZeroDivisionError

    async def run():
        worker = ModelWorker()
        found = []
        with pytest.raises(ZeroDivisionError):
            found.extend([event async for event in worker.submit(work).events()])
        again = [event async for event in worker.submit(lambda _: iter("b")).events()]
        worker.close()
        return again

    assert asyncio.run(run()) == ["b"]
