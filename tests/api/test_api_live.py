"""The combined answer: small whoever is followed, and silent about what did not change."""

from __future__ import annotations

import json

import pytest

from chalicelib.domain.registry import CatchUp, Heartbeat
from chalicelib.ports import Put
from chalicelib.services.heartbeats import beat
from chalicelib.services.read_models.live import (
    BYTES_MAX,
    FRESH_MS,
    LEADERS_SHOWN,
    PARTS,
    TRADES_SHOWN,
    Live,
)
from tests.api.calling import trading
from tests.api.office import Office
from tests.workflow.harness import LEADER, System, chain, leg

LONG = "Will " + "it rain " * 100


@pytest.fixture
def api() -> Office:
    return Office(trading(days=1, trades_per_day=6))


def tags(body: dict[str, dict[str, dict[str, str]]]) -> str:
    return "&".join(f"{part}={body['parts'][part]['tag']}" for part in PARTS)


def test_a_part_is_the_same_as_its_own_route(api: Office) -> None:
    parts = api.get("/api/live").body["parts"]
    trades = api.get(f"/api/trades?limit={TRADES_SHOWN}").items
    shown = parts["trades"]["body"]["items"]
    assert [row["trade_id"] for row in shown] == [row["trade_id"] for row in trades]
    assert shown[0]["order_hash"] == trades[0]["order_hash"]
    overview = api.get("/api/overview").body
    assert parts["overview"]["body"]["counts"] == overview["counts"]
    assert parts["system"]["body"]["status"] == api.get("/api/health").body["status"]


def test_what_is_known_comes_without_a_body(api: Office) -> None:
    first = api.get("/api/live").body
    api.system.clock.advance(1)
    second = api.get(f"/api/live?{tags(first)}").body
    assert all(part["body"] is None for part in second["parts"].values())
    assert len(json.dumps(second)) < 400


def test_only_the_part_that_changed_comes_again(api: Office) -> None:
    first = api.get("/api/live").body
    api.system.clock.advance(FRESH_MS)
    beat(api.system.store, Heartbeat("settings", api.system.clock.now_ms(), False, "torn"))
    second = api.get(f"/api/live?{tags(first)}").body["parts"]
    assert second["system"]["body"]["reasons"] and second["trades"]["body"] is None
    assert second["overview"]["body"] is None


def test_a_new_trade_changes_the_parts_that_show_it(api: Office) -> None:
    first = api.get("/api/live").body
    system = api.system
    system.clock.advance(FRESH_MS)
    now = system.clock.now_ms()
    part = leg(1_000_000, 510_000, ts_block=now - 1_000, index=99, block=99)
    system.services.ingest(chain([part], number=99, ts_seen=now))
    second = api.get(f"/api/live?{tags(first)}").body["parts"]
    assert second["trades"]["body"]["items"][0]["block_number"] == 99
    assert second["overview"]["body"]["counts"] != first["parts"]["overview"]["body"]["counts"]


def test_an_answer_that_did_not_change_is_304(api: Office) -> None:
    first = api.get("/api/live")
    api.system.clock.advance(FRESH_MS // 2)
    again = api.get("/api/live", **{"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, None)


@pytest.mark.parametrize("tag", ["", "x", "0" * 15, "0" * 17, "A" * 16])
def test_a_tag_that_is_none_is_refused(api: Office, tag: str) -> None:
    assert api.get(f"/api/live?trades={tag}").status == 400


def test_it_stays_small_with_the_most_leaders_and_the_longest_texts() -> None:
    """Two hundred leaders, a market with an endless title, many sources that complain at length."""
    system = System()
    wallets = [f"0x{number:040x}" for number in range(1, 201)]
    for wallet in wallets:
        system.follow(wallet, "n" * 80)
    read = system.services.read
    row = api_row()
    live = Live(
        system.clock,
        read.overview,
        lambda: {"items": [row] * TRADES_SHOWN},
        lambda: {**api_health(), "reasons": [LONG] * 50, "warnings": [LONG] * 50},
    )
    body = live({})
    assert len(body["parts"]["overview"]["body"]["leaders"]) == LEADERS_SHOWN
    assert body["parts"]["overview"]["body"]["leaders_more"] == 200 - LEADERS_SHOWN
    size = len(json.dumps(body, separators=(",", ":")).encode())
    assert 20_000 < size < BYTES_MAX


def api_health() -> dict[str, object]:
    health: dict[str, object] = Office(System()).get("/api/health").body
    return health


def api_row() -> dict[str, object]:
    """A trade with every field at its longest."""
    (row,) = Office(trading(days=1, trades_per_day=1)).get("/api/trades").items
    return {**row, "question": LONG, "outcome": LONG, "leader_name": "n" * 80}


def test_a_process_reads_each_part_at_most_every_few_seconds() -> None:
    system, reads = System(), []

    def overview() -> dict[str, object]:
        reads.append(1)
        return {"counts": {}, "leaders": [], "portfolios": []}

    health = dict.fromkeys(api_health())
    live = Live(system.clock, overview, lambda: {"items": []}, lambda: health)
    for _ in range(5):
        live({})
    assert len(reads) == 1
    system.clock.advance(FRESH_MS)
    live({})
    assert len(reads) == 2


def test_the_system_shows_what_is_open_and_what_is_wrong(api: Office) -> None:
    system = api.system
    now = system.clock.now_ms()
    system.store.commit([Put(CatchUp(LEADER, now - 9_000, now, "reconnected"))])
    beat(system.store, Heartbeat("watcher", now, False, "no block for 20 s", ts_last_event=5))
    body = api.get("/api/system").body
    assert body["backfills"]["open"] == 1
    assert body["backfills"]["items"][0]["reason"] == "reconnected"
    assert body["backfills"]["oldest_from"] == now - 9_000
    assert {"where": "watcher", "detail": "no block for 20 s"} in body["errors"]
    assert body["sizes"] == [{"table": "activity", "items": 3, "bytes": 900}]
    assert body["last_event_at"] == 5
