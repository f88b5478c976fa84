"""Which blocks are read by range: bounded, never above the head, narrower when refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.services.chain_cursors import chain_cursors, move_chain_cursors
from chalicelib.watcher.gap_fill import (
    BACK_BLOCKS_MAX,
    BLOCKS_PER_QUERY,
    OVERLAP_BLOCKS,
    BlockRange,
    GapFill,
)

E = ("0xe1", "0xe2")


def ranges(plan: GapFill) -> list[tuple[int, int]]:
    found = []
    while (wanted := plan.next()) is not None:
        found.append((wanted.first, wanted.last))
        plan.done(wanted)
    return found


def test_a_first_sweep_begins_at_the_head() -> None:
    plan = GapFill()
    assert plan.sweep(E, 1_000) <= 0
    assert ranges(plan) == [(993, 1_000)]
    assert plan.cursors == {"0xe1": 1_000, "0xe2": 1_000}


def test_the_next_sweep_overlaps_the_one_before() -> None:
    plan = GapFill(dict.fromkeys(E, 1_000))
    plan.sweep(E, 1_003)
    assert ranges(plan) == [(1_000 - OVERLAP_BLOCKS + 1, 1_003)]


def test_wide_stretches_are_cut_and_what_is_too_far_back_is_left_out() -> None:
    plan = GapFill(dict.fromkeys(E, 1_000))
    skipped = plan.sweep(E, 10_000)
    found = ranges(plan)
    assert found[0] == (7_601, 7_610)
    assert found[-1][1] == 10_000
    assert sum(last - first + 1 for first, last in found) == BACK_BLOCKS_MAX
    assert skipped == 7_601 - (1_000 - OVERLAP_BLOCKS + 1)


def test_a_head_that_went_back_never_moves_a_cursor_back() -> None:
    plan = GapFill(dict.fromkeys(E, 1_000))
    plan.sweep(E, 998)
    assert ranges(plan) == [(995, 998)]
    assert plan.cursors == dict.fromkeys(E, 1_000)


def test_a_new_exchange_is_read_from_where_it_came() -> None:
    plan = GapFill({"0xe1": 100})
    plan.sweep(E, 130)
    first = plan.next()
    assert first == BlockRange(97, 106, ("0xe1",))
    found = ranges(plan)
    assert found == [(97, 106), (107, 116), (117, 126), (127, 130)]
    assert plan.cursors == {"0xe1": 130, "0xe2": 130}


def test_a_refused_range_is_asked_in_halves_or_as_the_node_says() -> None:
    plan = GapFill()
    plan.allow(10_000)
    plan.gap(E, 1, 2_000)
    wanted = plan.next()
    assert wanted == BlockRange(1, 2_000, E)
    assert plan.too_wide(wanted)
    wanted = plan.next()
    assert wanted == BlockRange(1, 1_000, E)
    assert plan.too_wide(wanted, 10)
    assert plan.next() == BlockRange(1, 10, E)
    # The same setting again forgets nothing; a new one does.
    plan.allow(10_000)
    assert plan.next() == BlockRange(1, 10, E)
    plan.allow(100)
    assert plan.next() == BlockRange(1, 100, E)


def test_a_node_that_answers_no_range_at_all_ends_the_round() -> None:
    plan = GapFill()
    plan.gap(E, 1, 9)
    tries = 0
    while (wanted := plan.next()) is not None:
        tries += 1
        plan.too_wide(wanted, 9_999)
    assert tries <= BLOCKS_PER_QUERY
    assert plan.cursors == {}


def test_a_gap_is_read_from_its_newest_end() -> None:
    plan = GapFill()
    assert plan.gap(E, 1, BACK_BLOCKS_MAX + 500) == 500
    wanted = plan.next()
    assert wanted is not None
    assert wanted.first == 501
    assert plan.gap(E, 5, 9) == 0
    assert ranges(plan) == [(5, 9)]


@given(
    heads=st.lists(st.integers(0, 6_000), min_size=1, max_size=20),
    widths=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    refusals=st.lists(st.booleans(), max_size=40),
)
def test_no_block_is_forgotten_and_none_is_beyond_the_head(
    heads: list[int], widths: list[int], refusals: list[bool]
) -> None:
    plan = GapFill(dict.fromkeys(E, 3_000))
    read: set[int] = set()
    skipped_below = 0
    refusals = list(refusals)
    for number, head in enumerate(heads):
        plan.allow(widths[number % len(widths)])
        plan.sweep(E, head)
        skipped_below = max(skipped_below, head - BACK_BLOCKS_MAX + 1)
        while (wanted := plan.next()) is not None:
            assert 0 <= wanted.first <= wanted.last <= head
            assert wanted.blocks <= widths[number % len(widths)]
            if refusals and refusals.pop():
                plan.too_wide(wanted)
                continue
            read.update(range(wanted.first, wanted.last + 1))
            plan.done(wanted)
        plan.abandon()
    reached = max([3_000, *plan.cursors.values()])
    assert read.issuperset(range(max(3_001, skipped_below), reached + 1))


def test_cursors_are_kept_and_never_go_back() -> None:
    store = MemoryStore()
    assert chain_cursors(store) == {}
    move_chain_cursors(store, {"0xe1": 5, "0xe2": 7})
    move_chain_cursors(store, {"0xe1": 4, "0xe2": 9})
    assert chain_cursors(store) == {"0xe1": 5, "0xe2": 9}
    move_chain_cursors(store, {"0xe1": 5})
    assert chain_cursors(store) == {"0xe1": 5, "0xe2": 9}
