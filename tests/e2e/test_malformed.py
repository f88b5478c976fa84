"""What is malformed is refused by name, counted, kept with its payload, and blocks nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.trade import effective
from infra.local.stack import wait_until
from tests.e2e.engines import AwsRun, Engine, open_engine
from tests.e2e.ledgers import attempts_of, follow_since, trade, work_of
from tests.e2e.venue import FeedNode, VenueServer
from tests.e2e.walkthrough import order_filled, trade_row
from tests.workflow.harness import TOKEN, M, chain, leg, tx

LISTENED = "0x" + "7a" * 20
STRANGER = "0x" + "5e" * 20
POLLED = "0x" + "70" * 20


@pytest.fixture(scope="module", params=["embedded", "aws"])
def listening(
    request: pytest.FixtureRequest,
    venue: VenueServer,
    tmp_path_factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
) -> Iterator[tuple[Engine, FeedNode]]:
    """An engine with everything on, and the node it listens to."""
    with FeedNode() as node:
        running = open_engine(
            request.param,
            {**venue.environment(), **node.environment(), "TRIGGER_MODE": "both"},
            tmp_path_factory.mktemp("data"),
            patch,
            leaders=[LISTENED, POLLED],
            wait_scale=0.4,
        )
        yield running, node
        running.stop()


@pytest.fixture(scope="module")
def engine(listening: tuple[Engine, FeedNode]) -> Engine:
    return listening[0]


@pytest.fixture(scope="module")
def node(listening: tuple[Engine, FeedNode]) -> FeedNode:
    return listening[1]


def bought(leader: str, ts: int, number: int) -> FillMessage:
    part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number)
    return chain([part], number=number, ts_seen=ts, leader=leader)


def counted(engine: Engine, leader: str, tx_hash: str) -> int:
    """Shares of the trade, or 0 while it is unknown or not handed on."""
    found = trade(engine.store, trade_id(leader, tx_hash, TOKEN, "BUY"))
    return effective(found).shares if found and not found.pending else 0


class Counter:
    """How far a counter moved since this was made."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._before = engine.counted(name)

    def moved(self) -> int:
        return self._engine.counted(self._name) - self._before


# --- messages


def _plain(message: FillMessage) -> dict[str, Any]:
    from chalicelib.adapters.codec import to_plain

    plain: dict[str, Any] = to_plain(message)
    return plain


@pytest.mark.parametrize(
    ("change", "field"),
    [({"wallet": STRANGER}, "wallet"), ({"leader": STRANGER, "wallet": STRANGER}, "leader")],
)
def test_a_message_about_somebody_nobody_follows(
    engine: Engine, leader: str, past: int, change: dict[str, str], field: str
) -> None:
    refusals = Counter(engine, "messages_quarantined")
    wrong = replace(bought(leader, past, 5), **change)  # type: ignore[arg-type]
    engine.send(bought(leader, past, 1), wrong, bought(leader, past + 1, 2))
    engine.settle()
    assert [counted(engine, leader, tx(n)) for n in (1, 2)] == [10_000 * M] * 2
    (kept,) = engine.refused()
    assert kept["error"].startswith(f"{field}:")
    assert STRANGER in kept["payload"]
    assert refusals.moved() == 1
    assert engine.buried() == []


IMPOSSIBLE: dict[str, Any] = {"token_id": "7" * 3_000, "ts_block": 10**17, "shares": -5}


def _impossible(leader: str, ts: int, field: str) -> FillMessage:
    good = bought(leader, ts, 5)
    (item,) = good.chain
    change = {field: IMPOSSIBLE[field]}
    wrong = (
        replace(item, **change)
        if field == "token_id"
        else replace(item, leg=replace(item.leg, **change))
    )
    return replace(good, chain=(wrong,))


def test_messages_with_impossible_values(engine: Engine, past: int) -> None:
    leaders = {field: f"0x{0xBAD << 32 | n:040x}" for n, field in enumerate(IMPOSSIBLE)}
    for leader in leaders.values():
        follow_since(engine.store, past - 600_000, [leader])
    engine.send(*(_impossible(leader, past, field) for field, leader in leaders.items()))
    engine.send(*(bought(leader, past + 1, 2) for leader in leaders.values()))
    held_up = {
        field
        for field, leader in leaders.items()
        if not wait_until(lambda: counted(engine, leader, tx(2)), 1.0, 0.05)  # noqa: B023
    }
    engine.settle()
    kept = sorted(line["error"].split(":")[0] for line in engine.refused())
    engine.buried()
    assert (held_up, kept) == (set(), sorted(IMPOSSIBLE))


# --- rows


def test_malformed_rows_among_good_ones(engine: Engine, venue: VenueServer) -> None:
    now = time.time_ns() // 1_000_000_000 - 300
    good = [trade_row(POLLED, tx(n), TOKEN, "BUY", 100, 0.5, 50, now) for n in (71, 72)]
    wrong: list[Any] = [
        trade_row(POLLED, tx(73), TOKEN, "BUY", 100, 0.5, 50, now) | {"size": "ten"},
        trade_row(POLLED, tx(74), TOKEN, "BUY", 100, 0.5, 50, now) | {"transaction_hash": "0x1"},
        trade_row(POLLED, tx(75), TOKEN, "HOLD", 100, 0.5, 50, now),
        "a row",
    ]
    refusals = Counter(engine, "api_rows_refused")
    venue.script.activity[POLLED] = [wrong[0], good[0], *wrong[1:], good[1]]
    engine.poll()
    engine.settle()
    assert [counted(engine, POLLED, tx(n)) for n in (71, 72)] == [100 * M] * 2
    kept = {line["error"].split(":")[0]: line for line in engine.refused()}
    assert set(kept) == {"size", "transaction_hash", "side", "row"}
    assert {line["source"] for line in kept.values()} == {"data_api"}
    assert json.loads(kept["size"]["payload"])["size"] == "ten"
    assert refusals.moved() == 4
    engine.poll()
    engine.settle()
    assert engine.refused() == [], "the same row is kept once, not at every poll"


# --- frames


def test_malformed_frames_among_good_ones(engine: Engine, node: FeedNode) -> None:
    seconds = time.time_ns() // 1_000_000_000 - 60

    def log(label: str, **changes: object) -> dict[str, Any]:
        made = order_filled(
            LISTENED, "BUY", TOKEN, 100 * M, 50 * M, label=f"{engine.name} {label}", seconds=seconds
        )
        return {**made, **changes}

    first, last = log("first"), log("last")
    refusals = Counter(engine, "watcher_refused")
    node.push(first)
    node.push_raw("not JSON")
    node.push_raw("[1, 2]")
    node.push(log("short", data="0x1234"), log("nowhere", blockHash=None), log("odd", logIndex="x"))
    node.push(last)
    reached = [first["transactionHash"], last["transactionHash"]]
    assert wait_until(lambda: all(counted(engine, LISTENED, t) for t in reached), 15.0, 0.05)
    assert wait_until(lambda: refusals.moved() == 5, 5.0, 0.05)
    time.sleep(0.2)
    kept = engine.refused()
    assert {line["source"] for line in kept} == {"polygon"}
    assert sorted(line["error"].split(":")[0] for line in kept) == [
        "blockHash",
        "data",
        "logIndex",
        "the frame is not JSON",
        "the frame is not an object",
    ]
    assert "not JSON" in [line["payload"] for line in kept]
    assert [counted(engine, LISTENED, t) for t in reached] == [100 * M] * 2
    engine.settle()


# --- books


def test_a_malformed_book_ends_in_a_skip_and_the_next_group_is_decided(
    engine: Engine, venue: VenueServer, leader: str, past: int
) -> None:
    other = str(int(tx(0xB00C), 16))
    venue.script.add_market(tx(0xC0), (other, str(int(other) + 1)))
    venue.script.books[other] = {"asset_id": other, "timestamp": "1", "bids": "none", "asks": []}
    refusals = Counter(engine, "clob_book_refused")
    part = leg(10_000 * M, 510_000, ts_block=past - 2_000)
    broken = chain([part], number=1, ts_seen=past, leader=leader, token=other)
    engine.send(broken, bought(leader, past + 1, 2))
    engine.settle()
    for portfolio in ("main/global", f"main/leader/{leader}"):
        found = [a for a in attempts_of(engine.store, portfolio) if a.leader == leader]
        assert [(a.token_id, a.status) for a in found] == [(other, "SKIPPED"), (TOKEN, "FILLED")]
        assert found[0].reasons == ("BOOK_MISSING",)
    assert refusals.moved() >= 2, "at least once per portfolio"
    assert work_of(engine.store) == []
    del venue.script.books[other]


def test_leaders_are_apart(engine: Engine, past: int) -> None:
    """A line of garbage for one leader leaves another's line alone."""
    one, two = "0x" + "e1" * 20, "0x" + "e2" * 20
    for leader in (one, two):
        follow_since(engine.store, past - 600_000, [leader])
    wrong = [replace(bought(one, past, n), wallet=STRANGER) for n in range(10)]
    engine.send(*wrong, bought(two, past, 1))
    engine.settle()
    assert counted(engine, two, tx(1)) == 10_000 * M
    assert sum(STRANGER in str(line["error"]) for line in engine.refused()) == 10


# --- bodies, which only a queue has

BODIES = {
    "not JSON": ("{", "body"),
    "another version": ('{"v":3,"message":{}}', "v"),
    "no message": ('{"v":1}', "message"),
    "a number for an address": ('{"v":1,"message":{"leader":5}}', "message.leader"),
    "an amount as text": (None, "message.chain.0.leg.shares"),
}

# Inside one process messages are values and polls are calls: only the queue has bodies.
only_with_a_queue = pytest.mark.parametrize("listening", ["aws"], indirect=True, scope="module")


@only_with_a_queue
@pytest.mark.parametrize("case", BODIES)
def test_a_malformed_body_in_the_middle_of_a_line(
    engine: Engine, leader: str, past: int, case: str
) -> None:
    assert isinstance(engine, AwsRun)
    body, field = BODIES[case]
    if body is None:
        wrong = json.loads(json.dumps({"v": 1, "message": _plain(bought(leader, past, 9))}))
        wrong["message"]["chain"][0]["leg"]["shares"] = "many"
        body = json.dumps(wrong)
    refusals = Counter(engine, "messages_quarantined")
    engine.send(bought(leader, past, 1))
    engine.send_body(body, leader)
    engine.send(bought(leader, past + 1, 2))
    engine.settle()
    assert [counted(engine, leader, tx(n)) for n in (1, 2)] == [10_000 * M] * 2
    (kept,) = engine.refused()
    assert (kept["source"], kept["payload"]) == ("ingest", body)
    assert kept["error"].startswith(f"{field}:")
    assert refusals.moved() == 1
    assert engine.buried() == []


@only_with_a_queue
def test_a_malformed_poll_tick(engine: Engine) -> None:
    assert isinstance(engine, AwsRun)
    refusals = Counter(engine, "messages_quarantined")
    sqs, url = engine.engine.client("sqs"), engine.engine.queue_url("polls")
    sqs.send_message(QueueUrl=url, MessageBody='{"v":1,"leaders":"all"}')
    engine.settle()
    (kept,) = engine.refused()
    assert (kept["source"], kept["payload"]) == ("poll", '{"v":1,"leaders":"all"}')
    assert kept["error"].startswith("leaders:")
    assert refusals.moved() == 1
