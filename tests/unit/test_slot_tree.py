"""Persistent token chains, and which slot of a key/value pool holds which token."""

from __future__ import annotations

import random
import threading

import pytest

from nextbyte.backends._slot_tree import Segment, SlotPool, grow
from nextbyte.backends._token_chain import TokenChain
from nextbyte.errors import BackendError


def test_a_chain_shares_its_beginning():
    chain = TokenChain(None, (1, 2, 3))
    longer = TokenChain(TokenChain(chain, (4,)), ())
    assert longer.tokens() == [1, 2, 3, 4]
    assert [longer.tail(n) for n in (0, 1, 2, 9)] == [(), (4,), (3, 4), (1, 2, 3, 4)]
    assert longer.length == 4


def test_very_long_chains_go_without_recursion():
    pool = SlotPool()
    segment, chain = None, None
    for token in range(50_000):
        chain = TokenChain(chain, (token,))
    assert len(chain.tokens()) == 50_000
    for _ in range(5_000):
        segment = Segment(pool, segment, 1)
    assert pool.in_use == 5_000
    del chain, segment
    assert pool.in_use == 0


def test_slots_are_handed_out_lowest_first_and_used_again():
    pool = SlotPool(limit=6)
    first, bits = pool.take(4)
    assert (first, bits) == ((0, 1, 2, 3), 0b1111)
    pool.give_back(0b0110)
    assert pool.in_use == 2
    assert pool.high_water == 4
    assert pool.take(3)[0] == (1, 2, 4)
    with pytest.raises(BackendError, match="max_slots"):
        pool.take(2)
    assert pool.in_use == 5, "a refused take must take nothing"
    pool.give_back(0b11010)
    assert (pool.in_use, pool.high_water) == (2, 3)


def test_requests_of_one_call_make_one_tree():
    pool = SlotPool()
    requests = [(5, 7), (5,), (5, 7, 9, 9), (5, 8), (5, 7), (6,), (5, 7, 9, 2)]
    order, ends = grow(pool, [(None, tokens) for tokens in requests])
    assert pool.in_use == len({r[:n] for r in requests for n in range(1, len(r) + 1)}) == 7
    assert ends[0] is ends[4]
    for request, end in zip(requests, ends, strict=True):
        assert end.wanted
        assert end.segment.length == len(request)
        assert end.segment.ancestors.bit_count() == len(request)
    seen = {None}
    for run in order:
        assert run.segment.parent in seen, "a run before its parent"
        seen.add(run.segment)
    assert ends[1].segment.ancestors & ~ends[3].segment.ancestors == 0


def test_random_trees_hold_exactly_what_lives():
    """Against a plain model: a set of paths, each path known by its tokens."""
    chance = random.Random(0)
    pool = SlotPool()
    living = []  # (tokens, segment)
    for _ in range(300):
        if living and chance.random() < 0.4:
            living.pop(chance.randrange(len(living)))
        requests, paths = [], []
        for _ in range(chance.randrange(4)):
            path, parent = chance.choice(living) if living and chance.random() < 0.7 else ((), None)
            tokens = tuple(chance.choices(range(2), k=chance.randint(1, 4)))
            requests.append((parent, tokens))
            paths.append((*path, *tokens))
        if requests:
            _, ends = grow(pool, requests)
            living += [(path, end.segment) for path, end in zip(paths, ends, strict=True)]
        held = set()
        for path, segment in living:
            own = set()
            node = segment
            while node is not None:
                assert not own & set(node.slots)
                own |= set(node.slots)
                node = node.parent
            assert len(own) == len(path) == segment.length
            assert sum(1 << slot for slot in own) == segment.ancestors
            held |= own
        requests, parent, node, ends, segment = [], None, None, None, None
        assert pool.in_use == len(held)
        assert pool.high_water == max(held, default=-1) + 1


def test_branches_may_be_dropped_by_other_threads():
    pool = SlotPool()
    stop = threading.Event()
    queue = []

    def drop():
        while not stop.is_set():
            while queue:
                queue.pop()

    dropper = threading.Thread(target=drop)
    dropper.start()
    try:
        queue.extend(Segment(pool, None, 3) for _ in range(3000))
    finally:
        stop.set()
        dropper.join()
    queue.clear()
    assert pool.in_use == 0
