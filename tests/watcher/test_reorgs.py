"""Blocks that left the chain, whoever says so: a head, a node, or the feed itself."""

from __future__ import annotations

import random
from itertools import pairwise

from feed_fakes import block_hash, chain_head, log_in, notification
from hypothesis import given
from hypothesis import strategies as st
from listening import legs, listening, only, open_socket, removed, ts

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.trade import effective, fold_leg, new_trade
from chalicelib.watcher.delivered import (
    BLOCKS_MAX,
    LOGS_MAX,
    OPEN_MAX,
    QUESTIONS_MAX,
    REACH_BLOCKS,
    TRIES_MAX,
    DeliveredBlocks,
)
from chalicelib.watcher.outputs import Counted, Evidence, NeedCanonical
from chalicelib.watcher.session import PolygonSession


def hear(session: PolygonSession, number: int, branch: str = "a", **changes: object) -> None:
    session.receive(notification(log_in(number, branch, **changes)), ts(number))


def message(number: int, branch: str = "a", log_index: int = 3) -> FillMessage:
    session = listening()
    outputs = session.receive_log(log_in(number, branch, log_index=log_index), ts(number))
    return only(Evidence, outputs)[0].message


def asked(session: PolygonSession, now_ms: int) -> list[int]:
    return [output.number for output in only(NeedCanonical, session.tick(now_ms))]


def test_a_head_of_the_same_number_takes_the_logs_back() -> None:
    session = listening()
    hear(session, 101)
    hear(session, 101, log_index=4)
    assert session.receive(chain_head(101), ts(101)) == []
    outputs = session.receive(chain_head(101, "b"), ts(102))
    assert removed(outputs) == [(block_hash(101), 3), (block_hash(101), 4)]
    assert outputs[0] == Counted("watcher_reorged_logs", 2)
    first = only(Evidence, outputs)[0].message
    assert (first.leader, first.ts_seen, first.chain[0].raw) == ("lead", ts(102), "")
    # Said once; and no node was asked.
    assert session.receive(chain_head(101, "b"), ts(103)) == []
    assert asked(session, ts(103)) == []


def test_a_parent_takes_the_logs_back_too() -> None:
    session = listening()
    hear(session, 101)
    assert removed(session.receive(chain_head(102, "b", "b"), ts(102))) == [(block_hash(101), 3)]


def test_the_mined_again_log_may_come_before_or_after_the_head() -> None:
    early = listening()
    hear(early, 101)
    hear(early, 101, "b")
    assert removed(early.receive(chain_head(101, "b"), ts(102))) == [(block_hash(101), 3)]
    late = listening()
    hear(late, 101)
    assert removed(late.receive(chain_head(101, "b"), ts(102))) == [(block_hash(101), 3)]
    outputs = late.receive(notification(log_in(101, "b")), ts(102))
    assert [leg.removed for leg in legs(outputs)] == [False]
    assert late.receive(chain_head(102, "b", "b"), ts(103)) == []


def test_a_removed_log_of_the_feed_is_not_said_twice() -> None:
    session = listening()
    hear(session, 101)
    outputs = session.receive(notification(log_in(101, removed=True)), ts(101))
    assert removed(outputs) == [(block_hash(101), 3)]
    assert session.receive(chain_head(101, "b"), ts(102)) == []


def test_a_late_log_of_a_left_block_is_asked_about() -> None:
    session = listening()
    session.receive(chain_head(101, "b"), ts(101))
    hear(session, 101, "a")
    assert asked(session, ts(101)) == [101]
    assert removed(session.canonical(101, block_hash(101, "b"), ts(102))) == [(block_hash(101), 3)]


def test_a_chain_that_comes_back_is_believed() -> None:
    session = listening()
    hear(session, 101)
    session.receive(chain_head(101, "b"), ts(101))
    session.receive(chain_head(101), ts(102))
    outputs = session.receive(notification(log_in(101)), ts(102))
    assert [leg.removed for leg in legs(outputs)] == [False]
    assert session.receive(chain_head(102), ts(103)) == []


def test_numbers_that_no_head_spoke_about_are_asked_once() -> None:
    session = listening()
    hear(session, 101)
    hear(session, 103)
    session.receive(chain_head(106), ts(106))
    assert asked(session, ts(106)) == [103, 101]
    assert asked(session, ts(106)) == []
    assert session.canonical(103, block_hash(103), ts(107)) == []
    assert removed(session.canonical(101, block_hash(101, "c"), ts(107))) == [(block_hash(101), 3)]
    session.receive(chain_head(107), ts(107))
    assert asked(session, ts(999)) == []


def test_a_node_that_does_not_know_is_asked_again_and_then_left() -> None:
    session = listening()
    hear(session, 101)
    session.receive(chain_head(106), ts(106))
    now, asked_at = ts(106), list[int]()
    for _ in range(400):
        if asked(session, now):
            asked_at.append(now)
            assert session.canonical(101, None, now) == []
        now += 1_000
    assert len(asked_at) == TRIES_MAX
    pauses = [after - before for before, after in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2_000, 30_000)
    session.receive(chain_head(107), now)
    assert asked(session, now + 60_000) == []


def reconnect(session: PolygonSession, number: int) -> None:
    session.disconnected("gone")
    open_socket(session, ts(number))
    session.receive(chain_head(number), ts(number))


def settled(*numbers: int) -> PolygonSession:
    session = listening()
    for number in range(101, max(numbers) + 1):
        if number in numbers:
            hear(session, number)
        session.receive(chain_head(number), ts(number))
    return session


def test_after_a_reconnect_one_question_is_enough_when_nothing_happened() -> None:
    session = settled(101, 105, 110)
    reconnect(session, 120)
    assert asked(session, ts(120)) == [110]
    assert session.canonical(110, block_hash(110), ts(120)) == []
    assert asked(session, ts(999)) == []


def test_a_reorganisation_while_offline_is_followed_back_to_its_root() -> None:
    session = settled(101, 105, 108, 110)
    reconnect(session, 120)
    gone = []
    for expected, answer in ((110, "b"), (108, "b"), (105, "a")):
        assert asked(session, ts(120)) == [expected]
        gone += removed(session.canonical(expected, block_hash(expected, answer), ts(120)))
    assert gone == [(block_hash(110), 3), (block_hash(108), 3)]
    assert asked(session, ts(999)) == []


def test_only_blocks_near_the_gap_are_asked_about() -> None:
    session = settled(101, 102, 102 + REACH_BLOCKS)
    reconnect(session, 300)
    assert asked(session, ts(300)) == [102 + REACH_BLOCKS]
    session.canonical(102 + REACH_BLOCKS, block_hash(102 + REACH_BLOCKS, "b"), ts(300))
    assert asked(session, ts(300)) == []


def test_an_earlier_process_is_checked_block_by_block() -> None:
    session = PolygonSession({})
    session.seed([message(101), message(104), message(104, "b")])
    open_socket(session, ts(110))
    assert asked(session, ts(110)) == []
    session.receive(chain_head(110), ts(110))
    assert asked(session, ts(110)) == [104, 101]
    outputs = session.canonical(104, block_hash(104, "b"), ts(110))
    assert removed(outputs) == [(block_hash(104), 3)]
    # Retracted even though nobody follows the wallet any more.
    assert only(Evidence, outputs)[0].message.leader == "lead"


def test_questions_are_bounded_and_a_few_at_a_time() -> None:
    blocks = DeliveredBlocks()
    for number in range(1_000, 1_300):
        blocks.add(message(number))
    blocks.head(1_400, block_hash(1_400), block_hash(1_399))
    seen = []
    while numbers := blocks.due(1):
        assert len(numbers) <= OPEN_MAX
        seen += numbers
        for number in numbers:
            blocks.answered(number, block_hash(number), 1)
    assert len(seen) == len(set(seen)) == QUESTIONS_MAX
    # Nobody answers: after a while the questions are dropped, and nothing is asked twice at once.
    blocks.head(1_401, block_hash(1_401), block_hash(1_400))
    assert len(blocks.due(1)) == OPEN_MAX
    assert blocks.due(2) == []
    assert len(blocks.due(200_000)) == OPEN_MAX


def test_memory_of_blocks_and_logs_is_bounded() -> None:
    blocks = DeliveredBlocks()
    for number in range(1, BLOCKS_MAX + 100):
        blocks.add(message(number))
    gone = [blocks.head(n, block_hash(n, "b"), None) for n in range(1, BLOCKS_MAX + 100)]
    assert sum(len(part) for part in gone) == BLOCKS_MAX
    for index in range(LOGS_MAX + 10):
        blocks.add(message(5_000 + index // 50, log_index=index % 50))
    left = [
        blocks.head(n, block_hash(n, "b"), None) for n in range(5_000, 5_000 + LOGS_MAX // 50 + 1)
    ]
    assert 0 < sum(len(part) for part in left) <= LOGS_MAX


@given(seed=st.integers(0, 2**32), kinds=st.lists(st.sampled_from("hlr"), max_size=60))
def test_in_the_end_exactly_the_canonical_logs_stand(seed: int, kinds: list[str]) -> None:
    """Forks, slipped and lost transactions, late logs and a dropped socket, in any order.

    The truth is the last branch of each number; the fold is ingestion's own.
    """
    draw = random.Random(seed)
    session = listening()
    branch = dict.fromkeys(range(99, 141), "a")
    mined: dict[tuple[int, str], list[int]] = {}
    outputs = []

    def mine(number: int) -> None:
        place = (number, branch[number])
        if place not in mined:
            mined[place] = [draw.randrange(50) for _ in range(draw.randrange(3))]
        name = branch[number]
        frames = [chain_head(number, name, branch[number - 1])]
        frames += [notification(log_in(number, name, log_index=i)) for i in mined[place]]
        draw.shuffle(frames)
        for frame in frames:
            outputs.extend(session.receive(frame, ts(number)))

    head = 100
    for kind in kinds:
        if kind == "h" and head < 138:
            head += 1
            mine(head)
        elif kind == "l" and head > 101:
            # A fork: the last blocks are mined again, with other logs at other places.
            root = draw.randint(max(101, head - 5), head)
            name = chr(ord(max(branch.values())) + 1)
            for number in range(root, 141):
                branch[number] = name
            for number in range(root, head + 1):
                mine(number)
        elif kind == "r":
            # The socket is down for a while; what is mined then is for the API to tell.
            session.disconnected("gone")
            if draw.random() < 0.5 and head > 101:
                root = draw.randint(max(101, head - 5), head)
                name = chr(ord(max(branch.values())) + 1)
                for number in range(root, 141):
                    branch[number] = name
            head = min(138, head + draw.randrange(4))
            outputs.extend(open_socket(session, ts(head)))
            mine(head)
    head += 1
    mine(head)
    for _ in range(200):
        wanted = only(NeedCanonical, session.tick(ts(head)))
        if not wanted:
            break
        for question in wanted:
            known = block_hash(question.number, branch[question.number])
            outputs.extend(session.canonical(question.number, known, ts(head)))

    trade = new_trade("l", "w", "t", "1", "BUY", source="chain", backfill=False, ts_listed=0)
    standing = set()
    for leg in legs(outputs):
        trade = fold_leg(trade, leg, 0)
        place = (leg.block_hash, leg.log_index)
        if leg.removed:
            standing.discard(place)
        else:
            standing.add(place)
    truth = {
        (block_hash(number, name), index)
        for (number, name), indexes in mined.items()
        if branch[number] == name
        for index in indexes
    }
    assert standing == truth
    if not truth:
        assert effective(trade).shares == 0
