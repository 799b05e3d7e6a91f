"""Ensembles whose members fail, take turns, or work at the same time."""

from __future__ import annotations

import gc
import os
import threading
import time
import warnings

import numpy as np
import pytest

import nextbyte as nb
from nextbyte.errors import BackendError, InvalidInputError
from unit.fake_byte_models import FakeByteModel, FakeByteState, order2_model

RULES = ("mixture", "product", "posterior")


# --- Failures ------------------------------------------------------------------------------------


class Failing(FakeByteModel):
    """Fails when told to, in laws or in the middle of a push."""

    fails_in = ""

    def __repr__(self):
        return "Failing()"

    def start(self, prompt=b""):
        if self.fails_in == "start":
            raise RuntimeError("no memory")
        state = FailingState(self.law)
        state.model = self
        state.push(prompt)
        return state

    def next_byte_logprobs(self, states):
        if self.fails_in == "law":
            raise RuntimeError("out of memory")
        return super().next_byte_logprobs(states)


class FailingState(FakeByteState):
    model = None

    def push(self, data):
        if self.model.fails_in == "push":
            super().push(data[:1])  # breaks its promise, too
            raise RuntimeError("lost connection")
        super().push(data)

    def fork(self):
        other = super().fork()
        other.__class__, other.model = FailingState, self.model
        return other


@pytest.mark.parametrize("concurrent", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_a_failing_member_is_named_and_the_state_stays_usable(rule, concurrent):
    failing = Failing(order2_model(1, b"ab").law)
    models = [order2_model(2, b"ab"), failing, order2_model(3, b"ab")]
    model = nb.ByteEnsemble(models, rule=rule, concurrent=concurrent)
    healthy = model.start(b"a")
    healthy.push(b"ba")
    expected = healthy.next_byte_logprobs()

    state = model.start(b"a")
    failing.fails_in = "push"
    with pytest.raises(BackendError, match=r"member 1 \(Failing\(\)\) failed to push") as caught:
        state.push(b"ba")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert state.prefix == b"a"
    assert [m.state.prefix for m in state.members.values()] == [b"a"] * 3
    failing.fails_in = "law"
    with pytest.raises(BackendError, match=r"member 1 .*: RuntimeError: out of memory") as caught:
        state.next_byte_logprobs()
    assert isinstance(caught.value.__cause__, RuntimeError)
    failing.fails_in = "start"
    with pytest.raises(BackendError, match=r"member 1 .* failed to start"):
        model.start(b"a")
    failing.fails_in = ""
    state.push(b"ba")
    np.testing.assert_array_equal(state.next_byte_logprobs(), expected)


def test_only_what_is_missing_is_asked_again():
    failing = Failing(order2_model(1, b"ab").law)
    model = nb.ByteEnsemble([order2_model(2, b"ab"), failing], concurrent=False)
    state = model.start(b"a")
    failing.fails_in = "law"
    with pytest.raises(BackendError):
        state.next_byte_logprobs()
    failing.fails_in = ""
    state.next_byte_logprobs()
    state.next_byte_logprobs()
    assert state.lm_evaluations == 2


def test_states_of_others_and_bad_rollbacks_are_refused():
    model = nb.ByteEnsemble([order2_model(9, b"a")])
    other = nb.ByteEnsemble([order2_model(9, b"a")])
    with pytest.raises(InvalidInputError, match="another ByteEnsemble"):
        model.next_byte_logprobs([other.start()])
    with pytest.raises(InvalidInputError, match="come from start"):
        model.next_byte_logprobs([order2_model(9, b"a").start()])
    for n in (-1, 3):
        with pytest.raises(InvalidInputError, match="0 to 2"):
            model.start(b"aa").rollback(n)


# --- Threads -------------------------------------------------------------------------------------


class Slow(FakeByteModel):
    """Waits until a number of members are at work at the same time."""

    def __init__(self, law, barrier):
        super().__init__(law)
        self._barrier = barrier

    def next_byte_logprobs(self, states):
        self._barrier.wait(10)
        return super().next_byte_logprobs(states)


def our_threads(before=()):
    named = (t for t in threading.enumerate() if t.name.startswith("nextbyte-ensemble"))
    return set(named).difference(before)


def test_members_work_at_the_same_time_and_threads_end():
    before = our_threads()
    barrier = threading.Barrier(3)
    models = [Slow(order2_model(i, b"ab").law, barrier) for i in range(3)]
    with nb.ByteEnsemble(models) as model:
        model.start(b"a").fork().next_byte_logprobs()  # would time out one after the other
        assert our_threads(before)
    assert not our_threads(before)
    model.start(b"a").next_byte_logprobs()
    del model
    gc.collect()
    deadline = time.monotonic() + 10
    while our_threads(before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not our_threads(before)


class Exclusive(FakeByteModel):
    """Must not be used by two threads."""

    def __init__(self, law):
        super().__init__(law)
        self._lock = threading.Lock()

    def next_byte_logprobs(self, states):
        assert self._lock.acquire(blocking=False)
        time.sleep(0.005)
        self._lock.release()
        return super().next_byte_logprobs(states)


def test_what_members_share_is_used_by_one_thread_at_a_time():
    shared = Exclusive(order2_model(1, b"ab").law)
    inner = nb.ByteEnsemble([shared, order2_model(2, b"ab")])
    model = nb.ByteEnsemble([shared, order2_model(3, b"ab"), inner, shared])
    for _ in range(3):
        model.start(b"ab").next_byte_logprobs()
    twins = [order2_model(4, b"ab"), order2_model(4, b"ab")]
    for twin in twins:
        twin.backend = shared
    assert nb.ByteEnsemble(twins)._workers.groups == ((0, 1),)
    assert model._workers.groups == ((0, 2, 3), (1,))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_its_own_threads():
    model = nb.ByteEnsemble([order2_model(1, b"ab"), order2_model(2, b"ab")])
    expected = model.start(b"a").next_byte_logprobs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "may lead to deadlocks": that's it
        child = os.fork()
    if child == 0:
        same = np.array_equal(model.start(b"a").next_byte_logprobs(), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
