"""Persistent token chains, and which slot of a key/value pool holds which token."""

from __future__ import annotations

import random
import threading

import pytest

from nextbyte.backends._slot_tree import Segment, SlotPool, grow, settle
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
        segment = Segment(pool, segment, (1,))
        segment.take()
        segment.link()
    assert pool.in_use == 5_000
    del chain, segment
    assert pool.in_use == 0


def test_slots_are_handed_out_lowest_first_and_used_again():
    pool = SlotPool()
    first, bits = pool.take(4)
    assert (first, bits) == ((0, 1, 2, 3), 0b1111)
    pool.give_back(0b0110)
    assert pool.in_use == 2
    assert pool.high_water == 4
    assert pool.take(3)[0] == (1, 2, 4)
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


class Memory:
    """What a pool's slots hold: for each the whole context that its token ends."""

    def __init__(self, limit=None):
        self.pool = SlotPool(limit)
        self.content = {}

    def context_of(self, segment):
        """The tokens of a context whose slots are held, read out of the slots."""
        path = []
        while segment is not None:
            path.append(segment)
            segment = segment.parent
        tokens, slots = (), 0
        for node in reversed(path):
            for token, slot in zip(node.tokens, node.slots, strict=True):
                tokens += (token,)
                assert self.content[slot] == tokens, "a slot holds another context"
                assert not slots >> slot & 1
                slots |= 1 << slot
            assert node.ancestors == slots
        return tokens

    def extend(self, requests, *, fails=False):
        """Return the segments of requests, and how many tokens were computed."""
        order, ends = grow(self.pool, requests)
        read = 0
        for run in order:
            before = () if run.segment.parent is None else self.context_of(run.segment.parent)
            assert run.tokens == run.segment.tokens
            for place, slot in enumerate(run.segment.slots):
                self.content[slot] = None if fails else before + run.tokens[: place + 1]
                read += 1
            if fails:
                break
        settle(order, filled=not fails)
        return [end.segment for end in ends], read


def test_a_context_that_begins_as_a_living_one_shares_its_slots():
    memory = Memory()
    (first,), read = memory.extend([(None, (1, 2, 3, 4, 5))])
    assert read == 5
    (second,), read = memory.extend([(None, (1, 2, 3, 8, 9))])
    assert (read, memory.pool.in_use) == (2, 7)
    assert first.ancestors & second.ancestors == 0b111
    assert memory.context_of(first) == (1, 2, 3, 4, 5)
    (third,), read = memory.extend([(None, (1, 2, 3, 4, 5))])
    assert read == 1, "the last token alone is read again, for its row"
    (below,), read = memory.extend([(second, (6, 7))])
    (twin,), read = memory.extend([(None, (1, 2, 3, 8, 9, 6, 7, 7))])
    assert read == 1
    del first, third
    assert memory.pool.in_use == 8
    del second, below
    assert memory.context_of(twin) == (1, 2, 3, 8, 9, 6, 7, 7)
    assert memory.pool.in_use == 8
    del twin
    assert memory.pool.in_use == 0
    assert memory.extend([(None, (1, 2, 3))])[1] == 3, "only what lives is shared"


def test_contexts_that_are_not_needed_make_room():
    memory = Memory(limit=8)
    (one,), _ = memory.extend([(None, (1, 2, 3, 4))])
    (two,), _ = memory.extend([(None, (5, 6, 7, 8))])
    (more,), read = memory.extend([(two, (9,))])
    assert (read, memory.pool.in_use) == (1, 5)
    assert not one.is_held
    (back,), read = memory.extend([(one, (9, 9))])
    assert read == 6
    assert memory.context_of(back) == (1, 2, 3, 4, 9, 9)
    assert memory.pool.in_use <= 8
    assert not more.is_held
    assert memory.context_of(two) if two.is_held else True
    with pytest.raises(BackendError, match=r"5 more tokens do not fit: max_slots=8.*from 6"):
        memory.extend([(back, (1, 2, 3, 4, 5))])
    with pytest.raises(BackendError, match="9 more tokens"):
        memory.extend([(None, tuple(range(10, 19)))])
    assert memory.context_of(back) == (1, 2, 3, 4, 9, 9), "a refused call gives nothing up"
    memory.extend([(None, tuple(range(10, 18)))])
    assert not back.is_held


@pytest.mark.parametrize("limit", [None, 12, 20, 40])
def test_random_use_of_a_shared_pool_under_a_limit(limit):
    chance = random.Random(limit)
    memory = Memory(limit)
    living, refused, shared, again = [], 0, 0, 0
    for _ in range(600):
        if living and (chance.random() < 0.3 or len(living) > 9):
            living.pop(chance.randrange(len(living)))
        requests, paths = [], []
        for _ in range(chance.randint(1, 3)):
            path, parent = chance.choice(living) if living and chance.random() < 0.6 else ((), None)
            tokens = tuple(chance.choices(range(2), k=chance.randint(1, 6)))
            requests.append((parent, tokens))
            paths.append((*path, *tokens))
        try:
            ends, read = memory.extend(requests, fails=chance.random() < 0.1)
        except BackendError:
            assert limit is not None
            refused += 1
            continue
        fresh = len({path[:n] for path in paths for n in range(1, len(path) + 1)})
        shared += read < fresh
        again += read > sum(len(tokens) for _, tokens in requests)
        for path, end in zip(paths, ends, strict=True):
            if end.is_held:
                assert memory.context_of(end) == path
                living.append((path, end))
        ends, end, parent = None, None, None
        for path, segment in living:
            assert segment.length == len(path)
            if segment.is_held:
                assert memory.context_of(segment) == path
        assert limit is None or memory.pool.in_use <= limit
    assert shared > 50
    assert (limit is None) == (refused == 0)
    assert (limit in {None, 40}) or again > 10
    living, requests, segment = None, None, None
    assert memory.pool.in_use == 0


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
        for token in range(3000):
            segment = Segment(pool, None, (token, 1, 2))
            segment.take()
            segment.link()
            queue.append(segment)
    finally:
        stop.set()
        dropper.join()
    del segment
    queue.clear()
    assert pool.in_use == 0
